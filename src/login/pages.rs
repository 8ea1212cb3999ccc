//! The pages that a sign-in can show, each with its status, its word for scripts, and what it says.

use std::{borrow::Cow, fmt::Debug, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use http::{HeaderMap, StatusCode, header};

use super::{
    attempt::Progress,
    words::{self, Words},
};
use crate::wechat::{Error, Fault, Kind};

/// Draws pages. Implement it to give them your own look; the words come from [`PageView`].
pub trait Pages: Debug + Send + Sync + 'static {
    /// The page as HTML. Everything in `view` is plain text and has to be escaped, but for the script of a [`Live`] page.
    fn render(&self, view: &PageView<'_>) -> String;
}

impl<P: Pages + ?Sized> Pages for Arc<P> {
    fn render(&self, view: &PageView<'_>) -> String {
        (**self).render(view)
    }
}

/// What a page says. Sent with a content security policy that allows inline styles with the nonce, images from
/// `data:` addresses, forms to our own site, and nothing else but what the page's picture and script need.
#[derive(Clone, Debug)]
pub struct PageView<'a> {
    /// Which page it is: the word that a script is told, such as `login_refused`.
    pub name: &'static str,
    /// `zh-CN` or `en`.
    pub lang: &'static str,
    /// The mood: which icon and colour.
    pub tone: Tone,
    /// The heading.
    pub title: &'a str,
    /// Paragraphs.
    pub text: Vec<&'a str>,
    /// A picture, such as a code to scan.
    pub picture: Option<Picture>,
    /// What the visitor has to know before deciding: a name and a value each.
    pub facts: Vec<(&'static str, String)>,
    /// Buttons of which one is to be picked: all alike, side by side, and before the others.
    pub choices: Vec<Action>,
    /// Buttons, the most important first, where there are no choices.
    pub actions: Vec<Action>,
    /// What the page does by itself while it is open.
    pub live: Option<Live>,
    /// Small print for the operator: a name and a value each.
    pub details: Vec<(&'static str, String)>,
    /// The host name of the site.
    pub site: &'a str,
    /// The nonce of the content security policy.
    pub nonce: &'a str,
}

impl PageView<'_> {
    /// Whether a person can send a form from it.
    pub(crate) fn has_form(&self) -> bool {
        self.actions.iter().chain(&self.choices).any(|action| action.post)
    }
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
    pub label: Cow<'static, str>,
    /// Where it leads.
    pub href: String,
    /// A form that posts, instead of a link.
    pub post: bool,
}

/// A picture: the image with the id `picture`, square, and on white.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its address: one of our own site, or with `data:`.
    pub src: String,
    /// What it shows, in words.
    pub alt: &'static str,
}

impl Picture {
    /// A drawing that is in the page itself.
    pub fn svg(svg: &str, alt: &'static str) -> Self {
        Self { src: format!("data:image/svg+xml;base64,{}", BASE64.encode(svg)), alt }
    }
}

/// What a page does by itself while it is open. Its script finds elements by their ids, and does without those that it
/// does not find.
#[derive(Clone, Debug)]
pub struct Live {
    /// How it stands, in words: the text of the element with the id `status`, which the script keeps up to date.
    pub status: &'static str,
    /// A number to compare: the text of the element with the id `number`, which has the attribute `hidden` as long as
    /// there is none.
    pub number: Option<String>,
    /// What the script has to know: the attribute `data-live` of the element with the id `status`.
    pub data: String,
    /// The script. It comes after those elements, with the nonce, and as it is.
    pub script: &'static str,
    /// A link with the id `again` and the attribute `hidden`, which the script removes when it does not go on by itself.
    pub again: Action,
    /// What a browser is offered that runs no scripts. It also looks there by itself, every few seconds.
    pub without_scripts: Action,
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
    pub(crate) fn say(self, chinese: &'static str, english: &'static str) -> &'static str {
        match self {
            Self::Chinese => chinese,
            Self::English => english,
        }
    }
}

/// A page that a [door](super::Door) brings along.
pub(crate) trait DoorPage: Debug + Send + Sync + 'static {
    fn status(&self) -> StatusCode;

    /// The same for a script: one word of a fixed set.
    fn code(&self) -> &'static str;

    /// What the page says.
    fn view<'a>(&self, tongue: Tongue, site: &'a str, nonce: &'a str) -> PageView<'a>;
}

/// A page that a sign-in can show.
#[derive(Debug)]
pub(crate) enum Page {
    AskFirst {
        go: String,
    },
    NotInWeChat {
        url: String,
    },
    Refused {
        retry: String,
    },
    Snapshot {
        retry: String,
    },
    Meaningless,
    Malformed,
    Loop {
        last: Progress,
        retry: String,
    },
    Failed {
        error: Error,
        retry: String,
    },
    WechatDown {
        retry: String,
    },
    StoreDown,
    Broken,
    AskLogout {
        here: String,
        everywhere: String,
    },
    SignedOut,
    NobodyToEnd,
    ForeignLogout {
        logout: String,
    },
    NotAdmitted {
        logout: String,
    },
    NotAMember {
        retry: String,
    },
    Follow {
        /// The picture of the account's code, where there is one.
        code: Option<String>,
        retry: String,
    },
    NotForProxies,
    // The gateway alone shows these two.
    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    UnknownClient,
    #[cfg_attr(not(feature = "gateway"), allow(dead_code))]
    TooMany,
    BadPath,
    NotFound,
    MethodNotAllowed,
}

impl Page {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::AskFirst { .. } | Self::AskLogout { .. } | Self::SignedOut => StatusCode::OK,
            Self::NobodyToEnd => StatusCode::CONFLICT,
            Self::NotInWeChat { .. }
            | Self::Refused { .. }
            | Self::Snapshot { .. }
            | Self::Loop { .. }
            | Self::ForeignLogout { .. }
            | Self::NotAdmitted { .. }
            | Self::NotAMember { .. }
            | Self::Follow { .. }
            | Self::NotForProxies => StatusCode::FORBIDDEN,
            Self::Meaningless | Self::Malformed | Self::BadPath | Self::UnknownClient => {
                StatusCode::BAD_REQUEST
            }
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Failed { error, .. } => match blame(error) {
                Fault::Platform | Fault::Stale => StatusCode::SERVICE_UNAVAILABLE,
                Fault::User => StatusCode::FORBIDDEN,
                Fault::Operator | Fault::Request => StatusCode::BAD_GATEWAY,
            },
            Self::WechatDown { .. } | Self::StoreDown => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::WechatDown { .. } => "wechat_unavailable",
            Self::StoreDown => "store_unavailable",
            Self::Broken => "internal_error",
            Self::AskLogout { .. } | Self::SignedOut => "signed_out",
            Self::NobodyToEnd => "nobody_signed_in",
            Self::ForeignLogout { .. } => "cross_site_request",
            Self::NotAdmitted { .. } => "not_admitted",
            Self::NotAMember { .. } => "not_a_member",
            Self::Follow { .. } => "not_a_follower",
            Self::NotForProxies => "not_for_proxies",
            Self::UnknownClient => "unknown_client",
            Self::TooMany => "too_many_requests",
            Self::BadPath => "bad_path",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }

    /// What the page says.
    pub(crate) fn view<'a>(&self, tongue: Tongue, site: &'a str, nonce: &'a str) -> PageView<'a> {
        let Words { tone, title, text } = self.words();
        PageView {
            name: self.code(),
            lang: tongue.code(),
            tone,
            title: tongue.say(title.0, title.1),
            text: text.iter().map(|(chinese, english)| tongue.say(chinese, english)).collect(),
            picture: self.picture(tongue),
            facts: Vec::new(),
            choices: Vec::new(),
            actions: self.actions(tongue),
            live: None,
            details: self.details(tongue),
            site,
            nonce,
        }
    }

    fn words(&self) -> Words {
        match self {
            Self::AskFirst { .. } => words::ASK_FIRST,
            Self::NotInWeChat { .. } => words::NOT_IN_WECHAT,
            Self::Refused { .. } => words::REFUSED,
            Self::Snapshot { .. } => words::SNAPSHOT,
            Self::Meaningless => words::MEANINGLESS,
            Self::Malformed => words::MALFORMED,
            Self::Loop { last: Progress::Sent, .. } => words::LOOP_NEVER_BACK,
            Self::Loop { last: Progress::Done, .. } => words::LOOP_NO_SESSION,
            Self::Loop { last: Progress::Failed(_), .. } => words::LOOP_REFUSED,
            Self::Failed { error, .. } => match blame(error) {
                Fault::Platform | Fault::Stale => words::FAILED_AT_WECHAT,
                Fault::User => words::FAILED_FOR_USER,
                Fault::Operator | Fault::Request => words::FAILED_HERE,
            },
            Self::WechatDown { .. } => words::FAILED_AT_WECHAT,
            Self::StoreDown => words::STORE_DOWN,
            Self::Broken => words::BROKEN,
            Self::AskLogout { .. } => words::ASK_LOGOUT,
            Self::SignedOut => words::SIGNED_OUT,
            Self::NobodyToEnd => words::NOBODY_TO_END,
            Self::ForeignLogout { .. } => words::FOREIGN_LOGOUT,
            Self::NotAdmitted { .. } => words::NOT_ADMITTED,
            Self::NotAMember { .. } => words::NOT_A_MEMBER,
            Self::Follow { code: Some(_), .. } => words::FOLLOW_BY_CODE,
            Self::Follow { code: None, .. } => words::FOLLOW,
            Self::NotForProxies => words::NOT_FOR_PROXIES,
            Self::UnknownClient => words::UNKNOWN_CLIENT,
            Self::TooMany => words::TOO_MANY,
            Self::BadPath => words::BAD_PATH,
            Self::NotFound => words::NOT_FOUND,
            Self::MethodNotAllowed => words::METHOD_NOT_ALLOWED,
        }
    }

    fn actions(&self, tongue: Tongue) -> Vec<Action> {
        let link = |(chinese, english), href: &str| Action {
            label: tongue.say(chinese, english).into(),
            href: href.to_owned(),
            post: false,
        };
        let form = |label, href| Action { post: true, ..link(label, href) };
        let home = || link(words::HOME, "/");
        match self {
            Self::AskFirst { go } => vec![link(words::ALLOW, go)],
            Self::NotInWeChat { .. } | Self::StoreDown | Self::TooMany => vec![],
            Self::Snapshot { retry } | Self::NotAMember { retry } => {
                vec![link(words::AGAIN, retry)]
            }
            Self::Follow { retry, .. } => vec![link(words::FOLLOWED, retry)],
            Self::Refused { retry }
            | Self::Loop { retry, .. }
            | Self::Failed { retry, .. }
            | Self::WechatDown { retry, .. } => {
                vec![link(words::AGAIN, retry), home()]
            }
            Self::AskLogout { here, everywhere } => {
                vec![form(words::SIGN_OUT, here), form(words::SIGN_OUT_EVERYWHERE, everywhere)]
            }
            Self::ForeignLogout { logout } | Self::NotAdmitted { logout } => {
                vec![link(words::SIGN_OUT, logout)]
            }
            Self::Meaningless
            | Self::Malformed
            | Self::Broken
            | Self::SignedOut
            | Self::NobodyToEnd
            | Self::NotForProxies
            | Self::UnknownClient
            | Self::BadPath
            | Self::NotFound
            | Self::MethodNotAllowed => vec![home()],
        }
    }

    fn picture(&self, tongue: Tongue) -> Option<Picture> {
        let Self::Follow { code: Some(src), .. } = self else { return None };
        Some(Picture {
            src: src.clone(), alt: tongue.say("公众号二维码", "The account's code")
        })
    }

    fn details(&self, tongue: Tongue) -> Vec<(&'static str, String)> {
        match self {
            Self::NotInWeChat { url } => vec![(tongue.say("页面地址", "Address"), url.clone())],
            Self::Loop { last: Progress::Failed(Some(code)), .. } => {
                vec![("errcode", code.to_string())]
            }
            Self::Failed { error, .. } => {
                let mut details = vec![(tongue.say("调用", "Call"), error.call().to_string())];
                match error.kind() {
                    Kind::Refused(code, rid) => {
                        details.push(("errcode", code.to_string()));
                        details.extend(rid.as_ref().map(|rid| ("rid", rid.to_string())));
                    }
                    _ => details.push((tongue.say("原因", "Cause"), error.to_string())),
                }
                details
            }
            _ => vec![],
        }
    }
}

/// Who has to do something about a failed sign-in.
fn blame(error: &Error) -> Fault {
    match error.kind() {
        Kind::Refused(code, _) => code.fault(),
        Kind::Unreachable | Kind::Interrupted | Kind::Answer(_) => Fault::Platform,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
