// SPDX-License-Identifier: Apache-2.0
// A server that goes away in good order, one that takes its place, and all clients coming back at
// once: everybody is told in its own dialect, over a time and not at once, and is served again.
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test } from 'node:test';
import WebSocket from 'ws';
import { NativeClient } from './lib/native.mjs';
import { RawSocket } from './lib/rawsocket.mjs';
import { serve, Server } from './lib/server.mjs';
import { EventStream } from './lib/sse.mjs';
import { until, within } from './lib/wait.mjs';

const NO_TICKET = '/socket?session=none';

describe('SIGTERM', () => {
  test('a WebSocket is told and closed with 1012, one after the other', async (t) => {
    const count = 60;
    const server = await serve(t, { args: ['--drain.timeout=3s'] });
    const clients = await Promise.all(Array.from({ length: count }, () => NativeClient.open(server.ws(NO_TICKET))));
    await Promise.all(clients.map((c) => c.subscribe('a')));
    const told = [], began = Date.now();
    const ends = Promise.all(clients.map(async (c) => {
      const m = await c.type('reconnect');
      told.push(Date.now() - began);
      assert.ok(m.in >= 0 && m.in <= 500, `in ${m.in} ms`);
      assert.equal((await c.ended()).code, 1012);
    }));
    await server.stop();
    await ends;
    told.sort((a, b) => a - b);
    // Each loop tells one in 20 ms: never all at once.
    const span = told.at(-1) - told[0];
    assert.ok(span >= 150, `told within ${span} ms`);
  });

  test('an event stream ends after a new retry, a poll is answered with 200 and JSON', async (t) => {
    const server = await serve(t);
    const stream = await EventStream.open(`${server.url}/api/events`);
    await stream.data();
    const poll = fetch(`${server.url}/api/poll`);
    await until(async () => (await server.metric('tidewire_connections{transport="poll"}')) === 1, 'it waits');
    const stopped = server.stop();
    const last = await stream.events.find((e) => e.retry !== undefined, 'a retry');
    assert.ok(Number(last.retry) >= 1 && Number(last.retry) <= 501);
    await within(stream.over, 'the end of the stream');
    const answer = await poll;
    assert.equal(answer.status, 200);
    assert.equal((await answer.json()).type, 'timeout');
    await stopped;
  });

  test('who asks meanwhile is told that it is not ready; a request that is there is answered', async (t) => {
    const server = await serve(t, { args: ['--drain.timeout=20s'] });
    const body = '{"channel":"a","content":1}';
    const late = await RawSocket.connect(server.port);
    await late.write(`POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n{"chan`);
    const asker = await RawSocket.connect(server.port);
    await asker.write('GET /health/ready HTTP/1.1\r\nHost: localhost\r\nX: ');
    await until(async () => (await server.metric('tidewire_connections{transport="http"}')) >= 2, 'they are there');
    const stopped = server.stop();
    await until(() => server.log().includes('"draining"'), 'it drains');
    await asker.write('y\r\n\r\n');
    const ready = await asker.readResponse();
    assert.deepEqual([ready.status, ready.headers.connection], [503, 'close']);
    await late.write(body.slice(6));
    const answer = await late.readResponse();
    assert.deepEqual([answer.status, JSON.parse(answer.body).offset], [200, 1]);
    for (const s of [asker, late]) s.destroy();
    await stopped;
  });
});

test('a new server listens before the old one has gone; nobody is refused', async (t) => {
  const args = ['--http.share_port=true', '--drain.timeout=2s'];
  const old = await serve(t, { args });
  const clients = await Promise.all(Array.from({ length: 20 }, () => NativeClient.open(old.ws(NO_TICKET))));
  const next = await serve(t, { args, listen: old.listen });
  assert.equal(next.port, old.port);
  let refused = 0, served = 0, over = false;
  const knocking = (async () => {
    while (!over) {
      await new Promise((resolve) => {
        const ask = http.get(`${next.url}/health/live`, { agent: false }, (answer) => {
          served++;
          answer.resume().on('end', resolve);
        });
        ask.on('error', () => { refused++; resolve(); });
      });
    }
  })();
  const ended = Promise.all(clients.map((c) => c.ended()));
  await old.stop();
  assert.ok((await ended).every(({ code }) => code === 1012));
  const again = await NativeClient.open(next.ws(NO_TICKET));
  over = true;
  await knocking;
  assert.ok(served > 0);
  // What stood in the closed listener's queue at that very moment is the kernel's to lose.
  assert.ok(refused <= 2, `${refused} refused, ${served} served`);
  await again.close();
});

test('hundreds of guide clients in step: all are back after a kill, none burns its attempts', async (t) => {
  const server = new Server();
  t.after(async () => {
    await server.stop();
    server.clean();
  });
  await server.start();
  const count = 400;
  let subscribed = 0, tries = 0, most = 0, over = false;
  const got = new Map();
  // The guide's connect(), with its delays and its five attempts.
  const client = (id) => {
    let attempts = 0;
    const connect = () => {
      const ws = new WebSocket(server.ws());
      tries++;
      ws.on('open', () => {
        attempts = 0;
        ws.send(JSON.stringify({ type: 'subscribe', channel: 'chat-room-1' }));
      });
      ws.on('message', (data) => {
        const m = JSON.parse(data);
        if (m.type === 'subscribed') subscribed++;
        if (m.type === 'message') got.set(id, [...(got.get(id) ?? []), m.content]);
      });
      ws.on('error', () => {});
      ws.on('close', () => {
        if (over || attempts >= 5) return;
        most = Math.max(most, attempts + 1);
        setTimeout(() => { attempts++; connect(); }, Math.min(1000 * 2 ** attempts, 30000));
      });
      client.all.add(ws);
      ws.on('close', () => client.all.delete(ws));
    };
    connect();
  };
  client.all = new Set();
  for (let i = 0; i < count; i++) client(i);
  await until(() => subscribed === count, 'all have subscribed');
  await server.kill();
  await server.restart();
  await until(() => subscribed === 2 * count, () => `all are back (${subscribed - count})`, { ms: 40000 });
  await server.publish([1, 2, 3].map((content) => ({ channel: 'chat-room-1', content })));
  await until(() => got.size === count && [...got.values()].every((g) => g.length === 3), 'three messages each');
  assert.ok([...got.values()].every((g) => g.join() === '1,2,3'));
  assert.ok(most <= 3, `${most} attempts, ${tries} connections`);
  over = true;
  for (const ws of client.all) ws.terminate();
});
