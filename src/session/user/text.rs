//! What is known of a user as text: as it is, and as headers tell it.

use std::borrow::Cow;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::UserKey;
use crate::wechat::AppId;

/// What JavaScript's `decodeURIComponent` and every other decoder undoes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// A URL keeps its own characters; only what a header cannot hold is encoded.
const URL: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// What is known of a user as text, in one piece of memory: there is one for every user who is signed in, and pieces of
/// their own would take several times as much.
#[derive(Debug)]
pub(super) struct Text {
    /// The subject, then each [`Part`] as headers tell it, then as it is, where that differs.
    all: Box<str>,
    /// Where the subject ends and each part that is told, and where the parts end that differ, but for the last one.
    ends: [u32; 6],
}

#[derive(Clone, Copy)]
pub(super) enum Part {
    Nickname,
    Avatar,
    Phone,
}

impl Text {
    pub(super) fn new(
        key: &UserKey,
        nickname: Option<&str>,
        avatar: Option<&str>,
        phone: Option<&str>,
    ) -> Self {
        let known = [nickname, avatar, phone].map(Option::unwrap_or_default);
        let told: [Cow<'_, str>; 3] = [
            utf8_percent_encode(known[0], COMPONENT).into(),
            utf8_percent_encode(known[1], URL).into(),
            // Of this nobody has said what may be in it.
            Some(known[2])
                .filter(|it| HeaderValue::from_str(it).is_ok())
                .unwrap_or_default()
                .into(),
        ];
        let differs =
            known.iter().zip(&told).map(|(known, told)| if known == told { "" } else { *known });
        let subject = key.to_string();
        let parts = told.iter().map(|told| &**told).chain(differs);
        // Not a byte more than it takes.
        let length = subject.len() + parts.clone().map(str::len).sum::<usize>();
        let mut all = String::with_capacity(length);
        let mut ends = Vec::with_capacity(7);
        for part in [&*subject].into_iter().chain(parts) {
            all.push_str(part);
            ends.push(u32::try_from(all.len()).expect("nobody has a name of gigabytes"));
        }
        Self { all: all.into(), ends: *ends.first_chunk().expect("there are seven") }
    }

    /// `appid:openid`
    pub(super) fn subject(&self) -> &str {
        &self.all[..self.end(0)]
    }

    /// Appid and openid.
    pub(super) fn identifiers(&self) -> (&str, &str) {
        let (appid, openid) = self.subject().split_at(AppId::LENGTH);
        (appid, &openid[1..])
    }

    /// A part as headers tell it. Empty where nothing is known.
    pub(super) fn told(&self, part: Part) -> &str {
        self.between(part as usize)
    }

    /// A part as it is, where something is known.
    pub(super) fn known(&self, part: Part) -> Option<&str> {
        let known = [self.between(part as usize + 3), self.told(part)];
        known.into_iter().find(|text| !text.is_empty())
    }

    fn between(&self, at: usize) -> &str {
        &self.all[self.end(at)..self.end(at + 1)]
    }

    fn end(&self, at: usize) -> usize {
        self.ends.get(at).map_or(self.all.len(), |end| *end as usize)
    }
}
