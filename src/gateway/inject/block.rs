//! The block that tells a page's scripts who the user is.

use std::fmt::Write;

use serde::Serialize;

/// The element with `value` in it, ready for [`inject`](super::inject).
///
/// It is pure ASCII, so that it is right in a page of any ASCII-compatible encoding, and no text in it can end the
/// element or begin another: `<`, `>` and `&` are escaped as JSON allows.
///
/// # Panics
/// When `value` cannot be JSON, such as a map with keys that are no strings.
pub(crate) fn block(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("what pages are told has string keys only");
    let mut block = String::with_capacity(json.len() + 64);
    block.push_str(r#"<script id="wechat-user" type="application/json">"#);
    // These characters stand inside of JSON's strings only, where an escape means the same.
    for c in json.chars() {
        if c.is_ascii() && !matches!(c, '<' | '>' | '&') {
            block.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(block, "\\u{unit:04x}").expect("a string takes everything");
        }
    }
    block.push_str("</script>");
    block
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn inside(block: &str) -> &str {
        block
            .strip_prefix(r#"<script id="wechat-user" type="application/json">"#)
            .and_then(|rest| rest.strip_suffix("</script>"))
            .unwrap()
    }

    #[test]
    fn w11_no_nickname_can_end_the_element() {
        for nickname in [
            "</script><script>alert(1)</script>",
            "</SCRIPT >",
            "<!--<script>",
            "]]>",
            "&lt;/script&gt;",
            "\u{2028}\u{2029}",
            "a\"b\\c\n\u{0}\u{7f}",
            "小明😀",
            "alice",
        ] {
            let user = json!({ "nickname": nickname });
            let block = block(&user);
            let inside = inside(&block);
            assert!(inside.is_ascii(), "{inside}");
            assert!(!inside.contains(['<', '>', '&']), "{inside}");
            assert_eq!(serde_json::from_str::<Value>(inside).unwrap(), user, "{inside}");
        }
    }

    #[test]
    fn a_page_in_another_encoding_reads_the_same_name() {
        assert_eq!(
            inside(&block(&json!({ "nickname": "明😀" }))),
            r#"{"nickname":"\u660e\ud83d\ude00"}"#
        );
    }
}
