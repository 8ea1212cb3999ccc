//! Tests of messages: signatures, what others have encrypted, and what is no message.

use aes::cipher::BlockModeEncrypt;

use super::*;

const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const STAMP: Stamp<'_> = Stamp { timestamp: "1700000000", nonce: "42" };

/// Made with wechatpy, whose random bytes were replaced by `0123456789abcdef`.
const SEALED: &str = "Q3stYC6hdFzMh9T8HCvyDIsqEJY/oj5a2OdQOeqllTDaG21TjNaWsmbP54ADmcYEhkhULcC1qxEVvyP+Lei3gRjseWxTscLS2gFKVNvJJ7Sw\
    ePla3JVQueNfW9s51BF2cPqyFMD3C2SgnZ1ak+hK9lWNFwJ5SGbZNIKdir/DLWvsYzq3kMDeo947BOpmk1RnERLBTmKZUptXzT/646P2p0pZ\
    XRaOhGu1FXnhbelQXAS1eDk7skt/J5unl0xFn3+rSHX11bkYVnwuIrpUP501kURv+SeqhQRHbsAcfAgJN0c=";
const SEALED_SIGNATURE: &str = "fb01b6fd0485048895e8d7e7ea936909fd83d9bc";

fn appid() -> AppId {
    AppId::parse("wx0123456789abcdef").unwrap()
}

fn open_keys() -> MessageKeys {
    MessageKeys::new(MessageToken::new("spring"))
}

fn sealed_keys() -> MessageKeys {
    open_keys().encrypted_with(&EncodingAesKey::new(AES_KEY)).unwrap()
}

fn parse(text: &str) -> Result<Message, Malformed> {
    Message::parse(text.as_bytes())
}

/// What `read` makes of bytes that somebody who knows both secrets has encrypted.
fn read_sealed(plain: &[u8]) -> Result<Message, BadMessage> {
    let key = BASE64.decode(AES_KEY).unwrap();
    let cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(&key, &key[..16]).unwrap();
    let sealed = BASE64.encode(cipher.encrypt_padded_vec::<NoPadding>(plain));
    let body = format!("<xml><Encrypt>{sealed}</Encrypt></xml>");
    let keys = sealed_keys();
    let signature = keys.signature([STAMP.timestamp, STAMP.nonce, &sealed]);
    keys.read(&appid(), body.as_bytes(), STAMP, Some(&signature))
}

fn plain(message: &str, appid: &str, padding: u8) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let mut plain =
        [b"0123456789abcdef", &length[..], message.as_bytes(), appid.as_bytes()].concat();
    plain.extend(std::iter::repeat_n(padding, usize::from(padding)));
    plain
}

#[test]
fn only_who_knows_the_token_can_sign() {
    let keys = open_keys();
    let good = "9b3e0a68171d1c2f8e974272e0135d7b1bf95f19";
    assert!(keys.has_signed(STAMP, good));
    for bad in ["", "9b3e", &good.to_uppercase(), &good.replace('9', "8"), &format!("{good}0")] {
        assert!(!keys.has_signed(STAMP, bad), "{bad}");
    }
    assert!(!keys.has_signed(Stamp { nonce: "43", ..STAMP }, good));
    assert!(!MessageKeys::new(MessageToken::new("other")).has_signed(STAMP, good));
}

#[test]
fn what_another_implementation_has_encrypted_opens() {
    let body =
        format!("<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{SEALED}]]></Encrypt></xml>");
    let json = format!(r#"{{"ToUserName":"gh_1","Encrypt":"{SEALED}"}}"#);
    for body in [&body, &json] {
        let read = |signature| sealed_keys().read(&appid(), body.as_bytes(), STAMP, signature);
        let message = read(Some(SEALED_SIGNATURE)).unwrap();
        assert_eq!(message.field("Event"), Some("user_authorization_revoke"));
        assert_eq!(message.field("OpenID"), Some("o6_bmjrPTlm6_2sgVt7hMZOPfL2M"));
        assert!(matches!(read(None), Err(BadMessage::Unsigned)));
        // The signature of the stamp alone is none of the message.
        let stamp = "9b3e0a68171d1c2f8e974272e0135d7b1bf95f19";
        assert!(matches!(read(Some(stamp)), Err(BadMessage::Unsigned)));
        let other = AppId::parse("wxfedcba9876543210").unwrap();
        let read = sealed_keys().read(&other, body.as_bytes(), STAMP, Some(SEALED_SIGNATURE));
        assert!(matches!(read, Err(BadMessage::OtherAccount)));
    }
}

#[test]
fn an_account_takes_its_own_kind_of_messages_only() {
    let open = b"<xml><MsgType>event</MsgType></xml>";
    let sealed = b"<xml><Encrypt>AAAA</Encrypt></xml>";
    let both = b"<xml><MsgType>event</MsgType><Encrypt>AAAA</Encrypt></xml>";
    let read = |keys: MessageKeys, body: &[u8]| keys.read(&appid(), body, STAMP, None);
    assert!(read(open_keys(), open).is_ok() && read(open_keys(), both).is_ok());
    assert!(matches!(read(open_keys(), sealed), Err(BadMessage::NoKey)));
    assert!(matches!(read(sealed_keys(), open), Err(BadMessage::Open)));
    // What stands beside the encrypted message is not what was signed.
    assert!(matches!(read(sealed_keys(), both), Err(BadMessage::Unsigned)));
    let named = |appid: &str| format!("<xml><AppID>{appid}</AppID></xml>");
    assert!(read(open_keys(), named("wx0123456789abcdef").as_bytes()).is_ok());
    let other = read(open_keys(), named("wxfedcba9876543210").as_bytes());
    assert!(matches!(other, Err(BadMessage::OtherAccount)));
}

#[test]
fn padding_may_be_up_to_32_bytes_and_everything_has_to_be_where_it_belongs() {
    let xml = "<xml><MsgType>event</MsgType></xml>";
    let own = "wx0123456789abcdef";
    // With 1 to 32 bytes of padding, each once.
    for more in 0..32_usize {
        let message = format!("{xml}{}", " ".repeat(more));
        let bare = plain(&message, own, 0).len();
        let padding = u8::try_from(32 - bare % 32).unwrap();
        assert!(read_sealed(&plain(&message, own, padding)).is_ok(), "{padding}");
    }
    let good = plain(xml, own, 32 - u8::try_from(plain(xml, own, 0).len() % 32).unwrap());
    assert!(read_sealed(&good).is_ok());
    let refused = |change: fn(&mut Vec<u8>)| {
        let mut plain = good.clone();
        change(&mut plain);
        read_sealed(&plain).unwrap_err().to_string()
    };
    for (change, hint) in [
        ((|it| *it.last_mut().unwrap() = 0) as fn(&mut Vec<u8>), "padding"),
        (|it| *it.last_mut().unwrap() = 33, "padding"),
        (|it| *it.last_mut().unwrap() -= 1, "padding"),
        (|it| it.splice(16.., [16; 16]).for_each(drop), "length"),
        (|it| it[16] = 0xff, "length"),
        (|it| it[19] += 1, "another account"),
        (|it| it[19] = 0, "another account"),
        (Vec::clear, "padding"),
    ] {
        let said = refused(change);
        assert!(said.contains(hint), "{hint}: {said}");
    }
    let foreign = plain(xml, "wxfedcba9876543210", 0);
    let padding = u8::try_from(32 - foreign.len() % 32).unwrap();
    let read = read_sealed(&plain(xml, "wxfedcba9876543210", padding));
    assert!(matches!(read, Err(BadMessage::OtherAccount)));
    for sealed in ["AAAA", "*", "AAAAAAAAAAAAAAAAAAAAAAA"] {
        let key = BASE64.decode(AES_KEY).unwrap();
        let opened = open(key.first_chunk().unwrap(), &appid(), sealed);
        assert!(matches!(opened, Err(BadMessage::Sealed(_))), "{sealed}");
    }
}

#[test]
fn an_aes_key_is_43_letters_and_digits() {
    let key = |text: &str| open_keys().encrypted_with(&EncodingAesKey::new(text));
    assert!(key(AES_KEY).is_ok());
    // All of the last character's bits may be set.
    assert!(key(&"9".repeat(43)).is_ok());
    for bad in ["", &AES_KEY[1..], &format!("{AES_KEY}="), &AES_KEY.replace('a', "+")] {
        assert_eq!(key(bad).unwrap_err(), InvalidAesKey, "{bad}");
    }
}

#[test]
fn w10_keys_do_not_show_in_debug_output() {
    let shown = format!("{:?}", sealed_keys());
    assert!(!shown.contains("spring") && !shown.contains("105"), "{shown}");
    assert!(shown.contains("MessageToken([redacted])"), "{shown}");
}

#[test]
fn fields_are_read_from_xml_and_json() {
    let xml = "\u{feff}<?xml version=\"1.0\"?>\n<!-- x --><xml>\n <A><![CDATA[a<b]]></A><B>1 &lt; 2 &#38; 3</B><C/>\n\
               <D> d </D><E><F>nested</F>e</E></xml>\n";
    let message = parse(xml).unwrap();
    for (name, text) in [("A", "a<b"), ("B", "1 < 2 & 3"), ("C", ""), ("D", "d"), ("E", "e")] {
        assert_eq!(message.field(name), Some(text), "{name}");
    }
    assert_eq!((message.field("F"), message.field("xml")), (None, None));
    let message = parse(r#"{"A": "a<b", "CreateTime": 1700000000, "E": {"F": "nested"}}"#).unwrap();
    assert_eq!(message.field("A"), Some("a<b"));
    assert_eq!(message.field("CreateTime"), Some("1700000000"));
    assert_eq!((message.field("E"), message.field("F")), (None, None));
}

#[test]
fn what_defines_entities_or_is_broken_is_no_message() {
    assert!(parse("<xml><A>&amp;</A></xml>").is_ok());
    for (text, hint) in [
        ("<!DOCTYPE xml [<!ENTITY a \"aaaa\">]><xml><A>&a;</A></xml>", "document type"),
        ("<!DOCTYPE xml SYSTEM \"file:///etc/passwd\"><xml/>", "document type"),
        ("<xml><A>&a;</A></xml>", "entity"),
        ("<xml><A>&#0;</A></xml>", "entity"),
        ("<xml><A>1</A><A>2</A></xml>", "twice"),
        ("<xml><A>1</xml></A>", "well-formed"),
        ("<xml><A>1</A>", "well-formed"),
        ("<xml/><xml/>", "well-formed"),
        ("<xml/>x", "well-formed"),
        ("x<xml/>", "well-formed"),
        ("<xml><A>a & b</A></xml>", "well-formed"),
        ("</xml>", "well-formed"),
        ("", "well-formed"),
        ("{", "JSON"),
        ("{}x", "JSON"),
    ] {
        let said = parse(text).expect_err(text).to_string();
        assert!(said.contains(hint), "{text}: {said}");
    }
    assert!(Message::parse(b"<xml>\xff</xml>").is_err());
    let deep = format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000));
    assert!(parse(&deep).is_ok());
}
