// SPDX-License-Identifier: Apache-2.0
// The guide's chat without code: the event rules that `tidewire dev` brings, and what else rules
// can say; the same chat as a program (examples/chat.c); and its members in three dialects.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { EventSource } from 'eventsource';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { io } from 'socket.io-client';
import { BIN, Server, serve, serveAll, sleep, until, within } from './lib/server.mjs';

const rules = [
  { match: 'vip-*', allow: { subscribe: 'vip', publish: 'vip', history: '*' } },
  { match: '*', allow: { subscribe: '*', publish: '*', presence: '*', track: '*', history: '*' } },
];
const server = serveAll({ before, after }, { config: { channels: { rules } } });

class User {
  constructor(name, { s = server, claims = {}, token, ...options } = {}) {
    this.got = [];
    this.socket = io(s.url, {
      forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50,
      auth: { token: token === undefined ? s.mint({ sub: name, name: name.toUpperCase(), ...claims }) : token },
      ...options,
    });
    for (const event of ['user-joined', 'new-message', 'user-typing', 'user-stopped-typing', 'error'])
      this.socket.on(event, (data) => this.got.push([event, data]));
  }

  static async join(name, room, options) {
    const user = new User(name, options);
    await until(() => user.socket.connected, `${name} is connected`);
    if (room) user.answer = await user.emit('join-room', room);
    return user;
  }

  emit(...args) {
    return this.socket.timeout(20000).emitWithAck(...args);
  }

  heard(event) {
    return this.got.filter(([e]) => e === event).map(([, data]) => data);
  }

  leave() {
    this.socket.disconnect();
  }
}

// Everything that was sent to the room before this is there.
async function settle(users, room) {
  const mark = `mark-${Math.random()}`;
  const seen = users.map((u) => new Promise((resolve) => { u.socket.once(mark, resolve); }));
  await server.publish({ channel: room, event: mark, content: null }, { token: server.serviceKey });
  await within(Promise.all(seen), 'the mark');
}

describe('the chat of the guide by rules', () => {
  test('join, message, typing: the others hear it, the sender does not', async () => {
    const a = await User.join('ann', 'room-1');
    const b = await User.join('bob', 'room-1');
    await until(() => a.heard('user-joined').length, 'bob came');
    assert.deepEqual(a.heard('user-joined'), [{ userId: 'bob', userName: 'BOB' }]);
    b.socket.emit('send-message', { roomId: 'room-1', message: 'hi "all"' });
    b.socket.emit('typing-start', 'room-1');
    b.socket.emit('typing-start', 'room-1');
    b.socket.emit('typing-stop', 'room-1');
    b.socket.emit('typing-stop', 'room-1');
    await until(() => a.heard('user-stopped-typing').length, 'typing is over');
    await settle([a, b], 'room-1');
    const [m] = a.heard('new-message');
    assert.ok(Math.abs(m.timestamp - Date.now()) < 60000);
    assert.deepEqual({ ...m, timestamp: 0 }, { userId: 'bob', userName: 'BOB', message: 'hi "all"', timestamp: 0 });
    assert.deepEqual(a.got.map(([e]) => e), ['user-joined', 'new-message', 'user-typing', 'user-stopped-typing']);
    assert.deepEqual(b.got, []);
    a.leave();
    b.leave();
  });

  test('a client that vanishes while typing has stopped', async () => {
    const a = await User.join('ann', 'room-2');
    const b = await User.join('bob', 'room-2');
    b.socket.emit('typing-start', 'room-2');
    await until(() => a.heard('user-typing').length, 'bob types');
    b.socket.io.reconnection(false);
    b.socket.io.engine.close();
    await until(() => a.heard('user-stopped-typing').length, 'bob has stopped');
    assert.deepEqual(a.heard('user-stopped-typing'), [{ userId: 'bob' }]);
    a.leave();
  });

  test('joining again, after a cut or from a new page, announces nobody twice; leaving does', async () => {
    const a = await User.join('ann', 'room-3');
    const b = await User.join('bob', 'room-3');
    await b.emit('join-room', 'room-3');
    b.socket.io.engine.close();
    await until(() => b.socket.connected, 'back');
    assert.equal(b.socket.recovered, true);
    await b.emit('join-room', 'room-3');
    b.leave();
    const page = await User.join('bob', 'room-3');
    await settle([a, page], 'room-3');
    assert.equal(a.heard('user-joined').length, 1);
    await page.emit('leave-room', 'room-3');
    await page.emit('join-room', 'room-3');
    await settle([a, page], 'room-3');
    assert.equal(a.heard('user-joined').length, 2);
    a.leave();
    page.leave();
  });

  test('a room that the rules of channels close: Access denied, and no join', async () => {
    const a = await User.join('ann', 'vip-1');
    assert.deepEqual(a.answer, { status: 'error', message: 'Access denied', code: 'ACCESS_DENIED' });
    assert.deepEqual(a.heard('error').map((e) => e.message), ['Access denied']);
    const v = await User.join('vic', 'vip-1', { claims: { role: 'vip' } });
    assert.deepEqual(v.answer, { status: 'ok' });
    const answer = await a.emit('send-message', { roomId: 'vip-1', message: 'x' });
    assert.equal(answer.message, 'Access denied');
    await settle([v], 'vip-1');
    assert.deepEqual(v.got, []);
    a.leave();
    v.leave();
  });

  test('an event without its room is an error, one that no rule names is ignored', async () => {
    const a = await User.join('ann');
    assert.equal((await a.emit('join-room', { not: 'a name' })).status, 'error');
    assert.equal((await a.emit('send-message')).status, 'error');
    a.socket.emit('who-knows', 1);
    assert.equal((await a.emit('join-room', 'room-4')).status, 'ok');
    a.leave();
  });

  test('one chat, four dialects', async () => {
    const a = await User.join('ann', 'room-5');
    const events = [];
    const source = new EventSource(`${server.url}/api/events?channel=room-5`);
    source.addEventListener('new-message', (e) => events.push(JSON.parse(e.data)));
    await within(new Promise((resolve) => { source.onopen = resolve; }), 'the stream');
    const first = await (await fetch(`${server.url}/api/poll?channel=room-5&timeout=500`)).json();
    await a.emit('send-message', { roomId: 'room-5', message: 'to all' });
    await until(() => events.length, 'the event');
    assert.equal(events[0].message, 'to all');
    const poll = await (await fetch(`${server.url}/api/poll?channel=room-5&cursor=${first.cursor}`)).json();
    assert.equal(poll.event, 'new-message', JSON.stringify([first, poll]));
    assert.equal(poll.content.message, 'to all');
    await server.publish({ channel: 'room-5', event: 'new-message', content: { message: 'from outside' } });
    await until(() => a.heard('new-message').length, 'the message');
    assert.deepEqual(a.heard('new-message'), [{ message: 'from outside' }]);
    source.close();
    a.leave();
  });
});

test('sub, pub and tail speak with Socket.IO clients; metrics count them', async (t) => {
  const s = await serve(t, { config: { channels: { rules } } });
  const env = { ...process.env, TIDEWIRE_URL: s.url, TIDEWIRE_TOKEN: s.serviceKey };
  const verb = (...args) => {
    const child = spawn(BIN, args, { cwd: s.data, env });
    child.said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => { child.said += d; });
    t.after(() => child.kill('SIGKILL'));
    return child;
  };
  const sub = verb('sub', 'room-6', '--raw', '--count', '2', '--token', s.serviceKey);
  const tail = verb('tail', '--json', '--token', s.serviceKey);
  await until(() => tail.said.includes('watching'), () => `tail: ${tail.said}`);
  await until(() => s.metric('tidewire_subscriptions').then((n) => n === 1), () => `sub: ${sub.said}`);
  const a = await User.join('ann', 'room-6', { s });
  assert.equal(await s.metric('tidewire_socketio_sockets'), 1);
  await a.emit('send-message', { roomId: 'room-6', message: 'hear, hear' });
  await until(() => sub.said.includes('hear, hear'), () => `sub: ${sub.said}`);
  verb('pub', 'room-6', 'new-message', '{"message":"from a shell"}', '--token', s.serviceKey);
  await until(() => a.heard('new-message').length, 'what was published');
  assert.deepEqual(a.heard('new-message'), [{ message: 'from a shell' }]);
  a.leave();
  const lines = () => tail.said.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  await until(() => lines().some((e) => e.type === 'session' && e.event === 'end' && e.sub === 'ann'), () => `tail: ${tail.said}`);
  const seen = lines();
  assert.ok(seen.some((e) => e.type === 'message' && e.channel === 'room-6' && JSON.stringify(e).includes('hear, hear')));
  assert.match(JSON.stringify(seen.find((e) => e.event === 'open' && e.sub === 'ann')), /socketio/);
  assert.ok(await s.metric('tidewire_messages_received_total{protocol="socketio"}') >= 3);
  await until(() => s.metric('tidewire_socketio_sockets').then((n) => n === 0), 'nobody is left');
});

test('rules: other values, acks, to all, to the sender, members only, several arguments', async (t) => {
  const s = await serve(t, {
    config: {
      channels: { rules },
      socketio: {
        namespaces: [{ match: '/shop' }],
        events: [
          { on: 'hello', emit: 'back', to: '$sid', data: '($args[0], {"role": $role, "none": $claims.none})', ack: '(1, $args[1][1])' },
          { on: 'shout', emit: 'shouted', to: '*', echo: true },
          { on: 'in', join: 'r-$args[0].id' },
          { on: 'say', emit: 'said', to: 'r-$args[0].id', member: true, echo: true },
          { on: 'buy', namespace: '/shop', emit: 'sold', to: '*', echo: true },
          { on: 'typing', emit: 'typing', to: 'r-1', until: 'done', ttl_ms: '200ms', echo: true },
          { on: 'done', emit: 'done', to: 'r-1', echo: true },
        ],
      },
    },
  });
  const a = await User.join('ann', null, { s });
  const heard = (event) => within(new Promise((resolve) => { a.socket.once(event, (...x) => resolve(x)); }), event);
  let h = heard('back');
  assert.deepEqual(await new Promise((resolve) => { a.socket.emit('hello', 'x', [7, 8], (...r) => resolve(r)); }), [1, 8]);
  assert.deepEqual((await h).slice(0, 2), ['x', { role: 'authenticated', none: null }]);
  h = heard('shouted');
  a.socket.emit('shout', 1, Buffer.from([5]));
  const [one, bytes] = await h;
  assert.deepEqual([one, [...bytes]], [1, [5]]);
  assert.equal((await a.emit('say', { id: 1 })).code, 'ACCESS_DENIED');
  assert.equal((await a.emit('in', { id: 1 })).status, 'ok');
  h = heard('said');
  a.socket.emit('say', { id: 1 });
  await h;
  h = heard('done');
  a.socket.emit('typing');
  await h;
  const shop = io(`${s.url}/shop`, { forceNew: true });
  const sold = within(new Promise((resolve) => { shop.once('sold', resolve); }), 'sold');
  shop.emit('buy', 'milk');
  assert.equal(await sold, 'milk');
  shop.disconnect();
  a.leave();
});

test('rules that make no sense are told with their place', () => {
  const file = path.join(fs.mkdtempSync('/tmp/tidewire-rules-'), 'c.yaml');
  const check = (event) => {
    fs.writeFileSync(file, `socketio:\n  events:\n    - on: ok\n      join: $args[0]\n    - ${event}\n`);
    const out = spawnSync(BIN, ['config', 'check', '--config', file], { encoding: 'utf8' });
    return out.stdout + out.stderr;
  };
  assert.match(check('{on: connect}'), /c\.yaml:5:\d+: socketio\.events\[1\]\.on: an event that clients can send/);
  assert.match(check("{on: a, join: '$nope'}"), /:5:\d+: socketio\.events\[1\]\.join: at character 1: unknown value/);
  assert.match(check("{on: a, join: '$args[x]'}"), /an index is a number/);
  assert.match(check('{on: a, emit: b}'), /\.to: missing/);
  assert.match(check("{on: a, emit: b, to: r, data: '{oops'}"), /\.data: not JSON/);
  assert.match(check('{on: a, until: b}'), /\.ttl_ms: missing/);
  assert.match(check('{on: a, emit: disconnect, to: r}'), /keeps this name/);
  fs.rmSync(path.dirname(file), { recursive: true });
});

test('examples/chat.c: the words of the guide, rooms, typing that ends with its client', async (t) => {
  const secret = 'a secret of at least thirty-two bytes';
  const s = new Server({});
  s.secret = secret;
  const child = spawn(path.join(path.dirname(fs.realpathSync(BIN)), 'examples/chat'),
    ['--http.listen=127.0.0.1:0', `--auth.jwt_secret=${secret}`, `--data=${s.data}`, '--drain.timeout=200ms'],
    { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { out += d; });
  const ended = new Promise((resolve) => { child.on('exit', (code) => resolve(code)); });
  t.after(() => { child.kill('SIGKILL'); s.clean(); });
  await until(() => /Listening on (\S+)/.test(out), () => `the server: ${out}`);
  s.url = out.match(/Listening on (\S+)/)[1];
  for (const [token, words] of [[null, 'Authentication token required'], ['x', 'Invalid authentication token']]) {
    const bad = new User('x', { s, token, reconnection: false });
    const error = await within(new Promise((resolve) => { bad.socket.on('connect_error', resolve); }), 'the refusal');
    assert.equal(error.message, words);
  }
  const a = await User.join('ann', 'c1', { s });
  const b = await User.join('bob', 'c1', { s });
  assert.deepEqual(b.answer, { status: 'ok' });
  await until(() => a.heard('user-joined').length, 'bob came');
  assert.deepEqual(a.heard('user-joined'), [{ userId: 'bob', userName: 'BOB' }]);
  await b.emit('join-room', 'private-1');
  assert.deepEqual(b.heard('error'), [{ message: 'Access denied' }]);
  await b.emit('send-message', { roomId: 'c1', message: 'hi' });
  b.socket.emit('typing-start', 'c1');
  await until(() => a.heard('user-typing').length, 'typing');
  b.leave();
  await until(() => a.heard('user-stopped-typing').length, 'stopped');
  assert.equal(a.heard('new-message')[0].message, 'hi');
  assert.equal(a.heard('user-joined').length, 1);
  a.leave();
  await sleep(50);
  child.kill('SIGTERM');
  assert.equal(await within(ended, 'the end'), 0);
});
