//! The two languages of the site, and which of them a visitor reads.

use std::cmp::Ordering;

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};

pub(super) const LANG_COOKIE: &str = "demo-lang";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lang {
    Zh,
    En,
}

impl Lang {
    /// `zh`, `zh-CN`, `en-GB`, …; nothing for a language that the site does not speak.
    pub(super) fn from_tag(tag: &str) -> Option<Self> {
        match tag.trim().split('-').next()?.to_ascii_lowercase().as_str() {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// What `Accept-Language` likes best. Who reads neither language gets English, and who says nothing Chinese.
    pub(super) fn preferred(headers: &HeaderMap) -> Self {
        let Some(accept) = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok())
        else {
            return Self::Zh;
        };
        let ranked = accept.split(',').filter_map(|range| {
            let (tag, rest) = range.split_once(';').unwrap_or((range, ""));
            let weight: f32 =
                rest.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse().ok())?;
            (weight > 0.0).then_some((Self::from_tag(tag)?, weight))
        });
        // Of equals, the first: `max_by` would take the last.
        ranked
            .reduce(|best, next| match next.1.partial_cmp(&best.1) {
                Some(Ordering::Greater) => next,
                _ => best,
            })
            .map_or(Self::En, |(lang, _)| lang)
    }

    pub(super) fn cookie(self, secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        format!(
            "{LANG_COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}",
            self.short()
        )
    }

    pub(super) fn short(self) -> &'static str {
        self.t("zh", "en")
    }

    pub(super) fn tag(self) -> &'static str {
        self.t("zh-CN", "en")
    }

    pub(super) fn is_chinese(self) -> bool {
        self == Self::Zh
    }

    /// One text in both languages, of which the page shows one.
    pub(super) fn t<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_follows_the_weights() {
        for (accept, lang) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("en;q=0.5, zh-Hant-TW;q=0.7", Lang::Zh),
            ("fr, en;q=0.3, zh;q=0.2", Lang::En),
            ("zh;q=0, en;q=0.1", Lang::En),
            ("en, zh", Lang::En),
            ("fr-FR", Lang::En),
            ("zh;q=nonsense", Lang::En),
        ] {
            let headers =
                HeaderMap::from_iter([(ACCEPT_LANGUAGE, accept.parse().expect("a value"))]);
            assert_eq!(Lang::preferred(&headers), lang, "{accept}");
        }
        assert_eq!(Lang::preferred(&HeaderMap::new()), Lang::Zh);
    }
}
