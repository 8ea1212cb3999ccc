//! Signs people in through a gateway, each from the first page to the page that they wanted, as many as it can take.
//!
//! Usage: `logins GATEWAY SIMULATOR SECONDS AT_ONCE USERS`
//!
//! The two are addresses, and the people are those that the simulator knows as user-0, user-1 and so on.

use std::{
    cell::{Cell, RefCell},
    error::Error,
    io::{self, Write},
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::task::LocalSet;

use http::{Head, Line};

#[path = "http.rs"]
mod http;

/// What WeChat's browser says of itself, as far as it matters here.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) MicroMessenger/8.0.49\r\n\
                       Accept: text/html\r\n";

struct Plan {
    gateway: String,
    simulator: String,
    until: Instant,
    users: usize,
}

#[derive(Default)]
struct Tally {
    begun: Cell<usize>,
    /// Of each login that is complete, in microseconds.
    took: RefCell<Vec<u128>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("usage: logins GATEWAY SIMULATOR SECONDS AT_ONCE USERS");
    let (gateway, simulator) = (next()?, next()?);
    let lasts = Duration::from_secs(next()?.parse()?);
    let (at_once, users): (usize, usize) = (next()?.parse()?, next()?.parse()?);
    let began = Instant::now();
    let plan = Rc::new(Plan { gateway, simulator, until: began + lasts, users });
    let tally = Rc::new(Tally::default());
    let everybody = LocalSet::new();
    let people: Vec<_> = (0..at_once)
        .map(|_| everybody.spawn_local(sign_people_in(Rc::clone(&plan), Rc::clone(&tally))))
        .collect();
    everybody
        .run_until(async {
            for person in people {
                // A login that fails is no lower figure: it ends all of it.
                person.await??;
            }
            Ok::<_, Box<dyn Error>>(())
        })
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    let mut took = tally.took.borrow_mut();
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 1000).copied().unwrap_or(0);
    writeln!(
        io::stdout(),
        r#"{{"requests": {}, "seconds": {seconds}, "p50": {}, "p99": {}, "p999": {}}}"#,
        took.len(),
        at(500),
        at(990),
        at(999),
    )?;
    Ok(())
}

async fn sign_people_in(plan: Rc<Plan>, tally: Rc<Tally>) -> io::Result<()> {
    let mut gateway = Line::open(&plan.gateway).await?;
    let mut simulator = Line::open(&plan.simulator).await?;
    while Instant::now() < plan.until {
        let user = tally.begun.get() % plan.users;
        tally.begun.set(tally.begun.get() + 1);
        let began = Instant::now();
        sign_in(&plan, &mut gateway, &mut simulator, user).await?;
        tally.took.borrow_mut().push(began.elapsed().as_micros());
    }
    Ok(())
}

async fn sign_in(
    plan: &Plan,
    gateway: &mut Line,
    simulator: &mut Line,
    user: usize,
) -> io::Result<()> {
    let asked = gateway.ask(&get(&plan.gateway, "/", "")).await?;
    let to_wechat = way(&asked, 302)?;
    let pending = format!("Cookie: {}\r\n", cookie(&asked)?);

    let who = format!("X-Simulator-User: user-{user}\r\n");
    let allowed = simulator.ask(&get(&plan.simulator, &to_wechat, &who)).await?;
    let back = way(&allowed, 302)?;

    let came_back = gateway.ask(&get(&plan.gateway, &back, &pending)).await?;
    let page = way(&came_back, 303)?;
    let session = format!("Cookie: {}\r\n", cookie(&came_back)?);

    match gateway.ask(&get(&plan.gateway, &page, &session)).await?.status {
        200 => Ok(()),
        other => Err(io::Error::other(format!("the page after the login was a {other}"))),
    }
}

fn get(host: &str, path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{BROWSER}{more}\r\n").into_bytes()
}

/// Path and query of where an answer sends the browser.
fn way(answer: &Head<'_>, status: u16) -> io::Result<String> {
    if answer.status != status {
        return Err(io::Error::other(format!("a {} instead of a {status}", answer.status)));
    }
    let to = answer.values("location").next().unwrap_or_default();
    let to = to.split('#').next().unwrap_or_default();
    Ok(match to.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
        None => to.to_owned(),
    })
}

/// The one that an answer sets, of those that it does not remove.
fn cookie<'a>(answer: &Head<'a>) -> io::Result<&'a str> {
    answer
        .values("set-cookie")
        .filter_map(|line| line.split(';').next())
        .find(|pair| !pair.ends_with('='))
        .ok_or_else(|| io::Error::other("no cookie came with it"))
}
