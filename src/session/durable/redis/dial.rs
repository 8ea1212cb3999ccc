//! Connections to servers: how each is made, and how long that may take.

use std::{fmt, io, sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, Value,
    aio::{MultiplexedConnection, PubSub},
    cmd, from_redis_value,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Handle,
    sync::OnceCell,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    trouble::Trouble,
    url::{Address, RedisUrl},
};
use crate::trust;

/// How long it may take until there is a connection, with all that has to be asked for it.
pub(super) const CONNECT: Duration = Duration::from_secs(1);
/// How long the answer to a command may take.
pub(super) const ANSWER: Duration = Duration::from_secs(1);
/// How long one of several servers is waited for before the next one is asked as well.
const HEDGE: Duration = Duration::from_millis(100);

/// Makes connections. All of them live on one runtime, whoever asks for them: a connection ends with the runtime that it
/// was made on.
pub(super) struct Dialer {
    url: RedisUrl,
    tls: OnceCell<TlsConnector>,
    pub(super) runtime: Handle,
}

/// A connection that any number of commands share.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) at: Address,
    commands: MultiplexedConnection,
    driver: AbortHandle,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Dialer {
    pub(super) fn new(url: RedisUrl, runtime: Handle) -> Self {
        Self { url, tls: OnceCell::new(), runtime }
    }

    pub(super) fn url(&self) -> &RedisUrl {
        &self.url
    }

    /// A connection that is logged in, and whose server answers.
    pub(super) async fn connect(&self, at: &Address) -> Result<Connection, Trouble> {
        self.connect_as(at, &self.login(at)?).await
    }

    /// The same to a sentinel, which may want the password or not. One that does not would refuse to be given any.
    pub(super) async fn connect_to_sentinel(&self, at: &Address) -> Result<Connection, Trouble> {
        let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
        match self.connect_as(at, &nobody).await {
            Err(Trouble::Refused(_)) if self.url.password.is_some() => {
                self.connect_as(at, &self.login(at)?.set_db(0)).await
            }
            made => made,
        }
    }

    async fn connect_as(
        &self,
        at: &Address,
        login: &RedisConnectionInfo,
    ) -> Result<Connection, Trouble> {
        let stream = self.stream(at).await?;
        // The limit is ours, since what has taken too long has to be thrown away.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(login, stream, config).await;
        let (commands, driver) = made.map_err(|error| failed_login(at, &error))?;
        let driver = self.runtime.spawn(driver).abort_handle();
        let connection = Connection { at: at.clone(), commands, driver };
        // Without a password nothing has been said yet, and whoever waits for this connection wants one that is of use.
        match connection.ask(&cmd("PING")).await {
            Ok(_) => Ok(connection),
            Err(Trouble::Broken(why)) => Err(Trouble::Unreached(why)),
            Err(trouble) => Err(trouble),
        }
    }

    /// A connection for messages.
    pub(super) async fn listen(&self, at: &Address) -> Result<PubSub, Trouble> {
        let login = self.login(at)?;
        let stream = self.stream(at).await?;
        PubSub::new(&login, stream).await.map_err(|error| failed_login(at, &error))
    }

    fn login(&self, at: &Address) -> Result<RedisConnectionInfo, Trouble> {
        let login = RedisConnectionInfo::default().set_skip_set_lib_name();
        let login = login.set_db(self.url.db.into());
        match (&self.url.user, &self.url.password) {
            (None, None) => Ok(login),
            (None, Some(password)) => Ok(login.set_password(password.expose())),
            (Some(user), Some(password)) => {
                Ok(login.set_username(user).set_password(password.expose()))
            }
            // Nobody would be logged in, without a word.
            (Some(_), None) => Err(Trouble::refused(at, "is given a user name and no password")),
        }
    }

    async fn stream(&self, at: &Address) -> Result<Box<dyn Stream>, Trouble> {
        let unreached = |error: &io::Error| Trouble::unreached(at, said(error));
        let tcp = TcpStream::connect((&*at.host, at.port)).await.map_err(|e| unreached(&e))?;
        tcp.set_nodelay(true).map_err(|e| unreached(&e))?;
        if !self.url.is_tls {
            return Ok(Box::new(tcp));
        }
        let tls = self.tls.get_or_try_init(|| async {
            let config = Arc::new(trust::in_authorities_of(self.url.ca())?);
            Ok::<_, String>(TlsConnector::from(config))
        });
        let tls = tls.await.map_err(|why| Trouble::unreached(at, why))?;
        let name = ServerName::try_from(at.host.to_string());
        let name =
            name.map_err(|_| Trouble::unreached(at, "no certificate can be for that host"))?;
        let stream = tls.connect(name, tcp).await.map_err(|e| unreached(&e))?;
        Ok(Box::new(stream))
    }

    /// The first good answer of several servers. They are asked one after the other, and the next one without waiting for
    /// long.
    pub(super) async fn first<T, F>(&self, asked: Vec<F>) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>> + Send + 'static,
        T: Send + 'static,
    {
        let mut asked = asked.into_iter().fuse();
        let mut asking = JoinSet::new();
        let mut trouble = Trouble::Unreached("no redis is known".into());
        loop {
            let next = asked.next();
            let are_more = next.is_some();
            if let Some(next) = next {
                asking.spawn_on(next, &self.runtime);
            }
            let answer = if are_more {
                match timeout(HEDGE, asking.join_next()).await {
                    Ok(answer) => answer,
                    Err(_) => continue,
                }
            } else {
                asking.join_next().await
            };
            match answer {
                Some(Ok(Ok(answer))) => return Ok(answer),
                Some(Ok(Err(other))) => trouble = other,
                Some(Err(_)) => trouble = Trouble::Unreached("the runtime is shutting down".into()),
                None => return Err(trouble),
            }
        }
    }
}

impl Connection {
    /// Whether it was not closed. What is half-open only shows when it is used.
    pub(super) fn is_open(&self) -> bool {
        !self.driver.is_finished()
    }

    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Trouble> {
        let mut commands = self.commands.clone();
        let answer = timeout(ANSWER, commands.send_packed_command(command)).await;
        let answer = answer.map_err(|_| self.too_slow())?;
        answer
            .and_then(Value::extract_error)
            .map_err(|error| Trouble::from_answer(&self.at, &error))
    }

    /// Asks the node of a cluster that a key is moving to. The two commands leave in one piece, so that no other command
    /// comes between them.
    pub(super) async fn ask_while_moving(&self, command: &Cmd) -> Result<Value, Trouble> {
        let mut pipeline = ::redis::pipe();
        pipeline.cmd("ASKING").add_command(command.clone());
        let mut commands = self.commands.clone();
        let answers = timeout(ANSWER, commands.send_packed_commands(&pipeline, 0, 2)).await;
        let answers = answers.map_err(|_| self.too_slow())?;
        answers
            .and_then(|mut answers| answers.pop().unwrap_or_default().extract_error())
            .map_err(|error| Trouble::from_answer(&self.at, &error))
    }

    fn too_slow(&self) -> Trouble {
        Trouble::Broken(format!("redis at {} has not answered within {ANSWER:?}", self.at).into())
    }

    /// Reads an answer as what it has to be.
    pub(super) fn read<T: ::redis::FromRedisValue>(&self, answer: Value) -> Result<T, Trouble> {
        from_redis_value(answer).map_err(|_| Trouble::not_understood(&self.at))
    }
}

fn failed_login(at: &Address, error: &RedisError) -> Trouble {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return Trouble::refused(at, "does not accept the user name or the password");
    }
    match Trouble::from_answer(at, error) {
        Trouble::Broken(_) => Trouble::unreached(at, "it has hung up, or is no redis"),
        trouble => trouble,
    }
}

/// What an error says, without the number that the system adds.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialer").field(&self.url).finish()
    }
}

/// Within the limit for connections.
pub(super) async fn in_time<T>(
    to: impl fmt::Display,
    made: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let slow = || Trouble::Unreached(format!("{to} cannot be reached within {CONNECT:?}").into());
    timeout(CONNECT, made).await.unwrap_or_else(|_| Err(slow()))
}
