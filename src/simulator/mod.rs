//! A WeChat to test against: its ways to sign people in, faithfully, on this machine.
//!
//! The simulator plays both sides of the platform that a login meets: `open.weixin.qq.com` and
//! `login.work.weixin.qq.com` with their pages, `api.weixin.qq.com` and `qyapi.weixin.qq.com` with their APIs. It plays
//! WeChat's browser as well, so any browser or HTTP client can walk a login, and phones that scan QR codes and run
//! mini-programs.
//! It shares no code with this crate's own client: the two can only agree by both being right.
//!
//! ```
//! # async fn example() {
//! let sim = wxgate::simulator::Simulator::start().await;
//! // Point a client's hosts at `sim.url()`, and sign somebody in.
//! assert_eq!(sim.count("/sns/oauth2/access_token"), 0);
//! sim.stop().await;
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example());
//! ```
//!
//! # What it has
//!
//! | path | what |
//! | --- | --- |
//! | `/` | who lives here, and how to use it |
//! | `/connect/oauth2/authorize` | the page that asks, for official accounts and WeCom: parameters in the strict order, errors 10003-10016 as pages |
//! | `/connect/qrconnect`, `/wwlogin/sso/login` | the page with a QR code, for websites and for WeCom on a desktop. See [QR codes](#qr-codes) |
//! | `/sns/oauth2/access_token`, `/sns/oauth2/refresh_token`, `/sns/userinfo`, `/sns/auth` | the API; GET or POST form; always HTTP 200 and `text/plain` |
//! | `/cgi-bin/token`, `/cgi-bin/stable_token` | an account's own access token; the second takes a JSON body only. Always HTTP 200 and JSON |
//! | `/cgi-bin/user/info`, `/cgi-bin/ticket/getticket?type=jsapi` | who follows the account, and the ticket of its pages |
//! | `/sns/jscode2session`, `/wxa/checksession` | a mini-program's sign-in, and whether its session key is the current one |
//! | `/cgi-bin/gettoken`, `/cgi-bin/auth/getuserinfo`, `/cgi-bin/auth/getuserdetail`, `/cgi-bin/get_jsapi_ticket` | WeCom's API, with its own errors. `/cgi-bin/user/getuserinfo` is the older form of the second |
//! | `/_simulator/faults` | `GET` lists, `POST` adds, `DELETE` clears what is to go wrong |
//! | `/_simulator/requests` | `GET` lists what arrived, `DELETE` forgets it |
//! | `/_simulator/push` | `POST {"event": "user_authorization_revoke", "appid": "wx...", "user": "alice", "url": "http://127.0.0.1:8080/_wx/messages", "token": "..."}` sends a signed message, as WeChat does to an account's message server, and answers `{"status": ..., "body": ...}`. With `"aes_key"` it is encrypted, with `"format": "json"` it is JSON. Loopback addresses only |
//! | `/_simulator/follow` | `POST {"user": "bob", "appid": "wx...", "follow": true}`: from now on bob follows the account, or follows it no more. No message is sent |
//! | `/_simulator/mini-program` | `POST {"user": "alice", "appid": "wx..."}` is `wx.login` on alice's phone, and answers `{"js_code": "..."}` |
//! | `/_simulator/mini-program/user-data`, `/_simulator/mini-program/phone` | the same `POST` after the code was exchanged: what `wx.getUserProfile` and the phone-number button give, signed and encrypted with the current session key |
//! | `/_simulator/js-sdk` | `POST {"appid": "wx...", "url": "...", "timestamp": 1414587457, "nonceStr": "...", "signature": "..."}` answers what `wx.config` would, as `{"errMsg": "config:ok"}` |
//! | `/_simulator/clock` | `POST {"advance_seconds": 7200}` moves the clock; `GET` reads it |
//!
//! Codes live 5 minutes and work once, tokens and tickets 2 hours, refresh tokens and remembered consents 30 days. Time is
//! the simulator's own and can be moved with [`Simulator::advance`].
//!
//! Each fetch from `/cgi-bin/token` gives a new token; the one before it is good for 5 more minutes, and those before that
//! no more. `/cgi-bin/stable_token` gives the same until its last 5 minutes, in which the old and the new one are both
//! good. `"force_refresh": true` ends the old one at once: 20 times a day, and not again within 30 seconds. The two know
//! nothing of each other. A corp's token is the same until it ends, and its `user_ticket`s live half an hour. A
//! mini-program's session key changes with each sign-in of the person.
//!
//! # Who is it?
//!
//! People choose on a page, and a cookie remembers. Scripts send headers to the authorize page, to the pages with a QR
//! code, and to the page that a QR code leads to:
//!
//! | header | what |
//! | --- | --- |
//! | `X-Simulator-User: alice` | is alice, who allows it at once. That consent is not remembered |
//! | `X-Simulator-Consent: allow`, `deny` or `silence` | answers whatever would be asked. `deny` goes back with the `state` alone; `silence` stays on a blank page |
//! | `X-Simulator-From: menu` | comes from the account's menu, where followers are not asked |
//!
//! # QR codes
//!
//! A page with a QR code asks `/connect/l/qrconnect?uuid=...` for news, as WeChat's does, and each answer is JavaScript:
//! `window.wx_errcode=408;window.wx_code='';`.
//!
//! | `wx_errcode` | what |
//! | --- | --- |
//! | 408 | nothing for 25 seconds of real time: ask again |
//! | 404 | scanned. With `&last=404` the next answer comes when there is more to say |
//! | 405 | confirmed, with the code in `wx_code` |
//! | 403 | cancelled: the site gets its `state` alone |
//! | 402 | expired, after 5 minutes, or unknown |
//!
//! The uuid is in the page: `<img src="/connect/qrcode/{uuid}">`. The QR code leads to `/connect/confirm?uuid=...`, where
//! any device that reaches the simulator is the phone: a browser chooses who it is and is asked, and a script says so in
//! headers. Where there is no phone, the page's own buttons play it, without leaving the browser. In WeCom only members
//! get in.
//!
//! # Faults
//!
//! `POST /_simulator/faults` takes a list such as
//! `[{"fault": "slow", "times": 2, "ms": 800, "path": "/sns/userinfo"}]`. It adds to those that are still to happen.
//! [`Fault`] says what there is and what each is about.
//!
//! # Twins
//!
//! WeChat requests callbacks twice. After [`Fault::TwinSameCode`] or [`Fault::TwinNewCode`],
//!
//! - a client without scripts gets the usual 302 and, in `X-Simulator-Twin`, the second callback URL. It is up to the
//!   client to request both with its cookies;
//! - a browser (it sends `Sec-Fetch-Mode: navigate`) gets a page whose script fetches the twin and goes to the callback
//!   20 ms later. The fetch carries the site's `SameSite=Lax` cookies only where site and simulator are the same site,
//!   which `127.0.0.1` is on any two ports, and `127.0.0.1` and `localhost` are not.
//!
//! After [`Fault::ReplayLater`] the simulator itself requests the callback once more, without cookies, as soon as its
//! clock is three hours further. That is recorded with the method `REPLAY` and the status it got; a callback that is
//! not plain http on loopback is not requested, and recorded as `REPLAY_REFUSED`.
//!
//! # A world of your own
//!
//! Without one, it is [`World::builtin`].
//!
//! ```
//! let world = wxgate::simulator::World::from_toml(r#"
//!     [[accounts]]
//!     appid = "wxfedcba9876543210"
//!     secret = "fedcba9876543210fedcba9876543210"
//!     name = "花店"
//!     callback_hosts = ["h5.example.com"]   # no scheme, no port, no path
//!     kind = "official-account"             # or "website", "mini-program", "wecom"
//!     scopes = ["snsapi_base", "snsapi_userinfo"]
//!     banned = false
//!     sandbox = false                       # true: followers only
//!     open_platform = true                  # false: nobody has a unionid here
//!     ip_list = ["127.0.0.1"]               # who may fetch the account's token; left out: everybody
//!
//!     [[accounts]]
//!     appid = "wwfedcba9876543210"          # a corpid: ww or wx
//!     secret = "fedcba9876543210fedcba9876543210fedcba98765"
//!     callback_hosts = ["h5.example.com:8443"] # a port is for WeCom only
//!     kind = "wecom"
//!     agentid = 1000002
//!
//!     [[users]]
//!     name = "erin"                         # for X-Simulator-User
//!     nickname = "艾琳🌻"
//!     avatar = ""                           # left out: a picture is drawn
//!     follower_of = ["wxfedcba9876543210"]
//!     unionid = true                        # or false, or a unionid
//!     snapshot = false
//!     userid = "ErinLi"                     # the member id in WeCom; left out: an outsider
//!     phone = "+86 13800138000"             # left out: a made-up one
//!
//!     [switches]
//!     lenient_order = false
//!     require_wechat_ua = false
//!     base_grant_keeps_refresh = false
//!     wrong_secret_is_40001 = false
//!     authorizes_per_minute = 600           # left out: no limit
//!     code2sessions_per_minute = 100        # left out: no limit
//! "#)?;
//! assert_eq!(world.users[0].openid("wxfedcba9876543210").len(), 28);
//! # Ok::<(), wxgate::simulator::WorldError>(())
//! ```

mod answer;
mod authorize;
mod builder;
mod cgi;
mod clock;
mod control;
mod cookies;
mod errors;
mod faults;
mod followers;
mod grants;
mod ids;
mod js_sdk;
mod mini_program;
mod outgoing;
mod page_error;
mod pages;
mod params;
mod phone;
mod profile;
mod push;
mod qr;
mod record;
mod replay;
mod sealed;
mod server;
mod server_tokens;
mod sns;
mod told;
mod visit;
mod way_back;
mod wecom;
mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

pub use builder::{Builder, StartError};
pub use faults::{Fault, FaultSwitch};
pub use phone::{MiniProgramPhone, UserData};
pub use record::Received;
pub use sealed::Sealed;
pub use told::TellError;
pub use world::{Account, AccountKind, Switches, Unionid, User, World, WorldError};

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    sim: Shared,
    addr: SocketAddr,
    stop: watch::Sender<()>,
}

/// What every request handler shares.
type Shared = Arc<Platform>;

/// The platform's state.
#[derive(Debug)]
struct Platform {
    world: World,
    url: String,
    clock: clock::Clock,
    grants: Mutex<grants::Grants>,
    server_tokens: Mutex<server_tokens::ServerTokens>,
    session_keys: Mutex<mini_program::SessionKeys>,
    user_tickets: Mutex<wecom::UserTickets>,
    followers: followers::Followers,
    qrs: qr::Qrs,
    faults: faults::Faults,
    record: record::Record,
    replays: replay::Replays,
    runtime: Handle,
}

impl Simulator {
    /// Starts one on a free port of 127.0.0.1, with the [built-in world](World::builtin), on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// If loopback cannot be listened on, or outside a tokio runtime.
    pub async fn start() -> Self {
        Self::builder().start().await.expect("loopback has a free port")
    }

    /// Starts from the defaults: a free port of 127.0.0.1 and the [built-in world](World::builtin).
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Where it is, as `http://127.0.0.1:PORT`: the base of both the authorize page and the API.
    pub fn url(&self) -> String {
        self.sim.url.clone()
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The accounts and people it knows.
    pub fn world(&self) -> &World {
        &self.sim.world
    }

    /// Moves its clock forward. Replays that become due start; [`Simulator::settle`] waits for them.
    pub fn advance(&self, by: Duration) {
        self.sim.advance(by);
    }

    /// Waits until the replays that were started are over and recorded.
    pub async fn settle(&self) {
        self.sim.replays.settle().await;
    }

    /// Makes a fault happen the next `times` times that it can.
    pub fn fault(&self, fault: Fault, times: u32) {
        self.faults([FaultSwitch::new(fault, times)]);
    }

    /// Adds to the faults that are still to happen.
    pub fn faults(&self, switches: impl IntoIterator<Item = FaultSwitch>) {
        self.sim.faults.add(switches);
    }

    /// The faults that are still to happen.
    pub fn pending_faults(&self) -> Vec<FaultSwitch> {
        self.sim.faults.all()
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.sim.faults.clear();
    }

    /// What arrived, oldest first, without what went to `/_simulator`.
    pub fn requests(&self) -> Vec<Received> {
        self.sim.record.all()
    }

    /// How many requests arrived for exactly this path.
    pub fn count(&self, path: &str) -> usize {
        self.sim.record.count(path)
    }

    /// Forgets what arrived.
    pub fn clear_requests(&self) {
        self.sim.record.clear();
    }

    /// Stops listening and closes every connection. Answered requests and the world can still be read.
    pub async fn stop(&self) {
        self.stop.send_replace(());
        self.wait().await;
    }

    /// Waits until it is stopped by [`Simulator::stop`].
    pub async fn wait(&self) {
        self.stop.closed().await;
    }
}

impl Platform {
    /// On the current tokio runtime.
    fn new(world: World, url: String) -> Self {
        Self {
            world,
            url,
            clock: clock::Clock::default(),
            grants: Mutex::default(),
            server_tokens: Mutex::default(),
            session_keys: Mutex::default(),
            user_tickets: Mutex::default(),
            followers: followers::Followers::default(),
            qrs: qr::Qrs::default(),
            faults: faults::Faults::default(),
            record: record::Record::default(),
            replays: replay::Replays::default(),
            runtime: Handle::current(),
        }
    }

    fn grants(&self) -> MutexGuard<'_, grants::Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server_tokens(&self) -> MutexGuard<'_, server_tokens::ServerTokens> {
        self.server_tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session_keys(&self) -> MutexGuard<'_, mini_program::SessionKeys> {
        self.session_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn user_tickets(&self) -> MutexGuard<'_, wecom::UserTickets> {
        self.user_tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(self: &Arc<Self>, by: Duration) {
        self.clock.advance(by);
        self.qrs.wake();
        self.replays.start_due(self);
    }
}
