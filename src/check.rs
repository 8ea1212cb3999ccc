//! `wxgate check`: says what is wrong with a configuration, or what to do at WeChat for it.

use wxgate::{
    Account, Code,
    gateway::{self, config::Config},
    wechat::{AccountKind, Client, Endpoints, ErrCode, Error, Kind, Reaction, ServerTokenKind},
};

use super::{
    Stop,
    cli::{self, CheckArgs},
};

pub(crate) async fn run(arguments: &CheckArgs) -> Result<(), Stop> {
    let file = arguments.config.display();
    let config = Config::from_file(&arguments.config);
    let config = config.map_err(|problems| Stop::problems(&problems, &file))?;
    let unusable = gateway::rehearse(&config);
    for problem in &unusable {
        cli::say_problem(format!("{file}: {problem}"));
    }
    match unusable.len() {
        0 => {}
        1 => return Err(Stop::usage(format!("1 problem in {file}"))),
        count => return Err(Stop::usage(format!("{count} problems in {file}"))),
    }
    for warning in &config.warnings {
        cli::say_problem(format!("warning: {warning}"));
    }
    cli::say(&format!("{file} is good\n\n{}", config.summary()));
    if arguments.online { online(&config).await } else { Ok(()) }
}

/// Asks the store, each of WeChat's addresses, and then for each account.
async fn online(config: &Config) -> Result<(), Stop> {
    cli::say("");
    let store = gateway::try_store(config).await;
    match &store {
        Ok(said) => cli::say(said),
        // Said at the end as well, where it is not lost among what is good.
        Err(why) => cli::say(&format!("the store cannot be used: {why}")),
    }
    wechat(config).await?;
    store.map(drop).map_err(|why| Stop::unavailable(format!("the store cannot be used: {why}")))
}

async fn wechat(config: &Config) -> Result<(), Stop> {
    let mut reached = 0;
    // A corp's secret is for WeCom alone.
    let first = config.accounts.values().find(|account| account.kind() != AccountKind::Wecom);
    let hosts = config.wechat.api().iter().filter_map(|host| Some((host, first?)));
    for (host, first) in hosts {
        let one = Endpoints::default().with_api([host.as_str()]).expect("it is an origin already");
        match ask(one, first).await {
            Some(error) if !matches!(error.kind(), Kind::Refused(..)) => {
                cli::say(&format!("{host} cannot be used: {error}"));
            }
            _ => {
                reached += 1;
                cli::say(&format!("{host} answers"));
            }
        }
    }
    if reached == 0 && first.is_some() {
        let why = "none of WeChat's addresses can be used from this machine; let it connect to them, on port 443";
        return Err(Stop::unavailable(why));
    }
    let (mut is_wrong, mut bad) = (false, Vec::new());
    for (name, account) in &config.accounts {
        let is_corp = account.kind() == AccountKind::Wecom;
        let mut verdicts = Vec::new();
        if !is_corp {
            verdicts.push(judge(ask(config.wechat.clone(), account).await.as_ref()));
        }
        if is_corp
            || (config.uses_server_token(name) && account.basic_token() != ServerTokenKind::Classic)
        {
            let issued = Client::new(config.wechat.clone()).server_token(account, false).await;
            verdicts.push(judge_token(issued.err().as_ref()));
        }
        for (verdict, said) in verdicts {
            let said = format!("account {name} ({}): {said}", account.appid());
            match verdict {
                Verdict::Good => cli::say(&said),
                Verdict::Wrong | Verdict::Unknown => bad.push(said),
            }
            is_wrong |= verdict == Verdict::Wrong;
        }
    }
    match (bad.is_empty(), is_wrong) {
        (true, _) => Ok(()),
        (false, true) => Err(Stop::usage(bad.join("\nwxgate: "))),
        (false, false) => Err(Stop::unavailable(bad.join("\nwxgate: "))),
    }
}

/// Exchanges a code that nobody was ever given: the answer tells what WeChat makes of appid and secret.
async fn ask(endpoints: Endpoints, account: &Account) -> Option<Error> {
    let (client, code) = (Client::new(endpoints), Code::new("wxgate-check"));
    match account.kind() {
        AccountKind::MiniProgram => client.code2session(account, &code).await.err(),
        _ => client.exchange(account, &code).await.err(),
    }
}

/// What came of asking for the account's own `access_token`. Of the stable kind, and at WeCom, that ends no other one.
fn judge_token(answer: Option<&Error>) -> (Verdict, String) {
    let Some(error) = answer else {
        return (Verdict::Good, "this machine gets the account's own access_token".to_owned());
    };
    let said = format!("this machine does not get the account's own access_token: {error}");
    let is_wrong =
        matches!(error.kind(), Kind::Refused(..)) && error.reaction() == Reaction::Operator;
    (if is_wrong { Verdict::Wrong } else { Verdict::Unknown }, said)
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Good,
    /// The configuration has to be changed.
    Wrong,
    /// It may be right, and cannot be told now.
    Unknown,
}

fn judge(answer: Option<&Error>) -> (Verdict, String) {
    let Some(error) = answer else {
        let said =
            "something answers that is not WeChat: it took a code that nobody was ever given";
        return (Verdict::Wrong, said.to_owned());
    };
    match error.kind() {
        Kind::Refused(code, _) if *code == ErrCode::INVALID_CODE => {
            (Verdict::Good, "WeChat knows the appid and takes the secret".to_owned())
        }
        Kind::Refused(code, _) if code.number() == 40013 => {
            let said =
                format!("WeChat does not know the appid: {code}; compare it with WeChat's console");
            (Verdict::Wrong, said)
        }
        Kind::Refused(code, _) if matches!(code.number(), 40001 | 40125 | 40243) => {
            let said = format!(
                "WeChat does not take the secret: {code}; copy it from WeChat's console again, or reset it there"
            );
            (Verdict::Wrong, said)
        }
        _ => (Verdict::Unknown, format!("whether WeChat takes it cannot be told now: {error}")),
    }
}
