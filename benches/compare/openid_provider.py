"""An OpenID provider that knows one user and asks nothing, for mod_auth_openidc to sign in with.

Usage: openid_provider.py PORT CERTIFICATE KEY, with the client's secret in the variable OPENID_SECRET.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

SECRET = os.environ["OPENID_SECRET"]
USER = {"sub": "alice", "name": "Alice", "picture": "https://example.com/alice.png"}
# What each code was given for: client and nonce.
codes = {}


def encoded(data):
    """Base64 as JSON Web Tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(claims):
    """A JSON Web Token, signed with the client's secret (HS256)."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    text = b".".join(encoded(json.dumps(part).encode()) for part in parts)
    return (text + b"." + encoded(hmac.digest(SECRET.encode(), text, hashlib.sha256))).decode()


class Provider(BaseHTTPRequestHandler):
    """The three addresses of a provider that a login needs."""

    def do_GET(self):
        """Sends the browser back with a code, or says that there is no public key."""
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/authorize":
            code = secrets.token_urlsafe(16)
            codes[code] = (asked["client_id"], asked.get("nonce"))
            back = urlencode({"code": code, "state": asked["state"]})
            self.answer(302, {}, Location=f"{asked['redirect_uri']}?{back}")
        elif url.path == "/jwks":
            self.answer(200, {"keys": []})
        else:
            self.answer(404, {})

    def do_POST(self):
        """Takes a code once, and says who it was for."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        client, nonce = codes.pop(form["code"][0])
        if form["client_secret"] != [SECRET]:
            return self.answer(401, {"error": "invalid_client"})
        now = int(time.time())
        issuer = f"https://127.0.0.1:{self.server.server_port}"
        claims = {"iss": issuer, "aud": client, "iat": now, "exp": now + 3600, "nonce": nonce, **USER}
        token = {"token_type": "Bearer", "access_token": secrets.token_urlsafe(16), "expires_in": 3600}
        return self.answer(200, {**token, "id_token": signed(claims)})

    def answer(self, status, value, **headers):
        """Answers in JSON."""
        body = json.dumps(value).encode()
        self.send_response(status)
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing of requests that went well."""


def main(port, certificate, key):
    """Serves until it is ended."""
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
