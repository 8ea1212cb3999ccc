//! What `wxgate snippet` prints, and that the documents show the same.

use std::fs;

use wxgate::gateway::snippet::Kind;

use super::{PROOF, proxy::Folder};
use crate::command::wxgate;

const DOCUMENTS: [&str; 2] = ["docs/front-proxies.md", "docs/front-proxies.zh-CN.md"];
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn read(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks of code of this language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    let found = document.split(&begin[..]).skip(1);
    found.map(|rest| rest.split("```").next().expect("there is always a first part")).collect()
}

/// Runs `wxgate snippet`: its exit code, and what it said on standard output and on standard error.
async fn snippet(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = wxgate();
    let command = command.arg("snippet").args(arguments).current_dir(folder.path());
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn folder(config: &str) -> Folder {
    let folder = Folder::new();
    folder.write("wxgate.toml", config);
    folder.write("secret.txt", SECRET);
    folder.write("MP_verify_abc.txt", PROOF);
    folder
}

#[tokio::test]
async fn the_documents_show_what_is_printed_for_their_example() {
    for name in DOCUMENTS {
        let document = read(name);
        let [config] = blocks(&document, "toml")[..] else { panic!("{name} has one example") };
        let folder = folder(config);
        for (kind, language, at) in [
            (Kind::Nginx, "nginx", 0),
            (Kind::Caddy, "caddyfile", 0),
            (Kind::Haproxy, "haproxy", 0),
            (Kind::Traefik, "yaml", 0),
            (Kind::Envoy, "yaml", 1),
        ] {
            let (code, printed, said) = snippet(&folder, &[kind.name()]).await;
            assert_eq!((code, &*said), (Some(0), ""), "{kind}");
            let shown = blocks(&document, language)[at];
            assert!(shown == printed, "{name}: `wxgate snippet {kind}` prints\n{printed}");
        }
    }
}

#[tokio::test]
async fn where_there_is_nothing_to_print_it_says_what_to_change() {
    let account = "[account.main]\nappid = 'wx0123456789abcdef'\nsecret_file = 'secret.txt'\n\
                   [site.h5]\npublic_url = 'https://h5.example.com'\n";
    let good = folder(&format!("{account}forward_auth = true\n"));
    let (code, printed, said) = snippet(&good, &["nginx", "--config", "wxgate.toml"]).await;
    assert_eq!((code, &*said), (Some(0), ""));
    assert!(printed.contains("server_name h5.example.com;"), "{printed}");

    let closed = folder(&format!("{account}upstream = 'http://127.0.0.1:3000'\n"));
    let (code, printed, said) = snippet(&closed, &["caddy"]).await;
    assert_eq!((code, &*printed), (Some(64), ""));
    assert!(said.contains("wxgate.toml: ") && said.contains("forward_auth = true"), "{said}");

    let wrong = folder(&format!("{account}forward_auth = 'yes'\n"));
    let (code, printed, said) = snippet(&wrong, &["caddy"]).await;
    assert_eq!((code, &*printed), (Some(64), ""));
    assert!(said.contains("site.h5.forward_auth"), "{said}");

    let (code, _, said) = snippet(&good, &["apache"]).await;
    assert_eq!(code, Some(64));
    assert!(said.contains("nginx, haproxy, caddy, traefik, envoy"), "{said}");
}
