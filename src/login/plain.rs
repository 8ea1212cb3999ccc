//! A plain look for pages: readable on a phone, in light and dark.

use super::pages::{Action, Live, PageView, Pages, Picture};

/// Pages without any pretension: readable on a phone, in light and dark.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainPages;

impl Pages for PlainPages {
    fn render(&self, view: &PageView<'_>) -> String {
        let title = escape(view.title);
        let text = join(&view.text, |paragraph| format!("<p>{}</p>", escape(paragraph)));
        let picture = view.picture.as_ref().map(picture).unwrap_or_default();
        let facts = join(&view.facts, |(name, value)| {
            format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value))
        });
        let facts = if facts.is_empty() { facts } else { format!("<dl>{facts}</dl>") };
        let choices = join(&view.choices, |choice| button(choice, ""));
        let choices = if choices.is_empty() { choices } else { format!("<nav>{choices}</nav>") };
        let primary = if view.choices.is_empty() { " id=\"primary\"" } else { "" };
        let first = view.actions.iter().take(1).map(|action| button(action, primary));
        let others = view.actions.iter().skip(1).map(|action| button(action, ""));
        let actions: String = first.chain(others).collect();
        let (look_again, live) = match &view.live {
            Some(part) => (look_again(part), live(part, view.nonce)),
            None => Default::default(),
        };
        let details = join(&view.details, |(name, value)| {
            format!("<p><small>{}: {}</small></p>", escape(name), escape(value))
        });
        format!(
            "<!doctype html>\n<html lang=\"{}\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{title}</title><style nonce=\"{}\">{STYLE}</style>{look_again}\
             <main><h1>{title}</h1>{text}{picture}{facts}{live}{choices}{actions}{details}\
             <footer>{}</footer></main></html>\n",
            escape(view.lang),
            escape(view.nonce),
            escape(view.site),
        )
    }
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:17px/1.6 system-ui,sans-serif;margin:0}\
    main{max-width:24em;margin:4em auto;padding:0 1.5em}a,button{font:inherit}\
    button{border:0;padding:.6em 2em;border-radius:.5em;background:#07c160;color:#fff}\
    img{display:block;width:15em;height:15em;background:#fff}nav{display:flex;gap:1em}\
    dt,small,footer{color:gray}dd{margin:0 0 .5em}#number{font-size:3em;margin:0}\
    dd,small,footer{overflow-wrap:anywhere}";

fn picture(picture: &Picture) -> String {
    format!("<img id=\"picture\" src=\"{}\" alt=\"{}\">", escape(&picture.src), escape(picture.alt))
}

/// For browsers that run no scripts.
fn look_again(live: &Live) -> String {
    let href = escape(&live.without_scripts.href);
    format!("<noscript><meta http-equiv=\"refresh\" content=\"5;url={href}\"></noscript>")
}

fn live(live: &Live, nonce: &str) -> String {
    let hidden = if live.number.is_none() { " hidden" } else { "" };
    let number = escape(live.number.as_deref().unwrap_or_default());
    let again = &live.again;
    format!(
        "<p id=\"number\"{hidden}>{number}</p><p id=\"status\" role=\"status\" data-live=\"{}\">{}</p>\
         <p><a id=\"again\" hidden href=\"{}\">{}</a></p><noscript>{}</noscript>\
         <script nonce=\"{}\">{}</script>",
        escape(&live.data),
        escape(live.status),
        escape(&again.href),
        escape(&again.label),
        button(&live.without_scripts, ""),
        escape(nonce),
        live.script,
    )
}

fn button(action: &Action, id: &str) -> String {
    let (href, label) = (escape(&action.href), escape(&action.label));
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

    fn full(evil: &'static str) -> PageView<'static> {
        let action = Action { label: evil.into(), href: evil.to_owned(), post: false };
        let posted = Action { post: true, ..action.clone() };
        PageView {
            name: "login_refused",
            lang: evil,
            tone: Tone::Info,
            title: evil,
            text: vec![evil],
            picture: Some(Picture { src: evil.to_owned(), alt: evil }),
            facts: vec![(evil, evil.to_owned())],
            choices: vec![action.clone(), posted.clone()],
            actions: vec![action.clone(), posted],
            live: Some(Live {
                status: evil,
                number: Some(evil.to_owned()),
                data: evil.to_owned(),
                script: "0",
                again: action.clone(),
                without_scripts: action,
            }),
            details: vec![(evil, evil.to_owned())],
            site: evil,
            nonce: evil,
        }
    }

    #[test]
    fn w11_whatever_a_page_is_told_is_inert() {
        let html = PlainPages.render(&full("<script>alert(1)</script>\"'&"));
        assert_eq!(html.matches("<script").count(), 1, "the page's own: {html}");
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), "{html}");
    }
    #[test]
    fn a_part_that_a_page_has_nothing_for_is_not_there() {
        let with = full("x");
        let html = PlainPages.render(&with);
        assert!(html.contains("<dl><dt>") && html.contains("<nav><"), "{html}");
        assert!(html.contains("<form method=\"post\"") && html.contains("<p><a href="), "{html}");
        assert!(html.contains("<meta http-equiv=\"refresh\""), "{html}");
        assert!(html.contains("<p id=\"number\">x</p>"), "{html}");
        assert!(!html.contains("id=\"primary\""), "none of several choices: {html}");
        let live = with.live.clone().map(|live| Live { number: None, ..live });
        let without = PageView { facts: vec![], choices: vec![], live, ..with };
        let html = PlainPages.render(&without);
        assert!(!html.contains("<dl>") && !html.contains("<nav>"), "{html}");
        assert!(html.contains("<p id=\"number\" hidden></p>"), "{html}");
        assert_eq!(html.matches("id=\"primary\"").count(), 1, "{html}");
    }
}
