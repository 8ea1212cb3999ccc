//! Pages drawn from an operator's own templates.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use minijinja::{AutoEscape, Environment, Value, context};

use super::pages::GatewayPages;
use crate::login::pages::{Action, Live, PageView, Pages, Picture, Tone};

/// The template for every page that has none of its own.
const GENERAL: &str = "page.html";

/// Pages from a folder of Jinja templates: `NAME.html` for the page of that name, such as `login_refused.html`, and
/// `page.html` for all others. What a template does not say, or says wrongly, is drawn by [`GatewayPages`].
#[derive(Debug)]
pub(super) struct OwnPages {
    templates: Environment<'static>,
    names: HashSet<String>,
}

impl OwnPages {
    /// Reads all templates and draws one page with each, so that a mistake shows now and not in front of a visitor.
    pub(super) fn load(folder: &Path) -> Result<Self, PagesError> {
        let refuse = |file: &Path, reason: String| PagesError { file: file.to_owned(), reason };
        let mut templates = Environment::new();
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        let mut names = HashSet::new();
        let entries = fs::read_dir(folder).map_err(|error| refuse(folder, error.to_string()))?;
        for entry in entries {
            let path = entry.map_err(|error| refuse(folder, error.to_string()))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.extension().is_none_or(|kind| kind != "html") {
                continue;
            }
            let text =
                fs::read_to_string(&path).map_err(|error| refuse(&path, error.to_string()))?;
            let added = templates.add_template_owned(name.to_owned(), text);
            added.map_err(|error| refuse(&path, error.to_string()))?;
            names.insert(name.to_owned());
        }
        if names.is_empty() {
            return Err(refuse(folder, "there is no template such as page.html in it".to_owned()));
        }
        let own = Self { templates, names };
        for name in &own.names {
            own.draw(name, &sample()).map_err(|reason| refuse(&folder.join(name), reason))?;
        }
        Ok(own)
    }

    fn draw(&self, name: &str, view: &PageView<'_>) -> Result<String, String> {
        let pairs = |pairs: &[(&'static str, String)]| -> Vec<_> {
            let pair = |(name, value): &(&'static str, String)| context! { name => *name, value };
            pairs.iter().map(pair).collect()
        };
        let actions = |list: &[Action]| -> Vec<_> { list.iter().map(action).collect() };
        let picture =
            view.picture.as_ref().map(|Picture { src, alt }| context! { src, alt => *alt });
        let text: Vec<_> = view.text.iter().map(|text| Value::from(*text)).collect();
        let tone = match view.tone {
            Tone::Welcome => "welcome",
            Tone::Info => "info",
            Tone::Warning => "warning",
            Tone::Error => "error",
        };
        let values = context! {
            page => view.name,
            lang => view.lang,
            tone => tone,
            title => view.title,
            text => text,
            picture => picture,
            facts => pairs(&view.facts),
            choices => actions(&view.choices),
            actions => actions(&view.actions),
            live => view.live.as_ref().map(live),
            details => pairs(&view.details),
            site => view.site,
            nonce => view.nonce,
        };
        let template = self.templates.get_template(name).map_err(|error| error.to_string())?;
        template.render(values).map_err(|error| error.to_string())
    }
}

fn action(Action { label, href, post }: &Action) -> Value {
    context! { label => label.as_ref(), href, post => *post }
}

fn live(live: &Live) -> Value {
    context! {
        status => live.status,
        number => live.number.as_deref(),
        data => live.data.as_str(),
        // The one thing that is ours and no text.
        script => Value::from_safe_string(live.script.to_owned()),
        again => action(&live.again),
        without_scripts => action(&live.without_scripts),
    }
}

impl Pages for OwnPages {
    fn render(&self, view: &PageView<'_>) -> String {
        let own = format!("{}.html", view.name);
        let name = [own.as_str(), GENERAL].into_iter().find(|name| self.names.contains(*name));
        let Some(name) = name else { return GatewayPages.render(view) };
        self.draw(name, view).unwrap_or_else(|error| {
            tracing::error!(%error, template = name, "a page template failed, so the built-in page is shown");
            GatewayPages.render(view)
        })
    }
}

/// A page with one of everything.
fn sample() -> PageView<'static> {
    let action = Action { label: "Go on".into(), href: "/".to_owned(), post: false };
    PageView {
        name: "login_refused",
        lang: "en",
        tone: Tone::Info,
        title: "Title",
        text: vec!["Text"],
        picture: Some(Picture::svg("<svg/>", "A picture")),
        facts: vec![("Site", "h5.example.com".to_owned())],
        choices: vec![action.clone()],
        actions: vec![action.clone()],
        live: Some(Live {
            status: "Status",
            number: Some("47".to_owned()),
            data: "{}".to_owned(),
            script: "'use strict';",
            again: action.clone(),
            without_scripts: action,
        }),
        details: vec![("rid", "1".to_owned())],
        site: "h5.example.com",
        nonce: "nonce",
    }
}

/// A folder of templates that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub(super) struct PagesError {
    file: PathBuf,
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("wxgate-pages-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_page_has_its_own_template_or_the_general_one_or_ours() {
        let own = folder(&[("login_refused.html", "refused {{ site }}"), ("notes.txt", "{{")]);
        let pages = OwnPages::load(&own).unwrap();
        assert_eq!(pages.render(&sample()), "refused h5.example.com");
        let other = PageView { name: "login_loop", ..sample() };
        assert_eq!(pages.render(&other), GatewayPages.render(&other));
        fs::write(own.join("page.html"), "{{ page }}: {% for p in text %}{{ p }}{% endfor %}")
            .unwrap();
        let pages = OwnPages::load(&own).unwrap();
        assert_eq!(pages.render(&other), "login_loop: Text");
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn c53_what_a_template_shows_is_escaped() {
        let own = folder(&[("page.html", "<p>{{ title }}</p>")]);
        let pages = OwnPages::load(&own).unwrap();
        let page = pages.render(&PageView { title: "<script>alert(1)</script>", ..sample() });
        assert_eq!(page, "<p>&lt;script&gt;alert(1)&lt;&#x2f;script&gt;</p>");
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn w11_only_the_script_of_a_page_is_not_escaped() {
        let text = "{% if live %}{{ live.script }}|{{ live.data }}{% endif %}|{% if picture %}\
            {{ picture.src }}{% endif %}|{% for choice in choices %}{{ choice.label }}{% endfor %}";
        let own = folder(&[("page.html", text)]);
        let pages = OwnPages::load(&own).unwrap();
        let mut view = sample();
        let live = view.live.as_mut().unwrap();
        (live.script, live.data) = ("a && \"b\"", "\"<".to_owned());
        view.picture.as_mut().unwrap().src = "\"<".to_owned();
        view.choices[0].label = "\"<".into();
        let page = pages.render(&view);
        assert_eq!(page, "a && \"b\"|&quot;&lt;|&quot;&lt;|&quot;&lt;");
        let plain = PageView { picture: None, choices: Vec::new(), live: None, ..sample() };
        assert_eq!(pages.render(&plain), "||", "and what a page does not have is empty");
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn a_template_that_cannot_be_drawn_is_refused_by_name() {
        for (text, reason) in [("{{ title", "page.html"), ("{{ title | nonsense }}", "nonsense")] {
            let own = folder(&[("page.html", text)]);
            let error = OwnPages::load(&own).unwrap_err().to_string();
            assert!(error.contains("page.html") && error.contains(reason), "{error}");
            fs::remove_dir_all(own).unwrap();
        }
        let empty = folder(&[]);
        assert!(OwnPages::load(&empty).unwrap_err().to_string().contains("page.html"));
        fs::remove_dir_all(&empty).unwrap();
        assert!(OwnPages::load(&empty).is_err());
    }
}
