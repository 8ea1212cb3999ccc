//! A browser in plain words, from what it says of itself: a hint for people, never a proof.

use http::{HeaderMap, header};

/// What each one says of itself. The first that fits: most also name those that they want to be taken for.
const BROWSERS: [(&str, &str); 10] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("QQBrowser", "QQ Browser"),
    ("QIHU", "360 Browser"),
    ("MetaSr", "Sogou Browser"),
    ("YaBrowser", "Yandex Browser"),
    ("Vivaldi", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 8] = [
    ("Windows", "Windows"),
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
];
/// Stands for one that is in no table.
const OTHER: u8 = 0xf;

/// A browser and the system that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Browser(u8);

impl Browser {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).map(http::HeaderValue::as_bytes);
        let agent = String::from_utf8_lossy(agent.unwrap_or_default());
        let place = |table: &[(&str, &str)]| {
            let at = table.iter().position(|(mark, _)| agent.contains(mark));
            at.and_then(|at| u8::try_from(at).ok()).unwrap_or(OTHER)
        };
        Self(place(&BROWSERS) << 4 | place(&SYSTEMS))
    }

    /// The byte that stands for it.
    pub(super) fn byte(self) -> u8 {
        self.0
    }

    /// What a byte stands for. Any byte stands for something.
    pub(super) fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// Its name, and the system's, as far as they are known.
    pub(super) fn names(self) -> (Option<&'static str>, Option<&'static str>) {
        let name = |table: &[(&str, &'static str)], at: u8| {
            table.get(usize::from(at)).map(|(_, name)| *name)
        };
        (name(&BROWSERS, self.0 >> 4), name(&SYSTEMS, self.0 & 0xf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(agent: &str) -> (Option<&'static str>, Option<&'static str>) {
        let mut headers = HeaderMap::new();
        headers
            .insert(header::USER_AGENT, http::HeaderValue::from_bytes(agent.as_bytes()).unwrap());
        let browser = Browser::of(&headers);
        assert_eq!(Browser::from_byte(browser.byte()), browser);
        browser.names()
    }

    #[test]
    fn a_browser_is_known_by_the_most_special_thing_that_it_says() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        for (agent, browser, system) in [
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/140.0 Safari/537.36"
                ),
                "Chrome",
                "Windows",
            ),
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0) {webkit} Chrome/140.0 Safari/537.36 Edg/140.0"
                ),
                "Edge",
                "Windows",
            ),
            (
                format!(
                    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Version/17.0 Safari/605.1"
                ),
                "Safari",
                "Mac",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into(),
                "Firefox",
                "Linux",
            ),
            (
                format!("Mozilla/5.0 (X11; CrOS x86_64) {webkit} Chrome/140.0 Safari/537.36"),
                "Chrome",
                "ChromeOS",
            ),
            (
                format!(
                    "Mozilla/5.0 (Linux; Android 14) {webkit} Chrome/140.0 Mobile Safari/537.36"
                ),
                "Chrome",
                "Android",
            ),
            (
                format!(
                    "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) {webkit} Version/17.0 Safari/604.1"
                ),
                "Safari",
                "iPad",
            ),
            (
                format!(
                    "Mozilla/5.0 (Windows NT 10.0) {webkit} Chrome/94.0 Safari/537.36 QQBrowser/13"
                ),
                "QQ Browser",
                "Windows",
            ),
        ] {
            assert_eq!(names(&agent), (Some(browser), Some(system)), "{agent}");
        }
        assert_eq!(names("curl/8.0"), (None, None));
        assert_eq!(names("\u{fffd} Windows"), (None, Some("Windows")));
        assert_eq!(Browser::of(&HeaderMap::new()).names(), (None, None));
        assert_eq!(Browser::from_byte(0xdd).names(), (None, None));
    }
}
