//! A real Chromium, driven by chromedriver, for what only a browser can show.

mod demo;
mod demo_doors;
mod demo_pages;
mod https;
mod jssdk;
mod pages;
mod scan;
mod single_page;

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use thirtyfour::{
    BrowserCapabilitiesHelper, By, ChromeCapabilities, ChromiumLikeCapabilities, Cookie,
    LoggingPrefsLogLevel, WebDriver, WindowHandle, prelude::ScriptRet,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::world::{WECHAT, http_client};

const CHROMIUM: &str = "/usr/bin/chromium";
const CHROMEDRIVER: &str = "/usr/bin/chromedriver";

/// How long anything may take: machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(50);

const FLAGS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=480,900",
    // What is typed as http is requested as http.
    "--disable-features=HttpsUpgrades",
];

/// How a browser is to be. By default it says that it is WeChat's, and reads Chinese.
pub struct Options {
    user_agent: Option<String>,
    languages: String,
    runs_scripts: bool,
    args: Vec<String>,
}

impl Options {
    pub fn wechat() -> Self {
        Self {
            user_agent: Some(WECHAT.into()),
            languages: "zh-CN,zh".into(),
            runs_scripts: true,
            args: Vec::new(),
        }
    }

    /// Chromium as it is, which is not WeChat's browser.
    pub fn desktop() -> Self {
        Self { user_agent: None, ..Self::wechat() }
    }

    pub fn languages(mut self, languages: &str) -> Self {
        languages.clone_into(&mut self.languages);
        self
    }

    /// No page's script is run. Those of the test still are.
    pub fn without_scripts(mut self) -> Self {
        self.runs_scripts = false;
        self
    }

    pub fn arg(mut self, arg: String) -> Self {
        self.args.push(arg);
        self
    }

    fn capabilities(&self) -> ChromeCapabilities {
        let mut wanted = ChromeCapabilities::new();
        let user_agent = self.user_agent.iter().map(|agent| format!("--user-agent={agent}"));
        let args: Vec<_> = FLAGS
            .map(str::to_owned)
            .into_iter()
            .chain(user_agent)
            .chain(self.args.iter().cloned())
            .collect();
        let set = |wanted: &mut ChromeCapabilities| {
            wanted.set_binary(CHROMIUM)?;
            wanted.set_browser_option("args", args)?;
            wanted.set_browser_option(
                "prefs",
                json!({
                    "intl.accept_languages": self.languages,
                    "intl.selected_languages": self.languages,
                    "profile.managed_default_content_settings.javascript": if self.runs_scripts { 1 } else { 2 },
                }),
            )?;
            wanted.set_browser_log_level(LoggingPrefsLogLevel::All)
        };
        set(&mut wanted).expect("the options are plain JSON");
        wanted
    }
}

/// A browser is many processes, and waits are bounded: one at a time leaves each the machine it needs.
static TURN: Semaphore = Semaphore::const_new(1);

/// A running browser with a profile of its own. It goes away when it is dropped, and chromedriver with it.
pub struct Chromium {
    driver: WebDriver,
    chromedriver: Chromedriver,
    /// None for one that shares its neighbour's.
    _turn: Option<SemaphorePermit<'static>>,
}

impl Chromium {
    /// One that says that it is WeChat's.
    pub async fn wechat() -> Self {
        Self::start(&Options::wechat()).await
    }

    pub async fn start(options: &Options) -> Self {
        assert!(
            [CHROMIUM, CHROMEDRIVER].iter().all(|program| Path::new(program).exists()),
            "chromium and chromium-driver are missing: run tests/all.sh, it installs them"
        );
        let turn = TURN.acquire().await.expect("it is never closed");
        Self::launch(options, Some(turn)).await
    }

    /// Another browser, for as long as this one runs.
    pub async fn beside(&self, options: &Options) -> Self {
        Self::launch(options, None).await
    }

    async fn launch(options: &Options, turn: Option<SemaphorePermit<'static>>) -> Self {
        let chromedriver = Chromedriver::start();
        let url = format!("http://127.0.0.1:{}", chromedriver.port);
        let driver = WebDriver::builder(url, options.capabilities())
            .client(http_client())
            .await
            .expect("chromium starts");
        Self { driver, chromedriver, _turn: turn }
    }

    /// Ends a visit in which no page may have complained.
    pub async fn quit(self) {
        assert_eq!(self.complaints().await, [""; 0], "the console is silent");
    }

    /// What the console says of broken scripts and of violations of a content security policy. A status that is not
    /// 200 is there as well and is no complaint.
    async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("the console can be read");
        log.into_iter()
            .filter(|entry| entry.level != "INFO" && entry.source.as_deref() != Some("network"))
            .map(|entry| format!("{:?}: {}", entry.source, entry.message))
            .collect()
    }

    pub async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    pub async fn reload(&self) {
        self.driver.refresh().await.expect("the page reloads");
    }

    /// The Back key.
    pub async fn back(&self) {
        self.driver.back().await.expect("there is a way back");
    }

    /// And forward again.
    pub async fn forward(&self) {
        self.driver.forward().await.expect("there is a way forward");
    }

    /// The text of the first such element, as soon as it can be seen.
    pub async fn see(&self, css: &str) -> String {
        let text = "const found = document.querySelector(arguments[0]);
            const seen = document.readyState === 'complete' && found && found.checkVisibility();
            return seen ? found.innerText.trim() : null;";
        let text = self.until(&format!("{css} can be seen"), text, css).await;
        text.as_str().expect("a text").to_owned()
    }

    pub async fn tap(&self, css: &str) {
        self.see(css).await;
        let found = self.driver.find(By::Css(css)).await.expect("it was seen just now");
        found.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Waits until the browser has come to this address.
    pub async fn arrive(&self, url: &str) {
        // An address that says that it has no fragment is the same address.
        let there = "const here = location.href.replace(/#$/, '');
            return document.readyState === 'complete' && here === arguments[0] || null;";
        self.until(&format!("the address is {url}"), there, url).await;
    }

    /// Waits for a page with this heading.
    pub async fn until_heading(&self, heading: &str) {
        let there = "const found = document.querySelector('h1');
            return found && found.innerText.trim() === arguments[0] || null;";
        self.until(&format!("the heading is {heading}"), there, heading).await;
    }

    /// Waits for a page with this title.
    pub async fn until_title(&self, title: &str) {
        let there = "return document.title === arguments[0] || null;";
        self.until(&format!("the title is {title}"), there, title).await;
    }

    /// The address, without an empty fragment.
    pub async fn address(&self) -> String {
        let here = self.run("return location.href.replace(/#$/, '');", "").await;
        here.as_str().expect("a text").to_owned()
    }

    /// The HTTP status of the page.
    pub async fn status(&self) -> u64 {
        let status = self
            .run("return performance.getEntriesByType('navigation')[0].responseStatus;", "")
            .await;
        status.as_u64().expect("a status")
    }

    /// What is seen, as a PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.expect("a page can be drawn")
    }

    /// Tells the browser itself something, in the words of its own protocol for tools.
    pub async fn tell(&self, command: &str, params: Value) {
        let session = self.driver.session_id();
        let url = format!(
            "http://127.0.0.1:{}/session/{session}/goog/cdp/execute",
            self.chromedriver.port
        );
        let body = json!({ "cmd": command, "params": params }).to_string();
        let answer =
            http_client().post(url).body(body).send().await.expect("chromedriver is there");
        assert!(answer.status().is_success(), "{command}: {}", answer.text().await.unwrap());
    }

    /// Forgets a cookie of the page's site.
    pub async fn forget(&self, name: &str) {
        self.driver.delete_cookie(name).await.expect("cookies can be deleted");
    }

    /// What a script returns.
    pub async fn run(&self, script: &str, argument: &str) -> Value {
        let result = self.driver.execute(script, vec![json!(argument)]).await;
        result.unwrap_or_else(|error| panic!("{script}: {error}")).json().clone()
    }

    /// What a script returns, as soon as it is not null.
    async fn until(&self, what: &str, script: &str, argument: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut glances = tokio::time::interval(GLANCE);
        loop {
            glances.tick().await;
            // A script fails while one page makes room for the next.
            let result = self.driver.execute(script, vec![json!(argument)]).await;
            match result.as_ref().map(ScriptRet::json) {
                Ok(Value::Null) | Err(_) if Instant::now() < deadline => {}
                Ok(Value::Null) | Err(_) => self.give_up(what).await,
                Ok(value) => return value.clone(),
            }
        }
    }

    async fn give_up(&self, what: &str) -> ! {
        let url = self.driver.current_url().await.map(String::from);
        let page = self.run("return document.body.innerText;", "").await;
        panic!("waited in vain until {what}; the page is {url:?}: {page}");
    }

    /// The cookies that the browser keeps for the page's site.
    pub async fn cookies(&self) -> Vec<Cookie> {
        self.driver.get_all_cookies().await.expect("cookies can be read")
    }

    /// Opens these pages at once, a tab for each.
    pub async fn open_tabs(&self, urls: &[&str]) -> Vec<WindowHandle> {
        let windows = async || self.driver.windows().await.expect("windows can be listed");
        let old = windows().await;
        self.run("arguments[0].split(' ').forEach(url => open(url));", &urls.join(" ")).await;
        let tabs: Vec<_> = windows().await.into_iter().filter(|tab| !old.contains(tab)).collect();
        assert_eq!(tabs.len(), urls.len());
        tabs
    }

    pub async fn switch_to(&self, tab: &WindowHandle) {
        self.driver.switch_to_window(tab.clone()).await.expect("the tab is there");
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // What the driver itself does here needs the runtime that it blocks, so it would wait for ever.
        self.driver.clone().leak().ok();
        let closed = self.chromedriver.close(&self.driver.session_id().to_string());
        assert!(closed.is_ok() || thread::panicking(), "chromium does not close: {closed:?}");
    }
}

/// A running chromedriver with a folder for what it and the browser keep. Both go away when it is dropped.
struct Chromedriver {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Chromedriver {
    /// Starts one on a port that it picks.
    fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Not in the target directory: the path of a socket must be short.
        let folder = env::temp_dir().join(format!("wxgate-browser-{}-{count}", process::id()));
        fs::create_dir(&folder).expect("the name is free");
        // It takes a free port of one family of addresses, and ends where another program has it in the other one.
        let started = (0..5).find_map(|_| Self::run(&folder));
        let (child, port) = started.expect("chromedriver says where it listens");
        Self { child, port, folder }
    }

    /// Runs it, and waits until it says on which port. None where it ends before that.
    fn run(folder: &Path) -> Option<(Child, u16)> {
        let mut child = Command::new(CHROMEDRIVER)
            .env("TMPDIR", folder)
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver can be run");
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        if port.is_none() {
            child.kill().ok();
            child.wait().ok();
        }
        Some((child, port?))
    }

    /// Closes the browser.
    fn close(&self, session: &str) -> io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "DELETE /session/{session} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut status = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut status)?;
        if status.ends_with(b"200") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        // The browser's last processes may still be tidying up.
        let deadline = Instant::now() + PATIENCE;
        while fs::remove_dir_all(&self.folder).is_err() && Instant::now() < deadline {
            thread::sleep(GLANCE);
        }
    }
}

#[tokio::test]
async fn a_page_that_breaks_its_own_rules_is_heard() {
    let page = axum::response::Html("<script>null.length</script><img src='data:,x'>");
    let policy = ("content-security-policy", "default-src 'none'; script-src 'unsafe-inline'");
    let router = axum::Router::new().fallback(([policy], page));
    let site = crate::world::serve(router).await;

    let browser = Chromium::wechat().await;
    browser.open(&format!("http://{site}/")).await;
    let complaints = browser.complaints().await.join("\n");
    assert!(complaints.contains("TypeError"), "{complaints}");
    assert!(complaints.contains("Content Security Policy"), "{complaints}");
}
