//! A plain look for pages: readable on a phone, in light and dark.

use super::pages::{Action, PageView, Pages};

/// Pages without any pretension: readable on a phone, in light and dark.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainPages;

impl Pages for PlainPages {
    fn render(&self, view: &PageView<'_>) -> String {
        let title = escape(view.title);
        let text = join(&view.text, |paragraph| format!("<p>{}</p>", escape(paragraph)));
        let primary = view.actions.iter().take(1).map(|action| button(action, " id=\"primary\""));
        let others = view.actions.iter().skip(1).map(|action| button(action, ""));
        let actions: String = primary.chain(others).collect();
        let details = join(&view.details, |(name, value)| {
            format!("<p><small>{}: {}</small></p>", escape(name), escape(value))
        });
        format!(
            "<!doctype html>\n<html lang=\"{}\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{title}</title><style nonce=\"{}\">{STYLE}</style>\
             <main><h1>{title}</h1>{text}{actions}{details}<footer>{}</footer></main></html>\n",
            escape(view.lang),
            escape(view.nonce),
            escape(view.site),
        )
    }
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:17px/1.6 system-ui,sans-serif;margin:0}\
    main{max-width:24em;margin:4em auto;padding:0 1.5em}a,button{font:inherit}\
    button{border:0;padding:.6em 2em;border-radius:.5em;background:#07c160;color:#fff}\
    small,footer{overflow-wrap:anywhere;color:gray}";

fn button(action: &Action, id: &str) -> String {
    let (href, label) = (escape(&action.href), escape(action.label));
    if action.post {
        format!("<form method=\"post\" action=\"{href}\"><button{id}>{label}</button></form>")
    } else {
        format!("<p><a{id} href=\"{href}\">{label}</a></p>")
    }
}

fn join<T>(parts: &[T], html: impl Fn(&T) -> String) -> String {
    parts.iter().map(html).collect::<Vec<_>>().concat()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::pages::Tone;

    #[test]
    fn w11_whatever_a_page_is_told_is_inert() {
        let evil = "<script>alert(1)</script>\"'&";
        let action = Action { label: evil, href: evil.to_owned(), post: false };
        let view = PageView {
            name: "login_refused",
            lang: evil,
            tone: Tone::Info,
            title: evil,
            text: vec![evil],
            actions: vec![action.clone(), Action { post: true, ..action }],
            details: vec![(evil, evil.to_owned())],
            site: evil,
            nonce: evil,
        };
        let html = PlainPages.render(&view);
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), "{html}");
    }
}
