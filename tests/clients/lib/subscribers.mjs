// SPDX-License-Identifier: Apache-2.0
// Clients of the plain dialects that never give up, and report to the checker what they got. Each
// takes { port, channels, sub, rng } and has start(), stop() and, once subscribed, `ready`.
//
//   WsSince    a WebSocket that names its positions (as the SDK does)
//   WsGuide    the guide's WebSocket behind a proxy: a cookie, and subscribe again on every open, no
//              position. What the proxy took may be lost there, so it may get messages again; their
//              ids show it. WsDirect: nobody in between; its own kernel is the server's witness, and
//              all that can happen to it is that it does not look (chaos)
//   Sse        an EventSource; SseFrames reads frames=1 by fetch
//   Poll       fetch loop with a cursor, with or without batch; PollCookie with a cookie jar
import http from 'node:http';
import WebSocket from 'ws';
import { EventSource } from 'eventsource';
import { EventStream } from './sse.mjs';
import { deferred, sleep, within } from './wait.mjs';

class Client {
  constructor(options) {
    Object.assign(this, options);
    this.url = `127.0.0.1:${this.port}`;
    this.query = this.channels.map((c) => `channel=${encodeURIComponent(c)}`).join('&');
    this.stopped = false;
    this.connects = 0;
    this.started = new Set();
    this.all = deferred();
    this.ready = this.all.promise;
    this.trace = []; // what happened, for the report of a failure
  }

  note(text) {
    if (this.trace.push(`${Date.now() % 1000000} ${this.sub.name}/${this.connects}: ${text}`) > 5000) this.trace.shift();
  }

  // Where a channel begins for this client; ready when all are known.
  begins(channel, position) {
    this.sub.starts(channel, position);
    this.started.add(channel);
    if (this.started.size === this.channels.length) this.all.resolve();
  }

  pause() {
    return sleep(this.rng.int(5, 60));
  }
}

// ---- WebSocket -----------------------------------------------------------------------------------

class Ws extends Client {
  start() {
    this.#connect();
  }

  #connect() {
    this.connects++;
    const ws = new WebSocket(`ws://${this.url}/socket${this.search ?? ''}`, { headers: this.headers?.() ?? {} });
    this.ws = ws;
    // As a page would not know: only the end of the connection brings it back.
    ws.on('upgrade', (answer) => this.onUpgrade?.(answer));
    ws.on('open', () => this.onOpen(ws));
    ws.on('message', (data) => {
      this.note(data.toString().slice(0, 160));
      this.onFrame(JSON.parse(data.toString()), ws);
    });
    ws.on('error', () => {});
    ws.on('close', async (code) => {
      this.note(`closed ${code}`);
      if (this.stopped || this.ws !== ws) return;
      await this.pause();
      if (!this.stopped) this.#connect();
    });
  }

  onMessage(m) {
    if (m.type === 'message') this.sub.message(m.channel, m);
    else if (m.type === 'gap') this.sub.gap(m.channel, m.from, m.to);
    else if (m.type === 'error') this.sub.errors.push(`${this.sub.name}: ${JSON.stringify(m)}`);
  }

  async stop() {
    this.stopped = true;
    this.ws.close(1000);
    await Promise.race([new Promise((resolve) => this.ws.on('close', resolve)), sleep(500)]);
    this.ws.terminate();
  }
}

export class WsSince extends Ws {
  search = '?session=none';

  onOpen(ws) {
    const since = {};
    for (const c of this.channels) {
      const at = this.sub.position(c);
      if (at) since[c] = at;
    }
    ws.send(JSON.stringify({ type: 'subscribe', channels: this.channels, since }));
  }

  onFrame(m) {
    if (m.type === 'subscribed' && !this.sub.position(m.channel)) this.begins(m.channel, m);
    else this.onMessage(m);
  }
}

export class WsGuide extends Ws {
  cookie = '';
  repeats = 0;

  proxied = { 'X-Forwarded-For': '192.0.2.7' };

  headers() {
    return { ...this.proxied, ...(this.cookie ? { Cookie: this.cookie } : { Origin: `http://${this.url}` }) };
  }

  onUpgrade(answer) {
    const set = answer.headers['set-cookie']?.[0];
    if (set) this.cookie = set.split(';')[0];
  }

  onOpen(ws) {
    for (const channel of this.channels) ws.send(JSON.stringify({ type: 'subscribe', channel }));
  }

  onFrame(m) {
    if (m.type === 'subscribed') {
      const at = this.sub.position(m.channel);
      if (!at) this.begins(m.channel, m);
      // It cannot say where it was: "not recovered" is the word for what it lost.
      else if (at.epoch !== m.epoch && !m.recovered) this.sub.reset(m.channel, m);
    } else if (m.type === 'message' && this.sub.has(m.channel, m.id.split('-')[0], m.offset)) {
      this.repeats++; // was on its way when the connection ended: its id shows it
    } else if (m.type === 'gap' && m.from <= (this.sub.position(m.channel)?.offset ?? 0)) {
      const from = this.sub.position(m.channel).offset + 1; // the server does not know what it has
      if (from <= m.to) this.onMessage({ ...m, from });
    } else {
      this.onMessage(m);
    }
  }
}

export class WsDirect extends WsGuide {
  proxied = {};

  // Now and then it does not look at its socket, at times for so long that the server gives it up.
  chaos() {
    let stopped = false;
    const run = async () => {
      while (!stopped) {
        await sleep(this.rng.int(100, 600));
        const socket = this.ws._socket;
        socket?.pause();
        await sleep(this.rng.pick([20, 100, 500, 2000]));
        socket?.resume();
      }
    };
    const done = run();
    return { stop: () => { stopped = true; return done; } };
  }
}

// ---- Server-Sent Events ----------------------------------------------------------------------------

// Content must be { c: channel, ... }: the plain form names no channel.
export class Sse extends Client {
  start() {
    this.es = new EventSource(`http://${this.url}/api/events?${this.query}`);
    this.es.onopen = () => { this.connects++; };
    this.es.onmessage = (e) => {
      const content = JSON.parse(e.data);
      if (content.type === 'connected') return;
      const ids = e.lastEventId.split('~');
      this.sub.message(content.c, { id: ids[ids.length > 1 ? this.channels.indexOf(content.c) : 0], content });
    };
    this.es.addEventListener('gap', (e) => {
      const { channel, from, to } = JSON.parse(e.data);
      this.sub.gap(channel, from, to);
    });
    this.es.onerror = () => {
      if (this.es.readyState === EventSource.CLOSED) this.sub.errors.push(`${this.sub.name}: the EventSource gave up`);
    };
  }

  stop() {
    this.stopped = true;
    this.es.close();
  }
}

export class SseFrames extends Client {
  start() {
    this.running = this.#run();
  }

  async #run() {
    while (!this.stopped) {
      this.connects++;
      const since = this.channels.map((c) => this.sub.position(c)).map((p) => (p ? `${p.epoch}-${p.offset}` : '')).join('~');
      try {
        this.stream = await EventStream.open(`http://${this.url}/api/events?frames=1&${this.query}&since=${since}`);
        for (;;) this.#frame(await this.stream.json(3600000));
      } catch {
        this.stream?.abort.abort();
        await this.pause();
      }
    }
  }

  #frame(m) {
    if (m.type === 'subscribed' && !this.sub.position(m.channel)) this.begins(m.channel, m);
    else if (m.type === 'message') this.sub.message(m.channel, m);
    else if (m.type === 'gap') this.sub.gap(m.channel, m.from, m.to);
  }

  async stop() {
    this.stopped = true;
    this.stream?.abort.abort();
    await this.running;
  }
}

// ---- long poll ---------------------------------------------------------------------------------------

class Polling extends Client {
  start() {
    this.running = this.#run();
  }

  async #run() {
    while (!this.stopped) {
      try {
        const m = await within(this.ask(), 'a poll', 8000);
        for (const one of m.messages ?? [m]) {
          if (one.type === 'message') this.sub.message(one.channel, one);
          else if (one.type === 'gap') this.sub.gap(one.channel, one.from, one.to);
        }
        this.onAnswer?.(m);
      } catch {
        this.connects++;
        await this.pause();
      }
    }
  }

  async stop() {
    this.stopped = true;
    this.control?.abort();
    await this.running;
  }
}

// begins at a position it was given: a loop that is not told where it stands would not know either
export class Poll extends Polling {
  onAnswer(m) {
    this.cursor = m.cursor;
  }

  async ask() {
    this.control = new AbortController();
    const timer = setTimeout(() => this.control.abort(), 3000);
    try {
      const answer = await fetch(`http://${this.url}/api/poll?${this.query}&timeout=1000${this.batch ? '&batch=1' : ''}`
        + `&cursor=${this.cursor ?? ''}`, { signal: this.control.signal });
      return await answer.json();
    } finally {
      clearTimeout(timer);
    }
  }
}

export class PollCookie extends Polling {
  agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  ask() {
    return new Promise((resolve, reject) => {
      const req = http.get({
        host: '127.0.0.1', port: this.port, path: `/api/poll?${this.query}&timeout=1000`, agent: this.agent, timeout: 3000,
        headers: { 'user-agent': this.sub.name, ...(this.cookie ? { cookie: this.cookie } : {}) },
      }, (res) => {
        const parts = [];
        res.on('data', (d) => parts.push(d));
        res.on('error', reject);
        res.on('aborted', () => reject(new Error('aborted')));
        res.on('end', () => {
          if (res.statusCode !== 200 || !res.complete) return reject(new Error(String(res.statusCode)));
          const set = res.headers['set-cookie']?.[0];
          if (set) this.cookie = set.split(';')[0];
          return resolve(JSON.parse(Buffer.concat(parts).toString()));
        });
      });
      this.control = { abort: () => req.destroy() };
      req.on('timeout', () => req.destroy(new Error('timeout')));
      req.on('error', reject);
    });
  }

  async stop() {
    await super.stop();
    this.agent.destroy();
  }
}
