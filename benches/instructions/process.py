#!/usr/bin/env python3
"""Counts the instructions that one request takes in the whole process of the gateway, libraries included: what passes
through with and without a login, and what a front proxy asks. Needs valgrind, and a `wxgate` that was built with
`cargo build --release --features full`.

    benches/instructions/process.py target/release/wxgate
"""

import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

FEW, MANY = 200, 1000
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 250\r\n\r\n" + b"x" * 250
BROWSER = """\
User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
Mobile/15E148 MicroMessenger/8.0.31(0x18001f2f) NetType/WIFI Language/zh_CN
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
Accept-Language: zh-CN,zh-Hans;q=0.9
Accept-Encoding: gzip, deflate, br
"""
CONFIG = """\
listen = "127.0.0.1:{gateway}"
cores = 1
trusted_proxies = ["127.0.0.1"]
[wechat]
api = ["http://127.0.0.1:{simulator}"]
open = "http://127.0.0.1:{simulator}"
[account.main]
appid = "wx0123456789abcdef"
secret_file = "secret"
[site.h5]
public_url = "http://127.0.0.1:{gateway}"
upstream = "http://127.0.0.1:{upstream}"
forward_auth = true
[[site.h5.route]]
prefix = "/off"
login = "off"
"""


def serve_pages(listener):
    """Answers every request with the same page, on connections that stay open."""

    def serve(connection):
        heads = b""
        while piece := connection.recv(65536):
            heads += piece
            whole = heads.count(b"\r\n\r\n")
            heads = heads.rpartition(b"\r\n\r\n")[2]
            connection.sendall(PAGE * whole)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_open(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nobody listens on port {port}")


def sign_in(gateway):
    """The session's cookie, after a whole login."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    agent = re.search("User-Agent: (.*)", BROWSER)[1]
    browser.addheaders = [("X-Simulator-User", "alice"), ("User-Agent", agent)]
    browser.open(f"http://127.0.0.1:{gateway}/_wx/login?scope=userinfo&to=/").read()
    (session,) = [cookie for cookie in jar if cookie.name == "wxgate"]
    return f"wxgate={session.value}"


def more_of(connection):
    """What comes next, which has to be something."""
    piece = connection.recv(65536)
    if not piece:
        raise SystemExit("the gateway has closed the connection within an answer")
    return piece


def ask(gateway, path, more, times):
    """Sends the same request so many times on one connection."""
    head = f"GET {path} HTTP/1.1\nHost: 127.0.0.1:{gateway}\n{BROWSER}{more}\n".replace("\n", "\r\n").encode()
    connection = socket.create_connection(("127.0.0.1", gateway))
    for _ in range(times):
        connection.sendall(head)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += more_of(connection)
        head_of_answer, _, body = answer.partition(b"\r\n\r\n")
        assert head_of_answer.startswith(b"HTTP/1.1 200 "), head_of_answer
        length = re.search(rb"(?i)content-length: (\d+)", head_of_answer)
        while len(body) < int(length[1] if length else 0):
            body += more_of(connection)
    connection.close()


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        raise SystemExit("usage: benches/instructions/process.py PATH, that of a wxgate program")
    wxgate = Path(sys.argv[1]).resolve()
    pages = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve_pages, args=(pages,), daemon=True).start()
    ports = {"gateway": free_port(), "simulator": free_port(), "upstream": pages.getsockname()[1]}
    gateway = ports["gateway"]
    with tempfile.TemporaryDirectory() as home:
        Path(home, "wxgate.toml").write_text(CONFIG.format(**ports))
        Path(home, "secret").write_text("0123456789abcdef0123456789abcdef")
        Path(home, "secret").chmod(0o600)
        simulator = subprocess.Popen(
            [wxgate, "simulator", "--listen", f"127.0.0.1:{ports['simulator']}"], stdout=subprocess.DEVNULL
        )
        counted = Path(home, "counted")
        counting = subprocess.Popen(
            ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={counted}", "--instr-atstart=no"]
            + [wxgate, "serve", "--config", "wxgate.toml"],
            cwd=home,
            env={"WXGATE_LOG": "warn", "PATH": "/usr/bin:/bin"},
        )
        control = lambda *what: subprocess.run(
            ["callgrind_control", *what, str(counting.pid)], check=True, capture_output=True
        )
        try:
            until_open(ports["simulator"])
            until_open(gateway)
            cookie = f"Cookie: _ga=GA1.1.1; lang=zh-CN; {sign_in(gateway)}\n"
            asked = f"X-Original-URL: http://127.0.0.1:{gateway}/orders?id=1\nX-Original-Method: GET\n"
            for part, (name, path, more) in enumerate(
                [
                    ("signed in", "/orders?id=1", cookie),
                    ("login off", "/off?id=1", cookie),
                    ("asked by a front proxy", "/_wx/auth", cookie + asked),
                ],
                1,
            ):
                ask(gateway, path, more, FEW)
                control("-z")
                control("-i", "on")
                ask(gateway, path, more, MANY)
                control("-i", "off")
                control("-d")
                total = re.search(r"^totals: (\d+)$", Path(f"{counted}.{part}").read_text(), re.M)
                print(f"{name}: {int(total[1]) // MANY} instructions a request", flush=True)
        finally:
            for process in (counting, simulator):
                process.terminate()
                process.wait()


main()
