// wxgate.user, wxgate.login(scope), wxgate.fetch(...): for single-page apps.
(() => {
  const [script, account = ""] = document.currentScript.src.split("?"), at = script.slice(0, -5);
  let leaving;
  // However many ask, the page is left once.
  const leave = to => leaving = leaving || new Promise(() => {
    location.href = at + to + "&to=" + encodeURIComponent(location.href.slice(location.origin.length));
  });
  // The Back key brings the page back as it was left.
  addEventListener("pageshow", shown => shown.persisted && (leaving = null));
  window.wxgate = {
    user: fetch(at + "me?" + account, { credentials: "include" }).then(answer => answer.ok ? answer.json() : null),
    login: (scope = "base") => leave("login?" + account + "&scope=" + scope),
    fetch: (...asked) => fetch(...asked).then(answer => answer.status == 401
      ? answer.clone().json().then(told => leave(/\/_wx\/(login\?.*)&to=/.exec(told.login_url)[1])).catch(() => answer)
      : answer)
  };
})();
