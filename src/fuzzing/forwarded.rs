//! Where a request comes from: no stranger's word changes it, and upstreams hear ours alone.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::input::{first_text, headers, values};
use crate::gateway::{
    client_address::{ClientAddress, TrustedProxies},
    proxy::{Forwarding, Length, tell},
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The first line is the peer's address, the others are the headers of its request.
pub fn forwarded(data: &[u8]) {
    let Some((peer, rest)) = first_text(data) else { return };
    let Ok(peer) = peer.trim().parse::<IpAddr>() else { return };
    let headers = headers(rest);
    let nets = ["10.0.0.0/8", "127.0.0.0/8", "fd00::/8"];
    let nets = nets.iter().map(|net| net.parse().expect("it is a network"));
    let trusted = TrustedProxies(nets.collect());

    let alone = TrustedProxies::default().client(&peer.into(), &headers);
    let alone = alone.expect("c13: nobody is believed, so nothing has to be read");
    assert_eq!(alone.ip, peer.to_canonical());
    let Ok(client) = trusted.client(&peer.into(), &headers) else {
        assert!(trusted.is_trusted(peer), "c13: a stranger's list is not read");
        return;
    };
    let chain = client.chain.to_str().expect("addresses are text");
    assert_eq!(chain.split(", ").next(), Some(&*client.ip.to_string()), "{chain}");
    assert_eq!(chain.rsplit(", ").next(), Some(&*peer.to_canonical().to_string()), "{chain}");
    if !trusted.is_trusted(peer) {
        assert_eq!(client, alone, "c13: a stranger speaks for itself");
    }
    no_prefix_counts(&trusted, peer, &headers, &client);
    no_other_header_counts(&trusted, peer, &headers, &client);
    upstreams_hear_ours(headers, &client);
}

/// What a client has put in front of what proxies wrote is not read.
fn no_prefix_counts(
    trusted: &TrustedProxies,
    peer: IpAddr,
    headers: &HeaderMap,
    client: &ClientAddress,
) {
    if trusted.is_trusted(client.ip) {
        // Nobody but proxies so far, so that the next one to the left would be the client.
        return;
    }
    let lines = values(headers, &FORWARDED_FOR);
    for forged in [&b"6.6.6.6"[..], b"10.0.0.9", b"nonsense", b"127.0.0.1, 10.0.0.9", b"\xff,,"] {
        let line = |bytes: &[u8]| HeaderValue::from_bytes(bytes).expect("it is a header value");
        let mut in_front = HeaderMap::new();
        in_front.append(FORWARDED_FOR, line(forged));
        for line in headers.get_all(FORWARDED_FOR) {
            in_front.append(FORWARDED_FOR, line.clone());
        }
        assert_eq!(trusted.client(&peer.into(), &in_front).as_ref(), Ok(client), "c15: {lines:?}");
        let Some((first, others)) = lines.split_first() else { continue };
        let mut same_line = HeaderMap::new();
        same_line.append(FORWARDED_FOR, line(&[forged, b",", first].concat()));
        for other in others {
            same_line.append(FORWARDED_FOR, line(other));
        }
        assert_eq!(trusted.client(&peer.into(), &same_line).as_ref(), Ok(client), "c15: {lines:?}");
    }
}

fn no_other_header_counts(
    trusted: &TrustedProxies,
    peer: IpAddr,
    headers: &HeaderMap,
    client: &ClientAddress,
) {
    let lines = headers.get_all(FORWARDED_FOR).iter();
    let only = lines.map(|line| (FORWARDED_FOR, line.clone())).collect();
    assert_eq!(trusted.client(&peer.into(), &only).as_ref(), Ok(client));
}

/// An upstream is told of the client once, by us.
fn upstreams_hear_ours(headers: HeaderMap, client: &ClientAddress) {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.headers = headers;
    head.headers.insert(header::HOST, HeaderValue::from_static("h5.example.com"));
    let forwarding = Forwarding {
        client,
        scheme: "https",
        underscores: true,
        host: None,
        request_id: &HeaderValue::from_static("id-of-ours"),
        identity: &(),
    };
    let mut told = HeaderMap::new();
    tell(&head, Length::NoBody, &forwarding, &mut told);
    let ip = client.ip.to_string();
    let said: [(&str, &[u8]); 5] = [
        ("x-forwarded-for", client.chain.as_bytes()),
        ("x-forwarded-host", b"h5.example.com"),
        ("x-forwarded-proto", b"https"),
        ("x-real-ip", ip.as_bytes()),
        ("x-request-id", b"id-of-ours"),
    ];
    for (name, value) in said {
        assert_eq!(values(&told, &HeaderName::from_static(name)), [value], "{name}");
    }
    for name in told.keys() {
        let plain: String = name
            .as_str()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let tells = ["x-forwarded-", "x-real-ip", "x-original-", "x-rewrite-", "x-request-id"];
        let tells = plain == "forwarded" || tells.iter().any(|tells| plain.starts_with(tells));
        assert!(!tells || said.iter().any(|(ours, _)| name == ours), "c13: {name}");
    }
}
