// SPDX-License-Identifier: Apache-2.0
// A reverse proxy takes bytes and acknowledges them before its client has them. What it held when
// it lost the client must come again: there only the client's own pong counts, never the kernel's
// word. So a plain WebSocket (no position of its own) may get a message twice behind a proxy, with
// the same id, and never loses one.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NativeClient } from './lib/native.mjs';
import { startProxy } from './lib/proxy.mjs';
import { serveAll } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const BYTES = 100; // of a message, at least
const server = serveAll({ before, after });

// A client whose proxy swallows `lost` messages after `heard` have arrived, then is reset; the
// numbers that come to it afterwards, of those and of two more.
async function comesBack(t, headers, { heard = 0, lost = 30 } = {}) {
  const channel = `proxied-${Math.random()}`, jar = {};
  const proxy = await startProxy(t, server.port);
  const connect = () => NativeClient.open(`ws://127.0.0.1:${proxy.port}/socket`, { jar, headers });
  const say = (from, to) => server.publish(Array.from({ length: to - from + 1 }, (_, i) => ({ channel, content: from + i, key: 'x'.repeat(BYTES) })));
  const a = await connect();
  await a.subscribe(channel);
  if (heard) {
    await say(1, heard);
    await a.messages(heard);
    const { pings } = a;
    await until(() => a.pings > pings, 'the server asks whether it has arrived');
    await a.settle(); // the pong went before this
  }
  const { down } = proxy.links[0], taken = down.total;
  proxy.links[0].halfOpen();
  await say(heard + 1, heard + lost);
  await until(() => down.total - taken > lost * BYTES, 'the proxy has taken it all');
  proxy.links[0].reset();
  await a.ended();
  const b = await connect();
  assert.equal(b.connected.recovered, true);
  await say(heard + lost + 1, heard + lost + 2);
  const got = [];
  while (got.at(-1) !== heard + lost + 2) got.push((await b.messages(1))[0].content);
  await b.close();
  return got;
}
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('what the proxy took and never delivered comes again', () => {
  for (const headers of [{ 'X-Forwarded-For': '192.0.2.7' }, { Forwarded: 'for=192.0.2.7' }, { Via: '1.1 cache' },
    { 'X-Real-IP': '192.0.2.7' }, { Host: 'app.example.com' }])
    test(Object.keys(headers)[0], async (t) => assert.deepEqual(await comesBack(t, headers), numbers(1, 32)));
});

test('what the client has confirmed does not', async (t) => {
  assert.deepEqual(await comesBack(t, { Via: '1.1 cache' }, { heard: 40 }), numbers(41, 72));
});
