"""Where it all happens: folders, ports and cores, the upstream, and a WeChat."""

import shutil
import subprocess

from processes import Program, fill, free_ports

# About as large as the first page of a small app, with a head that something can be put into.
SMALL = (
    '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>compare</title></head>'
    "<body><h1>A small page</h1><p>It is about a quarter of a kibibyte, and nginx has it in memory. "
    "So whoever serves it does little else than pass it on.</p></body></html>"
)
LARGE_BYTES = 64 * 1024
# People that the simulator knows, for the login storm.
USERS = 1000
APPID, SECRET = "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"


class Stage:
    """Everything that runs, in a folder that is gone afterwards."""

    def __init__(self, folder, wxgate, examples, core, load_core):
        """Starts nothing yet. Contestants have the one core, all others the other."""
        self.folder, self.wxgate, self.examples = folder, wxgate, examples
        self.core, self.load_core = core, load_core
        self.programs = {}
        self.ports = {}
        self.contestants, self.secure = {}, {}
        # Workers that are not root have to read their files.
        folder.chmod(0o755)

    def port(self, name):
        """The port of this name, which is the same whenever it is asked for."""
        if name not in self.ports:
            self.ports[name] = free_ports(1)[0]
        return self.ports[name]

    def url(self, name):
        """Where somebody is asked without TLS."""
        return f"http://127.0.0.1:{self.port(name)}"

    def home(self, name):
        """The folder of this name."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return home

    def start(self, name, command, core=None, env=None):
        """Starts a program in its folder, and waits until it answers at its port. It runs once only."""
        if name not in self.programs:
            program = Program(name, command, self.home(name), self.core if core is None else core, env)
            self.programs[name] = program
            program.wait_for(self.port(name))
        return self.programs[name]

    def end(self):
        """Ends all of it."""
        for program in self.programs.values():
            program.end()

    def start_supporters(self):
        """Starts what all contestants share, on the core of the load."""
        self.make_certificate()
        pages = self.home("upstream") / "pages"
        pages.mkdir()
        (pages / "large.html").write_text(large_page())
        values = {"port": self.port("upstream"), "folder": self.home("upstream"), "small": SMALL}
        # All contestants keep their connections, a thousand each at times.
        self.nginx("upstream", fill("upstream.conf", **values), self.load_core, connections=16384)
        (self.home("simulator") / "world.toml").write_text(world())
        at = f"127.0.0.1:{self.port('simulator')}"
        command = [self.wxgate, "simulator", "--listen", at, "--world", "world.toml"]
        self.start("simulator", command, self.load_core, {"WXGATE_LOG": "warn"})

    def make_certificate(self):
        """Makes a certificate with a key of the kind that is usual now."""
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
        options = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run(command.split() + options, cwd=self.folder, check=True, capture_output=True)
        both = (self.folder / "cert.pem").read_text() + (self.folder / "key.pem").read_text()
        (self.folder / "both.pem").write_text(both)

    def nginx(self, name, servers, core=None, connections=4096):
        """Starts an nginx with these servers. Memory for that many connections is taken at once."""
        home = self.home(name)
        (home / "nginx.conf").write_text(fill("nginx.conf", folder=home, servers=servers, connections=connections))
        return self.start(name, [shutil.which("nginx"), "-e", "error.log", "-p", home, "-c", home / "nginx.conf"], core)

    def wxgate_with(self, name, site, store="memory", tls=False, public_url=None, trusted=""):
        """Starts a wxgate with one site, and without its access log, as everybody here."""
        home = self.home(name)
        (home / "secret.txt").write_text(SECRET)
        key_file = ""
        if store.startswith("redis:"):
            subprocess.run([self.wxgate, "keys", "new", "wxgate.keys"], cwd=home, check=True, capture_output=True)
            key_file = 'key_file = "wxgate.keys"'
        text = fill(
            "wxgate.toml",
            port=self.port(name),
            trusted=trusted,
            store=store,
            key_file=key_file,
            simulator=self.port("simulator"),
            public_url=public_url or self.url(name).replace("http:", "https:" if tls else "http:"),
            upstream=self.port("upstream"),
            site="\n".join(site),
        )
        if tls:
            text += f'\n[tls]\ncertificate = "{self.folder}/cert.pem"\nkey = "{self.folder}/key.pem"\n'
        (home / "wxgate.toml").write_text(text)
        env = {"WXGATE_LOG": "info,wxgate::access=off"}
        return self.start(name, [self.wxgate, "serve", "--config", "wxgate.toml"], env=env)


def large_page():
    """A page of exactly so many bytes."""
    line = "<p>A paragraph of a page that is a good deal longer than the other.</p>\n"
    end = "</body></html>"
    start = SMALL.removesuffix(end)
    return (start + line * (LARGE_BYTES // len(line)))[: LARGE_BYTES - len(end)] + end


def world():
    """Who is in the simulator's WeChat."""
    people = [("alice", "爱丽丝🌸"), *((f"user-{n}", f"用户{n}") for n in range(USERS))]
    account = (
        f'[[accounts]]\nappid = "{APPID}"\nsecret = "{SECRET}"\nname = "compare"\ncallback_hosts = ["127.0.0.1"]\n'
    )
    return account + "".join(f'[[users]]\nname = "{name}"\nnickname = "{said}"\n' for name, said in people)
