// SPDX-License-Identifier: Apache-2.0
// Socket.IO clients on a network that cuts: every message of every room they are in arrives once
// and in order, and each return is a recovery (nobody is ever in zero rooms by surprise). Polling
// only is the worst case of the reference (docs/protocols/socketio.md).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { io } from 'socket.io-client';
import { Checker } from './lib/checker.mjs';
import { startProxy } from './lib/proxy.mjs';
import { Rng, seeds } from './lib/rng.mjs';
import { BIN, serve, sleep, until } from './lib/server.mjs';

const ROOMS = ['c0', 'c1', 'c2', 'c3', 'c4'];
const CLIENTS = Number(process.env.CLIENTS || 10);
const MESSAGES = Number(process.env.MESSAGES || 60);
const WAYS = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };

const config = {
  socketio: { ping_interval_ms: '1s', ping_timeout_ms: '2s', upgrade_timeout_ms: '2s' },
  limits: { messages_per_second: 0 },
  history: { count: 5000, bytes: '8MiB' },
};

// Swallowed connections may be left on the proxy's far side; they are nobody's.
after(() => setTimeout(() => process.exit(), 3000).unref());

class Client {
  constructor(url, transports, name, rooms, checker) {
    Object.assign(this, { name, rooms, failures: [], connects: 0, recoveries: 0, last: new Map() });
    this.sub = checker.subscriber(name);
    this.socket = io(url, {
      transports, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 200, timeout: 2000,
    });
    this.socket.on('connect', () => {
      this.connects++;
      if (this.connects > 1 && !this.socket.recovered) this.failures.push('not recovered');
      if (this.connects > 1) this.recoveries++;
    });
    this.socket.on('msg', (content, id) => {
      this.sub.message(content.room, { id, content });
      this.last.set(content.room, content.n);
    });
  }

  async join() {
    await until(() => this.socket.connected, 'the connection');
    for (const room of this.rooms) {
      // A busy machine may cost it its connection meanwhile; then it asks again.
      const ask = () => this.socket.timeout(10000).emitWithAck('join-room', room).catch(() => null);
      await until(ask, `${this.name} in ${room}`, { ms: 40000 });
    }
  }
}

async function run(t, way, seed) {
  const rng = new Rng(seed);
  const server = await serve(t, { config });
  const proxy = await startProxy(t, server.port);
  const checker = new Checker();
  const clients = Array.from({ length: CLIENTS }, (_, i) => {
    const rooms = [0, 1, 2].map((k) => ROOMS[(i + k) % ROOMS.length]);
    return new Client(`http://127.0.0.1:${proxy.port}`, WAYS[way], `${way}-${i}`, rooms, checker);
  });
  t.after(() => clients.forEach((c) => c.socket.disconnect()));
  await Promise.all(clients.map((c) => c.join()));
  for (const room of ROOMS) {
    const at = await server.channel(room, '?limit=0');
    for (const c of clients) if (c.rooms.includes(room)) c.sub.starts(room, at);
  }
  const chaos = proxy.chaos(rng.fork('chaos'), {
    every: [5, 60], holdMs: [100, 1500],
    faults: { cut: 4, reset: 3, drain: 2, halfopen: 1, delay: 1, split: 1, 'stall-down': 1, 'stall-up': 1 },
  });
  for (let n = 1; n <= MESSAGES; n++) {
    for (const room of ROOMS) {
      const content = { room, n, pad: 'x'.repeat(rng.int(0, 200)) };
      const a = await server.publish({ channel: room, event: 'msg', content }).catch((error) => {
        throw new Error(`publish: ${error.cause ?? error}\n${server.log().slice(-5000)}`);
      });
      checker.acked(room, a, content);
    }
    await sleep(rng.int(0, 40));
  }
  await chaos.stop();
  await until(() => clients.every((c) => c.rooms.every((room) => c.last.get(room) === MESSAGES)),
    () => `all to the end: ${JSON.stringify(clients.filter((c) => c.rooms.some((r) => c.last.get(r) !== MESSAGES))
      .map((c) => [c.name, c.socket.connected, c.socket.id, c.connects, c.failures.join(), ...c.rooms.map((r) => c.last.get(r))]))}`,
    { ms: 30000 });
  const verdict = checker.check();
  const recoveries = clients.reduce((sum, c) => sum + c.recoveries, 0);
  t.diagnostic(`seed ${seed}: ${verdict.delivered} delivered, ${recoveries} recoveries, ${JSON.stringify(proxy.counts)}`);
  assert.deepEqual(clients.flatMap((c) => c.failures.map((f) => `${c.name}: ${f}`)), []);
  assert.ok(recoveries > CLIENTS / 2, `only ${recoveries} recoveries: the proxy did no harm`);
  clients.forEach((c) => c.socket.disconnect());
}

for (const way of Object.keys(WAYS))
  for (const seed of seeds(1))
    test(`${way} under faults, seed ${seed}: no loss, no repeat, in order, always recovered`,
      (t) => run(t, way, seed));

// What is sent to an id finds its socket while that follows its client from loop to loop.
test('events to a socket alone under faults: all, once, in order', async (t) => {
  const rng = new Rng(7);
  const server = await serve(t, { config, bin: path.join(path.dirname(fs.realpathSync(BIN)), 'examples/echo') });
  const proxy = await startProxy(t, server.port);
  const ways = [...Object.keys(WAYS), ...Object.keys(WAYS)];
  const teller = io(server.url, { transports: ['websocket'], forceNew: true });
  const clients = ways.map((way, i) => {
    const c = { name: `${way}-${i}`, got: [], failures: [], connects: 0 };
    c.socket = io(`http://127.0.0.1:${proxy.port}`, {
      transports: WAYS[way], forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 200, timeout: 2000,
    });
    c.socket.on('connect', () => {
      if (++c.connects > 1 && !c.socket.recovered) c.failures.push(`${c.name}: not recovered`);
    });
    c.socket.on('told', (n) => c.got.push(n));
    return c;
  });
  t.after(() => [teller, ...clients.map((c) => c.socket)].forEach((socket) => socket.disconnect()));
  for (const c of clients) {
    await until(() => c.socket.connected, `${c.name} connected`, { ms: 40000 });
    c.id = c.socket.id;
  }
  const chaos = proxy.chaos(rng.fork('chaos'), {
    every: [5, 60], holdMs: [100, 1000],
    faults: { cut: 4, reset: 3, drain: 2, halfopen: 1, delay: 1, split: 1, 'stall-down': 1, 'stall-up': 1 },
  });
  for (let n = 1; n <= MESSAGES; n++) {
    await Promise.all(clients.map((c) => teller.timeout(20000).emitWithAck('io-to', c.id, '', n)));
    await sleep(rng.int(0, 40));
  }
  await chaos.stop();
  const state = () => JSON.stringify(clients.map((c) => [c.name, c.connects, c.failures.length, c.got.length]));
  await until(() => clients.every((c) => c.failures.length || c.got.length >= MESSAGES), () => `all told: ${state()}`, { ms: 30000 });
  t.diagnostic(state());
  const all = Array.from({ length: MESSAGES }, (_, i) => i + 1);
  for (const c of clients) {
    assert.deepEqual(c.failures, []);
    assert.deepEqual(c.got, all, c.name);
  }
});

test('an outage of 14 seconds leaves no client behind', async (t) => {
  const server = await serve(t, { config: { ...config, socketio: {} } });
  const proxy = await startProxy(t, server.port);
  // The guide's settings: five attempts, one second at first.
  const clients = ['polling', 'websocket', 'upgrade'].map((way) => {
    const socket = io(`http://127.0.0.1:${proxy.port}`, {
      transports: WAYS[way], forceNew: true, reconnectionAttempts: 5, reconnectionDelay: 1000,
    });
    const c = { way, socket, got: [], failed: false };
    socket.on('msg', (content) => c.got.push(content.n));
    socket.io.on('reconnect_failed', () => { c.failed = true; });
    return c;
  });
  t.after(() => clients.forEach((c) => c.socket.disconnect()));
  for (const c of clients) {
    await until(() => c.socket.connected, `${c.way} connected`);
    await c.socket.timeout(10000).emitWithAck('join-room', 'out');
  }
  proxy.refusing = true;
  for (const link of [...proxy.links]) link.reset();
  await until(() => clients.every((c) => !c.socket.connected), 'all gone');
  const began = Date.now();
  for (let n = 1; n <= 14; n++) {
    await server.publish({ channel: 'out', event: 'msg', content: { n } });
    // The jitter of the clients allows no more than that in the worst case.
    await sleep(Math.max(0, began + n * 600 - Date.now()));
  }
  proxy.refusing = false;
  const all = Array.from({ length: 14 }, (_, i) => i + 1);
  await until(() => clients.every((c) => c.failed || c.got.length >= 14), 'all back', { ms: 30000 });
  for (const c of clients) {
    assert.equal(c.failed, false, c.way);
    assert.equal(c.socket.recovered, true, c.way);
    assert.deepEqual(c.got, all, c.way);
  }
});
