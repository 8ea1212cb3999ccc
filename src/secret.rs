//! Secrets as types: they cannot be printed, compared with `==` or serialised by accident.

use std::{env::VarError, fmt, fs, io, path::Path};

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Declares a secret string: `Debug` redacts it, memory is wiped on drop, and [`expose`] is the one way to read it.
macro_rules! secret_string {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Takes the secret in.
            pub fn new(secret: impl Into<String>) -> Self {
                Self(SecretString::from(secret.into()))
            }

            /// The secret itself. Whoever calls this answers for where it goes.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

secret_string! {
    /// The `secret` of a WeChat account, which its console calls `AppSecret`.
    ///
    /// ```compile_fail
    /// println!("{}", wxgate::AppSecret::new("0123456789abcdef")); // no `Display`
    /// ```
    /// ```compile_fail
    /// assert!(wxgate::AppSecret::new("a") == wxgate::AppSecret::new("a")); // no `==`
    /// ```
    /// ```compile_fail
    /// fn serialise<T: serde::Serialize>(_: T) {}
    /// serialise(wxgate::AppSecret::new("a")); // no `Serialize`
    /// ```
    AppSecret
}

secret_string! {
    /// The `code` that comes back from an authorization. Good for one exchange within five minutes.
    Code
}

secret_string! {
    /// The `access_token` of one user for one account, good for two hours. Not the account's own `access_token`.
    UserToken
}

secret_string! {
    /// The `refresh_token` of one user for one account, good for thirty days.
    RefreshToken
}

secret_string! {
    /// The `access_token` of an account itself, good for two hours. Not a user's `access_token`.
    ServerToken
}

secret_string! {
    /// The `jsapi_ticket` of an account, with which it signs its pages' use of the JS-SDK.
    JsapiTicket
}

secret_string! {
    /// The `session_key` of one user of one mini-program. It stays on the server: whoever has it can make up what the
    /// mini-program's user data says.
    SessionKey
}

secret_string! {
    /// The `user_ticket` of a WeCom member who has granted name and avatar, good for half an hour.
    UserTicket
}

secret_string! {
    /// The token of an account's message server (服务器配置), with which WeChat signs what it sends there.
    MessageToken
}

secret_string! {
    /// The `EncodingAESKey` of an account's message server, with which WeChat encrypts what it sends there.
    EncodingAesKey
}

secret_string! {
    /// The password of the place where sessions are kept.
    StorePassword
}

secret_string! {
    /// What other servers prove themselves with that take an account's own `access_token` from here.
    ServerTokenSecret
}

impl ServerTokenSecret {
    /// Whether somebody knows it. Takes as long for a wrong one, wherever it differs.
    pub fn is(&self, given: &[u8]) -> bool {
        self.expose().as_bytes().ct_eq(given).into()
    }
}

/// Declares where a secret that an operator hands in may come from. `$what` names it in errors.
macro_rules! from_outside {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Reads the secret from a file; white space around it is ignored.
            ///
            /// # Errors
            /// When the file cannot be read, or holds nothing.
            pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SecretSourceError> {
                read_file($what, path.as_ref()).map(Self::new)
            }

            /// Reads the secret from an environment variable; white space around it is ignored.
            ///
            /// # Errors
            /// When the variable is not set, is not UTF-8, or holds nothing.
            pub fn from_env(name: &str) -> Result<Self, SecretSourceError> {
                read_env($what, name).map(Self::new)
            }
        }
    };
}

from_outside!(AppSecret, "the app secret");
from_outside!(StorePassword, "the store's password");

fn read_file(what: &'static str, path: &Path) -> Result<String, SecretSourceError> {
    let name = || match path.to_str() {
        // Somebody has given the secret instead of its file: not to be repeated.
        Some(text) if looks_like_secret(text) => "a file named like a secret".to_owned(),
        _ => format!("file {}", path.display()),
    };
    let text = fs::read_to_string(path)
        .map_err(|cause| SecretSourceError::Unreadable(what, name(), cause))?;
    trimmed(&text).ok_or_else(|| SecretSourceError::Empty(what, name()))
}

fn read_env(what: &'static str, name: &str) -> Result<String, SecretSourceError> {
    let place = || format!("environment variable {name}");
    let text = std::env::var(name).map_err(|cause| {
        // The cause itself would show what is in the variable.
        let cause = match cause {
            VarError::NotPresent => io::Error::new(io::ErrorKind::NotFound, "it is not set"),
            VarError::NotUnicode(_) => {
                io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")
            }
        };
        SecretSourceError::Unreadable(what, place(), cause)
    })?;
    trimmed(&text).ok_or_else(|| SecretSourceError::Empty(what, place()))
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn looks_like_secret(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Why a secret could not be had. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretSourceError {
    /// The place cannot be read.
    #[error("cannot read {0} from {1}: {2}")]
    Unreadable(&'static str, String, #[source] io::Error),
    /// The place holds nothing but white space.
    #[error("{0} in {1} is empty")]
    Empty(&'static str, String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w10_a_secret_does_not_show_in_debug_output() {
        let planted = "planted-7c1f";
        let printed = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            AppSecret::new(planted),
            Code::new(planted),
            UserToken::new(planted),
            RefreshToken::new(planted),
            ServerToken::new(planted),
            JsapiTicket::new(planted),
            SessionKey::new(planted),
            ServerTokenSecret::new(planted),
            UserTicket::new(planted),
            MessageToken::new(planted),
            EncodingAesKey::new(planted),
            StorePassword::new(planted),
        );
        assert_eq!(
            printed,
            "AppSecret([redacted]) Code([redacted]) UserToken([redacted]) RefreshToken([redacted]) \
             ServerToken([redacted]) JsapiTicket([redacted]) SessionKey([redacted]) \
             ServerTokenSecret([redacted]) UserTicket([redacted]) \
             MessageToken([redacted]) EncodingAesKey([redacted]) StorePassword([redacted])"
        );
        assert_eq!(Code::new(planted).expose(), planted);
    }

    #[test]
    fn a_secret_file_is_trimmed_and_an_empty_one_is_refused_by_name() {
        let folder = std::env::temp_dir().join(format!("wxgate-secret-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let good = folder.join("good.txt");
        let empty = folder.join("empty.txt");
        fs::write(&good, "0123\n").unwrap();
        fs::write(&empty, "\n").unwrap();

        assert_eq!(AppSecret::from_file(&good).unwrap().expose(), "0123");
        let error = AppSecret::from_file(&empty).unwrap_err().to_string();
        assert!(error.contains("empty.txt") && error.ends_with("is empty"), "{error}");
        assert_eq!(StorePassword::from_file(&good).unwrap().expose(), "0123");
        let error = StorePassword::from_file(&empty).unwrap_err().to_string();
        assert!(error.starts_with("the store's password in file "), "{error}");
        let given =
            AppSecret::from_file("0123456789abcdef0123456789abcdef").unwrap_err().to_string();
        assert!(!given.contains("0123"), "{given}");
        let error = AppSecret::from_file(folder.join("none.txt")).unwrap_err().to_string();
        assert!(error.contains("none.txt"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
