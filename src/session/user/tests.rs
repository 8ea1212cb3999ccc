//! Tests of what is known of a user: headers, subjects, and refreshes.

use super::*;
use crate::session::Session;

fn key() -> UserKey {
    UserKey {
        appid: AppId::parse("wx0123456789abcdef").unwrap(),
        openid: OpenId::parse("o6_bmjrPTlm6_2sgVt7hMZOPfL2M").unwrap(),
    }
}

fn slot_with(change: UserChange) -> UserSlot {
    UserSlot::new(key(), Arc::new(AccountSlot::new(1)), change)
}

fn profile(nickname: &str, avatar: Option<&str>) -> UserChange {
    let profile = Profile { nickname: nickname.into(), avatar: avatar.map(Into::into) };
    UserChange { profile: Some((profile, Timestamp::from_unix(1))), ..UserChange::default() }
}

fn header(slot: &UserSlot, name: &HeaderName) -> Option<String> {
    header_by(slot, Subject::Account, name)
}

fn header_by(slot: &UserSlot, subject: Subject, name: &HeaderName) -> Option<String> {
    let (_, value) = slot.record().headers(subject).find(|(n, _)| n == name)?;
    Some(value.to_str().unwrap().to_owned())
}

fn unionid(text: &str) -> UserChange {
    UserChange { unionid: UnionId::parse(text).ok(), ..UserChange::default() }
}

#[test]
fn c19_w11_any_nickname_is_fit_for_a_header() {
    let slot = slot_with(profile("小明 😀\r\nX-Evil: 1\u{0}", None));
    assert_eq!(
        header(&slot, &NICKNAME).unwrap(),
        "%E5%B0%8F%E6%98%8E%20%F0%9F%98%80%0D%0AX-Evil%3A%201%00"
    );
    let slot = slot_with(profile("", Some("https://wx.example.com/头像\n\"/132?a=%20")));
    assert_eq!(header(&slot, &NICKNAME).unwrap(), "");
    assert_eq!(
        header(&slot, &AVATAR).unwrap(),
        "https://wx.example.com/%E5%A4%B4%E5%83%8F%0A%22/132?a=%20"
    );
    // Whatever characters there are.
    let all: String = (0..=0xffff).filter_map(char::from_u32).chain(['😀', '\u{e0001}']).collect();
    let slot = slot_with(profile(&all, Some(&format!("https://wx.example.com/{all}"))));
    for name in [&NICKNAME, &AVATAR] {
        let value = header(&slot, name).unwrap();
        assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{name}");
    }
    let nickname = header(&slot, &NICKNAME).unwrap();
    let back = percent_encoding::percent_decode_str(&nickname).decode_utf8().unwrap();
    assert!(back == all, "nothing of it is lost");
}

#[test]
fn what_a_sign_in_does_not_tell_stays_known() {
    let slot = slot_with(profile("小明", None));
    slot.update(&unionid("o1"));
    assert_eq!(slot.record().nickname(), Some("小明"));
    assert_eq!(header(&slot, &UNIONID).as_deref(), Some("o1"));
    slot.update(&profile("小红", None));
    assert_eq!(slot.record().nickname(), Some("小红"));
    assert_eq!(header(&slot, &UNIONID).as_deref(), Some("o1"));
}

#[test]
fn c32_the_subject_is_the_same_everywhere() {
    let slot = slot_with(UserChange::default());
    let subject = "wx0123456789abcdef:o6_bmjrPTlm6_2sgVt7hMZOPfL2M";
    assert_eq!(slot.record().subject(Subject::Account), subject);
    assert_eq!(slot.key().to_string(), subject);
    assert_eq!(header(&slot, &SUBJECT).as_deref(), Some(subject));
    assert_eq!(header(&slot, &FORWARDED_USER).as_deref(), Some(subject));
    slot.update(&unionid("u1"));
    assert_eq!(slot.record().subject(Subject::Account), subject);
    assert_eq!(header(&slot, &FORMER_SUBJECT), None);
}

#[test]
fn a_subject_that_becomes_the_unionid_tells_what_it_was() {
    let of = |slot: &UserSlot, name: &HeaderName| header_by(slot, Subject::Unionid, name);
    let slot = slot_with(UserChange::default());
    let account = slot.key().to_string();
    assert_eq!(of(&slot, &SUBJECT).as_deref(), Some(&*account));
    assert_eq!(of(&slot, &FORMER_SUBJECT), None);
    slot.update(&unionid("u1"));
    slot.update(&UserChange::default());
    assert_eq!(slot.record().subject(Subject::Unionid), "u1");
    assert_eq!(of(&slot, &SUBJECT).as_deref(), Some("u1"));
    assert_eq!(of(&slot, &FORWARDED_USER).as_deref(), Some("u1"));
    assert_eq!(of(&slot, &FORMER_SUBJECT).as_deref(), Some(&*account));
    // Whoever came with a unionid at once was never anybody else.
    let other = slot_with(unionid("u2"));
    assert_eq!(other.record().subject(Subject::Unionid), "u2");
    assert_eq!(of(&other, &FORMER_SUBJECT), None);
}

#[test]
fn another_unionid_does_not_make_somebody_else_of_a_user() {
    let slot = slot_with(unionid("u1"));
    slot.update(&unionid("u2"));
    assert_eq!(slot.record().subject(Subject::Unionid), "u1");
    assert_eq!(header(&slot, &UNIONID).as_deref(), Some("u1"));
}

#[test]
fn one_caller_at_a_time_may_refresh() {
    let slot = slot_with(UserChange::default());
    let pause = Duration::from_secs(60);
    let at = Timestamp::from_unix;
    assert!(slot.claim_refresh(at(100), pause));
    assert!(!slot.claim_refresh(at(159), pause));
    assert!(slot.claim_refresh(at(160), pause));
}

#[test]
fn tokens_of_the_same_authorization_are_replaced_and_older_ones_are_not() {
    let tokens = |access: &str, refresh_ends_at| {
        let tokens = Tokens {
            access: UserToken::new(access),
            access_ends_at: Timestamp::from_unix(10),
            refresh: None,
            refresh_ends_at: Timestamp::from_unix(refresh_ends_at),
        };
        UserChange { tokens: TokenChange::Replace(tokens), ..UserChange::default() }
    };
    let slot = slot_with(tokens("first", 100));
    let access = || {
        slot.record().tokens().map(|tokens| tokens.access.expose().to_owned()).unwrap_or_default()
    };
    slot.update(&tokens("refreshed", 100));
    assert_eq!(access(), "refreshed");
    slot.update(&tokens("signed in anew", 200));
    slot.update(&tokens("a refresh that was under way", 100));
    assert_eq!(access(), "signed in anew");
}

#[test]
fn a_former_subject_is_of_who_was_known_before_the_unionid_alone() {
    let former =
        |slot: &UserSlot| slot.record().former_subject(Subject::Unionid).map(ToOwned::to_owned);
    let at_once = slot_with(unionid("u1"));
    at_once.update(&UserChange::default());
    at_once.update(&unionid("u1"));
    assert_eq!(former(&at_once), None);
    let never_told = slot_with(UserChange::default());
    never_told.update(&UserChange::default());
    never_told.update(&unionid("u1"));
    assert_eq!(former(&never_told), Some(never_told.key().to_string()));
}

#[test]
fn what_is_not_fit_for_a_header_is_known_all_the_same() {
    let slot = slot_with(profile("小明 😀", Some("https://wx.example.com/头像")));
    slot.update(&UserChange { phone: Some("+86\n1".into()), ..UserChange::default() });
    let record = slot.record();
    assert_eq!(record.nickname(), Some("小明 😀"));
    assert_eq!(record.avatar(), Some("https://wx.example.com/头像"));
    assert_eq!((record.phone(), header(&slot, &PHONE)), (Some("+86\n1"), None));
    slot.update(&UserChange { phone: Some("+8613580006666".into()), ..profile("ming", None) });
    let record = slot.record();
    assert_eq!((record.nickname(), record.avatar()), (Some("ming"), None));
    assert_eq!(record.phone(), header(&slot, &PHONE).as_deref());
    assert_eq!(header(&slot, &NICKNAME).as_deref(), Some("ming"));
}

/// There may be a million of them, and each word of one is 8 MB then. With what the allocator adds, these fill its pieces.
#[test]
fn a_user_takes_no_more_room_than_is_said() {
    let sizes = (size_of::<UserSlot>(), size_of::<UserRecord>(), size_of::<Session>());
    assert_eq!(sizes, (88, 152, 56));
}
