//! From the text of a configuration to the configuration, or to everything that is wrong with it.

use std::{cell::RefCell, collections::BTreeMap, ffi::OsString, fs, path::Path, sync::Arc};

use toml::de::DeTable;

use super::{
    account, checks,
    data::Config,
    problem::{Problem, Problems, in_order},
    reader::{Section, Source},
    server, site,
};

impl Config {
    /// Reads a configuration file. Secrets are looked for in files and environment variables.
    ///
    /// # Errors
    /// With everything that is wrong, in the order of the file.
    pub fn from_file(path: &Path) -> Result<Self, Problems> {
        let name: Arc<str> = path.display().to_string().into();
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("it cannot be read: {error}");
            let problem = Problem {
                file: name.clone(),
                path: String::new(),
                line: None,
                column: None,
                message,
            };
            Problems::new(vec![problem], vec![path.to_owned()])
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let read = from_text(name, &text, folder, &|variable| std::env::var_os(variable));
        match read {
            Ok(mut config) => {
                config.files.push(path.to_owned());
                Ok(config)
            }
            Err(mut problems) => {
                problems.files.push(path.to_owned());
                Err(problems)
            }
        }
    }

    /// Reads a configuration from its text. Relative paths are relative to `folder`; `env` tells environment variables.
    ///
    /// # Errors
    /// With everything that is wrong, in the order of the text, which is called `wxgate.toml` there.
    pub fn from_toml(
        text: &str,
        folder: &Path,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Problems> {
        from_text("wxgate.toml".into(), text, folder, env)
    }
}

fn from_text(
    file: Arc<str>,
    text: &str,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Config, Problems> {
    // Some editors put a mark at the beginning that is not for people.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    read(&Source {
        file,
        text,
        folder,
        env,
        from_flags: false,
        problems: RefCell::default(),
        warnings: RefCell::default(),
        files: RefCell::default(),
    })
}

pub(super) fn read(source: &Source<'_>) -> Result<Config, Problems> {
    let (table, errors) = DeTable::parse_recoverable(source.text);
    for error in &errors {
        // The message is made of what was expected, never of what stands there.
        source.refuse_syntax(error.span().map_or(0, |span| span.start), error.message());
    }
    // What could be saved of a text that is no TOML would give rise to problems that nobody has.
    let config = if errors.is_empty() { build(source, table.get_ref()) } else { None };
    let problems = source.problems.take();
    match config {
        Some(config) if problems.is_empty() => {
            let warnings = in_order(source.warnings.take());
            Ok(Config { warnings, files: source.files.take(), ..config })
        }
        _ => Err(Problems::new(problems, source.files.take())),
    }
}

/// `None` if a problem was noted.
fn build(source: &Source<'_>, table: &DeTable<'_>) -> Option<Config> {
    let top = Section::top(source, table);
    let (accounts, account_names) = account::read(&top);
    let sites = site::read(&top, &account_names);
    let clients = server::clients(&top, &sites);
    let config = server::read(&top);
    checks::across_sites(source, &config.listen, &sites, &accounts, &clients);
    let account_places: Vec<_> =
        accounts.iter().map(|(name, account)| (name.clone(), account.place.clone())).collect();
    let site_places: Vec<_> =
        sites.iter().map(|site| (site.name.clone(), site.section.place_of("public_url"))).collect();
    if !source.problems.borrow().is_empty() {
        return None;
    }
    let config = Config {
        server_token_secrets: of_accounts(&accounts, |draft| draft.server_token_secret.clone()),
        follow_codes: of_accounts(&accounts, |draft| draft.follow_code.clone()),
        accounts: of_accounts(&accounts, |draft| Some(draft.account.clone())),
        clients: clients.into_iter().map(|(name, client)| (name, client.value)).collect(),
        sites: sites
            .into_iter()
            .map(site::Draft::finish)
            .collect::<Option<BTreeMap<_, _>>>()
            .expect("what is missing was noted, and nothing was"),
        ..config
    };
    checks::warn(&top, &config, &account_places, &site_places);
    Some(config)
}

/// What some of the accounts have, by their names.
fn of_accounts<T>(
    accounts: &account::Drafts,
    what: impl Fn(&account::Draft) -> Option<T>,
) -> BTreeMap<String, T> {
    let accounts = accounts.iter();
    accounts.filter_map(|(name, draft)| Some((name.clone(), what(&draft.value)?))).collect()
}
