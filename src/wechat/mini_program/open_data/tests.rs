//! Published vectors and what becomes of them when anything is altered.

use aes::cipher::BlockModeEncrypt;

use super::*;

struct Vector {
    appid: &'static str,
    openid: &'static str,
    session_key: &'static str,
    iv: &'static str,
    encrypted_data: &'static str,
    /// The watermark's moment.
    at: u64,
}

/// Of the official demonstration.
const OFFICIAL: Vector = Vector {
    appid: "wx4f4bc4dec97d474b",
    openid: "oGZUI0egBJY1zhBYw2KhdUfwVJJE",
    session_key: "tiihtNczf5v6AKRyjwEUhQ==",
    iv: "r7BXXKkLb8qrSNn05n0qiA==",
    encrypted_data: "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVb\
     JSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COx\
     Fvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4\
     ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwT\
     yrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5\
     oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew==",
    at: 1_477_314_187,
};

/// With a nickname in Chinese, and without a unionid.
const CHINESE: Vector = Vector {
    appid: "wxfcb0a0031394a51c",
    openid: "onh7q0DGM1dctSDbdByIHvX4imxA",
    session_key: "/mGmINZAe+7k6kNz32wxSw==",
    iv: "ASJ0whjRyLK1tvgb7bAVSw==",
    encrypted_data: "CFcsIXmH2r0v9ehjEhS+uUpJkr8qGQyt+Za3YkhjVNNA+xGj2WB2QFxDXdKVSzc10LukeB2maCxZCqpPQrWQx6CKF/VkEx96hXpP\
     uBMpWBnnLzupoJpkRW9gJGRz7dcXDnqzstf2etRumDeAFDyjEKZ6bqs+KTE7qHauMsctxg4TXPbzzvWQm783j9PoWsCm/0A+aGNW\
     CfZSFuJgi5G+LjTVqcGqP+mlAnLIFmgGLTo3vWrekz0//2vCMhgcgwKjPMR+VZTB7UItvnWfF4h4oOajcMuEiwTifaFkyn7l4NtL\
     roMYjOfId16B6XCTK0BvPhTw9GI3wPMDopwWF2q3Op8M2fYWJuVGFKbrAZvVY/ILeIxYLaHuwHAOYULLre5Mg1kQpURlQ6I6e6Gj\
     raJUoL1BqsM38DayY5xRRFJsehZgrWkOySWICuN20Bte7+2N8D6PvhsaNyQz+4Lp4XY/Nn+clNGoM1v6aKTCv7PY2wo=",
    at: 1_485_785_979,
};

const RAW: &str = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
const RAW_KEY: &str = "HyVFkGl5F5OQWJZZaNzBBg==";
const RAW_SIGNATURE: &str = "75e81ceda165f4ffa64f4068af58c64b8f54b88c";
const CHINESE_RAW: &str = r#"{"nickName":"苏震巍","gender":1,"language":"zh_CN","city":"Suzhou","province":"Jiangsu","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/PiajxSqBRaEKXyjX4N6I5Vx1aeiaBeJ2iaTLy15n0HgvjNbWEpKA3ZbdgXkOhWK7OH8iar3iaLxsZia5Ha4DnRPlMerw/0"}"#;
const CHINESE_RAW_KEY: &str = "jCdFs2HMx+A9Dr9lhMJKxA==";
const CHINESE_RAW_SIGNATURE: &str = "2d65ebea7c7f500bfb874b71569a591047452d38";

const HOUR: Duration = Duration::from_secs(60 * 60);

impl Vector {
    fn data(&self) -> OpenData<'_> {
        OpenData { encrypted_data: self.encrypted_data, iv: self.iv }
    }

    /// What comes of some data a minute later.
    fn user(&self, data: OpenData<'_>, session_key: &str) -> Result<UserData, BadOpenData> {
        self.at(60, |key, expected| data.user(key, expected), session_key)
    }

    fn at<T>(
        &self,
        seconds: i64,
        look: impl Fn(&SessionKey, &Expected<'_>) -> T,
        session_key: &str,
    ) -> T {
        let (appid, openid) =
            (AppId::parse(self.appid).unwrap(), OpenId::parse(self.openid).unwrap());
        let now = Timestamp::from_unix(self.at.checked_add_signed(seconds).unwrap());
        let expected = Expected { appid: &appid, openid: &openid, now, max_age: HOUR };
        look(&SessionKey::new(session_key), &expected)
    }

    /// Data that WeChat would encrypt for this user.
    fn seal(&self, plain: &str) -> String {
        let (key, iv) = (BASE64.decode(self.session_key).unwrap(), BASE64.decode(self.iv).unwrap());
        let cipher = cbc::Encryptor::<aes::Aes128>::new_from_slices(&key, &iv).unwrap();
        BASE64.encode(cipher.encrypt_padded_vec::<Pkcs7>(plain.as_bytes()))
    }

    fn sealed_user(&self, plain: &str) -> Result<UserData, BadOpenData> {
        let sealed = self.seal(plain);
        self.user(OpenData { encrypted_data: &sealed, iv: self.iv }, self.session_key)
    }
}

/// Each copy of some base64 that differs in one bit.
fn flipped(text: &str) -> impl Iterator<Item = String> {
    let bytes = BASE64.decode(text).unwrap();
    (0..bytes.len() * 8).map(move |bit| {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        BASE64.encode(bytes)
    })
}

#[test]
fn published_data_opens() {
    let band = OFFICIAL.user(OFFICIAL.data(), OFFICIAL.session_key).unwrap();
    assert_eq!(band.openid.unwrap().as_str(), OFFICIAL.openid);
    assert_eq!(band.unionid.unwrap().as_str(), "ocMvos6NjeKLIBqg5Mr9QjxrP1FA");
    assert_eq!(band.nickname, "Band");
    assert!(
        band.avatar.unwrap().starts_with("http://wx.qlogo.cn/mmopen/vi_32/aSKcBBPpibyKNicHNTMM0q")
    );
    let su = CHINESE.user(CHINESE.data(), CHINESE.session_key).unwrap();
    assert_eq!((&*su.nickname, su.unionid), ("苏震巍", None));
    assert_eq!(su.openid.unwrap().as_str(), CHINESE.openid);
}

#[test]
fn published_signatures_of_raw_data_fit() {
    let signed = |key: &str, raw: &str, signature: &str| {
        UserData::signed(&SessionKey::new(key), raw, signature)
    };
    let band = signed(RAW_KEY, RAW, RAW_SIGNATURE).unwrap();
    assert_eq!((&*band.nickname, band.openid), ("Band", None));
    let su = signed(CHINESE_RAW_KEY, CHINESE_RAW, CHINESE_RAW_SIGNATURE).unwrap();
    assert_eq!(su.nickname, "苏震巍");
    let wrong = Err(BadOpenData::Signature);
    assert_eq!(signed(CHINESE_RAW_KEY, RAW, RAW_SIGNATURE), wrong);
    assert_eq!(signed(RAW_KEY, &RAW.replace("Band", "Bend"), RAW_SIGNATURE), wrong);
    assert_eq!(signed(RAW_KEY, RAW, CHINESE_RAW_SIGNATURE), wrong);
    assert_eq!(signed(RAW_KEY, RAW, &RAW_SIGNATURE[..39]), wrong);
    assert_eq!(signed(RAW_KEY, RAW, ""), wrong);
}

#[test]
fn published_signatures_with_hmac_come_out() {
    let key = SessionKey::new("o0q0otL8aEzpcZL/FT9WsQ==");
    assert_eq!(
        hmac_sha256(&key, r#"{"foo":"bar"}"#),
        "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b"
    );
    assert_eq!(
        hmac_sha256(&key, ""),
        "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"
    );
    assert_ne!(hmac_sha256(&SessionKey::new("another"), ""), hmac_sha256(&key, ""));
}

#[test]
fn another_key_opens_nothing() {
    for key in flipped(OFFICIAL.session_key) {
        assert_eq!(OFFICIAL.user(OFFICIAL.data(), &key), Err(BadOpenData::Sealed), "{key}");
    }
    let key = "not base64!";
    assert_eq!(OFFICIAL.user(OFFICIAL.data(), key), Err(BadOpenData::SessionKey));
    // 24 bytes would be a key for another cipher.
    let long = BASE64.encode([7; 24]);
    assert_eq!(OFFICIAL.user(OFFICIAL.data(), &long), Err(BadOpenData::SessionKey));
}

#[test]
fn another_iv_gives_nobody_s_data() {
    let good = OFFICIAL.user(OFFICIAL.data(), OFFICIAL.session_key).unwrap();
    let mut bad = 0;
    for iv in flipped(OFFICIAL.iv) {
        // The iv alters the first 16 characters, `{"openId":"oGZUI`. Where it is the field's name that breaks, the openid is
        // told no more; it never becomes another one.
        match OFFICIAL.user(OpenData { iv: &iv, ..OFFICIAL.data() }, OFFICIAL.session_key) {
            Ok(user) => assert_eq!(user, UserData { openid: None, ..good.clone() }),
            Err(_) => bad += 1,
        }
    }
    assert!(bad > 64, "{bad}");
    let short = OpenData { iv: "AAAA", ..OFFICIAL.data() };
    assert_eq!(OFFICIAL.user(short, OFFICIAL.session_key), Err(BadOpenData::Iv));
}

#[test]
fn no_altered_bit_goes_unnoticed() {
    for vector in [OFFICIAL, CHINESE] {
        for encrypted_data in flipped(vector.encrypted_data) {
            let data = OpenData { encrypted_data: &encrypted_data, ..vector.data() };
            assert!(vector.user(data, vector.session_key).is_err(), "{encrypted_data}");
        }
    }
}

#[test]
fn what_is_cut_or_extended_does_not_open() {
    let whole = BASE64.decode(OFFICIAL.encrypted_data).unwrap();
    let user = |encrypted_data: &str| {
        OFFICIAL.user(OpenData { encrypted_data, ..OFFICIAL.data() }, OFFICIAL.session_key)
    };
    assert!(user(&BASE64.encode(&whole)).is_ok());
    for length in 0..whole.len() {
        let expected =
            if length > 0 && length % 16 == 0 { BadOpenData::Sealed } else { BadOpenData::Blocks };
        assert_eq!(user(&BASE64.encode(&whole[..length])), Err(expected), "{length}");
    }
    assert_eq!(user(&BASE64.encode([&whole[..], &whole[..16]].concat())), Err(BadOpenData::Sealed));
    assert_eq!(user(&BASE64.encode([&whole[..], &[0]].concat())), Err(BadOpenData::Blocks));
    // What easywechat's test does.
    assert!(user(&format!("aaaa{}", OFFICIAL.encrypted_data)).is_err());
}

#[test]
fn damage_that_forms_do_to_base64_is_undone() {
    let user = |encrypted_data: &str, iv: &str, key: &str| {
        OFFICIAL.user(OpenData { encrypted_data, iv }, key)
    };
    let Vector { encrypted_data, iv, session_key, .. } = OFFICIAL;
    assert!(encrypted_data.contains('+'));
    let spaced = encrypted_data.replace('+', " ");
    assert!(user(&spaced, iv, session_key).is_ok());
    let wrapped = encrypted_data.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap());
    let wrapped: Vec<_> = wrapped.collect();
    for line_end in ["\r\n", "\n", "\t\n"] {
        assert!(user(&wrapped.join(line_end), &format!("{iv}\n"), session_key).is_ok());
    }
    assert!(user(&wrapped.join(" "), &format!(" {iv} "), &format!(" {session_key}")).is_ok());
    assert!(
        user(encrypted_data.trim_end_matches('='), iv.trim_end_matches('='), session_key).is_ok()
    );
}

#[test]
fn the_watermark_has_to_be_of_this_account_and_time() {
    let at = |seconds| {
        let user = |key: &SessionKey, expected: &Expected<'_>| OFFICIAL.data().user(key, expected);
        OFFICIAL.at(seconds, user, OFFICIAL.session_key).map(drop)
    };
    for good in [-300, 0, 3600] {
        assert_eq!(at(good), Ok(()), "{good}");
    }
    assert_eq!(at(3601), Err(BadOpenData::TooOld));
    assert_eq!(at(-301), Err(BadOpenData::OfTheFuture));

    let elsewhere = Vector { appid: "wxfcb0a0031394a51c", ..OFFICIAL };
    let foreign = elsewhere.user(elsewhere.data(), elsewhere.session_key);
    assert_eq!(foreign, Err(BadOpenData::OtherAccount));
    let somebody = Vector { openid: "o6_bmjrPTlm6_2sgVt7hMZOPfL2M", ..OFFICIAL };
    let foreign = somebody.user(somebody.data(), somebody.session_key);
    assert_eq!(foreign, Err(BadOpenData::OtherUser));
}

#[test]
fn what_is_missing_is_named() {
    let sealed = |plain: &str| OFFICIAL.sealed_user(plain).map(|user| user.nickname);
    let mark = r#""watermark":{"timestamp":1477314187,"appid":"wx4f4bc4dec97d474b"}"#;
    let named = |name: &'static str| Err(BadOpenData::Field(name));
    assert_eq!(sealed(&format!(r#"{{"nickName":"",{mark}}}"#)), Ok(String::new()));
    assert_eq!(sealed(&format!(r#"{{"nickName":1,{mark}}}"#)), named("nickName"));
    assert_eq!(sealed(&format!(r#"{{"nickName":"","openId":"a b",{mark}}}"#)), named("openId"));
    assert_eq!(sealed(r#"{"nickName":""}"#), named("watermark"));
    assert_eq!(sealed(r#"{"nickName":"","watermark":{}}"#), named("watermark.appid"));
    let no_time = r#"{"nickName":"","watermark":{"appid":"wx4f4bc4dec97d474b"}}"#;
    assert_eq!(sealed(no_time), named("watermark.timestamp"));
    let negative = mark.replace("1477", "-1477");
    let negative = format!(r#"{{"nickName":"",{negative}}}"#);
    assert_eq!(sealed(&negative), named("watermark.timestamp"));
    assert_eq!(sealed("[]"), Err(BadOpenData::Sealed));
    let text = mark.replace("1477314187", "\"1477314187\"");
    assert!(sealed(&format!("{{\"nickName\":\"\u{7}\",{text}}}")).is_ok());
}

#[test]
fn a_phone_number_is_read_and_does_not_show() {
    let phone = |plain: &str| {
        let sealed = OFFICIAL.seal(plain);
        let data = OpenData { encrypted_data: &sealed, ..OFFICIAL.data() };
        OFFICIAL.at(0, |key, expected| data.phone(key, expected), OFFICIAL.session_key)
    };
    let good = r#"{"phoneNumber":"13580006666","purePhoneNumber":"13580006666","countryCode":"86","watermark":{"timestamp":1477314187,"appid":"wx4f4bc4dec97d474b"}}"#;
    let number = phone(good).unwrap();
    assert_eq!((&*number.phone_number, &*number.country_code), ("13580006666", "86"));
    assert_eq!(number.pure_phone_number, "13580006666");
    assert_eq!(format!("{number:?}"), "PhoneNumber([redacted])");
    assert_eq!(phone(&good.replace("\"86\"", "86")).unwrap(), number);
    let without = good.replace("purePhoneNumber", "other");
    assert_eq!(phone(&without), Err(BadOpenData::Field("purePhoneNumber")));
    assert_eq!(phone(&good.replace("1477", "1476")), Err(BadOpenData::TooOld));
    let foreign = good.replace("wx4f4bc4dec97d474b", "wxfcb0a0031394a51c");
    assert_eq!(phone(&foreign), Err(BadOpenData::OtherAccount));
    // A profile is no phone number.
    let profile =
        OFFICIAL.at(0, |key, expected| OFFICIAL.data().phone(key, expected), OFFICIAL.session_key);
    assert_eq!(profile, Err(BadOpenData::Field("phoneNumber")));
}

#[test]
fn w10_no_error_shows_the_key_or_the_data() {
    let errors = [
        OFFICIAL.user(OFFICIAL.data(), "cGxhbnRlZC01ZDQxNDAyYQ=="),
        OFFICIAL.user(OpenData { iv: "planted", ..OFFICIAL.data() }, OFFICIAL.session_key),
        OFFICIAL.sealed_user("planted"),
        OFFICIAL.sealed_user(r#"{"nickName":"planted","openId":"planted planted"}"#),
    ];
    for error in errors {
        let error = error.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("planted") && !shown.contains("cGxhbn"), "{shown}");
    }
}
