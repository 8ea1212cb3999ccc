//! What a store over Redis answers while its Redis is down, slow, cut off, failing over or moving keys about.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::cmd;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};
use wxgate::session::{
    KeyRing, Lease, Lookup, SessionId, Store, StoreError,
    durable::{DurableStore, Records},
};

use super::{
    redis::{hears, instances, records, sign_in, try_sign_in},
    redis_server::{Cluster, ENCODED, PASSWORD, Server, Watched, until},
};

/// No operation takes longer, with some more for a busy machine.
const LONGEST: Duration = Duration::from_millis(2_600);
const MINUTE: Duration = Duration::from_secs(60);

/// What an operation has failed with, and that it did not take long.
async fn fails<T>(operation: impl Future<Output = Result<T, StoreError>>) -> String {
    let begun = Instant::now();
    let error = operation.await.err().expect("it cannot be known, so it is an error");
    let took = begun.elapsed();
    assert!(took < LONGEST, "it took {took:?} until: {error}");
    error.to_string()
}

#[tokio::test]
async fn c42_a_redis_that_is_killed_is_an_error_and_has_everything_when_it_is_back() {
    let mut server = Server::start_durable().await;
    let [store] = instances(&server.url());
    let once = records(&server.url());
    let id = sign_in(&store, "o1").await;
    assert!(store.save_app_data(id, Arc::from(*b"basket")).await.unwrap());
    assert!(once.claim("code", MINUTE).await.unwrap());
    hears(&store, id).await;

    server.kill();
    for said in [
        fails(store.load(id)).await,
        fails(store.remove(id)).await,
        fails(store.load_app_data(id)).await,
        fails(try_sign_in(&store, "o1")).await,
        fails(once.claim("code", MINUTE)).await,
        fails(once.outcome("code")).await,
    ] {
        assert!(said.contains("cannot be reached") || said.contains("has broken"), "{said}");
    }
    until("no copy is used", async || matches!(store.peek(id), Lookup::Unknown)).await;

    server.restart().await;
    assert!(store.load(id).await.unwrap().is_some());
    assert_eq!(store.load_app_data(id).await.unwrap().as_deref(), Some(&b"basket"[..]));
    assert!(!once.claim("code", MINUTE).await.unwrap(), "what is claimed stays claimed");
    hears(&store, id).await;
}

#[tokio::test]
async fn a_redis_that_comes_up_later_is_used_then() {
    let mut server = Server::start().await;
    server.kill();
    let [store] = instances(&server.url());
    let said = fails(store.load(SessionId::new())).await;
    assert!(said.contains("cannot be reached: connection refused"), "{said}");
    server.restart().await;
    let id = sign_in(&store, "o1").await;
    hears(&store, id).await;
}

#[tokio::test]
async fn c42_a_redis_that_flaps_never_signs_anybody_out() {
    let mut server = Server::start_durable().await;
    let [store] = instances(&server.url());
    let id = sign_in(&store, "o1").await;
    let (stop, stopped) = watch::channel(false);
    let asking = tokio::spawn({
        let store = store.clone();
        async move {
            let (mut good, mut failed) = (0, 0);
            while !*stopped.borrow() {
                match store.load(id).await {
                    Ok(found) => {
                        assert!(found.is_some(), "it was told to be absent");
                        good += 1;
                    }
                    Err(_) => failed += 1,
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            (good, failed)
        }
    });
    for _ in 0..5 {
        server.kill();
        until("the store has noticed", async || store.load(id).await.is_err()).await;
        server.restart().await;
        until("the store is back", async || store.load(id).await.is_ok()).await;
    }
    stop.send(true).unwrap();
    let (good, failed) = asking.await.unwrap();
    assert!(good > 0 && failed > 0, "{good} {failed}");
}

#[tokio::test]
async fn c42_a_redis_that_stands_still_is_an_error_soon() {
    let server = Server::start().await;
    let [store] = instances(&server.url());
    let once = records(&server.url());
    let id = sign_in(&store, "o1").await;
    assert!(store.load(id).await.unwrap().is_some() && once.claim("a", MINUTE).await.unwrap());
    server.freeze();
    let (read, written) = tokio::join!(fails(store.load(id)), fails(once.claim("b", MINUTE)));
    // What only reads was tried again, over a new connection.
    assert!(read.contains("cannot be reached within 1s"), "{read}");
    assert!(written.contains("has not answered within 1s"), "{written}");
    // With the connection thrown away, and with many at once.
    let all = (0..20).map(|_| fails(store.load(id)));
    for said in futures_util::future::join_all(all).await {
        assert!(said.contains("cannot be reached within 1s"), "{said}");
    }
    server.thaw();
    assert!(store.load(id).await.unwrap().is_some());
    let second = once.claim("a", MINUTE).await.unwrap();
    assert!(!second && once.claim("c", MINUTE).await.unwrap());
}

#[tokio::test]
async fn a_connection_that_is_cut_on_its_way_is_noticed() {
    let server = Server::start().await;
    let relay = Relay::start(server.addr()).await;
    let keys = KeyRing::random();
    let at = |url: &str| DurableStore::builder(records(url), keys.clone()).build();
    let here = at(&server.url());
    let there = at(&format!("redis://:{ENCODED}@{}", relay.addr));
    let id = sign_in(&here, "o1").await;
    hears(&there, id).await;

    relay.hold(true);
    let begun = Instant::now();
    here.remove(id).await.unwrap();
    until("no copy is used", async || matches!(there.peek(id), Lookup::Unknown)).await;
    let took = begun.elapsed();
    println!("from a cut to the last use of a copy: {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let said = fails(there.load(id)).await;
    assert!(said.contains("within 1s"), "{said}");

    relay.hold(false);
    assert!(there.load(id).await.unwrap().is_none());
    let id = sign_in(&here, "o1").await;
    hears(&there, id).await;
}

#[tokio::test]
async fn a_failover_by_sentinels_is_followed() {
    let mut watched = Watched::start().await;
    let url = watched.url();
    let [store, other] = instances(&url);
    let (once, twice) = (records(&url), records(&url));
    let id = sign_in(&store, "o1").await;
    let mut wait = cmd("WAIT");
    let _: u64 = watched.servers[0].ask(wait.arg(1).arg(1_000)).await;
    hears(&other, id).await;

    watched.servers[0].kill();
    let begun = Instant::now();
    fails(store.load(id)).await;
    until("there is another master", async || {
        let found = store.load(id).await;
        assert!(found.as_ref().map_or(true, Option::is_some), "it was told to be absent");
        found.is_ok() && try_sign_in(&store, "o2").await.is_ok()
    })
    .await;
    println!("from the death of a master to the use of the next: {:?}", begun.elapsed());
    hears(&other, id).await;
    let claims = (0..20).map(|number| if number % 2 == 0 { &once } else { &twice });
    let claims = claims.map(|records| records.claim("code", MINUTE));
    let won = futures_util::future::join_all(claims).await;
    assert_eq!(won.into_iter().filter(|claim| *claim.as_ref().unwrap()).count(), 1);
    store.remove(id).await.unwrap();
    assert!(other.load(id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_master_that_is_one_no_more_is_left() {
    let watched = Watched::start().await;
    let [store] = instances(&watched.url());
    let (id, once) = (sign_in(&store, "o1").await, records(&watched.url()));
    assert!(once.claim("before", MINUTE).await.unwrap());
    let mut wait = cmd("WAIT");
    let _: u64 = watched.servers[0].ask(wait.arg(1).arg(1_000)).await;
    let _: String = watched.sentinels[0].ask(cmd("SENTINEL").arg("FAILOVER").arg("main")).await;
    until("the old master follows the new one", async || {
        let old: String = watched.servers[0].ask(cmd("INFO").arg("replication")).await;
        old.contains("role:slave") && old.contains("link_status:up")
    })
    .await;
    assert!(store.load(id).await.unwrap().is_some());
    until("it is written to the new master", async || {
        once.claim("after", MINUTE).await.is_ok_and(|won| won)
    })
    .await;
    assert!(!once.claim("before", MINUTE).await.unwrap());
    let new = watched.servers[1].ask::<String>(cmd("GET").arg("wxgate:o:after")).await;
    assert_eq!(new, "1");
}

#[tokio::test]
async fn keys_are_found_while_their_slot_moves() {
    let cluster = Cluster::start().await;
    let [store] = instances(&cluster.url());
    let id = sign_in(&store, "o1").await;
    let key = format!("wxgate:s:{}", id.handle());
    let slot: u16 = cluster.nodes[0].ask(cmd("CLUSTER").arg("KEYSLOT").arg(&key)).await;
    let owner = usize::from(slot) * 3 / 16_384;
    let (from, to) = (&cluster.nodes[owner], &cluster.nodes[(owner + 1) % 3]);
    let name = async |node: &Server| node.ask::<String>(cmd("CLUSTER").arg("MYID")).await;
    let (from_name, to_name) = (name(from).await, name(to).await);
    let set = async |node: &Server, state: &str, other: &str| {
        let mut command = cmd("CLUSTER");
        command.arg("SETSLOT").arg(slot).arg(state).arg(other);
        let _: String = node.ask(&command).await;
    };
    set(to, "IMPORTING", &from_name).await;
    set(from, "MIGRATING", &to_name).await;
    assert!(store.load(id).await.unwrap().is_some(), "it has not moved yet");
    let mut migrate = cmd("MIGRATE");
    migrate.arg("127.0.0.1").arg(to.port).arg("").arg(0).arg(1_000).arg("AUTH").arg(PASSWORD);
    let _: String = from.ask(migrate.arg("KEYS").arg(&key)).await;
    assert!(store.load(id).await.unwrap().is_some(), "the old node asks to ask the new one");
    // A script that the new node has never heard of.
    assert!(store.save_app_data(id, Arc::from(*b"basket")).await.unwrap());
    for node in [to, from] {
        set(node, "NODE", &to_name).await;
    }
    assert!(store.load(id).await.unwrap().is_some(), "the old node says that it has moved");
    store.remove(id).await.unwrap();
    assert!(store.load(id).await.unwrap().is_none());
}

#[tokio::test]
async fn c42_a_cluster_without_one_of_its_masters_is_an_error_for_what_was_there() {
    let mut cluster = Cluster::start().await;
    let [store] = instances(&cluster.url());
    let id = sign_in(&store, "o1").await;
    let key = format!("wxgate:s:{}", id.handle());
    let slot: u16 = cluster.nodes[0].ask(cmd("CLUSTER").arg("KEYSLOT").arg(&key)).await;
    cluster.nodes[usize::from(slot) * 3 / 16_384].kill();
    let said = fails(store.load(id)).await;
    assert!(said.contains("cannot be reached"), "{said}");
    // The others need a while to be sure of it. Then they refuse what is theirs too, as is their default.
    let once = records(&cluster.url());
    until("the other nodes have noticed", async || {
        let mut says = false;
        for name in ["a", "b", "c", "d", "e", "f"] {
            let said = once.outcome(name).await.err().map(|error| error.to_string());
            says |= said.is_some_and(|said| said.contains("says that its cluster is down"));
        }
        says
    })
    .await;
}

#[tokio::test]
async fn a_mistake_in_the_url_is_told_and_no_password_is() {
    let server = Server::start().await;
    let watched = Server::start_with(&[], "").await;
    let (at, open) = (server.addr(), watched.addr());
    for (url, reason) in [
        (format!("redis://:planted@{at}"), "does not accept the user name or the password"),
        (format!("redis://planted:planted@{at}"), "does not accept the user name or the password"),
        (format!("redis://{at}"), "wants a password"),
        (format!("redis://planted@{at}"), "is given a user name and no password"),
        (format!("redis://:planted@{open}"), "does not accept the user name or the password"),
        (format!("redis://{open}/99"), "it may have no database of that number"),
        (format!("redis+cluster://{open}"), "does not tell of a redis cluster"),
        (format!("redis+sentinel://{open}/main"), "be no sentinel where one is named"),
        (format!("rediss://{open}"), "cannot be reached"),
        (format!("rediss://{open}?ca=/none"), "the certificates of /none cannot be used"),
    ] {
        let [store] = instances(&url);
        let said = fails(store.load(SessionId::new())).await;
        assert!(said.contains(reason) && !said.contains("planted"), "{url}: {said}");
        assert!(!format!("{store:?}").contains("planted"), "{store:?}");
    }
    let [good] = instances(&server.url());
    assert!(good.load(SessionId::new()).await.unwrap().is_none());
}

#[tokio::test]
async fn c48_claims_and_leases_have_one_winner() {
    let server = Server::start().await;
    let one = [(); 4].map(|()| records(&server.url()));
    let claims = (0..40).map(|number| one[number % 4].claim("a {b} \r\n c", MINUTE));
    let won = futures_util::future::join_all(claims).await;
    assert_eq!(won.into_iter().filter(|claim| *claim.as_ref().unwrap()).count(), 1);
    let (mine, yours) = (Lease::random(), Lease::random());
    assert!(one[0].lease("work", mine, MINUTE).await.unwrap());
    assert!(!one[1].lease("work", yours, MINUTE).await.unwrap());
    one[1].release("work", yours).await.unwrap();
    assert!(!one[1].lease("work", yours, MINUTE).await.unwrap(), "it was not yours to give");
    one[0].release("work", mine).await.unwrap();
    assert!(one[1].lease("work", yours, MINUTE).await.unwrap());
}

/// Carries bytes between clients and a server, until it is told to hold them.
struct Relay {
    addr: SocketAddr,
    holds: watch::Sender<bool>,
}

impl Relay {
    async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (holds, held) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let ((from, to), (back, forth)) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from, forth, held.clone()));
                tokio::spawn(carry(back, to, held.clone()));
            }
        });
        Self { addr, holds }
    }

    fn hold(&self, holds: bool) {
        self.holds.send(holds).unwrap();
    }
}

async fn carry(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut held: watch::Receiver<bool>,
) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if held.wait_for(|held| !held).await.is_err()
            || to.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
}
