// Signs in with co-wechat-oauth, of which only the two hosts are changed.
//
// Usage: node co_wechat_oauth_login.mjs URL [APPID SECRET]
// Without an appid the URL is a simulator's, and that of its own account is used; with one it is a gateway's.
// The library is looked for in the working directory's node_modules.

import assert from 'node:assert/strict';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.cwd(), 'package.json'));
const OAuth = require('co-wechat-oauth');

const [url, appid = 'wx0123456789abcdef', secret = '0123456789abcdef0123456789abcdef'] = process.argv.slice(2);
const base = url.replace(/\/$/, '');
const callback = 'http://127.0.0.1/callback?from=home';
const state = '8d0f1c6be2a94375';

class SimulatedOAuth extends OAuth {
  request(url, options) {
    return super.request(atBase(url), options);
  }
}

const oauth = new SimulatedOAuth(appid, secret);
const code = await authorize(oauth.getAuthorizeURL(callback, state, 'snsapi_userinfo'));

const { data: token } = await oauth.getAccessToken(code);
assert.equal(token.scope, 'snsapi_userinfo');
assert.equal(token.expires_in, 7200);
assert.equal(token.openid.length, 28);

await assert.rejects(oauth.getAccessToken(code), { name: 'WeChatAPIError', code: 40163 });

const { data: refreshed } = await oauth.refreshAccessToken(token.refresh_token);
assert.equal(refreshed.openid, token.openid);
assert.equal(refreshed.refresh_token, token.refresh_token);

const user = await oauth.getUser({ openid: token.openid, lang: 'zh_CN' });
assert.equal(user.openid, token.openid);
assert.equal(user.nickname, '爱丽丝🌸');
assert.equal(user.unionid, token.unionid);

const alive = await oauth.verifyToken(token.openid, refreshed.access_token);
assert.equal(alive.errcode, 0);
await assert.rejects(oauth.verifyToken('o' + '0'.repeat(27), refreshed.access_token), { code: 40003 });

console.log(`OK co-wechat-oauth signed in ${user.nickname}`);

// Walks the authorize URL as alice, who presses the button of a page and allows it, and returns the code.
async function authorize(start) {
  const cookies = new Map();
  let here = atBase(start);
  while (!here.startsWith(callback)) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await get(here, { 'X-Simulator-User': 'alice', 'User-Agent': 'MicroMessenger/8.0.31', Accept: 'text/html', Cookie: cookie });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]*)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    const button = /id="primary"[^>]* href="([^"]*)"/.exec(answer.text);
    const next = answer.headers.location ?? button[1].replaceAll('&#38;', '&');
    here = new URL(next, here).href;
  }
  assert.ok(here.startsWith(`${callback}&code=`), here);
  const query = new URL(here).searchParams;
  assert.equal(query.get('state'), state);
  return query.get('code');
}

// Not fetch, which says that it is a script: those are not sent anywhere.
function get(url, headers) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => resolve({ headers: answer.headers, text }));
    });
    request.on('error', reject);
  });
}

function atBase(url) {
  return url.replace(/^https:\/\/(open|api)\.weixin\.qq\.com/, base);
}
