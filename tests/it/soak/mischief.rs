//! Those who do not: clients that hang up in the middle, that take their time, and that come in numbers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::ground::Ground;
use crate::world::Browser;

/// How long a head may take, as the gateways are set up, less a moment.
const HEAD: Duration = Duration::from_millis(2900);
/// Far longer than a gateway waits for what does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hangs up: in the head, in its body, in the answer, and on the way back from WeChat.
pub async fn hangs_up(ground: Arc<Ground>) {
    let head = "HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    while ground.again(60).await {
        let sent = match fastrand::u8(..5) {
            0 => "GET /page HT".to_owned(),
            1 => format!("POST /off/take {head}Content-Length: 100000\r\n\r\nonly this"),
            2 => format!("POST /off/take {head}Transfer-Encoding: chunked\r\n\r\n5\r\nhel"),
            3 => format!("GET /off/give/64 {head}\r\n"),
            _ => {
                leaves_on_the_way_back(&ground).await;
                continue;
            }
        };
        let mut stream = TcpStream::connect(ground.addr).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        if fastrand::bool() {
            let mut some = [0; 1024];
            timeout(Duration::from_millis(20), stream.read(&mut some)).await.ok();
        }
        if fastrand::bool() {
            // With a reset in place of an end.
            stream.set_zero_linger().unwrap();
        }
        ground.count("hung up");
    }
}

/// The sign-in goes on without its browser.
async fn leaves_on_the_way_back(ground: &Ground) {
    let browser = Browser::new(&ground.url, &format!("p{}", fastrand::u8(..10)));
    let start = ground.get(&browser, "/page").await;
    if !start.status.is_redirection() {
        return;
    }
    let back = ground.get(&browser, start.location()).await;
    if !back.status.is_redirection() {
        return;
    }
    let url = back.location().to_owned();
    let patience = Duration::from_millis(fastrand::u64(0..10));
    timeout(patience, ground.get(&browser, &url)).await.ok();
    ground.count("left on the way back");
}

/// Sends byte by byte, or reads so.
pub async fn is_slow(ground: Arc<Ground>) {
    while ground.again(100).await {
        let mut stream = TcpStream::connect(ground.addr).await.unwrap();
        let request = "GET /off/give/4 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        let (began, mut is_cut) = (Instant::now(), false);
        for piece in request.as_bytes().chunks(7) {
            is_cut |= stream.write_all(piece).await.is_err();
            sleep(Duration::from_millis(2)).await;
        }
        // On a machine that is busy with other things, even this one may take longer than it may.
        if began.elapsed() >= HEAD {
            ground.count("too slow");
            continue;
        }
        if is_cut {
            ground.wrong("a slow client is cut off too early".to_owned());
        }
        if fastrand::u8(..8) == 0 {
            // Never says what it wants: it is cut off, some time after the three seconds that it may take.
            let mut silent = TcpStream::connect(ground.addr).await.unwrap();
            silent.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
            let mut end = Vec::new();
            let told = timeout(PATIENCE, silent.read_to_end(&mut end)).await;
            ground.count("cut off");
            if told.is_err() {
                ground.wrong("a client that says nothing is waited for".to_owned());
            }
        }
        let (mut read, mut some) = (0, vec![0; 16 * 1024]);
        while let Ok(count @ 1..) = stream.read(&mut some).await {
            read += count;
            sleep(Duration::from_millis(1)).await;
        }
        ground.count("slow");
        if read < 4 * 64 * 1024 {
            ground.wrong(format!("a slow client has got {read} bytes"));
        }
    }
}

/// Many at once, who go without a word.
pub async fn floods(ground: Arc<Ground>) {
    while ground.again(1500).await {
        let mut streams = Vec::new();
        for _ in 0..50 {
            let mut stream = TcpStream::connect(ground.addr).await.unwrap();
            stream.write_all(b"GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
            streams.push(stream);
        }
        drop(streams);
        ground.count("flood");
    }
}
