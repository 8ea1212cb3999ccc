//! Several gateways over one Redis, behind a balancer that knows nothing of sessions.

#![allow(clippy::print_stdout)] // Some of the tests measure.

mod across;
pub mod balancer;
mod minute;
mod person;

use std::{fmt::Write, net::SocketAddr, process::Stdio};

use axum::{Json, Router, extract::Request};
use serde_json::json;
use tokio::process::{Child, Command};
use wxgate::simulator::{Simulator, World as Platform};

use crate::{
    command::{listening, wxgate},
    process::{Folder, SECRET},
    stores::redis_server::{PASSWORD, Server as RedisServer},
    world::{self, APPID},
};
use balancer::Balancer;

/// Some gateways with one configuration, which differs in their addresses alone.
pub struct Fleet {
    pub sim: Simulator,
    pub redis: RedisServer,
    pub balancer: Balancer,
    pub members: Vec<Member>,
    _folder: Folder,
}

impl Fleet {
    /// So many gateways, for so many people, who are called `p0` and so on.
    pub async fn start(members: usize, people: usize) -> Self {
        let sim = Simulator::builder().world(platform(people)).start().await.unwrap();
        let redis = RedisServer::start_durable().await;
        let app = world::serve(Router::new().fallback(tell)).await;
        let addrs: Vec<_> = (0..members).map(|_| world::free_port()).collect();
        let balancer = Balancer::start(addrs.clone()).await;
        let folder = Folder::new();
        folder.write("secret.txt", SECRET);
        folder.write("password.txt", PASSWORD);
        let keys = folder.path().join("keys");
        let made = wxgate().args(["keys", "new"]).arg(keys).output().await.unwrap();
        assert!(made.status.success(), "{made:?}");

        let mut all = Vec::new();
        for addr in addrs {
            let text = format!(
                "listen = '{addr}'\nrate_limit = 0\ncores = 1\n\
                 [session]\nstore = 'redis://{}'\nstore_password_file = 'password.txt'\n\
                 key_file = 'keys'\nrefresh_profiles_after = '2s'\n\
                 [wechat]\napi = ['{sim}']\nopen = '{sim}'\n\
                 [account.main]\nappid = '{APPID}'\nsecret_file = 'secret.txt'\n\
                 [site.h5]\npublic_url = '{}'\nupstream = 'http://{app}'\n",
                redis.addr(),
                balancer.url(),
                sim = sim.url()
            );
            let config = folder.write(&format!("{}.toml", addr.port()), text);
            let mut command = wxgate();
            command.args(["serve", "--config"]).arg(config).env("WXGATE_LOG", "off");
            command.stdout(Stdio::null()).stderr(Stdio::inherit());
            let mut member = Member { addr, command, child: None };
            member.start().await;
            all.push(member);
        }
        Self { sim, redis, balancer, members: all, _folder: folder }
    }

    /// The openid that somebody has at the account.
    pub fn openid(&self, name: &str) -> String {
        self.sim.world().user(name).expect("they live there").openid(APPID)
    }
}

fn platform(people: usize) -> Platform {
    let mut text = format!(
        "[[accounts]]\nappid = '{APPID}'\nsecret = '{SECRET}'\ncallback_hosts = ['127.0.0.1']\n"
    );
    for number in 0..people {
        writeln!(text, "[[users]]\nname = 'p{number}'\nnickname = '人{number}'").unwrap();
    }
    Platform::from_toml(&text).unwrap()
}

/// An app that says who it was told that its visitor is.
async fn tell(request: Request) -> Json<serde_json::Value> {
    let openid = request.headers().get("x-wechat-openid").map(|value| value.to_str().unwrap());
    Json(json!({ "openid": openid }))
}

/// One gateway's process.
pub struct Member {
    pub addr: SocketAddr,
    command: Command,
    child: Option<Child>,
}

impl Member {
    pub async fn start(&mut self) {
        self.child = Some(self.command.spawn().unwrap());
        listening(self.addr).await;
    }

    pub async fn kill(&mut self) {
        self.child.take().expect("it runs").kill().await.unwrap();
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}
