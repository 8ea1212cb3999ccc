//! `/_wx/mini-program/login`: a `js_code` for a session token.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{
    MiniProgram,
    answer::Refusal,
    user_data::{self, Sent},
};
use crate::{
    login::{Call, Event, Gate, PENDING_LIFE, Proof, Reply, sign_in},
    secret::Code,
    session::{KeyChange, OneUse, UserChange, UserKey, token},
    wechat::Scope,
};

/// What the mini-program sends.
#[derive(Deserialize)]
struct Asked {
    js_code: String,
    appid: Option<String>,
    #[serde(flatten)]
    data: Sent,
}

pub(super) async fn answer(
    door: &MiniProgram,
    gate: &Gate,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let asked: Asked = user_data::read(call)?;
    let account = door.account(asked.appid.as_deref())?;
    let is_code = (1..=512).contains(&asked.js_code.len())
        && asked.js_code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_code {
        return Err(Refusal::Malformed("js_code"));
    }
    asked.data.check_form()?;
    let code = Code::new(asked.js_code);
    // Burned by the first try, whatever becomes of it.
    let once = OneUse::exchange(account.appid(), &code);
    if !gate.store().claim(&once, PENDING_LIFE).await? {
        return Err(Refusal::CodeUsed);
    }
    let (gate, account) = (gate.clone(), account.clone());
    let replaces = call.user.as_ref().map(|user| user.session().id());
    // The code is burned, so what it was for is finished though the mini-program may hang up.
    gate.clone()
        .finish(async move {
            let session = gate.client().code2session(&account, &code).await;
            let session = session.map_err(Refusal::Wechat)?;
            gate.saw(Event::Exchanged);
            let key = UserKey { appid: account.appid().clone(), openid: session.openid };
            let known = UserChange { unionid: session.unionid, ..UserChange::default() };
            let now = gate.now();
            let mut change = asked.data.open(&key, &session.session_key, known, now)?;
            change.session_key = KeyChange::Replace(session.session_key);
            let proof = Proof { key, scope: Scope::Base, change };
            let session = sign_in(gate.store(), proof, replaces, now).await?;
            gate.saw(Event::SignedIn { scope: Scope::Base });
            let life = session.ends_at(&gate.store().lifetimes()).since(now);
            let told = json!({
                "token": token::of(session.id()),
                "expires_in": life.as_secs(),
                "user": gate.user(session).told(),
            });
            Ok(Reply::json(StatusCode::OK, &told))
        })
        .await
        .unwrap_or_else(|| Ok(Reply::page(crate::login::Page::Broken).for_programs()))
}
