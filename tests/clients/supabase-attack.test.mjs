// SPDX-License-Identifier: Apache-2.0
// Supabase Realtime as somebody uses it who wants what is not his: another user's private channel
// by every way there is, names that look like another's, tokens that change hands, memory.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { startProxy } from './lib/proxy.mjs';
import { OP, RawWs } from './lib/rawsocket.mjs';
import { serve, serveAll } from './lib/server.mjs';
import { connect, send, watch } from './lib/supabase.mjs';
import { Queue, until } from './lib/wait.mjs';

const own = 'authenticated if segment(3) == sub';
const rules = [
  { match: 'private:mine:*', allow: { subscribe: own, publish: own, track: own, presence: own } },
  { match: 'private:read:*', allow: { subscribe: 'authenticated', publish: 'none', track: 'none' } },
  { match: 'private:*', allow: { subscribe: 'none', publish: 'none' } },
  { match: '*', allow: { subscribe: '*', publish: '*', presence: '*', track: '*', history: '*' } },
];
const server = serveAll({ before, after }, { config: { channels: { rules }, session: { resume_ms: '5s' } } });
const user = (sub, more = {}) => server.mint({ sub, role: 'authenticated', ...more });
const isPrivate = { config: { private: true, broadcast: { ack: true } } };
let number = 0;

async function open(t, token = server.anonKey) {
  const ws = await RawWs.open(server.port, `/realtime/v1/websocket?apikey=${token}&vsn=2.0.0`);
  t.after(() => ws.destroy());
  ws.reply = async (ref) => {
    for (;;) {
      const m = await ws.json();
      if (m[3] === 'phx_reply' && m[1] === ref) return m[4];
    }
  };
  ws.ask = (topic, event, payload, joinRef = null) => {
    const ref = `r${++number}`;
    ws.sendJson([event === 'phx_join' ? ref : joinRef, ref, topic, event, payload]);
    return ws.reply(ref).then((reply) => ({ ref, ...reply }));
  };
  ws.join = (topic, config = {}, more = {}) => ws.ask(topic, 'phx_join', { config, ...more });
  return ws;
}

// The victim listens; whatever the attacker did, nothing but the last word reached her.
async function victim(t, sub) {
  const client = await connect(t, server);
  await client.realtime.setAuth(user(sub));
  const w = watch(client.channel(`mine:${sub}`, isPrivate));
  await w.subscribe();
  await w.channel.track({ here: sub });
  w.heardNothingElse = async () => {
    await server.publish({ channel: `private:mine:${sub}`, event: 'end', content: {} }, { token: server.serviceKey });
    assert.equal((await w.broadcasts.next()).event, 'end');
    assert.deepEqual(Object.values(w.channel.presenceState()).flat().map((m) => m.here), [sub]);
  };
  return w;
}

test('another user\'s private channel: no way in, by any spelling of its name', async (t) => {
  const w = await victim(t, 'ann');
  const ws = await open(t);
  const token = user('eve');
  const topics = ['realtime:mine:ann', 'realtime:mine:ann:', 'realtime:mine:ann:eve', 'realtime:mine:../ann', 'realtime:mine:%61nn',
    'realtime:mine:Ann', 'realtime:mine: ann', 'realtime:mine:ann ', 'realtime:mine:\u0430nn', 'realtime:private:mine:ann', 'realtime:mine',
    'realtime:mine:', 'realtime:mine:*', 'realtime:*', 'realtime:#', 'realtime:'];
  for (const topic of topics) {
    const config = { private: true, broadcast: { self: true, replay: { since: 1 } }, presence: { enabled: true } };
    const { status } = await ws.join(topic, config, { access_token: token });
    assert.equal(status, 'error', topic);
  }
  // Not private: another room, if it is one at all.
  const open_ = await ws.join('realtime:mine:ann', { broadcast: { replay: { since: 1 } } }, { access_token: token });
  assert.equal(open_.status, 'ok');
  assert.equal((await ws.join('realtime:private:mine:ann', {}, { access_token: token })).status, 'error');
  ws.sendJson([open_.ref, 'x', 'realtime:mine:ann', 'broadcast', { event: 'x', payload: {} }]);
  await ws.ask('phoenix', 'heartbeat', {});
  await w.heardNothingElse();
});

test('pushes to a channel that was not joined, or was refused, go nowhere', async (t) => {
  const w = await victim(t, 'bea');
  const ws = await open(t, user('eve'));
  const mine = await ws.join('realtime:mine:eve', { private: true, broadcast: { ack: true } });
  assert.equal(mine.status, 'ok');
  const refused = await ws.join('realtime:mine:bea', { private: true });
  assert.equal(refused.status, 'error');
  for (const joinRef of [mine.ref, refused.ref, null])
    for (const [event, payload] of [['broadcast', { event: 'x', payload: {} }],
      ['presence', { event: 'track', payload: { here: 'eve' } }], ['presence', { event: 'untrack' }]])
      assert.equal((await ws.ask('realtime:mine:bea', event, payload, joinRef)).response.reason, 'unmatched topic');
  // A binary frame whose topic is hers and whose join_ref is his own: it is his own channel's.
  const topic = 'realtime:mine:bea', head = [3, mine.ref.length, 2, topic.length, 1, 0, 1];
  ws.send(OP.BINARY, Buffer.concat([Buffer.from(head), Buffer.from(`${mine.ref}b1${topic}e{}`)]));
  assert.equal((await ws.reply('b1')).status, 'ok');
  await w.heardNothingElse();
});

test('a right to read is none to write, by no way', async (t) => {
  const ann = await connect(t, server);
  await ann.realtime.setAuth(user('ann'));
  const name = `read:${++number}`, w = watch(ann.channel(name, isPrivate));
  await w.subscribe();
  const token = user('eve');
  const ws = await open(t, token);
  const { ref } = await ws.join(`realtime:${name}`, { private: true, broadcast: { ack: false, self: true } });
  for (const [event, payload] of [['broadcast', { event: 'x', payload: {} }], ['presence', { event: 'track', payload: {} }]])
    assert.match((await ws.ask(`realtime:${name}`, event, payload, ref)).response.reason, /^Unauthorized: You do not have permissions to write/);
  const post = (path, body, headers = { 'content-type': 'application/json' }) => fetch(`${server.url}/realtime/v1/api/broadcast${path}`,
    { method: 'POST', body, headers: { authorization: `Bearer ${token}`, ...headers } }).then((r) => r.status);
  const message = (topic, more) => JSON.stringify({ messages: [{ topic, event: 'x', payload: {}, ...more }] });
  assert.equal(await post('', message(name, { private: true })), 202); // dropped, as upstream
  assert.equal(await post('', message(`private:${name}`)), 202);
  assert.equal(await post(`/${name}/events/x?private=true`, '{}'), 403);
  assert.equal(await post(`/private%3A${name}/events/x`, '{}'), 403);
  assert.equal(await post(`/${name}/events/x?private=true`, 'x', { 'content-type': 'application/octet-stream' }), 403);
  const plain = await fetch(`${server.url}/api/publish`, { method: 'POST', body: JSON.stringify({ channel: `private:${name}`, content: {} }),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } });
  assert.equal(plain.status, 403);
  await server.publish({ channel: `private:${name}`, event: 'end', content: {} }, { token: server.serviceKey });
  assert.equal((await w.broadcasts.next()).event, 'end');
  assert.deepEqual(w.channel.presenceState(), {});
});

test('policies of the database: not by WebSocket, not by REST, not as another topic', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-policies-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.writeFileSync(path.join(folder, '1.sql'), ['select', 'insert'].map((verb) => `create policy "${verb}" on realtime.messages for ${verb}
    to authenticated ${verb === 'select' ? 'using' : 'with check'} (realtime.topic() = 'team:' || auth.uid());`).join('\n'));
  const db = await serve(t, { config: { database: { file: 'x.db', migrations: folder } } });
  const token = db.mint({ sub: 'eve', role: 'authenticated' });
  const ann = await connect(t, db), eve = await connect(t, db);
  await ann.realtime.setAuth(db.mint({ sub: 'ann', role: 'authenticated' }));
  await eve.realtime.setAuth(token);
  const w = watch(ann.channel('team:ann', isPrivate));
  await w.subscribe();
  const { error } = await watch(eve.channel('team:ann', isPrivate)).subscribe('CHANNEL_ERROR');
  assert.match(error.message, /Unauthorized/);
  const post = (where) => fetch(`${db.url}/realtime/v1/api/broadcast/${where}`, { method: 'POST', body: '{}',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } }).then((r) => r.status);
  assert.equal(await post('team%3Aann/events/x?private=true'), 403);
  assert.equal(await post('private%3Ateam%3Aann/events/x'), 403);
  assert.equal(await post('team%3Aeve/events/x?private=true'), 202); // her own
  assert.equal(await post('team%3Aann/events/x'), 202); // the public one of that name
  assert.equal(await send(w.channel, 'mine', {}), 'ok');
  await db.publish({ channel: 'private:team:ann', event: 'end', content: {} }, { token: db.serviceKey });
  assert.equal((await w.broadcasts.next()).event, 'end');
});

test('REST without rights: no token, a foreign one, an old one, none of them publishes', async () => {
  const body = JSON.stringify({ messages: [{ topic: 'rest', event: 'x', payload: {} }] });
  const old = server.mint({ role: 'service_role', exp: Math.floor(Date.now() / 1000) - 60 });
  const none = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${server.serviceKey.split('.')[1]}.`;
  const swapped = [server.anonKey.split('.')[0], server.serviceKey.split('.')[1], server.anonKey.split('.')[2]].join('.');
  for (const token of [null, 'x', old, none, swapped, 'sb_secret_guess'])
    for (const where of ['authorization', 'apikey', 'query']) {
      const headers = { 'content-type': 'application/json', cookie: `tidewire_token=${server.serviceKey}` };
      if (token && where !== 'query') headers[where] = where === 'apikey' ? token : `Bearer ${token}`;
      const query = token && where === 'query' ? `?apikey=${encodeURIComponent(token)}` : '';
      const answer = await fetch(`${server.url}/realtime/v1/api/broadcast${query}`, { method: 'POST', body, headers });
      assert.equal(answer.status, 401, `${token} in ${where}`);
    }
  assert.equal((await server.channel('rest')).offset ?? 0, 0);
});

test('tokens that change hands: what was heard with the old one is not heard with the new one', async (t) => {
  const ws = await open(t);
  const mine = await ws.join('realtime:mine:cid', { private: true }, { access_token: user('cid') });
  assert.equal(mine.status, 'ok');
  // A broken token closes its channel, and does not become the connection's.
  ws.sendJson([mine.ref, 'x', 'realtime:mine:cid', 'access_token', { access_token: user('eve') }]);
  const closed = async (ref) => {
    const seen = [];
    for (;;) {
      const m = await ws.json();
      seen.push(m);
      if (m[3] === 'phx_close' && m[0] === ref) return seen;
    }
  };
  await closed(mine.ref);
  await server.publish({ channel: 'private:mine:cid', event: 'secret', content: {} }, { token: server.serviceKey });
  ws.sendJson([null, 'beat', 'phoenix', 'heartbeat', {}]);
  const next = await ws.json();
  assert.equal(next[1], 'beat'); // and no secret before it
  // Who he was on that channel is nobody on another one.
  assert.equal((await ws.join('realtime:mine:cid', { private: true })).status, 'error');
  assert.equal((await ws.join('realtime:mine:eve', { private: true })).status, 'error');
  for (const token of [user('cid').slice(0, -6), 'a.b.c', user('cid', { exp: Math.floor(Date.now() / 1000) - 100 })]) {
    const again = await ws.join('realtime:mine:cid', { private: true }, { access_token: user('cid') });
    ws.sendJson([again.ref, 'y', 'realtime:mine:cid', 'access_token', { access_token: token }]);
    assert.ok((await closed(again.ref)).some((m) => m[3] === 'system' && m[4].status === 'error'), token);
  }
});

test('somebody else with the ticket of a session gets nothing of what it missed', async (t) => {
  const proxy = await startProxy(t, server.port);
  const session = randomUUID();
  const dan = await connect(t, server, { url: `http://127.0.0.1:${proxy.port}`,
    realtime: { params: { session }, reconnectAfterMs: () => 60000 } });
  await dan.realtime.setAuth(user('dan'));
  const w = watch(dan.channel('shared'));
  await w.subscribe();
  proxy.refusing = true;
  for (const link of [...proxy.links]) link.reset();
  await w.status('CHANNEL_ERROR');
  await server.publish({ channel: 'shared', event: 'away', content: {} });
  const eve = await connect(t, server, { realtime: { params: { session } } });
  await eve.realtime.setAuth(user('eve'));
  const we = watch(eve.channel('shared'));
  await we.subscribe();
  await server.publish({ channel: 'shared', event: 'now', content: {} });
  assert.equal((await we.broadcasts.next()).event, 'now');
});

test('forged refs and keys of presence are the server\'s own, a member cannot take another away', async (t) => {
  const [a, b] = [await connect(t, server), await connect(t, server)];
  const name = `f${++number}`, key = { config: { presence: { key: 'ann' } } };
  const wa = watch(a.channel(name, key)), wb = watch(b.channel(name, key));
  await Promise.all([wa.subscribe(), wb.subscribe()]);
  await wa.channel.track({ real: true });
  const state = await wb.syncs.find((s) => s.ann, 'ann');
  await wb.channel.track({ phx_ref: state.ann[0].presence_ref, phx_ref_prev: state.ann[0].presence_ref, __proto__: null, real: false });
  const both = await wa.syncs.find((s) => s.ann?.length === 2, 'both');
  assert.equal(new Set(both.ann.map((m) => m.presence_ref)).size, 2);
  await wb.channel.untrack();
  const left = await wa.syncs.find((s) => s.ann?.length === 1, 'one');
  assert.equal(left.ann[0].real, true);
});

test('a key and a filter as large as a frame: the join stands, the rest is refused', async (t) => {
  const ws = await open(t);
  const big = 'k'.repeat(1 << 20);
  const binding = { event: 'INSERT', schema: 'public', table: 'messages', filter: `room_id=eq.${big}` };
  const { status, ref, response } = await ws.join('realtime:big', { presence: { key: big }, postgres_changes: [binding] });
  assert.equal(status, 'ok');
  assert.equal(response.postgres_changes[0].filter, binding.filter);
  let system;
  do system = await ws.json(); while (system[3] !== 'system');
  assert.match(system[4].message, /filter or table too long/);
  const { response: { reason } } = await ws.ask('realtime:big', 'presence', { type: 'presence', event: 'track', payload: {} }, ref);
  assert.match(reason, /Presence keys are 1 to 255 bytes/);
});

test('a flood of one client does not stand in the way of another', async (t) => {
  const flooded = await serve(t, { config: { limits: { messages_per_second: 100, burst: 50 } } });
  const ws = new WebSocket(flooded.ws(`/realtime/v1/websocket?apikey=${flooded.anonKey}&vsn=2.0.0`));
  t.after(() => ws.terminate());
  ws.on('error', () => {});
  await new Promise((resolve) => ws.on('open', resolve));
  ws.send(JSON.stringify(['1', '1', 'realtime:x', 'phx_join', { config: {} }]));
  for (let i = 0; i < 10000; i++) ws.send(JSON.stringify(['1', `${i}`, 'realtime:x', 'broadcast', { event: 'e', payload: {} }]));
  const [a, b] = [await connect(t, flooded), await connect(t, flooded)];
  const wa = watch(a.channel('quiet')), wb = watch(b.channel('quiet'));
  await Promise.all([wa.subscribe(), wb.subscribe()]);
  await send(wa.channel, 'hello', {});
  assert.equal((await wb.broadcasts.next()).event, 'hello');
  const got = new Queue();
  b.channel('x').on('broadcast', { event: '*' }, (m) => got.push(m)).subscribe();
  await until(() => got.length > 0, 'the flood goes on, slowly');
  assert.equal(ws.readyState, WebSocket.OPEN);
});
