//! The pages of the demo, seen on a phone and on a desk, light and dark, in Chinese and in English.

use std::fs;

use serde_json::Value;

use super::{
    Chromium, Options,
    demo::{at, become_alice, demo},
    pages::{LOOK, dress, folder},
};

/// Those that can be seen by whoever opens them, and what there is to be seen.
const PAGES: [(&str, &str); 13] = [
    ("/", "h1"),
    ("/silent", "#openid"),
    ("/scan", "#alone"),
    ("/followers", "#alone"),
    ("/members", "#openid"),
    ("/website", "#openid"),
    ("/desktop", "#openid"),
    ("/mini-program", "#mini-login"),
    ("/jssdk", "#sign"),
    ("/configuration", "#configuration"),
    ("/phone", "#camera"),
    ("/phone/web-view", "#web-view"),
    ("/phone/follow", "#follow, #unfollow"),
];

fn is_green(complaint: &str) -> bool {
    complaint.contains(".button") && complaint.ends_with(": contrast 2.38")
}

#[tokio::test]
async fn every_page_of_the_demo_looks_right_everywhere() {
    let folder = folder();
    let mut wrong = Vec::new();
    for (lang, languages) in [("zh-CN", "zh-CN,zh"), ("en", "en-US,en")] {
        let demo = demo().await;
        let options = Options::desktop().languages(languages);
        let browser = Chromium::start(&options).await;
        browser.open(&at(&demo, "/scan")).await;
        browser.see("#take-phone").await;
        become_alice(&demo, &browser).await;
        browser.open(&at(&demo, "/silent")).await;
        for (size, scheme) in [
            ((390, 844), "light"),
            ((390, 844), "dark"),
            ((1280, 800), "light"),
            ((1280, 800), "dark"),
        ] {
            dress(&browser, size, scheme).await;
            for (path, css) in PAGES {
                browser.open(&at(&demo, path)).await;
                browser.see(css).await;
                let place = path.trim_matches('/').replace('/', "-");
                let name = format!("demo-{place}-{lang}-{}-{scheme}", size.0);
                let Value::Array(found) = browser.run(LOOK, lang).await else { panic!("{name}") };
                // White on WeChat's own green is what everybody knows, and large.
                let found = found.into_iter().filter(|found| !found.as_str().is_some_and(is_green));
                wrong.extend(found.map(|found| format!("{name}: {found}")));
                fs::write(folder.join(format!("{name}.png")), browser.screenshot().await).unwrap();
            }
        }
        browser.quit().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
