//! The pages behind the doors: who has come in, and how.

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};

use super::{Place, SiteFacts, pages::stranger, visit::Visit, visitor::Visitor};

/// A text in Chinese and in English.
type Text = (&'static str, &'static str);

/// What one of these pages says.
struct Words {
    title: Text,
    heading: Text,
    text: Text,
    note: Text,
    note_text: Text,
    /// The way out, and in again.
    again: &'static str,
    again_label: Text,
    out: &'static str,
}

const AGAIN: Text = ("退出，再来一次", "Sign out, and come again");

const DESKTOP: Words = Words {
    title: ("扫码登录", "Sign in by scanning"),
    heading: ("电脑上也登录了", "Signed in on the desktop"),
    text: (
        "如果刚才扫了码：手机一确认，电脑上的页面就自己继续了，只用了公众号，没有别的账号。",
        "If you have scanned a code: once the phone had confirmed, the desktop went on by itself, with nothing but the official account.",
    ),
    note: ("没有看到二维码？", "No code to be seen?"),
    note_text: (
        "那是因为你已经登录了。退出后再打开，就会看到。",
        "You were signed in already. Sign out and come again to see it.",
    ),
    again: "/_wx/logout?to=/scan",
    again_label: AGAIN,
    out: "/_wx/logout?to=/",
};

const WEBSITE: Words = Words {
    title: ("网站应用", "Website application"),
    heading: ("用网站应用登录了", "Signed in with the website application"),
    text: (
        "浏览器去了微信的二维码页面，扫码之后带着昵称和头像回来。",
        "The browser went to WeChat's own page with a QR code, and came back with name and picture.",
    ),
    note: ("同一个人，同一个 subject", "One person, one subject"),
    note_text: (
        "网站应用里的 openid 和公众号里的不同，但 unionid 相同，所以 subject 相同。",
        "The openid differs from the official account's, the unionid does not: so the subject is the same.",
    ),
    again: "/_wx/logout?to=/website",
    again_label: AGAIN,
    out: "/_wx/logout?to=/",
};

/// For somebody who was signed in when they came to `/website`.
const WEBSITE_UNUSED: Words = Words {
    heading: ("你已经登录了", "You were signed in already"),
    text: (
        "哪个账号登录的都行，所以没有再问一次。退出后再来，就会看到网站应用的二维码。",
        "Any sign-in of this site will do, so you were not asked again. Sign out and come again to see the code of the website application.",
    ),
    ..WEBSITE
};

const MEMBERS: Words = Words {
    title: ("关注者专区", "For followers"),
    heading: ("欢迎，你已关注公众号", "Welcome, you follow the account"),
    text: (
        "网关用公众号自己的 access_token 问了微信，知道你是关注者。站点没有问任何人。",
        "The gateway asked WeChat, with the account's own access token, whether you follow. This site asked nobody.",
    ),
    note: ("取消关注之后", "If you stop following"),
    note_text: (
        "网关会记住十分钟，除非微信推送取消关注的消息。",
        "The gateway remembers for ten minutes, unless WeChat tells it earlier with a message.",
    ),
    again: "/phone/follow",
    again_label: ("取消关注", "Stop following"),
    out: "/_wx/logout?to=/followers",
};

const STAFF: Words = Words {
    title: ("企业微信", "WeCom"),
    heading: ("企业成员，请进", "Come in, member of the company"),
    text: (
        "这个路径用的是企业微信，和公众号的登录互不影响：各有各的会话。",
        "This path uses the WeCom account. It is a sign-in of its own, beside the official account's.",
    ),
    note: ("成员是另一种身份", "A member is somebody else"),
    note_text: (
        "企业成员没有 unionid，所以 subject 是企业 ID 加成员 ID。只有爱丽丝是成员，换别人试试。",
        "A member has no unionid, so the subject is the corpid with the member's id. Only Alice is a member: try somebody else.",
    ),
    again: "/_wx/logout?account=corp&to=/staff",
    again_label: AGAIN,
    out: "/_wx/logout?account=corp&to=/",
};

#[derive(Template)]
#[template(path = "demo/arrived.html")]
struct Arrived<'a> {
    visit: &'a Visit,
    user: &'a Visitor,
    words: &'a Words,
}

impl Arrived<'_> {
    fn say(&self, &(chinese, english): &Text) -> &'static str {
        if self.visit.lang.is_chinese() { chinese } else { english }
    }
}

pub(super) async fn desktop(State(site): Place, visit: Visit) -> Response {
    arrived(&site.facts, &visit, |_| &DESKTOP)
}

pub(super) async fn website(State(site): Place, visit: Visit) -> Response {
    arrived(&site.facts, &visit, |user| {
        if user.appid == site.facts.accounts.website { &WEBSITE } else { &WEBSITE_UNUSED }
    })
}

pub(super) async fn members(State(site): Place, visit: Visit) -> Response {
    arrived(&site.facts, &visit, |_| &MEMBERS)
}

pub(super) async fn staff(State(site): Place, visit: Visit) -> Response {
    arrived(&site.facts, &visit, |_| &STAFF)
}

fn arrived(
    facts: &SiteFacts,
    visit: &Visit,
    words: impl FnOnce(&Visitor) -> &'static Words,
) -> Response {
    let Some(user) = &visit.user else { return stranger(facts, visit) };
    visit.answer(facts, StatusCode::OK, &Arrived { visit, user, words: words(user) })
}
