// SPDX-License-Identifier: Apache-2.0
// Channels of the plain dialect that are tables: `table:<name>?<filter>`, on every transport, under the
// policies, across breaks.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import WebSocket from 'ws';
import { NativeClient } from './lib/native.mjs';
import { startProxy } from './lib/proxy.mjs';
import { sdk } from './lib/sdk.mjs';
import { serve } from './lib/server.mjs';
import { EventStream } from './lib/sse.mjs';
import { until } from './lib/wait.mjs';

const { createClient } = await sdk('js');
const NOTES = `
  create table notes (id bigint generated always as identity primary key, room text, content text, owner text);
  alter table notes replica identity full;
  alter table notes enable row level security;
  create policy "all read what is nobody's" on notes for select using (owner is null or owner = auth.uid());
  create policy "all write" on notes for insert with check (true);
  create policy "all change" on notes for update using (true);
  create policy "all remove" on notes for delete using (true);
  alter publication supabase_realtime add table notes;`;

async function start(t, config = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-tables-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(path.join(folder, '1.sql'), NOTES);
  const server = await serve(t, { config: { ...config, database: { file: 'x.db', migrations: folder, ...config.database } } });
  server.rest = async (method, where, body) => {
    const answer = await fetch(`${server.url}/rest/v1/${where}`, {
      method,
      headers: { apikey: server.serviceKey, authorization: `Bearer ${server.serviceKey}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    assert.ok(answer.ok, `${method} ${where}: ${answer.status} ${await answer.text()}`);
  };
  server.insert = (room, content, owner = null) => server.rest('POST', 'notes', { room, content, owner });
  return server;
}

function connect(t, port, options) {
  const client = createClient({
    url: `http://127.0.0.1:${port}`, WebSocket, reconnect: { minDelay: 20, maxDelay: 200 }, ...options,
  });
  t.after(() => client.close());
  return client;
}

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`${transport}: changes of a table, filtered, judged, and after a break`, { timeout: 60000 }, async (t) => {
    const server = await start(t);
    const proxy = await startProxy(t, server.port);
    const token = server.mint({ sub: 'ann', role: 'authenticated' });
    const client = connect(t, proxy.port, { transports: [transport], token });
    const all = client.channel('table:notes');
    const a = client.channel('table:notes?room=eq.a');
    const got = { all: [], a: [] };
    const gaps = [];
    const note = (list) => (m) => list.push(`${m.event} ${(m.data.record ?? m.data.old_record).content}`);
    all.on('*', note(got.all));
    a.on('*', note(got.a));
    a.on('gap', (g) => gaps.push(g));
    await Promise.all([all.subscribe(), a.subscribe()]);
    await server.insert('a', 'one');
    await server.insert('b', 'two');
    await server.insert('a', 'secret', 'bob');
    await server.insert('a', 'mine', 'ann');
    await server.rest('PATCH', 'notes?content=eq.one', { content: 'changed' });
    await server.rest('DELETE', 'notes?content=eq.changed');
    const first = ['INSERT one', 'INSERT two', 'INSERT mine', 'UPDATE changed', 'DELETE changed'];
    await until(() => got.all.length >= 5 && got.a.length >= 4, () => JSON.stringify(got));
    assert.deepEqual(got.all, first);
    assert.deepEqual(got.a, first.filter((x) => x !== 'INSERT two'));

    proxy.refusing = true;
    [...proxy.links].forEach((link) => link.reset());
    await until(() => client.connection.state !== 'connected', 'it notices');
    for (const n of [1, 2, 3]) await server.insert('a', `away ${n}`);
    proxy.refusing = false;
    await until(() => a.state === 'attached' && all.state === 'attached', 'back');
    await server.insert('a', 'live');
    await until(() => got.a.at(-1) === 'INSERT live' && got.all.at(-1) === 'INSERT live', () => JSON.stringify(got));
    assert.deepEqual(got.a.slice(4), ['INSERT away 1', 'INSERT away 2', 'INSERT away 3', 'INSERT live']);
    assert.deepEqual(got.all.slice(5), got.a.slice(4));
    assert.deepEqual(gaps, []);
    a.unsubscribe();
    all.unsubscribe();
    client.close();
    await server.settled();
  });

  test(`${transport}: what cannot be watched is an error, of that channel alone`, async (t) => {
    const server = await start(t);
    const client = connect(t, server.port, { transports: [transport] });
    const room = client.channel('room').subscribe();
    await assert.rejects(client.channel('table:nothing').subscribe(), { code: 4400 });
    await assert.rejects(client.channel('table:notes?nothing=eq.1').subscribe(), { code: 4400 });
    await room;
    assert.equal(client.connection.state, 'connected');
  });
}

test('without a library: EventSource and a plain WebSocket, which comes back by its cookie', async (t) => {
  const server = await start(t);
  const stream = await EventStream.open(`${server.url}/api/events?channel=${encodeURIComponent('table:notes?room=eq.a')}`);
  t.after(() => stream.close());
  const jar = {};
  const ws = await NativeClient.open(server.ws('/socket'), { jar });
  const { epoch } = await ws.subscribe('table:notes?room=eq.a');
  await server.insert('a', 'one');
  const [m] = await ws.messages(1);
  assert.deepEqual([m.event, m.content.record.content, m.id], ['INSERT', 'one', `${epoch}-${m.offset}`]);
  const event = await stream.events.find((e) => e.event === 'INSERT');
  assert.equal(JSON.parse(event.data).record.content, 'one');
  assert.equal(event.id, m.id);

  await ws.lose();
  await server.insert('a', 'two');
  const back = await NativeClient.open(server.ws('/socket'), { jar });
  t.after(() => back.close());
  assert.equal(back.connected.recovered, true);
  assert.equal((await back.messages(1))[0].content.record.content, 'two');
  await server.insert('a', 'three');
  assert.equal((await back.messages(1))[0].content.record.content, 'three');
  assert.equal((await back.ask({ type: 'unsubscribe', channel: 'table:notes?room=eq.a' })).type, 'unsubscribed');
  await server.insert('a', 'four');
  assert.deepEqual((await back.settle()).filter((f) => f.type === 'message'), []);
});

test('a slow reader of a table catches up from the log; what the log lost is a gap', { timeout: 90000 }, async (t) => {
  const server = await start(t, { limits: { output_bytes: '64KiB' } });
  const proxy = await startProxy(t, server.port);
  const ws = await NativeClient.open(`ws://127.0.0.1:${proxy.port}/socket?session=none`);
  t.after(() => ws.close());
  const { epoch } = await ws.subscribe('table:notes');
  proxy.links[0].stall('down');
  const text = 'x'.repeat(20000);
  const before = await server.metric('tidewire_slow_consumers_total');
  let count = 0;
  await until(async () => {
    const rows = Array.from({ length: 20 }, () => ({ room: 'a', content: `${++count} ${text}` }));
    await server.rest('POST', 'notes', rows);
    return (await server.metric('tidewire_slow_consumers_total')) > before;
  }, 'it is slow', { ms: 60000 });
  proxy.links[0].resume('down');
  const got = await ws.messages(count, 60000);
  assert.deepEqual(got.map((m) => parseInt(m.content.record.content)), Array.from({ length: count }, (_, i) => i + 1));

  const old = await NativeClient.open(server.ws('/socket?session=none'));
  t.after(() => old.close());
  const answer = await old.subscribe('table:notes', { since: { epoch: 'another', offset: 3 } });
  assert.deepEqual([answer.recovered, answer.epoch], [false, epoch]);
  const gap = await old.type('gap');
  assert.equal(gap.from, 4);
  assert.ok(gap.to >= answer.offset);
});
