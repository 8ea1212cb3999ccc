"""Calls what an account's own server calls, with wechatpy, of which only the hosts are changed.

Usage: wechatpy_server.py URL
The URL is a simulator's: its official account, its mini-program and its WeCom corp.
"""

import hashlib
import re
import sys
import time
from urllib.parse import parse_qs, urlsplit

import requests
from wechatpy.client import WeChatClient
from wechatpy.crypto import WeChatWxaCrypto
from wechatpy.enterprise import WeChatClient as WecomClient
from wechatpy.exceptions import InvalidAppIdException, WeChatClientException

ACCOUNT = ("wx0123456789abcdef", "0123456789abcdef0123456789abcdef")
MINI_PROGRAM = ("wx2222222222222222", "2" * 32)
CORP = ("ww3333333333333333", "3" * 43)
PAGE = "http://127.0.0.1/page?a=b"
CALLBACK = "http://127.0.0.1/callback"


class Hosts(requests.Session):
    """Finds both of WeChat's API hosts at the simulator."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def request(self, method, url, **more):
        url = re.sub(r"^https://(api|qyapi)\.weixin\.qq\.com", self.base, url)
        return super().request(method, url, **more)


def main(base):
    account(base)
    mini_program(base)
    corp(base)
    print("OK wechatpy called as an account, a mini-program and a corp")


def at(base, client):
    client._http = Hosts(base)
    return client


def account(base):
    client = at(base, WeChatClient(*ACCOUNT))
    # There is no list of followers to look somebody up in: the sign-in tells who it is.
    alice = client.user.get(openid(base, "alice"))
    expect((alice["subscribe"], alice["nickname"], alice["tagid_list"]), (1, "", []))
    expect(client.user.get(openid(base, "bob"))["subscribe"], 0)
    expect(refusal(lambda: client.user.get("o" + "0" * 27)), 40003)

    ticket = client.jsapi.get_jsapi_ticket()
    timestamp = int(time.time())
    signature = client.jsapi.get_jsapi_signature("n0nce", ticket, timestamp, PAGE)
    page = {"appid": ACCOUNT[0], "url": PAGE, "timestamp": timestamp, "nonceStr": "n0nce"}
    expect(tell(base, "js-sdk", {**page, "signature": signature}), {"errMsg": "config:ok"})

    # A token that dies early: the library fetches another, and asks again.
    first = client.access_token
    tell(base, "faults", [{"fault": "dead_token"}])
    expect(client.user.get(alice["openid"])["subscribe"], 1)
    expect(client.access_token != first, True)
    expect(refusal(at(base, WeChatClient(ACCOUNT[0], "wrong")).fetch_access_token), 40125)


def mini_program(base):
    client = at(base, WeChatClient(*MINI_PROGRAM))
    phone = {"user": "alice", "appid": MINI_PROGRAM[0]}
    code = tell(base, "mini-program", phone)["js_code"]
    session = client.wxa.code_to_session(code)
    key = session["session_key"]
    expect(refusal(lambda: client.wxa.code_to_session(code)), 40163)

    data = tell(base, "mini-program/user-data", phone)
    expect(data["signature"], hashlib.sha1((data["rawData"] + key).encode()).hexdigest())
    profile = WeChatWxaCrypto(key, data["iv"], MINI_PROGRAM[0]).decrypt_message(data["encryptedData"])
    expect(profile["nickName"], "爱丽丝🌸")
    expect((profile["openId"], profile["unionId"]), (session["openid"], session["unionid"]))

    sealed = tell(base, "mini-program/phone", phone)
    number = WeChatWxaCrypto(key, sealed["iv"], MINI_PROGRAM[0]).decrypt_message(sealed["encryptedData"])
    expect((number["countryCode"], len(number["purePhoneNumber"])), ("86", 11))

    tell(base, "faults", [{"fault": "foreign_watermark"}])
    sealed = tell(base, "mini-program/phone", phone)
    try:
        WeChatWxaCrypto(key, sealed["iv"], MINI_PROGRAM[0]).decrypt_message(sealed["encryptedData"])
        sys.exit("the watermark of another appid was believed")
    except InvalidAppIdException:
        pass


def corp(base):
    client = at(base, WecomClient(*CORP))
    member = client.oauth.get_user_info(code_of(base, CORP[0], "alice"))
    expect(member["UserId"], "AliceZhang")
    outsider = client.oauth.get_user_info(code_of(base, CORP[0], "bob"))
    expect(len(outsider["OpenId"]), 28)
    expect(refusal(lambda: client.oauth.get_user_info("nonsense")), 40029)
    expect(client.jsapi.get_ticket()["expires_in"] <= 7200, True)


def code_of(base, appid, user):
    """A code of somebody who signs in silently."""
    query = {"appid": appid, "redirect_uri": CALLBACK, "response_type": "code", "scope": "snsapi_base", "state": "s1"}
    answer = requests.get(
        f"{base}/connect/oauth2/authorize", params=query, headers={"X-Simulator-User": user}, allow_redirects=False
    )
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def openid(base, user):
    appid, secret = ACCOUNT
    query = {"appid": appid, "secret": secret, "code": code_of(base, appid, user), "grant_type": "authorization_code"}
    return requests.get(f"{base}/sns/oauth2/access_token", params=query).json()["openid"]


def tell(base, path, body):
    """Tells the simulator something, and returns what it answers."""
    answer = requests.post(f"{base}/_simulator/{path}", json=body)
    expect(answer.status_code, 200)
    return answer.json()


def refusal(call):
    """The errcode with which the call fails."""
    try:
        return call()
    except WeChatClientException as error:
        return error.errcode


def expect(actual, expected):
    if actual != expected:
        sys.exit(f"expected {expected!r}, got {actual!r}")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
