// SPDX-License-Identifier: Apache-2.0
// Tokens that lie, by every door that takes one: 401 and the guide's words, nothing fetched,
// nothing let in. Then expiry of a token whose holder stays connected.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { RawSocket, RawWs, upgradeText } from './lib/rawsocket.mjs';
import { serve, serveAll, sleep } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-keys-'));
const pair = (type, options) => crypto.generateKeyPairSync(type, options);
const RSA = pair('rsa', { modulusLength: 2048 });
const EC = pair('ec', { namedCurve: 'P-256' });
const ED = pair('ed25519');
const MINE = pair('rsa', { modulusLength: 2048 }); // nobody trusts this one
const SECRET = 'a secret of the tests that is long enough, 0123456789';
const file = (name, key) => {
  const at = path.join(folder, name);
  fs.writeFileSync(at, typeof key === 'string' ? key : key.export({ type: 'spki', format: 'pem' }));
  return at;
};
const jwks = JSON.stringify({ keys: [{ ...ED.publicKey.export({ format: 'jwk' }), kid: 'ed-1', use: 'sig' }] });

const server = serveAll({ before, after }, {
  config: {
    auth: {
      anonymous: false, jwt_secret: SECRET, audiences: ['app'], issuers: ['https://issuer.example'],
      keys: [{ pem_file: file('rsa.pem', RSA.publicKey) }, { pem_file: file('ec.pem', EC.publicKey), kid: 'ec-1' },
        { jwks_file: file('jwks.json', jwks) }],
    },
    log: { level: 'debug' },
  },
});
after(() => fs.rmSync(folder, { recursive: true, force: true }));

// ---- making tokens, wrong on purpose ----------------------------------------------------------------
const b64 = (bytes) => Buffer.from(bytes).toString('base64url');
const part = (value) => b64(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value));
const now = () => Math.floor(Date.now() / 1000);
const CLAIMS = () => ({ sub: 'u1', role: 'member', aud: 'app', iss: 'https://issuer.example', exp: now() + 3600 });
const hmac = (secret, hash = 'sha256') => (text) => crypto.createHmac(hash, secret).update(text).digest();
const rsa = (key = RSA, options = {}) => (text) => crypto.sign('sha256', Buffer.from(text), { key: key.privateKey, ...options });
const ecdsa = (dsaEncoding = 'ieee-p1363') => (text) => crypto.sign('sha256', Buffer.from(text), { key: EC.privateKey, dsaEncoding });
const eddsa = (key = ED) => (text) => crypto.sign(null, Buffer.from(text), key.privateKey);
// header and claims: objects, or JSON as text where an object could not say it
const token = (header, claims, sign = hmac(SECRET)) => {
  const text = `${part(header)}.${part(claims)}`;
  return `${text}.${b64(sign(text))}`;
};
const hs = (claims, header = {}) => token({ alg: 'HS256', typ: 'JWT', ...header }, { ...CLAIMS(), ...claims });
const raw = (claims) => token({ alg: 'HS256' }, claims); // claims as text
const rawExp = (value) => raw(JSON.stringify(CLAIMS()).replace(/"exp":\d+/, `"exp":${value}`));
const without = (name) => {
  const claims = CLAIMS();
  delete claims[name];
  return token({ alg: 'HS256' }, claims);
};
const valid = () => hs({});
const mangle = (fn) => fn(...valid().split('.'));
const unpadded = (sig) => { // the last character's unused bits set: another text for the same bytes
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return sig.slice(0, -1) + letters[letters.indexOf(sig.at(-1)) | 1];
};
const flipped = (sig, at) => {
  const bytes = Buffer.from(sig, 'base64url');
  bytes[at] ^= 1;
  return b64(bytes);
};
const pemOf = (type) => RSA.publicKey.export({ type, format: 'pem' });
const derOf = () => RSA.publicKey.export({ type: 'spki', format: 'der' });

const GOOD = {
  'HS256': () => valid(),
  'HS256 without typ': () => token({ alg: 'HS256' }, CLAIMS()),
  'RS256': () => token({ alg: 'RS256' }, CLAIMS(), rsa()),
  'ES256 with its kid': () => token({ alg: 'ES256', kid: 'ec-1' }, CLAIMS(), ecdsa()),
  'EdDSA of the key set': () => token({ alg: 'EdDSA', kid: 'ed-1' }, CLAIMS(), eddsa()),
  'aud in a list': () => hs({ aud: ['other', 'app'] }),
  'nbf now': () => hs({ nbf: now() }),
  'a fraction of a second': () => hs({ exp: now() + 100.5 }),
  'claims nobody knows': () => hs({ nested: { a: [1, null] }, __proto__x: 1 }),
  'a number for sub': () => hs({ sub: 42 }),
};

const jkuHits = [];
let jku; // a listener that must never be asked
before(async () => {
  jku = net.createServer((s) => { jkuHits.push(1); s.destroy(); });
  await new Promise((resolve) => jku.listen(0, '127.0.0.1', resolve));
});
after(() => jku.close());
const jkuUrl = () => `http://127.0.0.1:${jku.address().port}/jwks.json`;
const selfSigned = (header) => token({ alg: 'RS256', ...header }, CLAIMS(), rsa(MINE));

const BAD = {
  ...Object.fromEntries(['none', 'None', 'NONE', 'nOnE', 'none ', ' none', '', 'null', 'noneHS256'].flatMap((alg) => [
    [`alg ${JSON.stringify(alg)}, no signature`, () => token({ alg }, CLAIMS(), () => '')],
    [`alg ${JSON.stringify(alg)}, our signature`, () => token({ alg }, CLAIMS())],
  ])),
  ...Object.fromEntries([null, 0, true, [], ['HS256'], { HS256: 1 }].map((alg) =>
    [`alg ${JSON.stringify(alg)}`, () => token({ alg }, CLAIMS())])),
  'alg missing': () => token({ typ: 'JWT' }, CLAIMS()),
  'alg twice': () => token('{"alg":"none","alg":"HS256"}', CLAIMS()),
  'alg in small letters': () => token({ alg: 'hs256' }, CLAIMS()),
  'alg HS384 with the secret of HS256': () => token({ alg: 'HS384' }, CLAIMS(), hmac(SECRET, 'sha384')),
  'alg HS512 with the secret of HS256': () => token({ alg: 'HS512' }, CLAIMS(), hmac(SECRET, 'sha512')),
  'alg RS256 signed with the secret': () => token({ alg: 'RS256' }, CLAIMS()),
  'alg HS256 signed with the public key (SPKI)': () => token({ alg: 'HS256' }, CLAIMS(), hmac(pemOf('spki'))),
  'alg HS256 signed with the public key (PKCS 1)': () => token({ alg: 'HS256' }, CLAIMS(), hmac(pemOf('pkcs1'))),
  'alg HS256 signed with the public key, no last line end': () => token({ alg: 'HS256' }, CLAIMS(), hmac(pemOf('spki').trimEnd())),
  'alg HS256 signed with the public key (DER)': () => token({ alg: 'HS256' }, CLAIMS(), hmac(derOf())),
  'alg PS256 with the key of RS256': () =>
    token({ alg: 'PS256' }, CLAIMS(), rsa(RSA, { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })),
  'alg RS256, a PSS signature': () => token({ alg: 'RS256' }, CLAIMS(), rsa(RSA, { padding: crypto.constants.RSA_PKCS1_PSS_PADDING })),
  'alg RS512 with the key of RS256': () => token({ alg: 'RS512' }, CLAIMS(), (t) => crypto.sign('sha512', Buffer.from(t), RSA.privateKey)),
  'alg ES256 with r and s of zero': () => token({ alg: 'ES256', kid: 'ec-1' }, CLAIMS(), () => Buffer.alloc(64)),
  'alg ES256, signature as DER': () => token({ alg: 'ES256', kid: 'ec-1' }, CLAIMS(), ecdsa('der')),
  'alg ES256, signature too short': () => token({ alg: 'ES256', kid: 'ec-1' }, CLAIMS(), (t) => ecdsa()(t).subarray(0, 63)),
  'alg EdDSA by another key': () => token({ alg: 'EdDSA', kid: 'ed-1' }, CLAIMS(), eddsa(pair('ed25519'))),
  'alg EdDSA with a signature of zeros': () => token({ alg: 'EdDSA', kid: 'ed-1' }, CLAIMS(), () => Buffer.alloc(64)),
  'alg RS256 by another key': () => selfSigned({}),
  'its own key inside (jwk)': () => selfSigned({ jwk: MINE.publicKey.export({ format: 'jwk' }) }),
  'the address of its own keys (jku)': () => selfSigned({ jku: jkuUrl(), kid: 'mine' }),
  'the address of its own certificate (x5u)': () => selfSigned({ x5u: jkuUrl() }),
  'its own certificate inside (x5c)': () => selfSigned({ x5c: [MINE.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')] }),
  'kid of a file without content': () => token({ alg: 'HS256', kid: '/dev/null' }, CLAIMS(), hmac('')),
  'kid that walks up': () => token({ alg: 'HS256', kid: '../../../../../../dev/null' }, CLAIMS(), hmac('')),
  'kid with SQL': () => token({ alg: 'HS256', kid: "x' UNION SELECT 'secret" }, CLAIMS(), hmac('secret')),
  'kid with NUL': () => token({ alg: 'ES256', kid: 'ec-1\0x' }, CLAIMS(), () => Buffer.alloc(64)),
  'kid of another key': () => token({ alg: 'ES256', kid: 'ed-1' }, CLAIMS(), ecdsa()),
  'kid that is a list': () => token({ alg: 'HS256', kid: ['ec-1'] }, CLAIMS()),
  'kid that is a number': () => token({ alg: 'HS256', kid: 1 }, CLAIMS()),
  'kid of 1000 bytes': () => token({ alg: 'HS256', kid: 'k'.repeat(1000) }, CLAIMS()),
  'crit': () => hs({}, { crit: ['exp'], exp: now() + 3600 }),
  'crit of nothing': () => hs({}, { crit: [] }),
  'b64: false': () => hs({}, { b64: false, crit: ['b64'] }),
  'b64: true': () => hs({}, { b64: true }),
  'zip': () => hs({}, { zip: 'DEF' }),
  'enc': () => hs({}, { enc: 'A256GCM' }),
  'typ that is no text': () => hs({}, { typ: 1 }),
  'exp missing': () => without('exp'),
  ...Object.fromEntries(['null', '"9999999999"', '[9999999999]', '{}', 'true', 'NaN', 'Infinity', '1e400', '-1e400', '99999999999,"exp":99999999999', '0x7fffffff', '1e']
    .map((v) => [`exp ${v}`, () => rawExp(v)])),
  'nbf in an hour': () => hs({ nbf: now() + 3600 }),
  'nbf as text': () => hs({ nbf: '0' }),
  'aud of another': () => hs({ aud: 'other' }),
  'aud missing': () => without('aud'),
  'aud empty': () => hs({ aud: [] }),
  'aud that only begins so': () => hs({ aud: 'app2' }),
  'aud in a list in a list': () => hs({ aud: [['app']] }),
  'iss of another': () => hs({ iss: 'https://issuer.example.evil' }),
  'iss missing': () => without('iss'),
  'sub twice': () => raw(JSON.stringify(CLAIMS()).replace('{', '{"sub":"admin",')),
  'sub that is an object': () => hs({ sub: { id: 1 } }),
  'sub of 10 KB': () => hs({ sub: 'x'.repeat(10000) }),
  'role that is a list': () => hs({ role: ['service_role'] }),
  'claims that are a list': () => raw('[]'),
  'claims that are text': () => raw('"x"'),
  'claims that are nothing': () => raw(''),
  'claims with something behind': () => raw(`${JSON.stringify(CLAIMS())}{}`),
  'claims with a comment': () => raw(JSON.stringify(CLAIMS()).replace('{', '{/**/')),
  'claims that are not UTF-8': () => raw(Buffer.concat([Buffer.from(JSON.stringify(CLAIMS()).slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')])),
  'claims 5000 deep': () => raw(JSON.stringify(CLAIMS()).replace('{', `{"x":${'['.repeat(5000)}${']'.repeat(5000)},`)),
  'a header with a byte order mark': () => token('\ufeff{"alg":"HS256"}', CLAIMS()),
  'a header that is a list': () => token('["HS256"]', CLAIMS()),
  'a header that is nothing': () => token('', CLAIMS()),
  'no signature': () => mangle((h, c) => `${h}.${c}.`),
  'the signature cut': () => mangle((h, c, s) => `${h}.${c}.${s.slice(0, -4)}`),
  'the signature longer': () => mangle((h, c, s) => `${h}.${c}.${s}AAAA`),
  'the signature wrong at its first byte': () => mangle((h, c, s) => `${h}.${c}.${flipped(s, 0)}`),
  'the signature wrong at its last byte': () => mangle((h, c, s) => `${h}.${c}.${flipped(s, 31)}`),
  'the signature in other letters for the same bytes': () => mangle((h, c, s) => `${h}.${c}.${unpadded(s)}`),
  'the signature with padding': () => mangle((h, c, s) => `${h}.${c}.${s}=`),
  'the signature in plain base64': () => mangle((h, c, s) => `${h}.${c}.+/${s.slice(2)}`),
  'the signature of another token': () => mangle((h, c) => `${h}.${c}.${hs({ sub: 'u2' }).split('.')[2]}`),
  'other claims under the same signature': () => mangle((h, c, s) => `${h}.${part({ ...CLAIMS(), role: 'service_role' })}.${s}`),
  'two parts': () => mangle((h, c) => `${h}.${c}`),
  'four parts': () => `${valid()}.x`,
  'five parts (encrypted)': () => `${valid()}.x.y`,
  'dots': () => '..',
  'a dot in front': () => `.${valid()}`,
  'a blank inside': () => mangle((h, c, s) => `${h}. ${c}.${s}`),
  'no token at all, just text': () => 'letmein',
  'longer than a token may be': () => hs({ x: 'y'.repeat(9000) }),
};
const EXPIRED = { 'a second ago': -1, 'an hour ago': -3600, 'in 1970': null, 'long before': undefined };

// ---- the doors --------------------------------------------------------------------------------------------
async function ask(text) {
  const s = await RawSocket.connect(server.port);
  await s.write(text);
  const answer = await s.readResponse();
  s.destroy();
  return answer;
}
const doors = {
  'the socket, in the query': (t) => ask(upgradeText(`/socket?token=${encodeURIComponent(t)}`)),
  'the socket, in the header': (t) => ask(upgradeText('/socket', { Authorization: `Bearer ${t}` })),
  'publish': (t) => ask(`POST /api/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${t}\r\nContent-Length: 13\r\n\r\n{"content":1}`),
  'events': (t) => ask(`GET /api/events?token=${encodeURIComponent(t)} HTTP/1.1\r\nHost: x\r\n\r\n`),
  'poll': (t) => ask(`GET /api/poll?timeout=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${t}\r\n\r\n`),
};
function words(answer, code, message) {
  assert.equal(answer.status, 401, answer.body.toString());
  const error = JSON.parse(answer.body);
  assert.equal(error.code, code);
  assert.equal(error.message, message);
  assert.equal(error.retryable, false);
  assert.ok(error.hint);
}

describe('a good token opens every door', () => {
  for (const [name, make] of Object.entries(GOOD)) {
    test(name, async () => {
      for (const door of ['the socket, in the query', 'the socket, in the header']) {
        assert.equal((await doors[door](make())).status, 101, door);
      }
      const published = await doors.publish(make());
      assert.ok([200, 403].includes(published.status), String(published.status));
    });
  }
});

describe('a token that lies is refused at every door', () => {
  for (const [name, make] of Object.entries(BAD)) {
    test(name, async () => {
      const t = make();
      for (const [door, knock] of Object.entries(doors)) {
        if (door !== 'the socket, in the query' && /[\0-\x1f\x7f]/.test(t)) continue;
        const answer = await knock(t);
        if (t.length > 7000 && [414, 431].includes(answer.status)) continue; // the request itself is too long
        words(answer, 4402, 'Invalid authentication token');
      }
    });
  }
  for (const [name, seconds] of Object.entries(EXPIRED)) {
    test(`expired ${name}`, async () => {
      const exp = seconds === null ? 0 : seconds === undefined ? -1e9 : now() + seconds;
      for (const knock of Object.values(doors)) {
        const answer = await knock(hs({ exp }));
        const { code } = JSON.parse(answer.body);
        if (code === 4402 && exp <= 0) words(answer, 4402, 'Invalid authentication token'); // no such date
        else words(answer, 4407, 'Token has expired');
      }
    });
  }
  test('no token where one is needed', async () => {
    for (const where of ['/api/events', '/api/poll?timeout=1']) {
      words(await ask(`GET ${where} HTTP/1.1\r\nHost: x\r\n\r\n`), 4401, 'Authentication token required');
    }
    words(await ask('POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{"content":1}'),
      4401, 'Authentication token required');
  });
  test('another scheme is no token', async () => {
    const answer = await ask(`POST /api/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${valid()}\r\nContent-Length: 13\r\n\r\n{"content":1}`);
    assert.equal(answer.status, 401);
  });
  test('in-band: an error frame, and nothing is allowed', async () => {
    const ws = await RawWs.open(server.port, '/socket');
    await ws.jsonOf('connected');
    await ws.sendJson({ type: 'auth', token: BAD['alg "none", no signature'](), ref: 1 });
    const error = await ws.jsonOf('error');
    assert.deepEqual([error.code, error.message, error.ref], [4402, 'Invalid authentication token', 1]);
    await ws.sendJson({ type: 'subscribe', channel: 'a', ref: 2 });
    const denied = await ws.jsonOf('error');
    assert.deepEqual([denied.code, denied.message, denied.ref], [4401, 'Authentication token required', 2]);
    await ws.sendJson({ type: 'auth', token: valid(), ref: 3 });
    const fine = await ws.jsonOf('authenticated');
    assert.deepEqual([fine.sub, fine.role, fine.ref], ['u1', 'member', 3]);
    ws.destroy();
  });
  test('nothing was fetched', () => assert.equal(jkuHits.length, 0));
  test('the log names no token and no secret', () => {
    const log = server.log();
    assert.ok(!log.includes(SECRET) && !log.includes(valid().split('.')[2]) && !/eyJ[A-Za-z0-9_-]{20,}/.test(log));
    for (const line of log.trim().split('\n')) JSON.parse(line);
  });
});

// ---- staying connected past exp -------------------------------------------------------------------------
describe('expiry while connected', () => {
  async function publishing(t, options = {}) {
    const s = await serve(t, { config: { auth: { expiring_ms: '1s' } }, ...options });
    let over = false;
    const going = (async () => {
      for (let n = 1; !over; n++) {
        await s.publish({ channel: 'a', content: n });
        await sleep(10);
      }
    })();
    t.after(async () => {
      over = true;
      await going;
    });
    return { server: s, finish: async () => { over = true; await going; } };
  }

  test('a WebSocket is told, then closed with 4407, and gets nothing that is newer than exp', async (t) => {
    const { server: s, finish } = await publishing(t);
    const exp = now() + 3;
    const ws = await RawWs.open(s.port, `/socket?token=${s.mint({ sub: 'u1', exp })}`);
    await ws.sendJson({ type: 'subscribe', channel: 'a' });
    let warned = null, last = 0, expired = null, close = null;
    while (!close) {
      const m = await ws.json().catch((e) => { close = e.close ?? { code: 1006 }; return {}; });
      if (m.type === 'expiring') warned = m;
      if (m.type === 'error') expired = m;
      if (m.type === 'message') last = m.time;
    }
    assert.ok(warned && warned.in > 0 && warned.in <= 1000, JSON.stringify(warned));
    assert.equal(expired.code, 4407);
    assert.equal(close.code, 4407);
    assert.ok(last > 0 && last <= exp * 1000, `a message of ${last - exp * 1000} ms after exp`);
    assert.equal((await ws.readAll()).length, 0, 'nothing after the close frame');
    await finish();
  });

  test('a fresh token in-band, and nothing drops', async (t) => {
    const { server: s, finish } = await publishing(t);
    const exp = now() + 2;
    const ws = await RawWs.open(s.port, `/socket?token=${s.mint({ sub: 'u1', exp })}`);
    await ws.sendJson({ type: 'subscribe', channel: 'a' });
    await ws.jsonOf('expiring');
    await ws.sendJson({ type: 'auth', token: s.mint({ sub: 'somebody else', exp: now() + 60 }), ref: 'x' });
    assert.equal((await ws.jsonOf('error')).code, 4403);
    await ws.sendJson({ type: 'auth', token: 'nonsense' });
    assert.equal((await ws.jsonOf('error')).code, 4402);
    await ws.sendJson({ type: 'auth', token: s.mint({ sub: 'u1', exp: now() + 60 }) });
    assert.equal((await ws.jsonOf('authenticated')).sub, 'u1');
    let n = 0;
    for (;;) {
      const m = await ws.jsonOf('message');
      if (n) assert.equal(m.content, n + 1);
      n = m.content;
      if (m.time > exp * 1000 + 500) break;
    }
    ws.destroy();
    await finish();
  });

  test('an event stream is told, then ended', async (t) => {
    const { server: s, finish } = await publishing(t);
    const exp = now() + 3;
    const raw = await RawSocket.connect(s.port);
    await raw.write(`GET /api/events?channel=a&token=${s.mint({ sub: 'u1', exp })} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await raw.readUntil('\r\n\r\n');
    let text = '';
    for (let chunk = await raw.readChunk(); chunk.length; chunk = await raw.readChunk()) text += chunk;
    assert.match(text, /event: expiring\n/);
    assert.match(text, /event: error\ndata: .*4407/);
    assert.ok(Date.now() >= exp * 1000 - 100, 'not before exp');
    assert.ok(!/\ndata: \d+\n\n[^]*event: error[^]*\ndata: \d+\n/.test(text), 'no message after it');
    raw.destroy();
    await finish();
  });

  test('a parked poll is ended, and the next one is refused', async (t) => {
    const s = await serve(t);
    const exp = now() + 2;
    const token1 = s.mint({ sub: 'u1', exp });
    const began = Date.now();
    const answer = await fetch(`${s.url}/api/poll?channel=quiet&timeout=20000`, { headers: { authorization: `Bearer ${token1}` } });
    assert.ok([200, 401].includes(answer.status), String(answer.status));
    await answer.json();
    assert.ok(Date.now() - began < 10000, 'at exp, not at its own time');
    await until(() => Date.now() > exp * 1000, 'exp');
    const next = await fetch(`${s.url}/api/poll?channel=quiet&timeout=10`, { headers: { authorization: `Bearer ${token1}` } });
    assert.equal(next.status, 401);
  });

  test('a client that was promised a token and sends none is closed with 4401', async (t) => {
    const s = await serve(t, { config: { auth: { anonymous: false, token_ms_max: '300ms' } } });
    const ws = await RawWs.open(s.port, '/socket');
    const end = await ws.closing();
    assert.equal(end.code, 4401);
    assert.equal(end.reason, 'Authentication token required');
    ws.destroy();
  });
});
