// SPDX-License-Identifier: Apache-2.0
// The `ws` package as a client of the plain dialect: frames by type, answers by ref, and a cookie
// jar of one, so that it can come back as a browser does.
import WebSocket from 'ws';
import { deferred, Queue, within } from './wait.mjs';

export class NativeClient {
  #refs = new Map();
  #ref = 0;

  // url: ws://…/socket?…; jar: an object that keeps the cookie between connections
  constructor(url, { jar, headers = {}, protocols = [], ...options } = {}) {
    if (jar?.cookie) headers = { ...headers, Cookie: jar.cookie };
    this.frames = new Queue(); // everything that no ref asked for
    this.binary = new Queue();
    this.closed = deferred();
    this.pings = 0;
    this.bad = []; // text frames that were no JSON objects with a type
    this.ws = new WebSocket(url, protocols, { headers, ...options });
    this.ws.on('upgrade', (answer) => {
      const cookie = answer.headers['set-cookie']?.[0];
      if (jar && cookie) jar.cookie = cookie.split(';')[0];
      this.setCookie = cookie;
      this.extensions = answer.headers['sec-websocket-extensions'];
    });
    this.ws.on('ping', () => { this.pings++; });
    this.ws.on('message', (data, isBinary) => this.#take(data, isBinary));
    this.ws.on('error', (error) => { this.error = error; });
    this.ws.on('close', (code, reason) => {
      const end = { code, reason: reason.toString() };
      this.closed.resolve(end);
      this.frames.finish(Object.assign(new Error(`closed with ${code} ${end.reason}`), end));
      for (const d of this.#refs.values()) d.reject(new Error(`closed with ${code}`));
    });
  }

  static async open(url, options) {
    const c = new NativeClient(url, options);
    c.connected = await c.type('connected');
    return c;
  }

  #take(data, isBinary) {
    if (isBinary) {
      this.binary.push(data);
      return;
    }
    let m;
    try {
      m = JSON.parse(data.toString());
    } catch {
      this.bad.push(data.toString());
      return;
    }
    if (typeof m.type !== 'string') this.bad.push(data.toString());
    this.onFrame?.(m, data.length);
    const waiting = m.ref !== undefined && this.#refs.get(m.ref);
    if (waiting) {
      this.#refs.delete(m.ref);
      waiting.resolve(m);
    } else {
      this.frames.push(m);
    }
  }

  send(frame) {
    this.ws.send(JSON.stringify(frame));
  }

  // Sends with a ref of its own and waits for the frame that brings it back.
  ask(frame, ms) {
    const ref = `r${++this.#ref}`;
    const d = deferred();
    this.#refs.set(ref, d);
    this.send({ ...frame, ref });
    return within(d.promise, `the answer to ${JSON.stringify(frame).slice(0, 200)}`, ms);
  }

  async subscribe(channel, more = {}) {
    const answer = await this.ask({ type: 'subscribe', channel, ...more });
    if (answer.type !== 'subscribed') throw new Error(JSON.stringify(answer));
    return answer;
  }

  // The next frame of that type; others before it are dropped.
  type(type, ms) {
    return this.frames.find((m) => m.type === type, `a frame "${type}"`, ms);
  }

  async messages(count, ms) {
    const out = [];
    while (out.length < count) out.push(await this.type('message', ms));
    return out;
  }

  // The server has nothing more for us: all that was sent before it is here.
  async settle() {
    await this.ask({ type: 'ping' });
    return this.frames.takeAll();
  }

  // { code, reason } once the connection is over, whoever ended it.
  ended(ms) {
    return within(this.closed.promise, 'the end of the WebSocket', ms);
  }

  close(code = 1000) {
    this.ws.close(code);
    return this.ended();
  }

  // The connection is lost, nobody says goodbye.
  async lose() {
    this.ws._socket?.resetAndDestroy();
    this.ws.terminate();
    return this.ended();
  }
}
