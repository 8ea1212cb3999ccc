//! The configuration file as an operator meets it: `wxgate check`, the example file, the reference.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use wxgate::{
    clock::{Clock, SystemClock},
    gateway::config::{Config, KEYS, Key, keys::SECTIONS},
    session::KeyFile,
    simulator::{Fault, FaultSwitch, Simulator},
};

use crate::{
    command::{ended, listening, terminate, wxgate},
    world::{self, App, Browser},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// A folder of its own, which goes away with it.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("wxgate-it-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        for (name, content) in files {
            fs::write(path.join(name), content).unwrap();
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Runs `wxgate check`: its exit code, and what it said on standard output and on standard error.
async fn check(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = wxgate().arg("check").args(arguments).current_dir(folder).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn c29_what_is_wrong_is_said_all_at_once_and_word_by_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        count += 1;
        let name = file.file_name().unwrap().to_str().unwrap();
        let (code, out, said) = check(&folder, &["--config", name]).await;
        assert_eq!((code, &*out), (Some(64), ""), "{name}");
        assert!(!said.contains("5ec2e7"), "{name} shows a secret:\n{said}");
        let expected = fs::read_to_string(file.with_extension("txt")).unwrap();
        assert_eq!(said, expected, "{name}");
    }
    assert_eq!(count, 12);
}

#[tokio::test]
async fn check_looks_for_wxgate_toml_and_says_what_to_register() {
    let text = "[account.main]\nappid = 'wx0123456789abcdef'\nsecret_file = 'secret.txt'\n\
                [account.web]\nappid = 'wxfedcba9876543210'\nsecret_file = 'secret.txt'\nkind = 'website'\n\
                [site.h5]\npublic_url = 'https://h5.example.com'\nupstream = 'http://127.0.0.1:3000'\n\
                account = 'main'\nproof_files = ['MP_verify_abc.txt']\n\
                [[site.h5.route]]\nexact = '/healthz'\nlogin = 'off'\n\
                [[site.h5.route]]\nprefix = '/desk'\naccount = 'web'\nmethods = ['POST']\n\
                [site.shop]\npublic_url = 'https://shop.example.com'\nupstream = 'http://127.0.0.1:3001'\n\
                sign_in_at = 'h5'\naccount = 'main'\nlogin = 'userinfo'\n";
    let folder =
        Folder::new(&[("wxgate.toml", text), ("secret.txt", SECRET), ("MP_verify_abc.txt", "abc")]);
    let (code, out, said) = check(&folder.0, &[]).await;
    assert_eq!((code, &*said), (Some(0), ""));
    let expected = "\
wxgate.toml is good

[site.h5] https://h5.example.com
  at WeChat: register 网页授权域名: h5.example.com for account main (wx0123456789abcdef), at mp.weixin.qq.com
  at WeChat: register 授权回调域: h5.example.com for account web (wxfedcba9876543210), at open.weixin.qq.com
  proof file: https://h5.example.com/MP_verify_abc.txt
  people of these sites sign in here too: shop
  routes, of which the first that fits decides:
    exact   /healthz  all methods  login off   http://127.0.0.1:3000
    prefix  /desk     POST         login base  http://127.0.0.1:3000
    prefix  /         all methods  login base  http://127.0.0.1:3000

[site.shop] https://shop.example.com
  at WeChat: nothing to register: people sign in at site h5
  routes, of which the first that fits decides:
    prefix  /  all methods  login userinfo  http://127.0.0.1:3001
";
    assert_eq!(out, expected);

    let (code, _, said) = check(&folder.0, &["--config", "other.toml"]).await;
    assert_eq!(code, Some(64));
    assert!(said.starts_with("other.toml: it cannot be read: "), "{said}");
}

#[tokio::test]
async fn check_warns_and_takes_the_file_all_the_same() {
    let text = "log_openid = true\n[account.main]\nappid = 'wx0123456789abcdef'\n\
                [site.h5]\npublic_url = 'https://h5.example.com'\nupstream = 'http://127.0.0.1:3000'\n";
    let folder = Folder::new(&[("wxgate.toml", text)]);
    let output = wxgate()
        .arg("check")
        .env("WXGATE_ACCOUNT_MAIN_SECRET", SECRET)
        .current_dir(&folder.0)
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("warning: wxgate.toml:1: log_openid: "), "{said}");
}

#[tokio::test]
async fn check_tries_certificates_keys_and_templates() {
    let folder = Folder::new(&[("secret.txt", SECRET)]);
    let write = |name: &str, text: &str| fs::write(folder.0.join(name), text).unwrap();
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
    write("cert.pem", &pem("CERTIFICATE"));
    write("key.pem", &pem("PRIVATE KEY"));
    fs::create_dir(folder.0.join("pages")).unwrap();
    write("pages/page.html", "{{ title");
    let site = "[account.main]\nappid = 'wx0123456789abcdef'\nsecret_file = 'secret.txt'\n\
                [site.h5]\npublic_url = 'https://h5.example.com'\nupstream = 'http://127.0.0.1:3000'\n";
    let text = format!(
        "pages = 'pages'\n[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n\
         [assertion]\nkey_file = 'key.pem'\n{site}"
    );
    write("wxgate.toml", &text);
    let (code, _, said) = check(&folder.0, &[]).await;
    assert_eq!(code, Some(64));
    for part in ["pages: ", "page.html", "tls: ", "assertion.key_file: ", "3 problems"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    write("pages/page.html", "{{ title }}");
    write("wxgate.toml", &format!("pages = 'pages'\n{site}"));
    let (code, _, said) = check(&folder.0, &[]).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn check_online_tells_what_wechat_makes_of_each_account() {
    let sim = Simulator::start().await;
    let file = |api: &str, appid: &str| {
        format!(
            "[wechat]\napi = ['{api}']\nopen = '{api}'\n[account.main]\nappid = '{appid}'\nsecret_file = 'secret.txt'\n\
             [site.h5]\npublic_url = 'http://127.0.0.1:8080'\nupstream = 'http://127.0.0.1:3000'\n"
        )
    };
    let nobody = format!("http://{}", world::free_port());
    for (api, appid, secret, code, hint) in [
        (
            &sim.url(),
            world::APPID,
            SECRET,
            0,
            "account main (wx0123456789abcdef): WeChat knows the appid and takes the secret",
        ),
        (
            &sim.url(),
            world::APPID,
            "ffffffffffffffffffffffffffffffff",
            64,
            "does not take the secret",
        ),
        (&sim.url(), "wxffffffffffffffff", SECRET, 64, "does not know the appid"),
        (&nobody, world::APPID, SECRET, 69, "none of WeChat's addresses"),
    ] {
        let folder = Folder::new(&[("wxgate.toml", &file(api, appid)), ("secret.txt", secret)]);
        let (exit, out, said) = check(&folder.0, &["--online"]).await;
        let all = format!("{out}{said}");
        assert_eq!(exit, Some(code), "{all}");
        assert!(all.contains(hint), "{hint}: {all}");
        assert!(!all.contains(secret), "{all}");
    }
    // Nobody is asked unless that is wanted.
    let before = sim.count(world::EXCHANGE);
    let folder =
        Folder::new(&[("wxgate.toml", &file(&sim.url(), world::APPID)), ("secret.txt", SECRET)]);
    assert_eq!(check(&folder.0, &[]).await.0, Some(0));
    assert_eq!(sim.count(world::EXCHANGE), before);
}

#[tokio::test]
async fn check_online_asks_for_each_account_what_it_is_there_for() {
    let sim = Simulator::start().await;
    let url = sim.url();
    let file = format!(
        "[wechat]\napi = ['{url}']\nopen = '{url}'\nwecom = '{url}'\n\
         [account.main]\nappid = '{}'\nsecret_file = 'secret.txt'\n\
         [account.mini]\nappid = 'wx2222222222222222'\nsecret_file = 'mini.txt'\nkind = 'mini-program'\n\
         [account.corp]\nappid = 'ww3333333333333333'\nsecret_file = 'corp.txt'\nkind = 'wecom'\n\
         [site.h5]\npublic_url = 'http://127.0.0.1:8080'\nupstream = 'http://127.0.0.1:3000'\naccount = 'main'\n\
         jssdk = true\nmini_programs = ['mini']\n[[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'\n",
        world::APPID
    );
    let (mini, corp) = ("2".repeat(32), "3".repeat(43));
    let files =
        [("wxgate.toml", &*file), ("secret.txt", SECRET), ("mini.txt", &mini), ("corp.txt", &corp)];
    let folder = Folder::new(&files);
    let (exit, out, said) = check(&folder.0, &["--online"]).await;
    assert_eq!(exit, Some(0), "{out}{said}");
    for good in [
        "account mini (wx2222222222222222): WeChat knows the appid and takes the secret",
        "account main (wx0123456789abcdef): this machine gets the account's own access_token",
        "account corp (ww3333333333333333): this machine gets the account's own access_token",
    ] {
        assert!(out.contains(good), "{good}: {out}");
    }
    let corp_s = sim.requests().into_iter().filter(|request| request.query.contains(&corp));
    assert!(
        corp_s.into_iter().all(|request| request.path == "/cgi-bin/gettoken"),
        "nobody else hears of it"
    );
    // An address that is not on the account's list is what most people meet first.
    sim.faults([FaultSwitch::new(Fault::IpNotListed, 1).path("/cgi-bin/stable_token")]);
    let (exit, out, said) = check(&folder.0, &["--online"]).await;
    assert_eq!(exit, Some(64), "{out}{said}");
    assert!(said.contains("40164") && said.contains("127.0.0.1"), "{said}");
}

#[tokio::test]
async fn serve_takes_a_file_or_flags_and_not_both() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let listen = world::free_port();
    let text = format!(
        "listen = '{listen}'\n[wechat]\napi = ['{0}']\nopen = '{0}'\n[account.main]\nappid = '{1}'\n\
         secret_file = 'secret.txt'\n[site.h5]\npublic_url = 'http://{listen}'\nupstream = '{2}'\n",
        sim.url(),
        world::APPID,
        app.url()
    );
    let folder =
        Folder::new(&[("wxgate.toml", &text), ("secret.txt", SECRET), ("bad.toml", "[site]")]);
    let serve = |arguments: &[&str]| {
        let mut command = wxgate();
        command.arg("serve").args(arguments).current_dir(&folder.0);
        command
    };
    let child = serve(&["--config", "wxgate.toml"]).stderr(Stdio::null()).spawn().unwrap();
    listening(listen).await;
    let page = Browser::new(&format!("http://{listen}"), "alice").walk("/page").await;
    assert!(page.received("x-wechat-openid").is_some(), "{page:?}");
    assert_eq!(terminate(child).await, Some(0));

    for (arguments, hint) in [
        (
            &["--config", "wxgate.toml", "--upstream", "http://127.0.0.1:1"][..],
            "cannot be used with",
        ),
        (&[], "--appid"),
        (&["--config", "bad.toml"], "bad.toml: account: there is no account"),
    ] {
        let output = ended(serve(arguments)).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.replace(":1:", ":").contains(hint), "{hint}: {said}");
    }
}

const EXAMPLE: &str = "wxgate.example.toml";

#[tokio::test]
async fn the_example_file_is_good_as_it_is() {
    let folder = Folder::new(&[("wxgate.toml", &read(EXAMPLE)), ("secret.txt", SECRET)]);
    let (code, out, said) = check(&folder.0, &[]).await;
    assert_eq!((code, &*said), (Some(0), ""));
    assert!(out.contains("网页授权域名: h5.example.com"), "{out}");
}

/// The example with all that is commented out in it.
fn whole_example() -> String {
    let is_key =
        |rest: &str| rest.starts_with('[') || rest.starts_with(|c: char| c.is_ascii_lowercase());
    let text = read(EXAMPLE);
    let lines =
        text.lines().map(|line| line.strip_prefix('#').filter(|rest| is_key(rest)).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_file_has_every_key_and_each_line_of_it_is_good() {
    let pem = "-----BEGIN -----";
    let folder = Folder::new(&[
        ("secret.txt", SECRET),
        ("old-shop.txt", SECRET),
        ("message-token.txt", "spring"),
        ("message-aes-key.txt", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
        ("cert.pem", pem),
        ("key.pem", pem),
        ("ca.pem", pem),
        ("assertion.pem", pem),
        ("MP_verify_0123456789abcdef.txt", "0123456789abcdef"),
        ("redis.txt", "open sesame"),
        ("index.html", ""),
        ("server-token-secret.txt", "0123456789abcdef"),
        ("follow.png", ""),
    ]);
    fs::write(folder.0.join("follow.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    KeyFile::create(&folder.0.join("wxgate.keys"), SystemClock.now()).unwrap();
    fs::create_dir(folder.0.join("pages")).unwrap();
    let whole = whole_example().replace("file:/srv/h5", "file:.");
    Config::from_toml(&whole, &folder.0, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let mut section = String::new();
    let mut found = Vec::new();
    for line in whole.lines() {
        if let Some(head) = line.strip_prefix('[') {
            section = head
                .trim_matches(['[', ']'])
                .replace(".h5", ".*")
                .replace(".main", ".*")
                .replace(".login", ".*")
                .replace(".web", ".*")
                .replace(".mini", ".*")
                .replace(".corp", ".*")
                .replace(".old-shop", ".*");
        } else if let Some((name, value)) =
            line.split_once(" = ").filter(|_| !line.starts_with('#'))
        {
            let dot = if section.is_empty() { "" } else { "." };
            found.push((format!("{section}{dot}{name}"), value.to_owned()));
        }
    }
    for key in KEYS {
        let values: Vec<_> =
            found.iter().filter(|(path, _)| path == key.path).map(|(_, value)| value).collect();
        // A site's `upstream` is that of its routes.
        assert!(!values.is_empty(), "{} is not in {EXAMPLE}", key.path);
        let first = values[0].as_str();
        if is_value(key) {
            assert!(first == key.default || first == key.example, "{} = {first}", key.path);
        }
    }
}

/// Whether the default is a value of the file, and not words.
fn is_value(key: &Key) -> bool {
    key.default.starts_with(['"', '['])
        || key.default.parse::<u64>().is_ok()
        || ["true", "false"].contains(&key.default)
}

#[test]
fn the_reference_has_every_key_with_its_default_in_both_languages() {
    for (name, is_english) in
        [("docs/configuration.md", true), ("docs/configuration.zh-CN.md", false)]
    {
        let text = read(name);
        let tables: Vec<_> = text.split("\n## ").skip(1).collect();
        assert_eq!(tables.len(), SECTIONS.len(), "{name}");
        for ((section, shown), table) in SECTIONS.iter().zip(tables) {
            assert!(
                section.is_empty() || table.starts_with(&format!("`{shown}`\n")),
                "{name}: {shown}"
            );
            let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| `")).collect();
            let keys: Vec<_> = KEYS.iter().filter(|key| key.section() == *section).collect();
            assert_eq!(rows.len(), keys.len(), "{name}: {shown}");
            for (row, key) in rows.into_iter().zip(keys) {
                let default = match key.default {
                    "-" => "required".to_owned(),
                    value if is_value(key) => format!("`{value}`"),
                    words => words.to_owned(),
                };
                let start = format!("| `{}` | ", key.name());
                assert!(row.starts_with(&start), "{name}: {row} is where {} is wanted", key.path);
                if is_english {
                    assert_eq!(row, format!("{start}{default} | {} |", key.what), "{name}");
                } else if is_value(key) {
                    assert!(row.starts_with(&format!("{start}{default} | ")), "{name}: {row}");
                }
            }
        }
        // The first file that is shown is good.
        let example =
            text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let folder = Folder::new(&[("secret.txt", SECRET)]);
        Config::from_toml(example, &folder.0, &|_| None).unwrap();
    }
}
