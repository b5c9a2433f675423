// SPDX-License-Identifier: Apache-2.0
// A TCP proxy that does to connections what networks do: cut (FIN), reset (RST), half-open (both
// ways swallowed, nobody told), delay, small pieces, one direction stalled, throttled; by hand for
// one connection (proxy.links) or by chance from a seed (proxy.chaos).
//
//   const proxy = await startProxy(t, server.port);
//   client connects to proxy.port
//   proxy.links[0].reset();
//   const chaos = proxy.chaos(new Rng(seed), { every: [20, 200], faults: { cut: 2, reset: 1 } });
//   ... await chaos.stop();
//
// Directions: "up" is to the server, "down" to the client.
// drain() is the fault of a network whose last bytes still arrive. The others lose what is on its way,
// as a proxy in between does.

import net from 'node:net';
import { sleep } from './wait.mjs';

// One direction of a link: a queue of pieces that leaves by the link's present manners.
class Pipe {
  constructor(from, to) {
    this.from = from;
    this.to = to;
    this.queue = [];
    this.queued = 0;
    this.busy = false;
    this.ended = false;
    this.stalled = false;
    this.swallows = false;
    this.delayMs = 0;
    this.pieceMax = 0;
    this.bytesPerSecond = 0;
    this.total = 0;
    from.on('data', (data) => this.#take(data));
    from.on('end', () => this.#end());
  }

  #take(data) {
    this.total += data.length;
    if (this.swallows) return;
    this.queue.push(data);
    this.queued += data.length;
    if (this.queued > 1 << 18) this.from.pause();
    this.run();
  }

  #end() {
    this.ended = true;
    this.run();
  }

  wake() {
    this.run();
  }

  async run() {
    if (this.busy || this.stalled) return;
    this.busy = true;
    while (this.queue.length && !this.stalled && !this.swallows) {
      let data = this.queue.shift();
      if (this.pieceMax && data.length > this.pieceMax) {
        this.queue.unshift(data.subarray(this.pieceMax));
        data = data.subarray(0, this.pieceMax);
      }
      this.queued -= data.length;
      if (this.delayMs) await sleep(this.delayMs);
      if (this.bytesPerSecond) await sleep((data.length * 1000) / this.bytesPerSecond);
      if (this.to.destroyed || this.to.writableEnded) break;
      if (!this.to.write(data)) await this.#room();
      else if (this.pieceMax) await new Promise((resolve) => setImmediate(resolve)); // a segment each
    }
    this.busy = false;
    if (this.queued <= 1 << 17 && !this.stalled) this.from.resume();
    if (this.ended && !this.queue.length && !this.swallows && !this.to.destroyed) this.to.end();
  }

  #room() {
    return new Promise((resolve) => {
      const done = () => {
        this.to.off('drain', done);
        this.to.off('close', done);
        resolve();
      };
      this.to.on('drain', done);
      this.to.on('close', done);
    });
  }
}

// An RST, and gone. A socket that is still shutting down takes none (and Node would lose its handle
// and never end): its FIN is on the way already.
function rst(socket) {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

export class Link {
  constructor(proxy, client, server, index) {
    Object.assign(this, { proxy, client, server, index });
    this.up = new Pipe(client, server);
    this.down = new Pipe(server, client);
    this.closed = false;
    for (const [one, other] of [[client, server], [server, client]]) {
      one.setNoDelay(true);
      one.on('error', () => {});
      one.on('close', (hadError) => this.#onClose(one, other, hadError));
    }
  }

  #onClose(one, other, hadError) {
    if (this.up.swallows) return; // half-open: nobody is told
    if (hadError && !other.destroyed) rst(other);
    if (this.client.destroyed && this.server.destroyed) this.#gone();
    else if (one.destroyed && one === this.client && !other.destroyed) other.end();
  }

  #gone() {
    this.closed = true;
    this.proxy.drop(this);
  }

  // Both ends get a FIN now; what is on its way is lost.
  cut() {
    this.client.destroy();
    this.server.destroy();
    this.#gone();
  }

  // Both ends get an RST now.
  reset() {
    rst(this.client);
    rst(this.server);
    this.#gone();
  }

  // The server gets a FIN; all that it had sent still reaches the client, then its FIN.
  drain() {
    this.up.stalled = true;
    this.up.queue.length = 0;
    this.client.resume();
    this.server.end();
  }

  // Both ways are swallowed and nobody is told. After ms both ends are reset (0: never).
  halfOpen(ms = 0) {
    this.up.swallows = this.down.swallows = true;
    this.client.resume();
    this.server.resume();
    if (ms) setTimeout(() => this.reset(), ms).unref();
  }

  // Nothing passes in that direction until resume(); the sender's window fills up.
  stall(direction) {
    const pipe = this[direction];
    pipe.stalled = true;
    pipe.from.pause();
  }

  resume(direction) {
    const pipe = this[direction];
    pipe.stalled = false;
    pipe.from.resume();
    pipe.wake();
  }

  delay(ms, direction = 'both') {
    this.#each(direction, (pipe) => { pipe.delayMs = ms; });
  }

  split(bytes, direction = 'both') {
    this.#each(direction, (pipe) => { pipe.pieceMax = bytes; });
  }

  throttle(bytesPerSecond, direction = 'both') {
    this.#each(direction, (pipe) => { pipe.bytesPerSecond = bytesPerSecond; });
  }

  #each(direction, fn) {
    if (direction !== 'down') fn(this.up);
    if (direction !== 'up') fn(this.down);
  }
}

export class Proxy {
  constructor(targetPort, targetHost = '127.0.0.1') {
    Object.assign(this, { targetPort, targetHost });
    this.links = [];
    this.accepted = 0;
    this.refusing = false; // new connections are reset at once: an outage
    this.onLink = null; // (link) => {}: manners from its first byte on
    this.counts = {};
  }

  async listen() {
    this.server = net.createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.port = this.server.address().port;
    return this;
  }

  #accept(client) {
    client.on('error', () => {});
    if (this.refusing) {
      rst(client);
      return;
    }
    const server = net.connect({ port: this.targetPort, host: this.targetHost, allowHalfOpen: true });
    const link = new Link(this, client, server, this.accepted++);
    this.links.push(link);
    this.onLink?.(link);
  }

  drop(link) {
    const at = this.links.indexOf(link);
    if (at >= 0) this.links.splice(at, 1);
  }

  // Faults by chance. every: [least, most] ms between two; faults: name -> weight of cut, reset,
  // drain, halfopen, delay, split, stall-up, stall-down; holdMs: how long a stall or a half-open
  // link lasts. The count of each stands in proxy.counts.
  chaos(rng, { every = [20, 200], faults = { cut: 1, reset: 1 }, holdMs = [100, 800] } = {}) {
    const names = Object.entries(faults).flatMap(([name, weight]) => Array(weight).fill(name));
    let stopped = false;
    const run = async () => {
      while (!stopped) {
        await sleep(rng.int(...every));
        const name = rng.pick(names);
        const hold = rng.int(...holdMs);
        const number = rng.u32();
        if (stopped || !this.links.length) continue;
        const link = this.links[number % this.links.length];
        this.counts[name] = (this.counts[name] || 0) + 1;
        this.#strike(link, name, hold, number);
      }
    };
    const done = run();
    return {
      stop: async () => {
        stopped = true;
        await done;
        for (const link of [...this.links]) {
          if (link.up.swallows) link.reset();
          link.delay(0);
          link.split(0);
          for (const direction of ['up', 'down']) if (link[direction].stalled) link.resume(direction);
        }
      },
    };
  }

  #strike(link, name, hold, number) {
    if (name === 'halfopen') link.halfOpen(hold);
    else if (name === 'delay') link.delay(number % 30);
    else if (name === 'split') link.split(1 + (number % 50));
    else if (name.startsWith('stall-')) {
      const direction = name.slice(6);
      link.stall(direction);
      setTimeout(() => link.closed || link.resume(direction), hold).unref();
    } else link[name]();
  }

  async close() {
    for (const link of [...this.links]) link.reset();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export async function startProxy(t, port) {
  const proxy = await new Proxy(port).listen();
  t?.after(() => proxy.close());
  return proxy;
}
