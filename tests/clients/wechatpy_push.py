"""Sends messages to a gateway as WeChat does, signed and encrypted by wechatpy.

Usage: wechatpy_push.py URL TOKEN AES_KEY APPID OPENID
With - for the AES key the message is not encrypted. Ends with 1 where the answer is not the one that WeChat waits for.
"""

import sys
import time

import requests
from wechatpy.crypto import PrpCrypto, WeChatCrypto
from wechatpy.utils import WeChatSigner

MESSAGE = """<xml>
<ToUserName><![CDATA[gh_870882ca4b1]]></ToUserName>
<FromUserName><![CDATA[{openid}]]></FromUserName>
<CreateTime>{timestamp}</CreateTime>
<MsgType><![CDATA[event]]></MsgType>
<Event><![CDATA[user_authorization_revoke]]></Event>
<OpenID><![CDATA[{openid}]]></OpenID>
<AppID><![CDATA[{appid}]]></AppID>
<RevokeInfo><![CDATA[205]]></RevokeInfo>
</xml>"""


def main(url, token, aes_key, appid, openid):
    timestamp, nonce = str(int(time.time())), "1320562132"
    query = {
        "signature": sign(token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "openid": openid,
    }
    echo = {**query, "echostr": "5837397322116893"}
    expect(requests.get(url, params=echo).text, "5837397322116893")

    message = MESSAGE.format(openid=openid, appid=appid, timestamp=timestamp)
    if aes_key != "-":
        # What WeChatCrypto.encrypt_message makes is a reply, so only its cipher is used.
        sealed = PrpCrypto(WeChatCrypto(token, aes_key, appid).key).encrypt(message, appid).decode()
        query["encrypt_type"] = "aes"
        query["msg_signature"] = sign(token, timestamp, nonce, sealed)
        message = f"<xml><ToUserName>gh_870882ca4b1</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    answer = requests.post(url, params=query, data=message.encode(), headers={"Content-Type": "text/xml"})
    expect((answer.status_code, answer.text), (200, "success"))
    print("OK wechatpy told of", openid)


def sign(*parts):
    signer = WeChatSigner()
    signer.add_data(*parts)
    return signer.signature


def expect(actual, expected):
    if actual != expected:
        sys.exit(f"expected {expected!r}, got {actual!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
