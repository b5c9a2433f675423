// SPDX-License-Identifier: Apache-2.0
// One room, all dialects: supabase-js of both wire versions, the phoenix package over WebSocket and
// long poll, socket.io over WebSocket and polling, plain WebSocket, SSE, long poll. Each says
// something in every form it has; each hears all of the others, once and in the same order.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EventSource } from 'eventsource';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { serveAll } from './lib/server.mjs';
import { connect, send, watch } from './lib/supabase.mjs';
import { Queue, within } from './lib/wait.mjs';

const server = serveAll({ before, after }, { config: {
  socketio: { events: [
    { on: 'join', join: '$args[0]' },
    { on: 'say', emit: 'new-message', to: '$args[0]', data: '$args[1]' },
  ] },
} });
const ROOM = 'room-1';

// What each dialect is for the test: say(event, content), and heard, a queue of [event, content].
async function supabase(t, version) {
  const client = await connect(t, server, { version });
  const w = watch(client.channel(ROOM, { config: { presence: { key: version } } }));
  await w.subscribe();
  return { name: `supabase-js ${version}`, w, say: (event, content) => send(w.channel, event, content),
    take: async () => { const m = await w.broadcasts.next(`at supabase-js ${version}`); return [m.event, m.payload]; },
    rest: () => w.broadcasts.length };
}

async function phoenix(t, transport) {
  globalThis.self ??= globalThis;
  const { Socket, LongPoll } = await import('phoenix-1.8');
  const socket = new Socket(server.ws('/realtime/v1'), { vsn: '2.0.0', params: { apikey: server.anonKey },
    transport: transport === 'longpoll' ? LongPoll : WebSocket });
  socket.connect();
  t.after(() => new Promise((resolve) => socket.disconnect(resolve)));
  const channel = socket.channel(`realtime:${ROOM}`, { config: { broadcast: { ack: true } } }), heard = new Queue();
  channel.on('broadcast', (m) => heard.push([m.event, m.payload]));
  const done = (push) => within(new Promise((resolve, reject) => { push.receive('ok', resolve).receive('error', reject); }), 'phoenix');
  await done(channel.join());
  return { name: `phoenix ${transport}`, say: (event, payload) => done(channel.push('broadcast', { type: 'broadcast', event, payload })),
    take: () => heard.next(`at phoenix ${transport}`), rest: () => heard.length };
}

async function socketio(t, transport) {
  const socket = io(server.url, { transports: [transport], forceNew: true }), heard = new Queue();
  t.after(() => socket.disconnect());
  socket.onAny((event, content) => heard.push([event, content]));
  await within(new Promise((resolve) => socket.on('connect', resolve)), 'socket.io');
  const ask = (...args) => within(new Promise((resolve) => socket.emit(...args, resolve)), 'an ack');
  await ask('join', ROOM);
  return { name: `socket.io ${transport}`, say: (_, content) => ask('say', ROOM, content),
    take: () => heard.next(`at socket.io ${transport}`), rest: () => heard.length };
}

async function plain(t) {
  const ws = new WebSocket(server.ws('/socket')), heard = new Queue(), answers = new Queue();
  t.after(() => ws.terminate());
  ws.on('message', (m) => {
    const f = JSON.parse(m);
    if (f.type === 'message') heard.push([f.event, f.content]);
    else answers.push(f);
  });
  await new Promise((resolve) => ws.on('open', resolve));
  ws.send(JSON.stringify({ type: 'subscribe', channel: ROOM, presence: true }));
  await answers.find((f) => f.type === 'subscribed');
  return { name: 'plain WebSocket', ws, answers, echoes: true,
    say: (event, content) => ws.send(JSON.stringify({ type: 'message', channel: ROOM, event, content })),
    take: () => heard.next('at the plain WebSocket'), rest: () => heard.length };
}

async function sse(t) {
  const es = new EventSource(`${server.url}/api/events?channel=${ROOM}&frames=1`), heard = new Queue();
  t.after(() => es.close());
  es.onmessage = (e) => { const f = JSON.parse(e.data); if (f.type === 'message') heard.push([f.event, f.content]); };
  await within(new Promise((resolve) => { es.onopen = resolve; }), 'sse');
  return { name: 'SSE', take: () => heard.next('at the EventSource'), rest: () => heard.length };
}

test('room-1 is one room, whatever is spoken', async (t) => {
  const all = [
    await supabase(t, '2.80'), await supabase(t, '2.109'), await supabase(t, '2.119'), await phoenix(t, 'websocket'),
    await phoenix(t, 'longpoll'), await socketio(t, 'websocket'), await socketio(t, 'polling'), await plain(t), await sse(t),
  ];
  const http = { name: 'HTTP', say: (event, content) => server.publish({ channel: ROOM, event, content }) };
  const rest = { name: 'REST broadcast', say: async (event, payload) => {
    const answer = await fetch(`${server.url}/realtime/v1/api/broadcast`, { method: 'POST',
      headers: { apikey: server.anonKey, 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ topic: ROOM, event, payload }] }) });
    assert.equal(answer.status, 202);
  } };
  for (const speaker of [...all, http, rest].filter((x) => x.say)) {
    const content = { from: speaker.name, text: 'häß “日本” \u2028', n: [1, null, { deep: true }] };
    await speaker.say('new-message', content);
    for (const listener of all) {
      if (listener === speaker && !listener.echoes) continue;
      assert.deepEqual(await listener.take(), ['new-message', content], `${speaker.name} to ${listener.name}`);
    }
  }
  for (const listener of all) assert.equal(listener.rest(), 0, `${listener.name} got more`);
});

test('presence of room-1 is one list, whoever tracks', async (t) => {
  const [old, now, ws] = [await supabase(t, '2.80'), await supabase(t, '2.119'), await plain(t)];
  await old.w.channel.track({ dialect: 'vsn 1' });
  await now.w.channel.track({ dialect: 'vsn 2' });
  ws.ws.send(JSON.stringify({ type: 'track', channel: ROOM, key: 'plain', meta: { dialect: 'plain' } }));
  const dialects = (state) => Object.values(state).flat().map((m) => m.dialect).sort().join();
  for (const { w } of [old, now]) await w.syncs.find((s) => dialects(s) === 'plain,vsn 1,vsn 2', 'all three');
  ws.ws.send(JSON.stringify({ type: 'untrack', channel: ROOM, key: 'plain' }));
  for (const { w } of [old, now]) await w.syncs.find((s) => dialects(s) === 'vsn 1,vsn 2', 'plain is gone');
  await old.w.channel.unsubscribe();
  await ws.answers.find((f) => JSON.stringify(f.leaves ?? '').includes('2.80'), 'the plain one sees who left');
});
