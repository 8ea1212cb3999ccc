"""Compares wxgate with its peers, side by side, on two cores of this machine. See README.md."""

import argparse
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

import contestants
import load
import machine
import report
import targets
import verify
from processes import Failed
from stage import Stage
from workloads import STEADY_SHARE, Workloads

STORM_HEAD = ("contestant", "logins/s", "x", "us/login", "x", "(min..max)", "p50 ms", "p99 ms", "p99.9 ms")


def arguments():
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the core contestants and the small page only")
    parser.add_argument("--rounds", type=int, help="how often each is measured (5; with --quick 3)")
    parser.add_argument("--seconds", type=int, help="how long one measurement takes (3; with --quick 2)")
    parser.add_argument("--only", help="these contestants, such as wxgate-off,wxgate-session; nginx is always there")
    parser.add_argument("--check", action="store_true", help="end with 1 where a target is missed")
    parser.add_argument("--binary", type=Path, required=True, help="a wxgate that is built already")
    parser.add_argument("--examples", type=Path, required=True, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    names = set(asked.only.split(",")) if asked.only else set()
    if unknown := names - set(contestants.EVERYBODY):
        parser.error(f"nobody is called {', '.join(sorted(unknown))}; there are {', '.join(contestants.EVERYBODY)}")
    asked.rounds = asked.rounds or (3 if asked.quick else 5)
    asked.seconds = asked.seconds or (2 if asked.quick else 3)
    everybody = contestants.CORE if asked.quick else list(contestants.EVERYBODY)
    # Ratios are to nginx.
    asked.names = [name for name in contestants.EVERYBODY if name in (names | {"nginx"} if names else everybody)]
    return asked


def two_cores():
    """One core for the contestants, and one for load and upstream."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failed("this takes two cores: on one, the load would slow down whoever it measures")
    return cores[:2]


def compare(stage, asked):
    """Starts, verifies and measures all, prints what was found, and tells how many targets were missed."""
    report.facts(machine.facts(stage.wxgate))
    print(f"{'rounds:':18} {asked.rounds} of {asked.seconds} s")
    stage.start_supporters()
    for name in asked.names:
        contestant = contestants.take_in(stage, name)
        verify.all_of(contestant)
        # Connections, caches and pages of memory are there before anything counts.
        load.wrk(stage, contestant, seconds=1)

    run = Workloads(stage, asked.names, asked.rounds, asked.seconds)
    small = run.small()
    memory = {
        name: sum(program.resident_bytes() for program in stage.contestants[name].programs) for name in asked.names
    }
    report.workload(f"Small page, {load.CONNECTIONS} connections", small, memory=memory)
    report.parts(small, [name for name in asked.names if stage.contestants[name].part])
    all_results = [small]

    def print_one(title, results, **how):
        all_results.append(results)
        report.workload(title, results, **how)

    if not asked.quick:
        print_one(f"Page of 64 KiB, {load.CONNECTIONS} connections", run.large())
        print_one("Small page, 1000 connections", run.thousand())
        print_one("Small page, 1 request in 10 without a session", run.tenth())
        print_one("Small page over TLS, HTTP/1.1", run.tls())
        streams = f"{load.H2_CONNECTIONS} connections with {load.H2_STREAMS} streams"
        print_one(f"Small page over TLS, HTTP/2, {streams}", run.h2())
        storm = run.logins()
        if storm.of:
            base = next(iter(storm.of))
            print_one(f"Login storm, {load.LOGINS_AT_ONCE} at once, to {base}", storm, base=base, head=STORM_HEAD)
    fixed_rate = None
    if "wxgate-session" in asked.names:
        rate, fixed_rate = run.steady(small)
        what_both_take = f"{STEADY_SHARE:.0%} of what both can take"
        print_one(f"Small page at {rate} requests a second, which is {what_both_take}", fixed_rate)

    report.ratios(small)
    report.foreign(all_results)
    return report.targets(targets.of(small, fixed_rate))


def main():
    """Runs it in a folder that is gone afterwards, and leaves nothing running."""
    asked = arguments()
    if missing := load.missing():
        raise Failed(f"not installed: {', '.join(missing)}")
    # Ends by the same way as everything else.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    core, load_core = two_cores()
    os.sched_setaffinity(0, {load_core})
    with tempfile.TemporaryDirectory(prefix="wxgate-compare-") as folder:
        stage = Stage(Path(folder), asked.binary.resolve(), asked.examples.resolve(), core, load_core)
        try:
            missed = compare(stage, asked)
        finally:
            stage.end()
    return 1 if missed and asked.check else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    try:
        sys.exit(main())
    except Failed as why:
        sys.exit(f"\ncompare: {why}")
    except KeyboardInterrupt:
        sys.exit(130)
