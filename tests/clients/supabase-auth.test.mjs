// SPDX-License-Identifier: Apache-2.0
// Supabase Realtime: private channels, tokens in every place and age, keys, limits.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { RawWs, upgradeText } from './lib/rawsocket.mjs';
import { serve, serveAll } from './lib/server.mjs';
import { connect, hasBinary, send, VERSIONS, watch } from './lib/supabase.mjs';
import { Queue, until } from './lib/wait.mjs';

const everyone = { subscribe: '*', publish: '*', presence: '*', track: '*', history: '*' };
const rules = [
  { match: 'private:mine:*', allow: { subscribe: 'authenticated if segment(3) == sub', publish: 'authenticated' } },
  { match: 'private:read:*', allow: { subscribe: 'authenticated', publish: 'none' } },
  { match: 'private:seen:*', allow: { subscribe: 'none', presence: 'authenticated', publish: 'none' } },
  { match: 'private:*', allow: { subscribe: 'none', publish: 'none' } },
  { match: '*', allow: everyone },
];
const publishable = 'sb_publishable_0123456789abcdef', secret = 'sb_secret_0123456789abcdef';
const config = {
  channels: { rules },
  auth: { api_keys: [{ key: publishable, role: 'anon' }, { key: secret, role: 'service_role' }], expiring_ms: '2s' },
};
const server = serveAll({ before, after }, { config });
const seconds = (n) => Math.floor(Date.now() / 1000) + n;
const user = (sub, more = {}) => server.mint({ sub, role: 'authenticated', ...more });
const isPrivate = { config: { private: true } };

let number = 0;

for (const version of VERSIONS) {
  const open = (t, options) => connect(t, server, { version, ...options });

  test(`${version}: a private channel is refused at once, with upstream's words`, async (t) => {
    const a = await open(t);
    const w = watch(a.channel('mine:u1', isPrivate));
    const { error } = await w.subscribe('CHANNEL_ERROR');
    assert.match(error.message, /^"?Unauthorized: You do not have permissions to read from this Channel topic: mine:u1/);
  });

  test(`${version}: setAuth, then a private channel; the public one of that name is another`, async (t) => {
    const [a, b, c] = [await open(t), await open(t), await open(t)];
    const id = `u${++number}`;
    await a.realtime.setAuth(user(id));
    await b.realtime.setAuth(user(id));
    const wa = watch(a.channel(`mine:${id}`, isPrivate)), wb = watch(b.channel(`mine:${id}`, isPrivate));
    const wc = watch(c.channel(`mine:${id}`));
    await Promise.all([wa.subscribe(), wb.subscribe(), wc.subscribe()]);
    await wa.channel.track({ who: 'a' });
    await wb.syncs.find((s) => Object.keys(s).length === 1, 'a is there');
    await send(wa.channel, 'secret', { n: 1 });
    assert.deepEqual((await wb.broadcasts.next()).payload, { n: 1 });
    await send(wc.channel, 'open', {}); // nobody else there
    await send(wa.channel, 'secret', { n: 2 });
    assert.deepEqual((await wb.broadcasts.next()).payload, { n: 2 });
    assert.equal(wc.broadcasts.length, 0);
    assert.ok(wc.syncs.takeAll().every((s) => Object.keys(s).length === 0));
  });

  test(`${version}: the accessToken option: refused without a token, then joined with it`, async (t) => {
    const id = `u${++number}`;
    const a = await open(t, { accessToken: async () => user(id), auth: undefined });
    const w = watch(a.channel(`mine:${id}`, isPrivate));
    await w.subscribe();
  });

  test(`${version}: a right to read is none to write`, async (t) => {
    const [a, b] = [await open(t), await open(t)];
    for (const client of [a, b]) await client.realtime.setAuth(user('u1'));
    const name = `read:${++number}`;
    const wa = watch(a.channel(name, { config: { private: true, broadcast: { ack: true } } }));
    const wb = watch(b.channel(name, isPrivate));
    await Promise.all([wa.subscribe(), wb.subscribe()]);
    assert.equal(await send(wa.channel, 'no', {}), 'error');
    assert.equal(await wa.channel.track({}), 'error');
    await server.publish({ channel: `private:${name}`, event: 'yes', content: {} }, { token: server.serviceKey });
    assert.equal((await wb.broadcasts.next()).event, 'yes'); // and nothing before it
  });

  test(`${version}: the right to see who is there is enough to join`, async (t) => {
    const a = await open(t);
    await a.realtime.setAuth(user('u1'));
    const name = `seen:${++number}`;
    const w = watch(a.channel(name, isPrivate));
    await w.subscribe();
    await w.syncs.next('the state');
    await server.publish({ channel: `private:${name}`, event: 'hidden', content: {} }, { token: server.serviceKey });
    assert.equal(await w.channel.track({}), 'error');
    assert.equal(w.broadcasts.length, 0);
  });

  test(`${version}: an expired token closes its channel and no other; a fresh one keeps it`, async (t) => {
    const [a, b] = [await open(t), await open(t)];
    const id = `u${++number}`;
    for (const client of [a, b]) await client.realtime.setAuth(user(id, { exp: seconds(3) }));
    const kept = watch(a.channel(`mine:${id}`, isPrivate)), lost = watch(b.channel(`mine:${id}`, isPrivate));
    await Promise.all([kept.subscribe(), lost.subscribe()]);
    await kept.system.find((m) => /^Token expires in/.test(m.message), 'the notice');
    await a.realtime.setAuth(user(id));
    const end = await lost.system.find((m) => m.status === 'error', 'the end');
    assert.match(end.message, /^Token has expired \d+ seconds ago$/);
    assert.equal(end.extension, 'system');
    await lost.status('CLOSED');
    assert.equal(await send(kept.channel, 'still', {}), 'ok');
    const fresh = watch(b.channel(`open:${id}`)); // the socket stays, with the connection's key
    await b.realtime.setAuth(server.anonKey);
    await fresh.subscribe();
    await kept.channel.track({ still: true });
    await kept.syncs.find((s) => Object.values(s).flat().some((m) => m.still), 'kept is alive');
    assert.deepEqual(kept.history, ['SUBSCRIBED']);
  });

  test(`${version}: a token of somebody who may not read ends the channel`, async (t) => {
    const a = await open(t);
    const id = `u${++number}`;
    await a.realtime.setAuth(user(id));
    const w = watch(a.channel(`mine:${id}`, isPrivate)), other = watch(a.channel(`open:${id}`));
    await Promise.all([w.subscribe(), other.subscribe()]);
    await a.realtime.setAuth(user('somebody else'));
    const end = await w.system.find((m) => m.status === 'error', 'the end');
    assert.match(end.message, /^You no longer have permission to read from this Channel topic/);
    await w.status('CLOSED');
    assert.equal(await other.channel.track({ a: 1 }), 'ok'); // another user is welcome there
    assert.deepEqual(other.history, ['SUBSCRIBED']);
  });

  test(`${version}: a broken token in a join, in upstream's words`, async (t) => {
    const cases = [
      [`${user('u').slice(0, -4)}AAAA`, /JwtSignatureError: Failed to validate JWT signature/],
      [user('u', { exp: seconds(-100) }), /InvalidJWTToken: Token has expired \d+ seconds ago/],
    ];
    for (const [token, words] of cases) {
      const a = await open(t);
      a.realtime.accessTokenValue = token; // setAuth of newer clients looks at it first
      const w = watch(a.channel(`x:${++number}`));
      w.channel.updateJoinPayload?.({ access_token: token });
      if (w.channel.joinPush) Object.assign(w.channel.joinPush.payload, { access_token: token });
      a.realtime.accessToken = async () => token;
      const { error } = await w.subscribe('CHANNEL_ERROR');
      assert.match(error.message, words);
    }
  });

  test(`${version}: opaque keys stand for roles`, async (t) => {
    const a = await open(t, { key: publishable }), b = await open(t, { key: secret });
    const name = `k:${++number}`;
    const wa = watch(a.channel(name)), wb = watch(b.channel('anything', isPrivate));
    await Promise.all([wa.subscribe(), wb.subscribe()]);
    assert.equal(await send(a.channel(`k2:${name}`), 'rest', {}), 'ok');
  });

  if (hasBinary(version)) {
    test(`${version}: replay brings what was said before, marked, once`, async (t) => {
      const [a, b] = [await open(t), await open(t)];
      const id = `u${++number}`;
      for (const client of [a, b]) await client.realtime.setAuth(user(id));
      const wa = watch(a.channel(`mine:${id}`, { config: { private: true, broadcast: { ack: true } } }));
      await wa.subscribe();
      for (let i = 0; i < 5; i++) await send(wa.channel, 'n', { i });
      const wb = watch(b.channel(`mine:${id}`, { config: { private: true, broadcast: { replay: { since: 1, limit: 3 } } } }));
      await wb.subscribe();
      await send(wa.channel, 'n', { i: 5 });
      const got = [];
      for (let i = 0; i < 4; i++) got.push(await wb.broadcasts.next());
      assert.deepEqual(got.map((m) => m.payload.i), [2, 3, 4, 5]);
      assert.deepEqual(got.map((m) => m.meta.replayed), [true, true, true, undefined]);
      assert.equal(new Set(got.map((m) => m.meta.id)).size, 4);
      const wc = watch(b.channel(`mine:${id}x`, { config: { private: true, broadcast: { replay: { since: Date.now() + 60000 } } } }));
      await wc.subscribe('CHANNEL_ERROR'); // not hers
    });
  }
}

test('a replay from the future is empty, its live messages come', async (t) => {
  const [a, b] = [await connect(t, server), await connect(t, server)];
  for (const client of [a, b]) await client.realtime.setAuth(user('r'));
  const replay = { since: Date.now() + 3600e3 };
  const wa = watch(a.channel('mine:r', { config: { private: true, broadcast: { ack: true } } }));
  await wa.subscribe();
  await send(wa.channel, 'before', {});
  const wb = watch(b.channel('mine:r', { config: { private: true, broadcast: { replay } } }));
  await wb.subscribe();
  await send(wa.channel, 'live', {});
  assert.equal((await wb.broadcasts.next()).event, 'live');
});

test('with a database, private channels ask the policies of realtime.messages', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-policies-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(path.join(folder, '1.sql'), `
    create policy "listen" on realtime.messages for select to authenticated
      using (realtime.topic() = 'team:' || auth.uid());
    create policy "send" on realtime.messages for insert to authenticated
      with check (realtime.topic() = 'team:' || auth.uid() and extension = 'broadcast');`);
  const own = await serve(t, { config: { database: { file: 'x.db', migrations: folder } } });
  const a = await connect(t, own), b = await connect(t, own);
  for (const client of [a, b]) await client.realtime.setAuth(own.mint({ sub: 'u1', role: 'authenticated' }));
  const setup = { config: { private: true, broadcast: { ack: true } } };
  const wa = watch(a.channel('team:u1', setup)), wb = watch(b.channel('team:u1', setup));
  await Promise.all([wa.subscribe(), wb.subscribe()]);
  assert.equal(await send(wa.channel, 'hi', {}), 'ok');
  assert.equal((await wb.broadcasts.next()).event, 'hi');
  assert.equal(await wa.channel.track({}), 'error');
  const { error } = await watch(a.channel('team:u2', setup)).subscribe('CHANNEL_ERROR');
  assert.match(error.message, /Unauthorized/);
  const anonymous = await connect(t, own);
  await watch(anonymous.channel('team:u1', setup)).subscribe('CHANNEL_ERROR');
  await watch((await connect(t, own)).channel('team:u1')).subscribe(); // the public one of that name
});

test('limits: refused one by one, the channel and the socket stay', async (t) => {
  const own = await serve(t, { config: {
    realtime: { channels_per_client: 2, presence_calls: 3, presence_keys_max: 2, payload_bytes: '1KiB' },
  } });
  const a = await connect(t, own), b = await connect(t, own);
  const w = watch(a.channel('one', { config: { broadcast: { ack: true } } })), two = watch(a.channel('two'));
  const wb = watch(b.channel('one'));
  await Promise.all([w.subscribe(), two.subscribe(), wb.subscribe()]);
  const { error } = await watch(a.channel('three')).subscribe('CHANNEL_ERROR');
  assert.match(error.message, /ChannelRateLimitReached: Too many channels/);
  assert.equal(await send(w.channel, 'big', { text: 'x'.repeat(2000) }), 'error');
  assert.equal(await w.channel.track({ a: 1, b: 2, c: 3 }), 'error');
  assert.equal(await w.channel.track({ a: 1 }), 'ok');
  assert.equal(await w.channel.track({ a: 2 }), 'ok');
  assert.equal(await w.channel.track({ a: 3 }), 'error');
  assert.equal(await send(w.channel, 'small', {}), 'ok');
  assert.equal((await wb.broadcasts.next()).event, 'small');
  assert.deepEqual(w.history, ['SUBSCRIBED']);
});

test('a burst above the rate is shaped, not refused', async (t) => {
  const own = await serve(t, { config: { limits: { messages_per_second: 100, burst: 20 } } });
  const a = await connect(t, own), b = await connect(t, own);
  const wa = watch(a.channel('r', { config: { broadcast: { ack: true } } })), wb = watch(b.channel('r'));
  await Promise.all([wa.subscribe(), wb.subscribe()]);
  const answers = await Promise.all(Array.from({ length: 80 }, (_, i) => send(wa.channel, 'n', { i })));
  assert.ok(answers.every((x) => x === 'ok'));
  for (let i = 0; i < 80; i++) assert.equal((await wb.broadcasts.next()).payload.i, i);
});

test('private channels only, when so configured; too many clients are told by HTTP', async (t) => {
  const own = await serve(t, { config: { realtime: { private_only: true, clients_max: 1 }, channels: { rules } } });
  const a = await connect(t, own);
  const { error } = await watch(a.channel('x')).subscribe('CHANNEL_ERROR');
  assert.match(error.message, /PrivateOnly: This project only allows private channels/);
  await until(async () => (await own.metrics()).tidewire_realtime_clients === 1, 'one client');
  const ws = await RawWs.connect(own.port);
  t.after(() => ws.destroy());
  await ws.write(upgradeText(`/realtime/v1/websocket?apikey=${own.anonKey}`));
  const answer = await ws.readResponse();
  assert.deepEqual([answer.status, JSON.parse(answer.body)], [429, { error: 'Too many connected users' }]);
});

const refusals = async (own, t, config, count, ask) => {
  const a = await connect(t, own), w = watch(a.channel('r', config));
  await w.subscribe();
  const answers = await Promise.all(Array.from({ length: count }, (_, i) => ask(w, i)));
  return { w, ok: answers.filter((x) => x === 'ok').length, no: answers.filter((x) => x === 'error').length };
};

test('rates of all clients: a burst is shaped, then refused one by one; nothing is killed', async (t) => {
  const own = await serve(t, { loops: 1, config: { realtime: { messages_per_second: 1, presence_per_second: 2 } } });
  const ack = { broadcast: { ack: true } };
  // A minute's average: 60 at once, then up to 5 s of waiting, then no.
  const { w, ok, no } = await refusals(own, t, { config: ack }, 80, (x, i) => send(x.channel, 'n', { i }));
  assert.ok(ok >= 60 && no >= 5 && ok + no === 80, `${ok} ok, ${no} refused`);
  const tracks = await Promise.all(Array.from({ length: 30 }, (_, i) => w.channel.track({ i })));
  assert.ok(tracks.filter((x) => x === 'ok').length >= 10, `${tracks}`);
  assert.ok(tracks.includes('error'), `${tracks}`);
  assert.deepEqual(w.history, ['SUBSCRIBED']);
});

test('a storm of joins waits its turn; beyond that it is refused with upstream\'s code, and comes in later', async (t) => {
  const own = await serve(t, { loops: 1, config: { realtime: { joins_per_second: 10 } } });
  const a = await connect(t, own);
  const watches = Array.from({ length: 130 }, (_, i) => watch(a.channel(`j${i}`), { presence: false }));
  const answers = await Promise.all(watches.map((w) => w.subscribe('SUBSCRIBED').then(() => w.history)));
  assert.ok(answers.some((h) => h.length > 1), 'some had to ask again');
  assert.ok(answers.every((h) => h.at(-1) === 'SUBSCRIBED'));
});

test('a rate smaller than the number of loops is a rate', async (t) => {
  const own = await serve(t, { loops: 4, config: { realtime: { joins_per_second: 2 } } });
  const ws = new WebSocket(own.ws(`/realtime/v1/websocket?apikey=${own.anonKey}&vsn=2.0.0`));
  t.after(() => ws.terminate());
  const replies = new Queue();
  ws.on('message', (m) => { const f = JSON.parse(m); if (f[3] === 'phx_reply') replies.push(f[4]); });
  await new Promise((resolve) => ws.on('open', resolve));
  for (let i = 0; i < 14; i++) ws.send(JSON.stringify([`${i}`, `${i}`, `realtime:x${i}`, 'phx_join', {}]));
  const no = await replies.find((r) => r.status === 'error', 'a refusal');
  assert.equal(no.response.reason, 'ClientJoinRateLimitReached: Too many joins per second');
});

test('a plan: its limits hold, and a payload of 2 MB passes where it may', async (t) => {
  const free = await serve(t, { config: { realtime: { plan: 'free' } } }), roomy = await serve(t);
  const setup = { config: { broadcast: { ack: true } } };
  const text = 'x'.repeat(2e6);
  const [a, b, c] = [await connect(t, free), await connect(t, roomy), await connect(t, roomy)];
  const wa = watch(a.channel('r', setup)), wb = watch(b.channel('r', setup)), wc = watch(c.channel('r'));
  await Promise.all([wa.subscribe(), wb.subscribe(), wc.subscribe()]);
  assert.equal(await send(wa.channel, 'big', { text }), 'error');
  assert.equal(await send(wa.channel, 'fits', { text: text.slice(0, 2e5) }), 'ok');
  assert.equal(await send(wb.channel, 'big', { text }), 'ok');
  assert.equal((await wc.broadcasts.next()).payload.text.length, 2e6);
  assert.equal(await send(b.channel('never joined'), 'big', { text }), 'ok'); // by REST
  for (let i = 0; i < 5; i++) assert.equal(await wa.channel.track({ i }), 'ok');
  assert.equal(await wa.channel.track({ i: 5 }), 'error');
  const post = async (path, body) => {
    const answer = await fetch(`${free.url}/realtime/v1/api/broadcast${path}`, { method: 'POST', body: JSON.stringify(body),
      headers: { apikey: free.anonKey, 'content-type': 'application/json' } });
    return [answer.status, await answer.text()];
  };
  const part = { topic: 'r', event: 'e', payload: { text: text.slice(0, 150000) } };
  assert.deepEqual(await post('', { messages: [part, part, part] }), [202, '']); // each is small enough
  const { 0: status, 1: words } = await post('/r/events/e', { text: text.slice(0, 300000) });
  assert.equal(status, 422);
  assert.match(words, /Payload size exceeds tenant limit/);
  assert.equal((await post('', { messages: [{ ...part, payload: { text: text.slice(0, 300000) } }] }))[0], 422);
});

test('persist: kept where there is a history, an error with its reason where there is none', async (t) => {
  const own = await serve(t, { config: { channels: { rules: [
    { match: 'private:none', history: { count: 0 }, allow: { subscribe: '*', publish: '*' } },
    { match: '*', allow: { subscribe: '*', publish: '*', history: '*' } }] } } });
  const a = await connect(t, own);
  const setup = { config: { private: true, broadcast: { ack: true } } };
  const kept = watch(a.channel('kept', setup)), none = watch(a.channel('none', setup));
  await Promise.all([kept.subscribe(), none.subscribe()]);
  const persist = (w) => w.channel.send({ type: 'broadcast', event: 'p', payload: {}, persist: { ttl: 60 } });
  assert.equal(await persist(kept), 'ok');
  assert.match(await persist(none), /This channel keeps no history/);
  assert.equal(await send(none.channel, 'plain', {}), 'ok');
});
