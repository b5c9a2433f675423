// SPDX-License-Identifier: Apache-2.0
// Supabase Realtime byte by byte: handshakes, frames, the Phoenix layer's rules, hostile joins and
// frames, and the REST half with its statuses and bodies.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OP, RawWs } from './lib/rawsocket.mjs';
import { Rng } from './lib/rng.mjs';
import { serveAll, signHs256 } from './lib/server.mjs';

const key = 'sb_secret_0123456789abcdef';
const server = serveAll({ before, after }, { config: {
  auth: { api_keys: [{ key, role: 'service_role' }] },
  channels: { rules: [
    { match: 'private:*', allow: { subscribe: 'authenticated', publish: 'none' } },
    { match: '*', allow: { subscribe: '*', publish: '*', history: '*' } },
  ] },
} });
const seconds = (n) => Math.floor(Date.now() / 1000) + n;
let number = 0;

const target = (query = '', base = '/realtime/v1/websocket') => `${base}?apikey=${server.anonKey}&vsn=2.0.0${query}`;

async function open(t, where = target()) {
  const ws = await RawWs.open(server.port, where);
  t.after(() => ws.destroy());
  ws.push = (...frame) => ws.sendJson(frame);
  ws.until = async (fits, what) => {
    for (;;) {
      const m = await ws.json();
      if (fits(m)) return m;
    }
  };
  ws.reply = (ref) => ws.until((m) => m[3] === 'phx_reply' && m[1] === ref, `reply to ${ref}`);
  ws.join = async (topic, config = {}, ref = `${++number}`) => {
    ws.push(ref, ref, topic, 'phx_join', { config });
    return { ref, ...(await ws.reply(ref))[4] };
  };
  return ws;
}

// A frame of kind 3.
function push3({ joinRef = '', ref = '', topic = '', event = '', meta = '', enc = 1, payload = '{}', lengths }) {
  const parts = [joinRef, ref, topic, event, meta].map((s) => Buffer.from(s));
  const sizes = lengths || parts.map((p) => p.length);
  return Buffer.concat([Buffer.from([3, ...sizes, enc]), ...parts, Buffer.from(payload)]);
}

async function answerTo(query, headers = {}) {
  const ws = await RawWs.connect(server.port);
  const { upgradeText } = await import('./lib/rawsocket.mjs');
  await ws.write(upgradeText(`/realtime/v1/websocket?${query}`, headers));
  const { status, headers: h, body } = await ws.readResponse();
  ws.destroy();
  return { status, type: h['content-type'], body: JSON.parse(body) };
}

test('a refused handshake is an HTTP answer with upstream\'s body, at once', async () => {
  const expired = server.mint({ role: 'anon', exp: seconds(-10) });
  const noExp = server.mint({ role: 'anon', exp: null });
  const foreign = signHs256('another secret of at least 32 bytes!', { role: 'anon', exp: seconds(100) });
  const cases = [
    ['vsn=2.0.0', 401, 'API key is missing'],
    [`apikey=${expired}`, 401, 'Token has expired'],
    [`apikey=${noExp}`, 401, 'Fields `role` and `exp` are required in JWT'],
    [`apikey=${foreign}`, 401, 'Failed to validate JWT signature'],
    ['apikey=nonsense', 401, 'The token provided is not a valid JWT'],
    ['apikey=sb_publishable_unknown', 401, 'The token provided is not a valid JWT'],
    [`apikey=${server.anonKey}&vsn=3.0.0`, 400, 'The vsn is none of 1.0.0 and 2.0.0'],
  ];
  const began = Date.now();
  for (const [query, status, error] of cases) {
    const got = await answerTo(query);
    assert.deepEqual([got.status, got.body], [status, { error }], query);
    assert.match(got.type, /^application\/json/);
  }
  assert.ok(Date.now() - began < 10000);
  const wins = await answerTo(`apikey=${server.anonKey}`, { 'x-api-key': 'nonsense' });
  assert.equal(wins.status, 401); // the header is looked at first
});

test('the key may stand in x-api-key, be opaque, and the vsn be absent (1.0.0)', async (t) => {
  const ws = await RawWs.open(server.port, '/realtime/v1/websocket', { 'x-api-key': key });
  t.after(() => ws.destroy());
  ws.sendJson({ topic: 'phoenix', event: 'heartbeat', payload: {}, ref: '1' });
  assert.deepEqual(await ws.json(),
    { topic: 'phoenix', event: 'phx_reply', payload: { status: 'ok', response: {} }, ref: '1' });
});

test('a foreign page is refused', async () => {
  const got = await answerTo(`apikey=${server.anonKey}`, { origin: 'https://evil.example' });
  assert.equal(got.status, 403);
});

test('heartbeat, refs of any form come back as they were', async (t) => {
  const ws = await open(t);
  ws.push(null, '10', 'phoenix', 'heartbeat', {});
  assert.deepEqual(await ws.json(), [null, '10', 'phoenix', 'phx_reply', { status: 'ok', response: {} }]);
  ws.push(7, 7, 'realtime:r', 'phx_join', {});
  assert.deepEqual((await ws.json()).slice(0, 4), [7, 7, 'realtime:r', 'phx_reply']);
  ws.send(OP.TEXT, '["\\u00e9","\\u00e9","realtime:s","phx_join",{}, "more", 1]');
  assert.deepEqual((await ws.until((m) => m[2] === 'realtime:s')).slice(0, 2), ['é', 'é']);
});

test('join, again on the same topic: the old instance is closed with the OLD join_ref', async (t) => {
  const ws = await open(t);
  ws.push('1', '1', 'realtime:a', 'phx_join', { config: {} });
  assert.deepEqual(await ws.json(), ['1', '1', 'realtime:a', 'phx_reply', { status: 'ok', response: { postgres_changes: [] } }]);
  assert.deepEqual(await ws.json(), [null, null, 'realtime:a', 'presence_state', {}]);
  ws.push('2', '2', 'realtime:a', 'phx_join', { config: {} });
  assert.deepEqual(await ws.json(), ['1', '1', 'realtime:a', 'phx_close', {}]);
  assert.equal((await ws.json())[1], '2');
  assert.equal((await ws.json())[3], 'presence_state');
  ws.push('1', '3', 'realtime:a', 'phx_leave', {}); // of the instance that is gone: nothing
  ws.push('2', '4', 'realtime:a', 'phx_leave', {});
  assert.deepEqual(await ws.json(), ['2', '4', 'realtime:a', 'phx_reply', { status: 'ok', response: {} }]);
  assert.deepEqual(await ws.json(), ['2', '2', 'realtime:a', 'phx_close', {}]);
  ws.push('2', '5', 'realtime:a', 'phx_leave', {}); // not joined
  assert.deepEqual(await ws.json(), ['2', '5', 'realtime:a', 'phx_reply', { status: 'ok', response: {} }]);
});

test('what is not joined, not ours or not known is refused, and nothing ends', async (t) => {
  const ws = await open(t);
  ws.push('1', '2', 'realtime:nowhere', 'broadcast', { event: 'x', payload: {} });
  assert.deepEqual(await ws.json(),
    [null, '2', 'realtime:nowhere', 'phx_reply', { status: 'error', response: { reason: 'unmatched topic' } }]);
  for (const topic of ['room:lobby', 'phoenix', 'realtime', ''])
    assert.equal((await ws.join(topic)).response.reason, 'unmatched topic', topic);
  assert.match((await ws.join('realtime:')).response.reason, /^TopicNameRequired: /);
  assert.match((await ws.join('realtime:private:x')).response.reason, /^TopicNameInvalid: /);
  assert.match((await ws.join(`realtime:${'x'.repeat(400)}`)).response.reason, /1 to 255 bytes/);
  assert.match((await ws.join('realtime:a\u0001b')).response.reason, /control characters/);
  ws.push(null, '99', 'phoenix', 'heartbeat', {});
  assert.equal((await ws.json())[1], '99');
});

test('a join is read leniently: what is of a wrong type is as if it were not there', async (t) => {
  const ws = await open(t);
  const configs = [null, [], 'x', 5, { broadcast: [], presence: 'x', postgres_changes: {} },
    { broadcast: { self: 'true', ack: 'TRUE' }, private: 'false', presence: { key: 5, enabled: 'no' } },
    { postgres_changes: [null, null] }, { private: null, broadcast: null }];
  for (const config of configs) assert.equal((await ws.join(`realtime:l${++number}`, config)).status, 'ok', JSON.stringify(config));
  ws.push('x', 'x', 'realtime:v', 'phx_join', 'nothing');
  assert.equal((await ws.reply('x'))[4].status, 'ok');
  const r = await ws.join('realtime:self', { broadcast: { self: 'true', ack: 'true' } });
  ws.push(r.ref, 'b', 'realtime:self', 'broadcast', { event: 'e', payload: { a: 1 } });
  assert.equal((await ws.reply('b'))[4].status, 'ok');
  assert.deepEqual((await ws.until((m) => m[3] === 'broadcast'))[4].payload, { a: 1 });
});

test('replay: bad numbers are refused, public channels may ask', async (t) => {
  const ws = await open(t);
  for (const replay of [{ since: 'x' }, {}, 5, { since: -1 }, { since: 1.5 }, { since: 1, limit: 'x' }])
    assert.equal((await ws.join(`realtime:r${++number}`, { broadcast: { replay } })).response.reason,
      'UnableToReplayMessages: Replay params are not valid', JSON.stringify(replay));
  const room = `replay${++number}`;
  for (let i = 0; i < 40; i++) await server.publish({ channel: room, event: 'n', content: { i } });
  for (const [limit, first] of [[undefined, 15], [3, 37], [1000, 15], [0, 39]]) {
    const one = await open(t);
    await one.join(`realtime:${room}`, { broadcast: { replay: { since: 1, limit } } });
    for (let i = first; i < 40; i++) {
      const [, , , event, { payload, meta }] = await one.until((m) => m[3] === 'broadcast');
      assert.deepEqual([event, payload.i, meta.replayed], ['broadcast', i, true]);
    }
  }
});

test('between a replay and what is live nothing is lost and nothing comes twice', async (t) => {
  const room = `live${++number}`;
  let sent = 0, stop = false;
  const publishing = (async () => {
    while (!stop) await server.publish(Array.from({ length: 3 }, () => ({ channel: room, event: 'n', content: { i: sent++ } })));
  })();
  try {
    for (let k = 0; k < 8; k++) {
      const ws = await open(t);
      await ws.join(`realtime:${room}`, { broadcast: { replay: { since: 1, limit: 1 + k * 3 } } });
      let last = null, live = 0;
      while (live < 20) {
        const { payload, meta } = (await ws.until((m) => m[3] === 'broadcast'))[4];
        if (last !== null) assert.equal(payload.i, last + 1, `joined ${k}`);
        last = payload.i;
        assert.ok(!(live && meta.replayed), 'a replay after what is live');
        if (!meta.replayed) live++;
      }
      ws.destroy();
    }
  } finally {
    stop = true;
    await publishing;
  }
});

test('a crowd\'s presence is told in few frames, and adds up', async (t) => {
  const room = `crowd${++number}`, members = 90, rounds = 5;
  const ws = await open(t);
  await ws.join(`realtime:${room}`);
  const crowd = await RawWs.open(server.port, '/socket', { authorization: `Bearer ${server.serviceKey}` });
  t.after(() => crowd.destroy());
  for (let v = 1; v <= rounds; v++)
    for (let i = 0; i < members; i++) crowd.sendJson({ type: 'track', channel: room, key: `k${i}`, meta: { v } });
  const state = new Map();
  let frames = 0;
  const isDone = () => state.size === members && [...state.values()].every((metas) => metas.length === 1 && metas[0].v === rounds);
  while (!isDone()) {
    const m = await ws.json();
    if (m[3] !== 'presence_diff') continue;
    frames++;
    for (const [key, { metas }] of Object.entries(m[4].joins)) state.set(key, [...(state.get(key) ?? []), ...metas]);
    for (const [key, { metas }] of Object.entries(m[4].leaves)) {
      const gone = new Set(metas.map((x) => x.phx_ref));
      state.set(key, state.get(key).filter((x) => !gone.has(x.phx_ref)));
    }
  }
  assert.ok(frames < members * rounds / 2, `${frames} frames for ${members * rounds} changes`);
});

test('changes that cannot be watched: said after the join, or the join fails where the client waits', async (t) => {
  const ws = await open(t);
  const changes = [{ event: 'INSERT', schema: 'public', table: 'no_such_table' }];
  const plain = await ws.join('realtime:w1', { postgres_changes: changes });
  assert.deepEqual(plain.response, { postgres_changes: [{ id: 1, ...changes[0] }] });
  assert.match((await ws.until((m) => m[3] === 'system'))[4].message, /^Unable to subscribe to changes/);
  const waits = { postgres_changes_options: { wait: true, timeout: 15000 } };
  const refused = await ws.join('realtime:w2', { postgres_changes: changes, ...waits });
  assert.equal(refused.status, 'error');
  assert.match(refused.response.reason, /^RealtimeDisabledForConfiguration: /);
  assert.equal((await ws.join('realtime:w3', { postgres_changes: [], ...waits })).status, 'ok');
});

test('kind 3: JSON and bytes, UTF-8 and Latin-1 names, routed by join_ref where the topic is broken', async (t) => {
  const [a, b] = [await open(t), await open(t)];
  const topic = 'realtime:größe';
  const { ref } = await a.join(topic, { broadcast: { ack: true } });
  await b.join(topic);
  a.send(OP.BINARY, push3({ joinRef: ref, ref: 'p1', topic, event: 'ä', payload: '{"t":"é"}' }));
  assert.equal((await a.reply('p1'))[4].status, 'ok');
  assert.deepEqual((await b.until((m) => m[3] === 'broadcast'))[4].event, 'ä');
  const latin = Buffer.from(topic, 'latin1');
  const head = Buffer.from([3, ref.length, 2, latin.length, 1, 0, 0]);
  a.send(OP.BINARY, Buffer.concat([head, Buffer.from(`${ref}p2`), latin, Buffer.from('e'), Buffer.from([0, 255, 1])]));
  assert.equal((await a.reply('p2'))[4].status, 'ok');
  const got = await b.next();
  assert.equal(got.opcode, OP.BINARY);
  const bytes = got.payload;
  assert.deepEqual([bytes[0], bytes[1], bytes[2], bytes[4]], [4, Buffer.byteLength(topic), 1, 0]);
  assert.deepEqual([...bytes.subarray(-3)], [0, 255, 1]);
  a.send(OP.BINARY, push3({ joinRef: ref, ref: 'p3', topic: 'realtime:gr\u0001\u0002e', event: 'lost', payload: '1' }));
  assert.equal((await a.reply('p3'))[4].status, 'ok');
});

test('an old client gets bytes as marked base64, in the same channel', async (t) => {
  const a = await open(t), old = await RawWs.open(server.port, `/socket/websocket?apikey=${server.anonKey}`);
  t.after(() => old.destroy());
  const { ref } = await a.join('realtime:bytes', { broadcast: { ack: true } });
  old.sendJson({ topic: 'realtime:bytes', event: 'phx_join', payload: { config: {} }, ref: '1', join_ref: '1' });
  assert.equal((await old.json()).event, 'phx_reply');
  a.send(OP.BINARY, push3({ joinRef: ref, ref: 'x', topic: 'realtime:bytes', event: 'e', enc: 0, payload: 'hi' }));
  for (;;) {
    const m = await old.json();
    if (m.event !== 'broadcast') continue;
    assert.deepEqual(m.payload.payload, { encoding: 'base64', content: 'aGk=' });
    assert.equal(m.ref, null);
    break;
  }
});

test('hostile frames are dropped one by one; the connection and its channels go on', async (t) => {
  const ws = await open(t);
  const { ref } = await ws.join('realtime:h', { broadcast: { ack: true } });
  const texts = ['', '{', '[]', '[1,2,3,4]', 'null', '"x"', '[null,null,null,null,null]', '[{},"1","t","e",{}]',
    `[null,null,"${'x'.repeat(5000)}","e",{}]`, `[null,null,"t","${'e'.repeat(300)}",{}]`,
    `["${'r'.repeat(100)}","1","t","e",{}]`, `[null,null,"t","e",${'['.repeat(200)}${']'.repeat(200)}]`,
    '[null,null,"t","\\ud800",{}]', '["1","1","realtime:h","broadcast",{"event":5}]', '[1e999,null,"a","b",{}]'];
  for (const text of texts) ws.send(OP.TEXT, text);
  const binaries = [Buffer.alloc(0), Buffer.from([3]), Buffer.from([3, 255, 255, 255, 255, 255, 1]), Buffer.from([0, 1, 2, 3]),
    Buffer.from([4, 1, 1, 0, 1, 65, 66]), push3({ joinRef: ref, topic: 'realtime:h', event: '', payload: '{}' }),
    push3({ joinRef: ref, topic: 'realtime:h', event: 'e', payload: '{' }),
    push3({ joinRef: ref, topic: 'realtime:h', event: 'e', meta: '[1]', payload: '{}' }),
    push3({ joinRef: ref, topic: 'realtime:h', event: 'e', lengths: [200, 0, 0, 0, 0] })];
  for (const b of binaries) ws.send(OP.BINARY, b);
  const rng = new Rng(4);
  for (let i = 0; i < 300; i++) ws.send(i % 2 ? OP.BINARY : OP.TEXT, i % 2 ? rng.bytes(rng.int(0, 60)) : JSON.stringify(rng.int(0, 9)));
  ws.push(ref, 'still', 'realtime:h', 'broadcast', { event: 'e', payload: {} });
  assert.equal((await ws.reply('still'))[4].status, 'ok');
  assert.equal(await server.metrics().then((m) => m.tidewire_realtime_clients >= 1), true);
});

test('hostile joins: nested, huge, many, with tokens that are none', async (t) => {
  const ws = await open(t);
  const bindings = Array.from({ length: 150 }, () => ({ event: '*', schema: 'public', table: 't' }));
  assert.equal((await ws.join('realtime:j1', { postgres_changes: bindings })).status, 'error');
  assert.equal((await ws.join('realtime:j2', { presence: { key: 'k'.repeat(5000) } })).status, 'ok');
  for (const token of ['', 'a.b.c', 'x'.repeat(20000), 'sb_anything', null, 5, {}]) {
    const ref = `t${++number}`;
    ws.push(ref, ref, `realtime:j${ref}`, 'phx_join', { config: {}, access_token: token });
    const { status } = (await ws.reply(ref))[4];
    assert.equal(status, token === 'a.b.c' || token?.length > 1000 ? 'error' : 'ok', String(token).slice(0, 20));
  }
  const huge = { config: { x: 'y'.repeat(800000) } };
  ws.push('huge', 'huge', 'realtime:huge', 'phx_join', huge);
  assert.equal((await ws.reply('huge'))[4].status, 'ok');
  const key = (await ws.join('realtime:k', { presence: { key: 'a\u0000b' } }));
  ws.push(key.ref, 'tr', 'realtime:k', 'presence', { event: 'track', payload: {} });
  assert.equal((await ws.reply('tr'))[4].status, 'error');
});

test('a frame above the limit closes the connection with 1009, as upstream', async (t) => {
  const ws = await open(t);
  ws.send(OP.TEXT, Buffer.alloc(5000001, 32));
  assert.equal((await ws.closing()).code, 1009);
});

test('a storm of joins and leaves leaves nothing behind', async (t) => {
  const ws = await open(t);
  for (let i = 0; i < 500; i++) {
    ws.push(`s${i}`, `s${i}`, `realtime:storm${i % 7}`, 'phx_join', { config: {} });
    if (i % 3 === 0) ws.push(`s${i}`, `l${i}`, `realtime:storm${i % 7}`, 'phx_leave', {});
  }
  ws.push(null, 'end', 'phoenix', 'heartbeat', {});
  await ws.reply('end');
  ws.destroy();
});

// ---- REST --------------------------------------------------------------------------------------

const post = async (path, body, { headers = {}, token = server.anonKey } = {}) => {
  const answer = await fetch(`${server.url}/realtime/v1/api/broadcast${path}`, { method: 'POST', body,
    headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), 'content-type': 'application/json', ...headers } });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null, headers: answer.headers };
};
const batch = (...messages) => JSON.stringify({ messages });

test('REST batch: 202 without a body, and what is wrong in upstream\'s words', async () => {
  const ok = await post('', batch({ topic: 'r', event: 'e', payload: { a: 1 } }, { topic: 's', event: 'e', payload: {} }));
  assert.deepEqual([ok.status, ok.body], [202, null]);
  assert.deepEqual(await post('?apikey=x&vsn=2.0.0', batch({ topic: 'r', event: 'e', payload: {} })).then((r) => r.status), 202);
  const none = await post('', batch({ topic: 'r', event: 'e', payload: {} }), { token: null });
  assert.deepEqual([none.status, none.body], [401, { message: 'Unauthorized' }]);
  assert.equal((await post('', batch({ topic: 'r', event: 'e', payload: {} }), { token: 'x.y.z' })).status, 401);
  const byKey = await post('', batch({ topic: 'r', event: 'e', payload: {} }), { token: null, headers: { apikey: server.anonKey } });
  assert.equal(byKey.status, 202);
  for (const body of ['{}', batch(), batch({}), batch({ topic: 'r', event: 'e' }), batch({ topic: '', event: 'e', payload: {} }), batch(5),
    JSON.stringify({ messages: 5 })]) {
    const wrong = await post('', body);
    assert.equal(wrong.status, 422, body);
    assert.ok(wrong.body.errors, body);
  }
  for (const body of ['', '{', 'x']) assert.equal((await post('', body)).status, 400, body);
  assert.equal((await post('', batch(...Array.from({ length: 1001 }, () => ({ topic: 'r', event: 'e', payload: {} }))))).status, 429);
});

test('REST: what is wrong with one message publishes none of them', async () => {
  const before = (await server.channel('whole')).offset;
  await post('', batch({ topic: 'whole', event: 'e', payload: {} }, { topic: 'whole', event: 'e' }));
  assert.equal((await server.channel('whole')).offset, before);
});

test('REST: private messages without the right: 202 in a batch, 403 alone', async () => {
  const hidden = await post('', batch({ topic: 'p', event: 'e', payload: {}, private: true }));
  assert.equal(hidden.status, 202);
  const alone = await post('/p/events/e?private=true', '{}');
  assert.deepEqual([alone.status, alone.body], [403, { message: 'Unauthorized' }]);
  assert.equal((await post('/p/events/e?private=true', '{}', { token: server.serviceKey })).status, 202);
  const { messages } = await fetch(`${server.url}/api/channels/private:p`, { headers: { authorization: `Bearer ${server.serviceKey}` } }).then((r) => r.json());
  assert.equal(messages.length, 1);
});

test('REST single: names are decoded, other types are 415, other paths 404', async () => {
  assert.equal((await post('/raum%3A1%2F2/events/gr%C3%BC%C3%9Fe', '{"a":1}')).status, 202);
  const { messages } = await server.channel('raum:1/2');
  assert.deepEqual([messages[0].event, messages[0].content], ['grüße', { a: 1 }]);
  assert.equal((await post('/b/events/e', new Uint8Array([1, 255]), { headers: { 'content-type': 'application/octet-stream' } })).status, 202);
  assert.equal((await post('/b/events/e', 'x', { headers: { 'content-type': 'text/plain' } })).status, 415);
  assert.equal((await post('/b/events/e', 'x')).status, 400);
  for (const path of ['/b', '/b/events', '/b/events/', '/b/other/e', '/b/events/e/f', '//events/e']) assert.equal((await post(path, '{}')).status, 404, path);
});

test('REST: any page may ask, and the parts of a project that are not here say so to it', async () => {
  const ask = (path, headers, method = 'OPTIONS') => fetch(`${server.url}${path}`, { method, headers: { origin: 'https://page.example', ...headers } });
  const asked = await ask('/realtime/v1/api/broadcast', { 'access-control-request-method': 'POST',
    'access-control-request-headers': 'apikey,authorization,content-type' });
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get('access-control-allow-origin'), '*');
  assert.match(asked.headers.get('access-control-allow-headers'), /authorization/);
  for (const path of ['/auth/v1/user', '/storage/v1/object/x', '/functions/v1/f']) {
    const answer = await ask(path, {}, 'GET');
    assert.equal(answer.status, 404);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    assert.ok((await answer.json()).message);
  }
});
