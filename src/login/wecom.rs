//! Who came back from WeCom: its codes are not exchanged for a grant, but asked about with the corp's own token.

use super::{gate::Gate, sign_in::Proof};
use crate::{
    keeper::KeeperError,
    secret::Code,
    session::{Profile, UserChange, UserKey},
    wechat::{Scope, WecomUser},
};

/// The member of the corp who came back with a code. None for somebody else: their ids could be some member's.
pub(super) async fn exchange(gate: &Gate, code: &Code) -> Result<Option<Proof>, KeeperError> {
    let (tokens, client, account) = (&gate.keeper().tokens, gate.client(), gate.account());
    // A dead token is refused before the code is looked at, so the code is good for the next one.
    let user = tokens.with(account, async |token| client.wecom_user(&token, code).await).await?;
    let WecomUser::Member { userid, user_ticket } = user else { return Ok(None) };
    let mut change = UserChange::default();
    let mut scope = Scope::Base;
    if let Some(ticket) = user_ticket {
        let detail = async |token| client.wecom_detail(&token, &ticket, &userid).await;
        let user = tokens.with(account, detail).await?;
        change.profile = Some((Profile::from(user), gate.now()));
        scope = Scope::Userinfo;
    }
    let key = UserKey { appid: account.appid().clone(), openid: userid };
    Ok(Some(Proof { key, scope, change }))
}
