//! Every lie at every endpoint, as the client meets them: endpoint x lie -> what it is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpListener;
use wxgate::wechat::{AnswerFault, Backoff, Client, Endpoints, Error, Kind};

use super::{
    all_of,
    endpoints::{Endpoint, openid},
    fields::about_fields,
    is_all,
    lies::{Row, Told, about_http, made_for},
    panics,
    platform::{
        Platform, Step,
        Step::{Hang, Write},
        honest,
    },
};

/// Beyond it nobody waits, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);
/// As long is waited for an answer that does not come.
const HASTE: Duration = Duration::from_millis(300);
const AT_ONCE: usize = 100;
/// Those that meet every lie, whatever time there is.
const COMPLETE: [Endpoint; 4] =
    [Endpoint::Exchange, Endpoint::Userinfo, Endpoint::StableToken, Endpoint::CorpUser];
/// What the system takes off the sender's hands before anybody has read it.
const IN_THE_SYSTEM: usize = 16 << 20;

pub fn client(platform: &Platform, timeout: Duration) -> Client {
    let endpoints = Endpoints::all_at(&platform.url()).unwrap();
    let backoff = Backoff { tries: 3, first: Duration::from_millis(1) };
    Client::builder(endpoints).backoff(backoff).timeout(timeout).build()
}

pub fn told(error: &Error) -> Told {
    match error.kind() {
        Kind::Refused(code, _) => Told::Refused(code.number()),
        Kind::Interrupted => Told::Interrupted,
        Kind::Unreachable => panic!("the platform is there: {error}"),
        Kind::Answer(AnswerFault::TooLarge) => Told::TooLarge,
        Kind::Answer(AnswerFault::Status(status)) => Told::Status(*status),
        Kind::Answer(AnswerFault::NotAnObject) => Told::NotAnObject,
        Kind::Answer(AnswerFault::Field(_)) => Told::Field,
        Kind::Answer(AnswerFault::OtherUser) => Told::OtherUser,
    }
}

/// A server that nobody is to come to, and how many have.
async fn elsewhere() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let visits = Arc::<AtomicUsize>::default();
    let counted = visits.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, visits)
}

struct Table {
    platform: Platform,
    client: Client,
    hasty: Client,
    next: AtomicUsize,
}

impl Table {
    fn case(&self) -> usize {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// Lies, and says what became of it. What is wrong with that is an error.
    async fn try_out(&self, endpoint: Endpoint, case: usize, row: Row) -> Result<String, String> {
        let Row { lie, steps, told: wanted } = row;
        let line = format!("{:32} {lie:40} -> {wanted:?}", endpoint.path());
        let fail = |why: String| Err(format!("{line}: {why}"));
        let waits = steps.iter().any(|step| matches!(step, Hang));
        self.platform.lie(endpoint, case, steps);
        let client = if waits { &self.hasty } else { &self.client };
        let outcome = endpoint.call(client, case).await;
        let found = match &outcome {
            Ok(_) => Told::Good,
            Err(error) => told(error),
        };
        if found != wanted {
            return fail(format!("{outcome:?}"));
        }
        // W10: whatever the answer says, the error does not say it after it.
        if let Err(error) = &outcome {
            let shown = format!("{error} {error:?}");
            if shown.contains("case") || shown.contains("http://") || shown.contains("secret") {
                return fail(format!("it says too much: {shown}"));
            }
        }
        let asked = self.platform.asked(endpoint, case);
        let most = if endpoint.burns_code() { 1 } else { 3 };
        if asked > most || (asked == 0 && !waits) {
            return fail(format!("asked {asked} times"));
        }
        // The next one to come notices nothing, on whatever connection.
        let next = self.case();
        match endpoint.call(&self.client, next).await {
            Ok(told) if told.contains(&format!("case{next:0>5}x")) => Ok(line),
            other => fail(format!("and then {other:?}")),
        }
    }
}

#[tokio::test]
#[allow(clippy::print_stdout)] // For who asks to see the table.
async fn c52_c55_w04_w08_w10_every_lie_at_every_endpoint_is_an_error_of_its_kind() {
    assert_eq!(panics(), [""; 0]);
    let platform = Platform::start().await;
    let table = Table {
        client: client(&platform, PATIENCE),
        hasty: client(&platform, HASTE),
        platform: platform.clone(),
        next: AtomicUsize::new(1),
    };
    let (elsewhere, visits) = elsewhere().await;
    let mut cases = Vec::new();
    for endpoint in Endpoint::ALL {
        let case = table.case();
        let good = endpoint.call(&table.client, case).await.unwrap();
        assert!(good.contains(&format!("case{case:0>5}x")), "{endpoint:?} {good}");
        cases.extend(
            about_fields(endpoint, || table.case())
                .into_iter()
                .map(|(case, row)| (endpoint, case, row)),
        );
        let case = table.case();
        let http = about_http(&endpoint.honest(case).to_string(), &elsewhere);
        // All of them go through the same client, so that most meet some of these only, and others each.
        let every = if is_all() || COMPLETE.contains(&endpoint) { 1 } else { 3 };
        let turn = endpoint as usize % every;
        let some = http.into_iter().enumerate().filter(|(number, _)| number % every == turn);
        cases.extend(some.map(|(_, row)| {
            // Where the answer has to be this case's, it is made for it.
            let case_of_row = table.case();
            (endpoint, case_of_row, made_for(row, case, case_of_row))
        }));
    }
    let count = cases.len();
    assert!(count > 1000, "{count}");
    let tried = cases.into_iter().map(|(endpoint, case, row)| table.try_out(endpoint, case, row));
    let outcomes = all_of(AT_ONCE, tried).await;
    let mut shown = String::new();
    let mut wrong = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(line) => shown.extend([line, "\n".to_owned()]),
            Err(why) => wrong.push(why),
        }
    }
    println!("{shown}{count} lies");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(visits.load(Ordering::SeqCst), 0, "c51: a secret went elsewhere");
    assert_eq!(platform.strange(), [""; 0]);
    let swallowed = platform.swallowed();
    assert!(swallowed < IN_THE_SYSTEM, "{swallowed} bytes were taken");
    assert_eq!(panics(), [""; 0]);
}

#[tokio::test]
async fn c52_a_second_answer_on_the_connection_is_nobody_s() {
    let platform = Platform::start().await;
    let client = client(&platform, PATIENCE);
    for turn in 0..60 {
        let endpoint = Endpoint::ALL[turn % Endpoint::ALL.len()];
        let (case, next) = (10 + 2 * turn, 11 + 2 * turn);
        let own = honest(&endpoint.honest(case).to_string());
        let thief = honest(&endpoint.honest(99_999).to_string());
        // At once, or in two packets.
        let mut steps = own;
        if turn % 2 == 0 {
            let both: Vec<u8> = steps.into_iter().chain(thief).flat_map(bytes_of).collect();
            steps = vec![Write(both)];
        } else {
            steps.extend(thief);
        }
        platform.lie(endpoint, case, steps);
        let told = endpoint.call(&client, case).await.unwrap();
        assert!(told.contains(&format!("case{case:0>5}x")), "{endpoint:?} {told}");
        let told = endpoint.call(&client, next).await.unwrap();
        assert!(told.contains(&format!("case{next:0>5}x")), "{endpoint:?} {told}");
        assert!(!told.contains(&openid(99_999)));
    }
    assert_eq!(panics(), [""; 0]);
}

fn bytes_of(step: Step) -> Vec<u8> {
    match step {
        Write(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}
