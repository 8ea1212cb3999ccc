//! The pages on which a sign-in ends before it has begun: what they say, and what a developer should look at.

/// A page that ends the sign-in inside WeChat: the site never hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageError {
    RedirectHost,
    Banned,
    ScopeNotOwned,
    MustFollow,
    TooOften,
    NoScope,
    NoRedirectUri,
    NoAppid,
    NoState,
    NoComponent,
    WebsiteAppid,
    Order,
    UnknownAppid,
    BadRedirectUri,
    BadResponseType,
    UnknownScope,
    StateTooLong,
    OutsideWechat,
    WecomRedirectHost,
    Agent,
    LoginType,
    NotAMember,
    QrExpired,
}

impl PageError {
    /// What WeChat writes on the page.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::RedirectHost => "redirect_uri域名与后台配置不一致，错误码:10003",
            Self::Banned => "此公众号被封禁，错误码:10004",
            Self::ScopeNotOwned => "此公众号并没有这些scope的权限，错误码:10005",
            Self::MustFollow => "必须关注此测试号，错误码:10006",
            Self::TooOften => "操作太频繁了,请稍后重试，错误码:10009",
            Self::NoScope => "scope不能为空，错误码:10010",
            Self::NoRedirectUri => "redirect_uri不能为空，错误码:10011",
            Self::NoAppid => "appid不能为空，错误码:10012",
            Self::NoState => "state不能为空，错误码:10013",
            Self::NoComponent => "公众号未授权第三方平台,请检查授权状态，错误码:10015",
            Self::WebsiteAppid => "不支持微信开放平台的Appid,请使用公众号Appid，错误码:10016",
            Self::Order => "该链接无法访问",
            Self::UnknownAppid => "appid 参数错误",
            Self::BadRedirectUri => "redirect_uri 参数错误",
            Self::BadResponseType => "response_type 参数错误",
            Self::UnknownScope => "Scope 参数错误或没有 Scope 权限",
            Self::StateTooLong => "state参数过长",
            Self::OutsideWechat => "请在微信客户端打开链接",
            Self::WecomRedirectHost => "redirect_uri域名与后台配置不一致，错误码:50001",
            Self::Agent => "agentid 参数错误",
            Self::LoginType => "login_type 参数错误",
            Self::NotAMember => "你不是该企业的成员",
            Self::QrExpired => "二维码已过期，请刷新后重新扫描",
        }
    }

    /// What the developer in front of the simulator should look at.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::RedirectHost => {
                "The host of redirect_uri is not one of the account's callback_hosts."
            }
            Self::Banned => "The world file says banned = true.",
            Self::ScopeNotOwned => "The account's scopes do not include what was asked for.",
            Self::MustFollow => "A sandbox account signs in its followers only.",
            Self::TooOften => {
                "More visits in a minute than authorizes_per_minute; often a redirect loop."
            }
            Self::NoScope => "The parameter scope is missing or empty.",
            Self::NoRedirectUri => "The parameter redirect_uri is missing or empty.",
            Self::NoAppid => "The parameter appid is missing or empty.",
            Self::NoState => "The parameter state is missing or empty.",
            Self::NoComponent => {
                "component_appid was given; no third-party platform manages this account."
            }
            Self::WebsiteAppid => {
                "This appid belongs to a website application, not to an official account."
            }
            Self::Order => {
                "The order must be appid, redirect_uri, response_type, scope, state, and only then anything else."
            }
            Self::UnknownAppid => "No account of this world has this appid.",
            Self::BadRedirectUri => {
                "redirect_uri must be an http or https URL, percent-encoded exactly once; for a QR code its host must be one of the account's callback_hosts."
            }
            Self::BadResponseType => "response_type must be the word code.",
            Self::UnknownScope => {
                "There is no such scope, or an account of this kind cannot have it: qrconnect wants snsapi_login and a website's appid."
            }
            Self::StateTooLong => "state must not be longer than 128 bytes.",
            Self::WecomRedirectHost => {
                "The host of redirect_uri is not one of the corp's callback_hosts; one that has a port is good for that port only."
            }
            Self::Agent => "agentid must be the one in the world file, 1000002 by default.",
            Self::LoginType => "login_type must be CorpApp.",
            Self::NotAMember => "The person has no userid in the world file.",
            Self::QrExpired => "A QR code lives 5 minutes. The page that shows it makes another.",
            Self::OutsideWechat => "The user agent is not WeChat's, and require_wechat_ua is on.",
        }
    }
}
