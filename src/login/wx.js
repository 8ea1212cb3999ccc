// wxgate.user, wxgate.login(scope), wxgate.fetch(...), wxgate.jssdk(): for single-page apps.
(() => {
  const [script, account = ""] = document.currentScript.src.split("?"), at = script.slice(0, -5);
  const first = location.href;
  let leaving;
  // However many ask, the page is left once.
  const leave = to => leaving = leaving || new Promise(() => {
    location.href = at + to + "&to=" + encodeURIComponent(location.href.slice(location.origin.length));
  });
  // The Back key brings the page back as it was left.
  addEventListener("pageshow", shown => shown.persisted && (leaving = null));
  window.wxgate = {
    user: fetch(at + "me?" + account, { credentials: "include" }).then(got => got.ok ? got.json() : null),
    login: (scope = "base") => leave("login?" + account + "&scope=" + scope),
    // WeChat checks a signature against the first address on iOS, and against the present one elsewhere.
    jssdk: (page = /iP(hone|ad|od)/.test(navigator.userAgent) ? first : location.href) =>
      fetch(at + "jssdk?" + account + "&url=" + encodeURIComponent(page.split("#")[0]))
        .then(got => got.ok ? got.json() : Promise.reject(got)),
    fetch: (...asked) => fetch(...asked).then(got => got.status == 401
      ? got.clone().json().then(told => leave(/\/_wx\/(login\?.*)&to=/.exec(told.login_url)[1])).catch(() => got)
      : got)
  };
})();
