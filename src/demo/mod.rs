//! The demo: a small H5 site, the gateway in front of it, and a local WeChat behind it.

mod configuration;
mod phone;
mod picture;
mod site;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdListener},
};

use axum::Router;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    doors::FollowCode,
    gateway::{Gateway, Settings},
    origin::Origin,
    simulator::{AccountKind, Simulator, StartError},
};
use configuration::Places;
use phone::Phone;
use site::{Accounts, Person, SiteFacts};

/// A demo that is running. Dropping it stops it.
#[derive(Debug)]
pub struct Demo {
    gateway: Gateway,
    simulator: Simulator,
    site: JoinHandle<()>,
    phone: JoinHandle<()>,
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
        let bind = async || {
            let listener = TcpListener::bind(anywhere).await?;
            let addr = listener.local_addr()?;
            Ok((listener, addr))
        };
        let (site_listener, upstream) = bind().await.map_err(failed(anywhere))?;
        let (phone_listener, phone_addr) = bind().await.map_err(failed(anywhere))?;
        // By another name than the gateway, so that a browser keeps the phone's cookies apart.
        let phone_url = format!("http://localhost:{}", phone_addr.port());

        let places =
            Places { public_url: public_url.as_str(), upstream: &format!("http://{upstream}") };
        let text = configuration::text(&simulator, &places);
        let follow_code = FollowCode::new(picture::code(&format!("{public_url}/phone/follow")))
            .expect("it is a small PNG");
        let config = configuration::config(&text, &simulator, follow_code);
        let gateway = Gateway::start(Settings::from_config(config)).map_err(failed(listen))?;

        let facts = facts(&simulator, &public_url, phone_url.clone(), text);
        let phone = Phone {
            url: phone_url,
            public_url: public_url.to_string(),
            mini_program: facts.accounts.mini_program.clone(),
        };
        let site = serve("site", site_listener, site::site(facts));
        let phone = serve("phone", phone_listener, phone::router(phone));
        Ok(Self { gateway, simulator, site, phone, public_url })
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
        self.phone.abort();
        self.site.abort();
    }
}

/// What the site knows of the rest.
fn facts(
    simulator: &Simulator,
    public_url: &Origin,
    phone_url: String,
    configuration: String,
) -> SiteFacts {
    let appid = |kind| configuration::account(simulator, kind).appid.clone();
    let accounts = Accounts {
        main: appid(AccountKind::OfficialAccount),
        website: appid(AccountKind::Website),
        mini_program: appid(AccountKind::MiniProgram),
    };
    let ids = [&accounts.main, &accounts.website, &accounts.mini_program];
    let people = simulator.world().users.iter().map(|user| Person {
        name: user.name.clone(),
        nickname: user.nickname.clone(),
        openids: ids.iter().map(|appid| user.openid(appid)).collect(),
    });
    SiteFacts {
        public_url: public_url.to_string(),
        simulator_url: simulator.url(),
        phone_url,
        configuration,
        people: people.collect(),
        accounts,
    }
}

fn serve(name: &'static str, listener: TcpListener, router: Router) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the demo's {name} has stopped");
        }
    })
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
