// SPDX-License-Identifier: Apache-2.0
// The plain `phoenix` package, 1.7 and 1.8, over WebSocket and long poll: Supabase Realtime's
// topics spoken by a client that knows nothing of Supabase.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { serveAll } from './lib/server.mjs';
import { connect, send, watch } from './lib/supabase.mjs';
import { Queue, until, within } from './lib/wait.mjs';

const server = serveAll({ before, after }, { config: { session: { resume_ms: '1s' } } });
let number = 0;

// What 1.7 and a browser have and Node has not, as far as the long poll of 1.7 needs it.
class XMLHttpRequest {
  open(method, url) { Object.assign(this, { method, url, headers: {} }); }
  setRequestHeader(name, value) { this.headers[name] = value; }
  abort() { this.controller?.abort(); }
  async send(body) {
    this.controller = new AbortController();
    const { method, headers } = this;
    try {
      const answer = await fetch(this.url, { method, headers, body: body ?? undefined, signal: this.controller.signal });
      this.responseText = await answer.text();
      Object.assign(this, { status: answer.status, readyState: 4 });
      this.onreadystatechange?.();
    } catch (error) {
      if (error.name !== 'AbortError') this.onerror?.(error);
    }
  }
}

const kinds = [];
for (const version of ['1.7', '1.8']) for (const transport of ['websocket', 'longpoll']) kinds.push([version, transport]);

async function open(t, version, transport, where = '/realtime/v1') {
  globalThis.self ??= globalThis; // where 1.7 looks for a browser's things
  if (transport === 'longpoll') globalThis.XMLHttpRequest = XMLHttpRequest;
  const { Socket, LongPoll, Presence } = await import(`phoenix-${version}`);
  const socket = new Socket(`${server.url.replace('http', 'ws')}${where}`, {
    transport: transport === 'longpoll' ? LongPoll : WebSocket, params: { apikey: server.anonKey },
    reconnectAfterMs: () => 50, rejoinAfterMs: () => 50, vsn: '2.0.0',
  });
  socket.connect();
  t.after(() => new Promise((resolve) => socket.disconnect(resolve)));
  return { socket, Presence };
}

const reply = (push) => within(new Promise((resolve, reject) => {
  push.receive('ok', resolve).receive('error', (e) => reject(Object.assign(new Error('refused'), { response: e })))
    .receive('timeout', () => reject(new Error('timeout')));
}), 'a reply');

for (const [version, transport] of kinds) {
  test(`phoenix ${version} ${transport}: join, broadcast both ways, presence, leave`, async (t) => {
    const { socket, Presence } = await open(t, version, transport);
    const name = `p:${++number}`;
    const channel = socket.channel(`realtime:${name}`, { config: { broadcast: { ack: true }, presence: { key: 'px' } } });
    const events = new Queue(), presence = new Presence(channel);
    channel.on('broadcast', (p) => events.push(p));
    assert.deepEqual(await reply(channel.join()), { postgres_changes: [] });

    const supabase = await connect(t, server);
    const w = watch(supabase.channel(name));
    await w.subscribe();
    await reply(channel.push('broadcast', { type: 'broadcast', event: 'hi', payload: { from: 'phoenix' } }));
    assert.deepEqual((await w.broadcasts.next()).payload, { from: 'phoenix' });
    await send(w.channel, 'back', { from: 'supabase' });
    const got = await events.next();
    assert.deepEqual([got.event, got.payload], ['back', { from: 'supabase' }]);

    await reply(channel.push('presence', { type: 'presence', event: 'track', payload: { n: 1 } }));
    await w.syncs.find((s) => s.px?.[0].n === 1, 'px is there');
    await w.channel.track({ n: 2 });
    await until(() => presence.list().length === 2, 'both in the list');
    await reply(channel.push('presence', { type: 'presence', event: 'track', payload: { n: 3 } }));
    await until(() => presence.state.px?.metas.length === 1 && presence.state.px.metas[0].n === 3, 'the update');
    await reply(channel.leave());
    await w.syncs.find((s) => !s.px, 'px is gone');
  });

  test(`phoenix ${version} ${transport}: what is refused says so, and costs nothing else`, async (t) => {
    const { socket } = await open(t, version, transport);
    const other = socket.channel('room:lobby');
    await assert.rejects(reply(other.join()), (e) => e.response.reason === 'unmatched topic');
    other.leave();
    const channel = socket.channel(`realtime:q:${++number}`, {});
    await reply(channel.join());
    await assert.rejects(reply(channel.push('nonsense', {})), (e) => /UnknownEvent/.test(e.response.reason));
    await assert.rejects(reply(channel.push('broadcast', { type: 'broadcast' })), (e) => /event/.test(e.response.reason));
    await assert.rejects(reply(channel.push('presence', { event: 'track', payload: [1] })),
      (e) => e.response.reason === 'Presence track payload must be a map');
    assert.equal(channel.state, 'joined');
  });

  test(`phoenix ${version} ${transport}: several topics at once, many messages, in order`, async (t) => {
    const { socket } = await open(t, version, transport);
    const names = [1, 2, 3].map(() => `m:${++number}`);
    const queues = await Promise.all(names.map(async (name) => {
      const channel = socket.channel(`realtime:${name}`, { config: {} }), q = new Queue();
      channel.on('broadcast', (p) => q.push(p));
      await reply(channel.join());
      return q;
    }));
    for (let i = 0; i < 100; i++) await server.publish(names.map((channel) => ({ channel, event: 'n', content: i })));
    for (const q of queues) for (let i = 0; i < 100; i++) assert.equal((await q.next()).payload, i);
  });
}

test('phoenix long poll: bytes come as marked base64', async (t) => {
  const { socket } = await open(t, '1.8', 'longpoll');
  const name = `b:${++number}`, q = new Queue();
  const channel = socket.channel(`realtime:${name}`, { config: {} });
  channel.on('broadcast', (p) => q.push(p));
  await reply(channel.join());
  const w = watch((await connect(t, server)).channel(name));
  await w.subscribe();
  await send(w.channel, 'bytes', new Uint8Array([1, 2, 255]).buffer);
  assert.deepEqual((await q.next()).payload, { encoding: 'base64', content: 'AQL/' });
});

test('phoenix: /socket/websocket, as the server without its gateway has it', async (t) => {
  const { socket } = await open(t, '1.8', 'websocket', '/socket');
  assert.deepEqual(await reply(socket.channel('realtime:s', {}).join()), { postgres_changes: [] });
});

test('phoenix long poll: a token that is gone makes the client join again', async (t) => {
  const { socket } = await open(t, '1.8', 'longpoll');
  const channel = socket.channel(`realtime:g:${++number}`, { config: {} });
  await reply(channel.join());
  let joins = 0;
  channel.joinPush.receive('ok', () => { joins++; });
  socket.conn.token = `${socket.conn.token.slice(0, -3)}AAA`;
  channel.push('broadcast', { type: 'broadcast', event: 'x', payload: {} });
  await until(() => joins === 2, () => `joined again: ${joins}`); // the first is told late
  assert.equal(channel.state, 'joined');
});

test('phoenix long poll: who polls no more is forgotten, and is said by status what is wrong', async () => {
  const url = `${server.url}/realtime/v1/longpoll?vsn=2.0.0`;
  const ask = async (query, init) => (await fetch(`${url}${query}`, init)).json();
  assert.deepEqual(await ask('&apikey=nonsense'), { error: 'The token provided is not a valid JWT' });
  const { status, token } = await ask(`&apikey=${server.anonKey}`);
  assert.equal(status, 410);
  assert.equal((await ask(`&token=${token}`, { method: 'POST', body: '[null,"1","phoenix","heartbeat",{}]\n' })).status, 200);
  const { messages } = await ask(`&token=${token}`);
  assert.deepEqual(JSON.parse(messages[0]), [null, '1', 'phoenix', 'phx_reply', { status: 'ok', response: {} }]);
  assert.equal((await ask(`&token=00${token.slice(2, -2)}xx`)).status, 500);
  assert.equal((await ask(`&token=zz`)).status, 500);
});
