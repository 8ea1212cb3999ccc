//! The words of the pages, in Chinese and English.

use crate::login::pages::Tone;

/// A text in Chinese and in English.
pub(super) type Text = (&'static str, &'static str);

/// What one page says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub(super) tone: Tone,
    pub(super) title: Text,
    pub(super) text: &'static [Text],
}

const fn words(tone: Tone, title: Text, text: &'static [Text]) -> Words {
    Words { tone, title, text }
}

pub(super) const SCAN: Words = words(
    Tone::Welcome,
    ("微信扫码登录", "Scan to sign in with WeChat"),
    &[(
        "打开手机微信，用“扫一扫”扫描二维码。",
        "Open WeChat on your phone, tap Scan, and point it at this code.",
    )],
);
pub(super) const PICTURE: &str = "微信登录二维码 · WeChat sign-in code";
pub(super) const NEW_CODE: Text = ("换一个二维码", "Show a new code");
pub(super) const HAVE_CONFIRMED: Text = ("我已在手机上确认", "I have confirmed on my phone");

/// How it stands, in the words of scripts and of people.
pub(super) const WAITING: Text = ("等待扫码…", "Waiting for your phone…");
pub(super) const SCANNED: Text =
    ("已扫码。请在手机上点选这个数字。", "Scanned. Now tap this number on your phone.");
pub(super) const CONFIRMED: Text = ("已确认，正在登录…", "Confirmed. Signing you in…");
pub(super) const EXPIRED_HERE: Text = ("二维码已过期。", "This code has expired.");
pub(super) const OFFLINE: Text =
    ("暂时连接不上，会自动重试…", "There is no connection at the moment. Trying again…");
pub(super) const CANCELLED_HERE: Text = (
    "手机上取消了登录，没有人登录。",
    "The sign-in was cancelled on the phone. Nobody is signed in.",
);
pub(super) const WRONG_HERE: Text = (
    "手机上点选的数字不对，没有人登录。如果扫码的不是你，可能有人想用别人的帐号登录。",
    "A wrong number was tapped on the phone, so nobody is signed in. If you have not scanned it, somebody may be trying to sign in with another person's account.",
);

const NOT_SIGNED_IN: Text = ("没有登录", "Not signed in");
pub(super) const CANCELLED_DESK: Words = words(Tone::Warning, NOT_SIGNED_IN, &[CANCELLED_HERE]);
pub(super) const WRONG_DESK: Words = words(Tone::Warning, NOT_SIGNED_IN, &[WRONG_HERE]);
pub(super) const OVER: Words = words(
    Tone::Warning,
    NOT_SIGNED_IN,
    &[(
        "这次扫码已经结束，或者手机上已经退出登录。请重新扫码。",
        "This code is over, or the phone has signed out in the meantime. Please scan again.",
    )],
);

pub(super) const CONFIRM: Words = words(
    Tone::Welcome,
    ("在电脑上登录？", "Sign in on the computer?"),
    &[(
        "如果是你刚刚在电脑上打开了这个网站，请点选电脑上显示的数字。",
        "If you have just opened this site on the computer yourself, tap the number that it shows.",
    )],
);
pub(super) const NOT_ME: Text = ("不是我，取消", "It was not me, cancel");
pub(super) const SITE: Text = ("网站", "Site");
pub(super) const BROWSER: Text = ("浏览器", "Browser");
pub(super) const NETWORK: Text = ("网络", "Network");
pub(super) const UNKNOWN_BROWSER: Text = ("未知的浏览器", "an unknown browser");
pub(super) const SAME_NETWORK: Text = ("与这部手机相同", "the same as this phone's");
pub(super) const OTHER_NETWORK: Text = ("另一个网络：", "another network: ");

pub(super) const CONFIRMED_PHONE: Words = words(
    Tone::Info,
    ("已确认", "Confirmed"),
    &[(
        "电脑上会自动登录，这个页面可以关闭了。",
        "The computer signs in by itself. You can close this page.",
    )],
);

const SENT_BY_OTHERS: Text = (
    "如果二维码是别人发给你的，可能有人想用你的帐号登录，请不要再扫。",
    "If somebody has sent you the code, they may be trying to sign in with your account: do not scan it again.",
);
const SCAN_ANOTHER: Text = (
    "要登录，请在电脑上换一个新的二维码再扫。",
    "To sign in, show a new code on the computer, and scan that.",
);
pub(super) const WRONG_PHONE: Words = words(
    Tone::Warning,
    ("数字不对，没有登录", "Wrong number: not signed in"),
    &[SENT_BY_OTHERS, SCAN_ANOTHER],
);
pub(super) const CANCELLED_PHONE: Words =
    words(Tone::Info, ("已取消，没有登录", "Cancelled: not signed in"), &[SENT_BY_OTHERS]);
pub(super) const TAKEN: Words = words(
    Tone::Warning,
    ("这个二维码已被别人扫过", "Somebody else has scanned this code"),
    &[SCAN_ANOTHER],
);
pub(super) const EXPIRED: Words =
    words(Tone::Warning, ("二维码已过期", "This code has expired"), &[SCAN_ANOTHER]);
pub(super) const UNKNOWN: Words =
    words(Tone::Warning, ("这个二维码无效", "This code means nothing here"), &[SCAN_ANOTHER]);
pub(super) const IN_WECHAT: Words = words(
    Tone::Warning,
    ("请用微信扫码", "Scan this with WeChat"),
    &[(
        "这个地址只能在手机微信里打开：请用微信“扫一扫”扫描电脑上的二维码。",
        "This address is for WeChat on a phone: scan the code on the computer with it.",
    )],
);
pub(super) const CROSS_SITE: Words = words(
    Tone::Warning,
    ("没有确认", "Not confirmed"),
    &[(
        "确认请求不是从本站页面发出的，没有登录。",
        "The request did not come from a page of this site, so nobody was signed in.",
    )],
);
pub(super) const BACK: Text = ("返回", "Back");
