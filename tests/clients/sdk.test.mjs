// SPDX-License-Identifier: Apache-2.0
// @tidewire/client in Node against the real server: each transport, breaks, restarts, tokens.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { startHostile } from './lib/hostile.mjs';
import { startProxy } from './lib/proxy.mjs';
import { Rng } from './lib/rng.mjs';
import { sdk } from './lib/sdk.mjs';
import { serve } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

const { createClient } = await sdk('js');
const TRANSPORTS = ['websocket', 'sse', 'polling'];

function connect(t, port, options = {}) {
  const client = createClient({
    url: `http://127.0.0.1:${port}`,
    WebSocket,
    reconnect: { minDelay: 20, maxDelay: 200 },
    ...options,
  });
  t.after(() => client.close());
  return client;
}
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

for (const transport of TRANSPORTS) {
  test(`${transport}: publish, receive, presence, history, binary, volatile, a clean end`, async (t) => {
    const server = await serve(t);
    const ann = connect(t, server.port, { transports: [transport] });
    const bob = connect(t, server.port, { transports: [transport] });
    const room = ann.channel('room', { presence: true });
    const other = ann.channel('other');
    const got = [];
    room.on('say', (m) => got.push(m));
    const enters = [];
    const leaves = [];
    room.presence.on('enter', ({ key, metas }) => enters.push([key, metas]));
    room.presence.on('leave', ({ key }) => leaves.push(key));
    await Promise.all([room.subscribe(), other.subscribe()]);
    const hers = bob.channel('room');
    await hers.subscribe();
    assert.equal(ann.connection.transport, transport);
    await hers.presence.enter({ name: 'Bob' }, 'bob');
    await until(() => enters.length, 'Bob is here');
    assert.deepEqual(enters, [['bob', [{ name: 'Bob' }]]]);
    assert.deepEqual(await ann.channel('other').presence.get(), [], 'only where he entered');

    const acks = await Promise.all(numbers(1, 5).map((n) => hers.publish('say', { n })));
    assert.deepEqual(
      acks.map((a) => [a.offset, a.duplicate]),
      numbers(1, 5).map((n) => [n, false]),
    );
    const again = await hers.publish('say', { n: 5 }, { id: acks[4].id });
    assert.deepEqual([again.offset, again.duplicate], [5, true]);
    await hers.publish('say', Uint8Array.of(0, 128, 255));
    await until(() => got.length == 6, 'six messages');
    assert.deepEqual(
      got.slice(0, 5).map((m) => [m.offset, m.data.n, m.event, m.channel, m.replayed]),
      numbers(1, 5).map((n) => [n, n, 'say', 'room', false]),
    );
    assert.deepEqual(got[5].data, Uint8Array.of(0, 128, 255));
    const { messages, more } = await room.history({ limit: 2, before: 6 });
    assert.deepEqual([messages.map((m) => m.data.n), more], [[4, 5], true]);
    assert.equal(typeof (await ann.connection.ping()), 'number');

    await hers.presence.leave('bob');
    await until(() => leaves.length, 'Bob left');
    ann.close();
    bob.close();
    await server.settled();
  });

  test(`${transport}: a stormy network loses nothing, repeats nothing, keeps the order`, { timeout: 120000 }, async (t) => {
    const server = await serve(t, { config: { history: { count: 5000, bytes: '16MiB' } } });
    const proxy = await startProxy(t, server.port);
    const reader = connect(t, proxy.port, { transports: [transport] });
    const writer = connect(t, proxy.port, { transports: [transport] });
    const room = reader.channel('storm');
    const got = [];
    const gaps = [];
    room.on('n', (m) => got.push(m.data));
    room.on('gap', (g) => gaps.push(g));
    await room.subscribe();
    const chaos = proxy.chaos(new Rng(7), { every: [40, 160], faults: { cut: 2, reset: 2, delay: 1, split: 1, drain: 1 } });
    const out = writer.channel('storm');
    for (const n of numbers(1, 400)) {
      out.publish('n', n);
      if (n % 20 == 0) await until(() => writer.outbox.size < 20, 'the outbox drains', { ms: 60000 });
    }
    await until(() => writer.outbox.size == 0, 'all acknowledged', { ms: 60000 });
    await chaos.stop();
    await until(
      () => got.length >= 400,
      () => `400 messages, have ${got.length}`,
      { ms: 60000 },
    );
    assert.deepEqual(got, numbers(1, 400));
    assert.deepEqual(gaps, []);
    assert.deepEqual(writer.outbox.failed, []);
  });

  test(`${transport}: the server is killed and comes back: the lost log is told, then live`, { timeout: 60000 }, async (t) => {
    const server = await serve(t);
    const client = connect(t, server.port, { transports: [transport] });
    const room = client.channel('room');
    const got = [];
    const gaps = [];
    room.on('n', (m) => got.push(m.data));
    room.on('gap', (g) => gaps.push(g));
    await room.subscribe();
    for (const n of [1, 2, 3]) await room.publish('n', n);
    await until(() => got.length == 3, 'three');
    await server.kill();
    await until(() => client.connection.state != 'connected', 'it notices');
    const waiting = room.publish('n', 4);
    await server.restart();
    await within(waiting, 'what was published meanwhile is taken');
    await until(() => room.state == 'attached', 'attached again');
    await room.publish('n', 5);
    await until(() => got.at(-1) == 5, 'live again');
    assert.deepEqual(
      got.filter((n) => n != 4),
      [1, 2, 3, 5],
    );
    assert.ok(got.filter((n) => n == 4).length <= 1);
    assert.equal(gaps.length, 1, 'the channel began anew: that is said');
  });

  test(`${transport}: more was missed than is kept: the gap is told exactly`, async (t) => {
    const server = await serve(t, { config: { history: { count: 5 } } });
    const proxy = await startProxy(t, server.port);
    const client = connect(t, proxy.port, { transports: [transport] });
    const room = client.channel('room');
    const told = [];
    room.on('n', (m) => told.push(m.offset));
    room.on('gap', ({ from, to }) => told.push([from, to]));
    await room.subscribe();
    await server.publish({ channel: 'room', event: 'n', content: 1 });
    await until(() => told.length == 1, 'the first');
    proxy.refusing = true;
    [...proxy.links].forEach((link) => link.reset());
    await until(() => client.connection.state != 'connected', 'it notices');
    for (const n of numbers(2, 20)) await server.publish({ channel: 'room', event: 'n', content: n });
    proxy.refusing = false;
    await until(
      () => told.at(-1) == 20,
      () => `caught up: ${JSON.stringify(told)}`,
    );
    assert.deepEqual(told, [1, [2, 15], 16, 17, 18, 19, 20]);
  });
}

test('a proxy that refuses WebSocket: the chat works over SSE', async (t) => {
  const server = await serve(t);
  const hostile = await startHostile(t, server.port, { upgrade: false });
  const client = connect(t, hostile.port);
  const room = client.channel('room');
  const got = [];
  room.on('say', (m) => got.push(m.data));
  const began = Date.now();
  await room.subscribe();
  await room.publish('say', 'hi');
  await until(() => got.length, 'the message');
  assert.equal(client.connection.transport, 'sse');
  assert.ok(Date.now() - began < 10000);
});

test('where there is no WebSocket at all it is SSE, at once', async (t) => {
  const server = await serve(t);
  const client = createClient({ url: server.url, WebSocket: undefined });
  t.after(() => client.close());
  const { WebSocket: own } = globalThis;
  delete globalThis.WebSocket; // newer versions of Node have one
  t.after(() => (globalThis.WebSocket = own));
  await client.channel('room').subscribe();
  assert.equal(client.connection.transport, 'sse');
});

test('a proxy that keeps streams back as well: it works over long poll', async (t) => {
  const server = await serve(t);
  const hostile = await startHostile(t, server.port, { upgrade: false, streams: false });
  const client = connect(t, hostile.port);
  const room = client.channel('room');
  const got = [];
  room.on('say', (m) => got.push(m.data));
  await room.subscribe();
  await room.publish('say', 'hi');
  await until(() => got.length, 'the message');
  assert.equal(client.connection.transport, 'polling');
});

test('a half-open link is found out within two heartbeats, and nothing is lost', async (t) => {
  const server = await serve(t);
  const proxy = await startProxy(t, server.port);
  const client = connect(t, proxy.port, { transports: ['websocket'], heartbeat: 1000 });
  const room = client.channel('room');
  const got = [];
  room.on('n', (m) => got.push(m.data));
  await room.subscribe();
  const lost = new Promise((done) =>
    client.connection.on('change', ({ current }) => current == 'disconnected' && done(Date.now())),
  );
  const began = Date.now();
  proxy.links.forEach((link) => link.halfOpen());
  await server.publish({ channel: 'room', event: 'n', content: 1 });
  const after = (await within(lost, 'it is noticed')) - began;
  assert.ok(after <= 2000 + 500, `noticed after ${after} ms`);
  await until(() => got.length, 'what came meanwhile');
  assert.deepEqual(got, [1]);
});

test('a token is renewed before it ends, and nobody notices', async (t) => {
  const server = await serve(t, { config: { auth: { expiring_ms: '2s' } } });
  const reasons = [];
  const token = ({ reason }) => {
    reasons.push(reason);
    return server.mint({
      sub: 'ann',
      role: 'authenticated',
      exp: Math.floor(Date.now() / 1000) + (reasons.length == 1 ? 4 : 3600),
    });
  };
  for (const transport of TRANSPORTS.slice(0, 2)) {
    reasons.length = 0;
    const client = connect(t, server.port, { transports: [transport], token });
    const changes = [];
    const room = client.channel(`room-${transport}`);
    const got = [];
    room.on('n', (m) => got.push([m.data, m.sender?.sub]));
    await room.subscribe();
    client.connection.on('change', ({ current }) => changes.push(current));
    await until(() => reasons.includes('expiring'), 'asked for another');
    const end = Date.now() + 4000;
    for (let n = 1; Date.now() < end; n++) {
      await room.publish('n', n);
      await new Promise((done) => setTimeout(done, 200));
    }
    assert.deepEqual(changes, [], transport);
    assert.deepEqual(reasons, ['connect', 'expiring'], transport);
    await until(() => got.length && got.every(([, sub]) => sub == 'ann'), 'all of them are hers');
    client.close();
  }
});

test('a bad token ends it, with the code and the words', async (t) => {
  const server = await serve(t);
  for (const transport of TRANSPORTS) {
    const client = connect(t, server.port, { transports: [transport], token: 'not.a.token' });
    await assert.rejects(client.channel('room').subscribe(), { code: 4402, message: 'Invalid authentication token' }, transport);
    assert.equal(client.connection.state, 'failed', transport);
  }
  // Another token is asked for, once.
  const reasons = [];
  const token = ({ reason }) => (reasons.push(reason), reasons.length == 1 ? 'bad' : server.mint({ sub: 'ann' }));
  const client = connect(t, server.port, { token });
  await client.channel('room').subscribe();
  assert.deepEqual([reasons, client.connection.transport], [['connect', 'rejected'], 'websocket']);
});

test('a page from elsewhere is told so', async (t) => {
  const server = await serve(t, { config: { http: { origins: ['https://app.example.com'] } } });
  class Foreign extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { origin: 'https://evil.example.com' });
    }
  }
  const client = connect(t, server.port, { WebSocket: Foreign, transports: ['websocket'] });
  await assert.rejects(client.channel('room').subscribe(), { code: 4430, message: 'Origin not allowed' });
});

test('a channel that is not ours fails alone', async (t) => {
  const server = await serve(t, {
    config: {
      channels: {
        rules: [
          { match: 'secret', allow: { subscribe: 'none' } },
          { match: '*', allow: { subscribe: '*' } },
        ],
      },
    },
  });
  for (const transport of TRANSPORTS) {
    const client = connect(t, server.port, { transports: [transport] });
    const open = client.channel('open').subscribe();
    const secret = client.channel('secret').subscribe();
    await assert.rejects(secret, { code: 4403 }, transport);
    await open;
    assert.equal(client.connection.state, 'connected', transport);
    client.close();
  }
});

test('a thousand subscriptions come and go, none is left', async (t) => {
  const server = await serve(t);
  const client = connect(t, server.port, { transports: ['websocket'] });
  client.connect();
  for (let n = 0; n < 1000; n++) {
    const room = client.channel(`room-${n % 50}`);
    room.subscribe();
    room.unsubscribe();
  }
  const last = client.channel('last');
  await last.subscribe();
  await until(async () => (await server.metric('tidewire_subscriptions')) == 1, 'one subscription');
  client.close();
  await server.settled();
});

test('a drain sends everybody away and back, with nothing lost', { timeout: 60000 }, async (t) => {
  const server = await serve(t);
  const clients = TRANSPORTS.map((transport) => connect(t, server.port, { transports: [transport] }));
  const rooms = clients.map((client) => client.channel('room'));
  await Promise.all(rooms.map((room) => room.subscribe()));
  await server.stop();
  server.child = null;
  await until(() => clients.every((c) => c.connection.state != 'connected'), 'all were told');
  await server.restart();
  await until(() => clients.every((c) => c.connection.state == 'connected'), 'all are back', { ms: 40000 });
  await until(() => rooms.every((r) => r.state == 'attached'), 'all attached');
});

test('deltas: what is rebuilt is what was published, for fewer bytes', async (t) => {
  const server = await serve(t);
  const { deltas } = await sdk('js', 'delta');
  const sizes = { plain: 0, delta: 0 };
  const got = { plain: [], delta: [] };
  for (const kind of ['plain', 'delta']) {
    class Counted extends WebSocket {
      constructor(...all) {
        super(...all);
        this.on('message', (data) => (sizes[kind] += data.length));
      }
    }
    const client = connect(t, server.port, {
      transports: ['websocket'],
      WebSocket: Counted,
      ...(kind == 'delta' && { delta: deltas() }),
    });
    const doc = client.channel('doc', kind == 'delta' ? { delta: true } : {});
    doc.on('doc', (m) => got[kind].push(m.data));
    await doc.subscribe();
  }
  const content = { title: 'é', text: 'lorem ipsum '.repeat(170), n: 0 };
  const all = [];
  for (let n = 1; n <= 200; n++) {
    content.n = n;
    all.push({ ...content });
    await server.publish({ channel: 'doc', event: 'doc', key: 'd', content });
  }
  await until(
    () => got.plain.length == 200 && got.delta.length == 200,
    () => `all: ${got.plain.length}, ${got.delta.length}`,
  );
  assert.deepEqual(got.delta, all);
  assert.deepEqual(got.plain, all);
  t.diagnostic(`bytes: ${sizes.plain} whole, ${sizes.delta} as deltas`);
  assert.ok(sizes.delta < sizes.plain / 5, `${sizes.delta} of ${sizes.plain} bytes`);
});
