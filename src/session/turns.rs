//! Plays tasks over a store in every order of what they ask of it, up to a number of interruptions: a model checker for
//! code whose tasks meet in the store alone.
//!
//! Each question to the store is a step. All tasks run to their next step; then one of them is let on, and the others
//! wait. Which one, is the choice that differs from run to run: depth first, until there is no other order with at most
//! so many *interruptions*, where a task that could go on has to wait for another one, or where time passes though
//! somebody could go on. What the tasks do is the real code, on one thread and with a clock that stands still.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task, time,
};

/// As long as anybody waits before asking the store again.
const TICK: Duration = Duration::from_millis(25);
/// Nobody is as patient as this.
const MOST_TICKS: usize = 4000;
/// Far more than a scenario should need in the ordinary tests: it is to be made smaller instead.
const MOST_ORDERS: usize = 60_000;

/// One of the tasks of a scenario.
pub(crate) type Part = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who waits for a turn. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Off while a scenario is set up, and while it is judged.
    is_on: bool,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
    last: Option<task::Id>,
    script: Vec<usize>,
    taken: Vec<Taken>,
    interruptions: usize,
    story: Vec<&'static str>,
}

struct Waiting {
    task: Option<task::Id>,
    what: &'static str,
    go: oneshot::Sender<()>,
}

/// A choice that was made. The last of the options is that time passes.
struct Taken {
    chosen: usize,
    options: usize,
    /// Whether the first option is the task that has just had its turn.
    goes_on: bool,
    /// Before it.
    interruptions: usize,
}

impl Taken {
    fn cost(&self, option: usize) -> usize {
        let is_time = option + 1 == self.options;
        usize::from(is_time || (self.goes_on && option > 0))
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("story", &self.state().story).finish_non_exhaustive()
    }
}

/// What came of all orders.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) orders: usize,
    /// The first order in which a promise was not kept, and which that was.
    pub(crate) broken: Option<(String, Vec<&'static str>)>,
}

impl Explored {
    /// So many orders at the least, and none in which a promise breaks.
    #[track_caller]
    pub(crate) fn holds(&self, at_least: usize) {
        if let Some((why, story)) = &self.broken {
            panic!("{why}, in order number {}: {story:?}", self.orders);
        }
        assert!(self.orders >= at_least, "{} orders say little", self.orders);
    }

    /// Some order breaks this promise.
    #[track_caller]
    pub(crate) fn breaks(&self, promise: &str) {
        let (why, _) = self.broken.as_ref().expect("an order breaks it");
        assert!(why.contains(promise), "{why}");
    }
}

/// Runs a scenario in every order with at most so many interruptions, until one breaks a promise. The variable
/// `WXGATE_INTERRUPTIONS` allows so many more: each one makes it some twenty times as long.
pub(crate) fn explore<F>(interruptions: usize, scenario: impl Fn(Turns) -> F) -> Explored
where
    F: Future<Output = Result<(), String>>,
{
    let more = std::env::var("WXGATE_INTERRUPTIONS").ok();
    let more = more.map_or(0, |more| more.parse().expect("WXGATE_INTERRUPTIONS is a number"));
    let most = if more == 0 { MOST_ORDERS } else { usize::MAX };
    let mut script = Vec::new();
    for orders in 1..=most {
        let turns = Turns::default();
        turns.state().script = script;
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let outcome = runtime.expect("it needs nothing").block_on(scenario(turns.clone()));
        if let Err(why) = outcome {
            let story = turns.state().story.clone();
            return Explored { orders, broken: Some((why, story)) };
        }
        match turns.next_script(interruptions + more) {
            Some(next) => script = next,
            None => return Explored { orders, broken: None },
        }
    }
    panic!("there are more than {MOST_ORDERS} orders");
}

impl Turns {
    /// Waits until it is this task's turn.
    pub(crate) async fn turn(&self, what: &'static str) {
        let (go, may_go) = oneshot::channel();
        {
            let mut state = self.state();
            if !state.is_on {
                return;
            }
            state.waiting.push(Waiting { task: task::try_id(), what, go });
        }
        // Whoever plays has gone where this fails, and then nobody asks any more.
        may_go.await.ok();
    }

    /// Plays the parts to their end, with all that they have begun, in the order of this run.
    pub(crate) async fn play(&self, parts: impl IntoIterator<Item = Part>) {
        self.state().is_on = true;
        let parts: Vec<_> = parts.into_iter().map(tokio::spawn).collect();
        let mut ticks = 0;
        loop {
            // Everybody comes as far as the next step: this task goes on once no other one can.
            for _ in 0..3 {
                task::yield_now().await;
            }
            if self.step() {
                continue;
            }
            if Handle::current().metrics().num_alive_tasks() == 0 {
                break;
            }
            ticks += 1;
            assert!(ticks < MOST_TICKS, "it does not end: {:?}", self.state().story);
            time::advance(TICK).await;
        }
        self.state().is_on = false;
        for part in parts {
            part.await.expect("no part panics");
        }
    }

    /// Gives somebody a turn. False where only time can help.
    fn step(&self) -> bool {
        let mut state = self.state();
        state.waiting.retain(|waiting| !waiting.go.is_closed());
        let count = state.waiting.len();
        if count == 0 {
            return false;
        }
        let last = state.last;
        let own = state.waiting.iter().position(|waiting| waiting.task == last);
        if let Some(own) = own {
            let first = state.waiting.remove(own);
            state.waiting.insert(0, first);
        }
        let number = state.taken.len();
        let chosen = state.script.get(number).copied().unwrap_or(0);
        let taken = Taken {
            chosen,
            options: count + 1,
            goes_on: own.is_some(),
            interruptions: state.interruptions,
        };
        assert!(chosen <= count, "the same order is not the same run: {:?}", state.story);
        state.interruptions += taken.cost(chosen);
        state.taken.push(taken);
        if chosen == count {
            state.story.push("time passes");
            return false;
        }
        let next = state.waiting.remove(chosen);
        state.last = next.task;
        state.story.push(next.what);
        next.go.send(()).ok();
        true
    }

    /// The order after this one.
    fn next_script(&self, most: usize) -> Option<Vec<usize>> {
        let mut state = self.state();
        while let Some(taken) = state.taken.pop() {
            let fits = |option: &usize| taken.interruptions + taken.cost(*option) <= most;
            if let Some(next) = (taken.chosen + 1..taken.options).find(fits) {
                let before = state.taken.iter().map(|taken| taken.chosen);
                return Some(before.chain([next]).collect());
            }
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Two tasks with so many steps each, and what they did in which order.
    fn orders_of(steps: usize, interruptions: usize) -> (usize, BTreeSet<String>) {
        let seen = Mutex::new(BTreeSet::new());
        let explored = explore(interruptions, async |turns| {
            let story = Arc::new(Mutex::new(String::new()));
            let part = |name: char| -> Part {
                let (turns, story) = (turns.clone(), story.clone());
                Box::pin(async move {
                    for _ in 0..steps {
                        turns.turn("step").await;
                        story.lock().unwrap().push(name);
                    }
                })
            };
            turns.play([part('a'), part('b')]).await;
            seen.lock().unwrap().insert(story.lock().unwrap().clone());
            Ok(())
        });
        explored.holds(1);
        (explored.orders, seen.into_inner().unwrap())
    }

    #[test]
    fn every_order_is_played_and_none_with_more_interruptions() {
        let (_, none) = orders_of(3, 0);
        assert_eq!(none, BTreeSet::from(["aaabbb".to_owned(), "bbbaaa".to_owned()]));
        let (_, one) = orders_of(2, 1);
        assert!(one.contains("abba") && !one.contains("abab"), "{one:?}");
        let (_, all) = orders_of(2, 4);
        assert_eq!(all.len(), 6, "two of four: {all:?}");
    }

    #[test]
    fn an_update_that_reads_and_then_writes_is_seen_to_lose_one() {
        let lost = |interruptions| {
            explore(interruptions, async |turns| {
                let count = Arc::new(AtomicUsize::new(0));
                let part = || -> Part {
                    let (turns, count) = (turns.clone(), count.clone());
                    Box::pin(async move {
                        turns.turn("read").await;
                        let read = count.load(Ordering::SeqCst);
                        turns.turn("write").await;
                        count.store(read + 1, Ordering::SeqCst);
                    })
                };
                turns.play([part(), part()]).await;
                match count.load(Ordering::SeqCst) {
                    2 => Ok(()),
                    other => Err(format!("lost: {other}")),
                }
            })
        };
        lost(0).holds(2);
        lost(1).breaks("lost: 1");
    }

    #[test]
    fn time_passes_where_nobody_can_go_on_and_where_that_is_the_choice() {
        let seen = Mutex::new(BTreeSet::new());
        let explored = explore(1, async |turns| {
            let done = Arc::new(Mutex::new(String::new()));
            let (early, late) = (done.clone(), done.clone());
            let other = turns.clone();
            let sleeps = async move {
                time::sleep(TICK).await;
                late.lock().unwrap().push('s');
            };
            let steps = async move {
                other.turn("step").await;
                early.lock().unwrap().push('e');
            };
            turns.play([Box::pin(sleeps) as Part, Box::pin(steps)]).await;
            seen.lock().unwrap().insert(done.lock().unwrap().clone());
            Ok(())
        });
        explored.holds(2);
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen, BTreeSet::from(["es".to_owned(), "se".to_owned()]));
    }
}
