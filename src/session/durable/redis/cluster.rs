//! A Redis Cluster: which node has a key, and what to do when it is another one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use ::redis::{Value, cmd};

use super::{
    command::Command,
    dial::{Dialer, in_time},
    link::{Goal, Link},
    shared::{Held, Shared},
    trouble::Trouble,
    url::Address,
};

/// How often a key is looked for somewhere else. While slots move, two are normal.
const MOST_STEPS: usize = 6;
const SLOTS: u16 = 16384;

/// Sends each command to the node that has its key.
pub(super) struct Cluster {
    dialer: Arc<Dialer>,
    map: Shared<Arc<Map>>,
    links: Mutex<HashMap<Address, Arc<Link>>>,
}

/// Which node has which slots.
#[derive(Debug, Default)]
struct Map {
    ranges: Vec<(u16, u16, Address)>,
}

impl Map {
    fn owner(&self, slot: u16) -> Option<&Address> {
        let range = self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        range.map(|(_, _, owner)| owner)
    }

    fn masters(&self) -> BTreeSet<Address> {
        self.ranges.iter().map(|(_, _, owner)| owner.clone()).collect()
    }
}

impl Cluster {
    pub(super) fn new(dialer: Arc<Dialer>) -> Self {
        Self { dialer, map: Shared::new(), links: Mutex::default() }
    }

    /// All masters, in an order that stays the same.
    pub(super) async fn masters(&self) -> Result<BTreeSet<Address>, Trouble> {
        Ok(self.map().await?.masters())
    }

    /// Whether a server is no longer one of the masters, as far as is known.
    pub(super) fn has_left(&self, node: &Address) -> bool {
        self.map.made().is_some_and(|map| !map.masters().contains(node))
    }

    pub(super) async fn ask(&self, command: &Command) -> Result<Value, Trouble> {
        let slot = slot(command.key().as_bytes());
        let (mut redirected, mut is_moving, mut was_repeated) = (None, false, false);
        let mut trouble = None;
        for _ in 0..MOST_STEPS {
            let map = self.map().await?;
            let Some(node) = redirected.take().or_else(|| map.owner(slot).cloned()) else {
                self.map.discard(&map);
                let why = "no node of the redis cluster has all keys: it is not complete";
                return Err(Trouble::Elsewhere(why.into()));
            };
            let answer = self.link(&node).send(command, std::mem::take(&mut is_moving)).await;
            let may_repeat = match &answer {
                Err(Trouble::Ask(node)) => {
                    (redirected, is_moving) = (Some(node.clone()), true);
                    true
                }
                Err(Trouble::Moved(node)) => {
                    redirected = Some(node.clone());
                    self.map.discard(&map);
                    true
                }
                Err(Trouble::Unreached(_) | Trouble::Elsewhere(_)) => {
                    self.map.discard(&map);
                    !std::mem::replace(&mut was_repeated, true)
                }
                Err(Trouble::Broken(_)) => {
                    self.map.discard(&map);
                    command.may_repeat && !std::mem::replace(&mut was_repeated, true)
                }
                Ok(_) | Err(_) => false,
            };
            match answer {
                Err(other) if may_repeat => trouble = Some(other),
                answer => return answer,
            }
        }
        Err(trouble.unwrap_or(Trouble::NoScript))
    }

    /// Sends a command to a certain node.
    pub(super) async fn ask_at(&self, node: &Address, command: &Command) -> Result<Value, Trouble> {
        self.link(node).send(command, false).await
    }

    fn link(&self, node: &Address) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Link::new(self.dialer.clone(), Goal::Server(node.clone())));
        links.entry(node.clone()).or_insert_with(new).clone()
    }

    async fn map(&self) -> Result<Held<Arc<Map>>, Trouble> {
        self.map.get(|_| true, || Box::pin(self.load())).await
    }

    /// Asks for the map: any node knows it, and those that are connected to answer at once.
    async fn load(&self) -> Result<Arc<Map>, Trouble> {
        let known: Vec<_> = {
            let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.iter().filter(|(_, link)| link.at().is_some()).map(|(at, _)| at.clone()).collect()
        };
        let named = self.dialer.url().servers.iter().filter(|server| !known.contains(server));
        let nodes = known.iter().chain(named).map(|node| {
            let link = self.link(node);
            async move { ask_for_map(&link).await }
        });
        let map =
            in_time("a node of the redis cluster", self.dialer.first(nodes.collect())).await?;
        let masters = map.masters();
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|node, _| masters.contains(node));
        Ok(Arc::new(map))
    }
}

async fn ask_for_map(link: &Link) -> Result<Map, Trouble> {
    let connection = link.connection().await?;
    let mut question = cmd("CLUSTER");
    question.arg("SLOTS");
    let answer = match connection.ask(&question).await {
        Err(Trouble::Refused(_)) => {
            let why = "does not tell of a redis cluster: it may be none, so write redis://, or its acl may forbid it";
            return Err(Trouble::refused(&connection.at, why));
        }
        answer => answer?,
    };
    let ranges = read_map(answer, &connection.at.host);
    let ranges = ranges.ok_or_else(|| Trouble::not_understood(&connection.at))?;
    Ok(Map { ranges })
}

/// Reads `[[first, last, [host, port, ...], replicas...], ...]`. A node that does not know its own address leaves it out.
fn read_map(answer: Value, own: &str) -> Option<Vec<(u16, u16, Address)>> {
    let Value::Array(ranges) = answer else { return None };
    let ranges = ranges.into_iter().map(|range| {
        let Value::Array(parts) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &*parts else {
            return None;
        };
        let [host, Value::Int(port), ..] = &**master else { return None };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() && host != b"?" => {
                std::str::from_utf8(host).ok()?
            }
            _ => own,
        };
        let owner = Address { host: host.into(), port: u16::try_from(*port).ok()? };
        Some((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, owner))
    });
    ranges.collect()
}

/// The slot of a key: of what is in its first pair of braces, if there is something in it, or else of all of it.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let tag = &key[open + 1..];
        let end = tag.iter().position(|byte| *byte == b'}')?;
        (end > 0).then(|| &tag[..end])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, which the specification of Redis Cluster names.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_the_slot_that_the_specification_says() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As `CLUSTER KEYSLOT` of a server answers.
        for (key, expected) in [
            ("foo", 12182),
            ("{foo}bar", 12182),
            ("wxgate:{foo}", 12182),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("bar", 5061),
            ("", 0),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn a_map_is_read_as_nodes_tell_it() {
        let text = |text: &str| Value::BulkString(text.into());
        let range = |first, last, host: Value, port| {
            let master = Value::Array(vec![host, Value::Int(port), text("id")]);
            let replica = Value::Array(vec![text("replica"), Value::Int(1)]);
            Value::Array(vec![Value::Int(first), Value::Int(last), master, replica])
        };
        let answer = vec![range(0, 99, text("a"), 1), range(100, 16_383, Value::Nil, 2)];
        let ranges = read_map(Value::Array(answer), "own").unwrap();
        let map = Map { ranges };
        let owner = |slot| map.owner(slot).unwrap().to_string();
        assert_eq!((owner(0), owner(99), owner(100)), ("a:1".into(), "a:1".into(), "own:2".into()));
        assert_eq!((map.owner(16_384), map.masters().len()), (None, 2));
        for wrong in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(-1, 5, text("a"), 1)]),
            Value::Array(vec![range(0, 5, text("a"), 70_000)]),
        ] {
            assert!(read_map(wrong.clone(), "own").is_none(), "{wrong:?}");
        }
    }
}
