//! How often memory is asked for on the way of a request whose sender is signed in: a number that does not depend on how
//! busy the machine is. Stands alone, since it counts what the whole process does.

#![allow(clippy::print_stdout)] // For whoever wants to know the numbers.

#[path = "../benches/world/mod.rs"]
mod world;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Mutex, PoisonError},
    thread,
};

use dhat::HeapStats;
use tower::Service;
use wxgate::{
    Account, AppSecret, Origin, WechatLoginLayer,
    gateway::{Gateway, Settings},
    session::MemoryStore,
};

use world::{Known, at_once};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// What an app's request takes that passes the layer, beside what it takes without.
const LAYER: u64 = 6;
/// What the gateway takes to read a request, pass it on to the upstream and bring the answer back.
const GATEWAY: u64 = 17;

const REQUESTS: u64 = 1000;

/// There is one allocator, so that one test counts at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How often memory is asked for each time, to the nearest number and at the least over some rounds: what a round has more
/// is the test runner's, or something that happens now and then.
fn allocations(mut work: impl FnMut()) -> u64 {
    let round = || {
        let before = HeapStats::get().total_blocks;
        (0..REQUESTS).for_each(|_| work());
        HeapStats::get().total_blocks - before
    };
    let least = std::iter::repeat_with(round).take(5).min().unwrap();
    (least + REQUESTS / 2) / REQUESTS
}

#[test]
fn a_request_that_passes_the_layer() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut app = world::app();
    let (mut service, headers) = world::signed_in();
    let without = allocations(|| drop(at_once(app.call(world::request(&headers)))));
    let with = allocations(|| drop(at_once(service.call(world::request(&headers)))));
    let layer = with - without;
    println!("allocations of a request in the layer: {layer} (of {with} with the request itself)");
    assert_eq!(layer, LAYER, "if fewer, write the new number here");
}

#[test]
fn a_request_through_the_gateway() {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let _profiler = dhat::Profiler::builder().testing().build();
    let store = MemoryStore::new();
    let session = world::sign_in(&store, 1, Known::Whole).id();
    // Makes the calls to WeChat, of which there are none.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let (gateway, addr) = gateway(store, upstream());
    let mut request = b"GET /orders?id=1 HTTP/1.1\r\n".to_vec();
    for (name, value) in &world::headers(session) {
        let host = addr.to_string();
        let value = if name == "host" { host.as_bytes() } else { value.as_bytes() };
        request.extend([name.as_str().as_bytes(), b": ", value, b"\r\n"].concat());
    }
    let text = String::from_utf8(request).unwrap().replace("__Host-", "") + "\r\n";
    let mut stream = TcpStream::connect(addr).unwrap();
    let mut answer = [0; 4096];
    // Neither side of this test asks for memory while it counts.
    let mut ask = || {
        stream.write_all(text.as_bytes()).unwrap();
        let length = read_until(&mut stream, &mut answer, b"\r\n\r\nhello").unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    };
    (0..100).for_each(|_| ask());
    let gateway_s = allocations(&mut ask);
    println!("allocations of a request through the gateway: {gateway_s}");
    drop(gateway);
    assert_eq!(gateway_s, GATEWAY, "if fewer, write the new number here");
}

fn gateway(store: MemoryStore, upstream: SocketAddr) -> (Gateway, SocketAddr) {
    let account = Account::official_account(world::APPID, AppSecret::new("0".repeat(32))).unwrap();
    // Nobody signs in, so that nobody is sent there.
    let url = Origin::parse("http://127.0.0.1:1").unwrap();
    let login = WechatLoginLayer::with_store(account, url, store);
    let settings = Settings::new(login, format!("http://{upstream}").parse().unwrap());
    let gateway = Gateway::start(settings.listen("127.0.0.1:0".parse().unwrap()).cores(1)).unwrap();
    let addr = gateway.addr();
    (gateway, addr)
}

/// An app that says hello, and wants to know who is there.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut request = [0; 8192];
                while let Some(length) = read_until(&mut stream, &mut request, b"\r\n\r\n") {
                    let openid = b"x-wechat-openid: o6_";
                    let is_told = request[..length].windows(openid.len()).any(|it| it == openid);
                    let answer: &[u8] = if is_told {
                        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
                    } else {
                        b"HTTP/1.1 500 Nobody\r\ncontent-length: 5\r\n\r\nhello"
                    };
                    stream.write_all(answer).unwrap();
                }
            });
        }
    });
    addr
}

/// Reads up to what a message ends with. None where the other side closes instead.
fn read_until(stream: &mut TcpStream, buffer: &mut [u8], end: &[u8]) -> Option<usize> {
    let mut length = 0;
    while !buffer[..length].ends_with(end) {
        match stream.read(&mut buffer[length..]) {
            Ok(0) | Err(_) => return None,
            Ok(more) => length += more,
        }
    }
    Some(length)
}
