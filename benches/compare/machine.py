"""The facts about the machine, the peers and the load that figures mean nothing without."""

import os
import platform
import re
import subprocess
from pathlib import Path


def first_line(command, pattern):
    """The part of what a command prints that is its version."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "missing"
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"


def package(name):
    """The version of a Debian package."""
    return first_line(["dpkg-query", "-W", "-f", "${Version}", name], r"(\S+)")


def facts(wxgate):
    """Pairs of what it is and what it is like."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1])
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    return [
        ("cpu", cpu[1] if cpu else platform.machine()),
        ("cores", os.cpu_count()),
        ("memory", f"{memory / 1024 / 1024:.1f} GiB"),
        ("kernel", platform.release()),
        ("system", system[1] if system else platform.system()),
        ("load before", "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg())),
        ("wxgate", first_line([wxgate, "--version"], r"wxgate (\S+)")),
        ("nginx", first_line(["nginx", "-v"], r"nginx/(\S+)")),
        ("apache", first_line(["apache2", "-v"], r"Apache/(\S+)")),
        ("mod_auth_openidc", package("libapache2-mod-auth-openidc")),
        ("haproxy", first_line(["haproxy", "-v"], r"version (\S+)")),
        ("caddy", first_line(["caddy", "version"], r"(\S+)")),
        ("redis", first_line(["redis-server", "--version"], r"v=(\S+)")),
        ("wrk, h2load", f"{package('wrk')}, {package('nghttp2-client')}"),
    ]
