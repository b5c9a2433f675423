// SPDX-License-Identifier: Apache-2.0
// The plain dialects on a network that cuts, resets, half-opens and delays: every message arrives
// once and in order, whatever happens to the connections. Each client says where it stands in its
// dialect's own slot: `since` (WebSocket), Last-Event-ID (SSE), the cursor (long poll). A WebSocket
// client that says nothing is exact where the server sees the client's own kernel, which a proxy
// hides: that case is the simulator's (tests/sim).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import { Checker } from './lib/checker.mjs';
import { startProxy } from './lib/proxy.mjs';
import { Rng, seeds } from './lib/rng.mjs';
import { serve, sleep, until } from './lib/server.mjs';

const ROOMS = ['c0', 'c1', 'c2'];
const CLIENTS = Number(process.env.CLIENTS || 5); // of each kind
const MESSAGES = Number(process.env.MESSAGES || 120); // in each room

const config = {
  ws: { ping_ms: '1s', pong_ms_max: '800ms' },
  sse: { heartbeat_ms: '1s', retry_ms: '30ms' },
  limits: { messages_per_second: 0 },
  history: { count: 5000, bytes: '8MiB' },
};

class Client {
  constructor(base, name, rooms, checker) {
    Object.assign(this, { base, name, rooms, returns: 0, failures: [], isOver: false });
    this.places = new Map();
    this.last = new Map();
    this.sub = checker.subscriber(name);
  }

  heard(room, offset, epoch, content) {
    this.sub.message(room, { epoch, offset, content });
    this.last.set(room, content.n);
  }
}

class WsClient extends Client {
  connect() {
    const socket = new WebSocket(`${this.base.replace('http', 'ws')}/socket?session=none`);
    const alive = () => {
      clearTimeout(this.watch);
      this.watch = setTimeout(() => socket.terminate(), 2500); // half-open: no ping for too long
    };
    this.socket = socket;
    alive();
    socket.on('ping', alive);
    socket.on('open', () => socket.send(JSON.stringify({
      type: 'subscribe', channels: this.rooms, ...(this.isReady && { since: Object.fromEntries(this.places) }),
    })));
    socket.on('message', (data) => this.frame(JSON.parse(data)));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(this.watch);
      if (!this.isOver) this.retry = setTimeout(() => this.connect(), 20 + Math.random() * 150);
    });
  }

  frame(m) {
    if (m.type === 'subscribed') {
      if (this.isReady) {
        this.returns++;
        if (!m.recovered) this.failures.push('not recovered');
      } else {
        this.places.set(m.channel, { epoch: m.epoch, offset: m.offset });
      }
    }
    if (m.type === 'message') this.places.set(m.channel, { epoch: m.id.split('-')[0], offset: m.offset });
    if (m.type === 'gap') this.sub.gap(m.channel, m.from, m.to);
    if (m.type === 'message') this.heard(m.channel, m.offset, m.id.split('-')[0], m.content);
  }

  get isReady() {
    return this.places.size === this.rooms.length;
  }

  close() {
    this.isOver = true;
    clearTimeout(this.retry);
    clearTimeout(this.watch);
    this.socket?.close();
  }
}

class SseClient extends Client {
  connect() {
    const query = this.rooms.map((room) => `channel=${room}`).join('&');
    this.source = new EventSource(`${this.base}/api/events?${query}`);
    this.source.onopen = () => { this.returns += this.opened ? 1 : 0; this.opened = true; };
    this.source.onmessage = (e) => {
      const content = JSON.parse(e.data);
      if (content.type === 'connected') this.isReady = true;
      else this.heard(content.room, content.n, undefined, content);
    };
    this.source.addEventListener('gap', (e) => {
      const gap = JSON.parse(e.data);
      this.sub.gap(gap.channel, gap.from, gap.to);
    });
  }

  close() {
    this.source.close();
  }
}

class PollClient extends Client {
  async connect() {
    const query = this.rooms.map((room) => `channel=${room}`).join('&');
    let cursor = '';
    while (!this.isOver) {
      try {
        this.abort = new AbortController();
        const timer = setTimeout(() => this.abort.abort(), 4000);
        const url = `${this.base}/api/poll?${query}&batch=1&timeout=2000&cursor=${cursor}`;
        const answer = await (await fetch(url, { signal: this.abort.signal })).json();
        clearTimeout(timer);
        for (const m of answer.messages) {
          if (m.type === 'gap') this.sub.gap(m.channel, m.from, m.to);
          if (m.type === 'message') this.heard(m.channel, m.offset, m.id.split('-')[0], m.content);
        }
        cursor = answer.cursor;
        this.isReady = true;
      } catch {
        this.returns++;
        await sleep(30);
      }
    }
  }

  close() {
    this.isOver = true;
    this.abort?.abort();
  }
}

const KINDS = { ws: WsClient, sse: SseClient, 'sse-many': SseClient, poll: PollClient };

async function run(t, seed) {
  const rng = new Rng(seed);
  const server = await serve(t, { config });
  const proxy = await startProxy(t, server.port);
  const plain = await startProxy(t, server.port); // for streams: nothing tells them of a half-open link
  const checker = new Checker();
  const clients = Object.entries(KINDS).flatMap(([kind, Kind]) =>
    Array.from({ length: CLIENTS }, (_, i) => {
      const rooms = kind === 'sse' ? [ROOMS[i % ROOMS.length]] : [ROOMS[i % 3], ROOMS[(i + 1) % 3]];
      const port = kind.startsWith('sse') ? plain.port : proxy.port;
      return new Kind(`http://127.0.0.1:${port}`, `${kind}-${i}`, rooms, checker);
    }));
  t.after(() => clients.forEach((c) => c.close()));
  for (const c of clients) c.connect();
  // A first message tells each poller where it stands; it is not counted.
  await until(() => clients.every((c) => c.isReady || c instanceof PollClient), 'all subscribed');
  await until(() => clients.every((c) => c.isReady), 'all polling');
  const places = {};
  for (const room of ROOMS) {
    places[room] = await server.channel(room, '?limit=0');
    for (const c of clients) if (c.rooms.includes(room)) c.sub.starts(room, places[room]);
  }
  for (const c of clients) {
    const { sub } = c;
    const message = sub.message.bind(sub);
    sub.message = (room, m) => message(room, { ...m, epoch: m.epoch ?? places[room].epoch });
  }
  const faults = { cut: 4, reset: 3, drain: 2, delay: 1, split: 1, 'stall-down': 1, 'stall-up': 1 };
  const storms = [
    proxy.chaos(rng.fork('a'), { every: [10, 80], holdMs: [100, 1500], faults: { ...faults, halfopen: 1 } }),
    plain.chaos(rng.fork('b'), { every: [10, 80], holdMs: [100, 800], faults }),
  ];
  for (let n = 1; n <= MESSAGES; n++) {
    for (const room of ROOMS) {
      const content = { room, n, pad: 'x'.repeat(rng.int(0, 200)) };
      checker.acked(room, await server.publish({ channel: room, content }), content);
    }
    await sleep(rng.int(0, 25));
  }
  for (const storm of storms) await storm.stop();
  const behind = () => clients.filter((c) => c.rooms.some((room) => c.last.get(room) !== MESSAGES));
  await until(() => !behind().length,
    () => `all to the end: ${JSON.stringify(behind().map((c) => [c.name, ...c.rooms.map((r) => c.last.get(r))]))}`,
    { ms: 30000 });
  assert.deepEqual(clients.flatMap((c) => c.failures.map((f) => `${c.name}: ${f}`)), []);
  const verdict = checker.check();
  const returns = clients.reduce((sum, c) => sum + c.returns, 0);
  t.diagnostic(`seed ${seed}: ${verdict.delivered} delivered, ${returns} returns, ${JSON.stringify(proxy.counts)}`);
  assert.ok(returns > clients.length / 2, `only ${returns} returns: the proxies did no harm`);
  clients.forEach((c) => c.close());
}

for (const seed of seeds(3))
  test(`plain dialects under faults, seed ${seed}: no loss, no repeat, in order`, (t) => run(t, seed));
