// SPDX-License-Identifier: Apache-2.0
// Readers that are slower than their channel: nothing piles up, nothing is lost silently, nobody
// else is held up, and the channel's `slow` decides what the slow one gets.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NativeClient } from './lib/native.mjs';
import { RawSocket, RawWs } from './lib/rawsocket.mjs';
import { serve } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

async function listen(server, channel, target = '/socket') {
  const ws = await RawWs.open(server.port, target);
  await ws.jsonOf('connected');
  await ws.sendJson({ type: 'subscribe', channel });
  ws.at = await ws.jsonOf('subscribed');
  return ws;
}

const numbers = (channel, from, count, more = {}) =>
  Array.from({ length: count }, (_, i) => ({ channel, content: { n: from + i, ...more } }));

describe('a burst is not a slow reader', () => {
  test('1000 messages at once reach a plain WebSocket in order', async (t) => {
    const server = await serve(t, { args: ['--history.count=5000'] });
    const ws = await listen(server, 'a');
    await server.publish(numbers('a', 1, 1000));
    await server.publish(numbers('a', 1001, 1000));
    for (let n = 1; n <= 2000; n++) assert.equal((await ws.jsonOf('message')).content.n, n);
    ws.destroy();
  });
  test('... also where few deliveries are remembered', async (t) => {
    const server = await serve(t, { args: ['--history.count=5000', '--session.positions_max=16'] });
    const client = await NativeClient.open(server.ws()); // answers pings: only that makes room
    await client.subscribe('a');
    await server.publish(numbers('a', 1, 1000));
    assert.deepEqual((await client.messages(1000)).map((m) => m.content.n), numbers('a', 1, 1000).map((m) => m.content.n));
    await client.close();
  });
  test('more than may wait in one turn, all of it taken by the kernel', async (t) => {
    const server = await serve(t, { args: ['--history.count=5000', '--limits.output_bytes=4096'] });
    const ws = await listen(server, 'a');
    for (let i = 0; i < 5; i++) await server.publish(numbers('a', 1 + 100 * i, 100, { text: 'x'.repeat(500) }));
    for (let n = 1; n <= 500; n++) assert.equal((await ws.jsonOf('message')).content.n, n);
    ws.destroy();
  });
});

// A reader that stops, a channel that goes on until the server has noticed, and then some.
const TEXT = 'x'.repeat(32 * 1024);
async function flood(server, channel, { after = 40, key = (n) => undefined } = {}) {
  let n = 0;
  const say = async (count) => {
    await server.publish(Array.from({ length: count }, () => ({ channel, key: key(++n), content: { n, text: TEXT } })));
  };
  const noticed = await server.metric('tidewire_slow_consumers_total');
  while (await server.metric('tidewire_slow_consumers_total') === noticed) {
    await say(20);
    assert.ok(n < 3000, 'nobody was ever slow');
  }
  for (const end = n + after; n < end;) await say(20);
  return n;
}
// What comes until message `last`: the numbers, and a gap's numbers as one text.
async function heard(ws, last) {
  const got = [];
  while (got.at(-1) !== last) {
    const m = await ws.json(60000);
    if (m.type === 'message') got.push(m.content.n);
    if (m.type === 'gap') got.push(`${m.from}-${m.to}`);
  }
  return got;
}
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const SLOW = (slow, history) => ({ channels: { rules: [{ match: '*', slow, history,
  allow: { subscribe: '*', publish: '*', presence: '*', history: '*' } }] }, limits: { output_bytes: '64KiB' } });

describe('a slow reader', () => {
  test('waits without a queue and then gets all from history; another one is not held up', async (t) => {
    const server = await serve(t, { config: SLOW('resume', { count: 5000, bytes: '256MiB' }) });
    const slow = await listen(server, 'a'), other = await listen(server, 'a');
    slow.pause();
    const all = heard(other, -1).catch((e) => e); // it reads meanwhile
    const last = await flood(server, 'a');
    const third = await listen(server, 'a');
    await server.publish({ channel: 'a', content: { n: -1 } });
    assert.deepEqual(await all, [...range(1, last), -1]);
    assert.equal((await third.jsonOf('message')).content.n, -1);
    slow.resume();
    assert.deepEqual(await heard(slow, -1), [...range(1, last), -1]);
    for (const ws of [slow, other, third]) ws.destroy();
  });

  test('is told exactly what history does not have any more', async (t) => {
    const server = await serve(t, { config: SLOW('resume', { count: 10 }) });
    const slow = await listen(server, 'a');
    slow.pause();
    const last = await flood(server, 'a');
    slow.resume();
    const got = await heard(slow, last);
    const gaps = got.filter((n) => typeof n === 'string');
    assert.ok(gaps.length >= 1);
    const filled = got.flatMap((n) => typeof n === 'string' ? range(...n.split('-').map(Number)) : [n]);
    assert.deepEqual(filled, range(1, last));
    slow.destroy();
  });

  test('an event stream too', async (t) => {
    const server = await serve(t, { config: SLOW('resume', { count: 10 }) });
    const slow = await RawSocket.connect(server.port);
    await slow.write('GET /api/events?channel=a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await slow.readUntil('"connected"');
    slow.pause();
    const last = await flood(server, 'a');
    slow.resume();
    let text = '';
    while (!text.includes(`"n":${last},`)) text += (await slow.readUntil('\n\n', 60000)).toString('latin1');
    const got = [...text.matchAll(/^data: \{"n":(\d+),|^data: \{"channel":"a","from":(\d+),"to":(\d+)/gm)]
      .flatMap(([, n, from, to]) => n ? [Number(n)] : range(Number(from), Number(to)));
    assert.match(text, /^event: gap$/m);
    assert.deepEqual(got, range(1, last));
    slow.destroy();
  });

  test('latest-by-key: the newest of each key, in order', async (t) => {
    const server = await serve(t, { config: SLOW('latest-by-key', { count: 5000, bytes: '256MiB' }) });
    const slow = await listen(server, 'a');
    slow.pause();
    const last = await flood(server, 'a', { key: (n) => `k${n % 7}`, after: 200 });
    slow.resume();
    const got = (await heard(slow, last)).filter((n) => typeof n === 'number');
    assert.deepEqual(got, [...got].sort((a, b) => a - b));
    assert.deepEqual(got.slice(-7), range(last - 6, last));
    assert.ok(got.length < last - 100, `${got.length} of ${last}`);
    slow.destroy();
  });

  test('close: with a code, and the rest when it comes back', async (t) => {
    const server = await serve(t, { config: SLOW('close', { count: 5000, bytes: '256MiB' }) });
    const slow = await listen(server, 'a', '/socket?session=x.y');
    slow.pause();
    const last = await flood(server, 'a');
    slow.resume();
    const got = [];
    const { code } = await (async () => {
      for (;;) {
        try {
          const m = await slow.json(60000);
          if (m.type === 'message') got.push(m.content.n);
        } catch (e) {
          return e.close;
        }
      }
    })();
    assert.equal(code, 4412);
    assert.deepEqual(got, range(1, got.length));
    slow.destroy();
    const again = await RawWs.open(server.port);
    await again.sendJson({ type: 'subscribe', channel: 'a', since: { epoch: slow.at.epoch, offset: got.length } });
    assert.deepEqual(await heard(again, last), range(got.length + 1, last));
    again.destroy();
  });

  test('one that ends its side with much unread does no harm', async (t) => {
    const server = await serve(t, { config: { ...SLOW('resume', { count: 10 }), limits: { output_bytes: '64MiB' } } });
    const slow = await listen(server, 'a');
    slow.pause();
    for (let n = 0; n < 25; n++) // more than the kernels take
      await server.publish(Array.from({ length: 20 }, () => ({ channel: 'a', content: TEXT })));
    slow.end(); // no close frame; what it has not read is still on its way
    await until(async () => (await server.publish({ channel: 'a', content: 'x'.repeat(1000) })).offset >= 510, 'ten long ones');
    for (let n = 0; n < 10; n++) await server.publish({ channel: 'a', content: n });
    assert.equal((await server.channel('a', '?limit=0')).offset, 520);
    slow.destroy();
  });

  test('fifteen of them cost one copy of what was said', async (t) => {
    const server = await serve(t, { config: SLOW('resume', { count: 10 }) });
    const slow = [];
    for (let i = 0; i < 15; i++) slow.push(await listen(server, 'a'));
    const before = server.rssKb();
    for (const ws of slow) ws.pause();
    await flood(server, 'a', { after: 400 });
    server.assertGrown(before, 24 * 1024);
    for (const ws of slow) ws.destroy();
  });
});
