//! Scheme, host and port of a site that may be trusted with secrets: https, or plain http on this very machine.

use std::{fmt, str::FromStr};

use url::{Host, Url};

/// An origin such as `https://h5.example.com`. Plain `http` is taken for loopback addresses only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    url: Url,
    text: Box<str>,
}

impl Origin {
    /// Takes an origin in: scheme, host and, where it is not the scheme's own, port.
    ///
    /// # Errors
    /// When something else than these is there, or plain `http` leads to another machine.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let refuse = |reason| InvalidOrigin { text: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|_| refuse("it is not a URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(refuse("plain http is for a loopback address only; write https://"));
            }
            _ => return Err(refuse("it has to begin with https://")),
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("only scheme, host and port belong here"));
        }
        let text = url.origin().ascii_serialization().into();
        Ok(Self { url, text })
    }

    /// `scheme://host[:port]`, in lower case, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// `host[:port]`.
    pub fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Whether it is on https.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it is this very machine, by address or by name.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Whether a `Host` header names this origin: compared in lower case, without a dot at the end, and without the
    /// scheme's own port.
    pub fn is_named_by(&self, host: &str) -> bool {
        if host.eq_ignore_ascii_case(self.authority()) {
            return true;
        }
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, port),
            _ => (host, ""),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        // A number that is no port is not left out: it names nobody.
        let port = if port.is_empty() { Ok(self.default_port()) } else { port.parse::<u16>() };
        self.url.host_str().is_some_and(|own| name.eq_ignore_ascii_case(own))
            && port == Ok(self.url.port().unwrap_or(self.default_port()))
    }

    fn default_port(&self) -> u16 {
        if self.is_secure() { 443 } else { 80 }
    }

    /// The origin as a base for references.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        Self::parse(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A text that is not an origin, or one that secrets must not be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not usable as an origin such as https://h5.example.com: {reason}")]
pub struct InvalidOrigin {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in [
            "https://wx.example.com",
            "https://WX.example.com:8443/",
            "http://127.0.0.1:9090",
            "http://localhost:1/",
            "http://[::1]:2",
        ] {
            assert!(Origin::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://wx.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1:9090",
            "ftp://127.0.0.1",
            "https://wx.example.com/path",
            "https://wx.example.com?a=1",
            "https://user@wx.example.com",
            "wx.example.com",
            "",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn c28_a_host_is_compared_in_its_canonical_form() {
        let origin = Origin::parse("https://h5.Example.com").unwrap();
        assert_eq!(origin.as_str(), "https://h5.example.com");
        for same in ["h5.example.com", "H5.EXAMPLE.COM", "h5.example.com.", "h5.example.com:443"] {
            assert!(origin.is_named_by(same), "{same}");
        }
        for other in [
            "example.com",
            "h5.example.com:80",
            "xh5.example.com",
            "h5.example.com..",
            "h5.example.com:x",
            "h5.example.com:99999",
            "",
        ] {
            assert!(!origin.is_named_by(other), "{other}");
        }
        for same in ["h5.example.com:", "h5.example.com.:443"] {
            assert!(origin.is_named_by(same), "{same}");
        }
        let plain = Origin::parse("http://localhost").unwrap();
        assert!(plain.is_named_by("localhost:80") && !plain.is_named_by("localhost:443"));
        let local = Origin::parse("http://[::1]:8080").unwrap();
        assert!(local.is_named_by("[::1]:8080") && !local.is_named_by("[::1]"));
        let punycode = Origin::parse("https://例子.example").unwrap();
        assert!(punycode.is_named_by("xn--fsqu00a.example"));
    }
}
