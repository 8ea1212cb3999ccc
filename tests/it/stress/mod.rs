//! Thousands of sign-ins of every kind at once, through two gateways over one store, while everything goes wrong at
//! WeChat that can: nobody is taken for somebody else, no code is sent twice, and nothing is left over.
//!
//! `WXGATE_STRESS_LOGINS=10000` makes it as long as it is meant to be, and `WXGATE_STRESS_SEED` plays a run again as far
//! as threads and sockets let it.

#![allow(clippy::print_stdout)] // It measures.

mod episodes;
mod fate;
mod judge;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env,
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::Request};
use http::StatusCode;
use tokio::{runtime::Handle, sync::RwLock, task::JoinSet, time::sleep};
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings, config::Config},
    session::{KeyFile, Lifetimes, MemoryStore},
    simulator::{Simulator, World as Platform},
};

use crate::{
    doors::{CORP, MESSAGE_TOKEN, MINI_PROGRAM, WEBSITE},
    fleet::balancer::Balancer,
    process::{Folder, SECRET},
    world::{self, APPID, Answer, Browser},
};

/// How many sign-ins there are where nobody says.
const FEW: usize = 1500;
const PEOPLE: usize = 150;
/// How many sign in at once, and over how many clients' connections.
const AT_ONCE: usize = 24;
const CLIENTS: usize = 12;
/// Far longer than anything takes once the load is over.
const PATIENCE: Duration = Duration::from_secs(30);

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

/// Two gateways, all kinds of accounts, and what is known of everybody.
struct Stage {
    sim: Simulator,
    clock: ManualClock,
    store: MemoryStore,
    url: String,
    admins: Vec<SocketAddr>,
    /// Who somebody may be taken for, by their names.
    names: HashMap<String, HashSet<String>>,
    clients: Vec<Browser>,
    next: AtomicUsize,
    is_over: AtomicBool,
    /// Held by whoever needs the time to stand still.
    standing: RwLock<()>,
    /// Browsers as they were left, each with the name of its user.
    left: Mutex<Vec<(String, Browser)>>,
    counts: Mutex<BTreeMap<&'static str, usize>>,
    wrong: Mutex<Vec<String>>,
}

/// One account of each kind, and people who are members of the corp.
fn platform() -> Platform {
    let mut text = String::new();
    for (appid, secret, kind) in [
        (APPID, SECRET.to_owned(), "official-account"),
        (WEBSITE, "1".repeat(32), "website"),
        (MINI_PROGRAM, "2".repeat(32), "mini-program"),
        (CORP, "3".repeat(43), "wecom"),
    ] {
        writeln!(text, "[[accounts]]\nappid = '{appid}'\nsecret = '{secret}'\nkind = '{kind}'")
            .unwrap();
        writeln!(text, "callback_hosts = ['127.0.0.1']").unwrap();
    }
    for number in 0..PEOPLE {
        writeln!(text, "[[users]]\nname = 'p{number}'\nnickname = '人{number}'").unwrap();
        writeln!(text, "userid = 'Member{number}'").unwrap();
    }
    Platform::from_toml(&text).unwrap()
}

impl Stage {
    async fn start() -> (Arc<Self>, Vec<Gateway>) {
        let sim = Simulator::builder().world(platform()).start().await.unwrap();
        let clock = ManualClock::new(SystemClock.now());
        let lifetimes = Lifetimes {
            idle: Duration::from_secs(2 * 60 * 60),
            absolute: Duration::from_secs(6 * 60 * 60),
        };
        let store = MemoryStore::builder().clock(clock.clone()).lifetimes(lifetimes).build();
        let names = (0..PEOPLE).map(|number| format!("p{number}")).map(|name| {
            let user = sim.world().user(&name).expect("they live there");
            let mut all = HashSet::from([format!("Member{}", &name[1..])]);
            for appid in [APPID, WEBSITE, MINI_PROGRAM] {
                all.extend([user.openid(appid), user.virtual_openid(appid)]);
            }
            (name, all)
        });
        let names: HashMap<_, _> = names.collect();

        let wrong = Arc::<Mutex<Vec<String>>>::default();
        let app = {
            let (wrong, names) = (wrong.clone(), names.clone());
            world::serve(Router::new().fallback(async move |request: Request| {
                let told = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
                let (name, openid) = (told("x-stress-person"), told("x-wechat-openid"));
                let is_it = |(name, openid): (&str, &str)| names[name].contains(openid);
                if !name.zip(openid).is_none_or(is_it) {
                    wrong.lock().unwrap().push(format!("{name:?} was taken for {openid:?}"));
                }
                format!("openid={}", openid.unwrap_or_default())
            }))
            .await
        };
        let addrs = [world::free_port(), world::free_port()];
        let url = Balancer::start(addrs.to_vec()).await.url();
        let folder = Folder::new();
        for (name, secret) in [("main", SECRET.to_owned()), ("web", "1".repeat(32))] {
            folder.write(name, secret);
        }
        for (name, secret) in [("mini", "2".repeat(32)), ("corp", "3".repeat(43))] {
            folder.write(name, secret);
        }
        folder.write("messages", MESSAGE_TOKEN);
        KeyFile::create(&folder.path().join("keys"), clock.now()).unwrap();
        let gateways: Vec<_> = addrs
            .iter()
            .map(|addr| {
                let text = configuration(*addr, &url, &sim.url(), app);
                let config = Config::from_toml(&text, folder.path(), &|_| None);
                let config = config.unwrap_or_else(|problems| panic!("{problems}"));
                let settings = Settings::from_config(config).client(world::client(&sim));
                Gateway::start(settings.clock(clock.clone()).store(store.clone())).unwrap()
            })
            .collect();
        let admins = gateways.iter().map(|gateway| gateway.admin_addr().unwrap()).collect();
        let clients = (0..CLIENTS).map(|_| Browser::new(&url, "nobody")).collect();
        let stage = Self {
            sim,
            clock,
            store,
            url,
            admins,
            names,
            clients,
            next: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            standing: RwLock::default(),
            left: Mutex::default(),
            counts: Mutex::default(),
            wrong: Mutex::default(),
        };
        // What the app finds wrong stands in one place with the rest.
        let stage = Arc::new(stage);
        let (to, from) = (stage.clone(), wrong);
        tokio::spawn(async move {
            while Arc::strong_count(&to) > 1 {
                to.wrong.lock().unwrap().append(&mut from.lock().unwrap());
                sleep(Duration::from_millis(50)).await;
            }
        });
        (stage, gateways)
    }

    /// A browser without cookies, over one of the clients' connections.
    fn browser(&self, name: &str, random: &mut fastrand::Rng) -> Browser {
        let mut browser = self.clients[random.usize(..CLIENTS)].twin();
        browser.headers.insert("x-simulator-user", name.parse().unwrap());
        browser.headers.insert("x-stress-person", name.parse().unwrap());
        browser.headers.insert("accept-language", "en".parse().unwrap());
        browser
    }

    fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
    }

    fn counted(&self, what: &'static str) -> usize {
        self.counts.lock().unwrap().get(what).copied().unwrap_or_default()
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Notes an answer of a gateway's.
    fn saw(&self, answer: &Answer) {
        if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
            self.wrong(format!("500 at {}: {}", answer.url, answer.body));
        }
    }
}

fn configuration(addr: SocketAddr, url: &str, sim: &str, app: SocketAddr) -> String {
    format!(
        "listen = '{addr}'\nadmin_listen = '127.0.0.1:0'\ncores = 1\nrate_limit = 0\n\
         [session]\nkey_file = 'keys'\nrefresh_profiles_after = '1h'\n\
         [wechat]\napi = ['{sim}']\nopen = '{sim}'\nwecom = '{sim}'\nwecom_desktop = '{sim}'\n\
         [account.main]\nappid = '{APPID}'\nsecret_file = 'main'\nmessage_token_file = 'messages'\n\
         [account.web]\nappid = '{WEBSITE}'\nsecret_file = 'web'\nkind = 'website'\n\
         [account.mini]\nappid = '{MINI_PROGRAM}'\nsecret_file = 'mini'\nkind = 'mini-program'\n\
         [account.corp]\nappid = '{CORP}'\nsecret_file = 'corp'\nkind = 'wecom'\nagentid = 1000002\n\
         [site.h5]\npublic_url = '{url}'\nupstream = 'http://{app}'\naccount = 'main'\n\
         website = 'web'\nmini_programs = ['mini']\n\
         [[site.h5.route]]\nprefix = '/off'\nlogin = 'off'\n\
         [[site.h5.route]]\nprefix = '/profile'\nlogin = 'userinfo'\n\
         [[site.h5.route]]\nprefix = '/desk'\noutside_wechat = 'scan'\n\
         [[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn c48_w02_thousands_of_sign_ins_at_once_mix_nobody_up_and_leave_nothing_behind() {
    let seed = number("WXGATE_STRESS_SEED").unwrap_or_else(|| fastrand::u64(..));
    let logins =
        number("WXGATE_STRESS_LOGINS").map_or(FEW, |count| usize::try_from(count).unwrap());
    println!("WXGATE_STRESS_SEED={seed} WXGATE_STRESS_LOGINS={logins}");
    let (stage, gateways) = Stage::start().await;
    let began = Instant::now();
    let mut people = JoinSet::new();
    for _ in 0..AT_ONCE {
        let stage = stage.clone();
        people.spawn(async move {
            loop {
                let number = stage.next.fetch_add(1, Ordering::SeqCst);
                if number >= logins {
                    return;
                }
                let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
                episodes::play(&stage, &mut random).await;
            }
        });
    }
    let fate = tokio::spawn(fate::decide(stage.clone(), fastrand::Rng::with_seed(seed)));
    while let Some(ended) = people.join_next().await {
        ended.expect("every episode comes to its end");
    }
    stage.is_over.store(true, Ordering::SeqCst);
    fate.await.unwrap();
    println!("{logins} sign-ins in {:.1?}: {:?}", began.elapsed(), stage.counts.lock().unwrap());
    judge::judge(&stage, logins).await;
    judge::let_time_pass(&stage).await;

    // Nothing that was begun is left once the gateways have gone.
    for gateway in gateways {
        gateway.stop().await;
    }
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let (last, began) = (tasks(), Instant::now());
    drop(stage);
    while tasks() > AT_ONCE {
        assert!(began.elapsed() < PATIENCE, "{} tasks are left of {last}", tasks());
        sleep(Duration::from_millis(10)).await;
    }
}
