"""Puts load on a contestant, from the core of the load, for a bounded time."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from http_client import APP_COOKIES
from processes import Failed
from stage import USERS

CONNECTIONS = 64
# A browser has a few streams open at once on each of its connections.
H2_CONNECTIONS, H2_STREAMS = 16, 8
LOGINS_AT_ONCE = 16
# What a load may take longer than it was told to.
GRACE = 20


@dataclass
class Answers:
    """What came back: times are in microseconds, bytes are None where they were not counted."""

    requests: int
    seconds: float
    p50: float
    p99: float
    p999: float
    bytes: int = None


def run(stage, command, seconds):
    """Runs a load generator on its core, and gives what it prints."""
    pinned = ["taskset", "-c", str(stage.load_core), *map(str, command)]
    try:
        done = subprocess.run(pinned, capture_output=True, text=True, timeout=seconds + GRACE)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} did not come to an end") from None
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def wrk(stage, contestant, seconds, path="/", connections=CONNECTIONS, one_in_ten=False):
    """As many requests as it can take, on each connection one after the other."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    for name, value in contestant.asked().items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", Path(__file__).parent / "wrk.lua", contestant.at(path)]
    if one_in_ten:
        command += ["--", APP_COOKIES]
    said = json.loads(run(stage, command, seconds).splitlines()[-1])
    wrong = said.pop("wrong")
    if any(wrong.values()):
        raise Failed(f"{contestant.name}: errors under load, in {said['requests']} requests: {wrong}")
    return Answers(**said)


def h2(stage, contestant, seconds):
    """The same over HTTP/2, with several requests at once on each connection."""
    log = stage.folder / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "-t1", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", f"-D{seconds}", f"--log-file={log}"]
    command.append("--npn-list=h2")
    for name, value in contestant.asked().items():
        command += ["-H", f"{name}: {value}"]
    said = run(stage, [*command, contestant.at()], seconds)
    if "Application protocol: h2" not in said:
        raise Failed(f"{contestant.name}: no HTTP/2:\n{said}")
    statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
    if any(map(int, statuses.groups()[1:])):
        raise Failed(f"{contestant.name}: other answers than pages: {statuses[0]}")
    # When it was sent, the status, and how long it took. Those that the end has cut off have no status.
    rows = (line.split("\t") for line in log.read_text().splitlines())
    took = sorted(int(row[2]) for row in rows if row[1] == "200")
    at = [took[min(len(took) - 1, len(took) * share // 1000)] for share in (500, 990, 999)]
    return Answers(len(took), seconds, *at)


def steady(stage, contestant, seconds, rate):
    """So many requests a second, whether or not the answers keep up."""
    at = urlsplit(contestant.at())
    headers = [f"{name}: {value}" for name, value in contestant.asked().items()]
    program = stage.examples / "steady"
    command = [program, at.netloc, at.path, rate, seconds, CONNECTIONS, *headers]
    said = json.loads(run(stage, command, seconds))
    if said.pop("wrong"):
        raise Failed(f"{contestant.name}: errors under a steady load")
    return Answers(seconds=said["requests"] / rate, **said)


def logins(stage, contestant, seconds):
    """Whole logins, of many people at once."""
    at = urlsplit(contestant.url).netloc
    simulator = urlsplit(stage.url("simulator")).netloc
    command = [stage.examples / "logins", at, simulator, seconds, LOGINS_AT_ONCE, USERS]
    return Answers(**json.loads(run(stage, command, seconds)))


def missing():
    """Generators that are not installed."""
    return [name for name in ("wrk", "h2load", "taskset") if shutil.which(name) is None]
