//! `/_wx/follow-code`: the picture of the account's code, for those who are asked to follow the account.

use std::{fmt, io, path::Path};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method};

use crate::login::{Call, Door, Doorway, FOLLOW_CODE, Gate, Page, Reply};

/// What such pictures have: WeChat's own are of some ten thousand bytes.
const LARGEST: usize = 1024 * 1024;

/// Shows the account's code on the page for people who do not follow it, where a path is for
/// [followers only](crate::login::Demand::followers_only). WeChat's console has the picture (公众号二维码).
#[derive(Clone)]
pub struct FollowCode {
    picture: Bytes,
    kind: HeaderValue,
}

/// Why something is not a picture of a code.
#[derive(Debug, thiserror::Error)]
pub enum BadPicture {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is none of the kinds that every browser shows.
    #[error("it is not a PNG, JPEG or GIF picture")]
    UnknownKind,
    /// It is larger than a picture of a code.
    #[error("it is larger than 1 MiB")]
    TooLarge,
}

impl FollowCode {
    /// A PNG, JPEG or GIF picture.
    ///
    /// # Errors
    /// When it is none, or is larger than 1 MiB.
    pub fn new(picture: impl Into<Bytes>) -> Result<Self, BadPicture> {
        let picture = picture.into();
        if picture.len() > LARGEST {
            return Err(BadPicture::TooLarge);
        }
        let kinds: [(&[u8], _); 3] = [
            (b"\x89PNG\r\n\x1a\n", "image/png"),
            (b"\xff\xd8\xff", "image/jpeg"),
            (b"GIF8", "image/gif"),
        ];
        let known = kinds.into_iter().find(|(mark, _)| picture.starts_with(mark));
        let (_, kind) = known.ok_or(BadPicture::UnknownKind)?;
        Ok(Self { picture, kind: HeaderValue::from_static(kind) })
    }

    /// The same from a file.
    ///
    /// # Errors
    /// When it cannot be read, too.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, BadPicture> {
        Self::new(std::fs::read(path)?)
    }
}

impl fmt::Debug for FollowCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowCode").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl From<FollowCode> for Door {
    fn from(code: FollowCode) -> Self {
        Self::new(code)
    }
}

#[async_trait]
impl Doorway for FollowCode {
    fn is_at(&self, path: &str) -> bool {
        path == FOLLOW_CODE
    }

    async fn answer(&self, _: &Gate, call: Call<'_>) -> Reply {
        match call.head.method {
            Method::GET | Method::HEAD => Reply::picture(self.kind.clone(), self.picture.clone()),
            _ => Reply::page(Page::MethodNotAllowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_what_it_begins_with() {
        for (picture, kind) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], "image/png"),
            (b"\xff\xd8\xff\xe0...", "image/jpeg"),
            (b"GIF89a...", "image/gif"),
        ] {
            assert_eq!(FollowCode::new(picture).unwrap().kind, kind);
        }
        for other in [&b"<svg onload=alert(1)>"[..], b"<html>", b"", b"\x89PNG"] {
            assert!(matches!(FollowCode::new(other), Err(BadPicture::UnknownKind)));
        }
        let large = vec![0xff; LARGEST + 1];
        assert!(matches!(FollowCode::new(large), Err(BadPicture::TooLarge)));
    }
}
