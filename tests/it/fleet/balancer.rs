//! A balancer of connections: each goes to some gateway that takes it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

pub struct Balancer {
    addr: SocketAddr,
}

impl Balancer {
    /// Takes connections for as long as the test's runtime lives.
    pub async fn start(members: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (members, turn) = (Arc::new(members), AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let first = turn.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(relay(from, members.clone(), first));
            }
        });
        Self { addr }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

async fn relay(mut from: TcpStream, members: Arc<Vec<SocketAddr>>, first: usize) {
    for number in 0..members.len() {
        let member = members[(first + number) % members.len()];
        if let Ok(mut to) = TcpStream::connect(member).await {
            // Whoever is cut off sees it.
            copy_bidirectional(&mut from, &mut to).await.ok();
            return;
        }
    }
}
