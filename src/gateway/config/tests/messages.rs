//! Tests of the keys of an account's messages: where they come from, and that none of them shows.

use std::ffi::OsString;

use super::{super::Config, ACCOUNT, Folder, SECRET, SITE, good, with, wrong};
use crate::wechat::MessageKeys;

const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// With these environment variables.
fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let folder = Folder::new();
    let env = |name: &str| {
        let all = [&[("WXGATE_ACCOUNT_MAIN_SECRET", SECRET)], variables].concat();
        all.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    Config::from_toml(text, &folder.0, &env).map_err(|problems| problems.to_string())
}

#[test]
fn keys_come_from_variables_too() {
    let text = format!("{ACCOUNT}{SITE}");
    let token = ("WXGATE_ACCOUNT_MAIN_MESSAGE_TOKEN", " spring\n");
    let aes_key = ("WXGATE_ACCOUNT_MAIN_MESSAGE_AES_KEY", AES_KEY);
    let keys = |variables: &[_]| {
        let config = read(&text, variables).unwrap();
        config.accounts["main"].message_keys().map(MessageKeys::are_encrypted)
    };
    assert_eq!(keys(&[]), None);
    assert_eq!(keys(&[token]), Some(false));
    assert_eq!(keys(&[token, aes_key]), Some(true));
    let both = with("account.*", "message_token_file = 'message-token.txt'");
    let warnings = read(&both, &[token]).unwrap().warnings;
    assert!(warnings[0].message.contains("MESSAGE_TOKEN is set as well"), "{warnings:?}");
}

#[test]
fn c30_keys_that_cannot_be_used_are_refused_and_not_shown() {
    let text = format!("{ACCOUNT}{SITE}");
    let token = "WXGATE_ACCOUNT_MAIN_MESSAGE_TOKEN";
    let aes_key = "WXGATE_ACCOUNT_MAIN_MESSAGE_AES_KEY";
    for (variables, hint) in [
        (vec![(aes_key, AES_KEY)], "message_token_file = \"message-token.txt\""),
        (vec![(token, " ")], "is empty"),
        (vec![(token, "spring"), (aes_key, "")], "is empty"),
        (vec![(token, "spring"), (aes_key, &AES_KEY[1..])], "43 letters and digits"),
    ] {
        let said = read(&text, &variables).unwrap_err();
        assert!(said.contains(hint) && said.lines().count() == 1, "{hint}: {said}");
        assert!(!said.contains("bcdef") && !said.contains("spring"), "{said}");
    }
    let line = format!("message_aes_key_file = '{AES_KEY}'");
    let said =
        wrong(&with("account.*", &format!("message_token_file = 'message-token.txt'\n{line}")));
    assert!(said.len() == 1 && !said[0].contains("bcdef"), "{said:?}");
    assert!(wrong(&with("account.*", "message_token_file = 'nowhere'"))[0].contains("nowhere"));
}

#[test]
fn w10_a_key_in_the_file_itself_is_refused_with_where_it_belongs() {
    for (line, key, variable) in [
        ("message_token = 'spring'", "message_token_file", "MESSAGE_TOKEN"),
        ("token = 'spring'", "message_token_file", "MESSAGE_TOKEN"),
        ("encoding_aes_key = 'spring'", "message_aes_key_file", "MESSAGE_AES_KEY"),
        ("app_secret = 'spring'", "secret_file", "SECRET"),
    ] {
        let said = wrong(&with("account.*", line));
        assert!(said[0].contains(&format!("write {key} = ")), "{line}: {said:?}");
        let variable = format!("variable WXGATE_ACCOUNT_MAIN_{variable}. ");
        assert!(said[0].contains(&variable) && !said[0].contains("spring"), "{line}: {said:?}");
    }
}

#[test]
fn check_says_which_address_to_register() {
    let two =
        "[account.two]\nappid = 'wxfedcba9876543210'\nmessage_token_file = 'message-token.txt'\n";
    let text = format!(
        "{ACCOUNT}message_token_file = 'message-token.txt'\n{two}{SITE}account = 'main'\n\
         [[site.h5.route]]\nprefix = '/two'\naccount = 'two'\n"
    );
    let summary = good(&text).summary();
    for line in [
        "  messages of account main (服务器配置, URL): https://h5.example.com/_wx/messages\n",
        "  messages of account two (服务器配置, URL): https://h5.example.com/_wx/messages?account=two\n",
    ] {
        assert!(summary.contains(line), "{line}{summary}");
    }
    assert!(!good(&format!("{ACCOUNT}{SITE}")).summary().contains("messages"));
}
