//! Assertions, read again by a library that others wrote, and keys from files of every kind.

use std::{path::PathBuf, process::Command};

use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::clock::{Clock, SystemClock};

const ISSUER: &str = "https://h5.example.com";

/// Made for these tests by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`. No site has it.
const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgRbwN9yJwVzjxgR3u
GHYqbhwhgUDNnEvXDMQ3q4A8X0yhRANCAASHI1gwnaXsUrZbciwU0h8j9o4q+glc
L2BZcARkxiPnXloguZM6IMkgcPCeyqSmCyl4PCEV66b9fF2nIqMsepju
-----END PRIVATE KEY-----
";
/// The same for `ec_paramgen_curve:P-384`.
const P384: &str = "-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDApyWVRpu/EYKHHcCNK
IUJJp5tcF+WnXQLrF4Mp4/9PtsBmjHyFP2CmaZx2z9sGVx2hZANiAASXJeV0eCYI
1YhDr8PFhuJhpJkqkoK1RV8MudTHhMGy4nP00ijMt7DxcGgYem9j5SJ4ZPo07sG5
YSucyfBpwKiq0O2kfcLDzd55xb7g+HEaBGhSm0QDYDPHlQahanzLUtQ=
-----END PRIVATE KEY-----
";

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("wxgate-assertion-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, content).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The verifier goes by the machine's clock.
fn now() -> Timestamp {
    SystemClock.now()
}

fn claims(audience: &str) -> Claims<'_> {
    Claims {
        audience,
        subject: "wx0123456789abcdef:o6_bmjrPTlm6_2sgVt7hMZOPfL2M",
        former_subject: None,
        appid: "wx0123456789abcdef",
        openid: "o6_bmjrPTlm6_2sgVt7hMZOPfL2M",
        unionid: Some("o6_union"),
        scope: "snsapi_base",
    }
}

fn assertions(key: AssertionKey) -> Assertions {
    Assertions::new(Arc::new(AssertionKeys::new(key, &[])), ISSUER)
}

fn sign(assertions: &Assertions, audience: &str) -> String {
    assertions.sign(&claims(audience), now()).to_str().unwrap().to_owned()
}

/// What `PyJWT` makes of a token: its claims, or why they are not to be believed.
fn check(jwks: &Bytes, audience: &str, token: &str) -> Result<Value, String> {
    let folder = Folder::new();
    let jwks = folder.file("jwks.json", jwks);
    let exe = std::env::current_exe().unwrap();
    let clients = exe
        .ancestors()
        .map(|folder| folder.join("clients"))
        .find(|clients| clients.join(".pins").exists())
        .expect("tests/all.sh installs the third-party clients in the target directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/assertion.py");
    let output = Command::new(clients.join("python/bin/python"))
        .arg(script)
        .args([ISSUER, audience])
        .arg(jwks)
        .arg(token)
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    assert_eq!(output.status.code(), Some(1));
    Err(String::from_utf8(output.stderr).unwrap().trim().to_owned())
}

/// The three parts of a token, the last one still encoded.
fn parts(token: &str) -> (Value, Value, &str) {
    let decode = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{token}") };
    (decode(header), decode(payload), signature)
}

#[test]
fn another_s_library_believes_an_assertion() {
    let assertions = assertions(AssertionKey::random());
    let (before, value) = (now(), assertions.sign(&claims("/api"), now()));
    assert!(value.is_sensitive());
    let told = check(&assertions.keys.jwks(), "/api", value.to_str().unwrap()).unwrap();
    let (iat, jti) = (told["iat"].as_u64().unwrap(), told["jti"].as_str().unwrap());
    assert!((before.unix()..=now().unix()).contains(&iat), "{told}");
    assert_eq!(Uuid::parse_str(jti).unwrap().get_version_num(), 4);
    assert_eq!(
        told,
        json!({
            "iss": ISSUER,
            "aud": "/api",
            "sub": "wx0123456789abcdef:o6_bmjrPTlm6_2sgVt7hMZOPfL2M",
            "appid": "wx0123456789abcdef",
            "openid": "o6_bmjrPTlm6_2sgVt7hMZOPfL2M",
            "unionid": "o6_union",
            "scope": "snsapi_base",
            "iat": iat,
            "exp": iat + 60,
            "jti": jti,
        })
    );
}

#[test]
fn a_unionid_that_is_not_known_is_not_told() {
    let claims = Claims { unionid: None, ..claims("/") };
    let value = assertions(AssertionKey::random()).sign(&claims, now());
    let (_, payload, _) = parts(value.to_str().unwrap());
    assert!(payload.get("unionid").is_none(), "{payload}");
    assert_eq!(payload["openid"], "o6_bmjrPTlm6_2sgVt7hMZOPfL2M");
}

#[test]
fn a_former_subject_is_told_where_there_is_one() {
    let sign = |claims: &Claims<'_>| {
        let value = assertions(AssertionKey::random()).sign(claims, now());
        parts(value.to_str().unwrap()).1
    };
    assert!(sign(&claims("/")).get("former_sub").is_none());
    let linked = Claims { subject: "o6_union", former_subject: Some("wx1:o1"), ..claims("/") };
    let payload = sign(&linked);
    assert_eq!((&payload["sub"], &payload["former_sub"]), (&json!("o6_union"), &json!("wx1:o1")));
}

#[test]
fn no_two_assertions_are_the_same() {
    let assertions = assertions(AssertionKey::random());
    let claims = claims("/");
    let [one, two] = [(); 2].map(|()| assertions.sign(&claims, Timestamp::from_unix(1)));
    let (one, two) = (parts(one.to_str().unwrap()).1, parts(two.to_str().unwrap()).1);
    assert_ne!(one["jti"], two["jti"]);
    assert_eq!(one["exp"], two["exp"]);
}

#[test]
fn c40_an_assertion_is_good_for_one_audience_one_issuer_and_one_minute() {
    let assertions = assertions(AssertionKey::random());
    let jwks = assertions.keys.jwks();
    let token = sign(&assertions, "/api");
    assert!(check(&jwks, "/api", &token).is_ok());
    let refused = check(&jwks, "/shop", &token).unwrap_err();
    assert!(refused.starts_with("InvalidAudienceError"), "{refused}");
    let old = assertions.sign(&claims("/api"), now() - Duration::from_secs(61));
    let refused = check(&jwks, "/api", old.to_str().unwrap()).unwrap_err();
    assert!(refused.starts_with("ExpiredSignatureError"), "{refused}");
    let other = Assertions::new(assertions.keys.clone(), "https://other.example.com");
    let refused = check(&jwks, "/api", &sign(&other, "/api")).unwrap_err();
    assert!(refused.starts_with("InvalidIssuerError"), "{refused}");
}

#[test]
fn c40_nobody_else_s_signature_is_good() {
    let ours = assertions(AssertionKey::random());
    let jwks = ours.keys.jwks();
    let token = sign(&ours, "/");
    assert!(check(&jwks, "/", &token).is_ok());
    // Signed with another key, under our key's name and under its own.
    let forger = AssertionKey::random();
    let own_name = forger.public.kid.clone();
    let mut forger = AssertionKeys::new(forger, &[]);
    let as_itself = sign(&Assertions::new(Arc::new(forger), ISSUER), "/");
    assert_eq!(parts(&as_itself).0["kid"], own_name.as_str());
    let refused = check(&jwks, "/", &as_itself).unwrap_err();
    assert!(refused.starts_with("PyJWKClientError"), "{refused}");
    forger = AssertionKeys::new(AssertionKey::random(), &[]);
    forger.header.clone_from(&ours.keys.header);
    let refused =
        check(&jwks, "/", &sign(&Assertions::new(Arc::new(forger), ISSUER), "/")).unwrap_err();
    assert!(refused.starts_with("InvalidSignatureError"), "{refused}");
    // One claim changed.
    let (_, mut payload, signature) = parts(&token);
    payload["openid"] = json!("o6_somebody_else");
    let changed = format!("{}{}.{signature}", ours.keys.header, encode(&payload));
    let refused = check(&jwks, "/", &changed).unwrap_err();
    assert!(refused.starts_with("InvalidSignatureError"), "{refused}");
}

#[test]
fn c41_only_es256_is_accepted() {
    let assertions = assertions(AssertionKey::random());
    let jwks = assertions.keys.jwks();
    let token = sign(&assertions, "/");
    assert!(check(&jwks, "/", &token).is_ok());
    let (header, payload, signature) = parts(&token);
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header["typ"], "JWT");
    let under = |alg: &str| {
        let mut header = header.clone();
        header["alg"] = json!(alg);
        format!("{}.{}", encode(&header), encode(&payload))
    };
    // The public key is known to everybody: as an HMAC key it proves nothing.
    let public = assertions.keys.signing.public_key().as_ref().to_vec();
    let hs256 = [public, jwks.to_vec()].map(|secret| {
        let signed = under("HS256");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    });
    let none = [format!("{}.", under("none")), format!("{}.{signature}", under("none"))];
    for forged in hs256.into_iter().chain(none).chain([format!("{}.{signature}", under("ES384"))]) {
        let refused = check(&jwks, "/", &forged).unwrap_err();
        assert!(refused.starts_with("InvalidAlgorithmError"), "{refused}");
    }
}

#[test]
fn an_older_key_is_good_as_long_as_it_is_published() {
    let folder = Folder::new();
    let new = folder.file("new.pem", rcgen::KeyPair::generate().unwrap().serialize_pem());
    let old = folder.file("old.pem", OPENSSL);
    let before = AssertionKeys::from_pem_files(&[&old]).unwrap();
    let both = AssertionKeys::from_pem_files(&[&new, &old, &new]).unwrap();
    let after = AssertionKeys::from_pem_files(&[&new]).unwrap();
    let jwks: Value = serde_json::from_slice(&both.jwks()).unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2, "{jwks}");
    let [before, both, after] =
        [before, both, after].map(|keys| Assertions::new(Arc::new(keys), ISSUER));
    let (token_before, token_both) = (sign(&before, "/"), sign(&both, "/"));
    assert!(check(&both.keys.jwks(), "/", &token_before).is_ok());
    assert!(check(&both.keys.jwks(), "/", &token_both).is_ok());
    // The first key signs.
    assert!(check(&after.keys.jwks(), "/", &token_both).is_ok());
    let refused = check(&after.keys.jwks(), "/", &token_before).unwrap_err();
    assert!(refused.starts_with("PyJWKClientError"), "{refused}");
}

#[test]
fn a_key_is_published_as_other_tools_see_it() {
    let folder = Folder::new();
    let keys = AssertionKeys::from_pem_files(&[folder.file("key.pem", OPENSSL)]).unwrap();
    // The numbers, and the thumbprint by RFC 7638, are from Python's cryptography and hashlib.
    assert_eq!(
        serde_json::from_slice::<Value>(&keys.jwks()).unwrap(),
        json!({ "keys": [{
            "kty": "EC",
            "crv": "P-256",
            "x": "hyNYMJ2l7FK2W3IsFNIfI_aOKvoJXC9gWXAEZMYj514",
            "y": "WiC5kzogySBw8J7KpKYLKXg8IRXrpv18Xacioyx6mO4",
            "use": "sig",
            "alg": "ES256",
            "kid": "FD6oIKL_vj4MKY-O6Kjr-tjmhO5P2HJsBl6sZAh-aNg",
        }] })
    );
    assert_eq!(
        parts(&sign(&Assertions::new(Arc::new(keys), ISSUER), "/")).0["kid"],
        "FD6oIKL_vj4MKY-O6Kjr-tjmhO5P2HJsBl6sZAh-aNg"
    );
}

#[test]
fn a_file_without_a_good_key_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let section = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let (make, convert, decrypt) = (
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "openssl pkcs8 -topk8 -nocrypt",
        "openssl pkcs8 -in FILE",
    );
    for (content, says, does) in [
        (String::new(), "it is empty", make),
        (" \n".to_owned(), "it is empty", make),
        ("0123456789abcdef0123456789abcdef".to_owned(), "no private key in PEM", make),
        (section("CERTIFICATE"), "no private key in PEM", make),
        (section("PUBLIC KEY"), "no private key in PEM", make),
        ("-----BEGIN PRIVATE KEY-----\nhunter2".to_owned(), "no private key in PEM", make),
        (section("EC PRIVATE KEY"), "EC PRIVATE KEY", convert),
        (section("EC PARAMETERS") + &section("EC PRIVATE KEY"), "EC PRIVATE KEY", convert),
        (section("ENCRYPTED PRIVATE KEY"), "is encrypted", decrypt),
        (section("RSA PRIVATE KEY"), "no P-256 key", make),
        (section("PRIVATE KEY"), "no P-256 key", make),
        (P384.to_owned(), "no P-256 key", make),
    ] {
        let file = folder.file("key.pem", &content);
        let error = AssertionKey::from_pem_file(&file).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{file:?}: ")), "{error}");
        assert!(error.contains(says) && error.contains(does), "{content:?}: {error}");
        assert!(!error.contains("hunter2") && !error.contains("0123456789"), "{error}");
    }
    let error = AssertionKey::from_pem_file(&folder.0.join("none.pem")).unwrap_err().to_string();
    assert!(error.contains("none.pem") && error.contains("cannot be read"), "{error}");
    assert!(AssertionKey::from_pem_file(&folder.file("key.pem", OPENSSL)).is_ok());
    // What an editor on Windows leaves, and a parameters section in front, hinder nothing.
    let lines = section("EC PARAMETERS") + &OPENSSL.replace('\n', "\r\n");
    assert!(AssertionKey::from_pem_file(&folder.file("key.pem", lines)).is_ok());
}

#[test]
fn w10_a_key_cannot_be_printed() {
    let folder = Folder::new();
    let file = folder.file("key.pem", OPENSSL);
    let key = AssertionKey::from_pem_file(&file).unwrap();
    let alone = format!("{key:?}");
    let assertions = Assertions::new(Arc::new(AssertionKeys::new(key, &[])), ISSUER);
    let shown = format!("{alone} {assertions:?}");
    // The private number, as base64, base64url, hex and a list of bytes.
    for secret in ["RbwN9yJwVzjx", "45bc0df722705738", "69, 188, 13"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(alone.contains("FD6oIKL_vj4MKY-O6Kjr-tjmhO5P2HJsBl6sZAh-aNg"), "{alone}");
    assert_eq!(format!("{:?}", assertions.sign(&claims("/"), now())), "Sensitive");
}
