// Signs in at the simulator with co-wechat-oauth, of which only the two hosts are changed.
//
// Usage: node co_wechat_oauth_login.mjs SIMULATOR_URL
// The library is looked for in the working directory's node_modules.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.cwd(), 'package.json'));
const OAuth = require('co-wechat-oauth');

const base = process.argv[2].replace(/\/$/, '');
const callback = 'http://127.0.0.1/callback?from=home';
const state = '8d0f1c6be2a94375';

class SimulatedOAuth extends OAuth {
  request(url, options) {
    return super.request(atSimulator(url), options);
  }
}

const oauth = new SimulatedOAuth('wx0123456789abcdef', '0123456789abcdef0123456789abcdef');
const code = await authorize(oauth.getAuthorizeURL(callback, state, 'snsapi_userinfo'));

const { data: token } = await oauth.getAccessToken(code);
assert.equal(token.scope, 'snsapi_userinfo');
assert.equal(token.expires_in, 7200);
assert.equal(token.openid.length, 28);

await assert.rejects(oauth.getAccessToken(code), { name: 'WeChatAPIError', code: 40163 });

const { data: refreshed } = await oauth.refreshAccessToken(token.refresh_token);
assert.equal(refreshed.openid, token.openid);
assert.equal(refreshed.access_token, token.access_token);

const user = await oauth.getUser({ openid: token.openid, lang: 'zh_CN' });
assert.equal(user.openid, token.openid);
assert.equal(user.nickname, '爱丽丝🌸');
assert.equal(user.unionid, token.unionid);

const alive = await oauth.verifyToken(token.openid, refreshed.access_token);
assert.equal(alive.errcode, 0);
await assert.rejects(oauth.verifyToken('o' + '0'.repeat(27), refreshed.access_token), { code: 40003 });

console.log(`OK co-wechat-oauth signed in ${user.nickname}`);

// Walks the authorize URL as alice, who allows it, and returns the code.
async function authorize(url) {
  const answer = await fetch(atSimulator(url), {
    headers: { 'X-Simulator-User': 'alice' },
    redirect: 'manual',
  });
  assert.equal(answer.status, 302);
  const location = answer.headers.get('location');
  assert.ok(location.startsWith(`${callback}&code=`), location);
  const query = new URL(location).searchParams;
  assert.equal(query.get('state'), state);
  assert.equal(query.get('code').length, 32);
  return query.get('code');
}

function atSimulator(url) {
  return url.replace(/^https:\/\/(open|api)\.weixin\.qq\.com/, base);
}
