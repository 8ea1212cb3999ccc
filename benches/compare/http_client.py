"""Just enough of an HTTP client to sign in, and to see every byte of an answer."""

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from processes import Failed

# What WeChat's browser sends with each page, and two cookies of the app's own.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/15E148 MicroMessenger/8.0.49(0x1800312d) NetType/WIFI Language/zh_CN",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "zh-CN,zh-Hans;q=0.9",
}
APP_COOKIES = "lang=zh_CN; theme=light"


@dataclass
class Answer:
    """An answer, and how many bytes it was."""

    status: int
    headers: list
    body: bytes
    size: int

    def values(self, name):
        """The values of all headers of this name."""
        return [value for said, value in self.headers if said == name.lower()]

    def text(self):
        """Its body as text."""
        return self.body.decode("utf-8", "replace")


def get(url, headers):
    """Asks for a page as the load generators do, over a connection that could be kept."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"GET {target} HTTP/1.1"]
    if "Host" not in headers:
        lines.append(f"Host: {parts.netloc}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as line:
        if parts.scheme == "https":
            # The certificate was made a moment ago, and nobody vouches for it.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            line = context.wrap_socket(line, server_hostname=parts.hostname)
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        try:
            return read(line.makefile("rb"))
        except (OSError, ValueError) as why:
            raise Failed(f"{url}: no answer that can be read: {why}") from None


def read(stream):
    """Reads one answer to its end."""
    size = 0

    def line():
        nonlocal size
        text = stream.readline()
        size += len(text)
        return text.decode("latin-1").rstrip("\r\n")

    def exactly(count):
        nonlocal size
        data = stream.read(count)
        if len(data) != count:
            raise ValueError("it breaks off")
        size += count
        return data

    status = int(line().split(" ", 2)[1])
    headers = []
    while text := line():
        name, _, value = text.partition(":")
        headers.append((name.lower(), value.strip()))
    known = dict(headers)
    body = b""
    if known.get("transfer-encoding") == "chunked":
        while count := int(line().split(";")[0], 16):
            body += exactly(count)
            line()
        line()
    elif status not in (204, 304):
        body = exactly(int(known["content-length"]))
    return Answer(status, headers, body, size)


def sign_in(url, cookie, **headers):
    """Walks a login from a page on, and answers the session's cookie of this name."""
    jar = {}
    for _ in range(10):
        sent = "; ".join(f"{name}={value}" for name, value in jar.items())
        answer = get(url, {**BROWSER, **headers, **({"Cookie": sent} if sent else {})})
        for line in answer.values("set-cookie"):
            name, _, value = line.split(";")[0].partition("=")
            jar[name.strip()] = value.strip()
        if answer.status not in (302, 303):
            break
        url = urljoin(url, answer.values("location")[0])
    if answer.status != 200 or not jar.get(cookie):
        raise Failed(f"the login ended at {url} with a {answer.status}:\n{answer.text()[:1000]}")
    return f"{cookie}={jar[cookie]}"
