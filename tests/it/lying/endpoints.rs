//! Every endpoint of WeChat and WeCom that is called: what it answers, and how it is called.

use serde_json::{Value, json};
use wxgate::{
    Account, AppSecret, Code,
    secret::{RefreshToken, ServerToken, UserTicket, UserToken},
    wechat::{Client, Error, Lang, OpenId, ServerTokenKind, WecomUser},
};

use crate::world::APPID;

pub const CORP: &str = "ww3333333333333333";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Exchange,
    Refresh,
    Userinfo,
    Auth,
    Code2Session,
    StableToken,
    Token,
    UserInfo,
    Ticket,
    CorpToken,
    CorpTicket,
    CorpUser,
    CorpDetail,
}

use Endpoint::{
    Auth, Code2Session, CorpDetail, CorpTicket, CorpToken, CorpUser, Exchange, Refresh,
    StableToken, Ticket, Token, UserInfo, Userinfo,
};

/// What a field is, and so what becomes of a lie in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An id that has to be there.
    Id,
    /// An id that was asked for.
    SameId,
    /// Any text that is not empty.
    Text,
    /// An id that may be missing, and is never passed over.
    MaybeId,
    /// How long what only one user has is good for.
    Life,
    /// How long what all share is good for.
    SharedLife,
    /// A number that has to be there.
    Number,
    /// Says whether it went well.
    Errcode,
    /// Says so, and there is nothing else that does.
    OnlyErrcode,
    /// What is passed over where it makes no sense.
    Loose,
}

impl Endpoint {
    pub const ALL: [Self; 13] = [
        Exchange,
        Refresh,
        Userinfo,
        Auth,
        Code2Session,
        StableToken,
        Token,
        UserInfo,
        Ticket,
        CorpToken,
        CorpTicket,
        CorpUser,
        CorpDetail,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Exchange => "/sns/oauth2/access_token",
            Refresh => "/sns/oauth2/refresh_token",
            Userinfo => "/sns/userinfo",
            Auth => "/sns/auth",
            Code2Session => "/sns/jscode2session",
            StableToken => "/cgi-bin/stable_token",
            Token => "/cgi-bin/token",
            UserInfo => "/cgi-bin/user/info",
            Ticket => "/cgi-bin/ticket/getticket",
            CorpToken => "/cgi-bin/gettoken",
            CorpTicket => "/cgi-bin/get_jsapi_ticket",
            CorpUser => "/cgi-bin/auth/getuserinfo",
            CorpDetail => "/cgi-bin/auth/getuserdetail",
        }
    }

    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// Whether the code is gone with the first call.
    pub fn burns_code(self) -> bool {
        matches!(self, Exchange | Code2Session | CorpUser)
    }

    /// The honest answer in a case.
    pub fn honest(self, case: usize) -> Value {
        let openid = openid(case);
        match self {
            Exchange | Refresh => json!({
                "access_token": format!("user-token-case{case:0>5}x"),
                "expires_in": 7200,
                "refresh_token": format!("refresh-case{case:0>5}x"),
                "openid": openid,
                "scope": "snsapi_userinfo",
                "unionid": format!("u-case{case:0>5}x"),
            }),
            Userinfo => json!({
                "openid": openid,
                "nickname": format!("person {case}"),
                "sex": 0,
                "headimgurl": "https://thirdwx.qlogo.cn/synthetic/132",
                "privilege": [],
                "unionid": format!("u-case{case:0>5}x"),
            }),
            Auth => json!({ "errcode": 0, "errmsg": "ok" }),
            Code2Session => json!({
                "openid": openid,
                "session_key": "MDEyMzQ1Njc4OWFiY2RlZg==",
                "unionid": format!("u-case{case:0>5}x"),
            }),
            StableToken | Token => {
                json!({ "access_token": format!("server-token-case{case:0>5}x"), "expires_in": 7200 })
            }
            UserInfo => json!({
                "subscribe": 1,
                "openid": openid,
                "unionid": format!("u-case{case:0>5}x"),
                "subscribe_time": 1_382_694_957,
                "tagid_list": [1, 2],
            }),
            Ticket | CorpTicket => json!({
                "errcode": 0,
                "errmsg": "ok",
                "ticket": format!("ticket-case{case:0>5}x"),
                "expires_in": 7200,
            }),
            CorpToken => json!({
                "errcode": 0,
                "errmsg": "ok",
                "access_token": format!("corp-token-case{case:0>5}x"),
                "expires_in": 7200,
            }),
            CorpUser => json!({
                "errcode": 0,
                "errmsg": "ok",
                "userid": openid,
                "user_ticket": format!("user-ticket-case{case:0>5}x"),
            }),
            CorpDetail => json!({
                "errcode": 0,
                "errmsg": "ok",
                "userid": openid,
                "name": format!("person {case}"),
                "gender": "1",
                "avatar": "https://wework.qpic.cn/synthetic/0",
            }),
        }
    }

    pub fn fields(self) -> &'static [(&'static str, Form)] {
        use Form::{
            Errcode, Id, Life, Loose, MaybeId, Number, OnlyErrcode, SameId, SharedLife, Text,
        };
        match self {
            Exchange | Refresh => &[
                ("access_token", Text),
                ("expires_in", Life),
                ("refresh_token", Loose),
                ("openid", Id),
                ("scope", Loose),
                ("unionid", MaybeId),
                ("is_snapshotuser", Loose),
                ("errcode", Errcode),
            ],
            Userinfo => &[
                ("openid", SameId),
                ("unionid", MaybeId),
                ("nickname", Loose),
                ("headimgurl", Loose),
                ("sex", Loose),
                ("privilege", Loose),
                ("is_snapshotuser", Loose),
                ("errcode", Errcode),
            ],
            Auth => &[("errcode", OnlyErrcode), ("errmsg", Loose)],
            Code2Session => {
                &[("openid", Id), ("session_key", Text), ("unionid", MaybeId), ("errcode", Errcode)]
            }
            StableToken | Token | CorpToken => {
                &[("access_token", Text), ("expires_in", SharedLife), ("errcode", Errcode)]
            }
            UserInfo => &[
                ("subscribe", Number),
                ("openid", SameId),
                ("unionid", MaybeId),
                ("subscribe_time", Loose),
                ("tagid_list", Loose),
                ("errcode", Errcode),
            ],
            Ticket | CorpTicket => {
                &[("ticket", Text), ("expires_in", SharedLife), ("errcode", Errcode)]
            }
            CorpUser => &[("userid", Id), ("user_ticket", Loose), ("errcode", Errcode)],
            CorpDetail => &[
                ("userid", SameId),
                ("name", Loose),
                ("gender", Loose),
                ("avatar", Loose),
                ("errcode", Errcode),
            ],
        }
    }

    /// Calls it, and says what it told that is of this case alone.
    pub async fn call(self, client: &Client, case: usize) -> Result<String, Error> {
        let id = OpenId::parse(&openid(case)).unwrap();
        let code = Code::new(format!("code-case{case:0>5}x"));
        let server_token = ServerToken::new(format!("server-token-case{case:0>5}x"));
        let user_token = UserToken::new(format!("user-token-case{case:0>5}x"));
        Ok(match self {
            Exchange => client.exchange(&account(case), &code).await?.openid.to_string(),
            Refresh => {
                let token = RefreshToken::new(format!("refresh-case{case:0>5}x"));
                client.refresh(&account(case), &token).await?.openid.to_string()
            }
            Userinfo => client.userinfo(&user_token, &id, Lang::ZhCn).await?.openid.to_string(),
            Auth => {
                let is_good = client.auth(&user_token, &id).await?;
                format!("{} {is_good}", openid(case))
            }
            Code2Session => client.code2session(&account(case), &code).await?.openid.to_string(),
            StableToken => {
                client.server_token(&account(case), false).await?.token.expose().to_owned()
            }
            Token => {
                let account = account(case).with_basic_token(ServerTokenKind::Classic);
                client.server_token(&account, false).await?.token.expose().to_owned()
            }
            UserInfo => client.user_info(&server_token, &id, Lang::ZhCn).await?.openid.to_string(),
            Ticket => {
                client.jsapi_ticket(&account(case), &server_token).await?.ticket.expose().to_owned()
            }
            CorpToken => client.server_token(&corp(case), false).await?.token.expose().to_owned(),
            CorpTicket => {
                client.jsapi_ticket(&corp(case), &server_token).await?.ticket.expose().to_owned()
            }
            CorpUser => match client.wecom_user(&server_token, &code).await? {
                WecomUser::Member { userid, .. } => userid.to_string(),
                WecomUser::Outsider { openid, .. } => format!("outsider {openid}"),
            },
            CorpDetail => {
                let ticket = UserTicket::new(format!("user-ticket-case{case:0>5}x"));
                client.wecom_detail(&server_token, &ticket, &id).await?.openid.to_string()
            }
        })
    }
}

/// Who comes in a case.
pub fn openid(case: usize) -> String {
    format!("o-case{case:0>5}x")
}

fn account(case: usize) -> Account {
    Account::official_account(APPID, AppSecret::new(format!("secret-case{case:0>5}x"))).unwrap()
}

fn corp(case: usize) -> Account {
    let secret = AppSecret::new(format!("secret-case{case:0>5}x"));
    Account::wecom(CORP, Some(1_000_002), secret).unwrap()
}
