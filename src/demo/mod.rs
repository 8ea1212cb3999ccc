//! The demo: a small H5 site, the gateway in front of it, and a local WeChat behind it.

mod site;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener},
};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    gateway::{Gateway, Settings, UpstreamUrl},
    login::{Login, Policy, WechatLoginLayer},
    origin::Origin,
    secret::AppSecret,
    simulator::{Simulator, StartError},
    wechat::{Account, Client, Endpoints},
};
use site::SiteFacts;

/// A demo that is running. Dropping it stops it.
#[derive(Debug)]
pub struct Demo {
    gateway: Gateway,
    simulator: Simulator,
    site: JoinHandle<()>,
    public_url: Origin,
}

/// Why a demo cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The demo is for this machine alone.
    #[error(
        "the demo listens on 127.0.0.1 only, since its account at the local WeChat is registered for that: {0} is elsewhere"
    )]
    NotLoopback(IpAddr),
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The simulator cannot start.
    #[error("the local WeChat cannot start: {0}")]
    Simulator(#[from] StartError),
}

impl Demo {
    /// Starts the demo with the gateway on `listen` and the simulator on `simulator_listen`. Port 0 takes any free
    /// one.
    ///
    /// # Errors
    /// When an address is taken, or is not `127.0.0.1`.
    pub async fn start(
        listen: SocketAddr,
        simulator_listen: SocketAddr,
    ) -> Result<Self, DemoError> {
        if listen.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
            return Err(DemoError::NotLoopback(listen.ip()));
        }
        let failed = |addr| move |error| DemoError::Listen(addr, error);
        let listen = free_port(listen).map_err(failed(listen))?;
        let simulator = Simulator::builder().listen(simulator_listen).start().await?;
        let public_url = local(listen);

        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(anywhere).await.map_err(failed(anywhere))?;
        let upstream = listener.local_addr().map_err(failed(anywhere))?;
        let facts =
            SiteFacts { public_url: public_url.to_string(), simulator_url: simulator.url() };
        let site = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, site::site(facts)).await {
                tracing::error!(%error, "the demo site has stopped");
            }
        });

        let upstream: UpstreamUrl =
            format!("http://{upstream}").parse().expect("a socket address makes an upstream");
        let login = login(&simulator, public_url.clone());
        let settings = Settings::new(login, upstream).listen(listen);
        let gateway = Gateway::start(settings).map_err(failed(listen))?;
        Ok(Self { gateway, simulator, site, public_url })
    }

    /// The address to open in a browser.
    pub fn url(&self) -> &str {
        self.public_url.as_str()
    }

    /// The local WeChat.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Stops everything, the gateway first.
    pub async fn stop(self) {
        self.gateway.stop().await;
        self.simulator.stop().await;
        self.site.abort();
    }
}

/// The login of the demo: each page shows another policy.
fn login(simulator: &Simulator, public_url: Origin) -> WechatLoginLayer {
    let account = &simulator.world().accounts[0];
    let secret = AppSecret::new(account.secret.clone());
    let account = Account::official_account(&account.appid, secret)
        .expect("the simulator's account has an appid");
    let endpoints = Endpoints::default()
        .with_open(&simulator.url())
        .and_then(|endpoints| endpoints.with_api([simulator.url()]))
        .expect("the simulator is on loopback");
    let policy =
        Policy::all(Login::Optional).path("/silent", Login::Base).path("/profile", Login::Userinfo);
    WechatLoginLayer::new(account, public_url).client(Client::new(endpoints)).policy(policy)
}

fn local(addr: SocketAddr) -> Origin {
    Origin::parse(&format!("http://{addr}")).expect("a loopback address makes an origin")
}

/// The public URL has to be known before the gateway listens, so a port is picked for it here.
fn free_port(addr: SocketAddr) -> io::Result<SocketAddr> {
    if addr.port() != 0 {
        return Ok(addr);
    }
    StdListener::bind(addr)?.local_addr()
}
