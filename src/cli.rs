//! The command line: what can be asked for, and what is said on a terminal.

// Doc comments are help texts here.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

use std::{
    error::Error,
    fmt::Display,
    fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use wxgate::{
    Login,
    gateway::{
        config::{Config, Flags},
        snippet::{Kind, snippet},
    },
    simulator::{Builder, Simulator, World},
};

use super::{Stop, keys::KeysArgs, sessions::SessionsArgs};

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
    /// Say what is wrong with a configuration file, or what to register at WeChat for it
    Check(CheckArgs),
    /// Run a local WeChat to test against
    Simulator(SimulatorArgs),
    /// Run a login site, the gateway in front of it and a local WeChat behind it
    Demo(DemoArgs),
    /// Print what a front proxy needs that asks this gateway, for its sites with forward_auth
    Snippet(SnippetArgs),
    /// Make, rotate and list the keys that seal sessions
    Keys(KeysArgs),
    /// Ask a running gateway whether it serves: exit code 0 or 1
    Health(HealthArgs),
    /// Tell who is signed in at a running gateway, or end sessions
    Sessions(SessionsArgs),
}

#[derive(Args)]
pub(crate) struct Serve {
    /// A configuration file; the other options are the short form of the same, for one account, one site and one app
    #[arg(id = "config", long = "config", value_name = "FILE", conflicts_with = "Short")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    short: Short,
}

#[derive(Args)]
struct Short {
    /// The appid of your official account: wx and 16 hexadecimal digits
    #[arg(long, required_unless_present = "config")]
    appid: Option<String>,
    /// A file that holds the app secret; without it, the environment variable WXGATE_SECRET
    #[arg(long, value_name = "FILE")]
    secret_file: Option<String>,
    /// Refused: a secret on the command line shows in `ps`
    #[arg(long, hide = true)]
    secret: Option<String>,
    /// The address that browsers know, such as https://h5.example.com; its host has to be registered at WeChat
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    public_url: Option<String>,
    /// The app behind the gateway, such as http://127.0.0.1:3000
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    upstream: Option<String>,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where health and metrics are asked for, and sessions revoked [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// A proxy of your own in front, by address or network, whose word on the client's address counts; may be given
    /// several times
    #[arg(long, value_name = "ADDR")]
    trusted_proxy: Vec<String>,
    /// What every page asks of its visitors [default: base]
    #[arg(long, value_enum)]
    login: Option<Asks>,
    /// What somebody outside WeChat gets: `help` a page that says to open it there, or `scan` a code to scan with the phone
    /// [default: help]
    #[arg(long, value_name = "OFFER")]
    outside_wechat: Option<String>,
    /// Where sessions are kept: memory, file:PATH, or the address of a Redis, such as redis://127.0.0.1:6379
    /// [default: memory]
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// A file that holds the password of the Redis; without it, the environment variable WXGATE_STORE_PASSWORD
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<String>,
    /// The keys that seal sessions, as `wxgate keys new` makes them [default: PATH.keys for --store file:PATH]
    #[arg(long, value_name = "FILE")]
    key_file: Option<String>,
    /// A session that is not used for this long ends [default: 24h]
    #[arg(long, value_name = "TIME")]
    session_idle: Option<String>,
    /// A session ends this long after the sign-in, however much it is used [default: 7days]
    #[arg(long, value_name = "TIME")]
    session_life: Option<String>,
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
    /// What the flags say, where there is no file.
    pub(crate) fn flags(self) -> Result<Flags, Stop> {
        let short = self.short;
        if short.secret.is_some() {
            let why = "--secret is refused: everybody on this machine could read it with `ps`, and by now \
                       they may have. Put it into a file for --secret-file, or into the environment variable \
                       WXGATE_SECRET, and reset it at WeChat if others use this machine";
            return Err(Stop::usage(why));
        }
        Ok(Flags {
            // Without a file, clap has seen to it that these three are there.
            appid: short.appid.unwrap_or_default(),
            public_url: short.public_url.unwrap_or_default(),
            upstream: short.upstream.unwrap_or_default(),
            secret_file: short.secret_file,
            login: match short.login {
                None | Some(Asks::Base) => Login::Base,
                Some(Asks::Userinfo) => Login::Userinfo,
                Some(Asks::Optional) => Login::Optional,
            },
            outside_wechat: short.outside_wechat,
            listen: short.listen,
            admin_listen: short.admin_listen,
            trusted_proxy: short.trusted_proxy,
            store: short.store,
            store_password_file: short.store_password_file,
            key_file: short.key_file,
            session_idle: short.session_idle,
            session_life: short.session_life,
            wechat_api: short.wechat_api,
            wechat_open: short.wechat_open,
        })
    }
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "wxgate.toml")]
    pub(crate) config: PathBuf,
    /// Ask WeChat too, whether it can be reached and takes each account's appid and secret, and the store of the sessions
    #[arg(long)]
    pub(crate) online: bool,
}

#[derive(Args)]
pub(crate) struct SnippetArgs {
    /// The front proxy
    #[arg(value_name = "PROXY", value_parser = kinds())]
    kind: Kind,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "wxgate.toml")]
    config: PathBuf,
}

fn kinds() -> impl TypedValueParser<Value = Kind> {
    let names = PossibleValuesParser::new(Kind::ALL.map(Kind::name));
    names.map(|name| name.parse().expect("it is one of the names"))
}

impl SnippetArgs {
    pub(crate) fn text(&self) -> Result<String, Stop> {
        let file = self.config.display();
        let config = Config::from_file(&self.config);
        let config = config.map_err(|problems| Stop::problems(&problems, &file))?;
        snippet(self.kind, &config).map_err(|why| Stop::usage(format!("{file}: {why}")))
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
pub(crate) struct HealthArgs {
    /// Where the gateway's admin listener is
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 9101)))]
    pub(crate) admin: SocketAddr,
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

/// A problem says itself where it is.
pub(crate) fn say_problem(problem: impl Display) {
    writeln!(io::stderr(), "{problem}").ok();
}

pub(crate) fn say_error(message: &str) {
    writeln!(io::stderr(), "wxgate: {message}").ok();
}
