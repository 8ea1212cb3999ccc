//! Tries out the files of a configuration, without serving anybody.

use std::fmt::Display;

use super::{
    certificates, config::Config, inject::AssertionKeys, own_pages::OwnPages, proxy::Upstream,
};

/// What a gateway could not use that starts with this configuration: certificates, keys, templates, upstreams. Each
/// line begins with the key.
pub fn rehearse(config: &Config) -> Vec<String> {
    let failed = |key: &str, error: &dyn Display| format!("{key}: {error}");
    let mut problems = Vec::new();
    if let Some(folder) = &config.pages {
        problems.extend(OwnPages::load(folder).err().map(|error| failed("pages", &error)));
    }
    if let Err(error) = certificates(config.tls.as_ref()) {
        problems.push(failed("tls", &error));
    }
    if !config.assertion.key_files.is_empty() {
        let loaded = AssertionKeys::from_pem_files(&config.assertion.key_files);
        problems.extend(loaded.err().map(|error| failed("assertion.key_file", &error)));
    }
    for (name, site) in &config.sites {
        for route in &site.routes {
            let Some(Err(error)) = route.upstream.as_ref().map(Upstream::new) else { continue };
            problems.push(failed(&format!("site.{name}, route {}", route.path.text()), &error));
        }
    }
    problems
}
