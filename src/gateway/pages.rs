//! The gateway's pages: their look, and what they say when the upstream does not answer.

use askama::Template;

use super::proxy::Failure;
use crate::login::{
    Tongue,
    pages::{PageView, Pages, Tone},
};

/// The look of the gateway's pages: one page, an icon, a few words and a button, on a phone first.
#[derive(Clone, Copy, Debug, Default)]
pub struct GatewayPages;

#[derive(Template)]
#[template(path = "gateway/page.html")]
struct Page<'a> {
    view: &'a PageView<'a>,
}

impl Pages for GatewayPages {
    fn render(&self, view: &PageView<'_>) -> String {
        Page { view }.render().expect("strings can be written to a string")
    }
}

/// The page for a visitor whose request the upstream did not answer.
pub(super) fn upstream<'a>(
    failure: &Failure,
    tongue: Tongue,
    site: &'a str,
    nonce: &'a str,
) -> PageView<'a> {
    let (title, text) = match failure {
        Failure::TooLarge(_) => (
            tongue.say("内容太大", "That is too large"),
            tongue.say(
                "提交的内容超过了本站允许的大小，没有保存。",
                "What you have sent is larger than this site takes. Nothing of it was kept.",
            ),
        ),
        Failure::ClientStalled(_) | Failure::Damaged => (
            tongue.say("没有发送完整", "Not all of it arrived"),
            tongue.say(
                "提交的内容没有完整到达，请检查网络后重试。",
                "What you have sent did not arrive whole. Check your network and try again.",
            ),
        ),
        _ => (
            tongue.say("页面暂时打不开", "This page is unavailable"),
            tongue.say(
                "网站暂时没有响应，请稍后刷新。你的登录状态不受影响。",
                "The site does not answer at the moment. Reload in a while. Your sign-in is not affected.",
            ),
        ),
    };
    PageView {
        name: failure.code(),
        lang: tongue.code(),
        tone: if failure.is_the_client_s() { Tone::Warning } else { Tone::Error },
        title,
        text: vec![text],
        picture: None,
        facts: Vec::new(),
        choices: Vec::new(),
        actions: Vec::new(),
        live: None,
        details: vec![(tongue.say("原因", "Cause"), failure.code().to_owned())],
        site,
        nonce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::{
        Look,
        pages::{Action, Live, Picture},
    };

    fn render(view: &PageView<'_>) -> String {
        GatewayPages.render(view)
    }

    const HOSTILE: &str = r#""><script>alert('1')</script>"#;

    fn action(label: &'static str, href: &str, post: bool) -> Action {
        Action { label: label.into(), href: href.to_owned(), post }
    }

    fn live(text: &'static str, number: Option<&str>) -> Live {
        Live {
            status: text,
            number: number.map(str::to_owned),
            data: text.to_owned(),
            script: "'use strict';",
            again: action(text, text, false),
            without_scripts: action(text, text, false),
        }
    }

    fn view() -> PageView<'static> {
        PageView {
            name: "login_required",
            lang: "en",
            tone: Tone::Welcome,
            title: "Sign in",
            text: vec!["One.", "Two."],
            picture: None,
            facts: Vec::new(),
            choices: Vec::new(),
            actions: vec![
                action("Go on", "/_wx/login?scope=userinfo&to=/a", false),
                action("Sign out", "/_wx/logout?to=/", true),
            ],
            live: None,
            details: vec![("rid", "65ab-1".into())],
            site: "h5.example.com",
            nonce: "bm9uY2U",
        }
    }

    #[test]
    fn every_tone_has_its_own_icon() {
        let pages = [Tone::Welcome, Tone::Info, Tone::Warning, Tone::Error]
            .map(|tone| render(&PageView { tone, ..view() }));
        for (i, page) in pages.iter().enumerate() {
            assert!(page.contains("<svg"));
            assert!(pages[..i].iter().all(|other| other != page));
        }
    }

    #[test]
    fn the_first_action_is_the_primary_one() {
        let page = render(&view());
        assert_eq!(page.matches("id=\"primary\"").count(), 1);
        let link = page.find("href=\"/_wx/login?scope=userinfo&#38;to=/a\"").expect("the link");
        let form = page.find("method=\"post\" action=\"/_wx/logout?to=/\"").expect("the form");
        let primary = page.find("id=\"primary\"").expect("the primary action");
        assert!(primary < form && link < form);
    }

    #[test]
    fn a_form_can_be_the_primary_action() {
        let page =
            render(&PageView { actions: vec![action("Sign out", "/_wx/logout", true)], ..view() });
        assert!(page.contains("<button id=\"primary\""), "{page}");
    }

    #[test]
    fn every_value_is_escaped() {
        let page = render(&PageView {
            lang: HOSTILE,
            title: HOSTILE,
            text: vec![HOSTILE],
            picture: Some(Picture { src: HOSTILE.into(), alt: HOSTILE }),
            facts: vec![(HOSTILE, HOSTILE.into())],
            choices: vec![action(HOSTILE, HOSTILE, false), action(HOSTILE, HOSTILE, true)],
            actions: vec![action(HOSTILE, HOSTILE, false), action(HOSTILE, HOSTILE, true)],
            live: Some(live(HOSTILE, Some(HOSTILE))),
            details: vec![(HOSTILE, HOSTILE.into())],
            site: HOSTILE,
            nonce: HOSTILE,
            ..view()
        });
        assert_eq!(page.matches("<script").count(), 1, "the page's own: {page}");
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("&#60;script&#62;"), "the text is there, as text");
    }

    #[test]
    fn none_of_the_choices_stands_out() {
        let choices = ["12", "34", "56"].map(|number| action(number, "/_wx/scan", true)).into();
        let page = render(&PageView { choices, ..view() });
        assert!(!page.contains("id=\"primary\""), "{page}");
        assert_eq!(page.matches("<button class=\"button choice\"").count(), 3, "{page}");
    }

    #[test]
    fn a_live_page_has_one_script_and_shows_a_number_once_there_is_one() {
        let page = |number| render(&PageView { live: Some(live("Wait.", number)), ..view() });
        for (number, shown) in
            [(None, "class=\"number\" hidden>"), (Some("47"), "class=\"number\">47<")]
        {
            let page = page(number);
            assert!(page.contains(shown), "{page}");
            assert!(page.contains("<script nonce=\"bm9uY2U\">'use strict';</script>"), "{page}");
        }
    }

    #[test]
    fn the_page_works_under_a_policy_that_allows_almost_nothing() {
        let page = render(&view());
        assert_eq!(
            page.matches("<style").count(),
            page.matches("<style nonce=\"bm9uY2U\"").count()
        );
        assert!(!page.contains(" style="), "inline style");
        assert!(!page.contains("<script") && !page.contains("javascript:"), "script");
        for outside in ["src=", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn c53_what_is_said_of_an_upstream_may_run_nothing_and_tells_nothing_of_it() {
        let planted = || "planted <script>".to_owned();
        let minute = std::time::Duration::from_secs(60);
        let failures = [
            Failure::Connect(planted()),
            Failure::ConnectTimeout(minute),
            Failure::ResponseTimeout(minute),
            Failure::ClientStalled(minute),
            Failure::Damaged,
            Failure::TooLarge(1),
            Failure::NoWebSockets,
            Failure::Broken(planted()),
            Failure::File(std::io::Error::other(planted())),
        ];
        let look = Look { pages: &GatewayPages, site: "a", wechat: "https://b", sign_in_at: None };
        for failure in failures {
            let view = upstream(&failure, Tongue::English, "h5.example.com", "bm9uY2U");
            let page = GatewayPages.render(&view);
            assert!(page.contains(failure.code()), "{page}");
            assert!(!page.contains("<script") && !page.contains("planted"), "{page}");
            let answer = look.page(failure.status(), &view);
            let header = |name: &str| answer.headers()[name].to_str().unwrap();
            let policy = header("content-security-policy");
            assert!(policy.contains("default-src 'none'; style-src 'nonce-bm9uY2U';"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("script-src"));
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert!(header("cache-control").contains("no-store"));
        }
    }

    #[test]
    fn a_page_without_actions_and_details_has_no_empty_boxes() {
        let page = render(&PageView { actions: Vec::new(), details: Vec::new(), ..view() });
        for empty in ["actions", "details", "facts", "choices"] {
            assert!(!page.contains(&format!("class=\"{empty}\"")), "{empty}");
        }
    }
}
