//! The gateway: a reverse proxy that signs people in with WeChat and tells the app behind it who they are.
//!
//! One current-thread runtime and one listener per core serve browsers, so that no request waits for another core.
//! Calls to WeChat run on the runtime that [`Gateway::start`] is called on, so that they cannot stall a proxy core.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use wxgate::gateway::{Gateway, Settings};
//! use wxgate::{Account, AppSecret, Origin, WechatLoginLayer};
//!
//! let account = Account::official_account("wx0123456789abcdef", AppSecret::from_file("secret.txt")?)?;
//! let login = WechatLoginLayer::new(account, Origin::parse("https://h5.example.com")?);
//! let settings = Settings::new(login, "http://127.0.0.1:3000".parse()?);
//! let gateway = Gateway::start(settings.listen("127.0.0.1:8080".parse()?))?;
//! println!("listening on {}", gateway.addr());
//! gateway.stop().await;
//! # Ok(()) }
//! ```

mod front;
mod listener;
mod pages;
mod proxy;
mod settings;
pub mod telemetry;

use std::{io, net::SocketAddr, sync::Arc, thread};

use tokio::{
    runtime::{self, Handle},
    sync::{oneshot, watch},
};

pub use pages::GatewayPages;
pub use proxy::{InvalidUpstream, UpstreamUrl};
pub use settings::Settings;

use front::Front;

/// A gateway that is running. Dropping it stops it, without waiting for what is in flight.
#[derive(Debug)]
pub struct Gateway {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    cores: Vec<oneshot::Receiver<()>>,
}

impl Gateway {
    /// Starts a gateway. Has to be called on a tokio runtime, which then makes the calls to WeChat.
    ///
    /// # Errors
    /// When the address cannot be listened on, the upstream is this very address, or the system gives no threads.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let Settings { listen, login, upstream, cores, limits } = settings;
        let listeners = listener::bind(listen, cores)?;
        let addr = listeners[0].local_addr()?;
        if upstream.is(addr) {
            let why = format!("the upstream {upstream} is the gateway itself");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let login = login.runtime(Handle::current());
        let (stop, stopped) = watch::channel(false);
        let mut running = Vec::new();
        for (core, listener) in listeners.into_iter().enumerate() {
            let front = Arc::new(Front::new(login.gate().clone(), upstream.clone(), limits));
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (stopped, (done, is_done)) = (stopped.clone(), oneshot::channel());
            thread::Builder::new().name(format!("wxgate-core-{core}")).spawn(move || {
                let served = runtime.block_on(listener::serve(listener, front, limits, stopped));
                if let Err(error) = served {
                    tracing::error!(%error, core, "a core cannot serve");
                }
                // The other end is gone when nobody waits for the gateway to stop.
                done.send(()).ok();
            })?;
            running.push(is_done);
        }
        Ok(Self { addr, stop, cores: running })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops accepting, finishes what is in flight within the limit for that, and returns.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for core in self.cores {
            // A core whose thread is gone has stopped too.
            core.await.ok();
        }
    }
}
