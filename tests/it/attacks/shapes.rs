//! Shapes of requests that could be read in two ways, and their good twins.

/// What is to become of a shape.
#[derive(Clone, Debug)]
pub enum Passes {
    /// Refused, or not even answered.
    No,
    /// As requests with these targets and bodies, and no others.
    As(Vec<(&'static str, &'static str)>),
}

pub struct Shape {
    pub name: String,
    pub bytes: String,
    pub passes: Passes,
}

/// What somebody tries to get past the gateway.
pub const HIDDEN: &str = "GET /off/hidden HTTP/1.1\r\nHost: {host}\r\n\r\n";

/// A POST with these header lines and what follows.
fn post(name: &str, headers: &str, rest: &str, passes: Passes) -> Shape {
    let bytes =
        format!("POST {{path}} HTTP/1.1\r\nHost: {{host}}\r\n{{cookie}}{headers}\r\n{rest}");
    Shape { name: name.to_owned(), bytes, passes }
}

fn head(name: &str, bytes: &str, passes: Passes) -> Shape {
    Shape { name: name.to_owned(), bytes: bytes.to_owned(), passes }
}

fn as_body(body: &'static str) -> Passes {
    Passes::As(vec![("{path}", body)])
}

fn then_hidden(body: &'static str) -> Passes {
    Passes::As(vec![("{path}", body), ("/off/hidden", "")])
}

fn lengths() -> Vec<Shape> {
    let hello = format!("hello{HIDDEN}");
    let mut shapes = vec![
        post("a length", "Content-Length: 5\r\n", "hello", as_body("hello")),
        post(
            "a length, and another request",
            "Content-Length: 5\r\n",
            &hello,
            then_hidden("hello"),
        ),
        post("a length in another case", "cOnTeNt-LeNgTh:5\r\n", "hello", as_body("hello")),
        post("a length with white space", "Content-Length: \t5 \t\r\n", "hello", as_body("hello")),
        post(
            "the same length twice",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            &hello,
            then_hidden("hello"),
        ),
        post("two lengths", "Content-Length: 5\r\nContent-Length: 50\r\n", &hello, Passes::No),
        post(
            "two lengths, the other way round",
            "Content-Length: 50\r\nContent-Length: 5\r\n",
            &hello,
            Passes::No,
        ),
    ];
    for bad in [
        "5, 5",
        "5,6",
        "5 5",
        "+5",
        "-1",
        "-0",
        "0x5",
        "5.0",
        "5e0",
        "\"5\"",
        "5;",
        "٥",
        "",
        " ",
        "5\u{a0}",
        "18446744073709551616",
        "18446744073709551615",
        "99999999999999999999999999",
    ] {
        shapes.push(post(
            &format!("a length of {bad:?}"),
            &format!("Content-Length: {bad}\r\n"),
            &hello,
            Passes::No,
        ));
    }
    shapes
}

fn codings() -> Vec<Shape> {
    let hidden = format!("0\r\n\r\n{HIDDEN}");
    let chunked = format!("5\r\nhello\r\n{hidden}");
    let te = "Transfer-Encoding: chunked\r\n";
    let mut shapes = vec![
        post("chunks", te, "5\r\nhello\r\n0\r\n\r\n", as_body("hello")),
        post("chunks, and another request", te, &chunked, then_hidden("hello")),
        post(
            "chunks in another case",
            "tRANSFER-eNCODING: CHUNKED\r\n",
            &chunked,
            then_hidden("hello"),
        ),
        // The coding counts, the length goes no further, and nothing that follows on the connection is believed.
        post("CL.TE", &format!("Content-Length: {{len+5}}\r\n{te}"), &hidden, as_body("")),
        post("CL.TE, short", &format!("Content-Length: 4\r\n{te}"), &chunked, as_body("hello")),
        post("TE.CL", &format!("{te}Content-Length: 4\r\n"), &chunked, as_body("hello")),
        post("TE.CL.TE", &format!("{te}Content-Length: 4\r\n{te}"), &chunked, as_body("hello")),
        post("twice chunked", &format!("{te}{te}"), &chunked, then_hidden("hello")),
        post(
            "identity, then chunked in another line",
            &format!("Transfer-Encoding: identity\r\n{te}"),
            &chunked,
            then_hidden("hello"),
        ),
        post(
            "chunked, then identity in another line",
            &format!("{te}Transfer-Encoding: identity\r\n"),
            &chunked,
            Passes::No,
        ),
        post(
            "chunked in a value with a tab",
            "Transfer-Encoding:\tchunked\t\r\n",
            &chunked,
            then_hidden("hello"),
        ),
    ];
    for bad in [
        "xchunked",
        "chunked, identity",
        "identity",
        "chunked;q=1",
        "\"chunked\"",
        "chunked chunked",
        "gzip",
        "chunk",
        "\u{b}chunked",
        "chunked\u{b}",
        "x",
        "",
        ",",
    ] {
        shapes.push(post(
            &format!("a coding of {bad:?}"),
            &format!("Transfer-Encoding: {bad}\r\nContent-Length: 4\r\n"),
            &chunked,
            Passes::No,
        ));
    }
    for name in [
        "Transfer-Encoding ",
        " Transfer-Encoding",
        "Transfer\u{b}-Encoding",
        "Transfer-Encoding\t",
        "Transfer-Encoding\0",
    ] {
        shapes.push(post(
            &format!("a name of {name:?}"),
            &format!("{name}: chunked\r\nContent-Length: 5\r\n"),
            &format!("hello{HIDDEN}"),
            Passes::No,
        ));
    }
    // Another header altogether, which says nothing of the body. With an underscore it does not even go on.
    shapes.push(post(
        "an underscore",
        "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n",
        &format!("hello{HIDDEN}"),
        then_hidden("hello"),
    ));
    shapes.push(post(
        "a coding in the body's own header",
        "Content-Encoding: chunked\r\nContent-Length: 5\r\n",
        &format!("hello{HIDDEN}"),
        then_hidden("hello"),
    ));
    shapes
}

fn chunk_forms() -> Vec<Shape> {
    let te = "Transfer-Encoding: chunked\r\n";
    let mut shapes = Vec::new();
    for (name, body) in [
        ("a chunk extension", "5;a=b\r\nhello\r\n0\r\n\r\n"),
        ("a quoted chunk extension", "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"),
        ("zeros before a size", "0005\r\nhello\r\n000\r\n\r\n"),
        ("large digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("trailers", "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"),
        (
            "an identity in a trailer",
            "5\r\nhello\r\n0\r\nX-WeChat-Openid: spoofed\r\nCookie: a=b\r\n\r\n",
        ),
        (
            "a length in a trailer",
            "5\r\nhello\r\n0\r\nContent-Length: 100\r\nTransfer-Encoding: x\r\nHost: evil\r\n\r\n",
        ),
    ] {
        shapes.push(post(name, te, &format!("{body}{HIDDEN}"), then_hidden("hello")));
    }
    for (name, body) in [
        ("a size of 0x5", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a size of +5", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a size of -5", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a size of 5_0", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("a size with no digits", "g\r\nhello\r\n0\r\n\r\n"),
        ("a size that overflows", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("the largest size", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("data without its end", "5\r\nhelloX0\r\n\r\n"),
        ("data that is too long", "4\r\nhello\r\n0\r\n\r\n"),
        ("a line feed alone after a size", "5\nhello\r\n0\r\n\r\n"),
        ("a line feed alone after data", "5\r\nhello\n0\r\n\r\n"),
        ("a return alone after a size", "5\rhello\r\n0\r\n\r\n"),
        ("a line feed in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("a return in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("an end without its line", "5\r\nhello\r\n0\r\nX\r\n\r\n"),
    ] {
        shapes.push(post(name, te, &format!("{body}{HIDDEN}"), Passes::No));
    }
    let huge = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(64 << 10));
    shapes.push(post("a huge chunk extension", te, &huge, Passes::No));
    let many = "5;a=b\r\nhello\r\n".repeat(4000);
    shapes.push(post("many chunk extensions", te, &many, Passes::No));
    let trailers = format!("5\r\nhello\r\n0\r\n{}\r\n", "X-A: b\r\n".repeat(5000));
    shapes.push(post("many trailers", te, &trailers, Passes::No));
    shapes
}

#[allow(clippy::too_many_lines)] // A table.
fn heads() -> Vec<Shape> {
    let rest = "Host: {host}\r\n{cookie}";
    let mut shapes = Vec::new();
    for (name, bytes) in [
        ("a folded header", format!("GET {{path}} HTTP/1.1\r\n{rest}X-A: b\r\n c\r\n\r\n")),
        (
            "a folded coding",
            format!(
                "POST {{path}} HTTP/1.1\r\n{rest}Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}"
            ),
        ),
        (
            "a header that begins with a fold",
            format!("GET {{path}} HTTP/1.1\r\n X-A: b\r\n{rest}\r\n"),
        ),
        ("a space before a colon", format!("GET {{path}} HTTP/1.1\r\n{rest}X-A : b\r\n\r\n")),
        ("a NUL in a value", format!("GET {{path}} HTTP/1.1\r\n{rest}X-A: b\0c\r\n\r\n")),
        (
            "a return in a value",
            format!("GET {{path}} HTTP/1.1\r\n{rest}X-A: b\rX-WeChat-Openid: c\r\n\r\n"),
        ),
        ("a header without a colon", format!("GET {{path}} HTTP/1.1\r\n{rest}X-A\r\n\r\n")),
        ("a header without a name", format!("GET {{path}} HTTP/1.1\r\n{rest}: b\r\n\r\n")),
        (
            "HTTP/1.0 with chunks",
            format!(
                "POST {{path}} HTTP/1.0\r\n{rest}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
            ),
        ),
        ("HTTP/0.9", "GET {path}\r\n\r\n".to_owned()),
        ("HTTP/1.2", format!("GET {{path}} HTTP/1.2\r\n{rest}\r\n")),
        ("HTTP/2.0 in a line", format!("GET {{path}} HTTP/2.0\r\n{rest}\r\n")),
        ("HTTP/9", format!("GET {{path}} HTTP/9\r\n{rest}\r\n")),
        ("another protocol", format!("GET {{path}} RTSP/1.1\r\n{rest}\r\n")),
        ("two spaces", format!("GET  {{path}} HTTP/1.1\r\n{rest}\r\n")),
        ("a tab in the line", format!("GET\t{{path}} HTTP/1.1\r\n{rest}\r\n")),
        ("a space in the target", format!("GET {{path}} x HTTP/1.1\r\n{rest}\r\n")),
        ("a line feed in the target", format!("GET {{path}}\nX HTTP/1.1\r\n{rest}\r\n")),
        ("the preface of HTTP/2 cut short", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_owned()),
        ("a method that is none", format!("G@T {{path}} HTTP/1.1\r\n{rest}\r\n")),
        (
            "a letter beyond ASCII in a name",
            format!("GET {{path}} HTTP/1.1\r\n{rest}X-Ä: b\r\n\r\n"),
        ),
    ] {
        shapes.push(head(name, &bytes, Passes::No));
    }
    for (name, bytes) in [
        ("empty lines before it", format!("\r\n\r\nGET {{path}} HTTP/1.1\r\n{rest}\r\n{HIDDEN}")),
        (
            "line feeds alone",
            format!("GET {{path}} HTTP/1.1\nHost: {{host}}\n{{cookie}}\n{HIDDEN}"),
        ),
        ("a method in small letters", format!("get {{path}} HTTP/1.1\r\n{rest}\r\n{HIDDEN}")),
        ("a GET without a body", format!("GET {{path}} HTTP/1.1\r\n{rest}\r\n{HIDDEN}")),
    ] {
        shapes.push(head(name, &bytes, then_hidden("")));
    }
    for method in ["GET", "DELETE", "OPTIONS", "TRACE"] {
        let bytes =
            format!("{method} {{path}} HTTP/1.1\r\n{rest}Content-Length: {{len}}\r\n\r\n{HIDDEN}");
        shapes.push(head(
            &format!("{method} with a request for its body"),
            &bytes,
            as_body(HIDDEN),
        ));
    }
    for named in [
        "content-length",
        "transfer-encoding",
        "host",
        "cookie",
        "x-wechat-openid",
        "x-forwarded-for",
        "close, content-length",
        "keep-alive, te, trailer",
    ] {
        let passes = if named.contains("close") { as_body("hello") } else { then_hidden("hello") };
        shapes.push(post(
            &format!("Connection: {named}"),
            &format!("Content-Length: 5\r\nConnection: {named}\r\n"),
            &format!("hello{HIDDEN}"),
            passes,
        ));
    }
    for expect in [
        "100-continue",
        "100-CONTINUE",
        "100-continue, 100-continue",
        "y 100-continue",
        "\t100-continue",
    ] {
        shapes.push(post(
            &format!("Expect: {expect:?}"),
            &format!("Expect: {expect}\r\nContent-Length: 5\r\n"),
            &format!("hello{HIDDEN}"),
            then_hidden("hello"),
        ));
    }
    shapes.push(head(
        "Expect without a body",
        &format!("GET {{path}} HTTP/1.1\r\n{rest}Expect: 100-continue\r\n\r\n{HIDDEN}"),
        then_hidden(""),
    ));
    shapes
}

/// All of them.
pub fn all() -> Vec<Shape> {
    [lengths(), codings(), chunk_forms(), heads()].into_iter().flatten().collect()
}
