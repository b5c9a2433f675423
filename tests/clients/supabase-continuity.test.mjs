// SPDX-License-Identifier: Apache-2.0
// A supabase-js client that drops and joins again gets what it missed, in order; or is told of
// the gap. Programs have no cookie: they name their ticket by a parameter of their own, which the
// client sends with every connection. (Browsers have the cookie: tests/e2e.)
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import WebSocket from 'ws';
import { startProxy } from './lib/proxy.mjs';
import { Rng } from './lib/rng.mjs';
import { serve } from './lib/server.mjs';
import { connect, send, VERSIONS, watch } from './lib/supabase.mjs';
import { Queue, sleep, until } from './lib/wait.mjs';

const SEED = Number(process.env.TIDEWIRE_SEED || 20261124);

// A client behind the proxy, quick to come back; 2.80 takes the same time for its channels, and
// closes one for good that it is just joining when that time comes.
const behind = (t, server, proxy, version, more = {}) => connect(t, server, {
  version, url: `http://127.0.0.1:${proxy.port}`, ...more,
  realtime: { params: { session: randomUUID() }, reconnectAfterMs: () => (version === '2.80' ? 700 : 30), ...more.realtime },
});

for (const version of VERSIONS) {
  test(`${version}: cut again and again while messages flow: all of them, in order`, async (t) => {
    const server = await serve(t);
    const proxy = await startProxy(t, server.port);
    const rng = new Rng(SEED);
    const rooms = ['a', 'b', 'c'];
    const clients = await Promise.all([1, 2].map(() => behind(t, server, proxy, version)));
    const watches = clients.flatMap((client) => rooms.map((room) => watch(client.channel(room), { presence: false })));
    await Promise.all(watches.map((w) => w.subscribe()));
    let cuts = 0;
    for (let i = 0; i < 400; i++) {
      await server.publish(rooms.map((channel) => ({ channel, event: 'n', content: { i } })));
      if (i % (version === '2.80' ? 100 : 40) !== 20 || !proxy.links.length) continue;
      const joins = () => watches.reduce((n, w) => n + w.history.filter((x) => x === 'SUBSCRIBED').length, 0);
      const before = joins();
      proxy.links[rng.int(0, proxy.links.length - 1)].drain();
      cuts++;
      if (version === '2.80') await until(() => joins() === before + rooms.length, 'joined again');
    }
    let repeats = 0;
    for (const [k, w] of watches.entries()) {
      const seen = new Set();
      for (let i = 0; i < 400;) {
        const { payload, meta } = await w.broadcasts.next(`message ${i} at ${k}`);
        // What was on its way when the connection went may come again: its id says so.
        if (seen.has(meta.id)) repeats++;
        else assert.equal(payload.i, i++, `client and room ${k}, after ${cuts} cuts`);
        seen.add(meta.id);
      }
    }
    assert.ok(repeats <= cuts * rooms.length * 3, `${repeats} repeats`);
    assert.ok(cuts >= 3, `${cuts} cuts`);
    assert.ok(watches.every((w) => w.broadcasts.length === 0 && w.system.length === 0));
  });

  test(`${version}: an outage, then what was said meanwhile; not what it said itself`, async (t) => {
    const server = await serve(t);
    const proxy = await startProxy(t, server.port);
    const a = await behind(t, server, proxy, version);
    const w = watch(a.channel('r', { config: { broadcast: { ack: true }, presence: { key: 'me' } } }));
    await w.subscribe();
    await w.channel.track({ at: 1 });
    assert.equal(await send(w.channel, 'mine', {}), 'ok');
    proxy.refusing = true;
    proxy.links[0].drain();
    await w.status('CHANNEL_ERROR');
    for (let i = 0; i < 5; i++) await server.publish({ channel: 'r', event: 'away', content: { i } });
    proxy.refusing = false;
    await w.status('SUBSCRIBED');
    for (let i = 0; i < 5; i++) assert.equal((await w.broadcasts.next()).payload.i, i);
    await w.channel.track({ at: 1 });
    await w.syncs.find((s) => s.me?.length === 1, 'the same member');
    assert.equal(w.broadcasts.length, 0);
    assert.equal(w.leaves.length, 0);
  });
}

test('what history has no more is a gap, with its ends, then what is left', async (t) => {
  const server = await serve(t, { config: { history: { count: 3 } } });
  const proxy = await startProxy(t, server.port);
  const a = await behind(t, server, proxy, '2.119');
  const w = watch(a.channel('r'));
  await w.subscribe();
  await server.publish({ channel: 'r', event: 'n', content: { i: 0 } });
  await w.broadcasts.next();
  proxy.refusing = true;
  proxy.links[0].drain();
  await w.status('CHANNEL_ERROR');
  for (let i = 1; i <= 10; i++) await server.publish({ channel: 'r', event: 'n', content: { i } });
  proxy.refusing = false;
  const gap = await w.system.next('the gap');
  assert.deepEqual([gap.extension, gap.status, gap.channel, gap.gap], ['broadcast', 'error', 'r', { from: 2, to: 8 }]);
  assert.match(gap.message, /^Gap: messages 2 to 8/);
  for (const i of [8, 9, 10]) assert.equal((await w.broadcasts.next()).payload.i, i);
});

test('a join that is refused at first (its token comes late) loses nothing', async (t) => {
  const rules = [
    { match: 'private:*', allow: { subscribe: 'authenticated', publish: 'authenticated' } },
    { match: '*', allow: { subscribe: '*', publish: '*' } },
  ];
  const server = await serve(t, { config: { channels: { rules } } });
  const proxy = await startProxy(t, server.port);
  const a = await behind(t, server, proxy, '2.119');
  const token = server.mint({ sub: 'u1', role: 'authenticated' });
  await a.realtime.setAuth(token);
  const w = watch(a.channel('r', { config: { private: true } }));
  await w.subscribe();
  proxy.refusing = true;
  proxy.links[0].drain();
  await w.status('CHANNEL_ERROR');
  await a.realtime.setAuth(server.anonKey);
  await server.publish({ channel: 'private:r', event: 'away', content: {} }, { token: server.serviceKey });
  proxy.refusing = false;
  const { error } = await w.status('CHANNEL_ERROR');
  assert.ok(error);
  await a.realtime.setAuth(token);
  await w.status('SUBSCRIBED');
  assert.equal((await w.broadcasts.next()).event, 'away');
});

test('a half-open connection: the new one takes its place, what went into the dark comes again', async (t) => {
  const server = await serve(t, { config: { ws: { probe_ms: '200ms' } } });
  const proxy = await startProxy(t, server.port);
  const session = randomUUID();
  const a = await connect(t, server, { url: `http://127.0.0.1:${proxy.port}`, realtime: { params: { session } } });
  const w = watch(a.channel('r'));
  await w.subscribe();
  await server.publish({ channel: 'r', event: 'n', content: { i: 0 } });
  await w.broadcasts.next();
  proxy.links[0].stall('down');
  proxy.links[0].stall('up');
  await server.publish({ channel: 'r', event: 'n', content: { i: 1 } });
  // The page is loaded anew elsewhere: the same ticket on a fresh connection.
  const b = await connect(t, server, { realtime: { params: { session } } });
  const wb = watch(b.channel('r'));
  await wb.subscribe();
  await server.publish({ channel: 'r', event: 'n', content: { i: 2 } });
  const got = [];
  await until(() => { got.push(...wb.broadcasts.takeAll()); return got.at(-1)?.payload.i === 2; }, 'the newest');
  assert.ok(got.length >= 1);
});

test('rows that were written while it was away come when it is back', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-rows-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(path.join(folder, '1.sql'), `
    create table notes (id bigint generated always as identity primary key, room_id text, content text);
    alter publication supabase_realtime add table notes;`);
  const server = await serve(t, { config: { database: { file: 'x.db', migrations: folder } } });
  const proxy = await startProxy(t, server.port);
  const writer = await connect(t, server);
  for (const version of VERSIONS) {
    const a = await behind(t, server, proxy, version);
    const rows = new Queue();
    const w = watch(a.channel(`notes ${version}`));
    w.channel.on('postgres_changes',
      { event: 'INSERT', schema: 'public', table: 'notes', filter: `room_id=eq.${version}` }, (p) => rows.push(p.new.content));
    await w.subscribe();
    await w.system.find((m) => m.extension === 'postgres_changes' && m.status === 'ok', 'subscribed');
    const insert = async (content) => {
      const { error } = await writer.from('notes').insert([{ room_id: version, content }, { room_id: 'other', content }]);
      assert.equal(error, null);
    };
    await insert('one');
    assert.equal(await rows.next(), 'one');
    await watch(a.channel(`another ${version}`)).subscribe(); // so its receipt for "one" was here before
    proxy.refusing = true;
    proxy.links.at(-1).drain();
    await w.status('CHANNEL_ERROR');
    for (const content of ['two', 'three']) await insert(content);
    proxy.refusing = false;
    await w.status('SUBSCRIBED');
    await insert('four');
    for (const content of ['two', 'three', 'four']) assert.equal(await rows.next(), content);
    assert.equal(rows.length, 0);
  }
});

test('changes: what cannot be watched is said, everything written after SUBSCRIBED arrives', async (t) => {
  const server = await serve(t);
  const a = await connect(t, server);
  const w = watch(a.channel('wrong'));
  w.channel.on('postgres_changes', { event: '*', schema: 'public', table: 'no_such_table' }, () => {});
  await w.subscribe();
  const refused = await w.system.next('the refusal');
  assert.equal(refused.status, 'error');
  assert.match(refused.message, /^Unable to subscribe to changes with given parameters\. Please check Realtime is enabled/);
  const rows = new Queue();
  const two = watch(a.channel('two bindings'));
  two.channel.on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, (p) => rows.push(['ins', p]))
    .on('postgres_changes', { event: '*', schema: 'public', table: 'messages' }, (p) => rows.push(['any', p]))
    .on('postgres_changes', { event: 'DELETE', schema: 'public', table: 'messages' }, (p) => rows.push(['del', p]));
  await two.subscribe();
  const { data, error } = await a.from('messages').insert({ room_id: 'r', content: 'x' }).select().single();
  assert.equal(error, null);
  const kinds = [(await rows.next())[0], (await rows.next())[0]].sort();
  assert.deepEqual(kinds, ['any', 'ins']);
  const service = await connect(t, server, { key: server.serviceKey });
  assert.equal((await service.from('messages').delete().eq('id', data.id)).error, null);
  assert.deepEqual([(await rows.next())[0], (await rows.next())[0]].sort(), ['any', 'del']);
});

test('a cookie of the process before: the gap is said when the server was started anew', async (t) => {
  const server = await serve(t);
  const cookies = [];
  const open = async () => {
    const ws = new WebSocket(server.ws(`/realtime/v1/websocket?apikey=${server.anonKey}&vsn=2.0.0`), {
      headers: { origin: server.url, ...(cookies.length ? { cookie: cookies.at(-1) } : {}) } });
    const inbox = new Queue();
    ws.on('upgrade', (r) => cookies.push(r.headers['set-cookie'][0].split(';')[0]));
    ws.on('message', (m) => inbox.push(JSON.parse(m)));
    ws.on('error', () => {});
    await new Promise((resolve) => ws.on('open', resolve));
    ws.send(JSON.stringify(['1', '1', 'realtime:r', 'phx_join', { config: {} }]));
    await inbox.find((m) => m[3] === 'phx_reply');
    return { ws, inbox };
  };
  const first = await open();
  await sleep(50);
  assert.ok(first.inbox.takeAll().every((m) => m[3] !== 'system'));
  first.ws.terminate();
  await server.stop();
  await server.restart();
  const second = await open();
  t.after(() => second.ws.terminate());
  const said = await second.inbox.find((m) => m[3] === 'system', 'the gap');
  assert.match(said[4].message, /^Gap: messages may have been missed/);
});
