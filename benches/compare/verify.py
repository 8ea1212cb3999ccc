"""Looks whether a contestant's answers are right, before anybody counts them."""

import re

from http_client import APP_COOKIES, get
from processes import Failed
from stage import SMALL, large_page

PAGES = {"/": SMALL, "/large.html": large_page()}
BLOCK = re.compile(r'<script id="wechat-user" type="application/json">.*?</script>', re.DOTALL)


def expect(right, contestant, what, answer):
    """Stops everything where an answer is wrong."""
    if not right:
        raise Failed(
            f"{contestant.name}: {what}. Its answer was a {answer.status}, {answer.headers}:\n{answer.text()[:1000]}"
        )


def size_of(contestant, path="/"):
    """The bytes of a right answer, head and all."""
    # From time to time an answer renews the session, and the one after it does not.
    get(contestant.at(path), contestant.asked())
    answer = get(contestant.at(path), contestant.asked())
    expect(answer.status == 200, contestant, f"{path} should be a page", answer)
    if contestant.gives == "verdict":
        expect(answer.values("x-wechat-openid"), contestant, "a yes should say who it is", answer)
    elif contestant.gives == "nothing":
        expect(answer.body == b"", contestant, "there should be nothing in it", answer)
    elif contestant.gives == "injected":
        blocks = BLOCK.findall(answer.text())
        expect(len(blocks) == 1 and "openid" in blocks[0], contestant, f"{path} should have the user in it", answer)
        expect(BLOCK.sub("", answer.text()) == PAGES[path], contestant, f"{path} should be the page besides", answer)
    else:
        expect(answer.text() == PAGES[path], contestant, f"{path} should be the page as it is", answer)
    return answer.size


def size_without_session(contestant):
    """The bytes of the answer to somebody who has no session, who is sent to sign in where there is a login."""
    answer = get(contestant.at(), contestant.asked(session=False))
    if contestant.tells:
        led = answer.status == 302 and "/authorize?" in answer.values("location")[0]
        expect(led, contestant, "somebody without a session should be sent to sign in", answer)
    elif contestant.gives == "verdict":
        expect(answer.status == 401, contestant, "nobody without a session should get a yes", answer)
    else:
        expect(answer.status == 200, contestant, "everybody should come in", answer)
    return answer.size


def what_the_app_sees(contestant):
    """Whether the upstream is told who it is, and not how that is known."""
    if contestant.gives in ("verdict", "nothing"):
        return
    forged = {"X-WeChat-Openid": "forged", "OIDC_CLAIM_sub": "forged"} if contestant.tells else {}
    answer = get(contestant.at("/seen"), contestant.asked() | forged)
    seen = dict(line.split("=", 1) for line in answer.text().splitlines() if "=" in line)
    told = seen.get(contestant.tells)
    if contestant.tells == "openid":
        expect(re.fullmatch(r"[\w-]{28}", told or ""), contestant, "the app should be told the openid", answer)
        expect("%" in seen.get("nickname", ""), contestant, "the app should be told the name", answer)
    elif contestant.tells == "claim":
        expect(told == "alice", contestant, "the app should be told the claim", answer)
    else:
        expect(not seen.get("openid") and not seen.get("claim"), contestant, "the app is told too much", answer)
    cookies = seen.get("cookie", "")
    if contestant.tells == "claim":
        # mod_auth_openidc passes its own on, unless it is told not to.
        cookies = cookies.removesuffix(f"; {contestant.cookie}")
    expect(cookies == APP_COOKIES, contestant, "the app should get its own cookies alone", answer)


def all_of(contestant):
    """Every check that needs no load."""
    size_of(contestant)
    size_without_session(contestant)
    what_the_app_sees(contestant)
