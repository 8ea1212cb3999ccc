//! Disks that are full, read-only or refuse to be written: an outage for who signs in, and none for who is signed in.

use http::StatusCode;
use tokio::process::Command;
use wxgate::simulator::Simulator;

use super::{disk::Disk, restarted::Restarted};
use crate::{
    process::Folder,
    world::{App, Browser},
};

const SIZE: usize = 4 << 20;

async fn is_signed_in(browser: &Browser) -> bool {
    let page = browser.get("/page").await;
    assert!(page.set_cookies().is_empty() || page.status == StatusCode::FOUND, "{page:?}");
    page.status == StatusCode::OK
}

/// Comes back from WeChat and finds that nobody can be signed in.
async fn is_turned_away(browser: &Browser) {
    let back = browser.callback_url("/page").await;
    let answer = browser.get(&back).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.set_cookies().is_empty(), "{answer:?}");
    assert!(browser.session_cookie().is_none());
}

async fn signs_in(browser: &Browser) {
    let page = browser.walk("/page").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert!(browser.session_cookie().is_some());
}

#[tokio::test]
async fn c42_a_full_disk_turns_sign_ins_away_and_disturbs_nobody_else() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let folder = Folder::new();
    let disk = Disk::new(&folder, SIZE).await;
    let launch = disk.launch();
    let mut gateway = Restarted::new(folder, "disk/sessions.db", launch, (&sim, &app));
    gateway.start().await;
    let (alice, bob) = (gateway.browser("alice"), gateway.browser("bob"));
    signs_in(&alice).await;

    disk.fill();
    is_turned_away(&bob).await;
    assert!(gateway.log().contains("sessions.db: its disk is full"), "{}", gateway.log());
    assert!(is_signed_in(&alice).await);
    // Even after a crash, with no copies in its memory.
    gateway.kill().await;
    gateway.start().await;
    assert!(is_signed_in(&alice).await);
    is_turned_away(&gateway.browser("carol")).await;

    disk.free();
    signs_in(&bob).await;
    assert!(is_signed_in(&alice).await && is_signed_in(&bob).await);
    gateway.kill().await;
    gateway.start().await;
    assert!(is_signed_in(&alice).await && is_signed_in(&bob).await);
}

#[tokio::test]
async fn c42_a_disk_that_refuses_to_be_written_turns_sign_ins_away_until_it_takes_them_again() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    // A process without the right to write into files sees what one on a failing disk sees.
    let launch = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""].map(str::to_owned).to_vec();
    let mut gateway = Restarted::new(Folder::new(), "sessions.db", launch, (&sim, &app));
    gateway.start().await;
    let (alice, bob) = (gateway.browser("alice"), gateway.browser("bob"));
    signs_in(&alice).await;
    let pid = format!("--pid={}", gateway.id());
    for (size, is_refused) in [("--fsize=0:unlimited", true), ("--fsize=unlimited", false)] {
        assert!(Command::new("prlimit").args([&*pid, size]).status().await.unwrap().success());
        if is_refused {
            is_turned_away(&bob).await;
            assert!(gateway.log().contains("its disk fails, or is read-only"), "{}", gateway.log());
        } else {
            signs_in(&bob).await;
        }
        assert!(is_signed_in(&alice).await);
    }
    gateway.kill().await;
    gateway.start().await;
    assert!(is_signed_in(&alice).await && is_signed_in(&bob).await);
}

#[tokio::test]
async fn c42_a_start_on_a_read_only_disk_says_so_and_loses_nothing() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let folder = Folder::new();
    let mut disk = Disk::new(&folder, SIZE).await;
    let mounted = folder.path().join("disk").display().to_string();
    let launch = disk.launch();
    let mut gateway = Restarted::new(folder, "disk/sessions.db", launch, (&sim, &app));
    gateway.start().await;
    let alice = gateway.browser("alice");
    signs_in(&alice).await;
    gateway.kill().await;

    disk.run(&format!("mount -o remount,ro '{mounted}'")).await;
    let said = gateway.refuses_to_start().await;
    assert!(said.contains("sessions.db: it cannot be written: is its disk read-only"), "{said}");

    disk.run(&format!("mount -o remount,rw '{mounted}'")).await;
    gateway.start().await;
    assert!(is_signed_in(&alice).await);
}
