//! The client's calls for the other ways in, against the simulator: mini-programs and WeCom.

use std::time::Duration;

use wxgate::{
    Account, AppSecret, Code,
    clock::{Clock, SystemClock},
    simulator::{Fault, FaultSwitch, Simulator},
    wechat::{BadOpenData, Expected, OpenData, Reaction, UserData},
};

use crate::world;

#[tokio::test]
async fn what_a_mini_program_sends_at_the_simulator_is_read_and_alterations_are_not() {
    const MINI: &str = "wx2222222222222222";
    let sim = Simulator::start().await;
    let client = world::client(&sim);
    let account = Account::mini_program(MINI, AppSecret::new("2".repeat(32))).unwrap();
    let phone = sim.mini_program("alice", MINI).unwrap();
    let code = Code::new(phone.login());
    let session = client.code2session(&account, &code).await.unwrap();
    let again = client.code2session(&account, &code).await.unwrap_err();
    assert_eq!(again.reaction(), Reaction::StartAgain);

    let key = &session.session_key;
    let expected = Expected {
        appid: account.appid(),
        openid: &session.openid,
        now: SystemClock.now(),
        max_age: Duration::from_secs(60),
    };
    let sent = phone.user_data().unwrap();
    let signed = UserData::signed(key, &sent.raw_data, &sent.signature).unwrap();
    assert_eq!(signed.nickname, "爱丽丝🌸");
    let data = OpenData { encrypted_data: &sent.sealed.encrypted_data, iv: &sent.sealed.iv };
    let user = data.user(key, &expected).unwrap();
    assert_eq!(user.openid.as_ref(), Some(&session.openid));
    assert_eq!((user.unionid, user.nickname), (session.unionid.clone(), signed.nickname));
    let sealed = phone.phone_number().unwrap();
    let data = OpenData { encrypted_data: &sealed.encrypted_data, iv: &sealed.iv };
    assert_eq!(data.phone(key, &expected).unwrap().country_code, "86");

    for (fault, bad) in [
        (Fault::ForeignWatermark, BadOpenData::OtherAccount),
        (Fault::OldWatermark, BadOpenData::TooOld),
    ] {
        sim.faults([FaultSwitch::new(fault, 1)]);
        let sealed = phone.phone_number().unwrap();
        let data = OpenData { encrypted_data: &sealed.encrypted_data, iv: &sealed.iv };
        assert_eq!(data.phone(key, &expected), Err(bad));
    }
    sim.faults([FaultSwitch::new(Fault::BadSignature, 1)]);
    let sent = phone.user_data().unwrap();
    let signed = UserData::signed(key, &sent.raw_data, &sent.signature);
    assert_eq!(signed, Err(BadOpenData::Signature));

    // The next login has another key, and the old one opens nothing that is sent from then on.
    let next = client.code2session(&account, &Code::new(phone.login())).await.unwrap();
    let sealed = phone.phone_number().unwrap();
    let data = OpenData { encrypted_data: &sealed.encrypted_data, iv: &sealed.iv };
    assert!(data.phone(&next.session_key, &expected).is_ok());
    assert_eq!(data.phone(key, &expected), Err(BadOpenData::Sealed));
}
