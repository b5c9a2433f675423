// SPDX-License-Identifier: Apache-2.0
// The official clients, unmodified, three minor versions and three ways to travel, against
// examples/echo.c: connect, refusals, acks both ways, bytes, namespaces, rooms, volatile, recovery,
// reasons of disconnects.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { io as io48 } from 'socket.io-client';
import { io as io47 } from 'socket.io-client-4.7';
import { io as io45 } from 'socket.io-client-4.5';
import { WebSocket } from 'ws';
import { BIN, serveAll, until, within } from './lib/server.mjs';

const VERSIONS = { 4.8: io48, 4.7: io47, 4.5: io45 };
const WAYS = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };
const server = serveAll({ before, after }, { bin: path.join(path.dirname(fs.realpathSync(BIN)), 'examples/echo') });

const once = (socket, event, ms) => within(new Promise((resolve) => {
  socket.once(event, (...args) => resolve(args));
}), event, ms);

for (const [version, io] of Object.entries(VERSIONS)) {
  for (const [way, transports] of Object.entries(WAYS)) {
    describe(`socket.io-client ${version}, ${way}`, () => {
      const open = [];
      // `auth` is sent by every connection's handler; whoever waits for it must listen first.
      const make = (nsp = '/', options = {}) => {
        const socket = io(server.url + nsp, {
          transports, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100, ...options,
        });
        open.push(socket);
        return socket;
      };
      const connect = async (nsp, options) => {
        const socket = make(nsp, options);
        await once(socket, 'connect');
        return socket;
      };
      const emit = (socket, ...args) => within(new Promise((resolve) => {
        socket.emit(...args, (...answer) => resolve(answer));
      }), `the answer to ${args[0]}`);
      after(() => open.forEach((socket) => socket.disconnect()));

      test('connects, hears the handler, has an id of 20 characters', async () => {
        const socket = make();
        const [hello] = await once(socket, 'auth');
        assert.equal(hello, 'welcome');
        assert.match(socket.id, /^[\w-]{20}$/);
        if (way === 'upgrade') await until(() => socket.io.engine.transport.name === 'websocket', 'the upgrade');
        const [me] = await emit(socket, 'who');
        assert.equal(me.id, socket.id);
        assert.equal(me.nsp, '/');
      });

      test('a bad token is refused with the words; data says what exactly', async () => {
        const socket = make('/', { auth: { token: 'nonsense' }, reconnection: false });
        const [error] = await once(socket, 'connect_error');
        assert.equal(error.message, 'Invalid authentication token');
        assert.equal(error.data.name, 'TOKEN_INVALID');
      });

      test('a good token names the user', async () => {
        const socket = await connect('/', { auth: { token: server.mint({ sub: 'ann' }) } });
        const [me] = await emit(socket, 'who');
        assert.equal(me.user, 'ann');
      });

      test('what was said comes back: JSON of every kind, and bytes', async () => {
        const socket = await connect();
        const said = ['message', 1, '2', { 3: [true, null, 'é\u2028"\\'] }, Buffer.from([1, 2, 255])];
        const heard = once(socket, 'message-back');
        socket.emit(...said);
        const [a, b, c, d] = await heard;
        assert.deepEqual([a, b, c], said.slice(1, 4));
        assert.deepEqual([...new Uint8Array(d)], [1, 2, 255]);
        const [x, y] = await emit(socket, 'message-with-ack', 'q', new Uint8Array([7]));
        assert.equal(x, 'q');
        assert.deepEqual([...new Uint8Array(y)], [7]);
        assert.deepEqual(await emit(socket, 'later'), ['later']);
      });

      test('the server asks: an answer, and none in time', async () => {
        const socket = await connect();
        let answer = (reply) => reply('yes', { n: 1 });
        socket.on('question', (one, two, reply) => {
          assert.deepEqual([one, two], [1, '2']);
          answer(reply);
        });
        let heard = once(socket, 'answered');
        socket.emit('ask');
        assert.deepEqual((await heard).slice(0, 2), ['ok', ['yes', { n: 1 }]]);
        answer = () => {};
        heard = once(socket, 'answered');
        socket.emit('ask');
        assert.deepEqual((await heard).slice(0, 2), ['Timed out', null]);
      });

      test('a thread of the program reaches a socket by its id', async () => {
        const socket = await connect();
        const heard = once(socket, 'visited');
        socket.emit('visit');
        assert.equal((await heard)[0], 'by id');
      });

      test('namespaces: several on one connection, dynamic ones, unknown ones', async () => {
        const manager = make('/custom').io;
        const custom = manager.socket('/custom');
        const dynamic = manager.socket('/dyn-101');
        open.push(dynamic);
        dynamic.connect();
        await Promise.all([custom, dynamic].map((s) => until(() => s.connected, 'both namespaces')));
        assert.equal((await emit(dynamic, 'who'))[0].nsp, '/dyn-101');
        assert.notEqual(custom.id, dynamic.id);
        custom.disconnect();
        assert.equal((await emit(dynamic, 'who'))[0].nsp, '/dyn-101');
        const [error] = await once(make('/nowhere'), 'connect_error');
        assert.equal(error.message, 'Invalid namespace');
      });

      test('a middleware refuses with message and data, admits, takes its time', async () => {
        const socket = make('/auth', { auth: {} });
        const [error] = await once(socket, 'connect_error');
        assert.equal(error.message, 'not authorized');
        assert.deepEqual(error.data, { code: 'E1', n: 2 });
        socket.auth = { secret: 'open sesame' };
        socket.connect();
        await once(socket, 'connect');
        await connect('/slow');
      });

      test('rooms: to the others, to several once, not to the excepted, to an id', async () => {
        const [a, b, c] = await Promise.all([connect(), connect(), connect()]);
        const got = [];
        for (const [name, s] of Object.entries({ a, b, c })) s.on('told', (x) => got.push(`${name}:${x}`));
        const room = (n) => `${version}-${way}-${n}`;
        await emit(a, 'join', room(1));
        await emit(b, 'join', room(1));
        await emit(b, 'join', room(2));
        await emit(c, 'join', room(2));
        await emit(c, 'join', room(3));
        await emit(a, 'to', room(1), '', 'one');
        await emit(a, 'to', `${room(1)},${room(2)}`, '', 'both');
        await emit(a, 'to', `${room(1)},${room(2)}`, room(3), 'except');
        await emit(a, 'io-to', room(1), '', 'with-me');
        await emit(a, 'io-to', c.id, '', 'direct');
        await emit(a, 'io-to', room(2), b.id, 'not-b');
        const want = ['a:with-me', 'b:both', 'b:except', 'b:one', 'b:with-me', 'c:both', 'c:direct', 'c:not-b'];
        await until(() => got.length >= want.length, () => `all told: ${got}`);
        await emit(b, 'leave', room(1));
        await emit(a, 'to', room(1), '', 'late');
        await emit(b, 'who');
        await emit(c, 'who');
        assert.deepEqual(got.sort(), want);
      });

      test('volatile: what cannot go now is dropped', async () => {
        const socket = await connect();
        let n = 0;
        socket.on('drop', () => n++);
        await emit(socket, 'burst');
        await emit(socket, 'who');
        assert.ok(n <= 1, `${n} of 5`);
      });

      const recovers = { skip: version === '4.5' && 'recovery came with 4.6' };

      test('recovery: same id, rooms and missed events, many times; also with nothing received', recovers, async () => {
        const socket = await connect();
        const id = socket.id;
        const room = `r-${version}-${way}`;
        await emit(socket, 'join', room);
        for (let i = 1; i <= 3; i++) {
          const heard = i > 1 ? once(socket, 'told') : null;
          const lost = once(socket, 'disconnect');
          socket.io.engine.close();
          await lost;
          if (i > 1) await server.publish({ channel: room, event: 'told', content: i });
          await once(socket, 'connect');
          assert.equal(socket.recovered, true, `time ${i}`);
          assert.equal(socket.id, id);
          if (heard) assert.equal((await heard)[0], i);
        }
        const heard = once(socket, 'told');
        await server.publish({ channel: room, event: 'told', content: 'live' });
        assert.equal((await heard)[0], 'live');
      });

      test('recovery: events to the socket alone while it was away', recovers, async () => {
        const [a, b] = await Promise.all([connect(), connect()]);
        const { id } = a;
        const [heard, lost] = [once(a, 'told'), once(a, 'disconnect')];
        a.io.engine.close();
        await lost;
        await emit(b, 'io-to', id, '', 'private');
        assert.equal((await heard)[0], 'private');
        assert.equal(a.recovered, true);
      });

      test('after the client left by itself nothing is recovered', async () => {
        const socket = await connect();
        const { id } = socket;
        socket.disconnect().connect();
        await once(socket, 'connect');
        assert.ok(!socket.recovered);
        assert.notEqual(socket.id, id);
      });

      test('reasons: each side is told why', async () => {
        const watcher = await connect();
        await emit(watcher, 'join', 'watchers');
        const left = new Map();
        watcher.on('left', (id, reason) => left.set(id, reason));
        const sockets = await Promise.all([connect(), connect(), connect(), connect()]);
        const ids = sockets.map((s) => s.id);
        const reasons = sockets.map((s) => once(s, 'disconnect'));
        sockets.forEach((s) => s.io.reconnection(false));
        sockets[0].disconnect();
        sockets[1].emit('bye', false);
        sockets[2].emit('bye', true);
        sockets[3].io.engine.close();
        const told = (await Promise.all(reasons)).map(([reason]) => reason);
        assert.deepEqual(told, ['io client disconnect', 'io server disconnect', 'io server disconnect', 'forced close']);
        await until(() => ids.every((id) => left.has(id)), () => `all left: ${[...left]}`);
        assert.deepEqual(ids.map((id) => left.get(id)), ['client namespace disconnect',
          'server namespace disconnect', 'server namespace disconnect', 'transport close']);
      });
    });
  }
}

test('the handshake of the connection can be asked for', async () => {
  const socket = io48(server.url, { transports: ['websocket'], forceNew: true, extraHeaders: { 'X-Test': 'yes' } });
  const me = await within(new Promise((resolve) => { socket.emit('who', resolve); }), 'who');
  assert.equal(me.agent, 'yes');
  socket.disconnect();
});

test('several arguments and bytes for those who speak otherwise', async () => {
  const socket = io48(server.url, { transports: ['websocket'], forceNew: true });
  const plain = new WebSocket(server.ws());
  const frames = [];
  plain.on('message', (data) => frames.push(JSON.parse(data)));
  await until(() => plain.readyState === 1, 'the plain client');
  plain.send(JSON.stringify({ type: 'subscribe', channel: 'mixed' }));
  await until(() => frames.some((f) => f.type === 'subscribed'), 'subscribed');
  const join = (room) => new Promise((resolve) => { socket.emit('join', room, resolve); });
  await within(join('mixed'), 'join');
  await within(new Promise((resolve) => { socket.emit('to', 'mixed', '', { a: 1 }, resolve); }), 'to');
  await until(() => frames.some((f) => f.type === 'message'), 'the message');
  const m = frames.find((f) => f.type === 'message');
  assert.deepEqual([m.channel, m.event, m.content], ['mixed', 'told', { a: 1 }]);
  const heard = new Promise((resolve) => { socket.once('plain', (...args) => resolve(args)); });
  plain.send(JSON.stringify({ type: 'message', channel: 'mixed', event: 'plain', content: [1, 2] }));
  const [content, id] = await within(heard, 'the plain message');
  assert.deepEqual(content, [1, 2]);
  assert.match(id, /^\w+-\d+$/);
  plain.close();
  socket.disconnect();
});
