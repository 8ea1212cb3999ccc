//! Every key of the configuration file: its default, an example, and what it means.

/// One key of the configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands. `*` is a name that the operator chooses.
    pub path: &'static str,
    /// What holds without it, as a value of the file or in words. `-` where it has to be given.
    pub default: &'static str,
    /// A value that is good.
    pub example: &'static str,
    /// What it means.
    pub what: &'static str,
}

impl Key {
    /// The section it stands in. Empty for the top of the file.
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Its last part, as it is written.
    pub fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }
}

/// The sections, in the order in which a person reads them, with what stands behind the brackets in the file.
pub static SECTIONS: &[(&str, &str)] = &[
    ("", "the top of the file, above every [section]"),
    ("tls", "[tls]"),
    ("limits", "[limits]"),
    ("session", "[session]"),
    ("wechat", "[wechat]"),
    ("assertion", "[assertion]"),
    ("account.*", "[account.NAME]"),
    ("site.*", "[site.NAME]"),
    ("site.*.route", "[[site.NAME.route]]"),
    ("client.*", "[client.NAME]"),
];

/// The keys of a section.
pub(super) fn of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section() == section)
}

/// The keys that may stand in a section: those of a route are defaults in its site, but for what says which paths it
/// is for.
pub(super) fn allowed(section: &str) -> impl Iterator<Item = &'static Key> {
    let defaults = of(if section == "site.*" { "site.*.route" } else { "none" });
    let defaults = defaults.filter(|key| !["prefix", "exact", "pattern"].contains(&key.name()));
    // `account` is a key of both.
    let own = |name| of(section).any(|key| key.name() == name);
    of(section).chain(defaults.filter(move |key| section != "site.*" || !own(key.name())))
}

/// The key with this name in a section.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    allowed(section).find(|key| key.name() == name)
}

const fn key(
    path: &'static str,
    default: &'static str,
    example: &'static str,
    what: &'static str,
) -> Key {
    Key { path, default, example, what }
}

/// Every key of the configuration file.
pub static KEYS: &[Key] = &[
    key(
        "listen",
        r#""127.0.0.1:8080""#,
        r#""127.0.0.1:8080""#,
        "Where browsers, or the proxy in front, connect. One address, or a list",
    ),
    key(
        "admin_listen",
        "none",
        r#""127.0.0.1:9101""#,
        "Where health, readiness and metrics are asked for, and sessions revoked. It has no password: keep it on a loopback address",
    ),
    key("cores", "all of the machine's", "2", "How many processor cores serve browsers"),
    key(
        "trusted_proxies",
        "[]",
        r#"["127.0.0.1", "10.0.0.0/8"]"#,
        "Addresses and networks of your own proxies. Only what these say about the client's address is believed",
    ),
    key(
        "underscore_headers",
        "false",
        "false",
        "Pass on headers with `_` in their name. They are dropped otherwise, as nginx does",
    ),
    key(
        "rate_limit",
        "600",
        "600",
        "Sign-in requests a minute from one client address. 0 is no limit",
    ),
    key("pages", "built-in pages", r#""pages""#, "A folder with page templates of your own"),
    key(
        "log_format",
        "text on a terminal, else json",
        r#""json""#,
        "How logs are written: `json` or `text`",
    ),
    key(
        "log_openid",
        "false",
        "false",
        "Write openids into the log. Otherwise a hash stands for them",
    ),
    key(
        "lang",
        r#""zh_CN""#,
        r#""zh_CN""#,
        "The language in which WeChat names places: `zh_CN`, `zh_TW` or `en`",
    ),
    key(
        "tls.certificate",
        "none",
        r#""cert.pem""#,
        "A PEM file with the certificate, then its chain. Goes with `key`; without both, listen behind a proxy \
         that ends TLS",
    ),
    key(
        "tls.key",
        "none",
        r#""key.pem""#,
        "A PEM file with the private key of the certificate, not encrypted",
    ),
    key(
        "limits.request_head",
        r#""15s""#,
        r#""15s""#,
        "How long a client may take to send the head of a request. `1s` to `10m`",
    ),
    key(
        "limits.keep_alive",
        r#""5m""#,
        r#""5m""#,
        "How long a client's connection may be idle. Longer than the proxy in front keeps its own. `1s` to `1h`",
    ),
    key(
        "limits.drain",
        r#""30s""#,
        r#""30s""#,
        "How long what is in flight may take when the gateway stops. At most `1h`",
    ),
    key(
        "limits.ready_wait",
        r#""5s""#,
        r#""5s""#,
        "How long the gateway says \"not ready\" before it stops accepting. At most `10m`",
    ),
    key("limits.connections", "10000", "10000", "How many connections of clients may be open"),
    key(
        "session.store",
        r#""memory""#,
        r#""file:sessions.db""#,
        "Where sessions are kept: `memory` is this process, `file:PATH` a file of this one, and a Redis is for any \
         number of gateways: `redis://HOST:PORT`, `redis+sentinel://`, `redis+cluster://`, or `rediss` for TLS",
    ),
    key(
        "session.store_password_file",
        "the variable `WXGATE_STORE_PASSWORD`",
        r#""redis.txt""#,
        "A file that holds the password of the Redis and nothing else. None where it asks for none",
    ),
    key(
        "session.key_file",
        "`PATH.keys` for `file:PATH`",
        r#""wxgate.keys""#,
        "A file with the keys that seal sessions and sign-ins that are under way, made with `wxgate keys new`: the same \
         for all gateways of a Redis. `memory` needs none",
    ),
    key(
        "session.idle",
        r#""24h""#,
        r#""24h""#,
        "A session that is not used for this long ends. `1s` to `400d`, not above `life`",
    ),
    key(
        "session.life",
        r#""7days""#,
        r#""7days""#,
        "A session ends this long after the sign-in, however much it is used. `1s` to `400d`",
    ),
    key(
        "session.refresh_profiles_after",
        r#""24h""#,
        r#""24h""#,
        "How old nickname and avatar may be before they are fetched again. `1s` to `400d`",
    ),
    key(
        "session.subject",
        r#""account""#,
        r#""unionid""#,
        "What the app is told as the subject: `account` is `appid:openid`; `unionid` is the unionid, the same for all \
         accounts of one operator, once WeChat has told it",
    ),
    key(
        "wechat.api",
        "WeChat's own five hosts",
        r#"["https://api.weixin.qq.com"]"#,
        "Where WeChat's API is, the preferred address first. For a simulator, or a relay of your own",
    ),
    key(
        "wechat.open",
        r#""https://open.weixin.qq.com""#,
        r#""https://open.weixin.qq.com""#,
        "Where people are sent to sign in. For a simulator",
    ),
    key(
        "wechat.wecom",
        r#""https://qyapi.weixin.qq.com""#,
        r#""https://qyapi.weixin.qq.com""#,
        "Where WeCom's API is. For a simulator, or a relay of your own",
    ),
    key(
        "wechat.wecom_desktop",
        r#""https://login.work.weixin.qq.com""#,
        r#""https://login.work.weixin.qq.com""#,
        "Where people of a WeCom corp are sent who are on a desktop. For a simulator",
    ),
    key(
        "assertion.key_file",
        "a new key at each start",
        r#""assertion.pem""#,
        "A PKCS#8 PEM file with the P-256 key that signs identity assertions: `openssl genpkey -algorithm EC \
         -pkeyopt ec_paramgen_curve:P-256`. Of a list, the first signs, and the others are still published",
    ),
    key(
        "assertion.issuer",
        "the site's `public_url`",
        r#""https://h5.example.com""#,
        "What the assertions name as their issuer (`iss`)",
    ),
    key(
        "account.*.appid",
        "-",
        r#""wx0123456789abcdef""#,
        "The account's appid: wx and 16 hexadecimal digits. The corpid of a WeCom corp: ww and 16",
    ),
    key(
        "account.*.secret_file",
        "the variable `WXGATE_ACCOUNT_<NAME>_SECRET`",
        r#""secret.txt""#,
        "A file that holds the app secret and nothing else",
    ),
    key(
        "account.*.kind",
        r#""official-account""#,
        r#""official-account""#,
        "`official-account` (公众号, 服务号): people sign in inside WeChat. `website` (网站应用): on any desktop, by \
         scanning a code. `mini-program` (小程序): from the mini-program itself. `wecom` (企业微信): members of a corp, \
         inside WeCom; `appid` is the corpid then, and the secret is the app's",
    ),
    key(
        "account.*.agentid",
        "none",
        "1000002",
        "The agentid of the corp's app, for names and avatars (`wecom` only)",
    ),
    key(
        "account.*.server_token",
        r#""stable""#,
        r#""stable""#,
        "Where the account's own `access_token` comes from: `stable` (`/cgi-bin/stable_token`), or `classic` \
         (`/cgi-bin/token`), of which nobody else may fetch one",
    ),
    key(
        "account.*.server_token_secret_file",
        "the variable `WXGATE_ACCOUNT_<NAME>_SERVER_TOKEN_SECRET`",
        r#""server-token-secret.txt""#,
        "A file that holds what other servers of the account prove themselves with, who take its `access_token` from the \
         admin listener: 16 characters or more",
    ),
    key(
        "account.*.follow_code_file",
        "none",
        r#""follow.png""#,
        "A picture of the account's code (公众号二维码), shown to people who have to follow it",
    ),
    key(
        "account.*.message_token_file",
        "the variable `WXGATE_ACCOUNT_<NAME>_MESSAGE_TOKEN`",
        r#""message-token.txt""#,
        "A file that holds the token of the account's message server (服务器配置, Token). With a token, WeChat's messages \
         are taken at `/_wx/messages`, and users who take their authorization back are signed out and forgotten",
    ),
    key(
        "account.*.message_aes_key_file",
        "the variable `WXGATE_ACCOUNT_<NAME>_MESSAGE_AES_KEY`",
        r#""message-aes-key.txt""#,
        "A file that holds the message server's EncodingAESKey, 43 letters and digits. With it, only encrypted messages \
         are taken (安全模式)",
    ),
    key(
        "site.*.public_url",
        "-",
        r#""https://h5.example.com""#,
        "The address that browsers know: https, or plain http on a loopback address. Register its host at WeChat",
    ),
    key(
        "site.*.hosts",
        "[]",
        r#"["www.example.com"]"#,
        "Other host names of the site. A sign-in moves to `public_url` first",
    ),
    key(
        "site.*.sign_in_at",
        "the site itself",
        r#""login""#,
        "Another site, by name, whose host is registered at WeChat: people sign in there and come back with a \
         one-time ticket",
    ),
    key(
        "site.*.cors_origins",
        "[]",
        r#"["https://app.example.com"]"#,
        "Origins whose scripts may read our 401 answers",
    ),
    key(
        "site.*.proof_files",
        "[]",
        r#"["MP_verify_0123456789abcdef.txt"]"#,
        "WeChat's files that prove whose domain this is (`MP_verify_*.txt`, `WW_verify_*.txt`), served at \
         `/NAME` without sign-in",
    ),
    key(
        "site.*.forward_auth",
        "false",
        "false",
        "Answer `/_wx/auth`, `/_wx/refusal`, `/_wx/forward-auth` and `/_wx/ext-authz/` for nginx, HAProxy, Traefik, Caddy and Envoy",
    ),
    key(
        "site.*.account",
        "the one account, but for mini-programs and, beside others, websites",
        r#""main""#,
        "The account that people sign in with, by name. Needed where there are several",
    ),
    key(
        "site.*.website",
        "none",
        r#""web""#,
        "A website account (网站应用), by name: people who are not in WeChat sign in with it. Both kinds of sign-in make \
         the same session",
    ),
    key(
        "site.*.mini_programs",
        "[]",
        r#"["mini"]"#,
        "Mini-program accounts (小程序), by name, that sign in at `/_wx/mini-program/login`. Their sessions are good on the \
         routes of the site's own account",
    ),
    key(
        "site.*.jssdk",
        "false",
        "true",
        "Answer `/_wx/jssdk?url=` with a JS-SDK signature for a page of this site",
    ),
    key(
        "site.*.route.prefix",
        "one of the three",
        r#""/api""#,
        "The path and all below it, by whole segments, as plain text. One of `prefix`, `exact` and `pattern` has \
         to be given",
    ),
    key("site.*.route.exact", "one of the three", r#""/healthz""#, "This one path, as plain text"),
    key(
        "site.*.route.pattern",
        "one of the three",
        r#""/users/*/orders""#,
        "A path in which `*` is any one segment, and `/**` at the end anything below",
    ),
    key(
        "site.*.route.methods",
        "all",
        r#"["POST"]"#,
        "The methods that the route is for. `GET` includes `HEAD`",
    ),
    key(
        "site.*.route.upstream",
        "the site's `upstream`",
        r#""http://127.0.0.1:3000""#,
        "The app: `http://HOST:PORT`, `https://HOST`, `h2c://HOST:PORT`, `unix:/PATH.sock`, or `file:/FOLDER` \
         for static files. The head of its answers may have 100 headers and 64 KiB; more is a 502. \
         May be left out with `forward_auth`",
    ),
    key(
        "site.*.route.upstream_ca",
        "the public authorities",
        r#""ca.pem""#,
        "A PEM file with the one authority that an https upstream's certificate may come from",
    ),
    key(
        "site.*.route.fallback",
        "none",
        r#""index.html""#,
        "The file of a `file:` upstream that is served where no file fits, for single-page apps",
    ),
    key(
        "site.*.route.rewrite",
        "none",
        r#""/v2""#,
        "What the upstream sees in place of the route's `prefix`",
    ),
    key(
        "site.*.route.preserve_host",
        "true",
        "true",
        "Whether the upstream sees the `Host` of the browser, or else its own",
    ),
    key(
        "site.*.route.login",
        r#""base""#,
        r#""base""#,
        "`off` nobody is looked up; `optional` whoever is signed in is told; `base` a silent sign-in; `userinfo` \
         one with consent, which tells nickname and avatar",
    ),
    key(
        "site.*.route.account",
        "the site's `account`",
        r#""main""#,
        "The account that people sign in with on this route, by name",
    ),
    key(
        "site.*.route.outside_wechat",
        "the site's, or `website` where the site has one, or else `help`",
        r#""scan""#,
        "What somebody outside WeChat gets who has to sign in: `help` a page that says to open it in WeChat; `scan` a \
         code to scan with the phone; `website` a sign-in with the site's `website`",
    ),
    key(
        "site.*.route.require",
        "nothing more",
        r#""follower""#,
        "`follower`: only people who follow the account come in. Others see a page that says how to",
    ),
    key(
        "site.*.route.inject",
        r#"["headers"]"#,
        r#"["headers"]"#,
        "How the app is told who it is: `headers` (`X-WeChat-*`), `x-auth-request` (oauth2-proxy's names), \
         `html` (a script element in the page), `assertion` (a signed header)",
    ),
    key(
        "site.*.route.fragment",
        "false",
        "false",
        "Keep the `#fragment` of the address over a sign-in, for apps that route by it",
    ),
    key(
        "site.*.route.connect_timeout",
        r#""5s""#,
        r#""5s""#,
        "How long connecting to the upstream may take. `10ms` to `5m`",
    ),
    key(
        "site.*.route.response_timeout",
        r#""30s""#,
        r#""30s""#,
        "How long the upstream may take to begin its answer. At most `24h`; `0s` is no limit",
    ),
    key(
        "site.*.route.body_limit",
        "none",
        r#""10MiB""#,
        "The largest request body: bytes, or with KiB, MiB or GiB",
    ),
    key(
        "site.*.route.allow_openids",
        "everybody",
        r#"["o6_bmjrPTlm6_2sgVt7hMZOPfL2M"]"#,
        "Only these openids, and those of `allow_unionids`, may come in",
    ),
    key(
        "site.*.route.allow_unionids",
        "everybody",
        r#"["o6_bmasdasdsad6_2sgVt7hMZOPfL"]"#,
        "Only these unionids, and those of `allow_openids`, may come in",
    ),
    key(
        "client.*.appid",
        "-",
        r#""wxabcdefabcdefabcd""#,
        "The appid that the app uses towards us: wx and 16 hexadecimal digits of your own choice",
    ),
    key(
        "client.*.secret_file",
        "the variable `WXGATE_CLIENT_<NAME>_SECRET`",
        r#""old-shop.txt""#,
        "A file that holds the secret that the app uses towards us",
    ),
    key("client.*.site", "-", r#""h5""#, "The site, by name, at which its people sign in"),
    key(
        "client.*.redirect_uris",
        "-",
        r#"["https://old.example.com/"]"#,
        "What a `redirect_uri` of the app may begin with: origin and path, by whole segments",
    ),
];
