//! Identity assertions: short-lived JWTs, signed with ES256, by which an app can check that the gateway speaks.

use std::{fmt, fs, io, path::Path, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{clock::Timestamp, login::WechatUser, wechat::UnionId};

/// How long an assertion is good: it is made for one request.
const LIFE: Duration = Duration::from_secs(60);

/// A key that signs assertions. Cannot be printed.
pub(in crate::gateway) struct AssertionKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

/// The public half, as RFC 7517 writes it.
#[derive(Clone, Serialize)]
struct PublicKey {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    /// The key's thumbprint after RFC 7638, so that one key has one name in every process.
    kid: String,
}

impl AssertionKey {
    /// A new key. Assertions that it has signed cannot be checked any more once the process is gone.
    ///
    /// # Panics
    /// When the system has no random numbers.
    pub(in crate::gateway) fn random() -> Self {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .expect("the system gives random numbers");
        Self::from_pkcs8(pkcs8.as_ref()).expect("the key has just been made for this")
    }

    /// Reads a key from a file in PKCS#8 PEM, as
    /// `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE` writes it.
    pub(in crate::gateway) fn from_pem_file(path: &Path) -> Result<Self, AssertionKeyError> {
        let refuse = |reason| AssertionKeyError { file: path.display().to_string(), reason };
        let pem = fs::read(path).map_err(|cause| refuse(KeyFault::Unreadable(cause)))?;
        Self::from_pem(&SecretSlice::from(pem)).map_err(refuse)
    }

    fn from_pem(pem: &SecretSlice<u8>) -> Result<Self, KeyFault> {
        let pem = pem.expose_secret();
        if pem.trim_ascii().is_empty() {
            return Err(KeyFault::Empty);
        }
        let label = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
        if pem.windows(label.len()).any(|at| at == label) {
            return Err(KeyFault::Encrypted);
        }
        // Its errors may show a line of the file, so none is kept.
        match PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyFault::NoKey)? {
            PrivateKeyDer::Pkcs8(key) => Self::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(_) => Err(KeyFault::Sec1),
            _ => Err(KeyFault::OtherKind),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyFault> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .map_err(|_| KeyFault::OtherKind)?;
        let public = PublicKey::new(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }
}

impl PublicKey {
    /// From the uncompressed point: one byte that says so, and 32 for each coordinate.
    fn new(point: &[u8]) -> Self {
        let (x, y) = point[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(thumbprint));
        Self { kty: "EC", crv: "P-256", x, y, usage: "sig", alg: "ES256", kid }
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey([redacted], kid {})", self.public.kid)
    }
}

/// Why a file gives no key.
#[derive(Debug, thiserror::Error)]
#[error("{file:?}: {reason}")]
pub(in crate::gateway) struct AssertionKeyError {
    file: String,
    #[source]
    reason: KeyFault,
}

#[derive(Debug, thiserror::Error)]
enum KeyFault {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error(
        "it is empty; make a key with \
         `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE`"
    )]
    Empty,
    #[error(
        "it holds no private key in PEM; make one with \
         `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE`"
    )]
    NoKey,
    #[error(
        "the key is encrypted, and nobody is there to type its password; \
         decrypt it with `openssl pkcs8 -in FILE -out NEW_FILE`"
    )]
    Encrypted,
    #[error(
        "the key is in the old form (EC PRIVATE KEY); \
         convert it with `openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW_FILE`"
    )]
    Sec1,
    #[error(
        "the key is no P-256 key, which ES256 needs; make one with \
         `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE`"
    )]
    OtherKind,
}

/// Keys of one gateway: one that signs, and older ones that are still published.
pub(in crate::gateway) struct AssertionKeys {
    signing: EcdsaKeyPair,
    random: SystemRandom,
    /// The first part of every assertion, with the dot.
    header: String,
    jwks: Bytes,
}

impl AssertionKeys {
    /// `signing` signs. All are published, so that what an older key has signed can still be checked.
    pub(in crate::gateway) fn new(signing: AssertionKey, older: &[AssertionKey]) -> Self {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'a str,
            typ: &'a str,
            kid: &'a str,
        }
        #[derive(Serialize)]
        struct Jwks<'a> {
            keys: Vec<&'a PublicKey>,
        }
        let public = &signing.public;
        let mut keys = vec![public];
        for key in older.iter().map(|key| &key.public) {
            if keys.iter().all(|known| known.kid != key.kid) {
                keys.push(key);
            }
        }
        let mut header = encode(&Header { alg: public.alg, typ: "JWT", kid: &public.kid });
        header.push('.');
        let jwks = serde_json::to_vec(&Jwks { keys }).expect("it is made of strings").into();
        Self { signing: signing.pair, random: SystemRandom::new(), header, jwks }
    }

    /// Reads keys from files. The first signs, all are published.
    ///
    /// # Panics
    /// When no file is named.
    pub(in crate::gateway) fn from_pem_files(
        files: &[impl AsRef<Path>],
    ) -> Result<Self, AssertionKeyError> {
        let (first, older) = files.split_first().expect("the caller names a file");
        let older: Result<Vec<_>, _> =
            older.iter().map(|file| AssertionKey::from_pem_file(file.as_ref())).collect();
        Ok(Self::new(AssertionKey::from_pem_file(first.as_ref())?, &older?))
    }

    /// The public keys, as a JSON Web Key Set.
    pub(in crate::gateway) fn jwks(&self) -> Bytes {
        self.jwks.clone()
    }
}

impl fmt::Debug for AssertionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKeys").field("jwks", &self.jwks).finish_non_exhaustive()
    }
}

/// What an assertion says.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct Claims<'a> {
    /// Whom it is for. An app has to refuse what is meant for another.
    pub(in crate::gateway) audience: &'a str,
    pub(in crate::gateway) subject: &'a str,
    pub(in crate::gateway) former_subject: Option<&'a str>,
    pub(in crate::gateway) appid: &'a str,
    pub(in crate::gateway) openid: &'a str,
    pub(in crate::gateway) unionid: Option<&'a str>,
    pub(in crate::gateway) scope: &'a str,
}

impl<'a> Claims<'a> {
    /// What is said of a user to `audience`.
    pub(in crate::gateway) fn of(user: &'a WechatUser, audience: &'a str) -> Self {
        Self {
            audience,
            subject: user.subject(),
            former_subject: user.former_subject(),
            appid: user.appid().as_str(),
            openid: user.openid().as_str(),
            unionid: user.unionid().map(UnionId::as_str),
            scope: user.scope().as_str(),
        }
    }
}

/// Makes assertions in the name of one issuer. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Assertions {
    keys: Arc<AssertionKeys>,
    issuer: Arc<str>,
}

impl Assertions {
    pub(in crate::gateway) fn new(keys: Arc<AssertionKeys>, issuer: &str) -> Self {
        Self { keys, issuer: issuer.into() }
    }

    /// An assertion for the request of this moment, as the value of a header.
    ///
    /// # Panics
    /// When the system has no random numbers.
    pub(in crate::gateway) fn sign(&self, claims: &Claims<'_>, now: Timestamp) -> HeaderValue {
        #[derive(Serialize)]
        struct Payload<'a> {
            iss: &'a str,
            aud: &'a str,
            sub: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            former_sub: Option<&'a str>,
            appid: &'a str,
            openid: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            unionid: Option<&'a str>,
            scope: &'a str,
            iat: u64,
            exp: u64,
            jti: String,
        }
        let payload = encode(&Payload {
            iss: &self.issuer,
            aud: claims.audience,
            sub: claims.subject,
            former_sub: claims.former_subject,
            appid: claims.appid,
            openid: claims.openid,
            unionid: claims.unionid,
            scope: claims.scope,
            iat: now.unix(),
            exp: (now + LIFE).unix(),
            jti: Uuid::new_v4().to_string(),
        });
        let mut token = format!("{}{payload}", self.keys.header);
        let signature = self
            .keys
            .signing
            .sign(&self.keys.random, token.as_bytes())
            .expect("the system has given random numbers for the key too");
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        let mut value = HeaderValue::try_from(token).expect("base64 is fit for a header");
        // Whoever reads it in a log could be the user for a minute.
        value.set_sensitive(true);
        value
    }
}

fn encode(part: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("it is made of strings and numbers"))
}

#[cfg(test)]
mod tests;
