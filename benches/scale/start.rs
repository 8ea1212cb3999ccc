//! How long the released program takes to answer, and how much it takes while nobody asks.

use std::{fs, process::Command, time::Instant};

use crate::{
    process::{Gateway, resident, wxgate},
    report::{at_most, found, say},
};

const STARTS: usize = 20;
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn measure() -> bool {
    say(format_args!("the released program, started {STARTS} times"));
    let mut times = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let mut gateway = Gateway::start(10_000);
        drop(gateway.first_answer());
        times.push(began.elapsed().as_secs_f64() * 1e3);
        idle.push(resident(gateway.pid()) / MIB);
    }
    times.sort_by(f64::total_cmp);
    idle.sort_by(f64::total_cmp);
    found("start to first answer, shortest", times[0], "ms");
    found("start to first answer, longest", times[STARTS - 1], "ms");
    let quick = at_most("start to first answer, median", times[STARTS / 2], 50.0, "ms");
    let small = at_most("idle memory, median", idle[STARTS / 2], 15.0, "MiB resident");
    let size = stripped() / MIB;
    at_most("stripped program", size, 15.0, "MiB") && quick && small
}

#[allow(clippy::cast_precision_loss)] // No program is so large.
fn stripped() -> f64 {
    let copy = std::env::temp_dir().join(format!("wxgate-stripped-{}", std::process::id()));
    let done = Command::new("strip").arg("-o").arg(&copy).arg(wxgate()).status();
    assert!(done.is_ok_and(|status| status.success()), "binutils are installed");
    let size = fs::metadata(&copy).expect("it was written").len();
    fs::remove_file(copy).ok();
    size as f64
}
