"""What wxgate wants to be like, as figures that can be missed."""

from dataclasses import dataclass


@dataclass
class Target:
    """A value and its limit. The value is None where a part of it was not measured."""

    number: str
    what: str
    value: float
    limit: float
    at_most: bool = True


def of(small, fixed_rate):
    """All targets, from the small page and from the fixed rate."""

    def ratio(name, base, what):
        return small.ratio(name, base, what) if name in small.of and base in small.of else None

    def at_least(number, what, value, limit):
        return Target(number, what, value, limit, at_most=False)

    found = [
        Target("1", "cost of wxgate-session to nginx", ratio("wxgate-session", "nginx", "cost"), 1.10),
        at_least("1", "req/s of wxgate-session to mod-auth-openidc",
                 ratio("wxgate-session", "mod-auth-openidc", "rps"), 5),
        Target("2", "cost of wxgate-auth to axum-constant", ratio("wxgate-auth", "axum-constant", "cost"), 1.25),
        Target("2", "the same share behind nginx", ratio("nginx-auth-wxgate", "nginx-auth-axum", "part_cost"), 1.25),
        Target("3", "cost of wxgate-session to wxgate-off", ratio("wxgate-session", "wxgate-off", "cost"), 1.05),
    ]
    for name, limit in (("wxgate-redis", 0.95), ("wxgate-embedded", 0.98)):
        found.append(at_least("4", f"req/s of {name} to memory", ratio(name, "wxgate-session", "rps"), limit))
        found.append(at_least("4", f"cost of memory to {name}", ratio("wxgate-session", name, "cost"), limit))
    p99 = fixed_rate.ratio("wxgate-session", "nginx", "p99") if fixed_rate else None
    found.append(Target("6", "p99 of wxgate-session to nginx at the fixed rate", p99, 1.3))
    return found
