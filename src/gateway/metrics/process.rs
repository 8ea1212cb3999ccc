//! What the system knows of this process, under the names that every exporter gives it.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Linux counts a process's times in hundredths of a second for programs, whatever its own tick is.
const TICKS: f64 = 100.0;

/// Reads `/proc` when it is asked. Where that is not to be had, nothing is said.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (stat, boot, status) =
            (read("/proc/self/stat"), read("/proc/stat"), read("/proc/self/status"));
        let mut gauge = |name, help, unit: Option<&Unit>, value: Option<f64>| -> fmt::Result {
            let Some(value) = value else { return Ok(()) };
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
        };
        gauge(
            "process_start_time",
            "When this process was started, in Unix time.",
            Some(&Unit::Seconds),
            started_at(&stat, &boot),
        )?;
        gauge(
            "process_resident_memory",
            "Memory that is in use.",
            Some(&Unit::Bytes),
            resident(&status),
        )?;
        gauge("process_open_fds", "Open files and sockets.", None, open_files())?;
        if let Some(seconds) = cpu(&stat) {
            let metric = ConstCounter::new(seconds);
            let help = "Processor time, of user and system together.";
            metric.encode(encoder.encode_descriptor(
                "process_cpu",
                help,
                Some(&Unit::Seconds),
                metric.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

/// A field of `/proc/self/stat` by its number in proc(5). The second is the program's name, which may hold anything.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn started_at(stat: &str, boot: &str) -> Option<f64> {
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + field(stat, 22)? / TICKS)
}

fn cpu(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS)
}

fn resident(status: &str) -> Option<f64> {
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = size.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_files() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    // The folder itself is open while it is read.
    u32::try_from(open.saturating_sub(1)).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_past_any_name() {
        let stat =
            "7 (a) b (c) S 1 7 7 0 -1 4194560 90 0 0 0 150 50 0 0 20 0 3 0 4200 8000 25 18446744";
        let near = |a: Option<f64>, b: f64| (a.expect("a number") - b).abs() < 1e-6;
        assert!(near(started_at(stat, "cpu 1 2\nbtime 1700000000\n"), 1_700_000_042.0));
        assert!(near(cpu(stat), 2.0));
        assert!(near(resident("Name:\tx\nVmRSS:\t    1234 kB\n"), 1_263_616.0));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(started_at("", ""), None);
        assert_eq!(cpu("7 (a) S 1"), None);
        assert_eq!(resident("VmRSS: many"), None);
    }

    #[test]
    fn an_open_file_is_counted() {
        let before = open_files().expect("this is Linux");
        let held: Vec<_> = (0..100).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests open and close files at the same time.
        assert!(open_files().expect("this is Linux") > before + 50.0);
        drop(held);
    }
}
