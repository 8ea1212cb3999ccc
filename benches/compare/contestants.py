"""Who takes part: how each is started, signed in, and asked."""

import dataclasses
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from http_client import APP_COOKIES, BROWSER, sign_in
from processes import Failed, Program, fill


@dataclass
class Contestant:
    """Somebody who is asked for pages."""

    name: str
    url: str
    programs: list
    # The session's cookie, where there is one.
    cookie: str = ""
    # What is sent beside what a browser sends.
    headers: dict = field(default_factory=dict)
    # What comes back: "page", "injected" for one with the user in it, "verdict" for a yes with the user's headers,
    # "nothing" for a yes without.
    gives: str = "page"
    # The header in which the app is told who it is, as the upstream's own page names it.
    tells: str = ""
    # The one of its programs that is asked by another, and whose share is told too.
    part: Program = None

    def at(self, path="/"):
        """Where it gives this page, or where it gives its verdict whatever the page is."""
        return self.url + path if self.gives in ("page", "injected") else self.url

    def asked(self, session=True):
        """The headers of a request, with the session or without it."""
        cookies = f"{APP_COOKIES}; {self.cookie}" if session and self.cookie else APP_COOKIES
        return {**BROWSER, "Cookie": cookies, **self.headers}


# ---- Without a login


def upstream(stage):
    """The pages without anything in front of them."""
    return Contestant("upstream", stage.url("upstream"), [stage.programs["upstream"]])


def nginx_in_front(stage, name, template, **values):
    """An nginx that passes requests on to the upstream."""
    servers = fill("app.conf", upstream=stage.port("upstream"))
    servers += fill(template, port=stage.port(name), folder=stage.home(name), **values)
    return stage.nginx(name, servers)


def nginx(stage):
    """The measure of all others: proxy_pass, and nothing else."""
    program = nginx_in_front(stage, "nginx", "nginx-plain.conf", tls_port=stage.port("nginx-tls"))
    return Contestant("nginx", stage.url("nginx"), [program])


def haproxy(stage):
    """HAProxy, which passes everything on."""
    return passing_on(stage, "haproxy", "haproxy.cfg", ["-db", "-f", "haproxy.cfg"])


def caddy(stage):
    """Caddy, which passes everything on."""
    return passing_on(stage, "caddy", "Caddyfile", ["run", "--config", "Caddyfile", "--adapter", "caddyfile"])


def passing_on(stage, name, template, arguments):
    """A proxy with a template of its own."""
    home = stage.home(name)
    values = {"port": stage.port(name), "tls_port": stage.port(f"{name}-tls"), "upstream": stage.port("upstream")}
    (home / template).write_text(fill(template, folder=home, **values))
    # Caddy writes down what it does.
    env = {name: str(home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    program = stage.start(name, [shutil.which(name), *arguments], env=env)
    return Contestant(name, stage.url(name), [program])


# ---- wxgate in front


def wxgate_off(stage):
    """wxgate where nobody is looked up."""
    program = stage.wxgate_with("wxgate-off", ['login = "off"'])
    return Contestant("wxgate-off", stage.url("wxgate-off"), [program])


def signed_in(stage, name, inject='["headers"]', store="memory", also=()):
    """A wxgate at which alice has signed in, and told her name and picture."""
    programs = [stage.wxgate_with(name, [f"inject = {inject}"], store), *also]
    return Contestant(name, stage.url(name), programs, sign_alice_in(stage.url(name)), tells="openid")


def wxgate_session(stage):
    """wxgate with a live session, told to the app in headers."""
    return signed_in(stage, "wxgate-session")


def wxgate_html(stage):
    """The same, with the user in the page too."""
    return dataclasses.replace(signed_in(stage, "wxgate-html", '["headers", "html"]'), gives="injected")


def wxgate_embedded(stage):
    """The same as wxgate-session, with the sessions in a file."""
    return signed_in(stage, "wxgate-embedded", store="file:sessions.db")


def wxgate_redis(stage):
    """The same as wxgate-session, with the sessions in a Redis, whose processor time counts too."""
    options = ["--bind", "127.0.0.1", "--port", stage.port("redis"), "--save", "", "--appendonly", "no"]
    redis = stage.start("redis", [shutil.which("redis-server"), *options])
    return signed_in(stage, "wxgate-redis", store=f"redis://127.0.0.1:{stage.port('redis')}", also=[redis])


def sign_alice_in(url, cookie="wxgate"):
    """Walks a login with name and picture, and gives the session's cookie."""
    return sign_in(f"{url}/_wx/login?scope=userinfo&to=/", cookie, **{"X-Simulator-User": "alice"})


# ---- wxgate, which is only asked


def nginx_auth_wxgate(stage):
    """nginx, which asks wxgate about each request, as `wxgate snippet nginx` has it."""
    name = "nginx-auth-wxgate"
    site = ["forward_auth = true"]
    gateway = stage.wxgate_with("wxgate-auth", site, public_url=stage.url(name), trusted='"127.0.0.1"')
    snippet = subprocess.run(
        [stage.wxgate, "snippet", "nginx", "--config", "wxgate.toml"],
        cwd=stage.home("wxgate-auth"),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for said, here in {
        f"listen {stage.port(name)};": f"listen 127.0.0.1:{stage.port(name)} backlog=4096;",
        # The app is as whoever pastes the snippet has it: here with connections that are kept.
        f"proxy_pass http://127.0.0.1:{stage.port('upstream')};": "proxy_pass http://app;",
        # There are more requests at once than a small site has.
        "keepalive 16;": "keepalive 1024; keepalive_requests 100000000;",
    }.items():
        if said not in snippet:
            raise Failed(f"`wxgate snippet nginx` prints no {said!r} any more:\n{snippet}")
        snippet = snippet.replace(said, here)
    program = stage.nginx(name, fill("app.conf", upstream=stage.port("upstream")) + snippet)
    cookie = sign_alice_in(stage.url(name))
    return Contestant(name, stage.url(name), [program, gateway], cookie, tells="openid", part=gateway)


def as_nginx_asks(stage):
    """What a question of nginx has in it beside the browser's headers."""
    return {
        "Host": "wxgate",
        "X-Original-URL": stage.url("nginx-auth-wxgate") + "/",
        "X-Original-Method": "GET",
        "X-Forwarded-For": "127.0.0.1",
    }


def wxgate_auth(stage):
    """wxgate, asked directly, as nginx asks it."""
    behind = take_in(stage, "nginx-auth-wxgate")
    url = stage.url("wxgate-auth") + "/_wx/auth"
    headers = as_nginx_asks(stage)
    return Contestant("wxgate-auth", url, [behind.part], behind.cookie, headers, gives="verdict")


def axum(stage):
    """A server that says yes to everybody, without thinking."""
    return stage.start("axum", [stage.examples / "constant", f"127.0.0.1:{stage.port('axum')}"])


def axum_constant(stage):
    """That server, asked as nginx asks wxgate, with a cookie of the same length."""
    url, cookie = stage.url("axum") + "/_wx/auth", f"wxgate={secrets.token_hex(16)}"
    return Contestant("axum-constant", url, [axum(stage)], cookie, as_nginx_asks(stage), gives="nothing")


def nginx_auth_constant(stage):
    """nginx, which asks itself about each request."""
    name = "nginx-auth-constant"
    return Contestant(name, stage.url(name), [nginx_in_front(stage, name, "nginx-auth-constant.conf")])


def nginx_auth_axum(stage):
    """nginx, which asks the server that says yes to everybody."""
    name, asked = "nginx-auth-axum", axum(stage)
    program = nginx_in_front(stage, name, "nginx-auth-axum.conf", axum=stage.port("axum"))
    return Contestant(name, stage.url(name), [program, asked], part=asked)


# ---- Another login


def mod_auth_openidc(stage):
    """Apache with mod_auth_openidc and a live session."""
    name, secret = "mod-auth-openidc", secrets.token_hex(32)
    script = Path(__file__).parent / "openid_provider.py"
    # mod_auth_openidc knows no provider without TLS.
    command = ["python3", script, stage.port("provider"), stage.folder / "cert.pem", stage.folder / "key.pem"]
    stage.start("provider", command, stage.load_core, {"OPENID_SECRET": secret})
    home = stage.home(name)
    values = {"port": stage.port(name), "provider": stage.port("provider"), "upstream": stage.port("upstream")}
    (home / "apache.conf").write_text(fill("apache.conf", folder=home, secret=secret, **values))
    program = stage.start(name, [shutil.which("apache2"), "-DFOREGROUND", "-f", home / "apache.conf"])
    cookie = sign_in(stage.url(name) + "/", "mod_auth_openidc_session")
    return Contestant(name, stage.url(name), [program], cookie, tells="claim")


# In the order in which they are measured: neighbours are compared with each other.
EVERYBODY = {
    "upstream": upstream,
    "nginx": nginx,
    "wxgate-off": wxgate_off,
    "wxgate-session": wxgate_session,
    "wxgate-embedded": wxgate_embedded,
    "wxgate-redis": wxgate_redis,
    "wxgate-html": wxgate_html,
    "nginx-auth-wxgate": nginx_auth_wxgate,
    "nginx-auth-axum": nginx_auth_axum,
    "nginx-auth-constant": nginx_auth_constant,
    "axum-constant": axum_constant,
    "wxgate-auth": wxgate_auth,
    "mod-auth-openidc": mod_auth_openidc,
    "haproxy": haproxy,
    "caddy": caddy,
}
NOT_CORE = {"nginx-auth-axum", "nginx-auth-constant", "haproxy", "caddy"}
CORE = [name for name in EVERYBODY if name not in NOT_CORE]


def take_in(stage, name):
    """Starts a contestant, unless it is there already."""
    if name not in stage.contestants:
        stage.contestants[name] = EVERYBODY[name](stage)
    return stage.contestants[name]


def over_tls(stage, plain):
    """The same contestant where it speaks TLS."""
    name = plain.name
    tls = f"{name}-tls"
    url = f"https://127.0.0.1:{stage.port(tls)}"
    if not name.startswith("wxgate"):
        return dataclasses.replace(plain, url=url)
    site = ['login = "off"'] if name == "wxgate-off" else []
    program = stage.wxgate_with(tls, site, tls=True)
    cookie = sign_alice_in(url, "__Host-wxgate") if plain.cookie else ""
    return dataclasses.replace(plain, url=url, programs=[program], cookie=cookie)
