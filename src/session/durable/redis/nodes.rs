//! The servers of a Redis, whatever they are to each other.

use std::{fmt, sync::Arc, time::Duration};

use ::redis::Value;
use tokio::{runtime::Handle, time::timeout};

use super::{
    cluster::Cluster,
    command::Command,
    dial::Dialer,
    link::{Goal, Link},
    trouble::Trouble,
    url::{Address, Kind, RedisUrl},
};

/// The longest that anything takes: a connection, an answer, and a little more.
const LONGEST: Duration = Duration::from_millis(2_100);

/// Where commands are sent to.
pub(super) struct Nodes {
    pub(super) dialer: Arc<Dialer>,
    way: Way,
}

enum Way {
    One(Link),
    Cluster(Cluster),
}

/// Some keys, and where to go on.
pub(super) struct Keys {
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) next: Option<String>,
}

impl Nodes {
    pub(super) fn new(url: RedisUrl, runtime: Handle) -> Self {
        let (kind, servers) = (url.kind.clone(), url.servers.clone());
        let dialer = Arc::new(Dialer::new(url, runtime));
        let one = |goal| Way::One(Link::new(dialer.clone(), goal));
        let way = match kind {
            Kind::Server => one(Goal::Server(servers.into_iter().next().expect("a url has one"))),
            Kind::Sentinel { master: name } => one(Goal::Master { name, sentinels: servers }),
            Kind::Cluster => Way::Cluster(Cluster::new(dialer.clone())),
        };
        Self { dialer, way }
    }

    /// Sends a command to where its key is. It is sent again where nothing was done, or where that does no harm.
    pub(super) async fn ask(&self, command: &Command) -> Result<Value, Trouble> {
        let answer = async {
            let link = match &self.way {
                Way::Cluster(cluster) => return cluster.ask(command).await,
                Way::One(link) => link,
            };
            match link.send(command, false).await {
                Err(Trouble::Elsewhere(_)) => link.send(command, false).await,
                Err(Trouble::Broken(_)) if command.may_repeat => link.send(command, false).await,
                answer => answer,
            }
        };
        let slow = || format!("redis has not answered within {LONGEST:?}").into();
        timeout(LONGEST, answer).await.unwrap_or_else(|_| Err(Trouble::Broken(slow())))
    }

    /// The keys of some pattern behind those that `after` comes from. Those of a cluster are told node by node.
    pub(super) async fn scan(
        &self,
        pattern: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Keys, Trouble> {
        let (cursor, at) =
            after.unwrap_or("0").split_once('@').unwrap_or((after.unwrap_or("0"), ""));
        let Ok(cursor) = cursor.parse::<u64>() else {
            return Ok(Keys { keys: Vec::new(), next: None });
        };
        let command = |cursor: u64| {
            let command = Command::new("SCAN", cursor.to_string()).arg("MATCH").arg(pattern);
            command.arg("COUNT").arg(limit.to_string()).only_reads()
        };
        let Way::Cluster(cluster) = &self.way else {
            let (next, keys) = read(self.ask(&command(cursor)).await?)?;
            return Ok(Keys { keys, next: (next != 0).then(|| next.to_string()) });
        };
        let masters = cluster.masters().await?;
        // By the node's name: where it has gone meanwhile, the next one is begun with.
        let mut rest = masters.iter().filter(|node| *node.to_string() >= *at);
        let Some(node) = rest.next() else {
            return Ok(Keys { keys: Vec::new(), next: None });
        };
        let cursor = if node.to_string() == at { cursor } else { 0 };
        let (next, keys) = read(cluster.ask_at(node, &command(cursor)).await?)?;
        let next = match next {
            0 => rest.next().map(|node| format!("0@{node}")),
            cursor => Some(format!("{cursor}@{node}")),
        };
        Ok(Keys { keys, next })
    }

    /// Where to listen for messages: at the server that is in use, or at any node of a cluster, another one at each try.
    pub(super) async fn listen_at(&self, tries: usize) -> Result<Address, Trouble> {
        match &self.way {
            Way::One(link) => Ok(link.connection().await?.at.clone()),
            Way::Cluster(cluster) => {
                let masters = cluster.masters().await?;
                let node = masters.iter().cycle().nth(tries % masters.len().max(1));
                node.cloned().ok_or_else(|| Trouble::Unreached("the redis cluster is empty".into()))
            }
        }
    }

    /// Whether messages come from another server by now.
    pub(super) fn has_left(&self, at: &Address) -> bool {
        match &self.way {
            Way::One(link) => link.at().is_some_and(|current| current != *at),
            Way::Cluster(cluster) => cluster.has_left(at),
        }
    }
}

fn read(answer: Value) -> Result<(u64, Vec<Vec<u8>>), Trouble> {
    understood(answer)
}

/// Reads an answer as what it has to be.
pub(super) fn understood<T: ::redis::FromRedisValue>(answer: Value) -> Result<T, Trouble> {
    let wrong = "redis has given an answer that is not one to what was asked";
    ::redis::from_redis_value(answer).map_err(|_| Trouble::Refused(wrong.into()))
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.dialer.url(), f)
    }
}
