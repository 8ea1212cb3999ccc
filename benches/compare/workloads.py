"""What is asked of whom."""

import contestants
import load
import verify
from measuring import go_round, measure

# Who is there to be a proxy with TLS of its own.
TLS = ["nginx", "wxgate-off", "wxgate-session", "haproxy", "caddy"]
STORES = ["wxgate-session", "wxgate-embedded", "wxgate-redis"]
STEADY = ["nginx", "wxgate-session"]
# Of the requests a second that the slower of two can take.
STEADY_SHARE = 0.7


class Workloads:
    """Each workload as one method, over those contestants that take part in it."""

    def __init__(self, stage, names, rounds, seconds):
        """With the contestants started, and so many rounds of so many seconds."""
        self.stage, self.names, self.rounds, self.seconds = stage, names, rounds, seconds

    def among(self, names):
        """Those of the names that take part, in the order of all."""
        return [name for name in self.names if name in names]

    def pages(self):
        """Those who give pages, and no verdicts."""
        return [name for name in self.names if self.stage.contestants[name].gives in ("page", "injected")]

    def of_wrk(self, title, names, path="/", found=None, **how):
        """A workload of wrk's."""
        stage = self.stage
        found = found or stage.contestants
        sizes = {}
        for name in names:
            sizes[name] = verify.size_of(found[name], path)
            if how.get("one_in_ten"):
                sizes[name] = 0.9 * sizes[name] + 0.1 * verify.size_without_session(found[name])

        def one(name):
            def asking():
                return load.wrk(stage, found[name], self.seconds, path, **how)

            return measure(stage, found[name], asking, sizes[name])

        return go_round(title, self.rounds, names, one)

    def small(self):
        """The small page."""
        return self.of_wrk("small page", self.names)

    def large(self):
        """The page of 64 KiB."""
        return self.of_wrk("64 KiB page", self.pages(), "/large.html")

    def thousand(self):
        """The small page over a thousand connections at once."""
        return self.of_wrk("1000 connections", self.pages(), connections=1000)

    def tenth(self):
        """The small page, where one request in ten has no session."""
        names = [name for name in self.names if name == "nginx" or self.stage.contestants[name].tells]
        return self.of_wrk("1 in 10 without a session", names, one_in_ten=True)

    def tls(self):
        """The small page over TLS, on connections that are kept."""
        return self.of_wrk("TLS", self.among(TLS), found=self.secure())

    def h2(self):
        """The small page over HTTP/2 with TLS."""
        found, stage = self.secure(), self.stage

        def one(name):
            return measure(stage, found[name], lambda: load.h2(stage, found[name], self.seconds))

        return go_round("HTTP/2", self.rounds, self.among(TLS), one)

    def secure(self):
        """The contestants that speak TLS, where they do."""
        if not self.stage.secure:
            for name in self.among(TLS):
                secure = contestants.over_tls(self.stage, self.stage.contestants[name])
                verify.all_of(secure)
                self.stage.secure[name] = secure
        return self.stage.secure

    def logins(self):
        """A login storm."""
        stage = self.stage

        def one(name):
            contestant = stage.contestants[name]
            return measure(stage, contestant, lambda: load.logins(stage, contestant, self.seconds))

        return go_round("login storm", self.rounds, self.among(STORES), one)

    def steady(self, small):
        """The small page at a fixed rate that both can take, and that rate."""
        stage = self.stage
        rate = int(STEADY_SHARE * min(small.median(name, "rps") for name in STEADY))

        def one(name):
            contestant = stage.contestants[name]
            return measure(stage, contestant, lambda: load.steady(stage, contestant, self.seconds, rate))

        return rate, go_round("fixed rate", self.rounds, STEADY, one)
