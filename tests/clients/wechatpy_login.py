"""Signs in with wechatpy, of which only the two hosts are changed.

Usage: wechatpy_login.py URL [APPID SECRET]
Without an appid the URL is a simulator's, and that of its own account is used; with one it is a gateway's.
"""

import html
import re
import sys
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from wechatpy.exceptions import WeChatOAuthException
from wechatpy.oauth import WeChatOAuth

APPID = "wx0123456789abcdef"
SECRET = "0123456789abcdef0123456789abcdef"
# Nobody listens there: the redirect is read, not followed.
CALLBACK = "http://127.0.0.1/callback?from=home"
STATE = "8d0f1c6be2a94375"


def main(base, appid=APPID, secret=SECRET):
    class SimulatedOAuth(WeChatOAuth):
        API_BASE_URL = base + "/"
        OAUTH_BASE_URL = base + "/connect/"

    oauth = SimulatedOAuth(appid, secret, CALLBACK, scope="snsapi_userinfo", state=STATE)
    code = authorize(oauth.authorize_url)

    token = oauth.fetch_access_token(code)
    expect(token["scope"], "snsapi_userinfo")
    expect(token["expires_in"], 7200)
    expect(len(token["openid"]), 28)
    openid = token["openid"]

    expect(refusal(lambda: oauth.fetch_access_token(code)), 40163)

    refreshed = oauth.refresh_access_token(token["refresh_token"])
    expect(refreshed["openid"], openid)
    expect(refreshed["refresh_token"], token["refresh_token"])

    user = oauth.get_user_info(openid, refreshed["access_token"])
    expect(user["openid"], openid)
    expect(user["nickname"], "爱丽丝🌸")
    expect(user["unionid"], token["unionid"])

    expect(oauth.check_access_token(openid, refreshed["access_token"]), True)
    stranger = "o" + "0" * 27
    expect(refusal(lambda: oauth.check_access_token(stranger, refreshed["access_token"])), 40003)
    print(f"OK wechatpy signed in {user['nickname']}")


def authorize(url):
    """Walks the authorize URL as alice, who presses the button of a page and allows it, and returns the code."""
    browser = requests.Session()
    browser.headers = {"X-Simulator-User": "alice", "User-Agent": "MicroMessenger/8.0.31", "Accept": "text/html"}
    while not url.startswith(CALLBACK):
        answer = browser.get(url, allow_redirects=False)
        if answer.is_redirect:
            following = answer.headers["Location"]
        else:
            expect(answer.status_code, 200)
            following = html.unescape(re.search('id="primary"[^>]* href="([^"]*)"', answer.text)[1])
        url = urljoin(url, following)
    query = parse_qs(urlsplit(url).query)
    expect(url.startswith(CALLBACK + "&code="), True)
    expect(query["state"], [STATE])
    return query["code"][0]


def refusal(call):
    """The errcode with which the call fails."""
    try:
        return call()
    except WeChatOAuthException as error:
        return error.errcode


def expect(actual, expected):
    if actual != expected:
        sys.exit(f"expected {expected!r}, got {actual!r}")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), *sys.argv[2:])
