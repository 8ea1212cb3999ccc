"""Programs that run for the comparison: each on its core, waited for, looked at, and ended with it."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

# How long a program may take to answer at its port, and to end.
PATIENCE = 20


class Failed(Exception):
    """What makes the comparison impossible or wrong."""


def free_ports(count):
    """Ports that nobody has at the moment, all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def fill(template, **values):
    """The text of a template of conf/ with each @NAME@ in it replaced."""
    text = (Path(__file__).parent / "conf" / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    return text


class Program:
    """One program, with the processes that it starts itself."""

    def __init__(self, name, command, folder, core, env=None):
        """Starts it in its folder, where its output goes as well."""
        self.name = name
        self.log = folder / "output.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *map(str, command)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                # A group of its own, so that its workers end with it.
                start_new_session=True,
            )

    def wait_for(self, port):
        """Waits until it answers at the port."""
        end = time.monotonic() + PATIENCE
        while True:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} has ended:\n{self.log.read_text(errors='replace')[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise Failed(f"{self.name} does not answer at port {port}") from None
                time.sleep(0.02)

    def pids(self):
        """Its process and all that came from it."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # What follows the name, which may have spaces in it: state, parent, ...
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except OSError:
                pass  # It has just ended.
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def processor_seconds(self):
        """Processor time so far: utime and stime of /proc/PID/stat, from the clock that has them in nanoseconds."""
        return sum(time.clock_gettime(processor_clock(pid)) for pid in self.pids())

    def resident_bytes(self):
        """Memory in use. What its processes share counts for each of them."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self):
        """Ends it, with whatever it has started. Nothing that it has is worth waiting for."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # It has ended by itself.
        self.process.wait()


def processor_clock(pid):
    """The clock of a process's processor time: clock_getcpuclockid(3), which Python does not have."""
    return (~pid << 3) | 2
