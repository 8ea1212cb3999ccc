(() => {
  'use strict';
  const find = id => document.getElementById(id);
  const status = find('status');
  if (!status || !window.fetch) return;
  const live = JSON.parse(status.dataset.live);
  const picture = find('picture'), number = find('number'), again = find('again');
  let state = live.state, code = live.code, fresh = 0, errors = 0, polls = false;
  let source = null, timer = 0, later = 0, turn = 0;

  const show = (next, digits) => {
    state = next;
    clearTimeout(later);
    status.textContent = live.texts[state];
    if (number) {
      number.textContent = digits || '';
      number.hidden = !digits;
    }
    if (picture) {
      picture.hidden = state === 'scanned' || state === 'confirmed';
      picture.classList.toggle('over', ['expired', 'cancelled', 'wrong_number'].includes(state));
    }
    if (again) {
      again.hidden = !['expired', 'cancelled', 'wrong_number'].includes(state);
      // It may have been somebody else who has scanned it.
      if (state === 'scanned') later = setTimeout(() => { again.hidden = false; }, 30000);
    }
  };

  // Whatever is still under way belongs to an earlier turn, and is not listened to any more.
  const stop = () => {
    turn += 1;
    clearTimeout(timer);
    if (source) source.close();
    source = null;
  };

  const ask = (url, options) => fetch(url, Object.assign({ cache: 'no-store', headers: { accept: 'application/json' } }, options))
    .then(answer => answer.ok ? answer.json() : Promise.reject(answer.status));

  // True where that is all that is to be told of this code.
  const tell = news => {
    errors = 0;
    if (news.state === 'expired' || news.state === 'gone' || (news.code && news.code !== code)) {
      renew();
      return true;
    }
    show(news.state, news.number);
    if (news.state === 'waiting' || news.state === 'scanned') return false;
    stop();
    if (news.state === 'confirmed') location.replace(live.done);
    return true;
  };

  // Nobody looks at a window in the background, and one that is left open has an end.
  const renew = byHand => {
    stop();
    if (!byHand && (document.hidden || fresh >= 10)) {
      show('expired');
      return;
    }
    fresh = byHand ? 0 : fresh + 1;
    const mine = turn;
    ask(live.fresh + (byHand ? '&fresh=1' : ''), { method: 'POST' }).then(news => {
      if (mine !== turn) return;
      if (news.state === 'confirmed') {
        location.replace(live.done);
        return;
      }
      code = news.code;
      if (picture) picture.src = news.picture;
      show(news.state, news.number);
      listen();
    }).catch(() => {
      if (mine !== turn) return;
      show('offline');
      timer = setTimeout(() => renew(byHand), 5000);
    });
  };

  const poll = () => {
    const mine = turn;
    timer = setTimeout(() => ask(live.events).then(news => {
      if (mine === turn && !tell(news)) poll();
    }).catch(() => {
      if (mine !== turn) return;
      show('offline');
      poll();
    }), 2000);
  };

  const listen = () => {
    stop();
    // A window in the background would keep a connection busy that others need.
    if (document.hidden) return;
    if (polls || !window.EventSource) {
      poll();
      return;
    }
    source = new EventSource(live.events);
    source.onmessage = event => tell(JSON.parse(event.data));
    // Each answer ends, which is an error to it, and it comes back by itself. Without any news in between, something is wrong.
    source.onerror = () => {
      errors += 1;
      if (source && (source.readyState === 2 || errors > 3)) {
        polls = true;
        listen();
      }
    };
  };

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) stop();
    else if (state === 'expired') renew();
    else if (['waiting', 'scanned', 'offline'].includes(state)) listen();
  });
  // Another page may have been looked at meanwhile.
  window.addEventListener('pageshow', event => {
    if (event.persisted) listen();
  });
  if (again) {
    again.addEventListener('click', event => {
      event.preventDefault();
      renew(true);
    });
  }
  show(state, number && number.textContent);
  listen();
})();
