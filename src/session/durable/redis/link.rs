//! The way to one server: to a certain one, or to the one that the sentinels call the master.

use std::sync::Arc;

use ::redis::{Cmd, Value, cmd};

use super::{
    command::Command,
    dial::{Connection, Dialer, in_time},
    shared::{Held, Shared},
    trouble::Trouble,
    url::Address,
};

/// Sends commands over one connection, which is made when it is needed and again when it has broken.
pub(super) struct Link {
    dialer: Arc<Dialer>,
    goal: Goal,
    current: Shared<Connection>,
}

#[derive(Clone, Debug)]
pub(super) enum Goal {
    Server(Address),
    Master { name: Box<str>, sentinels: Vec<Address> },
}

impl Link {
    pub(super) fn new(dialer: Arc<Dialer>, goal: Goal) -> Self {
        Self { dialer, goal, current: Shared::new() }
    }

    /// The connection that is in use, made now if there is none.
    pub(super) async fn connection(&self) -> Result<Held<Connection>, Trouble> {
        self.current.get(Connection::is_open, || Box::pin(self.connect())).await
    }

    /// The server that is in use, if there is one.
    pub(super) fn at(&self) -> Option<Address> {
        self.current.made().map(|connection| connection.at)
    }

    /// Sends a command once.
    pub(super) async fn send(&self, command: &Command, is_moving: bool) -> Result<Value, Trouble> {
        let connection = self.connection().await?;
        let send = async |packed: &Cmd| {
            if is_moving {
                connection.ask_while_moving(packed).await
            } else {
                connection.ask(packed).await
            }
        };
        let mut answer = send(&command.packed()).await;
        if let (Err(Trouble::NoScript), Some(in_full)) = (&answer, command.in_full()) {
            answer = send(&in_full).await;
        }
        if let Err(Trouble::Broken(_) | Trouble::Elsewhere(_)) = &answer {
            self.current.discard(&connection);
        }
        answer
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        match &self.goal {
            Goal::Server(at) => {
                let (dialer, at) = (self.dialer.clone(), at.clone());
                let to = format!("redis at {at}");
                let made = async move { dialer.connect(&at).await };
                in_time(to, self.dialer.first(vec![made])).await
            }
            Goal::Master { name, sentinels } => {
                let made = sentinels.iter().map(|sentinel| {
                    let (dialer, name) = (self.dialer.clone(), name.clone());
                    let sentinel = sentinel.clone();
                    async move { master(&dialer, &sentinel, &name).await }
                });
                let to = format!("the master {name:?} that the sentinels know");
                in_time(to, self.dialer.first(made.collect())).await
            }
        }
    }
}

/// A connection to the master that a sentinel names. It may name one that is none yet, or none any more.
async fn master(dialer: &Dialer, sentinel: &Address, name: &str) -> Result<Connection, Trouble> {
    let asked = dialer.connect_to_sentinel(sentinel).await?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer = asked.ask(&question).await?;
    let Some((host, port)) = asked.read::<Option<(String, u16)>>(answer)? else {
        let why = format!("is a sentinel that knows no master {name:?}");
        return Err(Trouble::refused(sentinel, why));
    };
    let master = dialer.connect(&Address { host: host.into(), port }).await?;
    match master.ask(&cmd("ROLE")).await? {
        Value::Array(parts) if is_text(parts.first(), b"master") => Ok(master),
        _ => {
            let why = "is no master, though a sentinel calls it one: there may be a failover";
            Err(Trouble::unreached(&master.at, why))
        }
    }
}

fn is_text(value: Option<&Value>, text: &[u8]) -> bool {
    matches!(value, Some(Value::BulkString(bytes)) if bytes == text)
}
