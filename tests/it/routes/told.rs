//! How an app and its pages are told who somebody is.

use tokio::process::Command;

use super::*;

#[tokio::test]
async fn each_route_tells_its_app_in_the_way_it_wants_to_be_told() {
    let sites = Sites::start().await;
    let alice = with_profile(&sites, "alice").await;
    let subject = format!("{APPID}:{}", sites.sim.world().user("alice").unwrap().openid(APPID));
    let page = alice.get("/familiar").await;
    assert_eq!(page.received("x-auth-request-user").as_deref(), Some(&*subject));
    assert!(page.received("x-auth-request-preferred-username").unwrap().contains("%F0%9F%8C%B8"));
    assert_eq!(page.received("x-wechat-openid"), None);
    let page = alice.get("/html/x").await;
    assert_eq!(
        (page.received("x-wechat-openid"), page.received("x-wechat-assertion")),
        (None, None)
    );

    let host = |received: Value| received["headers"]["host"].as_str().map(str::to_owned);
    alice.get("/own").await;
    let own = host(sites.app.last()).unwrap();
    assert!(own.starts_with("127.0.0.1:"), "{own}");
    alice.get("/unix").await;
    assert_eq!(host(sites.unix.last()), Some(sites.host("h5")));
    alice.get("/h2c").await;
    assert_eq!(sites.h2c.last()["authority"], sites.host("h5"));
}

#[tokio::test]
async fn c32_the_subject_is_the_same_wherever_it_is_told() {
    let sites = Sites::start().await;
    let alice = with_profile(&sites, "alice").await;
    let subject = format!("{APPID}:{}", sites.sim.world().user("alice").unwrap().openid(APPID));
    let page = alice.get("/signed").await;
    assert_eq!(page.received("x-wechat-subject").as_deref(), Some(&*subject));
    assert_eq!(page.received("x-forwarded-user").as_deref(), Some(&*subject));
    assert_eq!(alice.get("/_wx/me").await.json()["subject"], subject);
    assert!(
        alice.get("/html/page.html").await.body.contains(&format!("\"subject\":\"{subject}\""))
    );
    let claims = checked(&sites, &page.received("x-wechat-assertion").unwrap(), "/signed").await;
    assert_eq!(claims.unwrap()["sub"], subject);
}

/// What `PyJWT` makes of an assertion that was made for a route.
async fn checked(sites: &Sites, assertion: &str, audience: &str) -> Result<Value, String> {
    let clients = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/assertion.py");
    let site = format!("http://{}", sites.host("h5"));
    // Its own resolver does not know our names.
    let jwks =
        crate::world::http_client().get(format!("{site}/_wx/jwks.json")).send().await.unwrap();
    assert_eq!(jwks.headers()["content-type"], "application/jwk-set+json");
    let file = sites.folder.write("jwks.json", jwks.bytes().await.unwrap());
    let output = Command::new(clients.join("python/bin/python"))
        .args([script, &site, &format!("{site}{audience}")])
        .arg(file)
        .arg(assertion)
        .output()
        .await
        .expect("tests/clients/setup.sh installed it");
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[tokio::test]
async fn c40_an_app_can_check_who_has_signed_what_it_is_told() {
    let sites = Sites::start().await;
    let alice = with_profile(&sites, "alice").await;
    let assertion = alice.get("/signed/x").await.received("x-wechat-assertion").unwrap();
    let claims = checked(&sites, &assertion, "/signed").await.unwrap();
    assert_eq!(claims["openid"], sites.sim.world().user("alice").unwrap().openid(APPID));
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert!(life <= 90, "{claims}");
    // Nothing that only we and WeChat know.
    assert!(!claims.to_string().contains("token"), "{claims}");
    let error = checked(&sites, &assertion, "/api").await.unwrap_err();
    assert!(error.contains("InvalidAudience"), "{error}");
    let (body, _) = assertion.rsplit_once('.').unwrap();
    let other = alice.get("/signed/x").await.received("x-wechat-assertion").unwrap();
    assert_ne!(assertion, other);
    let forged = format!("{body}.{}", other.rsplit_once('.').unwrap().1);
    let error = checked(&sites, &forged, "/signed").await.unwrap_err();
    assert!(error.contains("InvalidSignature"), "{error}");
    assert_eq!(alice.get("/api").await.received("x-wechat-assertion"), None);
}

#[tokio::test]
async fn the_block_is_in_a_page_of_any_coding_and_in_no_other_answer() {
    let sites = Sites::start().await;
    let alice = with_profile(&sites, "alice").await;
    let cookie = cookies(&alice.jar("h5"));
    for accepted in ["", "gzip", "br", "gzip, deflate, br", "zstd"] {
        let answer = crate::world::http_client()
            .get(format!("http://{}/html/page.html", sites.host("h5")))
            .header("cookie", &cookie)
            .header("accept-encoding", accepted)
            .send()
            .await
            .unwrap();
        let coding =
            answer.headers().get("content-encoding").map(|c| c.to_str().unwrap().to_owned());
        let length = answer.headers().get("content-length").map(|l| l.to_str().unwrap().to_owned());
        let bytes = answer.bytes().await.unwrap();
        if let Some(length) = length {
            assert_eq!(length, bytes.len().to_string());
        }
        let mut text = Vec::new();
        match coding.as_deref() {
            Some("gzip") => {
                std::io::Read::read_to_end(
                    &mut flate2::read::MultiGzDecoder::new(&*bytes),
                    &mut text,
                )
                .unwrap();
            }
            Some("br") => brotli::BrotliDecompress(&mut &*bytes, &mut text).unwrap(),
            other => {
                assert_eq!(other, None);
                text = bytes.to_vec();
            }
        }
        let text = String::from_utf8(text).unwrap();
        let block = text
            .split(r#"<script id="wechat-user" type="application/json">"#)
            .nth(1)
            .unwrap_or_else(|| panic!("{accepted}: {text}"));
        let (json, rest) = block.split_once("</script>").unwrap();
        let told: Value = serde_json::from_str(json).unwrap();
        assert_eq!(told["nickname"], "爱丽丝🌸</script>", "{accepted}");
        assert!(text.starts_with("<!DOCTYPE html><html><head><script"), "{text}");
        assert!(rest.contains("<title>页</title></head><body>hello</body></html>"), "{text}");
        assert!(!text.contains("token") && !text.contains("refresh"), "{text}");
    }
    // Where a route does not ask for it, and where nothing is a page.
    assert!(!alice.get("/api/page.html").await.body.contains("wechat-user"));
    assert!(alice.get("/html/x").await.json()["uri"].is_string());
}
