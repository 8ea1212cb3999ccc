//! Sites behind a real nginx with `auth_request`.

use wxgate::gateway::snippet::Kind;

use super::{doors, visits};

#[tokio::test]
async fn c21_c25_people_of_three_sites_sign_in_and_out() {
    visits::signing_in(Kind::Nginx).await;
}

#[tokio::test]
async fn c29_each_kind_of_route_lets_in_whom_it_should() {
    visits::routes(Kind::Nginx).await;
}

#[tokio::test]
async fn c11_c12_no_spelling_of_an_identity_header_reaches_the_app() {
    visits::spoofed_headers(Kind::Nginx).await;
}

#[tokio::test]
async fn c21_c24_a_mini_program_s_token_opens_and_never_reaches_the_app() {
    doors::tokens(Kind::Nginx).await;
}

#[tokio::test]
async fn c29_c30_a_path_for_followers_is_for_nobody_else() {
    doors::followers(Kind::Nginx).await;
}

#[tokio::test]
async fn an_app_is_told_who_somebody_was_before_their_unionid_was_known() {
    doors::former_subjects(Kind::Nginx).await;
}

#[tokio::test]
async fn c18_a_path_that_could_be_read_in_two_ways_reaches_nobody() {
    visits::odd_paths(Kind::Nginx).await;
}

#[tokio::test]
async fn c14_c24_w14_nobody_asks_in_the_front_proxy_s_name() {
    visits::questions_from_outside(Kind::Nginx).await;
}

#[tokio::test]
async fn c42_a_store_that_is_down_is_a_503_and_signs_nobody_out() {
    visits::store_down(Kind::Nginx).await;
}

#[tokio::test]
async fn a_preflight_is_no_way_in() {
    visits::preflights(Kind::Nginx).await;
}

#[tokio::test]
async fn websockets_pass_for_those_who_may() {
    visits::websockets(Kind::Nginx).await;
}

#[tokio::test]
async fn a_person_signs_in_with_a_real_browser() {
    visits::in_chromium(Kind::Nginx).await;
}
