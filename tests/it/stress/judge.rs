//! What must be so once all are done, whatever has happened.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::time::sleep;
use wxgate::session::{ListQuery, SessionId, Store};

use super::{PATIENCE, Stage};
use crate::world::{EXCHANGE, http_client};

const CODE2SESSION: &str = "/sns/jscode2session";
const MEMBER: [&str; 2] = ["/cgi-bin/auth/getuserinfo", "/cgi-bin/user/getuserinfo"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn judge(stage: &Stage, logins: usize) {
    let numbers = until_quiet(stage).await;
    codes_are_sent_once(stage);
    sessions_belong_to_somebody(stage, logins).await;
    counters_add_up(stage, &numbers);
    let wrong = stage.wrong.lock().unwrap();
    assert!(
        wrong.is_empty(),
        "{} things, such as {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
    for what in ["pages", "twins", "desktops", "mini-programs", "members", "refused", "came back"] {
        assert!(stage.counted(what) > logins / 200, "{what}: {}", stage.counted(what));
    }
}

/// What each series of both gateways comes to, once nothing is under way.
async fn until_quiet(stage: &Stage) -> BTreeMap<String, u64> {
    let (http, began) = (http_client(), Instant::now());
    loop {
        let mut sum = BTreeMap::<String, u64>::new();
        for admin in &stage.admins {
            let page = http.get(format!("http://{admin}/metrics")).send().await.unwrap();
            for line in page.text().await.unwrap().lines().filter(|line| !line.starts_with('#')) {
                let (series, value) = line.rsplit_once(' ').unwrap();
                if let Ok(value) = value.parse::<u64>() {
                    let name = series.split('{').next().unwrap();
                    *sum.entry(name.to_owned()).or_default() += value;
                }
            }
        }
        if sum["wxgate_requests_in_flight"] == 0 {
            return sum;
        }
        assert!(began.elapsed() < PATIENCE, "requests are left: {sum:#?}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn codes_are_sent_once(stage: &Stage) {
    let mut seen = HashSet::new();
    for request in stage.sim.requests() {
        let path = request.path.as_str();
        if ![EXCHANGE, CODE2SESSION].contains(&path) && !MEMBER.contains(&path) {
            continue;
        }
        let pairs = url::form_urlencoded::parse(request.query.as_bytes());
        let code = pairs.into_iter().find(|(name, _)| name == "code" || name == "js_code");
        let (_, code) = code.unwrap_or_else(|| panic!("{request:?}"));
        // A dead token of the corp's is refused before the code is looked at, which is then sent with a good one.
        let is_unread = request.errcode.is_some() && MEMBER.contains(&path);
        assert!(is_unread || seen.insert(code.into_owned()), "a code was sent twice: {request:?}");
    }
    println!("{} codes were sent, each once", seen.len());
}

/// Every session that is kept is some browser's, but for those of people who left in the middle.
async fn sessions_belong_to_somebody(stage: &Stage, logins: usize) {
    let mut kept = HashSet::new();
    let mut query = ListQuery { appid: None, openid: None, after: None, limit: 1000 };
    loop {
        let page = stage.store.list(&query).await.unwrap();
        kept.extend(page.sessions.iter().map(|session| session.handle.to_string()));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let mut good = 0;
    let left = std::mem::take(&mut *stage.left.lock().unwrap());
    for (name, browser) in &left {
        // Each account that is not the site's own has a cookie of its own.
        let cookies = browser.jar.lock().unwrap().clone();
        for id in cookies.values().filter_map(|cookie| SessionId::parse(cookie)) {
            let Some(session) = stage.store.load(id).await.unwrap() else { continue };
            let openid = session.user().key().openid.as_str();
            assert!(stage.names[name].contains(openid), "{name} has a session of {openid}");
            // Twins have the same one.
            good += usize::from(kept.remove(&id.handle().to_string()));
        }
    }
    let nobody_s = kept.len();
    let known = stage.counted("abandoned")
        + stage.counted("tokens left")
        + stage.counted("codes beside another one");
    println!("{good} browsers are signed in, and {nobody_s} sessions are nobody's any more");
    assert!(nobody_s <= known, "{nobody_s} sessions are nobody's, of {known} that may be");
    assert!(good > logins / 20, "{good} browsers are signed in");
    *stage.left.lock().unwrap() = left;
}

fn counters_add_up(stage: &Stage, numbers: &BTreeMap<String, u64>) {
    let number = |name: &str| -> i64 {
        let name = format!("wxgate_{name}_total");
        i64::try_from(numbers.get(&name).copied().unwrap_or_default()).unwrap()
    };
    let counted = |what| i64::try_from(stage.counted(what)).unwrap();
    let (started, returned) = (number("logins_started"), number("logins_returned"));
    let made = number("logins");
    let (refused, failed) = (number("logins_refused"), number("logins_failed"));
    let snapshots = number("snapshot_users");
    println!(
        "{started} started, {returned} returned: {made} sessions made, {refused} refused, {failed} failed, \
         {snapshots} snapshots; {} twins, {} loops, {} refreshes",
        number("callback_twins"),
        number("login_loops"),
        number("profile_refreshes"),
    );
    assert!(started >= returned, "who came back had begun");
    // Those of desktops and mini-programs have not come back from WeChat.
    let beside = counted("desktops") + counted("mini-programs");
    let unaccounted = returned + beside - (made + refused + failed + snapshots);
    // A mini-program that is not let in has not come back either, and a member of whom WeCom cannot be asked is none of these.
    let (least, most) = (-counted("mini-programs not let in"), counted("members"));
    assert!((least..=most).contains(&unaccounted), "{unaccounted} of {least}..={most}");
    let is_grant = |path: &str| [EXCHANGE, CODE2SESSION].contains(&path);
    let grants = stage.sim.requests().into_iter().filter(|request| {
        is_grant(&request.path) && request.status == 200 && request.errcode.is_none()
    });
    let grants = i64::try_from(grants.count()).unwrap();
    assert_eq!(number("codes_exchanged"), grants, "grants that WeChat has given");
    assert_eq!(number("store_failures"), 0);
}

/// After everything has expired, nobody is left.
pub async fn let_time_pass(stage: &Stage) {
    stage.clock.advance(400 * DAY);
    let query = ListQuery { appid: None, openid: None, after: None, limit: 10 };
    let page = stage.store.list(&query).await.unwrap();
    assert!(page.sessions.is_empty() && page.next.is_none(), "{page:?}");
    let left = std::mem::take(&mut *stage.left.lock().unwrap());
    for (_, browser) in left.iter().rev().take(50) {
        assert_eq!(browser.fetch("/_wx/me").await.status, StatusCode::UNAUTHORIZED);
    }
}
