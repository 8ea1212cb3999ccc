//! A mixed load for a while, and then none: what a gateway has taken for it, it gives back.
//!
//! `tests/soak.sh` runs it for minutes in a release build. Without `WXGATE_SOAK_MINUTES` it takes some seconds.

#![allow(clippy::print_stdout)] // It measures.

mod app;
mod ground;
mod mischief;
mod people;
mod vitals;

use std::{
    env,
    fmt::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};
use wxgate::simulator::{Fault, FaultSwitch, Simulator, World as Platform};

use crate::{
    command::wxgate,
    process::{Folder, Process, SECRET},
    stores::redis_server::{PASSWORD, Server as RedisServer},
    world::APPID,
};
use ground::Ground;
use vitals::{Vitals, median};

/// How long the load lasts where nobody says.
const SHORT: Duration = Duration::from_secs(10);
/// How many people there are, and browsers of each kind.
const PEOPLE: usize = 40;
/// How long it may take until what is left of the load is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// What may differ from the start once nobody is there: a connection to the store, and the one that asks.
const LEFT: u64 = 6;
/// What goes wrong at WeChat meanwhile. Those that keep nothing back for anybody are left out.
const FAULTS: [Fault; 14] = [
    Fault::TwinSameCode,
    Fault::TwinNewCode,
    Fault::BusyBurnsCode,
    Fault::BusyKeepsCode,
    Fault::Drop,
    Fault::Quota,
    Fault::MinuteQuota,
    Fault::Snapshot,
    Fault::DenyStateOnly,
    Fault::DenySilent,
    Fault::ControlCharacters,
    Fault::BrokenUtf8,
    Fault::SexAsString,
    Fault::NoUnionid,
];

/// How long it goes on, and what is flat then.
struct Plan {
    length: Duration,
    /// How many clients of each kind there are.
    crowd: usize,
    /// A session that is not used ends after this, and any session after three times this.
    idle: Duration,
    /// By how much memory may grow, in percent and in KiB, once it is warm.
    growth: (u64, u64),
}

impl Plan {
    fn from_env() -> Self {
        let Ok(minutes) = env::var("WXGATE_SOAK_MINUTES") else {
            // Memory is not warm by then: this finds only what runs away.
            let idle = Duration::from_secs(2);
            return Self { length: SHORT, crowd: 1, idle, growth: (60, 48 * 1024) };
        };
        let minutes: f64 = minutes.parse().expect("WXGATE_SOAK_MINUTES is a number");
        let length = Duration::from_secs_f64(minutes * 60.0);
        Self { length, crowd: 4, idle: Duration::from_secs(10), growth: (10, 6 * 1024) }
    }

    /// How long it takes until memory is as it stays: caches, pools and arenas have their size.
    fn warm_up(&self) -> Duration {
        (self.length * 2 / 5).min(Duration::from_secs(4 * 60))
    }

    /// Memory once it was warm, and in the last quarter. On a machine that is busy with other things there are few looks.
    fn early_and_late(&self, looks: &[(Duration, u64)]) -> (u64, u64) {
        let (early, late) = looks.split_at(looks.len() * 3 / 4);
        let warm: Vec<_> = early.iter().filter(|(at, _)| *at > self.warm_up()).collect();
        let early: Vec<_> = if warm.is_empty() { looks.iter().collect() } else { warm };
        (median(early.into_iter()), median(late.iter()))
    }

    fn pause(&self) -> Duration {
        (self.length / 40).clamp(Duration::from_millis(250), Duration::from_secs(15))
    }
}

fn platform() -> Platform {
    let mut text = format!(
        "[[accounts]]\nappid = '{APPID}'\nsecret = '{SECRET}'\ncallback_hosts = ['127.0.0.1']\n"
    );
    for number in 0..PEOPLE {
        writeln!(text, "[[users]]\nname = 'p{number}'\nnickname = '人{number}'").unwrap();
    }
    Platform::from_toml(&text).unwrap()
}

/// A gateway with everything on it that holds something, over this store.
async fn gateway(plan: &Plan, store: &str, sim: &Simulator, app: &str) -> Process {
    let folder = Folder::new();
    folder.write("password.txt", PASSWORD);
    if store.starts_with("redis") {
        let made =
            wxgate().args(["keys", "new"]).arg(folder.path().join("keys")).output().await.unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    let keys = if store.starts_with("redis") {
        "store_password_file = 'password.txt'\nkey_file = 'keys'"
    } else {
        ""
    };
    let (idle, life) = (plan.idle.as_secs(), 3 * plan.idle.as_secs());
    let text = |addr| {
        format!(
            "rate_limit = 0\ncores = 2\ntrusted_proxies = ['127.0.0.1']\n\
             [limits]\nrequest_head = '3s'\nready_wait = '0s'\n\
             [session]\nstore = '{store}'\n{keys}\nidle = '{idle}s'\nlife = '{life}s'\n\
             refresh_profiles_after = '1s'\n\
             [wechat]\napi = ['{sim}']\nopen = '{sim}'\n\
             [site.h5]\npublic_url = 'http://{addr}'\nupstream = 'http://{app}'\n\
             forward_auth = true\noutside_wechat = 'scan'\n\
             [[site.h5.route]]\nprefix = '/off'\nlogin = 'off'\n\
             [[site.h5.route]]\nprefix = '/profile'\nlogin = 'userinfo'\n\
             [[site.h5.route]]\nprefix = '/html'\ninject = ['headers', 'html', 'assertion']\n",
            sim = sim.url()
        )
    };
    // Lines of every sign-in that fails would fill this process, and not the one that is looked at.
    Process::start_as(folder, text, "wxgate=error,wxgate::serve=info", |_| wxgate()).await
}

/// Sends the clients of one gateway there.
fn crowd(plan: &Plan, ground: &Arc<Ground>) -> JoinSet<()> {
    let mut all = JoinSet::new();
    for number in 0..plan.crowd {
        for person in (number..PEOPLE).step_by(8) {
            all.spawn(people::visitor(ground.clone(), person));
        }
        all.spawn(people::desktop(ground.clone(), number));
        all.spawn(people::front_proxy(ground.clone(), number));
        all.spawn(people::listener(ground.clone()));
        all.spawn(people::socket(ground.clone()));
        all.spawn(people::carrier(ground.clone()));
        all.spawn(mischief::hangs_up(ground.clone()));
        all.spawn(mischief::is_slow(ground.clone()));
        all.spawn(mischief::floods(ground.clone()));
    }
    all
}

/// Something goes wrong at WeChat every now and then, until it is over.
async fn troubles(sim: Arc<Simulator>, grounds: Vec<Arc<Ground>>) {
    while grounds.iter().all(|ground| ground.goes_on()) {
        sleep(Duration::from_millis(150)).await;
        let fault = FaultSwitch::new(fastrand::choice(FAULTS).expect("there are some"), 1);
        sim.faults([fault, FaultSwitch::new(Fault::Slow, 1).ms(fastrand::u64(10..400))]);
        if sim.pending_faults().len() > 40 {
            sim.clear_faults();
        }
        // What the simulator remembers is not what is measured, but it is in the same machine.
        sim.clear_requests();
    }
    sim.clear_faults();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mixed_load_takes_is_given_back_when_it_is_over() {
    let plan = Plan::from_env();
    let sim = Arc::new(Simulator::builder().world(platform()).start().await.unwrap());
    let app = app::start().await.to_string();
    let redis = RedisServer::start_durable().await;
    let on_file = gateway(&plan, "file:sessions.db", &sim, &app).await;
    let on_redis = gateway(&plan, &format!("redis://{}", redis.addr()), &sim, &app).await;
    let processes = [("file", on_file), ("redis", on_redis)];
    let grounds: Vec<_> = processes
        .iter()
        .map(|(name, process)| Arc::new(Ground::new(name, process, sim.clone())))
        .collect();

    // One sign-in makes what is made at the first one, such as the connection to the store.
    let mut before = Vec::new();
    for ((_, process), ground) in processes.iter().zip(&grounds) {
        people::signs_in(ground, "p0").await;
        until_quiet(process, None).await;
        before.push(Vitals::of(process).await);
        println!("{:5} start        {}", ground.name, before.last().unwrap());
    }

    let began = Instant::now();
    let mut crowds: Vec<_> = grounds.iter().map(|ground| crowd(&plan, ground)).collect();
    let troubles = tokio::spawn(troubles(sim.clone(), grounds.clone()));
    let mut memory = vec![Vec::new(); processes.len()];
    while began.elapsed() < plan.length {
        sleep(plan.pause()).await;
        for (((name, process), ground), memory) in processes.iter().zip(&grounds).zip(&mut memory) {
            process.signal("HUP").await;
            let vitals = Vitals::of(process).await;
            println!("{name:5} {:9.1?} s {vitals}", began.elapsed().as_secs_f32());
            println!("      {}", ground.counts());
            memory.push((began.elapsed(), vitals.anonymous));
        }
    }
    for ground in &grounds {
        ground.end();
    }
    for crowd in &mut crowds {
        while let Some(ended) = crowd.join_next().await {
            ended.expect("no client has found what must not be");
        }
    }
    troubles.await.unwrap();

    for (((name, process), before), (ground, memory)) in
        processes.iter().zip(&before).zip(grounds.iter().zip(&memory))
    {
        let after = until_quiet(process, Some(before)).await;
        println!("{name:5} end          {after}\n      {}", ground.counts());
        ground.assert_sound();
        let (warm, last) = plan.early_and_late(memory);
        println!("{name:5} memory: {warm} KiB once it was warm, {last} KiB in the last quarter");
        let (percent, kib) = plan.growth;
        assert!(last <= warm + warm * percent / 100 + kib, "{name}: memory grows");
        assert!(after.is_as_before(before, LEFT), "{name}: {after}\ninstead of {before}");
    }
    for (_, process) in processes {
        let (code, log) = process.stop().await;
        let bad: Vec<_> = log.iter().filter(|line| line["level"] == "ERROR").collect();
        assert!(code == Some(0) && bad.is_empty(), "{code:?} {bad:#?}");
    }
}

/// Waits until nobody is connected, nothing is under way, and no session is left.
async fn until_quiet(process: &Process, before: Option<&Vitals>) -> Vitals {
    let began = Instant::now();
    loop {
        let vitals = Vitals::of(process).await;
        let is_quiet = match before {
            Some(before) => vitals.is_as_before(before, LEFT) && vitals.sessions == 0,
            None => vitals.connections == 0,
        };
        if is_quiet || began.elapsed() > PATIENCE {
            return vitals;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
