//! The command line: what can be asked for, and what is said on a terminal.

// Doc comments are help texts here.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

use std::{
    error::Error,
    fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use wxgate::{
    Account, AppSecret, Login, Origin, WechatLoginLayer,
    gateway::{Settings, UpstreamUrl},
    session::{Lifetimes, MemoryStore},
    simulator::{Builder, Simulator, World},
    wechat::{Client, Endpoints},
};

const SESSION_LIVES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(400 * 24 * 60 * 60);
const SECRET_ENV: &str = "WXGATE_SECRET";

/// Signs people in with WeChat.
#[derive(Parser)]
#[command(name = "wxgate", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the gateway in front of an app
    Serve(Box<Serve>),
    /// Run a local WeChat to test against
    Simulator(SimulatorArgs),
    /// Run a login site, the gateway in front of it and a local WeChat behind it
    Demo(DemoArgs),
}

#[derive(Args)]
pub(crate) struct Serve {
    /// The appid of your official account: wx and 16 hexadecimal digits
    #[arg(long)]
    appid: String,
    /// A file that holds the app secret; without it, the environment variable WXGATE_SECRET
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Refused: a secret on the command line shows in `ps`
    #[arg(long, hide = true)]
    secret: Option<String>,
    /// The address that browsers know, such as https://h5.example.com; its host has to be registered at WeChat
    #[arg(long, value_name = "URL")]
    public_url: Origin,
    /// The app behind the gateway, such as http://127.0.0.1:3000
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: UpstreamUrl,
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    pub(crate) listen: SocketAddr,
    /// What every page asks of its visitors
    #[arg(long, value_enum, default_value_t = Asks::Base)]
    login: Asks,
    /// A session that is not used for this long ends
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
    session_idle: Duration,
    /// A session ends this long after the sign-in, however much it is used
    #[arg(long, value_name = "TIME", default_value = "7days", value_parser = humantime::parse_duration)]
    session_life: Duration,
    /// Another address than WeChat's own for its API; may be given several times, the first is preferred
    #[arg(long, value_name = "URL")]
    wechat_api: Vec<String>,
    /// Another address than https://open.weixin.qq.com to send people to
    #[arg(long, value_name = "URL")]
    wechat_open: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Asks {
    /// A silent sign-in, which tells the openid
    Base,
    /// A sign-in with consent, which tells nickname and avatar as well
    Userinfo,
    /// Nothing, but who is signed in is told to the app
    Optional,
}

impl Serve {
    pub(crate) fn settings(&self) -> Result<Settings, Box<dyn Error>> {
        let account = Account::official_account(&self.appid, self.app_secret()?)?;
        let mut endpoints = Endpoints::default().with_api(&self.wechat_api)?;
        if let Some(open) = &self.wechat_open {
            endpoints = endpoints.with_open(open)?;
        }
        let (idle, absolute) = (self.session_idle, self.session_life);
        if ![idle, absolute].iter().all(|life| SESSION_LIVES.contains(life)) {
            let why = "--session-idle and --session-life have to be between one second and 400 days, \
                       which is as long as browsers keep a cookie";
            return Err(why.into());
        }
        let store = MemoryStore::builder().lifetimes(Lifetimes { idle, absolute }).build();
        let login = match self.login {
            Asks::Base => Login::Base,
            Asks::Userinfo => Login::Userinfo,
            Asks::Optional => Login::Optional,
        };
        let login = WechatLoginLayer::with_store(account, self.public_url.clone(), store)
            .client(Client::new(endpoints))
            .login(login);
        Ok(Settings::new(login, self.upstream.clone()).listen(self.listen))
    }

    fn app_secret(&self) -> Result<AppSecret, Box<dyn Error>> {
        if self.secret.is_some() {
            let why = "--secret is refused: everybody on this machine could read it with `ps`, and by now \
                       they may have. Put it into a file for --secret-file, or into the environment variable \
                       WXGATE_SECRET, and reset it at WeChat if others use this machine";
            return Err(why.into());
        }
        if let Some(file) = &self.secret_file {
            return Ok(AppSecret::from_file(file)?);
        }
        if std::env::var_os(SECRET_ENV).is_none() {
            let why = "the app secret is missing: give --secret-file FILE, or set the environment variable \
                       WXGATE_SECRET";
            return Err(why.into());
        }
        Ok(AppSecret::from_env(SECRET_ENV)?)
    }
}

#[derive(Args)]
pub(crate) struct SimulatorArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)))]
    listen: SocketAddr,
    /// A TOML file with accounts and users, instead of the built-in ones
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,
    /// Listen on an address that other machines can reach, where everybody can sign in as anybody
    #[arg(long)]
    insecure_listen: bool,
}

impl SimulatorArgs {
    pub(crate) fn builder(&self) -> Result<Builder, Box<dyn Error>> {
        let mut builder =
            Simulator::builder().listen(self.listen).insecure_listen(self.insecure_listen);
        if let Some(file) = &self.world {
            let named = |reason: &dyn Error| format!("{}: {reason}", file.display());
            let text = fs::read_to_string(file).map_err(|error| named(&error))?;
            builder = builder.world(World::from_toml(&text).map_err(|error| named(&error))?);
        }
        Ok(builder)
    }
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Where the gateway listens
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    pub(crate) listen: SocketAddr,
    /// Where the local WeChat listens
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)))]
    pub(crate) simulator_listen: SocketAddr,
}

/// What somebody who has just started the demo can do.
pub(crate) fn demo_steps(url: &str, simulator: &str) -> String {
    format!(
        "\
wxgate demo / 演示
  open / 打开          {url}/
  silent / 静默登录    {url}/silent
  profile / 授权登录   {url}/profile
  app / 单页应用       {url}/app/
  local WeChat / 本地微信模拟器  {simulator}/

With curl, as alice / 用 curl 以 alice 登录:
  curl -sL -c jar -b jar -H 'X-Simulator-User: alice' '{url}/_wx/login?scope=userinfo&to=/profile'
  curl -s -b jar {url}/_wx/me
Refuse the consent / 拒绝授权:
  curl -sL -c jar2 -b jar2 -H 'X-Simulator-User: bob' -H 'X-Simulator-Consent: deny' '{url}/_wx/login?scope=userinfo&to=/profile'

Ctrl-C stops it / 按 Ctrl-C 退出"
    )
}

pub(crate) fn say(text: &str) {
    // Where nobody reads any more, there is nobody to tell.
    writeln!(io::stdout(), "{text}").ok();
}

pub(crate) fn say_error(message: &str) {
    writeln!(io::stderr(), "wxgate: {message}").ok();
}
