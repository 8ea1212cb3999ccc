// Calls what an account's own server calls, with co-wechat-api, of which only the hosts are changed.
//
// Usage: node co_wechat_api_server.mjs URL
// The URL is a simulator's: its official account and its mini-program.
// The library is looked for in the working directory's node_modules.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.cwd(), 'package.json'));
const API = require('co-wechat-api');

const base = process.argv[2].replace(/\/$/, '');
const page = 'http://127.0.0.1/page?a=b';

class SimulatedAPI extends API {
  request(url, ...more) {
    return super.request(url.replace(/^https:\/\/api\.weixin\.qq\.com/, base), ...more);
  }
}

const appid = 'wx0123456789abcdef';
const account = new SimulatedAPI(appid, '0123456789abcdef0123456789abcdef');
const first = await account.getAccessToken();
assert.ok(first.isValid());

const alice = await openid('alice');
const follower = await account.getUser({ openid: alice, lang: 'zh_CN' });
assert.equal(follower.subscribe, 1);
assert.equal(follower.openid, alice);
assert.deepEqual(follower.tagid_list, []);
const stranger = await account.getUser(await openid('bob'));
assert.equal(stranger.subscribe, 0);
await assert.rejects(account.getUser('o' + '0'.repeat(27)), { name: 'WeChatAPIError', code: 40003 });

const { appId, timestamp, nonceStr, signature } = await account.getJsConfig({ url: page, jsApiList: [] });
const config = { appid: appId, url: page, timestamp, nonceStr, signature };
assert.deepEqual(await tell('js-sdk', config), { errMsg: 'config:ok' });

// A token that dies early: the library fetches another, and asks again.
await tell('faults', [{ fault: 'dead_token' }]);
assert.equal((await account.getUser(alice)).subscribe, 1);
assert.notEqual((await account.getToken()).accessToken, first.accessToken);
await assert.rejects(new SimulatedAPI(appid, 'wrong').getAccessToken(), { code: 40125 });

const mini = new SimulatedAPI('wx2222222222222222', '2'.repeat(32));
const { js_code: code } = await tell('mini-program', { user: 'alice', appid: mini.appid });
const session = await mini.code2Session(code);
assert.equal(session.openid.length, 28);
assert.equal(Buffer.from(session.session_key, 'base64').length, 16);
assert.equal(session.unionid, follower.unionid);
await assert.rejects(mini.code2Session(code), { code: 40163 });

console.log('OK co-wechat-api called as an account and as a mini-program');

async function tell(what, body) {
  const answer = await fetch(`${base}/_simulator/${what}`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  return answer.json();
}

// There is no list of followers to look somebody up in: the sign-in tells who it is.
async function openid(user) {
  const authorize = new URLSearchParams([
    ['appid', appid],
    ['redirect_uri', 'http://127.0.0.1/callback'],
    ['response_type', 'code'],
    ['scope', 'snsapi_base'],
    ['state', 's1'],
  ]);
  const headers = { 'X-Simulator-User': user };
  const back = await fetch(`${base}/connect/oauth2/authorize?${authorize}`, { headers, redirect: 'manual' });
  const code = new URL(back.headers.get('location')).searchParams.get('code');
  const exchange = new URLSearchParams({ appid, secret: account.appsecret, code, grant_type: 'authorization_code' });
  return (await (await fetch(`${base}/sns/oauth2/access_token?${exchange}`)).json()).openid;
}
