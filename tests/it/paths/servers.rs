//! Real servers with one and the same site.

use std::process::Command;

use wxgate::gateway::snippet;

use super::spellings::FILES;
use crate::{
    fronts::proxy::{Folder, Proxy},
    third_party::clients,
    world::free_port,
};

/// A server of files that many have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
    /// Python's `http.server`.
    Python,
    /// Node's `http`, with a few lines of somebody's own.
    Node,
    /// Node with Express, which also finds handlers, and finds them whatever the case of the letters.
    Express,
}

/// A running one. Each file tells its own name: `served:NAME;`.
pub struct Server {
    pub port: u16,
    _process: Proxy,
    _site: Folder,
}

impl Server {
    pub async fn start(kind: Kind) -> Self {
        let site = Folder::new();
        for file in FILES {
            let path = site.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it is in the folder")).unwrap();
            std::fs::write(path, format!("served:{file};")).unwrap();
        }
        let (port, at) = (free_port().port(), site.path().display().to_string());
        let process = match kind {
            Kind::Nginx => {
                let server = format!(
                    "error_log stderr crit;\nserver {{ listen 127.0.0.1:{port}; root {at}; }}"
                );
                Proxy::start(snippet::Kind::Nginx, &server, port).await
            }
            Kind::Caddy => {
                let server = format!("http://:{port} {{\n\troot * {at}\n\tfile_server\n}}");
                Proxy::start(snippet::Kind::Caddy, &server, port).await
            }
            Kind::Python => {
                let mut python = Command::new("python3");
                python.args(["-m", "http.server", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1"]);
                python.args(["--directory", &at, &port.to_string()]);
                Proxy::run("python3", python, Folder::new(), port).await
            }
            Kind::Node => node("paths_node.mjs", &at, port).await,
            Kind::Express => node("paths_express.mjs", &at, port).await,
        };
        Self { port, _process: process, _site: site }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn node(script: &str, folder: &str, port: u16) -> Proxy {
    let mut node = Command::new("node");
    node.arg(format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR")));
    node.args([folder, &port.to_string()]).current_dir(clients());
    Proxy::run("node", node, Folder::new(), port).await
}
