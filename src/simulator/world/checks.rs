//! What makes no sense in a world file, all of it at once.

use std::collections::HashSet;

use super::{Account, AccountKind, User, World};

impl World {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.accounts.is_empty() {
            problems.push("there is no account".to_owned());
        }
        if self.users.is_empty() {
            problems.push("there is no user".to_owned());
        }
        let mut seen = HashSet::new();
        for account in &self.accounts {
            if !seen.insert(&account.appid) {
                problems.push(format!("the appid {:?} is there twice", account.appid));
            }
            account.problems(&mut problems);
        }
        let mut members = HashSet::new();
        for user in &self.users {
            if !seen.insert(&user.name) {
                problems.push(format!("the user {:?} is there twice", user.name));
            }
            if let Some(userid) = user.userid.as_deref().filter(|it| !members.insert(*it)) {
                problems.push(format!("the userid {userid:?} is there twice"));
            }
            user.problems(self, &mut problems);
        }
        problems
    }
}

impl Account {
    fn problems(&self, problems: &mut Vec<String>) {
        let in_wecom = self.kind == AccountKind::Wecom;
        if !(is_id("wx", &self.appid) || in_wecom && is_id("ww", &self.appid)) {
            let start = if in_wecom { "ww or wx" } else { "wx" };
            problems.push(format!(
                "the appid {:?} is not {start} and 16 lower-case hexadecimal digits",
                self.appid
            ));
        }
        if self.secret.is_empty() {
            problems.push(format!("the account {:?} has no secret", self.appid));
        }
        if self.agentid.is_some() && !in_wecom {
            problems.push(format!(
                "the account {:?} has an agentid, which only kind = \"wecom\" has",
                self.appid
            ));
        }
        if self.callback_hosts.is_empty() && self.kind != AccountKind::MiniProgram {
            problems.push(format!("the account {:?} has no callback_hosts", self.appid));
        }
        for host in &self.callback_hosts {
            let name = match host.split_once(':') {
                Some((name, port)) if in_wecom && port.parse::<u16>().is_ok() => name,
                _ => host,
            };
            if name.is_empty() || name.contains(['/', ':', '@', '?', '#', ' ']) {
                problems.push(format!(
                    "the callback host {host:?} is not a bare host without scheme, port and path"
                ));
            }
        }
    }
}

impl User {
    fn problems(&self, world: &World, problems: &mut Vec<String>) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.name.is_empty() || !self.name.bytes().all(plain) {
            problems.push(format!("the user name {:?} is not made of a-z, 0-9 and -", self.name));
        }
        for appid in &self.follower_of {
            if world.account(appid).is_none() {
                problems.push(format!(
                    "the user {:?} follows {appid:?}, which is no account",
                    self.name
                ));
            }
        }
        if let Some(userid) = self.userid.as_deref().filter(|it| !is_userid(it)) {
            problems.push(format!(
                "the userid {userid:?} is not 1 to 64 of letters, digits, _, -, . and @, beginning with a letter or digit"
            ));
        }
        if let Some(phone) = self.phone.as_deref().filter(|it| !is_phone(it)) {
            problems.push(format!("the phone {phone:?} is not like \"+86 13800138000\""));
        }
    }
}

fn is_id(start: &str, text: &str) -> bool {
    text.strip_prefix(start).is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_userid(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
    text.len() <= 64
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

fn is_phone(text: &str) -> bool {
    let digits = |text: &str, most| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.strip_prefix('+')
        .and_then(|rest| rest.split_once(' '))
        .is_some_and(|(country, number)| digits(country, 3) && digits(number, 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../builtin.toml");

    #[test]
    fn unknown_keys_are_errors() {
        assert!(World::from_toml(GOOD).is_ok());
        let error = World::from_toml(&GOOD.replace("nickname", "nick")).unwrap_err();
        assert!(error.to_string().contains("nick"), "{error}");
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let text = GOOD
            .replace("\"127.0.0.1\"", "\"http://127.0.0.1\"")
            .replace("\"bob\"", "\"Bob!\"")
            .replace("\"carol\"", "\"alice\"")
            .replace("\"dave\"", "\"dave\"\nuserid = \"AliceZhang\"\nphone = \"13800138000\"")
            .replace("\"AliceZhang\"", "\"Alice Zhang\"");
        let error = World::from_toml(&text).unwrap_err().to_string();
        for part in [
            "http://127.0.0.1",
            "Bob!",
            "\"alice\" is there twice",
            "the userid \"Alice Zhang\" is not",
            "\"Alice Zhang\" is there twice",
            "the phone \"13800138000\"",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }

    #[test]
    fn a_corpid_an_agentid_and_a_port_are_for_wecom_only() {
        let world = |kind: &str, more: &str| {
            World::from_toml(&format!(
                "[[accounts]]\nappid = \"ww3333333333333333\"\nsecret = \"s\"\nkind = \"{kind}\"\n{more}\n\
                 [[users]]\nname = \"a\"\nphone = \"+852 91234567\"\nuserid = \"a.b-c_d@e\"\n"
            ))
        };
        let more = "agentid = 7\ncallback_hosts = [\"h5.example.com:8443\"]";
        let corp = world("wecom", more).expect("a corp");
        assert_eq!(corp.accounts[0].agentid(), 7);
        let error = world("official-account", more).unwrap_err().to_string();
        for part in ["\"ww3333333333333333\" is not wx", "has an agentid", "h5.example.com:8443"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}
