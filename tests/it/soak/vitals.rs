//! What a process holds at a moment.

use std::{fmt, fs, time::Duration};

use crate::process::Process;

/// Memory is in KiB.
#[derive(Debug)]
pub struct Vitals {
    resident: u64,
    /// Without the program itself: what it has allocated.
    pub anonymous: u64,
    descriptors: u64,
    threads: u64,
    tasks: u64,
    pub connections: u64,
    requests: u64,
    pub sessions: u64,
}

impl Vitals {
    pub async fn of(process: &Process) -> Self {
        let folder = format!("/proc/{}", process.id());
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name} in {status}"))
                .trim()
                .trim_end_matches(" kB")
                .parse()
                .unwrap()
        };
        Self {
            resident: number("VmRSS"),
            anonymous: number("RssAnon"),
            threads: number("Threads"),
            descriptors: fs::read_dir(format!("{folder}/fd")).unwrap().count() as u64,
            tasks: process.metric("wxgate_tasks").await,
            connections: process.metric("wxgate_open_connections").await,
            requests: process.metric("wxgate_requests_in_flight").await,
            sessions: sessions(process).await,
        }
    }

    /// Whether nothing is left of what was done in between. Sessions end in their own time.
    pub fn is_as_before(&self, before: &Self, left: u64) -> bool {
        (self.connections, self.requests) == (0, 0)
            && self.tasks <= before.tasks + left
            && self.descriptors <= before.descriptors + left
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rss {} KiB (anonymous {}), {} descriptors, {} threads, {} tasks, {} connections, \
             {} requests, {} sessions",
            self.resident,
            self.anonymous,
            self.descriptors,
            self.threads,
            self.tasks,
            self.connections,
            self.requests,
            self.sessions
        )
    }
}

/// How many are signed in.
async fn sessions(process: &Process) -> u64 {
    let (mut count, mut after) = (0, String::new());
    loop {
        let (status, page) = process.admin(&format!("/sessions?limit=1000{after}")).await;
        assert_eq!(status, 200, "{page}");
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        count += page["sessions"].as_array().unwrap().len() as u64;
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return count,
        }
    }
}

/// Of what was seen at moments.
pub fn median<'a>(looks: impl Iterator<Item = &'a (Duration, u64)>) -> u64 {
    let mut values: Vec<_> = looks.map(|(_, value)| *value).collect();
    values.sort_unstable();
    *values.get(values.len() / 2).expect("somebody has looked")
}
