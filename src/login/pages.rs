//! The pages that a sign-in can show: what each one says, in Chinese and English, and a plain way to draw it.

use std::fmt::Debug;

use http::{HeaderMap, StatusCode, header};

use super::attempt::Progress;
use crate::wechat::{Error, Fault, Kind};

/// Draws pages. Implement it to give them your own look; the words come from [`PageView`].
pub trait Pages: Debug + Send + Sync + 'static {
    /// The page as HTML. Everything in `view` is plain text and has to be escaped.
    fn render(&self, view: &PageView<'_>) -> String;
}

/// What a page says. Sent with a content security policy that allows inline styles with the nonce, images from
/// `data:` addresses, forms to our own site, and nothing else.
#[derive(Clone, Debug)]
pub struct PageView<'a> {
    /// `zh-CN` or `en`.
    pub lang: &'static str,
    /// The mood: which icon and colour.
    pub tone: Tone,
    /// The heading.
    pub title: &'a str,
    /// Paragraphs.
    pub text: Vec<&'a str>,
    /// Buttons, the most important first.
    pub actions: Vec<Action>,
    /// Small print for the operator: a name and a value each.
    pub details: Vec<(&'static str, String)>,
    /// The host name of the site.
    pub site: &'a str,
    /// The nonce of the content security policy.
    pub nonce: &'a str,
}

/// The mood of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something good is about to happen.
    Welcome,
    /// Something happened, and it is fine.
    Info,
    /// The visitor has to do something.
    Warning,
    /// Somebody else has to do something.
    Error,
}

/// A button.
#[derive(Clone, Debug)]
pub struct Action {
    /// What it says.
    pub label: &'static str,
    /// Where it leads.
    pub href: String,
    /// A form that posts, instead of a link.
    pub post: bool,
}

impl Action {
    pub(crate) fn link(label: &'static str, href: impl Into<String>) -> Self {
        Self { label, href: href.into(), post: false }
    }

    fn post(label: &'static str, href: String) -> Self {
        Self { label, href, post: true }
    }
}

/// A language that pages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tongue {
    Chinese,
    English,
}

impl Tongue {
    /// The first of both that `Accept-Language` names; Chinese where it names neither.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let first = accepted.unwrap_or_default().split(',').find_map(|range| {
            let range = range.trim().to_ascii_lowercase();
            match range.get(..2) {
                Some("zh") => Some(Self::Chinese),
                Some("en") => Some(Self::English),
                _ => None,
            }
        });
        first.unwrap_or(Self::Chinese)
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    /// The text in this language.
    pub(crate) fn say<'a>(self, chinese: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Chinese => chinese,
            Self::English => english,
        }
    }
}

/// A page that a sign-in can show.
#[derive(Debug)]
pub(crate) enum Page {
    AskFirst { go: String },
    NotInWeChat { url: String },
    Refused { retry: String },
    Snapshot { retry: String },
    Meaningless,
    Malformed,
    Loop { last: Progress, retry: String },
    Failed { error: Error, retry: String },
    StoreDown,
    Broken,
    AskLogout { here: String, everywhere: String },
    SignedOut,
    ForeignLogout,
    BadPath,
    NotFound,
    MethodNotAllowed,
}

impl Page {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::AskFirst { .. } | Self::AskLogout { .. } | Self::SignedOut => StatusCode::OK,
            Self::NotInWeChat { .. }
            | Self::Refused { .. }
            | Self::Snapshot { .. }
            | Self::Loop { .. }
            | Self::ForeignLogout => StatusCode::FORBIDDEN,
            Self::Meaningless | Self::Malformed | Self::BadPath => StatusCode::BAD_REQUEST,
            Self::Failed { error, .. } => match blame(error) {
                Fault::Platform | Fault::Stale => StatusCode::SERVICE_UNAVAILABLE,
                Fault::User => StatusCode::FORBIDDEN,
                Fault::Operator | Fault::Request => StatusCode::BAD_GATEWAY,
            },
            Self::StoreDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The same for a script: one word of a fixed set.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::AskFirst { .. } | Self::NotInWeChat { .. } => "login_required",
            Self::Refused { .. } => "login_refused",
            Self::Snapshot { .. } => "snapshot_user",
            Self::Meaningless => "unknown_login",
            Self::Malformed => "malformed_callback",
            Self::Loop { .. } => "login_loop",
            Self::Failed { .. } => "login_failed",
            Self::StoreDown => "store_unavailable",
            Self::Broken => "internal_error",
            Self::AskLogout { .. } | Self::SignedOut => "signed_out",
            Self::ForeignLogout => "cross_site_request",
            Self::BadPath => "bad_path",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }

    /// What the page says.
    pub(crate) fn view<'a>(&self, tongue: Tongue, site: &'a str, nonce: &'a str) -> PageView<'a> {
        let say = |chinese, english| tongue.say(chinese, english);
        let home = || Action::link(say("返回首页", "Back to the home page"), "/");
        let again = |href: &String| Action::link(say("重新登录", "Try again"), href);
        let mut details = Vec::new();
        let (tone, title, text, actions) = match self {
            Self::AskFirst { go } => (
                Tone::Welcome,
                say("微信登录", "Sign in with WeChat"),
                vec![say(
                    "此页面需要你的微信昵称和头像，点击下方按钮授权。",
                    "This page needs your WeChat nickname and avatar. Tap the button to allow it.",
                )],
                vec![Action::link(say("微信授权登录", "Sign in with WeChat"), go)],
            ),
            Self::NotInWeChat { url } => {
                details.push((say("页面地址", "Address"), url.clone()));
                (
                    Tone::Warning,
                    say("请在微信中打开", "Open this page in WeChat"),
                    vec![say(
                        "此页面通过微信登录。请复制下面的地址，发送到微信里再打开。",
                        "This page signs in with WeChat. Copy the address below, send it to a chat in \
                         WeChat, and open it there.",
                    )],
                    vec![],
                )
            }
            Self::Refused { retry } => (
                Tone::Info,
                say("你取消了登录", "You cancelled the sign-in"),
                vec![say(
                    "没有登录，也没有保存任何信息。",
                    "You are not signed in, and nothing was kept.",
                )],
                vec![again(retry), home()],
            ),
            Self::Snapshot { retry } => (
                Tone::Warning,
                say("现在是预览模式", "This is only a preview"),
                vec![say(
                    "微信正以快照方式显示此页面，无法登录。请点击屏幕下方的“使用完整服务”，再重新登录。",
                    "WeChat shows a snapshot of this page, in which nobody can sign in. Tap “使用完整服务” \
                     (use full service) at the bottom of the screen, then sign in again.",
                )],
                vec![again(retry)],
            ),
            Self::Meaningless => (
                Tone::Warning,
                say("这个登录链接无效", "This sign-in link means nothing here"),
                vec![
                    say(
                        "登录链接只在发起登录的浏览器里有效，而且只能用一次。",
                        "A sign-in link works once, in the browser that started the sign-in.",
                    ),
                    say(
                        "如果你刚刚在这个浏览器里登录，说明它没有带回 Cookie，请检查 Cookie 设置。",
                        "If you have just signed in with this browser, its cookie did not come back: \
                         check that cookies are allowed.",
                    ),
                ],
                vec![home()],
            ),
            Self::Malformed => (
                Tone::Error,
                say("登录请求有误", "The sign-in came back damaged"),
                vec![say("请从首页重新开始。", "Please start again from the home page.")],
                vec![home()],
            ),
            Self::Loop { last, retry } => {
                if let Progress::Failed(Some(code)) = last {
                    details.push(("errcode", code.to_string()));
                }
                (
                    Tone::Error,
                    say("登录没有成功", "The sign-in does not hold"),
                    vec![
                        say(
                            "登录在一分钟内重复了多次，已停止。",
                            "It was repeated within a minute and has been stopped.",
                        ),
                        loop_cause(*last, tongue),
                    ],
                    vec![again(retry), home()],
                )
            }
            Self::Failed { error, retry } => {
                details.push((say("调用", "Call"), error.call().as_str().to_owned()));
                match error.kind() {
                    Kind::Refused(code, rid) => {
                        details.push(("errcode", code.to_string()));
                        details.extend(rid.as_ref().map(|rid| ("rid", rid.to_string())));
                    }
                    _ => details.push((say("原因", "Cause"), error.to_string())),
                }
                let text = match blame(error) {
                    Fault::Platform | Fault::Stale => say(
                        "微信暂时没有响应，请稍后重试。",
                        "WeChat does not answer at the moment. Please try again in a while.",
                    ),
                    Fault::User => say(
                        "微信限制了这个帐号，无法登录。",
                        "WeChat restricts this account, so it cannot sign in.",
                    ),
                    Fault::Operator | Fault::Request => say(
                        "本站的微信登录配置有误，请把下面的信息发给站点管理员。",
                        "The site's WeChat login is not set up right. Please send the lines below to its \
                         operator.",
                    ),
                };
                (
                    Tone::Error,
                    say("登录失败", "Sign-in failed"),
                    vec![text],
                    vec![again(retry), home()],
                )
            }
            Self::StoreDown => (
                Tone::Error,
                say("服务暂时不可用", "Temporarily unavailable"),
                vec![say(
                    "登录信息暂时读取不到。你没有被退出，请稍后刷新。",
                    "Sign-ins cannot be looked up at the moment. You have not been signed out; reload in a \
                     while.",
                )],
                vec![],
            ),
            Self::Broken => (
                Tone::Error,
                say("出错了", "Something broke"),
                vec![say("请稍后重试。", "Please try again in a while.")],
                vec![home()],
            ),
            Self::AskLogout { here, everywhere } => (
                Tone::Info,
                say("退出登录？", "Sign out?"),
                vec![],
                vec![
                    Action::post(say("退出登录", "Sign out"), here.clone()),
                    Action::post(
                        say("在所有设备上退出", "Sign out everywhere"),
                        everywhere.clone(),
                    ),
                ],
            ),
            Self::SignedOut => (
                Tone::Info,
                say("已退出登录", "Signed out"),
                vec![say("你已安全退出。", "You are signed out.")],
                vec![home()],
            ),
            Self::ForeignLogout => (
                Tone::Warning,
                say("没有退出登录", "Not signed out"),
                vec![say(
                    "退出请求不是从本站页面发出的，请在本站操作。",
                    "The request did not come from a page of this site, so nothing was done.",
                )],
                vec![Action::link(say("退出登录", "Sign out"), super::LOGOUT)],
            ),
            Self::BadPath => (
                Tone::Warning,
                say("地址有误", "That address is not usable"),
                vec![say(
                    "地址里有无法明确解释的字符。",
                    "It has characters that servers read in different ways.",
                )],
                vec![home()],
            ),
            Self::NotFound => {
                (Tone::Warning, say("没有这个页面", "No such page"), vec![], vec![home()])
            }
            Self::MethodNotAllowed => (
                Tone::Warning,
                say("不支持这种请求", "That request is not possible here"),
                vec![],
                vec![home()],
            ),
        };
        PageView { lang: tongue.code(), tone, title, text, actions, details, site, nonce }
    }
}

fn loop_cause(last: Progress, tongue: Tongue) -> &'static str {
    match last {
        Progress::Sent => tongue.say(
            "浏览器没有从微信带着登录结果回来：Cookie 没有带回，或 state 不一致。",
            "The browser never came back from WeChat with its cookie, or with the state it was sent with.",
        ),
        Progress::Done => tongue.say(
            "登录已经成功，但会话 Cookie 没有带回：请检查 Cookie 设置、访问域名和服务器时钟。",
            "WeChat agreed, but the session cookie did not come back: check that cookies are allowed, the \
             host name, and the server's clock.",
        ),
        Progress::Failed(_) => tongue.say(
            "微信拒绝了登录凭证。",
            "WeChat refused the code.",
        ),
    }
}

/// Who has to do something about a failed sign-in.
fn blame(error: &Error) -> Fault {
    match error.kind() {
        Kind::Refused(code, _) => code.fault(),
        Kind::Unreachable | Kind::Interrupted | Kind::Answer(_) => Fault::Platform,
    }
}

/// Pages without any pretension: readable on a phone, in light and dark.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainPages;

impl Pages for PlainPages {
    fn render(&self, view: &PageView<'_>) -> String {
        let mut html = format!(
            "<!doctype html>\n<html lang=\"{}\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{}</title><style nonce=\"{}\">{STYLE}</style><main><h1>{}</h1>",
            view.lang,
            escape(view.title),
            escape(view.nonce),
            escape(view.title),
        );
        for paragraph in &view.text {
            html.push_str(&format!("<p>{}</p>", escape(paragraph)));
        }
        for (n, action) in view.actions.iter().enumerate() {
            let id = if n == 0 { " id=\"primary\"" } else { "" };
            let (href, label) = (escape(&action.href), escape(action.label));
            html.push_str(&if action.post {
                format!(
                    "<form method=\"post\" action=\"{href}\"><button{id}>{label}</button></form>"
                )
            } else {
                format!("<p><a{id} href=\"{href}\">{label}</a></p>")
            });
        }
        for (name, value) in &view.details {
            html.push_str(&format!("<p><small>{}: {}</small></p>", escape(name), escape(value)));
        }
        html.push_str(&format!("<footer>{}</footer></main></html>\n", escape(view.site)));
        html
    }
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:17px/1.6 system-ui,sans-serif;margin:0}\
    main{max-width:24em;margin:4em auto;padding:0 1.5em}a,button{font:inherit}\
    button{border:0;padding:.6em 2em;border-radius:.5em;background:#07c160;color:#fff}\
    small,footer{overflow-wrap:anywhere;color:gray}";

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w11_whatever_a_page_is_told_is_inert() {
        let evil = "<script>alert(1)</script>\"'&";
        let page = Page::NotInWeChat { url: evil.to_owned() };
        let mut view = page.view(Tongue::English, evil, "n");
        view.actions.push(Action::link("x", evil));
        let html = PlainPages.render(&view);
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), "{html}");
    }

    #[test]
    fn the_visitor_s_language_is_used() {
        let tongue = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
            Tongue::of(&headers)
        };
        assert_eq!(Tongue::of(&HeaderMap::new()), Tongue::Chinese);
        assert_eq!(tongue("en-US,en;q=0.9,zh;q=0.8"), Tongue::English);
        assert_eq!(tongue("zh-TW,zh;q=0.9,en;q=0.8"), Tongue::Chinese);
        assert_eq!(tongue("fr-FR, EN;q=0.5"), Tongue::English);
        assert_eq!(tongue("fr"), Tongue::Chinese);
        assert_eq!(tongue("é"), Tongue::Chinese);
    }
}
