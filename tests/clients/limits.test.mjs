// SPDX-License-Identifier: Apache-2.0
// What one address and one user may have and send, over all loops and transports.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RawWs, exchange } from './lib/rawsocket.mjs';
import { serve } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

async function connect(server, token) {
  const ws = await RawWs.open(server.port, `/socket?session=none&token=${token}`);
  await ws.jsonOf('connected');
  return ws;
}

// The close code of a connection that must not be had.
async function refused(server, token) {
  const ws = await RawWs.open(server.port, `/socket?session=none&token=${token}`);
  return (await ws.closing()).code;
}

describe('connections of one user', () => {
  test('are counted over loops, and a place comes back when one ends', async (t) => {
    const server = await serve(t, { args: ['--limits.connections_per_identity=3', '--session.resume_ms=1ms'] });
    const ann = server.mint({ sub: 'ann', role: 'authenticated' });
    const open = [];
    for (let i = 0; i < 3; i++) open.push(await connect(server, ann));
    assert.equal(await refused(server, ann), 4428);
    const stream = await fetch(`${server.url}/api/events?token=${ann}`);
    assert.equal(stream.status, 429);
    assert.equal((await stream.json()).name, 'TOO_MANY');

    const bob = await connect(server, server.mint({ sub: 'bob', role: 'authenticated' }));
    const service = [];
    for (let i = 0; i < 4; i++) service.push(await connect(server, server.serviceKey));
    const nobody = [];
    for (let i = 0; i < 4; i++) nobody.push(await connect(server, server.anonKey));
    assert.equal(await server.metric('tidewire_connections_refused_total{limit="identity"}'), 2);

    open.pop().destroy();
    await until(async () => {
      const ws = await connect(server, ann).catch(() => null);
      if (ws) open.push(ws);
      return ws !== null;
    }, 'a free place');
    for (const ws of [...open, bob, ...service, ...nobody]) ws.destroy();
  });

  test('count from the moment the token comes in-band', async (t) => {
    const server = await serve(t, { args: ['--limits.connections_per_identity=1'] });
    const ann = server.mint({ sub: 'ann', role: 'authenticated' });
    const first = await connect(server, '');
    await first.sendJson({ type: 'auth', token: ann, ref: 1 });
    assert.equal((await first.jsonOf('authenticated')).sub, 'ann');
    const second = await connect(server, '');
    await second.sendJson({ type: 'auth', token: ann, ref: 1 });
    assert.equal((await second.jsonOf('error')).name, 'TOO_MANY');
    first.destroy();
    second.destroy();
  });
});

describe('connections of one address', () => {
  test('are counted, told so, and given back', async (t) => {
    const server = await serve(t, { args: ['--limits.connections_per_address=4'] });
    const open = [];
    await until(async () => { // what asked whether the server is ready may still be there
      const ws = await connect(server, '').catch(() => null);
      if (ws) open.push(ws);
      return open.length === 4;
    }, 'four connections');
    const answer = await exchange(server.port, 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(String(answer), /^HTTP\/1\.1 503 /);
    open.pop().destroy();
    await until(async () => /^HTTP\/1\.1 200 /.test(String(await exchange(server.port,
      'GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'))), 'room again');
    for (const ws of open) ws.destroy();
  });

  test('a proxy that is trusted speaks for many', async (t) => {
    const server = await serve(t, {
      args: ['--limits.connections_per_address=2', '--http.trusted_proxies=127.0.0.1'],
    });
    const open = [];
    for (let i = 0; i < 6; i++) open.push(await connect(server, ''));
    for (const ws of open) ws.destroy();
  });
});

test('messages of one user are slowed down together, and none is lost', async (t) => {
  const server = await serve(t, {
    args: ['--limits.messages_per_second=0', '--limits.messages_per_second_per_identity=100', '--limits.burst=20'],
  });
  const ann = server.mint({ sub: 'ann', role: 'authenticated' });
  const senders = [await connect(server, ann), await connect(server, ann)];
  const reader = await connect(server, '');
  await reader.sendJson({ type: 'subscribe', channel: 'c' });
  await reader.jsonOf('subscribed');
  const began = Date.now();
  for (let n = 0; n < 40; n++)
    for (const ws of senders) await ws.sendJson({ type: 'message', channel: 'c', content: n });
  for (let i = 0; i < 80; i++) await reader.jsonOf('message');
  // 80 messages, 20 at once, the others at 100 a second
  assert.ok(Date.now() - began >= 550, `took ${Date.now() - began} ms`);
  for (const ws of [...senders, reader]) ws.destroy();
});
