//! The API of WeCom: a corp's token, and who stands behind a code. It has numbers and texts of its own.

use std::collections::HashMap;

use http::Method;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Call, json};
use super::errors::{ApiError, Refusal};
use super::faults::Fault;
use super::world::{Account, AccountKind};
use super::{Shared, ids, profile};

const GETTOKEN: &str = "/cgi-bin/gettoken";
const GETUSERINFO: &str = "/cgi-bin/auth/getuserinfo";
/// What it was called before, with names that begin with capitals.
const OLD_GETUSERINFO: &str = "/cgi-bin/user/getuserinfo";
const GETUSERDETAIL: &str = "/cgi-bin/auth/getuserdetail";
const TICKET: &str = "/cgi-bin/get_jsapi_ticket";

/// How long a `user_ticket` lives, in seconds.
const USER_TICKET_LIFE: u64 = 1800;

/// The errors of `qyapi.weixin.qq.com`. Some numbers mean something else than at `api.weixin.qq.com`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WecomError {
    Busy,
    InvalidSecret,
    InvalidCorpid,
    InvalidAccessToken,
    InvalidCode,
    InvalidUrl,
    MissingAccessToken,
    MissingCorpid,
    MissingSecret,
    MissingCode,
    AccessTokenExpired,
    RequireGet,
    RequirePost,
    TooOften,
    TooMany,
    NotJson,
    IpNotListed,
    UserTicketExpired,
    InvalidUserTicket,
}

impl From<WecomError> for Refusal {
    fn from(error: WecomError) -> Self {
        let (errcode, errmsg) = match error {
            WecomError::Busy => (-1, "system busy"),
            WecomError::InvalidSecret => (40001, "invalid credential"),
            WecomError::InvalidCorpid => (40013, "invalid corpid"),
            WecomError::InvalidAccessToken => (40014, "invalid access_token"),
            WecomError::InvalidCode => (40029, "invalid code"),
            WecomError::InvalidUrl => (40066, "invalid url"),
            WecomError::MissingAccessToken => (41001, "access_token missing"),
            WecomError::MissingCorpid => (41002, "corpid missing"),
            WecomError::MissingSecret => (41004, "corpsecret missing"),
            WecomError::MissingCode => (41008, "missing code"),
            WecomError::AccessTokenExpired => (42001, "access_token expired"),
            WecomError::RequireGet => (43001, "require GET method"),
            WecomError::RequirePost => (43002, "require POST method"),
            WecomError::TooOften => (45009, "api freq out of limit"),
            WecomError::TooMany => (45033, "api concurrent out of limit"),
            WecomError::NotJson => (47001, "data format error"),
            WecomError::IpNotListed => (60020, "not allow to access from your ip"),
            WecomError::UserTicketExpired => (84014, "user ticket expired"),
            WecomError::InvalidUserTicket => (84015, "invalid user ticket"),
        };
        Self { errcode, errmsg: errmsg.into() }
    }
}

/// The `user_ticket`s that were given.
#[derive(Debug, Default)]
pub(super) struct UserTickets(HashMap<String, UserTicket>);

#[derive(Debug)]
struct UserTicket {
    corpid: String,
    user: String,
    expires: u64,
}

#[derive(Serialize)]
struct Good<T> {
    errcode: i64,
    errmsg: &'static str,
    #[serde(flatten)]
    answer: T,
}

#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    expires_in: u64,
}

#[derive(Serialize)]
struct TicketAnswer<'a> {
    ticket: &'a str,
    expires_in: u64,
}

#[derive(Serialize)]
struct Member<'a> {
    userid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_ticket: Option<&'a str>,
}

#[derive(Serialize)]
struct Outsider<'a> {
    openid: &'a str,
    external_userid: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OldMember<'a> {
    user_id: &'a str,
    device_id: &'static str,
    #[serde(rename = "user_ticket", skip_serializing_if = "Option::is_none")]
    user_ticket: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OldOutsider<'a> {
    open_id: &'a str,
    device_id: &'static str,
}

#[derive(Deserialize)]
struct Detail {
    user_ticket: String,
}

#[derive(Serialize)]
struct DetailAnswer<'a> {
    userid: &'a str,
    gender: &'static str,
    avatar: &'a str,
    qr_code: &'static str,
    mobile: &'a str,
    email: &'a str,
    biz_mail: &'a str,
    address: &'static str,
}

/// Whether a path of `/cgi-bin` is one of WeCom's.
pub(super) fn has(path: &str) -> bool {
    path.starts_with("/cgi-bin/auth/") || [GETTOKEN, OLD_GETUSERINFO, TICKET].contains(&path)
}

pub(super) fn respond(sim: &Shared, call: &Call) -> Answer {
    match &*call.path {
        GETTOKEN => gettoken(sim, call),
        GETUSERINFO | OLD_GETUSERINFO => getuserinfo(sim, call),
        GETUSERDETAIL => getuserdetail(sim, call),
        TICKET => ticket(sim, call),
        _ => Err(WecomError::InvalidUrl.into()),
    }
}

/// The same token until it ends.
fn gettoken(sim: &Shared, call: &Call) -> Answer {
    expect_get(call)?;
    let corpid = call.params.required("corpid", WecomError::MissingCorpid)?;
    let corp = sim.world.account(corpid).filter(|it| it.kind == AccountKind::Wecom);
    let corp = corp.ok_or(WecomError::InvalidCorpid)?;
    if call.params.required("corpsecret", WecomError::MissingSecret)? != corp.secret {
        return Err(WecomError::InvalidSecret.into());
    }
    let (token, expires_in) = sim.server_tokens().corp(corpid, sim.clock.seconds());
    Ok(good(TokenAnswer { access_token: &token, expires_in }))
}

fn getuserinfo(sim: &Shared, call: &Call) -> Answer {
    expect_get(call)?;
    let corp = corp_of_token(sim, call)?;
    let code = call.params.required("code", WecomError::MissingCode)?;
    let now = sim.clock.seconds();
    // A used code is not told from one that never was.
    let redeemed = sim.grants().redeem(code, &corp.appid, now);
    let (name, scope) = redeemed.map_err(|_| WecomError::InvalidCode)?;
    let user = sim.world.user(&name).ok_or(WecomError::InvalidCode)?;
    let old = call.path == OLD_GETUSERINFO;
    let Some(userid) = &user.userid else {
        let openid = &user.openid(&corp.appid);
        let external_userid = &user.external_userid(&corp.appid);
        return Ok(if old {
            good(OldOutsider { open_id: openid, device_id: "" })
        } else {
            good(Outsider { openid, external_userid })
        });
    };
    let private = scope == "snsapi_privateinfo";
    let user_ticket = private.then(|| {
        let ticket = ids::ticket();
        let (corpid, user) = (corp.appid.clone(), user.name.clone());
        let given = UserTicket { corpid, user, expires: now + USER_TICKET_LIFE };
        sim.user_tickets().0.insert(ticket.clone(), given);
        ticket
    });
    let user_ticket = user_ticket.as_deref();
    Ok(if old {
        good(OldMember { user_id: userid, device_id: "", user_ticket })
    } else {
        good(Member { userid, user_ticket })
    })
}

/// What a member agreed to give. It has no name: that is in the corp's address book.
fn getuserdetail(sim: &Shared, call: &Call) -> Answer {
    if call.method != Method::POST {
        return Err(WecomError::RequirePost.into());
    }
    let corp = corp_of_token(sim, call)?;
    let wanted: Detail = serde_json::from_slice(&call.body).map_err(|_| WecomError::NotJson)?;
    let tickets = sim.user_tickets();
    let ticket = tickets.0.get(&wanted.user_ticket).filter(|it| it.corpid == corp.appid);
    let ticket = ticket.ok_or(WecomError::InvalidUserTicket)?;
    if ticket.expires <= sim.clock.seconds() {
        return Err(WecomError::UserTicketExpired.into());
    }
    let user = sim.world.user(&ticket.user).ok_or(WecomError::InvalidUserTicket)?;
    let (_, mobile) = user.phone();
    let mail = format!("{}@example.com", user.name);
    Ok(good(DetailAnswer {
        userid: user.userid.as_deref().unwrap_or_default(),
        gender: "0",
        avatar: &profile::picture(user, &sim.url),
        qr_code: "",
        mobile: &mobile,
        email: &mail,
        biz_mail: &mail,
        address: "",
    }))
}

fn ticket(sim: &Shared, call: &Call) -> Answer {
    expect_get(call)?;
    let corp = corp_of_token(sim, call)?;
    let (ticket, expires_in) = sim.server_tokens().ticket(&corp.appid, sim.clock.seconds());
    Ok(good(TicketAnswer { ticket: &ticket, expires_in }))
}

/// The corp whose token this is. The token is looked at before anything else: a code is not used up for nothing.
fn corp_of_token<'w>(sim: &'w Shared, call: &Call) -> Result<&'w Account, WecomError> {
    let token = call.params.required("access_token", WecomError::MissingAccessToken)?;
    let now = sim.clock.seconds();
    let mut tokens = sim.server_tokens();
    let owner = tokens.owner(token, now).map_err(|error| match error {
        ApiError::AccessTokenExpired => WecomError::AccessTokenExpired,
        _ => WecomError::InvalidAccessToken,
    })?;
    let corp = sim.world.account(owner).filter(|it| it.kind == AccountKind::Wecom);
    let corp = corp.ok_or(WecomError::InvalidAccessToken)?;
    if sim.faults.takes(Fault::DeadToken, &call.path) {
        tokens.kill(token, now);
        return Err(WecomError::InvalidAccessToken);
    }
    if corp.lists(call.peer) { Ok(corp) } else { Err(WecomError::IpNotListed) }
}

fn expect_get(call: &Call) -> Result<(), WecomError> {
    if call.method == Method::GET { Ok(()) } else { Err(WecomError::RequireGet) }
}

/// Good news have an errcode too.
fn good(answer: impl Serialize) -> Vec<u8> {
    json(&Good { errcode: 0, errmsg: "ok", answer })
}
