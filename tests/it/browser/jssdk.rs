//! JS-SDK signatures in a real browser: the address that is signed, on iOS and elsewhere.

use axum::{Router, response::Html};
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    session::MemoryStore,
    simulator::Simulator,
};

use super::{Chromium, Options};
use crate::{doors, world};

const ANDROID: &str = "Mozilla/5.0 (Linux; Android 13; M2012K11AC) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 \
     Chrome/111.0.5563.116 Mobile Safari/537.36 XWEB/1110005 MMWEBSDK/20230805 MicroMessenger/8.0.42.2460(0x28002A58) \
     WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64";

/// Goes on to another address as a router of an app does, and asks there.
const APP: &str = r#"<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><title>app</title>
    <script src="/_wx/wx.js"></script>
    <p id="config">-</p>
    <script>
      history.pushState(null, "", "/later?page=2#/view");
      wxgate.jssdk().then(told => document.querySelector('#config').textContent = JSON.stringify(told),
        answer => document.querySelector('#config').textContent = "refused " + answer.status);
    </script>"#;

/// Which address a browser has had signed, and whether WeChat would take the signature for it.
async fn signed(agent: &str) -> String {
    let sim = Simulator::start().await;
    let app = world::serve(Router::new().fallback(|| async { Html(APP) })).await;
    let clock = ManualClock::new(SystemClock.now());
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let upstream = format!("http://{app}");
    let site = "login = 'off'\njssdk = true";
    let (_gateway, addr) = doors::gateway(&sim, &upstream, site, "", store, clock);
    let options = Options { user_agent: Some(agent.into()), ..Options::wechat() };
    let browser = Chromium::start(&options).await;
    browser.open(&format!("http://{addr}/first?page=1#/home")).await;
    let told = browser.until("there is a signature", "return document.querySelector('#config').textContent.startsWith('{') ? document.querySelector('#config').textContent : null", "").await;
    let told: serde_json::Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
    assert_eq!(told["appId"], world::APPID);
    let asked = "const asked = performance.getEntriesByType('resource').map(it => it.name).find(it => it.includes('jssdk')); \
                 return new URL(asked).searchParams.get('url')";
    let url = browser.run(asked, "").await.as_str().unwrap().to_owned();
    browser.quit().await;
    url.strip_prefix(&format!("http://{addr}")).unwrap().to_owned()
}

#[tokio::test]
async fn ios_signs_the_first_address_and_android_the_present_one() {
    assert_eq!(signed(world::WECHAT).await, "/first?page=1");
    assert_eq!(signed(ANDROID).await, "/later?page=2");
}
