//! The pages of both screens.

use http::StatusCode;
use serde_json::json;

use super::{
    browser::Browser,
    record::Verdict,
    words::{self, Text, Words},
};
use crate::login::{
    ClientAddr, DoorPage, Tongue,
    pages::{Action, Live, PageView, Picture},
};

/// What the desktop's page does by itself.
const SCRIPT: &str = include_str!("scan.js");

/// A page of one of the two screens.
#[derive(Debug)]
pub(super) enum ScanPage {
    /// The desktop: a code, and what became of it.
    Code(CodePage),
    /// The desktop: the phone has said no.
    Refused { verdict: Verdict, again: String },
    /// The desktop: there is nothing to finish.
    Over { again: String },
    /// The phone: which number?
    Confirm(ConfirmPage),
    /// The phone: that was it.
    Decided(Verdict),
    /// The phone: another user was first.
    Taken,
    /// The phone: too late.
    Expired,
    /// The phone: no code of ours.
    Unknown,
    /// No phone, or not in WeChat.
    InWeChat,
    /// The phone: another site has sent the confirmation.
    CrossSite { back: String },
}

/// What the desktop's page has to know.
#[derive(Debug)]
pub(super) struct CodePage {
    pub(super) news: News,
    /// The code as a drawing.
    pub(super) picture: String,
    /// The addresses that it asks.
    pub(super) events: String,
    pub(super) fresh: String,
    pub(super) done: String,
    /// The same page again.
    pub(super) wait: String,
    /// And with a new code.
    pub(super) again: String,
}

/// How it stands, for the desktop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// One word of a fixed set.
    pub(super) state: &'static str,
    /// Tells one code from another.
    pub(super) code: String,
    /// The number to compare, once the code was scanned.
    pub(super) number: Option<String>,
}

/// What the phone's page has to say and to ask.
#[derive(Debug)]
pub(super) struct ConfirmPage {
    pub(super) browser: Browser,
    pub(super) desktop: Option<ClientAddr>,
    pub(super) phone: Option<ClientAddr>,
    /// Three numbers, and where each leads.
    pub(super) numbers: [(u8, String); 3],
    pub(super) cancel: String,
}

impl ScanPage {
    fn words(&self) -> Words {
        match self {
            Self::Code(_) => words::SCAN,
            Self::Refused { verdict: Verdict::WrongNumber, .. } => words::WRONG_DESK,
            Self::Refused { .. } => words::CANCELLED_DESK,
            Self::Over { .. } => words::OVER,
            Self::Confirm(_) => words::CONFIRM,
            Self::Decided(Verdict::Confirmed(_)) => words::CONFIRMED_PHONE,
            Self::Decided(Verdict::WrongNumber) => words::WRONG_PHONE,
            Self::Decided(Verdict::Cancelled) => words::CANCELLED_PHONE,
            Self::Taken => words::TAKEN,
            Self::Expired => words::EXPIRED,
            Self::Unknown => words::UNKNOWN,
            Self::InWeChat => words::IN_WECHAT,
            Self::CrossSite { .. } => words::CROSS_SITE,
        }
    }

    fn actions(&self, tongue: Tongue) -> Vec<Action> {
        match self {
            Self::Refused { again, .. } | Self::Over { again } => {
                vec![link(tongue, words::NEW_CODE, again)]
            }
            Self::Confirm(page) => {
                vec![Action { post: true, ..link(tongue, words::NOT_ME, &page.cancel) }]
            }
            Self::CrossSite { back } => vec![link(tongue, words::BACK, back)],
            _ => Vec::new(),
        }
    }
}

impl DoorPage for ScanPage {
    fn status(&self) -> StatusCode {
        match self {
            Self::Confirm(_) | Self::Decided(_) => StatusCode::OK,
            Self::Unknown | Self::Over { .. } => StatusCode::BAD_REQUEST,
            Self::Taken => StatusCode::CONFLICT,
            Self::Expired => StatusCode::GONE,
            Self::Code(_) | Self::Refused { .. } | Self::InWeChat | Self::CrossSite { .. } => {
                StatusCode::FORBIDDEN
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Code(_) => "scan",
            Self::Refused { .. } => "scan_refused",
            Self::Over { .. } => "scan_over",
            Self::Confirm(_) => "scan_confirm",
            Self::Decided(Verdict::Confirmed(_)) => "scan_confirmed",
            Self::Decided(Verdict::WrongNumber) => "scan_wrong_number",
            Self::Decided(Verdict::Cancelled) => "scan_cancelled",
            Self::Taken => "scan_taken",
            Self::Expired => "scan_expired",
            Self::Unknown => "unknown_scan",
            Self::InWeChat => "scan_in_wechat",
            Self::CrossSite { .. } => "cross_site_request",
        }
    }

    fn view<'a>(&self, tongue: Tongue, site: &'a str, nonce: &'a str) -> PageView<'a> {
        let Words { tone, title, text } = self.words();
        let plain = PageView {
            name: self.code(),
            lang: tongue.code(),
            tone,
            title: say(tongue, title),
            text: text.iter().map(|text| say(tongue, *text)).collect(),
            picture: None,
            facts: Vec::new(),
            choices: Vec::new(),
            actions: self.actions(tongue),
            live: None,
            details: Vec::new(),
            site,
            nonce,
        };
        match self {
            Self::Code(page) => PageView {
                picture: Some(Picture { src: page.picture.clone(), alt: words::PICTURE }),
                live: Some(page.live(tongue)),
                ..plain
            },
            Self::Confirm(page) => {
                PageView { facts: page.facts(tongue, site), choices: page.choices(), ..plain }
            }
            _ => plain,
        }
    }
}

impl News {
    /// As JSON, for scripts.
    pub(super) fn to_json(&self) -> serde_json::Value {
        json!({ "state": self.state, "code": self.code, "number": self.number })
    }
}

impl CodePage {
    fn live(&self, tongue: Tongue) -> Live {
        let texts = [
            ("waiting", words::WAITING),
            ("scanned", words::SCANNED),
            ("confirmed", words::CONFIRMED),
            ("cancelled", words::CANCELLED_HERE),
            ("wrong_number", words::WRONG_HERE),
            ("expired", words::EXPIRED_HERE),
            ("offline", words::OFFLINE),
        ];
        let of = |state: &str| texts.iter().find(|(name, _)| *name == state).map(|(_, text)| *text);
        let said: serde_json::Map<_, _> = texts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), say(tongue, *text).into()))
            .collect();
        let data = json!({
            "state": self.news.state,
            "code": self.news.code,
            "events": self.events,
            "fresh": self.fresh,
            "done": self.done,
            "texts": said,
        });
        Live {
            status: say(tongue, of(self.news.state).unwrap_or(words::WAITING)),
            number: self.news.number.clone(),
            data: data.to_string(),
            script: SCRIPT,
            again: link(tongue, words::NEW_CODE, &self.again),
            without_scripts: link(tongue, words::HAVE_CONFIRMED, &self.wait),
        }
    }
}

impl ConfirmPage {
    fn facts(&self, tongue: Tongue, site: &str) -> Vec<(&'static str, String)> {
        let browser = match (self.browser.names(), tongue) {
            ((Some(browser), Some(system)), Tongue::Chinese) => format!("{system} 上的 {browser}"),
            ((Some(browser), Some(system)), Tongue::English) => format!("{browser} on {system}"),
            ((Some(one), None) | (None, Some(one)), _) => one.to_owned(),
            ((None, None), _) => say(tongue, words::UNKNOWN_BROWSER).to_owned(),
        };
        let mut facts = vec![
            (say(tongue, words::SITE), site.to_owned()),
            (say(tongue, words::BROWSER), browser),
        ];
        if let Some(desktop) = self.desktop {
            let network = match self.phone.and_then(|phone| phone.is_near(desktop)) {
                Some(true) => say(tongue, words::SAME_NETWORK).to_owned(),
                Some(false) => format!("{}{}", say(tongue, words::OTHER_NETWORK), desktop.ip()),
                None => desktop.ip().to_string(),
            };
            facts.push((say(tongue, words::NETWORK), network));
        }
        facts
    }

    fn choices(&self) -> Vec<Action> {
        let choice = |(number, href): &(u8, String)| Action {
            label: number.to_string().into(),
            href: href.clone(),
            post: true,
        };
        self.numbers.iter().map(choice).collect()
    }
}

fn say(tongue: Tongue, (chinese, english): Text) -> &'static str {
    tongue.say(chinese, english)
}

fn link(tongue: Tongue, label: Text, href: &str) -> Action {
    Action { label: say(tongue, label).into(), href: href.to_owned(), post: false }
}
