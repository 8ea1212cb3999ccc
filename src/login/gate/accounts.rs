//! The accounts of a login beside its own: whose sessions are good here, and whose sign-ins lead here.

use http::request::Parts;

use super::{
    super::{
        decision::Endpoint,
        policy::Outside,
        request::{full_uri, parameter},
        start,
    },
    Gate,
};
use crate::wechat::AppId;

/// What stands for the website application of a login where an address names an account. No configuration can call an
/// account so.
const WEBSITE: &str = "~";

impl Gate {
    /// Whether sessions of an account are good here.
    pub(crate) fn accepts(&self, appid: &AppId) -> bool {
        *self.0.account.appid() == *appid
            || self.0.companions.contains(appid)
            || self.0.website.as_ref().is_some_and(|website| website.appid() == appid)
            || self.0.doors.iter().any(|door| door.way().vouches_for(appid))
    }

    /// The same login with the website application, whose sessions are kept in the same cookie. Made anew for each sign-in.
    pub(crate) fn website(&self) -> Option<Self> {
        let website = self.0.website.clone()?;
        let mut parameters = (*self.0).clone();
        parameters.companions.push(self.0.account.appid().clone());
        parameters.account = website;
        parameters.website = None;
        // They are there for the login itself.
        parameters.doors.clear();
        parameters.account_name = Some(WEBSITE.into());
        parameters.outside = Outside::Help;
        Some(Self::new(parameters))
    }

    /// This login with the account whose tokens a user has.
    pub(crate) fn of_account(&self, appid: &AppId) -> Option<Self> {
        if self.0.account.appid() == appid {
            return Some(self.clone());
        }
        self.website().filter(|website| website.account().appid() == appid)
    }

    /// The login with the website application, where that is what an endpoint's address names.
    pub(super) fn spoken_of(&self, head: &Parts) -> Option<Self> {
        self.0.website.as_ref()?;
        let uri = full_uri(head);
        Endpoint::named_by(uri.path())?;
        let name = parameter(uri.query().unwrap_or_default(), start::ACCOUNT)?;
        if name == WEBSITE { self.website() } else { None }
    }
}
