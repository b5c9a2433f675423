// SPDX-License-Identifier: Apache-2.0
// Clients of every plain dialect come, do what clients do and go, in every way there is, again and
// again: in the end the server holds what it held before. Memory is compared after a first part has
// warmed it up (it grows by some 1.8 MB over the first 2,000 clients, and by nothing over the next
// 6,000); sanitizers keep freed memory to themselves, so there only the gauges and descriptors are.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawSocket, RawWs, OP } from './lib/rawsocket.mjs';
import { serve } from './lib/server.mjs';

const ROUNDS = Number(process.env.TIDEWIRE_SOAK || 10), EACH = 100;
// A round leaves other channels behind, as clients do; they are forgotten soon.
const ARGS = ['--session.resume_ms=50ms', '--channels.idle_ms=1s', '--history.age_ms=1s', '--presence.lease_ms=50ms',
  '--presence.grace_ms=0', '--poll.linger_ms=5s', '--history.idempotency_ms=1s', '--auth.cache_max=100', '--ws.close_ms_max=1s'];

async function socket(server, i) {
  const ws = await RawWs.open(server.port, i % 3 ? '/socket' : `/socket?token=${server.mint({ sub: `u${i}` })}`,
    i % 2 ? { 'Sec-WebSocket-Extensions': 'permessage-deflate', Origin: server.url } : {});
  await ws.sendJson({ type: 'subscribe', channels: [`soak-${i % 50}`, 'all'], presence: i % 2 === 0 });
  await ws.sendJson({ type: 'track', channel: 'all', key: `k${i % 7}`, meta: { i } });
  await ws.sendJson({ type: 'message', channel: 'all', id: `m${i}`, content: 'x'.repeat(i * 37 % 3000) });
  await ws.sendJson({ type: 'history', channel: 'all', ref: 'h' });
  while ((await ws.json()).ref !== 'h');
  if (i % 4 === 0) await ws.send(OP.CLOSE, Buffer.from([3, 232])).then(() => ws.gone());
  else if (i % 4 === 1) ws.reset();
  else if (i % 4 === 2) await ws.send(OP.TEXT, 'x', { mask: false }).then(() => ws.gone());
  ws.destroy();
}

async function stream(server, i) {
  const s = await RawSocket.connect(server.port);
  await s.write(`GET /api/events?channel=soak-${i % 50}&channel=all&history=5 HTTP/1.1\r\nHost: localhost\r\n` +
    `${i % 2 ? 'Accept-Encoding: gzip\r\n' : ''}\r\n`);
  await s.readUntil('\r\n\r\n');
  await s.read(20);
  s.destroy();
}

async function poll(server, i) {
  const s = await RawSocket.connect(server.port);
  const ask = (query) => s.write(`GET /api/poll?channel=all${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await ask('&timeout=0&history=3');
  await s.readResponse();
  await ask('');
  if (i % 2) {
    await server.publish({ channel: 'all', content: i });
    await s.readResponse();
  }
  s.destroy();
}

async function nonsense(server, i) {
  const s = await RawSocket.connect(server.port);
  await s.write(['GET', 'GET / HTTP/1.1\r\nHost: a\r\n', 'POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{',
    '\x16\x03\x01', `GET /socket HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(9999)}`][i % 5]);
  s.destroy();
}

async function round(server, n) {
  for (let i = 0; i < EACH; i += 10) {
    await Promise.all(Array.from({ length: 10 }, (_, k) => n * EACH + i + k)
      .map((j) => [socket, stream, poll, nonsense][j % 4](server, j >> 2)));
  }
}

test('a thousand clients come and go, and nothing of them stays', async (t) => {
  const server = await serve(t, { args: ARGS });
  const warm = server.isSanitized ? 2 : 20;
  for (let n = 0; n < warm; n++) await round(server, n);
  await server.settled();
  const fds = server.fds(), before = server.rssKb();
  for (let n = 0; n < ROUNDS; n++) await round(server, warm + n);
  await server.settled({ fds, slack: 2 });
  const grown = server.rssKb() - before;
  t.diagnostic(`${ROUNDS * EACH} clients, ${grown} KiB`);
  if (!server.isSanitized) assert.ok(grown < 1024 + ROUNDS * EACH / 1000 * 20, `grew by ${grown} KiB`);
  assert.equal((await server.metrics())['tidewire_presence_members'], 0);
});
