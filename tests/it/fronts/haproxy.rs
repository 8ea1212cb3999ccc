//! Sites behind a real haproxy with our script.

use wxgate::gateway::snippet::Kind;

use super::{Fronts, doors, proxy::Proxy, raw, visits};
use crate::world::WECHAT;

#[tokio::test]
async fn c21_c25_people_of_three_sites_sign_in_and_out() {
    visits::signing_in(Kind::Haproxy).await;
}

#[tokio::test]
async fn c29_each_kind_of_route_lets_in_whom_it_should() {
    visits::routes(Kind::Haproxy).await;
}

#[tokio::test]
async fn c11_c12_no_spelling_of_an_identity_header_reaches_the_app() {
    visits::spoofed_headers(Kind::Haproxy).await;
}

#[tokio::test]
async fn c21_c24_a_mini_program_s_token_opens_and_never_reaches_the_app() {
    doors::tokens(Kind::Haproxy).await;
}

#[tokio::test]
async fn c29_c30_a_path_for_followers_is_for_nobody_else() {
    doors::followers(Kind::Haproxy).await;
}

#[tokio::test]
async fn an_app_is_told_who_somebody_was_before_their_unionid_was_known() {
    doors::former_subjects(Kind::Haproxy).await;
}

#[tokio::test]
async fn c18_a_path_that_could_be_read_in_two_ways_reaches_nobody() {
    visits::odd_paths(Kind::Haproxy).await;
}

#[tokio::test]
async fn c14_c24_w14_nobody_asks_in_the_front_proxy_s_name() {
    visits::questions_from_outside(Kind::Haproxy).await;
}

#[tokio::test]
async fn c42_a_store_that_is_down_is_a_503_and_signs_nobody_out() {
    visits::store_down(Kind::Haproxy).await;
}

#[tokio::test]
async fn a_preflight_is_no_way_in() {
    visits::preflights(Kind::Haproxy).await;
}

#[tokio::test]
async fn websockets_pass_for_those_who_may() {
    visits::websockets(Kind::Haproxy).await;
}

#[tokio::test]
async fn a_person_signs_in_with_a_real_browser() {
    visits::in_chromium(Kind::Haproxy).await;
}

#[tokio::test]
async fn c17_a_script_that_breaks_lets_nobody_in() {
    let fronts = Fronts::trusting().await;
    let session = fronts.session("h5", "alice", "base").await;
    let host = format!("h5.localhost:{}", fronts.port);
    let lines = [("host", &*host), ("cookie", &session), ("user-agent", WECHAT)];
    let good = (fronts.snippets)(Kind::Haproxy);
    let begin = "    local said = ";
    assert!(good.contains(begin), "{good}");
    let broken = good.replace(begin, &format!("    error(\"broken\")\n{begin}"));
    for (script, status, count) in [(broken, 503, 0), (good, 200, 1)] {
        let _proxy = Proxy::start(Kind::Haproxy, &script, fronts.port).await;
        let answer = raw(fronts.front(), "GET", "/page", &lines).await;
        assert_eq!((answer.status, fronts.app.requests()), (status, count), "{answer:?}");
    }
}

#[tokio::test]
async fn c56_a_request_with_many_headers_harms_nobody_else() {
    let fronts = Fronts::behind(Kind::Haproxy).await;
    let session = fronts.session("h5", "alice", "base").await;
    let host = format!("h5.localhost:{}", fronts.port);
    let mut passed = 0;
    for count in (60..=100).chain([10]) {
        let names: Vec<_> = (0..count).map(|at| format!("x-a-{at}")).collect();
        let mut lines = vec![("host", &*host), ("cookie", &session), ("user-agent", WECHAT)];
        lines.extend(names.iter().map(|name| (&**name, "b")));
        let answer = raw(fronts.front(), "GET", "/page", &lines).await;
        match answer.status {
            200 => passed += 1,
            // Ours, and HAProxy's own where there are even more.
            431 | 400 => assert!(count > 80, "{count} {answer:?}"),
            _ => panic!("{count} {answer:?}"),
        }
    }
    assert_eq!(fronts.app.requests(), passed);
    assert!(passed > 21, "{passed}");
}
