//! Where an upstream is, as an operator writes it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use http::{HeaderValue, Uri, uri::Authority};

/// Where an upstream is: `http://host[:port]`, `https://host[:port]`, `h2c://host[:port]`, `unix:/path/to/socket` or
/// `file:/path/to/directory`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamUrl(pub(super) Place);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Host(Scheme, Host),
    Unix(PathBuf),
    Files(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 or HTTP/1.1 over TLS, whichever the upstream prefers.
    Https,
    /// HTTP/2 from its first byte, without TLS.
    H2c,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http | Self::H2c => 80,
        }
    }
}

/// A host by name or by address, without brackets, and its port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) name: Box<str>,
    pub(super) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// An upstream and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamSpec {
    /// Where it is.
    pub url: UpstreamUrl,
    /// For `https`: a PEM file with the only certificate authorities to trust. Without it, the public ones.
    pub ca: Option<PathBuf>,
    /// For `file`: what a navigation gets where no file fits, as a path inside of the directory.
    pub fallback: Option<String>,
}

impl From<UpstreamUrl> for UpstreamSpec {
    fn from(url: UpstreamUrl) -> Self {
        Self { url, ca: None, fallback: None }
    }
}

impl FromStr for UpstreamUrl {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        parse(text).map(Self).map_err(|reason| InvalidUpstream { text: without_user(text), reason })
    }
}

fn parse(text: &str) -> Result<Place, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Place::Unix(local(path, "unix:/run/app.sock")?));
    }
    if let Some(path) = text.strip_prefix("file:") {
        return Ok(Place::Files(local(path, "file:/srv/h5")?));
    }
    if let Some(path) = text.strip_prefix("http://unix:") {
        return Err(format!("write unix:{path}"));
    }
    let Some((scheme, _)) = text.split_once("://") else { return Err(without_scheme(text)) };
    let scheme = match &*scheme.to_ascii_lowercase() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "h2c" => Scheme::H2c,
        "ws" => return Err("write http://, which takes WebSockets too".to_owned()),
        "wss" => return Err("write https://, which takes WebSockets too".to_owned()),
        "h2" | "http2" | "grpc" => {
            return Err("write h2c:// for HTTP/2 without TLS, or https://".to_owned());
        }
        _ => {
            return Err("it has to begin with http://, https://, h2c://, unix: or file:".to_owned());
        }
    };
    let uri: Uri = text.parse().map_err(|_| "it is not a URL".to_owned())?;
    let authority = uri.authority().ok_or("it names no host")?;
    if authority.as_str().contains('@') {
        return Err("a user name has no place here".to_owned());
    }
    let host = host(authority, scheme)?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(format!(
            "only host and port belong here: write {}://{authority}, and a path as the route's `rewrite`",
            scheme.as_str()
        ));
    }
    Ok(Place::Host(scheme, host))
}

fn host(authority: &Authority, scheme: Scheme) -> Result<Host, String> {
    let name = authority.host();
    let port = match authority.as_str()[name.len()..].strip_prefix(':') {
        None => Some(scheme.default_port()),
        Some(port) => port.parse().ok().filter(|port| *port != 0),
    };
    let port = port.ok_or("its port is not one: write a number from 1 to 65535")?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() {
        return Err("it names no host".to_owned());
    }
    Ok(Host { name: name.into(), port })
}

fn local(path: &str, example: &str) -> Result<PathBuf, String> {
    // `file:///srv/h5` is how browsers write it.
    let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    if path.is_empty() || path.starts_with("//") {
        return Err(format!("a path has to follow the colon: write {example}"));
    }
    Ok(path.into())
}

fn without_scheme(text: &str) -> String {
    if text.starts_with(['/', '.']) {
        format!("write file:{text} for a directory or unix:{text} for a socket")
    } else if !text.contains('@') && text.parse::<Authority>().is_ok() {
        format!("write http://{text}")
    } else {
        "write something like http://127.0.0.1:3000".to_owned()
    }
}

/// What stands before an `@` may be a password, so it is not repeated.
fn without_user(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((user, host)) => match user.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://***@{host}"),
            None => format!("***@{host}"),
        },
        None => text.to_owned(),
    }
}

impl UpstreamUrl {
    /// The same with a relative path of `unix:` or `file:` taken from `base`.
    pub fn resolve(self, base: &Path) -> Self {
        Self(match self.0 {
            Place::Unix(path) => Place::Unix(base.join(path)),
            Place::Files(path) => Place::Files(base.join(path)),
            host @ Place::Host(..) => host,
        })
    }

    /// Whether a gateway that listens on `addr` would be its own upstream.
    pub(in crate::gateway) fn is(&self, addr: SocketAddr) -> bool {
        let Place::Host(_, host) = &self.0 else { return false };
        let ip = match &*host.name {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            name => name.parse::<IpAddr>().ok(),
        };
        let same = |ip: IpAddr| ip == addr.ip() || (addr.ip().is_unspecified() && ip.is_loopback());
        host.port == addr.port() && ip.is_some_and(same)
    }

    /// Whether it has a certificate.
    pub(in crate::gateway) fn is_https(&self) -> bool {
        matches!(self.0, Place::Host(Scheme::Https, _))
    }

    /// The directory, where it is one.
    pub(in crate::gateway) fn folder(&self) -> Option<&Path> {
        if let Place::Files(folder) = &self.0 { Some(folder) } else { None }
    }

    /// What the upstream calls itself in a `Host` header. A socket or a directory has no such name.
    pub(in crate::gateway) fn host_header(&self) -> Option<HeaderValue> {
        let Place::Host(scheme, host) = &self.0 else { return None };
        let mut text = host.to_string();
        if host.port == scheme.default_port() {
            text.truncate(text.rfind(':').unwrap_or(text.len()));
        }
        HeaderValue::try_from(text).ok()
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Host(scheme, host) => write!(f, "{}://{host}", scheme.as_str()),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Files(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// A text that is not the address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the address of an upstream: {reason}")]
pub struct InvalidUpstream {
    text: String,
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_written_in_five_ways() {
        for (text, shown) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://app/", "http://app:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("https://app", "https://app:443"),
            ("HTTPS://app:8443", "https://app:8443"),
            ("h2c://app:50051", "h2c://app:50051"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:app.sock", "unix:app.sock"),
            ("unix:///run/app.sock", "unix:/run/app.sock"),
            ("file:/srv/h5", "file:/srv/h5"),
            ("file:///srv/h5", "file:/srv/h5"),
            ("file:dist", "file:dist"),
        ] {
            let url = text.parse::<UpstreamUrl>().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(shown.parse::<UpstreamUrl>().unwrap(), url);
        }
    }

    #[test]
    fn what_is_no_upstream_is_refused_with_what_to_write() {
        for (bad, advice) in [
            ("", "write something like http://127.0.0.1:3000"),
            ("127.0.0.1:3000", "write http://127.0.0.1:3000"),
            ("app:3000", "write http://app:3000"),
            ("/srv/h5", "write file:/srv/h5 "),
            ("ftp://app", "begin with http://"),
            ("wss://app", "write https://"),
            ("grpc://app", "write h2c://"),
            ("http://", "it is not a URL"),
            ("http://app/path", "write http://app, "),
            ("http://app?x", "only host and port"),
            ("http://app:", "its port"),
            ("http://app:0", "its port"),
            ("http://app:99999", "its port"),
            ("http://unix:/run/app.sock", "write unix:/run/app.sock"),
            ("unix:", "write unix:/run/app.sock"),
            ("unix://run/app.sock", "write unix:/run/app.sock"),
            ("file://srv/h5", "write file:/srv/h5"),
        ] {
            let refused = bad.parse::<UpstreamUrl>().unwrap_err().to_string();
            assert!(refused.contains(advice), "{bad}: {refused}");
            assert!(refused.starts_with(&format!("{bad:?} is not")), "{refused}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        for bad in ["http://user:hunter2@app", "user:hunter2@app", "http://a:hunter2@b@app/x"] {
            let refused = bad.parse::<UpstreamUrl>().unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
            assert!(refused.to_string().contains("***@app"), "{refused}");
        }
    }

    #[test]
    fn relative_paths_begin_where_the_configuration_is() {
        let resolved = |text: &str| {
            text.parse::<UpstreamUrl>().unwrap().resolve(Path::new("/etc/wxgate")).to_string()
        };
        assert_eq!(resolved("unix:app.sock"), "unix:/etc/wxgate/app.sock");
        assert_eq!(resolved("file:dist"), "file:/etc/wxgate/dist");
        assert_eq!(resolved("file:/srv/h5"), "file:/srv/h5");
        assert_eq!(resolved("http://app"), "http://app:80");
    }

    #[test]
    fn a_gateway_knows_itself_and_an_upstream_its_name() {
        let url = |text: &str| text.parse::<UpstreamUrl>().unwrap();
        let own = "127.0.0.1:8080".parse().unwrap();
        for own_url in ["http://127.0.0.1:8080", "https://localhost:8080", "h2c://127.0.0.1:8080"] {
            assert!(url(own_url).is(own), "{own_url}");
        }
        assert!(url("http://127.0.0.1:8080").is("0.0.0.0:8080".parse().unwrap()));
        for other in ["http://127.0.0.1:8081", "http://app:8080", "unix:/run/a:8080", "file:/"] {
            assert!(!url(other).is(own), "{other}");
        }
        for (text, name) in [
            ("http://app", Some("app")),
            ("http://app:443", Some("app:443")),
            ("https://app:443", Some("app")),
            ("https://[::1]", Some("[::1]")),
            ("https://[::1]:8443", Some("[::1]:8443")),
            ("unix:/run/app.sock", None),
        ] {
            let host = url(text).host_header();
            assert_eq!(host.as_ref().map(|host| host.to_str().unwrap()), name);
        }
    }
}
