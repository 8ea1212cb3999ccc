//! What WeChat signs and encrypts for others to check: hashes as hexadecimal text, and a mini-program's data.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::ids;

/// Something encrypted with a session key, as a mini-program is given it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sealed {
    /// Base64.
    #[serde(rename = "encryptedData")]
    pub encrypted_data: String,
    /// The initial vector: base64.
    pub iv: String,
}

/// A fresh session key: 16 bytes as base64.
pub(super) fn session_key() -> String {
    STANDARD.encode(ids::random::<16>())
}

/// AES-128-CBC with PKCS#7. The key is the session key as text.
pub(super) fn seal(session_key: &str, plain: &[u8]) -> Sealed {
    seal_with(session_key, ids::random(), plain)
}

fn seal_with(session_key: &str, iv: [u8; 16], plain: &[u8]) -> Sealed {
    let key = STANDARD.decode(session_key).expect("made by session_key()");
    let cipher = cbc::Encryptor::<aes::Aes128>::new_from_slices(&key, &iv);
    let cipher = cipher.expect("a session key has 16 bytes, and so has an initial vector");
    Sealed {
        encrypted_data: STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(plain)),
        iv: STANDARD.encode(iv),
    }
}

/// The `signature` of `rawData`: the session key is taken as text.
pub(super) fn sign_raw_data(raw_data: &str, session_key: &str) -> String {
    sha1_hex(&[raw_data, session_key])
}

/// The `signature` of `wx.config`.
pub(super) fn sign_page(ticket: &str, noncestr: &str, timestamp: &str, url: &str) -> String {
    let url = url.split('#').next().unwrap_or(url);
    let parts = ["jsapi_ticket=", ticket, "&noncestr=", noncestr];
    sha1_hex(&[&parts[..], &["&timestamp=", timestamp, "&url=", url]].concat())
}

/// SHA-1 of the parts one after the other.
pub(super) fn sha1_hex(parts: &[&str]) -> String {
    hex(&Sha1::digest(parts.concat()))
}

/// HMAC-SHA256. The session key is taken as text, not as the bytes that it stands for.
pub(super) fn hmac_sha256_hex(key: &str, message: &[u8]) -> String {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    // A session key has 24 letters: never more than a block.
    block[..key.len()].copy_from_slice(key.as_bytes());
    let inner = Sha256::new().chain_update(block.map(|it| it ^ 0x36)).chain_update(message);
    let outer = Sha256::new().chain_update(block.map(|it| it ^ 0x5c));
    hex(&outer.chain_update(inner.finalize()).finalize())
}

fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| {
        [byte >> 4, byte & 15].map(|it| char::from(b"0123456789abcdef"[usize::from(it)]))
    };
    bytes.iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_data_is_signed_as_in_the_published_vectors() {
        let band = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
        let signed = sign_raw_data(band, "HyVFkGl5F5OQWJZZaNzBBg==");
        assert_eq!(signed, "75e81ceda165f4ffa64f4068af58c64b8f54b88c");

        let su = r#"{"nickName":"苏震巍","gender":1,"language":"zh_CN","city":"Suzhou","province":"Jiangsu","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/PiajxSqBRaEKXyjX4N6I5Vx1aeiaBeJ2iaTLy15n0HgvjNbWEpKA3ZbdgXkOhWK7OH8iar3iaLxsZia5Ha4DnRPlMerw/0"}"#;
        let signed = sign_raw_data(su, "jCdFs2HMx+A9Dr9lhMJKxA==");
        assert_eq!(signed, "2d65ebea7c7f500bfb874b71569a591047452d38");
        assert_ne!(sign_raw_data(su, "HyVFkGl5F5OQWJZZaNzBBg=="), signed);
    }

    #[test]
    fn data_is_encrypted_as_in_the_official_demo() {
        let plain = r#"{"openId":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/aSKcBBPpibyKNicHNTMM0qJVh8Kjgiak2AHWr8MHM4WgMEm7GFhsf8OYrySdbvAMvTsw3mo8ibKicsnfN5pRjl1p8HQ/0","unionId":"ocMvos6NjeKLIBqg5Mr9QjxrP1FA","watermark":{"timestamp":1477314187,"appid":"wx4f4bc4dec97d474b"}}"#;
        let iv = STANDARD.decode("r7BXXKkLb8qrSNn05n0qiA==").expect("base64");
        let iv = iv.try_into().expect("16 bytes");
        let sealed = seal_with("tiihtNczf5v6AKRyjwEUhQ==", iv, plain.as_bytes());
        assert_eq!(sealed.iv, "r7BXXKkLb8qrSNn05n0qiA==");
        assert_eq!(
            sealed.encrypted_data,
            "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew=="
        );
        let again = seal("tiihtNczf5v6AKRyjwEUhQ==", plain.as_bytes());
        assert_ne!(again.encrypted_data, sealed.encrypted_data);
    }

    #[test]
    fn a_page_is_signed_as_in_the_published_vectors_and_without_its_fragment() {
        let official = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";
        let table = [
            (
                official,
                "Wm3WZYTPz0wzccnW",
                "1414587457",
                "http://mp.weixin.qq.com?params=value",
                "0f9de62fce790f9a083d5c99e95740ceb90c27ed",
            ),
            (
                official,
                "Wm3WZYTPz0wzccnW",
                "1414587457",
                "http://mp.weixin.qq.com#/route",
                "f4d90daf4b3bca3078ab155816175ba34c443a7b",
            ),
            (
                "bxLdikRXVbTPdHSM05e5u4RbEYQn7pNQMPrfzl8lJNb1foLDa3HIwI3BRMkQmSO_5F64VFa75uURcq6Uz7QHgA",
                "82693e11-b9bc-448e-892f-f5289f46cd0f",
                "1419835025",
                "http://omstest.vmall.com:23568/thirdparty/wechat/vcode/gotoshare?quantity=1&batchName=MATE7",
                "c6f04b64d6351d197b71bd23fb7dd2d44c0db486",
            ),
        ];
        for (ticket, noncestr, timestamp, url, expected) in table {
            assert_eq!(sign_page(ticket, noncestr, timestamp, url), expected, "{url}");
        }
    }

    #[test]
    fn a_session_key_signs_as_text() {
        let key = "o0q0otL8aEzpcZL/FT9WsQ==";
        let table = [
            (
                r#"{"foo":"bar"}"#,
                "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b",
            ),
            ("", "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"),
        ];
        for (message, expected) in table {
            assert_eq!(hmac_sha256_hex(key, message.as_bytes()), expected);
        }
        assert_eq!(session_key().len(), 24);
    }
}
