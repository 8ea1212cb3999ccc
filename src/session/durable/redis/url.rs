//! The url of a Redis, which names its servers and what kind of a Redis they make.

use std::{fmt, path::PathBuf, str::FromStr};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::secret::StorePassword;

/// Where a Redis is and how to log in there: one of
///
/// - `redis://[user:password@]host[:6379][/db]`: one server;
/// - `redis+sentinel://[user:password@]host[:26379],host.../master[/db]`: whichever server the sentinels call the master
///   of that name; user and password are those of the servers, and of the sentinels if these ask for any;
/// - `redis+cluster://[user:password@]host[:6379],host...`: a Redis Cluster, of which some nodes are named;
///
/// and the same with `rediss`, which is TLS: trusting the public authorities, or with `?ca=FILE` those of that file only.
/// What is special in a url is written percent-encoded in a user name and a password.
///
/// Neither `Display` nor `Debug` shows a user name or a password.
#[derive(Clone)]
pub struct RedisUrl {
    pub(super) kind: Kind,
    pub(super) is_tls: bool,
    pub(super) servers: Vec<Address>,
    pub(super) db: u16,
    pub(super) user: Option<Box<str>>,
    pub(super) password: Option<StorePassword>,
    pub(super) ca: Option<PathBuf>,
}

/// What the servers are to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Sentinel { master: Box<str> },
    Cluster,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    pub(super) host: Box<str>,
    pub(super) port: u16,
}

/// Why a text is no url of a Redis. Repeats nothing that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// It begins with something else.
    #[error(
        "the url of a redis begins with redis://, redis+sentinel:// or redis+cluster://, or for tls with rediss://, \
         rediss+sentinel:// or rediss+cluster://"
    )]
    Scheme,
    /// A character that ends a part of the url stands in the user name or the password.
    #[error(
        "a /, ? or # in the user name or the password has to be percent-encoded, and so has an @ behind the hosts; a \
         password may also be given apart from the url"
    )]
    Unencoded,
    /// The user name or the password has a percent sign that encodes nothing, or is not UTF-8.
    #[error("the user name and the password have to be UTF-8, percent-encoded")]
    NotUtf8,
    /// No host, or an empty one.
    #[error("the url names no host, or an empty one: write redis://127.0.0.1:6379")]
    NoHost,
    /// More than one host where there is one server.
    #[error("redis:// names one host; for several write redis+sentinel:// or redis+cluster://")]
    OneHost,
    /// Not a port.
    #[error("`{0}` is no port")]
    Port(String),
    /// No name of a master.
    #[error(
        "the name that the sentinels know the master by is missing: write it behind the hosts, /mymaster"
    )]
    NoMaster,
    /// Not a database.
    #[error("`{0}` is no number of a database")]
    Database(String),
    /// A path that means nothing.
    #[error(
        "`/{0}` behind the hosts means nothing: a redis cluster has one database, and other paths have one part"
    )]
    Path(String),
    /// A parameter that means nothing.
    #[error("`{0}` means nothing in the url of a redis; only rediss:// has a parameter, ca=FILE")]
    Parameter(String),
}

impl RedisUrl {
    /// Reads a url.
    ///
    /// # Errors
    /// When it is none, see [`RedisUrlError`].
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError::Scheme)?;
        let (is_tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (false, scheme.strip_prefix("redis").ok_or(RedisUrlError::Scheme)?),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        // Whatever is cut off here could be the rest of a password, so nothing of it may be told of.
        if tail.contains('@') {
            return Err(RedisUrlError::Unencoded);
        }
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (login, hosts),
            None => ("", authority),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.contains('#') || query.contains('#') {
            return Err(RedisUrlError::Unencoded);
        }
        let (kind, port, db) = match kind {
            "" => (Kind::Server, 6379, path),
            "+sentinel" => {
                let (master, db) = path.split_once('/').unwrap_or((path, ""));
                let master = decoded(master)?.ok_or(RedisUrlError::NoMaster)?;
                (Kind::Sentinel { master }, 26379, db)
            }
            "+cluster" if path.is_empty() => (Kind::Cluster, 6379, ""),
            "+cluster" => return Err(RedisUrlError::Path(path.to_owned())),
            _ => return Err(RedisUrlError::Scheme),
        };
        let servers = hosts.split(',').map(|host| Address::parse(host, port));
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        if kind == Kind::Server && servers.len() > 1 {
            return Err(RedisUrlError::OneHost);
        }
        Ok(Self {
            kind,
            is_tls,
            servers,
            db: database(db)?,
            user: decoded(user)?,
            password: decoded(password)?.map(StorePassword::new),
            ca: authority_file(query, is_tls)?,
        })
    }

    /// With a password that is not in the url. It takes the place of the one that is.
    pub fn with_password(mut self, password: StorePassword) -> Self {
        self.password = Some(password);
        self
    }

    /// The file of the authorities to trust, if not the public ones.
    pub fn ca(&self) -> Option<&std::path::Path> {
        self.ca.as_deref()
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        Self::parse(text)
    }
}

fn decoded(text: &str) -> Result<Option<Box<str>>, RedisUrlError> {
    let encodes = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !text.split('%').skip(1).all(encodes) {
        return Err(RedisUrlError::NotUtf8);
    }
    let text = percent_decode_str(text).decode_utf8().map_err(|_| RedisUrlError::NotUtf8)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

fn database(text: &str) -> Result<u16, RedisUrlError> {
    match text {
        "" => Ok(0),
        _ if text.contains('/') => Err(RedisUrlError::Path(text.to_owned())),
        _ => text.parse().map_err(|_| RedisUrlError::Database(text.to_owned())),
    }
}

fn authority_file(query: &str, is_tls: bool) -> Result<Option<PathBuf>, RedisUrlError> {
    if query.is_empty() {
        return Ok(None);
    }
    match query.split_once('=') {
        Some(("ca", file)) if is_tls && !file.is_empty() && !file.contains('&') => {
            Ok(decoded(file)?.map(|file| PathBuf::from(&*file)))
        }
        _ => Err(RedisUrlError::Parameter(query.split('=').next().unwrap_or(query).to_owned())),
    }
}

impl Address {
    fn parse(text: &str, default: u16) -> Result<Self, RedisUrlError> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => {
                let number = port.strip_prefix(':');
                (
                    host,
                    Some(number.ok_or_else(|| {
                        RedisUrlError::Port("what follows the bracket".to_owned())
                    })?),
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() {
            return Err(RedisUrlError::NoHost);
        }
        let number = port.map_or(Ok(default), str::parse);
        match number {
            Ok(port) if port != 0 => Ok(Self { host: host.into(), port }),
            // It may be a password that has lost its `@`.
            _ => Err(RedisUrlError::Port(
                port.filter(|port| port.bytes().all(|b| b.is_ascii_digit()))
                    .unwrap_or("what follows the colon")
                    .to_owned(),
            )),
        }
    }

    /// Reads what a node of a cluster tells: `host:port`, where an empty host is the node's own and an IPv6 address has no
    /// brackets.
    pub(super) fn told(text: &str, own: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = if host.is_empty() || host == "?" { own } else { host };
        Some(Self { host: host.into(), port: port.parse().ok()? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

const IN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'/').add(b'?').add(b'#').add(b'%').add(b'@');

const IN_FILE: &AsciiSet = &CONTROLS.add(b' ').add(b'?').add(b'#').add(b'%').add(b'@').add(b'&');

impl fmt::Display for RedisUrl {
    /// The url without user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Server => "",
            Kind::Sentinel { .. } => "+sentinel",
            Kind::Cluster => "+cluster",
        };
        write!(f, "redis{}{kind}://", if self.is_tls { "s" } else { "" })?;
        for (at, server) in self.servers.iter().enumerate() {
            write!(f, "{}{server}", if at > 0 { "," } else { "" })?;
        }
        if let Kind::Sentinel { master } = &self.kind {
            write!(f, "/{}", utf8_percent_encode(master, IN_PATH))?;
        }
        if self.db > 0 {
            write!(f, "/{}", self.db)?;
        }
        match &self.ca {
            Some(file) => {
                let file = file.to_string_lossy();
                write!(f, "?ca={}", utf8_percent_encode(&file, IN_FILE))
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        RedisUrl::parse(text).unwrap().to_string()
    }

    #[test]
    fn a_url_is_read_in_each_form() {
        let url = RedisUrl::parse("redis://wx:p%40ss%2F:word@[::1]:7000/3").unwrap();
        assert_eq!((url.user.as_deref(), url.db), (Some("wx"), 3));
        assert_eq!(url.password.as_ref().unwrap().expose(), "p@ss/:word");
        assert_eq!(shown("redis://localhost"), "redis://localhost:6379");
        assert_eq!(
            shown("rediss://h.example/0?ca=/etc/ca.pem"),
            "rediss://h.example:6379?ca=/etc/ca.pem"
        );
        assert_eq!(
            shown("redis+sentinel://:secret@a,b:7/my%20master/2"),
            "redis+sentinel://a:26379,b:7/my%20master/2"
        );
        assert_eq!(shown("rediss+cluster://a:1,[fe80::1]:2"), "rediss+cluster://a:1,[fe80::1]:2");
        for text in ["redis://[::1]:7000/3", "rediss+sentinel://a:1,b:2/m%2Fn/4?ca=a%20b"] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn a_url_that_is_none_is_refused_with_its_reason() {
        for (text, reason) in [
            ("localhost:6379", RedisUrlError::Scheme),
            ("http://localhost", RedisUrlError::Scheme),
            ("redis+other://localhost", RedisUrlError::Scheme),
            ("redis://", RedisUrlError::NoHost),
            ("redis://:6379", RedisUrlError::NoHost),
            ("redis+cluster://a,,b", RedisUrlError::NoHost),
            ("redis://a,b", RedisUrlError::OneHost),
            ("redis://a:b", RedisUrlError::Port("what follows the colon".to_owned())),
            ("redis://a:0", RedisUrlError::Port("0".to_owned())),
            ("redis://a:99999", RedisUrlError::Port("99999".to_owned())),
            ("redis://a/b", RedisUrlError::Database("b".to_owned())),
            ("redis://a/1/2", RedisUrlError::Path("1/2".to_owned())),
            ("redis+sentinel://a", RedisUrlError::NoMaster),
            ("redis+cluster://a/1", RedisUrlError::Path("1".to_owned())),
            ("redis://a?ca=f", RedisUrlError::Parameter("ca".to_owned())),
            ("rediss://a?insecure=1", RedisUrlError::Parameter("insecure".to_owned())),
            ("redis://u:%zz@a", RedisUrlError::NotUtf8),
            ("redis://u:%ff@a", RedisUrlError::NotUtf8),
        ] {
            assert_eq!(RedisUrl::parse(text).unwrap_err(), reason, "{text}");
        }
    }

    #[test]
    fn w10_no_part_of_a_password_shows() {
        let planted = "pla/nt?ed#7@c%1f";
        let encoded = "pla%2Fnt%3Fed%237%40c%251f";
        let url = RedisUrl::parse(&format!("redis://{encoded}:{encoded}@a:1/2")).unwrap();
        assert_eq!(url.password.as_ref().unwrap().expose(), planted);
        assert_eq!(format!("{url} {url:?}"), "redis://a:1/2 RedisUrl(redis://a:1/2)");
        let apart = RedisUrl::parse("redis://a:1").unwrap();
        let apart = apart.with_password(StorePassword::new(planted));
        assert!(!format!("{apart}{apart:?}").contains("pla"));
        for wrong in [
            format!("redis://u:{planted}@a"),
            "redis://:planted/7@a".to_owned(),
            "redis://:planted?7@a".to_owned(),
            "redis://:planted#7@a:1".to_owned(),
            "redis://:planted%@a".to_owned(),
            "redis://:planted@a:x".to_owned(),
            "redis://u:planted".to_owned(),
            "redis://[::1]planted".to_owned(),
        ] {
            let error = format!("{0} {0:?}", RedisUrl::parse(&wrong).unwrap_err());
            assert!(!error.contains("pla"), "{error}");
        }
    }
}
