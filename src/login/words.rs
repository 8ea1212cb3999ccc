//! The words of the pages, in Chinese and English.

use super::pages::Tone;

/// A text in Chinese and in English.
pub(super) type Text = (&'static str, &'static str);

/// What one page says.
pub(super) struct Words {
    pub(super) tone: Tone,
    pub(super) title: Text,
    pub(super) text: &'static [Text],
}

const fn words(tone: Tone, title: Text, text: &'static [Text]) -> Words {
    Words { tone, title, text }
}

pub(super) const HOME: Text = ("返回首页", "Back to the home page");
pub(super) const AGAIN: Text = ("重新登录", "Try again");
pub(super) const ALLOW: Text = ("微信授权登录", "Sign in with WeChat");
pub(super) const SIGN_OUT: Text = ("退出登录", "Sign out");
pub(super) const SIGN_OUT_EVERYWHERE: Text = ("在所有设备上退出", "Sign out everywhere");

pub(super) const ASK_FIRST: Words = words(
    Tone::Welcome,
    ("微信登录", "Sign in with WeChat"),
    &[(
        "此页面需要你的微信昵称和头像，点击下方按钮授权。",
        "This page needs your WeChat nickname and avatar. Tap the button to allow it.",
    )],
);

pub(super) const NOT_IN_WECHAT: Words = words(
    Tone::Warning,
    ("请在微信中打开", "Open this page in WeChat"),
    &[(
        "此页面通过微信登录。请复制下面的地址，发送到微信里再打开。",
        "This page signs in with WeChat. Copy the address below, send it to a chat in WeChat, and open it there.",
    )],
);

pub(super) const REFUSED: Words = words(
    Tone::Info,
    ("你取消了登录", "You cancelled the sign-in"),
    &[("没有登录，也没有保存任何信息。", "You are not signed in, and nothing was kept.")],
);

pub(super) const SNAPSHOT: Words = words(
    Tone::Warning,
    ("现在是预览模式", "This is only a preview"),
    &[(
        "微信正以快照方式显示此页面，无法登录。请点击屏幕下方的“使用完整服务”，再重新登录。",
        "WeChat shows a snapshot of this page, in which nobody can sign in. Tap “使用完整服务” (use full service) at the bottom of the screen, then sign in again.",
    )],
);

pub(super) const MEANINGLESS: Words = words(
    Tone::Warning,
    ("这个登录链接无效", "This sign-in link means nothing here"),
    &[
        (
            "登录链接只在发起登录的浏览器里有效，而且只能用一次。",
            "A sign-in link works once, in the browser that started the sign-in.",
        ),
        (
            "如果你刚刚在这个浏览器里登录，可能是登录过程超过了十分钟，也可能是浏览器没有带回 Cookie：请重新登录，或检查 Cookie 设置。",
            "If you have just signed in with this browser, it took longer than ten minutes, or its cookie did not come back: try again, or check that cookies are allowed.",
        ),
    ],
);

pub(super) const MALFORMED: Words = words(
    Tone::Error,
    ("登录请求有误", "The sign-in came back damaged"),
    &[("请从首页重新开始。", "Please start again from the home page.")],
);

const LOOP: Text = ("登录没有成功", "The sign-in does not hold");
const LOOP_STOPPED: Text =
    ("登录在一分钟内重复了多次，已停止。", "It was repeated within a minute and has been stopped.");

pub(super) const LOOP_NEVER_BACK: Words = words(
    Tone::Error,
    LOOP,
    &[
        LOOP_STOPPED,
        (
            "浏览器没有从微信带着登录结果回来：Cookie 没有带回，或 state 不一致。",
            "The browser never came back from WeChat with its cookie, or with the state it was sent with.",
        ),
    ],
);

pub(super) const LOOP_NO_SESSION: Words = words(
    Tone::Error,
    LOOP,
    &[
        LOOP_STOPPED,
        (
            "登录已经成功，但会话 Cookie 没有带回：请检查 Cookie 设置、访问域名和服务器时钟。",
            "WeChat agreed, but the session cookie did not come back: check that cookies are allowed, the host name, and the server's clock.",
        ),
    ],
);

pub(super) const LOOP_REFUSED: Words =
    words(Tone::Error, LOOP, &[LOOP_STOPPED, ("微信拒绝了登录凭证。", "WeChat refused the code.")]);

const FAILED: Text = ("登录失败", "Sign-in failed");

pub(super) const FAILED_AT_WECHAT: Words = words(
    Tone::Error,
    FAILED,
    &[(
        "微信暂时没有响应，请稍后重试。",
        "WeChat does not answer at the moment. Please try again in a while.",
    )],
);

pub(super) const FAILED_FOR_USER: Words = words(
    Tone::Error,
    FAILED,
    &[("微信限制了这个帐号，无法登录。", "WeChat restricts this account, so it cannot sign in.")],
);

pub(super) const FAILED_HERE: Words = words(
    Tone::Error,
    FAILED,
    &[(
        "本站的微信登录配置有误，请把下面的信息发给站点管理员。",
        "The site's WeChat login is not set up right. Please send the lines below to its operator.",
    )],
);

pub(super) const STORE_DOWN: Words = words(
    Tone::Error,
    ("服务暂时不可用", "Temporarily unavailable"),
    &[(
        "登录信息暂时读取不到。你没有被退出，请稍后刷新。",
        "Sign-ins cannot be looked up at the moment. You have not been signed out; reload in a while.",
    )],
);

pub(super) const BROKEN: Words = words(
    Tone::Error,
    ("出错了", "Something broke"),
    &[("请稍后重试。", "Please try again in a while.")],
);

pub(super) const ASK_LOGOUT: Words = words(Tone::Info, ("退出登录？", "Sign out?"), &[]);

pub(super) const SIGNED_OUT: Words =
    words(Tone::Info, ("已退出登录", "Signed out"), &[("你已安全退出。", "You are signed out.")]);

pub(super) const NOBODY_TO_END: Words = words(
    Tone::Warning,
    ("其他设备没有退出", "Other devices are still signed in"),
    &[(
        "这个浏览器的登录已经结束，无法确认你是谁。请重新登录后再试。",
        "This browser was signed out already, so nobody knows whose sessions to end. Sign in and try again.",
    )],
);

pub(super) const FOREIGN_LOGOUT: Words = words(
    Tone::Warning,
    ("没有退出登录", "Not signed out"),
    &[(
        "退出请求不是从本站页面发出的，请在本站操作。",
        "The request did not come from a page of this site, so nothing was done.",
    )],
);

pub(super) const NOT_ADMITTED: Words = words(
    Tone::Warning,
    ("没有访问权限", "You may not come in here"),
    &[(
        "你已登录，但这个微信帐号不在允许访问的名单里。请联系站点管理员，或换一个帐号登录。",
        "You are signed in, but this WeChat account is not on the list of those who may. Ask the operator, or sign in with another account.",
    )],
);

pub(super) const NOT_A_MEMBER: Words = words(
    Tone::Error,
    ("你不是企业成员", "You are not a member of this company"),
    &[(
        "此页面只对企业微信里的企业成员开放。如果你是成员，请用成员账号打开。",
        "This page is for members of the company at WeCom. If you are one, open it with your member account.",
    )],
);

pub(super) const FOLLOWED: Text = ("我已关注", "I follow it now");

const FOLLOW_FIRST: Text = ("请先关注公众号", "Follow the account first");
const FOLLOWERS_ONLY: Text = (
    "此页面只对关注者开放。关注后回到这里，即可继续。",
    "This page is for people who follow the account. Come back here once you do.",
);

pub(super) const FOLLOW: Words = words(
    Tone::Welcome,
    FOLLOW_FIRST,
    &[
        FOLLOWERS_ONLY,
        (
            "在微信顶部搜索公众号名称，点击“关注”。",
            "Search for the account's name at the top of WeChat, and tap “关注” (follow).",
        ),
    ],
);

pub(super) const FOLLOW_BY_CODE: Words = words(
    Tone::Welcome,
    FOLLOW_FIRST,
    &[
        FOLLOWERS_ONLY,
        (
            "长按下面的二维码，选择“前往图中包含的公众号”，点击“关注”。",
            "Press the code below for long, choose “前往图中包含的公众号” (go to the account in the picture), and tap “关注” (follow).",
        ),
    ],
);

pub(super) const NOT_FOR_PROXIES: Words = words(
    Tone::Error,
    ("代理配置有误", "The proxy is not set up right"),
    &[(
        "这个地址要直接转发给 wxgate，不能用来询问。",
        "This address has to be passed on to wxgate itself; nobody can be vouched for here.",
    )],
);

pub(super) const UNKNOWN_CLIENT: Words = words(
    Tone::Error,
    ("登录请求有误", "That sign-in is not known here"),
    &[(
        "应用的 appid、redirect_uri 或 scope 没有登记。请把这个地址发给站点管理员。",
        "The app's appid, redirect_uri or scope is not registered. Please send this address to the operator.",
    )],
);

pub(super) const TOO_MANY: Words = words(
    Tone::Warning,
    ("请求太频繁", "Too many sign-ins"),
    &[(
        "这个网络的登录请求太多，请一分钟后再试。",
        "Too many sign-ins come from this network. Please try again in a minute.",
    )],
);

pub(super) const BAD_PATH: Words = words(
    Tone::Warning,
    ("地址有误", "That address is not usable"),
    &[("地址里有无法明确解释的字符。", "It has characters that servers read in different ways.")],
);

pub(super) const NOT_FOUND: Words = words(Tone::Warning, ("没有这个页面", "No such page"), &[]);

pub(super) const METHOD_NOT_ALLOWED: Words =
    words(Tone::Warning, ("不支持这种请求", "That request is not possible here"), &[]);
