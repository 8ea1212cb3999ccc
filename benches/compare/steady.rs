//! Sends requests at a fixed rate, whether or not the answers keep up, and says how long each took since it was due.
//!
//! Usage: `steady ADDR PATH RATE SECONDS CONNECTIONS [HEADER...]`
//!
//! A generator that waits for an answer before it sends on asks less often whenever the server is slow, and so never
//! sees how long others would have waited. Here a request that finds no free connection waits in a queue, and its time
//! has begun already.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    error::Error,
    io::{self, Write},
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::LocalSet};

use http::Line;

#[path = "http.rs"]
mod http;

/// Requests become due in bundles this far apart: tokio's own timer knows milliseconds only, and a bundle of a whole
/// millisecond would measure itself.
const STEP: Duration = Duration::from_micros(200);

/// Requests of the first moments find cold caches, and are not in the figures.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(5);

struct Plan {
    addr: String,
    request: Vec<u8>,
    rate: f64,
    lasts: Duration,
    connections: usize,
}

impl Plan {
    fn from_args() -> Result<Self, Box<dyn Error>> {
        let mut args = std::env::args().skip(1);
        let mut next = || args.next().ok_or("usage: steady ADDR PATH RATE SECONDS CONNECTIONS");
        let (addr, path) = (next()?, next()?);
        let (rate, seconds, connections) = (next()?.parse()?, next()?.parse()?, next()?.parse()?);
        let mut head: Vec<String> = vec![format!("GET {path} HTTP/1.1")];
        head.extend(args);
        if !head.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
            head.insert(1, format!("Host: {addr}"));
        }
        let request = format!("{}\r\n\r\n", head.join("\r\n")).into_bytes();
        Ok(Self { addr, request, rate, lasts: WARM_UP + Duration::from_secs(seconds), connections })
    }
}

/// The requests that are due and that nobody has sent yet.
#[derive(Default)]
struct Due {
    since: RefCell<VecDeque<Instant>>,
    arrived: Notify,
}

impl Due {
    fn push(&self, since: Instant) {
        self.since.borrow_mut().push_back(since);
        self.arrived.notify_one();
    }

    async fn next(&self) -> Instant {
        loop {
            let next = self.since.borrow_mut().pop_front();
            match next {
                Some(since) => return since,
                None => self.arrived.notified().await,
            }
        }
    }
}

/// What came of them.
#[derive(Default)]
struct Tally {
    answered: Cell<u64>,
    wrong: Cell<u64>,
    /// In microseconds.
    took: RefCell<Vec<u64>>,
}

impl Tally {
    fn note(&self, status: u16, took: Option<Duration>) {
        self.answered.set(self.answered.get() + 1);
        self.wrong.set(self.wrong.get() + u64::from(status != 200));
        if let Some(took) = took {
            self.took.borrow_mut().push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn say(&self) -> io::Result<()> {
        let mut took = self.took.borrow_mut();
        took.sort_unstable();
        // The one below which so many of a thousand are.
        let at = |share: usize| took.get(took.len() * share / 1000).copied().unwrap_or(0);
        writeln!(
            io::stdout(),
            r#"{{"requests": {}, "wrong": {}, "p50": {}, "p99": {}, "p999": {}}}"#,
            self.answered.get(),
            self.wrong.get(),
            at(500),
            at(990),
            at(999),
        )
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let plan = Rc::new(Plan::from_args()?);
    LocalSet::new().run_until(run(plan)).await
}

async fn run(plan: Rc<Plan>) -> Result<(), Box<dyn Error>> {
    let (due, tally) = (Rc::new(Due::default()), Rc::new(Tally::default()));
    let mut lines = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        lines.push(Line::open(&plan.addr).await?);
    }
    let began = Instant::now();
    let counts_from = began + WARM_UP;
    for mut line in lines {
        let (plan, due, tally) = (Rc::clone(&plan), Rc::clone(&due), Rc::clone(&tally));
        tokio::task::spawn_local(async move {
            loop {
                let since = due.next().await;
                match line.ask(&plan.request).await {
                    Ok(head) => {
                        let took = (since >= counts_from).then(|| since.elapsed());
                        tally.note(head.status, took);
                    }
                    // It never counts as answered, so that the end finds it missing.
                    Err(why) => return writeln!(io::stderr(), "steady: {why}"),
                }
            }
        });
    }

    let step = pace(began);
    let mut steps = 0_u32;
    let mut pushed = 0_u32;
    loop {
        step.notified().await;
        let gone = began.elapsed().min(plan.lasts);
        // A step that this program itself is late for is due when it was planned.
        while STEP * (steps + 1) <= gone {
            steps += 1;
            let at = STEP * steps;
            while f64::from(pushed) < plan.rate * at.as_secs_f64() {
                due.push(began + at);
                pushed += 1;
            }
        }
        if gone == plan.lasts {
            break;
        }
    }
    let end = Instant::now() + PATIENCE;
    while tally.answered.get() < u64::from(pushed) {
        if Instant::now() > end {
            return Err(format!("{} of {pushed} were answered", tally.answered.get()).into());
        }
        step.notified().await;
    }
    tally.say()?;
    Ok(())
}

/// Tells of each step from a thread of its own, since only the system's timer is as fine.
fn pace(began: Instant) -> Arc<Notify> {
    let step = Arc::new(Notify::new());
    let tell = Arc::clone(&step);
    thread::spawn(move || {
        let mut next = began;
        loop {
            next += STEP;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            tell.notify_one();
        }
    });
    step
}
