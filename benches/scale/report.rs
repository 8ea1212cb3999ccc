//! How the measurements say what they have found.

use std::fmt;

/// Says something.
#[allow(clippy::print_stdout)] // That is what these programs are for.
pub(crate) fn say(what: impl fmt::Display) {
    println!("{what}");
}

/// Says a value beside what it must not exceed, and whether it does.
pub(crate) fn at_most(what: &str, value: f64, most: f64, unit: &str) -> bool {
    let is_met = value <= most;
    let verdict = if is_met { "met" } else { "MISSED" };
    say(format_args!("{verdict:>6}  {what}: {value:.1} {unit}, at most {most:.1}"));
    is_met
}

/// Says a value that nothing is asked of.
pub(crate) fn found(what: &str, value: f64, unit: &str) {
    say(format_args!("        {what}: {value:.1} {unit}"));
}

/// The value below which so many thousandths of all are.
pub(crate) fn percentile(sorted: &[u64], thousandths: usize) -> u64 {
    sorted[(sorted.len() * thousandths / 1000).min(sorted.len() - 1)]
}
