//! Nothing that is in flight is cut when the gateway stops.

use tokio::time::{Instant, advance, sleep};

use super::*;

const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";

fn says_close(answer: &str) -> bool {
    answer.to_lowercase().contains("\r\nconnection: close\r\n")
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_its_connection_closed() {
    let served = Served::plain();
    let mut stream = served.connect().await;
    assert!(!says_close(&ask(&mut stream, "/").await));
    stream.write_all(SLOW).await.unwrap();
    served.app.has_arrived().await;
    served.phase.send_replace(Phase::Draining);
    served.is_closed().await;
    assert!(!served.serving.is_finished());
    served.app.release();
    let answer = read_answer(&mut stream).await;
    assert!(answer.ends_with("slow") && says_close(&answer), "{answer}");
    assert_eq!(rest(&mut stream).await, "");
    drop(stream);
    served.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn http2_streams_in_flight_are_answered() {
    let served = Served::plain();
    let (mut client, connection) = http2_client(served.connect().await).await;
    let mut other = client.clone();
    let slow =
        tokio::spawn(async move { text(other.send_request(get("/slow")).await.unwrap()).await });
    served.app.has_arrived().await;
    served.phase.send_replace(Phase::Draining);
    served.is_closed().await;
    // What was sent before the client has heard of it is answered as well.
    if let Ok(answer) = client.send_request(get("/")).await {
        assert_eq!(text(answer).await, "hello");
    }
    assert!(!served.serving.is_finished());
    served.app.release();
    assert_eq!(slow.await.unwrap(), "slow");
    connection.await.unwrap().unwrap();
    assert!(client.send_request(get("/")).await.is_err(), "it was told to go");
    served.serving.await.unwrap().unwrap();
}

/// The system has told them that they are connected; the listener has not seen them yet.
#[tokio::test]
async fn who_stands_in_the_queue_is_served() {
    let served = Served::plain();
    served.phase.send_replace(Phase::Draining);
    let mut streams = Vec::new();
    for _ in 0..20 {
        // Without a turn for the listener, which is on this very thread.
        let stream = std::net::TcpStream::connect(served.addr).unwrap();
        stream.set_nonblocking(true).unwrap();
        streams.push(TcpStream::from_std(stream).unwrap());
    }
    for stream in &mut streams {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    }
    for stream in &mut streams {
        let answer = read_answer(stream).await;
        assert!(answer.ends_with("hello") && says_close(&answer), "{answer}");
    }
    served.is_closed().await;
    drop(streams);
    served.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_waits_for_room_is_served_too() {
    let served = Served::with(1, LIMITS, None);
    let mut first = served.connect().await;
    first.write_all(SLOW).await.unwrap();
    served.app.has_arrived().await;
    let mut others = [served.connect().await, served.connect().await, served.connect().await];
    for other in &mut others {
        other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    }
    served.phase.send_replace(Phase::Draining);
    for other in &mut others {
        assert!(read_answer(other).await.ends_with("hello"));
    }
    served.app.release();
    assert!(read_answer(&mut first).await.ends_with("slow"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_a_moment() {
    let (mut client, alone) = alone();
    assert!(!says_close(&ask(&mut client, "/").await));
    alone.phase.send_replace(Phase::Draining);
    let since = Instant::now();
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(since.elapsed().as_secs(), 1);
    alone.serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_new_connection_is_closed_after_a_moment() {
    let (mut client, alone) = alone();
    task::yield_now().await;
    alone.phase.send_replace(Phase::Draining);
    let since = Instant::now();
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(since.elapsed().as_secs(), 1);
    alone.serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_again_meanwhile_is_answered() {
    let (mut client, alone) = alone();
    ask(&mut client, "/").await;
    alone.phase.send_replace(Phase::Draining);
    sleep(Duration::from_millis(900)).await;
    let answer = ask(&mut client, "/").await;
    assert!(answer.ends_with("hello") && says_close(&answer), "{answer}");
    assert_eq!(rest(&mut client).await, "");
    alone.serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_just_arriving_is_served() {
    for before in [0, 1, 2] {
        let (mut client, alone) = alone();
        for _ in 0..before {
            ask(&mut client, "/").await;
        }
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        sleep(Duration::from_millis(10)).await;
        alone.phase.send_replace(Phase::Draining);
        sleep(Duration::from_secs(5)).await;
        client.write_all(b"Host: a\r\n\r\n").await.unwrap();
        let answer = read_answer(&mut client).await;
        assert!(answer.ends_with("hello") && says_close(&answer), "{answer}");
        assert_eq!(rest(&mut client).await, "");
        alone.serving.await.unwrap();
    }
}

/// An answer that had begun before the word to stop cannot say that the connection ends.
#[tokio::test(start_paused = true)]
async fn an_answer_that_had_begun_is_finished() {
    let (mut client, alone) = alone();
    let (drops, receiver) = mpsc::channel(1);
    *alone.app.drops.lock().unwrap() = Some(receiver);
    client.write_all(b"GET /drip HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    drops.send("one").await.unwrap();
    sleep(Duration::from_millis(10)).await;
    alone.phase.send_replace(Phase::Draining);
    sleep(Duration::from_secs(20)).await;
    drops.send("two").await.unwrap();
    drop(drops);
    let answer = rest(&mut client).await;
    assert!(answer.contains("one") && answer.contains("two"), "{answer}");
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    alone.serving.await.unwrap();
}

#[tokio::test]
async fn what_outlives_its_answer_is_waited_for() {
    let served = Served::plain();
    let mut stream = served.connect().await;
    assert!(ask(&mut stream, "/keep").await.ends_with("kept"));
    drop(stream);
    served.phase.send_replace(Phase::Draining);
    served.is_closed().await;
    assert!(!served.serving.is_finished());
    served.app.kept.lock().unwrap().take();
    served.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_takes_too_long_is_cut() {
    let limits = Limits { drain: Duration::from_millis(20), ..LIMITS };
    let served = Served::with(100, limits, None);
    let mut stream = served.connect().await;
    stream.write_all(SLOW).await.unwrap();
    served.app.has_arrived().await;
    served.phase.send_replace(Phase::Draining);
    served.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_word_to_cut_ends_the_wait() {
    let served = Served::plain();
    let mut stream = served.connect().await;
    stream.write_all(SLOW).await.unwrap();
    served.app.has_arrived().await;
    served.phase.send_replace(Phase::Draining);
    served.is_closed().await;
    assert!(!served.serving.is_finished());
    served.phase.send_replace(Phase::Cut);
    served.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_gateway_that_is_dropped_lets_what_is_in_flight_finish() {
    let served = Served::plain();
    let mut stream = served.connect().await;
    stream.write_all(SLOW).await.unwrap();
    served.app.has_arrived().await;
    drop(served.phase);
    while TcpStream::connect(served.addr).await.is_ok() {
        task::yield_now().await;
    }
    served.app.release();
    assert!(read_answer(&mut stream).await.ends_with("slow"));
    drop(stream);
    served.serving.await.unwrap().unwrap();
}

/// Asks until nobody listens any more. A connection that was used before may be found closed; a new one may not.
async fn load(addr: SocketAddr) -> usize {
    let mut answered = 0;
    'connections: while let Ok(mut stream) = TcpStream::connect(addr).await {
        if stream.local_addr().unwrap() == addr {
            // Nobody was there, so the system has connected it to itself.
            break;
        }
        let mut is_new = true;
        loop {
            let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            let sent = stream.write_all(request).await;
            let first = match sent {
                Ok(()) => stream.read_u8().await,
                Err(error) => Err(error),
            };
            match first {
                Ok(_) => {}
                Err(_) if !is_new => continue 'connections,
                Err(error) => panic!("a new connection failed after {answered}: {error}"),
            }
            let answer = read_answer(&mut stream).await;
            assert!(answer.ends_with("hello"), "{answer}");
            (answered, is_new) = (answered + 1, false);
            if says_close(&answer) {
                continue 'connections;
            }
        }
    }
    answered
}

#[tokio::test]
async fn no_request_fails_while_a_busy_gateway_stops() {
    let served = Served::plain();
    let clients: Vec<_> = (0..16).map(|_| tokio::spawn(load(served.addr))).collect();
    let mut stream = served.connect().await;
    for _ in 0..50 {
        ask(&mut stream, "/").await;
    }
    served.phase.send_replace(Phase::Draining);
    for client in clients {
        assert!(client.await.unwrap() > 1);
    }
    drop(stream);
    served.serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_its_last_word_a_connection_does_not_wait_for_ever() {
    let (mut client, alone) = alone();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_answer(&mut client).await.ends_with("hello"));
    alone.serving.await.unwrap();
    client.write_all(b"still here").await.unwrap();
    task::yield_now().await;
    advance(Duration::from_secs(3)).await;
    task::yield_now().await;
    assert!(client.write_all(b"and now").await.is_err());
}
