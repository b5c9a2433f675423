// SPDX-License-Identifier: Apache-2.0
// The promise under a hostile network: clients of each plain dialect behind a proxy that cuts,
// resets, half-opens, delays, stalls and splits, by chance from a seed. Afterwards each has each
// message exactly once, in order. When the server itself dies (its log is in memory), what was lost
// is declared, never silent.
//
// SEED=n repeats a run; SEEDS=n makes more.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Checker } from './lib/checker.mjs';
import { startProxy } from './lib/proxy.mjs';
import { Rng, seeds } from './lib/rng.mjs';
import { serve, sleep } from './lib/server.mjs';
import { Poll, PollCookie, Sse, SseFrames, WsDirect, WsGuide, WsSince } from './lib/subscribers.mjs';
import { until, within } from './lib/wait.mjs';

const CHANNELS = ['alpha', 'beta', 'gamma'];
const CONFIG = {
  ws: { ping_ms: '1s', pong_ms_max: '400ms' }, sse: { retry_ms: '30ms', heartbeat_ms: '1s' },
  history: { count: 100000, bytes: '64MiB' }, session: { resume_ms: '1m' },
};
const FAULTS = { cut: 3, reset: 3, halfopen: 2, drain: 1, delay: 1, split: 1, 'stall-up': 1, 'stall-down': 1 };

class World {
  constructor(seed) {
    this.rng = new Rng(seed);
    this.checker = new Checker();
    this.published = 0;
    this.clients = [];
    this.chaos = [];
  }

  async begin(t, config = CONFIG) {
    this.server = await serve(t, { config });
    this.proxy = await startProxy(t, this.server.port);
    t.after(async () => {
      await this.calm();
      await Promise.all(this.clients.map((c) => c.stop()));
    });
    for (const c of CHANNELS) await this.publish(c); // each log has an epoch and an offset 1
  }

  // One message, repeated with its id until it is acknowledged; only that counts.
  async publish(channel, count = 1) {
    const batch = Array.from({ length: count }, () => {
      const n = ++this.published;
      return { channel, id: `n${n}`, content: { c: channel, n, text: 'x'.repeat(n % 97) } };
    });
    const answers = await until(() => this.server.publish(batch).catch(() => null), 'an ack');
    answers.forEach((a, i) => this.checker.acked(channel, a, batch[i].content));
    return answers.at(-1);
  }

  add(Kind, channels, options = {}) {
    const name = `${Kind.name}-${this.clients.length}`;
    const port = Kind === WsDirect ? this.server.port : this.proxy.port;
    const client = new Kind({ port, channels, sub: this.checker.subscriber(name), rng: this.rng.fork(name), ...options });
    this.clients.push(client);
    return client;
  }

  // All of them, listening; those that are not told where they begin are told here.
  async populate() {
    const at = {};
    for (const c of CHANNELS) at[c] = await this.server.channel(c);
    const [a, b] = CHANNELS;
    const told = [this.add(WsSince, CHANNELS), this.add(WsSince, [a]), this.add(WsGuide, CHANNELS), this.add(WsGuide, [b]), this.add(WsDirect, CHANNELS), this.add(WsDirect, [a]),
      this.add(SseFrames, CHANNELS), this.add(SseFrames, [b])];
    const untold = [this.add(Sse, [a]), this.add(Sse, CHANNELS), this.add(Sse, [b])];
    const placed = [this.add(Poll, CHANNELS, { batch: true }), this.add(Poll, [a]), this.add(PollCookie, CHANNELS), this.add(PollCookie, [b])];
    for (const c of [...untold, ...placed]) for (const channel of c.channels) c.sub.starts(channel, at[channel]);
    for (const c of placed.slice(0, 2)) c.cursor = c.channels.map((x) => `${at[x].epoch}-${at[x].offset}`).join('~');
    for (const c of this.clients) c.start();
    await within(Promise.all(told.map((c) => c.ready)), 'all are subscribed');
    await until(async () => {
      for (const c of CHANNELS) {
        const streams = this.clients.filter((x) => !placed.includes(x) && x.channels.includes(c)).length;
        if ((await this.server.channel(c)).subscribers < streams) return false;
      }
      return true;
    }, 'all listen');
    // A cookie holds a place once a first answer has brought it.
    await until(() => this.clients.every((c) => !(c instanceof PollCookie) || c.cookie), 'the cookies');
  }

  strike(every) {
    this.chaos = [
      this.proxy.chaos(this.rng.fork('any'), { every, faults: FAULTS, holdMs: [50, 700] }),
      ...this.clients.filter((c) => c instanceof WsDirect).map((c) => c.chaos()),
    ];
  }

  // Throws with what happened to the first client that has not what it should have.
  check(options) {
    try {
      return this.checker.check(options);
    } catch (e) {
      const hurt = this.clients.find((c) => e.message.includes(`${c.sub.name} `));
      e.message += `\n${hurt?.trace.join('\n') ?? ''}\n${this.server.output?.() ?? ''}`;
      throw e;
    }
  }

  async calm() {
    await Promise.all(this.chaos.map((c) => c.stop()));
  }

  // Until everybody has the last message of each of his channels.
  async finish() {
    const last = {};
    for (const c of CHANNELS) last[c] = await this.publish(c);
    const late = () => this.clients.flatMap((c) => c.channels.filter((x) => !c.sub.has(x, last[x].epoch, last[x].offset))
      .map((x) => `${c.sub.name} ${x} at ${JSON.stringify(c.sub.position(x))} of ${last[x].offset}`));
    await until(() => late().length === 0, () => `all have the last message: ${late().join('; ')}\n${this.say()}`, { ms: 40000, every: 50 });
    await sleep(150); // a late repeat would be a fault too
  }

  say() {
    const v = this.checker.verdict();
    return `${this.published} published; ${JSON.stringify({ ...v, problems: v.problems.slice(0, 10) })}; faults ${JSON.stringify(this.proxy.counts)}; connects ${this.clients.map((c) => c.connects)}`;
  }
}

describe('a hostile network', () => {
  for (const seed of seeds(3)) {
    test(`seed ${seed}: exactly once, in order, nothing declared`, async (t) => {
      const w = new World(seed);
      await w.begin(t);
      await w.populate();
      w.strike([10, 60]);
      const rng = w.rng.fork('publish');
      for (let i = 0; i < 150; i++) {
        await w.publish(rng.pick(CHANNELS), rng.int(1, 12));
        await sleep(rng.int(0, 20));
      }
      await w.calm();
      await w.finish();
      const v = w.check();
      t.diagnostic(w.say());
      const reconnects = w.clients.reduce((sum, c) => sum + Math.max(0, c.connects - 1), 0);
      assert.ok(reconnects > 20, `the network was hostile: ${reconnects} reconnects`);
      assert.ok(v.delivered > w.published * 3, `${v.delivered} deliveries`);
    });
  }
});

test('history that does not reach: the hole is declared, and is one', async (t) => {
  const w = new World(71);
  await w.begin(t, { ...CONFIG, history: { count: 20 } });
  await w.populate();
  for (let round = 0; round < 4; round++) {
    await w.publish('alpha', 5);
    w.proxy.refusing = true;
    for (const link of [...w.proxy.links]) link.reset();
    await until(async () => (await w.server.channel('alpha')).subscribers <= w.clients.filter((c) => c instanceof WsDirect).length, 'the server has noticed');
    for (let i = 0; i < 6; i++) await w.publish('alpha', 10);
    await w.publish('beta', 3);
    w.proxy.refusing = false;
    await w.finish();
  }
  const v = w.check({ declared: true });
  assert.ok(v.declared > 100, `${v.declared} were declared`);
  t.diagnostic(w.say());
});

describe('the server is killed', () => {
  for (const seed of seeds(2)) {
    test(`seed ${seed}: what its memory held is declared, what comes after arrives`, async (t) => {
      const w = new World(seed + 1000);
      await w.begin(t);
      await w.populate();
      w.strike([30, 120]);
      const rng = w.rng.fork('publish');
      for (let life = 0; life < 3; life++) {
        for (let i = 0; i < 30; i++) {
          await w.publish(rng.pick(CHANNELS), rng.int(1, 8));
          await sleep(rng.int(0, 10));
        }
        if (life === 2) break;
        await w.server.kill();
        await w.server.restart();
        // Those who cannot name a position are told "not recovered" when they are back.
        await until(async () => (await w.server.metric('tidewire_connections{transport="websocket"}')) >= 5, 'they are back');
        for (const c of CHANNELS) await w.publish(c);
      }
      await w.calm();
      await w.finish();
      const v = w.check({ declared: true });
      t.diagnostic(w.say());
      assert.ok(v.delivered > 500);
    });
  }
});
