//! The counters of one route, looked up once when the route is made and never on a request's path.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::metrics::{counter::Counter, family::Family};

use super::{Labels, histogram::Histogram};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Outcome {
    /// The upstream has answered it.
    Passed,
    /// We have sent the browser elsewhere.
    Redirected,
    /// We have told a script that somebody has to sign in.
    Unauthorized,
    /// We have refused this user, or another site's request.
    Forbidden,
    /// An endpoint or a page of ours has answered it.
    Own,
    /// We have refused it as it stands: another 4xx of ours.
    Refused,
    /// We could not do our part, or the upstream has not done its own: a 5xx of ours.
    Unavailable,
}

impl Outcome {
    pub(super) const ALL: [Self; 7] = [
        Self::Passed,
        Self::Redirected,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Own,
        Self::Refused,
        Self::Unavailable,
    ];

    /// The outcome of a request that got an answer of ours with this status.
    pub(in crate::gateway) fn of_own(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            _ if status.is_redirection() => Self::Redirected,
            _ if status.is_client_error() => Self::Refused,
            _ if status.is_server_error() => Self::Unavailable,
            _ => Self::Own,
        }
    }

    /// Its word in metrics and logs.
    pub(in crate::gateway) const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Redirected => "redirected",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Own => "own",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The families that know routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) requests: Family<Labels<3>, Counter>,
    pub(super) upstream_duration: Family<Labels<2>, Histogram>,
    pub(super) upstream_failures: Family<Labels<3>, Counter>,
}

/// The counters of one route. Made once for each route by [`Metrics::route`](super::Metrics::route).
#[derive(Clone, Debug)]
pub(in crate::gateway) struct RouteMetrics {
    requests: [Counter; Outcome::ALL.len()],
    upstream_duration: Histogram,
    upstream_failures: Family<Labels<3>, Counter>,
    labels: Labels<2>,
}

impl RouteMetrics {
    pub(super) fn new(routes: &Routes, labels: Labels<2>) -> Self {
        let [site, route] = labels.clone();
        Self {
            requests: Outcome::ALL.map(|outcome| {
                let outcome = ("outcome", outcome.as_str().into());
                routes.requests.get_or_create_owned(&[site.clone(), route.clone(), outcome])
            }),
            upstream_duration: routes.upstream_duration.get_or_create_owned(&labels),
            upstream_failures: routes.upstream_failures.clone(),
            labels,
        }
    }

    /// Counts a request that has got its answer's head.
    pub(in crate::gateway) fn count(&self, outcome: Outcome) {
        self.requests[outcome as usize].inc();
    }

    /// Counts how long the upstream took, from our first attempt to the head of its answer.
    pub(in crate::gateway) fn upstream_answered(&self, took: Duration) {
        self.upstream_duration.observe(took);
    }

    /// Counts an upstream that has not answered. `reason` is one word of a fixed set, such as
    /// [`Failure::code`](crate::gateway::proxy::Failure::code).
    pub(in crate::gateway) fn upstream_failed(&self, reason: &'static str) {
        let [site, route] = self.labels.clone();
        // Looked up here, since failures are rare and their reasons are the proxy's to name.
        self.upstream_failures.get_or_create(&[site, route, ("reason", reason.into())]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_own_counter() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at, "{outcome:?}");
        }
    }

    #[test]
    fn an_answer_of_ours_has_the_outcome_of_its_status() {
        for (status, outcome) in [
            (200, Outcome::Own),
            (302, Outcome::Redirected),
            (303, Outcome::Redirected),
            (400, Outcome::Refused),
            (401, Outcome::Unauthorized),
            (403, Outcome::Forbidden),
            (404, Outcome::Refused),
            (429, Outcome::Refused),
            (502, Outcome::Unavailable),
            (503, Outcome::Unavailable),
        ] {
            assert_eq!(Outcome::of_own(StatusCode::from_u16(status).unwrap()), outcome, "{status}");
        }
    }
}
