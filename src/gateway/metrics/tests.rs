//! Tests of the metrics: that each counts what it says, and that documents name those that are there.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use super::*;
use crate::wechat::Fault;

/// Metrics with at least one series in each family.
fn used() -> Metrics {
    let metrics = Metrics::new();
    metrics.route("h5", "/api").upstream_failed("upstream_timeout");
    metrics.saw(Event::Failed { errcode: None, fault: None });
    metrics
}

/// Each family by the name of its samples and the labels of its own.
fn families() -> BTreeSet<(String, Vec<String>)> {
    let page = used().text();
    let mut found = BTreeSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let of_histogram = ["_bucket", "_sum", "_count"];
        let name = of_histogram.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.split('=').next().unwrap().to_owned());
        found.insert((name.to_owned(), labels.filter(|label| label != "le").collect()));
    }
    found
}

#[track_caller]
fn has(metrics: &Metrics, line: &str) {
    let page = metrics.text();
    assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
}

#[test]
fn the_text_is_open_metrics_and_holds_every_family() {
    let metrics = used();
    let page = metrics.text();
    assert!(page.ends_with("\n# EOF\n") && page.matches("# EOF").count() == 1);
    has(&metrics, "# TYPE wxgate_requests counter");
    has(&metrics, "# TYPE process_start_time_seconds gauge");
    has(&metrics, &format!("wxgate_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    // A family without series is not in the text: then `used` has to use it.
    let registered = format!("{:?}", metrics.0.registry).matches("Descriptor {").count();
    assert_eq!(page.matches("# TYPE wxgate_").count(), registered, "{page}");
}

#[test]
fn each_event_moves_its_own_counter() {
    let base = Scope::Base;
    let failed = |errcode| Event::Failed { errcode, fault: Some(Fault::Operator) };
    for (event, line) in [
        (Event::Started { scope: base }, "logins_started_total{scope=\"snsapi_base\"}"),
        (Event::Returned, "logins_returned_total"),
        (Event::Exchanged, "codes_exchanged_total"),
        (Event::SignedIn { scope: base }, "logins_total{scope=\"snsapi_base\"}"),
        (Event::Refused, "logins_refused_total"),
        (failed(None), "logins_failed_total{errcode=\"none\"}"),
        (failed(Some(ErrCode::new(45009))), "logins_failed_total{errcode=\"45009\"}"),
        (failed(Some(ErrCode::SYSTEM_BUSY)), "logins_failed_total{errcode=\"-1\"}"),
        (Event::Twin, "callback_twins_total"),
        (Event::Snapshot, "snapshot_users_total"),
        (Event::Looped, "login_loops_total"),
        (Event::Scan { step: ScanStep::Offered }, "scans_total{step=\"offered\"}"),
        (Event::Scan { step: ScanStep::Scanned }, "scans_total{step=\"scanned\"}"),
        (Event::Scan { step: ScanStep::Confirmed }, "scans_total{step=\"confirmed\"}"),
        (Event::Scan { step: ScanStep::Refused }, "scans_total{step=\"refused\"}"),
        (Event::Refreshed { ok: true }, "profile_refreshes_total{result=\"ok\"}"),
        (Event::Refreshed { ok: false }, "profile_refreshes_total{result=\"failed\"}"),
        (Event::LoggedOut { everywhere: true }, "logouts_total"),
        (Event::Revoked { what: Revoked::Session }, "revocations_total{kind=\"session\"}"),
        (Event::Revoked { what: Revoked::User }, "revocations_total{kind=\"user\"}"),
        (Event::Revoked { what: Revoked::Account }, "revocations_total{kind=\"account\"}"),
        (Event::Revoked { what: Revoked::ByWeChat }, "revocations_total{kind=\"wechat\"}"),
        (Event::SessionLooked { found: true }, "session_lookups_total{result=\"hit\"}"),
        (Event::SessionLooked { found: false }, "session_lookups_total{result=\"miss\"}"),
        (Event::StoreDown, "store_failures_total"),
    ] {
        let metrics = Metrics::new();
        let moved = |metrics: &Metrics| {
            let page = metrics.text();
            let ours = page.lines().filter(|line| line.starts_with("wxgate_"));
            ours.filter(|line| line.ends_with(" 1")).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let before = moved(&metrics);
        metrics.saw(event);
        let after = moved(&metrics);
        let new: Vec<_> = after.difference(&before).collect();
        assert_eq!(new, [&format!("wxgate_{line} 1")], "{event:?}");
    }
}

#[test]
fn codes_that_nobody_knows_share_one_series() {
    let metrics = Metrics::new();
    for number in 70_000..70_100 {
        metrics.saw(Event::Failed { errcode: Some(ErrCode::new(number)), fault: None });
    }
    has(&metrics, "wxgate_logins_failed_total{errcode=\"other\"} 100");
    assert_eq!(metrics.text().matches("wxgate_logins_failed_total{").count(), 1);
}

#[test]
fn a_route_counts_by_outcome_and_goes_on_after_a_reload() {
    let metrics = Metrics::new();
    let route = metrics.route("h5", "/api");
    route.count(Outcome::Passed);
    route.count(Outcome::Passed);
    route.count(Outcome::Redirected);
    route.upstream_answered(Duration::from_millis(7));
    route.upstream_failed("upstream_timeout");
    let again = metrics.route("h5", "/api");
    again.count(Outcome::Passed);
    again.upstream_failed("upstream_timeout");
    metrics.no_route().count(Outcome::Refused);
    let labels = "site=\"h5\",route=\"/api\"";
    for line in [
        format!("wxgate_requests_total{{{labels},outcome=\"passed\"}} 3"),
        format!("wxgate_requests_total{{{labels},outcome=\"redirected\"}} 1"),
        format!("wxgate_requests_total{{{labels},outcome=\"own\"}} 0"),
        "wxgate_requests_total{site=\"-\",route=\"-\",outcome=\"refused\"} 1".to_owned(),
        format!("wxgate_upstream_duration_seconds_count{{{labels}}} 1"),
        format!("wxgate_upstream_duration_seconds_sum{{{labels}}} 0.007"),
        format!("wxgate_upstream_failures_total{{{labels},reason=\"upstream_timeout\"}} 2"),
    ] {
        has(&metrics, &line);
    }
}

#[test]
fn answers_count_by_the_class_of_their_status() {
    let metrics = Metrics::new();
    for status in [101, 200, 206, 302, 404, 503, 999] {
        metrics.answered(StatusCode::from_u16(status).unwrap());
    }
    for line in ["1xx\"} 1", "2xx\"} 2", "3xx\"} 1", "4xx\"} 1", "5xx\"} 2"] {
        has(&metrics, &format!("wxgate_responses_total{{code=\"{line}"));
    }
}

#[test]
fn what_goes_on_is_counted_until_it_is_let_go() {
    let metrics = Metrics::new();
    let held = [metrics.in_flight(), metrics.in_flight()];
    has(&metrics, "wxgate_requests_in_flight 2");
    drop(held);
    has(&metrics, "wxgate_requests_in_flight 0");
}

#[tokio::test]
async fn tasks_are_counted_on_every_runtime_until_they_end() {
    let metrics = Metrics::new();
    metrics.count_tasks_of(Handle::current());
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics.count_tasks_of(other.handle().clone());
    has(&metrics, "wxgate_tasks 0");
    let here = tokio::spawn(std::future::pending::<()>());
    other.spawn(std::future::pending::<()>());
    has(&metrics, "wxgate_tasks 2");
    here.abort();
    here.await.unwrap_err();
    has(&metrics, "wxgate_tasks 1");
    other.shutdown_background();
    has(&metrics, "wxgate_tasks 0");
}

#[test]
fn a_configuration_that_is_refused_leaves_the_moment_of_the_one_in_use() {
    let metrics = Metrics::new();
    metrics.config_loaded(Timestamp::from_unix(1_700_000_000));
    metrics.reloaded(false);
    has(&metrics, "wxgate_reloads_total{result=\"failed\"} 1");
    has(&metrics, "wxgate_reloads_total{result=\"ok\"} 0");
    has(&metrics, "wxgate_config_loaded_timestamp_seconds 1700000000.0");
}

#[test]
fn two_gateways_in_one_process_count_apart() {
    let (one, two) = (Metrics::new(), Metrics::new());
    one.saw(Event::Refused);
    has(&one, "wxgate_logins_refused_total 1");
    has(&two, "wxgate_logins_refused_total 0");
}

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of a text that look like the name of a metric of ours.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("wxgate_") || word.starts_with("process_")).collect()
}

#[test]
fn both_tables_name_every_metric_with_its_labels_and_no_other() {
    for name in ["operations.md", "operations.zh-CN.md"] {
        let text = document(name);
        let mut documented = BTreeSet::new();
        for row in text.lines() {
            let mut cells = row.trim_start_matches('|').split('|').map(str::trim);
            let metric = cells.next().unwrap_or_default().trim_matches('`');
            if names(metric).contains(metric) {
                let labels = cells.next().unwrap().split(", ").map(|label| label.trim_matches('`'));
                let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
                documented.insert((metric.to_owned(), labels.collect::<Vec<_>>()));
            }
        }
        assert_eq!(documented, families(), "{name}");
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_are_there() {
    let dashboard = document("grafana-dashboard.json");
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).expect("it is JSON");
    let page = used().text();
    let samples: BTreeSet<_> =
        page.lines().filter(|line| !line.starts_with('#')).flat_map(names).collect();
    let asked = names(&dashboard);
    for name in &asked {
        assert!(samples.contains(name), "{name} is no metric");
    }
    // Every family is shown, but for those that explain others.
    for (family, _) in families() {
        assert!(asked.iter().any(|name| name.starts_with(&family)), "{family} is not shown");
    }
    assert!(parsed["panels"].as_array().expect("panels").len() > 10);
}
