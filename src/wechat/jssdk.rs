//! Signatures with which the pages of an account may use the JS-SDK.
//!
//! ```
//! use wxgate::{secret::JsapiTicket, wechat::jssdk};
//!
//! let ticket = JsapiTicket::new("bxLdikRXVbTPdHSM05e5u4RbEYQn7pNQMPrfzl8lJNb1foLDa3HIwI3BRMkQmSO_5F64VFa75uURcq6Uz7QHgA");
//! let signature = jssdk::signature(&ticket, "82693e11", 1_419_835_025, "https://h5.example.com/page?id=1#top");
//! // The page hands it to `wx.config`, with `nonceStr` and `timestamp`.
//! assert_eq!(signature.len(), 40);
//! ```

use super::digest::sha1_hex;
use crate::secret::JsapiTicket;

/// The signature for a page. `noncestr` is any text, and `timestamp` is in seconds; the page has to hand both to
/// `wx.config` as they are here.
///
/// `url` is the page's own address, as the browser has it. What stands behind `#` is not signed.
pub fn signature(ticket: &JsapiTicket, noncestr: &str, timestamp: u64, url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    sha1_hex(&[
        "jsapi_ticket=",
        ticket.expose(),
        "&noncestr=",
        noncestr,
        "&timestamp=",
        &timestamp.to_string(),
        "&url=",
        url,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: &str =
        "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";
    const NONCE: &str = "Wm3WZYTPz0wzccnW";
    const TIME: u64 = 1_414_587_457;
    const URL: &str = "http://mp.weixin.qq.com?params=value";
    const SIGNATURE: &str = "0f9de62fce790f9a083d5c99e95740ceb90c27ed";

    fn sign(ticket: &str, noncestr: &str, timestamp: u64, url: &str) -> String {
        signature(&JsapiTicket::new(ticket), noncestr, timestamp, url)
    }

    #[test]
    fn published_signatures_come_out() {
        assert_eq!(sign(TICKET, NONCE, TIME, URL), SIGNATURE);
        assert_eq!(
            sign(TICKET, NONCE, TIME, "http://mp.weixin.qq.com"),
            "f4d90daf4b3bca3078ab155816175ba34c443a7b"
        );
        assert_eq!(
            sign(
                "bxLdikRXVbTPdHSM05e5u4RbEYQn7pNQMPrfzl8lJNb1foLDa3HIwI3BRMkQmSO_5F64VFa75uURcq6Uz7QHgA",
                "82693e11-b9bc-448e-892f-f5289f46cd0f",
                1_419_835_025,
                "http://omstest.vmall.com:23568/thirdparty/wechat/vcode/gotoshare?quantity=1&batchName=MATE7"
            ),
            "c6f04b64d6351d197b71bd23fb7dd2d44c0db486"
        );
    }

    #[test]
    fn the_fragment_is_not_signed_and_everything_else_is() {
        for same in ["#", "#/route?a=1", "##"] {
            assert_eq!(sign(TICKET, NONCE, TIME, &format!("{URL}{same}")), SIGNATURE, "{same}");
        }
        for other in [
            sign("other", NONCE, TIME, URL),
            sign(TICKET, "other", TIME, URL),
            sign(TICKET, NONCE, TIME + 1, URL),
            sign(TICKET, NONCE, TIME, "http://mp.weixin.qq.com/?params=value"),
            // Values are signed as they are, not encoded.
            sign(TICKET, NONCE, TIME, "http%3A%2F%2Fmp.weixin.qq.com%3Fparams%3Dvalue"),
        ] {
            assert_ne!(other, SIGNATURE);
        }
    }
}
