//! How long clients may take, with a clock that is moved.

use tokio::time::{Instant, advance, sleep, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// How long it takes until the other side closes, which is all that it says.
async fn closed_after(io: &mut DuplexStream) -> u64 {
    let since = Instant::now();
    assert_eq!(io.read(&mut [0; 64]).await.unwrap(), 0, "nothing is said");
    since.elapsed().as_secs()
}

/// Says one byte a second for as long as the other side listens.
async fn drip(mut io: DuplexStream, bytes: &[u8]) -> u64 {
    let since = Instant::now();
    for byte in bytes.iter().cycle() {
        if io.write_all(&[*byte]).await.is_err() || timeout(SECOND, io.read_u8()).await.is_ok() {
            break;
        }
    }
    since.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed() {
    let (mut client, _alone) = alone();
    assert_eq!(closed_after(&mut client).await, 15);
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_cut_and_a_slow_one_is_served() {
    let (mut client, _alone) = alone();
    client.write_all(b"GET / HTTP/1.1\r\nHost").await.unwrap();
    assert_eq!(closed_after(&mut client).await, 15);

    let (mut client, _alone) = alone();
    sleep(7 * SECOND).await;
    client.write_all(b"GET / HTTP/1.1\r\nHost").await.unwrap();
    sleep(7 * SECOND).await;
    client.write_all(b": a\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut client).await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_does_not_buy_time() {
    let (client, _alone) = alone();
    assert_eq!(drip(client, b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 1\r\n").await, 15);
    // Nor with what could still become HTTP/2.
    let (client, _alone) = alone();
    assert_eq!(drip(client, b"PRI * HTTP/2.0\r\n\r\nSM").await, 15);
}

#[tokio::test(start_paused = true)]
async fn a_connection_between_requests_may_rest_longer() {
    let (mut client, _alone) = alone();
    assert!(ask(&mut client, "/").await.ends_with("hello"));
    sleep(secs(299)).await;
    assert!(ask(&mut client, "/").await.ends_with("hello"));
    assert_eq!(closed_after(&mut client).await, 300);
}

#[tokio::test(start_paused = true)]
async fn the_next_head_has_no_more_time_than_the_first() {
    let (mut client, _alone) = alone();
    ask(&mut client, "/").await;
    sleep(secs(120)).await;
    client.write_all(b"GET").await.unwrap();
    assert_eq!(closed_after(&mut client).await, 15);

    let (mut client, _alone) = alone();
    ask(&mut client, "/").await;
    sleep(secs(295)).await;
    assert_eq!(drip(client, b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n").await, 15);

    let (mut client, _alone) = alone();
    ask(&mut client, "/").await;
    sleep(secs(295)).await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    sleep(14 * SECOND).await;
    client.write_all(b"Host: a\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut client).await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_and_a_slow_answer_are_not_heads() {
    let (mut client, alone) = alone();
    client.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").await.unwrap();
    for _ in 0..3 {
        sleep(secs(600)).await;
        client.write_all(b"x").await.unwrap();
    }
    assert!(read_answer(&mut client).await.ends_with("3 bytes"));
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    alone.app.has_arrived().await;
    sleep(secs(600)).await;
    alone.app.release();
    assert!(read_answer(&mut client).await.ends_with("slow"));
}

#[tokio::test(start_paused = true)]
async fn http2_needs_more_than_its_first_words() {
    let (mut client, alone) = alone();
    let since = Instant::now();
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    // The gateway says its settings and asks whether anybody is there, then gives up.
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert!(!said.is_empty());
    assert_eq!(since.elapsed().as_secs(), 80);
    alone.serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_closed() {
    let (client, _alone) = alone();
    let since = Instant::now();
    let (mut client, connection) = http2_client(client).await;
    sleep(secs(200)).await;
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "hello");
    connection.await.unwrap().unwrap();
    assert_eq!(since.elapsed().as_secs(), 500);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_its_time_keeps_http2_open() {
    let (client, alone) = alone();
    let (drops, receiver) = mpsc::channel(1);
    *alone.app.drops.lock().unwrap() = Some(receiver);
    let (mut client, connection) = http2_client(client).await;
    let mut answer = client.send_request(get("/drip")).await.unwrap().into_body();
    for text in ["one", "two"] {
        sleep(secs(1000)).await;
        drops.send(text).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), text);
    }
    let since = Instant::now();
    drop(drops);
    assert!(answer.collect().await.unwrap().to_bytes().is_empty());
    connection.await.unwrap().unwrap();
    assert_eq!(since.elapsed().as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_leave_http2_is_cut_off() {
    let (mut client, alone) = alone();
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    task::yield_now().await;
    advance(SECOND).await;
    let since = Instant::now();
    alone.phase.send_replace(Phase::Draining);
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert!(!said.is_empty());
    assert_eq!(since.elapsed().as_secs(), 10);
}
