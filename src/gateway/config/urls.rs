//! The addresses and paths of a configuration: from their text, or with what is wrong in it.

use url::Url;

use super::values::quoted;
use crate::origin::Origin;

pub(super) fn origin(text: &str) -> Result<Origin, String> {
    if text == "*" {
        return Err("\"*\" would let every site read answers that are made for one person; name the origins, such \
                    as \"https://app.example.com\"".to_owned());
    }
    Origin::parse(text).map_err(|error| error.to_string())
}

/// A host name, with a port where it is not the scheme's own: as `Host` headers are compared.
pub(super) fn host(text: &str) -> Result<String, String> {
    let refuse = || {
        format!(
            "{} is not a host name such as \"www.example.com\"; scheme and path have no place here",
            quoted(text)
        )
    };
    if text.is_empty() || text.contains(['/', '?', '#', '@', '\\']) {
        return Err(refuse());
    }
    if text.contains('*') {
        return Err(format!("{}: there are no wildcards here; name each host", quoted(text)));
    }
    let url = Url::parse(&format!("https://{text}/")).map_err(|_| refuse())?;
    let name = url.host_str().ok_or_else(refuse)?.trim_end_matches('.');
    Ok(match url.port() {
        // Which scheme's port it is cannot be told here; a browser leaves both out.
        None | Some(80) => name.to_owned(),
        Some(port) => format!("{name}:{port}"),
    })
}

/// What a `redirect_uri` may begin with.
pub(super) fn redirect_uri(text: &str) -> Result<Url, String> {
    let refuse = |why: &str| {
        format!(
            "{} is not what a redirect_uri may begin with, such as \"https://old.example.com/\": {why}",
            quoted(text)
        )
    };
    let url = Url::parse(text).map_err(|_| refuse("it is not a URL"))?;
    let bare = url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("only scheme, host, port and path belong here"));
    }
    if text.contains('*') {
        return Err(refuse("there are no wildcards: all below the path is allowed anyway"));
    }
    Origin::parse(&url.origin().ascii_serialization()).map_err(|_| {
        refuse("it has to begin with https://; plain http is for a loopback address only")
    })?;
    Ok(url)
}

pub(super) fn issuer(text: &str) -> Result<String, String> {
    let good = Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{} is not an issuer such as \"https://h5.example.com\": a URL without query and fragment",
            quoted(text)
        ))
    }
}

/// A path of a route, or of what stands in its place: plain text, in the one form that requests are brought into.
pub(super) fn plain_path(text: &str) -> Result<String, String> {
    let refuse = |why: &str| Err(format!("{} is not a path: {why}", quoted(text)));
    if !text.starts_with('/') {
        return refuse("it has to begin with /");
    }
    if text.contains(['?', '#']) {
        return refuse("a query or a #fragment has no place here; routes know the path only");
    }
    if text.contains(['\\', ';']) || text.chars().any(char::is_control) {
        return refuse("\\, ; and control characters have no place here");
    }
    if let Ok(decoded) = percent_encoding::percent_decode_str(text).decode_utf8()
        && decoded != text
    {
        return refuse(&format!("write it as plain text, {}", quoted(&decoded)));
    }
    let inner = text[1..].strip_suffix('/').unwrap_or(&text[1..]);
    if !inner.is_empty() && inner.split('/').any(|part| matches!(part, "" | "." | ".."))
        || text == "//"
    {
        return refuse("// and dot segments never reach a route");
    }
    if text == "/_wx" || text.starts_with("/_wx/") {
        return refuse("/_wx and what is below it are the gateway's own");
    }
    Ok(text.to_owned())
}

/// A prefix: without the slash at its end, which means nothing there.
pub(super) fn prefix(text: &str) -> Result<String, String> {
    exact(text).and_then(|path| rewrite(&path))
}

/// What stands in place of a prefix.
pub(super) fn rewrite(text: &str) -> Result<String, String> {
    let path = plain_path(text)?;
    Ok(match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        trimmed => trimmed.to_owned(),
    })
}

pub(super) fn exact(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err(format!(
            "{} has a \"*\", which means something in a pattern only: write pattern = {}",
            quoted(text),
            quoted(text)
        ));
    }
    plain_path(text)
}

pub(super) fn pattern(text: &str) -> Result<String, String> {
    let path = plain_path(text)?;
    let body = path.strip_suffix("/**").unwrap_or(&path);
    if body.split('/').any(|part| part != "*" && part.contains('*')) {
        return Err(format!(
            "{}: a \"*\" stands for one whole segment, and \"/**\" for anything below, at the end only",
            quoted(text)
        ));
    }
    if !path.contains('*') {
        return Err(format!(
            "{} has no \"*\"; write exact = {} or prefix = {}",
            quoted(text),
            quoted(text),
            quoted(text)
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c18_paths_of_routes_are_plain_text_in_one_form() {
        assert_eq!(prefix("/"), Ok("/".into()));
        assert_eq!(prefix("/api/"), Ok("/api".into()));
        assert_eq!(exact("/订单/"), Ok("/订单/".into()));
        assert_eq!(pattern("/users/*/orders"), Ok("/users/*/orders".into()));
        assert_eq!(pattern("/**"), Ok("/**".into()));
        for (bad, hint) in [
            ("api", "begin with /"),
            ("//", "//"),
            ("/a//b", "//"),
            ("/a/../b", "dot segments"),
            ("/a?b", "query"),
            ("/%E8%AE%A2", "\"/订\""),
            ("/a;b", ";"),
            ("/_wx/me", "own"),
            ("/a/*", "pattern = \"/a/*\""),
        ] {
            let error = prefix(bad).unwrap_err();
            assert!(error.contains(hint), "{bad}: {error}");
        }
        for bad in ["/a*", "/**/a", "/a/***", "/plain"] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
        assert!(exact("/_wxx").is_ok());
    }

    #[test]
    fn c28_hosts_are_brought_into_their_canonical_form() {
        assert_eq!(host("WWW.Example.com."), Ok("www.example.com".into()));
        assert_eq!(host("例子.example"), Ok("xn--fsqu00a.example".into()));
        assert_eq!(host("h5.example.com:8443"), Ok("h5.example.com:8443".into()));
        assert_eq!(host("h5.example.com:443"), Ok("h5.example.com".into()));
        for bad in ["https://h5.example.com", "h5.example.com/x", "*.example.com", "", "a b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
