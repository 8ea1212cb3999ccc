//! Where a request comes from: the peer itself, or what proxies say that the operator trusts.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Far more trusted proxies than anybody puts in a row.
const MOST_HOPS: usize = 32;

/// The proxies in front of the gateway whose word counts. Without any, the client is always the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(pub(crate) Vec<IpNet>);

/// Who has sent a request, as far as it can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    pub(crate) ip: IpAddr,
    /// The client, then the trusted proxies that the request came through: what an upstream may be told.
    pub(crate) chain: HeaderValue,
}

/// A client that speaks for itself.
impl From<IpAddr> for ClientAddress {
    fn from(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self { ip, chain: written(&[ip]) }
    }
}

impl ClientAddress {
    /// The client's own address, as the chain has it.
    pub(crate) fn first_of_chain(&self) -> &[u8] {
        self.chain.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default()
    }
}

/// A trusted proxy has passed on a list of addresses that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unparsable {
    #[error("`X-Forwarded-For` has an entry that is not an address")]
    Hop,
    #[error("`X-Forwarded-For` has more than {MOST_HOPS} trusted proxies in a row")]
    TooLong,
}

impl TrustedProxies {
    pub(crate) fn is_trusted(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }

    /// The client of a request that came from `peer`. Only the part of the list that trusted proxies have written is
    /// read: what stands to the left of the first other address may be anybody's invention.
    pub(crate) fn client(
        &self,
        peer: &ClientAddress,
        headers: &HeaderMap,
    ) -> Result<ClientAddress, Unparsable> {
        let mut hops = hops(headers).peekable();
        if hops.peek().is_none() || !self.is_trusted(peer.ip) {
            return Ok(peer.clone());
        }
        let mut ip = peer.ip;
        let mut chain = vec![ip];
        for hop in hops {
            ip = address(hop).ok_or(Unparsable::Hop)?;
            chain.push(ip);
            if !self.is_trusted(ip) {
                break;
            }
            if chain.len() > MOST_HOPS {
                return Err(Unparsable::TooLong);
            }
        }
        Ok(ClientAddress { ip, chain: written(&chain) })
    }
}

/// The entries of all lines, as one list, the last one first.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty())
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let ip = match text.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) => match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            Some(inside) => IpAddr::V6(inside.parse().ok()?),
            None => text.parse::<SocketAddr>().ok()?.ip(),
        },
    };
    Some(ip.to_canonical())
}

fn written(chain: &[IpAddr]) -> HeaderValue {
    let text = match chain {
        [ip] => ip.to_string(),
        _ => chain.iter().rev().map(IpAddr::to_string).collect::<Vec<_>>().join(", "),
    };
    HeaderValue::try_from(text).expect("addresses are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusting(nets: &[&str]) -> TrustedProxies {
        TrustedProxies(nets.iter().map(|net| net.parse().unwrap()).collect())
    }

    fn client(
        trusted: &TrustedProxies,
        peer: &str,
        lines: &[&[u8]],
    ) -> Result<(String, String), Unparsable> {
        let line = |line: &&[u8]| (FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        let peer = peer.parse::<IpAddr>().unwrap().into();
        let client = trusted.client(&peer, &lines.iter().map(line).collect())?;
        Ok((client.ip.to_string(), client.chain.to_str().unwrap().to_owned()))
    }

    fn found(ip: &str, chain: &str) -> (String, String) {
        (ip.to_owned(), chain.to_owned())
    }

    #[test]
    fn c13_a_peer_that_nobody_trusts_speaks_for_itself_only() {
        let nobody = TrustedProxies::default();
        let some = trusting(&["10.0.0.0/8"]);
        for trusted in [&nobody, &some] {
            for said in [&b"1.2.3.4"[..], b"127.0.0.1, 10.0.0.1", b"nonsense", b"\xff"] {
                assert_eq!(
                    client(trusted, "192.0.2.7", &[said]),
                    Ok(found("192.0.2.7", "192.0.2.7"))
                );
            }
        }
        // The same list from a proxy that is trusted counts.
        assert_eq!(
            client(&some, "10.0.0.1", &[b"1.2.3.4"]),
            Ok(found("1.2.3.4", "1.2.3.4, 10.0.0.1"))
        );
        assert!(some.is_trusted("10.9.9.9".parse().unwrap()));
        assert!(!some.is_trusted("11.0.0.1".parse().unwrap()));
    }

    #[test]
    fn c15_the_list_is_read_from_the_right_up_to_the_first_stranger() {
        let trusted = trusting(&["10.0.0.0/8", "fd00::/8"]);
        for forged in ["", "6.6.6.6, ", "10.0.0.9, ", "nonsense, ", "10.0.0.9, nonsense,, "] {
            let list = format!("{forged}1.2.3.4, 10.0.0.2");
            assert_eq!(
                client(&trusted, "10.0.0.1", &[list.as_bytes()]),
                Ok(found("1.2.3.4", "1.2.3.4, 10.0.0.2, 10.0.0.1")),
                "{list}"
            );
        }
        // Several lines are one list.
        assert_eq!(
            client(&trusted, "fd00::1", &[b"6.6.6.6, 1.2.3.4", b"10.0.0.2"]),
            Ok(found("1.2.3.4", "1.2.3.4, 10.0.0.2, fd00::1"))
        );
        // Nobody but proxies: the outermost one is the client.
        assert_eq!(client(&trusted, "10.0.0.1", &[]), Ok(found("10.0.0.1", "10.0.0.1")));
        assert_eq!(client(&trusted, "10.0.0.1", &[b" , "]), Ok(found("10.0.0.1", "10.0.0.1")));
        assert_eq!(
            client(&trusted, "10.0.0.1", &[b"10.0.0.3, 10.0.0.2"]),
            Ok(found("10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1"))
        );
    }

    #[test]
    fn c16_a_hop_that_is_reached_and_cannot_be_read_is_refused() {
        let trusted = trusting(&["10.0.0.0/8"]);
        for bad in [
            &b"unknown"[..],
            b"_hidden",
            b"1.2.3",
            b"1.2.3.4:",
            b"1.2.3.4:99999",
            b"[::1",
            b"::1]",
            b"[1.2.3.4]",
            b"fe80::1%eth0",
            b"1.2.3.4 5.6.7.8",
            b"\"1.2.3.4\"",
            b"\xff",
            b"1.2.3.4, unknown, 10.0.0.2",
        ] {
            assert_eq!(client(&trusted, "10.0.0.1", &[bad]), Err(Unparsable::Hop), "{bad:?}");
        }
        let long = ["10.0.0.2"; MOST_HOPS].join(",");
        assert_eq!(client(&trusted, "10.0.0.1", &[long.as_bytes()]), Err(Unparsable::TooLong));
        let fits = ["10.0.0.2"; MOST_HOPS - 1].join(",");
        assert!(client(&trusted, "10.0.0.1", &[fits.as_bytes()]).is_ok());
    }

    #[test]
    fn an_address_is_read_in_every_spelling_of_it() {
        let trusted = trusting(&["10.0.0.0/8"]);
        for (hop, ip) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:80", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
        ] {
            let chain = format!("{ip}, 10.0.0.1");
            assert_eq!(
                client(&trusted, "::ffff:10.0.0.1", &[hop.as_bytes()]),
                Ok(found(ip, &chain))
            );
        }
    }
}
