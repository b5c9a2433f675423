// SPDX-License-Identifier: Apache-2.0
// Who is here, by the plain dialect: state and changes, several sessions under one key, a reload
// that does not flap, a crash that is seen within the lease, limits.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NativeClient } from './lib/native.mjs';
import { startProxy } from './lib/proxy.mjs';
import { serve, serveAll, sleep } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const server = serveAll({ before, after }, {
  config: { presence: { lease_ms: '1500ms', grace_ms: '400ms', tracked_max: 5, members_max: 30, meta_bytes: '1KiB' } },
});
let count = 0;
const fresh = () => `presence-${++count}`;
const connect = (options = {}, query = '') => NativeClient.open(server.ws(`/socket${query}`), options);
const keysOf = (list) => list.map((e) => e.key).sort();

// A client that keeps the list of who is here, as the frames say it changes: metas that left are
// taken out, those that joined are added; .changes: keys that came (+) and went (-) by a frame.
async function watcher(channel) {
  const c = await connect();
  c.here = new Map();
  c.changes = [];
  c.onFrame = (m) => {
    if (m.type !== 'presence' || m.channel !== channel) return;
    const before = new Set(c.here.keys());
    if (m.state) c.here = new Map(m.state.map((e) => [e.key, e.metas.map((x) => JSON.stringify(x))]));
    for (const e of m.leaves ?? []) {
      const metas = c.here.get(e.key) ?? [];
      for (const meta of e.metas) metas.splice(metas.indexOf(JSON.stringify(meta)), 1);
      if (!metas.length) c.here.delete(e.key);
    }
    for (const e of m.joins ?? []) c.here.set(e.key, [...c.here.get(e.key) ?? [], ...e.metas.map((x) => JSON.stringify(x))]);
    for (const key of before) if (!c.here.has(key)) c.changes.push(`-${key}`);
    for (const key of c.here.keys()) if (!before.has(key)) c.changes.push(`+${key}`);
  };
  const state = c.type('presence');
  await c.subscribe(channel, { presence: true });
  c.first = await state;
  return c;
}
const list = async (channel) => (await server.channel(channel)).presence;
const member = (sub) => ({ headers: { Authorization: `Bearer ${server.mint({ sub })}` } });

describe('track and untrack', () => {
  test('the state comes with the subscription, changes follow', async () => {
    const channel = fresh();
    const [w, c] = [await watcher(channel), await connect()];
    assert.deepEqual(w.first.state, []);
    assert.equal((await c.ask({ type: 'track', channel, key: 'u1', meta: { name: 'Ann' } })).type, 'ack');
    const join = await w.type('presence');
    assert.deepEqual([join.joins, join.leaves ?? []], [[{ key: 'u1', metas: [{ name: 'Ann' }] }], []]);
    const late = await watcher(channel);
    assert.deepEqual(late.first.state, [{ key: 'u1', metas: [{ name: 'Ann' }] }]);
    assert.equal((await c.ask({ type: 'untrack', channel, key: 'u1' })).type, 'ack');
    const leave = await w.type('presence');
    assert.deepEqual([keysOf(leave.leaves), leave.joins ?? []], [['u1'], []]);
    assert.deepEqual(await list(channel), []);
    await Promise.all([w.close(), c.close(), late.close()]);
  });
  test('who did not ask is not told', async () => {
    const channel = fresh();
    const [quiet, c] = [await connect(), await connect()];
    await quiet.subscribe(channel);
    await c.ask({ type: 'track', channel, key: 'u1' });
    assert.deepEqual(await quiet.settle(), []);
    assert.deepEqual(keysOf((await quiet.ask({ type: 'presence', channel })).state), ['u1'], 'but may ask');
    await Promise.all([quiet.close(), c.close()]);
  });
  test('the default key is the user, else the session', async () => {
    const channel = fresh();
    const [user, nobody] = [await connect(member('u7')), await connect()];
    await user.ask({ type: 'track', channel });
    await nobody.ask({ type: 'track', channel });
    assert.deepEqual(keysOf(await list(channel)), ['u7', nobody.connected.session].sort());
    await Promise.all([user.close(), nobody.close()]);
  });
  test('an update changes the meta and is told', async () => {
    const channel = fresh();
    const [w, c] = [await watcher(channel), await connect()];
    await c.ask({ type: 'track', channel, key: 'k', meta: { n: 1 } });
    await c.ask({ type: 'track', channel, key: 'k', meta: { n: 2 } });
    await until(() => w.here.get('k')?.[0] === '{"n":2}', 'both are told');
    assert.deepEqual([w.changes, w.here.get('k').length], [['+k'], 1]);
    assert.deepEqual(await list(channel), [{ key: 'k', metas: [{ n: 2 }] }]);
    await Promise.all([w.close(), c.close()]);
  });
  test('several sessions under one key are one member with several metas', async () => {
    const channel = fresh();
    const [a, b] = [await connect(member('same')), await connect(member('same'))];
    await a.ask({ type: 'track', channel, meta: { tab: 1 } });
    await b.ask({ type: 'track', channel, meta: { tab: 2 } });
    const both = await list(channel);
    assert.deepEqual([both.length, both[0].key, both[0].metas.map((m) => m.tab).sort()], [1, 'same', [1, 2]]);
    await a.ask({ type: 'untrack', channel });
    assert.deepEqual(await list(channel), [{ key: 'same', metas: [{ tab: 2 }] }]);
    await Promise.all([a.close(), b.close()]);
  });
  test('unsubscribing from messages does not untrack', async () => {
    const channel = fresh();
    const c = await connect();
    await c.subscribe(channel);
    await c.ask({ type: 'track', channel, key: 'k' });
    await c.ask({ type: 'unsubscribe', channel });
    assert.deepEqual(keysOf(await list(channel)), ['k']);
    await c.close();
  });
});

describe('coming and going', () => {
  test('goodbye: gone after the grace', async () => {
    const channel = fresh();
    const [w, c] = [await watcher(channel), await connect()];
    await c.ask({ type: 'track', channel, key: 'k' });
    await c.close();
    await until(() => w.changes.includes('-k'), 'a leave');
    assert.deepEqual(await list(channel), []);
    await w.close();
  });
  test('a page that is loaded again does not flap', async () => {
    const channel = fresh();
    const w = await watcher(channel);
    let c = await connect(member('u1'));
    await c.ask({ type: 'track', channel, meta: { v: 0 } });
    for (let i = 1; i <= 5; i++) {
      await c.close(1001);
      c = await connect(member('u1'));
      await c.ask({ type: 'track', channel, meta: { v: i } });
    }
    await sleep(600); // longer than the grace: a leave would have come
    assert.ok(!w.changes.includes('-u1'), w.changes.join(' '));
    assert.deepEqual(await list(channel), [{ key: 'u1', metas: [{ v: 5 }] }]);
    await c.close();
    await until(() => w.changes.includes('-u1'), 'and at last it leaves');
    await w.close();
  });
  test('a lost connection that comes back within the lease is no leave', async () => {
    const channel = fresh(), jar = {};
    const w = await watcher(channel);
    let c = await connect({ jar });
    await c.ask({ type: 'track', channel, key: 'k' });
    for (let i = 0; i < 3; i++) {
      await c.lose();
      await sleep(150);
      c = await connect({ jar });
      assert.equal(c.connected.recovered, true);
    }
    await sleep(1600);
    assert.deepEqual(w.changes, ['+k']);
    assert.deepEqual(keysOf(await list(channel)), ['k']);
    await Promise.all([w.close(), c.close()]);
  });
  test('one that does not come back leaves within the lease, once', async () => {
    const channel = fresh();
    const [w, c] = [await watcher(channel), await connect()];
    await c.ask({ type: 'track', channel, key: 'k' });
    await c.lose();
    assert.deepEqual(keysOf(await list(channel)), ['k'], 'still here');
    await until(() => w.changes.includes('-k'), 'a leave');
    await sleep(300);
    assert.deepEqual(w.changes, ['+k', '-k']);
    await w.close();
  });
  test('a peer that is cut off without a word leaves by the ping\'s deadline', async (t) => {
    const hasty = await serve(t, {
      config: { ws: { ping_ms: '1s', pong_ms_max: '500ms' }, presence: { lease_ms: '200ms' }, session: { resume_ms: '300ms' } },
    });
    const proxy = await startProxy(t, hasty.port);
    const c = await NativeClient.open(`ws://127.0.0.1:${proxy.port}/socket`);
    await c.ask({ type: 'track', channel: 'a', key: 'k' });
    proxy.links[0].halfOpen();
    await until(async () => (await hasty.channel('a')).presence.length === 0, 'the leave', { ms: 8000 });
    await hasty.settled();
    c.ws.terminate();
  });
  test('when the server dies, nobody is here until they are back', async (t) => {
    const s = await serve(t);
    const c = await NativeClient.open(s.ws());
    await c.ask({ type: 'track', channel: 'a', key: 'k' });
    await s.kill();
    await s.restart();
    assert.deepEqual((await s.channel('a')).presence, []);
  });
});

describe('limits', () => {
  test('entries of one session', async () => {
    const c = await connect();
    for (let i = 0; i < 5; i++) assert.equal((await c.ask({ type: 'track', channel: fresh(), key: 'k' })).type, 'ack');
    const error = await c.ask({ type: 'track', channel: fresh(), key: 'k' });
    assert.deepEqual([error.code, error.retryable], [4428, true]);
    await c.close();
  });
  test('members of a channel', async () => {
    const channel = fresh();
    const all = [];
    let refused = 0;
    for (let i = 0; i < 8; i++) {
      const c = await connect();
      all.push(c);
      for (let k = 0; k < 5; k++) {
        const answer = await c.ask({ type: 'track', channel, key: `k${i}-${k}` });
        if (answer.type === 'error') {
          assert.equal(answer.code, 4428);
          refused++;
        }
      }
    }
    assert.equal(refused, 10);
    assert.equal((await list(channel)).length, 30);
    await Promise.all(all.map((c) => c.close()));
  });
  test('size and form of meta', async () => {
    const c = await connect();
    const big = await c.ask({ type: 'track', channel: fresh(), meta: { x: 'y'.repeat(2000) } });
    assert.equal(big.code, 4413);
    for (const meta of [[], 'x', 1, true]) {
      assert.equal((await c.ask({ type: 'track', channel: fresh(), meta })).code, 4400, JSON.stringify(meta));
    }
    await c.close();
  });
});

test('200 clients that come and go at once are all told, and leave nothing', async () => {
  const channel = 'presence-crowd-free';
  const w = await watcher(channel);
  for (let round = 0; round < 4; round++) {
    const all = await Promise.all(Array.from({ length: 25 }, () => connect()));
    await Promise.all(all.map((c, i) => c.ask({ type: 'track', channel, key: `c${round}-${i}` })));
    await Promise.all(all.map((c, i) => (i % 2 ? c.close() : c.lose())));
    await until(async () => (await list(channel)).length === 0, 'all have left');
  }
  const sum = {};
  await until(() => w.changes.length === 200, () => `200 changes, not ${w.changes.length}`);
  for (const change of w.changes) sum[change.slice(1)] = (sum[change.slice(1)] ?? 0) + (change[0] === '+' ? 1 : -1);
  assert.ok(Object.values(sum).every((n) => n === 0));
  await w.close();
});
