// SPDX-License-Identifier: Apache-2.0
// Readers that are slower than their channel: nothing piles up, nothing is lost silently, nobody
// else is held up, and the channel's `slow` decides what the slow one gets.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RawWs } from './lib/rawsocket.mjs';
import { serve } from './lib/server.mjs';

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
    const ws = await listen(server, 'a');
    await server.publish(numbers('a', 1, 1000));
    for (let n = 1; n <= 1000; n++) assert.equal((await ws.jsonOf('message')).content.n, n);
    ws.destroy();
  });
  test('more than may wait in one turn, all of it taken by the kernel', async (t) => {
    const server = await serve(t, { args: ['--history.count=5000', '--limits.output_bytes=4096'] });
    const ws = await listen(server, 'a');
    for (let i = 0; i < 5; i++) await server.publish(numbers('a', 1 + 100 * i, 100, { text: 'x'.repeat(500) }));
    for (let n = 1; n <= 500; n++) assert.equal((await ws.jsonOf('message')).content.n, n);
    ws.destroy();
  });
});
