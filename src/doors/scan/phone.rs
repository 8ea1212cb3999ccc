//! The phone's side: signs its user in, says who wants to sign in where, and asks which number the desktop shows.

use super::{
    CODE, OPEN,
    code::Code,
    numbers::Numbers,
    pages::{ConfirmPage, ScanPage},
    record::{Record, Verdict, Whose},
};
use crate::{
    login::{
        Call, ClientAddr, Event, Gate, Known, Page, Reply, ReturnTo, ScanStep, WechatUser,
        is_inside, is_same_origin, parameter, parameters,
    },
    session::StoreError,
    wechat::Scope,
};

/// The parameter with the number that was tapped.
const NUMBER: &str = "n";
/// The parameter that says no.
const CANCEL: &str = "no";

/// A phone that has come with a code.
struct Visit<'a> {
    gate: &'a Gate,
    call: &'a Call<'a>,
    sealed: String,
    code: Code,
}

/// Opens a code: signs in without a word, and asks.
pub(super) async fn open(gate: &Gate, call: &Call<'_>) -> Reply {
    let visit = match Visit::of(gate, call) {
        Ok(visit) => visit,
        Err(page) => return Reply::door_page(*page),
    };
    let Some(user) = &call.user else {
        if visit.is_over() {
            return Reply::door_page(ScanPage::Expired);
        }
        return gate.begin(call.head, Scope::Base, &visit.address());
    };
    match visit.ask(user).await {
        Ok(reply) => reply,
        Err(error) => gate.store_down(&error),
    }
}

/// Takes the number that was tapped, or the no.
pub(super) async fn decide(gate: &Gate, call: &Call<'_>) -> Reply {
    let visit = match Visit::of(gate, call) {
        Ok(visit) => visit,
        Err(page) => return Reply::door_page(*page),
    };
    if !is_same_origin(&call.head.headers, gate.public_url()) {
        return Reply::door_page(ScanPage::CrossSite { back: visit.address().to_string() });
    }
    let Ok([number, cancel]) = parameters(call.query(), [NUMBER, CANCEL]) else {
        return Reply::page(Page::Malformed);
    };
    let number = match (number.map(|number| number.parse::<u8>()), cancel) {
        (Some(Ok(number)), None) => Some(number),
        (None, Some(_)) => None,
        _ => return Reply::page(Page::Malformed),
    };
    // Whatever comes of it, and whoever is not signed in any more, is told at the code's own address.
    let Some(user) = &call.user else { return Reply::see(&visit.address()) };
    match visit.answer(user, number).await {
        Ok(reply) => reply,
        Err(error) => gate.store_down(&error),
    }
}

impl<'a> Visit<'a> {
    /// A browser that is not WeChat's consumes nothing, whatever sign-in it has.
    fn of(gate: &'a Gate, call: &'a Call<'a>) -> Result<Self, Box<ScanPage>> {
        if !is_inside(&call.head.headers, false) {
            return Err(ScanPage::InWeChat.into());
        }
        let sealed = parameter(call.query(), CODE);
        let sealed = sealed.ok_or(Box::new(ScanPage::Unknown))?;
        let code = Code::open(gate, &sealed).ok_or(Box::new(ScanPage::Unknown))?;
        Ok(Self { gate, call, sealed, code })
    }

    fn record(&self) -> Record<'_> {
        Record { store: self.gate.store(), scan: &self.code.scan }
    }

    fn is_over(&self) -> bool {
        self.code.scan.is_over(self.gate.now())
    }

    /// The page for somebody who is signed in.
    async fn ask(&self, user: &WechatUser) -> Result<Reply, StoreError> {
        let verdict = self.record().verdict().await?;
        if verdict.is_none() && self.is_over() {
            return Ok(Reply::door_page(ScanPage::Expired));
        }
        match self.record().belongs_to(user.session().user().key()).await? {
            Whose::Foreign => return Ok(Reply::door_page(ScanPage::Taken)),
            Whose::NewlyOurs => self.gate.saw(Event::Scan { step: ScanStep::Scanned }),
            Whose::Ours => {}
        }
        if let Some(verdict) = verdict {
            return Ok(Reply::door_page(ScanPage::Decided(verdict)));
        }
        if !self.is_known_enough(user) {
            return Ok(self.gate.ask_first(&self.address()));
        }
        let url = |name, value: &str| self.url(&[(CODE, &*self.sealed), (name, value)]);
        let page = ConfirmPage {
            browser: self.code.browser,
            desktop: self.code.addr,
            phone: self.call.head.extensions.get::<ClientAddr>().copied(),
            numbers: Numbers::of(&self.code.scan.id)
                .all()
                .map(|number| (number, url(NUMBER, &number.to_string()))),
            cancel: url(CANCEL, "1"),
        };
        Ok(Reply::door_page(ScanPage::Confirm(page)))
    }

    /// Notes what somebody has tapped, or that it was a no, unless that is settled already.
    async fn answer(&self, user: &WechatUser, number: Option<u8>) -> Result<Reply, StoreError> {
        let told_there = Reply::see(&self.address());
        if self.is_over() || !self.is_known_enough(user) {
            return Ok(told_there);
        }
        if self.record().belongs_to(user.session().user().key()).await? == Whose::Foreign {
            return Ok(Reply::door_page(ScanPage::Taken));
        }
        let verdict = match number {
            None => Verdict::Cancelled,
            Some(number) if number == Numbers::of(&self.code.scan.id).right() => {
                Verdict::Confirmed(user.session().id())
            }
            Some(_) => Verdict::WrongNumber,
        };
        if self.record().decide(verdict).await? {
            let step = match verdict {
                Verdict::Confirmed(_) => ScanStep::Confirmed,
                Verdict::WrongNumber | Verdict::Cancelled => ScanStep::Refused,
            };
            if verdict == Verdict::WrongNumber {
                tracing::info!("a wrong number was tapped: a code may have been sent to somebody");
            }
            self.gate.saw(Event::Scan { step });
        }
        Ok(told_there)
    }

    fn is_known_enough(&self, user: &WechatUser) -> bool {
        !self.code.scan.userinfo || user.known() == Known::Profile
    }

    /// The address of the code, without anything that was tapped.
    fn address(&self) -> ReturnTo {
        let url = self.url(&[(CODE, &*self.sealed)]);
        ReturnTo::parse(&url, self.gate.public_url())
    }

    fn url(&self, parameters: &[(&str, &str)]) -> String {
        self.gate.endpoint(OPEN, parameters.iter().copied())
    }
}
