//! Where the platform is: the host that people are sent to and the hosts that are called.

use url::{Host, Url};

const OPEN: &str = "https://open.weixin.qq.com";
const API: [&str; 5] = [
    "https://api.weixin.qq.com",
    "https://api2.weixin.qq.com",
    "https://sh.api.weixin.qq.com",
    "https://sz.api.weixin.qq.com",
    "https://hk.api.weixin.qq.com",
];

/// The addresses of the platform. The default is WeChat's own: `open.weixin.qq.com` and its five API hosts.
#[derive(Clone, Debug)]
pub struct Endpoints {
    open: String,
    open_is_loopback: bool,
    api: Vec<String>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            open: OPEN.to_owned(),
            open_is_loopback: false,
            api: API.map(str::to_owned).to_vec(),
        }
    }
}

impl Endpoints {
    /// Sends people to another host than `https://open.weixin.qq.com`, such as a simulator's.
    ///
    /// # Errors
    /// When `base` is not `https://host[:port]`; plain `http` is taken for a loopback address only.
    pub fn with_open(mut self, base: &str) -> Result<Self, InvalidEndpoint> {
        let url = check(base)?;
        self.open_is_loopback = is_loopback(&url);
        self.open = origin(&url);
        Ok(self)
    }

    /// Calls other hosts than WeChat's five. The first is preferred, the others are for when it cannot be reached.
    ///
    /// # Errors
    /// As [`Endpoints::with_open`], and when there is none.
    pub fn with_api<S: AsRef<str>>(
        mut self,
        bases: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidEndpoint> {
        let origin_of = |base: S| check(base.as_ref()).map(|url| origin(&url));
        self.api = bases.into_iter().map(origin_of).collect::<Result<_, _>>()?;
        if self.api.is_empty() {
            return Err(InvalidEndpoint { base: String::new(), reason: "at least one is needed" });
        }
        Ok(self)
    }

    pub(crate) fn open(&self) -> &str {
        &self.open
    }

    pub(crate) fn api(&self) -> &[String] {
        &self.api
    }

    /// Whether people are sent to this very machine, as with a simulator, which any browser can visit.
    pub fn open_is_loopback(&self) -> bool {
        self.open_is_loopback
    }
}

fn check(base: &str) -> Result<Url, InvalidEndpoint> {
    let refuse = |reason| InvalidEndpoint { base: base.to_owned(), reason };
    let url = Url::parse(base).map_err(|_| refuse("it is not a URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(refuse("plain http is only for a loopback address; write https://")),
        _ => return Err(refuse("it must start with https://")),
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("only scheme, host and port belong here"));
    }
    Ok(url)
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whether the URL's host is this machine by name or address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An address that the platform cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{base:?} cannot be an address of WeChat: {reason}")]
pub struct InvalidEndpoint {
    base: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in [
            "https://wx.example.com",
            "http://127.0.0.1:9090",
            "http://localhost:1/",
            "http://[::1]:2",
        ] {
            assert!(Endpoints::default().with_open(good).is_ok(), "{good}");
            assert!(Endpoints::default().with_api([good]).is_ok(), "{good}");
        }
        for bad in [
            "http://wx.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1:9090",
            "ftp://127.0.0.1",
            "https://wx.example.com/path",
            "https://user@wx.example.com",
            "wx.example.com",
        ] {
            assert!(Endpoints::default().with_open(bad).is_err(), "{bad}");
            assert!(Endpoints::default().with_api([bad]).is_err(), "{bad}");
        }
        assert!(Endpoints::default().with_api([""; 0]).is_err());
    }
}
