"""Measures what a load costs a contestant, and goes through the rounds."""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from processes import Failed

# How far the mean size of the answers under load may be from that of the right one.
SIZE_TOLERANCE = 0.03


@dataclass
class Figures:
    """One measurement: costs in microseconds of processor time for each answer, other times in microseconds."""

    rps: float
    cost: float
    part_cost: float
    p50: float
    p99: float
    p999: float
    # How much of the contestants' core went to somebody else meanwhile.
    foreign: float


def core_ticks(core):
    """For how long a core was busy so far, in hundredths of a second."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
            return user + nice + system + irq + softirq + steal
    raise Failed(f"/proc/stat knows no core {core}")


def measure(stage, contestant, load, size=None):
    """Runs a load, and looks at the contestant's clocks before and after it."""
    programs = contestant.programs

    def clocks():
        return {program.name: program.processor_seconds() for program in programs}

    before, ticks, began = clocks(), core_ticks(stage.core), time.monotonic()
    answers = load()
    after = clocks()
    busy = (core_ticks(stage.core) - ticks) / 100
    spent = {name: after[name] - before[name] for name in after}
    if not answers.requests:
        raise Failed(f"{contestant.name} has answered nothing")
    if size and answers.bytes and abs(answers.bytes / answers.requests / size - 1) > SIZE_TOLERANCE:
        mean = answers.bytes / answers.requests
        raise Failed(f"{contestant.name}: answers of {mean:.0f} bytes under load, and {size:.0f} without")
    on_core = 0 if contestant.name == "upstream" else sum(spent.values())
    return Figures(
        rps=answers.requests / answers.seconds,
        cost=sum(spent.values()) / answers.requests * 1e6,
        part_cost=spent[contestant.part.name] / answers.requests * 1e6 if contestant.part else 0,
        p50=answers.p50,
        p99=answers.p99,
        p999=answers.p999,
        foreign=max(0, busy - on_core) / (time.monotonic() - began),
    )


class Results:
    """All measurements of one workload, round by round."""

    def __init__(self):
        """Has none yet."""
        self.of = {}

    def note(self, name, figures):
        """Takes one of a contestant."""
        self.of.setdefault(name, []).append(figures)

    def median(self, name, what):
        """The median of a contestant's rounds."""
        return statistics.median(getattr(figures, what) for figures in self.of[name])

    def ratios(self, name, base, what):
        """Of each round, a contestant's figure to that of another: what slows a whole round down is in both."""
        pairs = zip(self.of[name], self.of[base], strict=True)
        return [getattr(mine, what) / getattr(other, what) for mine, other in pairs if getattr(other, what)]

    def ratio(self, name, base, what):
        """The median of these."""
        return statistics.median(self.ratios(name, base, what))


def go_round(title, rounds, names, measure_one):
    """Measures all of them in turn, forward and backward by turns, so that no one always comes after the same."""
    results = Results()
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            say(f"{title}, round {number + 1} of {rounds}: {name}")
            results.note(name, measure_one(name))
    return results


def say(text):
    """Tells of the progress where somebody watches, beside the report."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
