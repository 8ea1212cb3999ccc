//! Static files: which are served, how, and which are not.

use std::{fs, os::unix::fs::symlink};

use super::*;

/// A site of a few files.
struct Site {
    folder: Folder,
    spec: UpstreamSpec,
}

impl Site {
    fn new() -> Self {
        let folder = Folder::new();
        for (name, content) in [
            ("site/index.html", "<title>home</title>"),
            ("site/app.js", "let app"),
            ("site/docs/index.html", "<title>docs</title>"),
            ("site/empty/readme.txt", "nothing is listed"),
            ("site/订单 1.txt", "order"),
            ("site/.git/config", "secret"),
            ("site/.env", "secret"),
            ("site/docs/.htpasswd", "secret"),
            ("site/.well-known/assetlinks.json", "[]"),
            ("site/.well-known/.hidden", "secret"),
            ("outside.txt", "secret"),
            ("siteless/secret.txt", "secret"),
        ] {
            folder.write(name, content);
        }
        let spec = spec(&format!("file:{}", folder.path("site").display()));
        Self { folder, spec }
    }

    async fn front(&self) -> SocketAddr {
        front(&self.spec, Rules::default()).await
    }
}

async fn ask(addr: SocketAddr, request: Request<AnyBody>) -> (Response<()>, String) {
    let answer = Client::connect(addr, Http::One).await.send(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), String::from_utf8_lossy(&body).into_owned())
}

fn with(mut request: Request<AnyBody>, lines: &[(&'static str, &str)]) -> Request<AnyBody> {
    for (name, value) in lines {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn files_and_the_pages_of_folders_are_served() {
    let addr = Site::new();
    let (site, addr) = (&addr, addr.front().await);
    for (path, body, kind) in [
        ("/", "<title>home</title>", "text/html"),
        ("/index.html", "<title>home</title>", "text/html"),
        ("/app.js?v=1", "let app", "text/javascript"),
        ("/docs/", "<title>docs</title>", "text/html"),
        ("/%E8%AE%A2%E5%8D%95%201.txt", "order", "text/plain"),
        ("/.well-known/assetlinks.json", "[]", "application/json"),
        ("/%2ewell-known/assetlinks.json", "[]", "application/json"),
    ] {
        let (answer, said) = ask(addr, get(path)).await;
        assert_eq!((answer.status(), &*said), (StatusCode::OK, body), "{path}");
        let headers = answer.headers();
        assert_eq!(headers["content-type"], kind, "{path}");
        assert_eq!(headers["content-length"], body.len().to_string(), "{path}");
        // Copies belong to one person, who is asked each time whether they may still see them.
        assert_eq!(headers["cache-control"], "private, no-cache", "{path}");

        let head = Request::head(path).body(any(Empty::new())).unwrap();
        let (answer, said) = ask(addr, head).await;
        assert_eq!((answer.status(), &*said), (StatusCode::OK, ""), "{path}");
        assert_eq!(answer.headers()["content-length"], body.len().to_string(), "{path}");
    }
    let large = "0123456789".repeat(500_000);
    site.folder.write("site/large.bin", &large);
    assert_eq!(ask(addr, get("/large.bin")).await.1, large);
}

#[tokio::test]
async fn what_is_not_there_or_is_nobody_s_business_is_a_404() {
    let site = Site::new();
    fs::create_dir(site.folder.path("site/index.html.d")).unwrap();
    let addr = site.front().await;
    let long = format!("/{}", "x".repeat(300));
    for path in [
        "/missing.js",
        "/docs/missing",
        "/empty/",
        "/app.js/",
        "/app.js/x",
        "/.git/config",
        "/%2egit/config",
        "/%2Egit/",
        "/.env",
        "/docs/.htpasswd",
        "/docs/%2ehtpasswd",
        "/.well-known/.hidden",
        "/docs/.well-known/x",
        "/.well-knownx",
        "/..%2foutside.txt",
        "/%2e%2e/outside.txt",
        "/docs/../../outside.txt",
        "/%ff",
        "/a%00b",
        &long,
    ] {
        let (answer, said) = ask(addr, get(path)).await;
        assert_eq!((answer.status(), &*said), (StatusCode::NOT_FOUND, "there is nothing here\n"));
        assert!(!format!("{answer:?}").contains("secret"), "{path}");
    }
    assert_eq!(ask(addr, get("/app.js")).await.1, "let app");
    let addr = front(&site.spec, Rules { http: Http::Two, ..Rules::default() }).await;
    for (path, status) in [("/app.js", StatusCode::OK), ("/missing.js", StatusCode::NOT_FOUND)] {
        let head = Request::head(path).body(any(Empty::new())).unwrap();
        assert_eq!(fetch(addr, Http::Two, head).await, (status, String::new()));
    }
}

#[tokio::test]
async fn links_that_lead_out_lead_nowhere() {
    let site = Site::new();
    let path = |name: &str| site.folder.path(name);
    for (to, link) in [
        ("outside.txt", "site/out.txt"),
        ("siteless", "site/out"),
        // What lies beside it and begins with the same name is outside, too.
        ("siteless/secret.txt", "site/beside.txt"),
        ("site/app.js", "site/inside.js"),
        ("site/docs", "site/manual"),
    ] {
        symlink(path(to), path(link)).unwrap();
    }
    symlink("loop.txt", path("site/loop.txt")).unwrap();
    let addr = site.front().await;
    for out in ["/out.txt", "/out/secret.txt", "/out/", "/out", "/beside.txt"] {
        let (answer, said) = ask(addr, get(out)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{out} {said}");
    }
    assert_ne!(ask(addr, get("/loop.txt")).await.0.status(), StatusCode::OK);
    assert_eq!(ask(addr, get("/inside.js")).await.1, "let app");
    assert_eq!(ask(addr, get("/manual/")).await.1, "<title>docs</title>");
}

#[tokio::test]
async fn a_directory_that_is_replaced_by_another_is_served_at_once() {
    let folder = Folder::new();
    for version in ["1", "2"] {
        folder.write(&format!("releases/{version}/index.html"), version);
    }
    symlink("releases/1", folder.path("current")).unwrap();
    let spec = spec(&format!("file:{}", folder.path("current").display()));
    let addr = front(&spec, Rules::default()).await;
    assert_eq!(ask(addr, get("/")).await.1, "1");
    symlink("releases/2", folder.path("next")).unwrap();
    fs::rename(folder.path("next"), folder.path("current")).unwrap();
    assert_eq!(ask(addr, get("/")).await.1, "2");
}

#[tokio::test]
async fn files_are_only_read() {
    let site = Site::new();
    let rules = Rules { body_limit: Some(4), ..Rules::default() };
    let addr = front(&site.spec, rules).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        let request = Request::builder().method(method).uri("/app.js").body(any(Empty::new()));
        let (answer, _) = ask(addr, request.unwrap()).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers()["allow"], "GET, HEAD");
    }
    let (answer, _) = ask(addr, post("/app.js", "5 by.")).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ask(addr, get("/app.js")).await.1, "let app");
}

#[tokio::test]
async fn folders_are_entered_where_the_browser_is() {
    let site = Site::new();
    let rewriting = |rewrite| front(&site.spec, Rules { rewrite, ..Rules::default() });
    let (plain, moved, deep) = (
        rewriting(None).await,
        rewriting(Some(("/static", "/"))).await,
        rewriting(Some(("/help", "/docs"))).await,
    );
    for (addr, path, to) in [
        (plain, "/docs", "./docs/"),
        (plain, "/docs?a=b", "./docs/?a=b"),
        (moved, "/static", "./static/"),
        (moved, "/static/docs?a", "./docs/?a"),
        (deep, "/help", "./help/"),
    ] {
        let (answer, _) = ask(addr, get(path)).await;
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT, "{path}");
        assert_eq!(answer.headers()["location"], to, "{path}");
        assert_eq!(answer.headers()["cache-control"], "private, no-cache", "{path}");
    }
    assert_eq!(ask(moved, get("/static/docs/")).await.1, "<title>docs</title>");
    assert_eq!(ask(deep, get("/help/")).await.1, "<title>docs</title>");
}

#[tokio::test]
async fn a_single_page_app_gets_its_page_where_no_file_fits() {
    let site = Site::new();
    for fallback in ["index.html", "/index.html"] {
        let fallback = Some(fallback.to_owned());
        let addr = front(&UpstreamSpec { fallback, ..site.spec.clone() }, Rules::default()).await;
        let page = |path: &str| with(get(path), &[("accept", "text/html,*/*;q=0.8")]);
        for path in ["/orders/7", "/orders/7/", "/empty/", "/x?y"] {
            let (answer, said) = ask(addr, page(path)).await;
            assert_eq!(
                (answer.status(), &*said),
                (StatusCode::OK, "<title>home</title>"),
                "{path}"
            );
        }
        assert_eq!(ask(addr, page("/app.js")).await.1, "let app");
        // Scripts do not take a page for an answer, and what is hidden stays so.
        let script = with(get("/old.js"), &[("sec-fetch-mode", "no-cors")]);
        assert_eq!(ask(addr, script).await.0.status(), StatusCode::NOT_FOUND);
        let fetch = with(get("/api/x"), &[("accept", "application/json")]);
        assert_eq!(ask(addr, fetch).await.0.status(), StatusCode::NOT_FOUND);
        assert_eq!(ask(addr, page("/.env")).await.0.status(), StatusCode::NOT_FOUND);
    }
    let addr = site.front().await;
    assert_eq!(ask(addr, get("/orders/7")).await.0.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_copy_is_asked_about_and_a_part_is_of_the_same_file() {
    let site = Site::new();
    let addr = site.front().await;
    let (answer, _) = ask(addr, get("/app.js")).await;
    let (tag, date) = (answer.headers()["etag"].clone(), answer.headers()["last-modified"].clone());
    let (tag, date) = (tag.to_str().unwrap(), date.to_str().unwrap());
    let other = "\"other\"";
    for (lines, status, body) in [
        (&[("if-none-match", tag)][..], 304, ""),
        (&[("if-none-match", other)], 200, "let app"),
        (&[("if-modified-since", date)], 304, ""),
        (&[("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")], 200, "let app"),
        (&[("if-match", other)], 412, ""),
        (&[("range", "bytes=4-")], 206, "app"),
        (&[("range", "bytes=0-2")], 206, "let"),
        (&[("range", "bytes=-1")], 206, "p"),
        (&[("range", "bytes=0-0,2-2")], 200, "let app"),
        (&[("range", "bytes=99-")], 416, ""),
        (&[("range", "bytes=4-"), ("if-range", tag)], 206, "app"),
        (&[("range", "bytes=4-"), ("if-range", other)], 200, "let app"),
        (&[("range", "bytes=4-"), ("if-range", "W/\"weak\"")], 200, "let app"),
        (&[("range", "bytes=4-"), ("if-range", date)], 200, "let app"),
        (&[("if-range", other)], 200, "let app"),
    ] {
        let (answer, said) = ask(addr, with(get("/app.js"), lines)).await;
        assert_eq!((answer.status().as_u16(), &*said), (status, body), "{lines:?}");
        assert_eq!(answer.headers()["cache-control"], "private, no-cache");
        if status == 206 {
            assert_eq!(answer.headers()["content-length"], body.len().to_string());
            assert!(answer.headers()["content-range"].to_str().unwrap().ends_with("/7"));
        }
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_cut_or_as_long_as_was_said() {
    let site = Site::new();
    let size = 16 * 1024 * 1024 + 1;
    let path = site.folder.write("site/large.bin", vec![b'.'; size]);
    for http in [Http::One, Http::Two] {
        let addr = front(&site.spec, Rules { http, ..Rules::default() }).await;
        for longer in [true, false] {
            fs::write(&path, vec![b'.'; size]).unwrap();
            let mut client = Client::connect(addr, http).await;
            let answer = client.send(get("/large.bin")).await.unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_len(if longer { size as u64 * 2 } else { 1 }).unwrap();
            let body = answer.into_body().collect().await.map(|body| body.to_bytes().len());
            if http == Http::Two && !longer {
                // We have cut it, rather than that the client has counted.
                let error = format!("{:?}", body.as_ref().unwrap_err());
                assert!(error.contains("INTERNAL_ERROR"), "{error}");
            }
            assert_eq!(body.ok(), longer.then_some(size), "{http:?}");
        }
    }
}

#[tokio::test]
async fn a_directory_has_to_be_one_and_its_fallback_a_file_in_it() {
    let site = Site::new();
    let at = |name: &str| spec(&format!("file:{}", site.folder.path(name).display()));
    for (name, why) in [("missing", "No such file"), ("outside.txt", "it is not a directory")] {
        let refused = Upstream::new(&at(name)).unwrap_err().to_string();
        assert!(refused.contains(&format!("/{name}: {why}")), "{refused}");
    }
    let falling = |name: &str| UpstreamSpec { fallback: Some(name.to_owned()), ..at("site") };
    for bad in ["missing.html", "docs", "../outside.txt", ".env", ""] {
        let refused = Upstream::new(&falling(bad)).unwrap_err().to_string();
        assert!(refused.contains(&format!("/site/{bad}: ")), "{refused}");
    }
    for good in ["index.html", "docs/index.html", "订单 1.txt"] {
        let addr = front(&falling(good), Rules::default()).await;
        let content = fs::read_to_string(site.folder.path("site").join(good)).unwrap();
        assert_eq!(ask(addr, get("/nowhere")).await.1, content);
    }
    // What belongs to another kind of upstream is not passed over in silence.
    let fallback = Some("index.html".to_owned());
    let refused = Upstream::new(&UpstreamSpec { fallback, ..spec("http://app") }).unwrap_err();
    assert!(refused.to_string().contains("http://app:80 has no use for a fallback"), "{refused}");
    let refused = Upstream::new(&UpstreamSpec { ca: Some("ca.pem".into()), ..at("site") });
    assert!(refused.unwrap_err().to_string().contains("only https has"));
}
