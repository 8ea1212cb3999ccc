//! The parameters of a request: the query, and a form's body after it.

use url::form_urlencoded;

/// Names and values in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// Those of a query, and of a form after it.
    pub(super) fn parse_both(query: &[u8], form: &[u8]) -> Self {
        let mut params = Self::parse(query);
        params.0.extend(Self::parse(form).0);
        params
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn first(&self, wanted: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// The value, or `missing` where there is none or an empty one.
    pub(super) fn required<E>(&self, wanted: &str, missing: E) -> Result<&str, E> {
        self.first(wanted).filter(|value| !value.is_empty()).ok_or(missing)
    }
}
