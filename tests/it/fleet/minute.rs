//! A minute in which gateways and Redis are killed again and again under 300 people who come and go.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

use super::{Fleet, person::Person};

const PEOPLE: usize = 300;
const MINUTE: Duration = Duration::from_secs(60);
/// How long after the end of an outage everything works again: connections are made anew within half a second.
const RECOVERY: Duration = Duration::from_millis(1500);

/// What happened, as far as it matters in the end.
#[derive(Default)]
pub struct Chronicle {
    outages: Mutex<Vec<(Instant, Option<Instant>)>>,
    answered: Mutex<Vec<(Instant, Instant)>>,
    /// What is fine in an outage and nowhere else: a 503, a connection that was cut.
    unexpected: Mutex<Vec<(Instant, Instant, String)>>,
    /// What must never be.
    wrong: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Chronicle {
    pub fn answered(&self, began: Instant) {
        self.answered.lock().unwrap().push((began, Instant::now()));
    }

    pub fn unexpected(&self, what: &str, began: Instant) {
        self.unexpected.lock().unwrap().push((began, Instant::now(), what.to_owned()));
    }

    pub fn cut(&self, error: &str, began: Instant) {
        self.answered(began);
        self.unexpected(error, began);
    }

    pub fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    fn outage_begins(&self) -> usize {
        let mut outages = self.outages.lock().unwrap();
        outages.push((Instant::now(), None));
        outages.len() - 1
    }

    fn outage_ends(&self, number: usize) {
        self.outages.lock().unwrap()[number].1 = Some(Instant::now() + RECOVERY);
    }

    fn is_in_outage(&self, began: Instant, ended: Instant) -> bool {
        let outages = self.outages.lock().unwrap();
        outages.iter().any(|(from, to)| *from <= ended && to.is_none_or(|to| began <= to))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c42_c48_a_minute_of_outages_signs_nobody_out_and_mixes_nobody_up() {
    let mut fleet = Fleet::start(3, PEOPLE).await;
    let chronicle = Arc::<Chronicle>::default();
    let (visits, departures) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let mut people = JoinSet::new();
    for number in 0..PEOPLE {
        let name = format!("p{number}");
        let openid = fleet.openid(&name);
        let mut person = Person::new(&fleet.balancer.url(), &name, openid, chronicle.clone());
        let (chronicle, visits, departures) =
            (chronicle.clone(), visits.clone(), departures.clone());
        people.spawn(async move {
            while !chronicle.is_over.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(fastrand::u64(200..2500))).await;
                if fastrand::u8(..) < 40 {
                    person.sign_out().await;
                    departures.fetch_add(1, Ordering::SeqCst);
                } else {
                    person.visit().await;
                    visits.fetch_add(1, Ordering::SeqCst);
                }
                person.haunt().await;
            }
            // Whoever has a cookie is still somebody, now that all is well again.
            person.visit().await;
        });
    }

    let began = Instant::now();
    for round in 0.. {
        sleep(Duration::from_secs(3)).await;
        if began.elapsed() > MINUTE {
            break;
        }
        let outage = chronicle.outage_begins();
        match round % 4 {
            0 | 2 => {
                let member = &mut fleet.members[fastrand::usize(..3)];
                member.kill().await;
                sleep(Duration::from_millis(300)).await;
                member.start().await;
            }
            1 => {
                fleet.redis.kill();
                sleep(Duration::from_millis(700)).await;
                fleet.redis.restart().await;
            }
            _ => {
                fleet.redis.freeze();
                sleep(Duration::from_millis(1500)).await;
                fleet.redis.thaw();
            }
        }
        chronicle.outage_ends(outage);
    }
    sleep(RECOVERY).await;
    chronicle.is_over.store(true, Ordering::SeqCst);
    people.join_all().await;

    assert_eq!(*chronicle.wrong.lock().unwrap(), Vec::<String>::new());
    let answered = chronicle.answered.lock().unwrap();
    let outside = |(began, ended): &&(Instant, Instant)| !chronicle.is_in_outage(*began, *ended);
    let all = answered.iter().filter(outside).count();
    let unexpected = chronicle.unexpected.lock().unwrap();
    let failed: Vec<_> = unexpected
        .iter()
        .filter(|(began, ended, _)| !chronicle.is_in_outage(*began, *ended))
        .map(|(_, _, what)| what)
        .collect();
    println!(
        "{} requests, {} visits, {} sign-outs, {} outages: outside of them {} of {all} requests failed, inside {}",
        answered.len(),
        visits.load(Ordering::SeqCst),
        departures.load(Ordering::SeqCst),
        chronicle.outages.lock().unwrap().len(),
        failed.len(),
        unexpected.len() - failed.len(),
    );
    assert!(all > 5000, "{all} requests say little");
    assert!(failed.len() * 100 <= all, "{:#?}", &failed[..failed.len().min(10)]);
}
