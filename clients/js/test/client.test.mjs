// SPDX-License-Identifier: Apache-2.0
// The client on a transport that the test plays by hand: states, positions, the outbox.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from '../../load.mjs';

const { createClient } = await load('js/src/index.ts');

/** A transport whose links the test opens, feeds and breaks. */
function hand(name = 'hand') {
  const links = [];
  return {
    name,
    links,
    get last() {
      return links[links.length - 1];
    },
    open(context) {
      const link = {
        context,
        sent: [],
        closedWith: undefined,
        send: (frame) => link.sent.push(JSON.parse(JSON.stringify(frame))),
        close: (code) => (link.closedWith = code),
        up: (more) => context.frame({ type: 'connected', session: 's', ticket: 't', ping: 25000, recovered: false, ...more }),
        of: (type) => link.sent.filter((f) => f.type == type),
        ack(frame, offset = 1) {
          context.frame({
            type: 'ack',
            ref: frame.ref,
            id: frame.id,
            channel: frame.channel,
            epoch: 'e',
            offset,
            duplicate: false,
          });
        },
      };
      links.push(link);
      return link;
    },
  };
}
const turn = () => new Promise((done) => setTimeout(done));
async function until(check) {
  for (const end = Date.now() + 5000; ; await turn()) {
    const value = check();
    if (value) return value;
    if (Date.now() > end) throw new Error('it did not become so: ' + check);
  }
}
const fast = { minDelay: 1, maxDelay: 2 };
const make = (t, options) => {
  const transport = hand();
  const client = createClient({ url: 'http://x', transports: [transport], reconnect: fast, ...options });
  t.after(() => client.close());
  return { transport, client };
};
const message = (offset, content = offset) => ({ type: 'message', channel: 'c', event: 'm', offset, id: `e-${offset}`, content });
const subscribed = (offset, more) => ({ type: 'subscribed', channel: 'c', epoch: 'e', offset, recovered: false, ...more });

test('states follow the connection, and close leaves nothing running', async (t) => {
  const { client, transport } = make(t);
  const states = [];
  client.connection.on('change', ({ previous, current }) => states.push(`${previous}>${current}`));
  assert.equal(client.connection.state, 'initialized');
  client.connect();
  await until(() => transport.last);
  transport.last.up();
  transport.last.context.closed(1006);
  await until(() => transport.links.length == 2);
  transport.last.up();
  client.close();
  assert.equal(transport.last.closedWith, 1000);
  assert.deepEqual(states, [
    'initialized>connecting',
    'connecting>connected',
    'connected>disconnected',
    'disconnected>connecting',
    'connecting>connected',
    'connected>closing',
    'closing>closed',
  ]);
});

test('a client that was never connected closes too', () => {
  const client = createClient({ url: 'http://x' });
  client.close();
  assert.equal(client.connection.state, 'closed');
  client.close();
});

test('a channel goes on where it was: each message once, in order', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  const got = [];
  room.on('m', (m) => got.push(m.data));
  const attached = room.subscribe();
  await until(() => transport.last);
  const first = transport.last;
  first.up();
  const [{ ref, ...asked }] = first.of('subscribe');
  assert.deepEqual(asked, { type: 'subscribe', channels: ['c'] });
  assert.equal(typeof ref, 'string');
  first.context.frame(subscribed(10));
  assert.deepEqual(await attached, { recovered: false, gap: false, epoch: 'e', offset: 10 });
  first.context.frame(message(11));
  first.context.frame(message(11));
  first.context.frame(message(12));
  first.context.closed(1006);
  assert.equal(room.state, 'suspended');
  first.context.frame(message(13)); // of a dead link: not heard
  await until(() => transport.links.length == 2);
  const second = transport.last;
  assert.equal(second.context.session, 's.t');
  second.up();
  assert.deepEqual(second.of('subscribe')[0].since, { c: { epoch: 'e', offset: 12 } });
  second.context.frame(subscribed(14, { recovered: true }));
  second.context.frame(message(12));
  second.context.frame(message(13));
  second.context.frame(message(14));
  second.context.frame(message(15));
  assert.deepEqual(got, [11, 12, 13, 14, 15]);
});

test('a break before the newest n have come asks for these, not for all that is kept', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c', { rewind: 5 });
  room.subscribe();
  await until(() => transport.last);
  transport.last.up();
  assert.equal(transport.last.of('subscribe')[0].history, 5);
  transport.last.context.frame(subscribed(70));
  transport.last.context.closed(1006);
  await until(() => transport.links.length == 2);
  transport.last.up();
  const [{ since, history }] = transport.last.of('subscribe');
  assert.deepEqual([since, history], [{ c: { epoch: 'e', offset: 65 } }, undefined]);
});

test('what a take-over restores is not heard before our own subscribe is answered', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  const got = [];
  room.on('m', (m) => got.push(m.data));
  room.subscribe();
  await until(() => transport.last);
  transport.last.up();
  transport.last.context.frame(subscribed(0, { ref: transport.last.of('subscribe')[0].ref }));
  transport.last.context.closed(1006);
  await until(() => transport.links.length == 2);
  const { context } = transport.last;
  transport.last.up({ recovered: true });
  const { ref } = transport.last.of('subscribe')[0];
  context.frame(subscribed(3, { recovered: true }));
  context.frame({ ...subscribed(1), channel: 'forgotten' });
  context.frame(message(3)); // the server thinks that we have 1 and 2
  context.frame(subscribed(3, { recovered: true, ref }));
  for (const n of [1, 2, 3]) context.frame(message(n));
  assert.deepEqual(got, [1, 2, 3]);
  assert.deepEqual(transport.last.of('unsubscribe'), [{ type: 'unsubscribe', channel: 'forgotten' }]);
});

test('a gap is told, and so is a lost log', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  const told = [];
  room.on('gap', ({ from, to }) => told.push([from, to]));
  room.on('m', (m) => told.push(m.offset));
  room.subscribe();
  await until(() => transport.last);
  transport.last.up();
  transport.last.context.frame(subscribed(5));
  transport.last.context.closed(1006);
  await until(() => transport.links.length == 2);
  transport.last.up();
  transport.last.context.frame(subscribed(40));
  transport.last.context.frame({ type: 'gap', channel: 'c', from: 6, to: 38 });
  transport.last.context.frame(message(39));
  transport.last.context.frame(message(40));
  transport.last.context.closed(1006);
  await until(() => transport.links.length == 3);
  transport.last.up();
  transport.last.context.frame(subscribed(2, { epoch: 'other' }));
  transport.last.context.frame({ ...message(3), id: 'other-3' });
  assert.deepEqual(told, [[6, 38], 39, 40, [41, 0], 3]);
});

test('subscriptions are counted', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  assert.equal(client.channel('c'), room);
  const all = [room.subscribe(), room.subscribe()];
  await until(() => transport.last);
  transport.last.up();
  transport.last.context.frame(subscribed(1));
  await Promise.all(all);
  assert.equal(transport.last.of('subscribe').length, 1);
  room.unsubscribe();
  assert.equal(transport.last.of('unsubscribe').length, 0);
  room.unsubscribe();
  room.unsubscribe();
  assert.equal(transport.last.of('unsubscribe').length, 1);
  assert.equal(room.state, 'detached');
});

test('a refused channel fails alone', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  const other = client.channel('d').subscribe();
  const refused = room.subscribe();
  await until(() => transport.last);
  transport.last.up();
  transport.last.context.frame({ type: 'error', code: 4403, message: 'Access denied', retryable: false, channel: 'c' });
  transport.last.context.frame({ ...subscribed(1), channel: 'd' });
  await assert.rejects(refused, { code: 4403, message: 'Access denied' });
  await other;
  assert.equal(room.state, 'failed');
  assert.equal(client.connection.state, 'connected');
  // It can be tried again.
  const again = room.subscribe();
  transport.last.context.frame(subscribed(7, { ref: transport.last.of('subscribe').pop().ref }));
  assert.equal((await again).offset, 7);
});

test('an aborted subscribe lets go', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  const control = new AbortController();
  const promise = room.subscribe({ signal: control.signal });
  await until(() => transport.last);
  transport.last.up();
  control.abort(new Error('changed my mind'));
  await assert.rejects(promise, { message: 'changed my mind' });
  await until(() => transport.last.of('unsubscribe').length == 1);
});

test('published while away goes out in order, and again after a break, under the same id', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  const acks = [1, 2, 3].map((n) => room.publish('m', n));
  assert.equal(client.outbox.size, 3);
  await until(() => transport.last);
  transport.last.up();
  const first = transport.last.of('message');
  assert.deepEqual(
    first.map((f) => f.content),
    [1, 2, 3],
  );
  transport.last.ack(first[0], 7);
  assert.equal((await acks[0]).offset, 7);
  transport.last.context.closed(1006);
  await until(() => transport.links.length == 2);
  transport.last.up();
  const second = transport.last.of('message');
  assert.deepEqual(
    second.map((f) => f.id),
    first.slice(1).map((f) => f.id),
  );
  second.forEach((f, i) => transport.last.ack(f, 8 + i));
  assert.deepEqual(
    (await Promise.all(acks)).map((a) => a.offset),
    [7, 8, 9],
  );
  assert.equal(client.outbox.size, 0);
});

test('a refused message fails and can be sent again', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  const refused = room.publish('m', 1, { id: 'one' });
  await until(() => transport.last);
  transport.last.up();
  const [frame] = transport.last.of('message');
  transport.last.context.frame({ type: 'error', ref: frame.ref, code: 4403, message: 'Access denied', retryable: false });
  await assert.rejects(refused, { code: 4403 });
  assert.equal(client.outbox.failed.length, 1);
  const again = client.outbox.retry('one');
  transport.last.ack(transport.last.of('message')[1], 3);
  assert.equal((await again).offset, 3);
  assert.equal(client.outbox.failed.length, 0);
});

test('too fast is not lost: it is sent again, and the order holds', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  client.connect();
  await until(() => transport.last);
  transport.last.up();
  const acks = [1, 2].map((n) => room.publish('m', n));
  for (const frame of transport.last.of('message')) {
    transport.last.context.frame({ type: 'error', ref: frame.ref, code: 4429, message: 'Too many messages', retryable: true });
  }
  await until(() => transport.last.of('message').length == 3);
  transport.last.ack(transport.last.of('message')[2], 1);
  await until(() => transport.last.of('message').length == 4);
  transport.last.ack(transport.last.of('message')[3], 2);
  assert.deepEqual(
    (await Promise.all(acks)).map((a) => a.offset),
    [1, 2],
  );
  assert.deepEqual(
    transport.last.of('message').map((f) => f.content),
    [1, 2, 1, 2],
  );
});

test('every promise settles when the client is closed', async () => {
  const transport = hand();
  const client = createClient({ url: 'http://x', transports: [transport] });
  const room = client.channel('c');
  const all = [room.subscribe(), room.publish('m', 1), room.history()];
  await until(() => transport.last);
  client.close();
  for (const promise of all) await assert.rejects(promise, { code: 4410 });
  await assert.rejects(room.subscribe(), { code: 4410 });
});

test('publish without a queue, or with a time limit, does not wait', async (t) => {
  const { client } = make(t);
  const room = client.channel('c');
  await assert.rejects(room.publish('m', 1, { queue: false }), { code: 4503 });
  await assert.rejects(room.publish('m', 1, { timeout: 5 }), { code: 4408 });
  const control = new AbortController();
  const promise = room.publish('m', 1, { signal: control.signal });
  control.abort(new Error('no'));
  await assert.rejects(promise, { message: 'no' });
  assert.equal(client.outbox.size, 0);
});

test('what does not open is left for the next transport; the one that worked is tried thrice', async (t) => {
  const [a, b] = [hand('a'), hand('b')];
  const client = createClient({ url: 'http://x', transports: [a, b], reconnect: fast });
  t.after(() => client.close());
  client.connect();
  await until(() => a.last);
  a.last.context.closed(1006);
  await until(() => b.last);
  b.last.up();
  assert.equal(client.connection.transport, 'b');
  b.last.context.closed(1006);
  for (let n = 2; n <= 4; n++) {
    await until(() => b.links.length == n);
    assert.equal(a.links.length, 1);
    b.last.context.closed(1006);
  }
  await until(() => a.links.length == 2);
  a.last.up();
  assert.equal(client.connection.transport, 'a');
});

test('a token is asked for on connecting, renewed in time, and once more when rejected', async (t) => {
  const reasons = [];
  const { client, transport } = make(t, { token: ({ reason }) => (reasons.push(reason), `token ${reasons.length}`) });
  client.connect();
  await until(() => transport.last);
  assert.equal(transport.last.context.token, 'token 1');
  transport.last.up();
  transport.last.context.frame({ type: 'expiring', in: 30000 });
  const [auth] = await until(() => transport.last.of('auth').length && transport.last.of('auth'));
  assert.equal(auth.token, 'token 2');
  transport.last.context.closed(4401);
  await until(() => transport.links.length == 2);
  transport.last.context.closed(4401);
  await until(() => client.connection.state == 'failed');
  assert.equal(client.connection.error.code, 4401);
  assert.deepEqual(reasons, ['connect', 'expiring', 'rejected']);
});

test('a server that says when to come back is obeyed', async (t) => {
  const { client, transport } = make(t);
  client.connect();
  await until(() => transport.last);
  transport.last.up();
  transport.last.context.frame({ type: 'reconnect', in: 20 });
  assert.equal(client.connection.state, 'disconnected');
  assert.equal(client.connection.last.retryIn, 20);
  await until(() => transport.links.length == 2);
});

test('silence is asked about, and then is the end of the link', async (t) => {
  const { client, transport } = make(t, { heartbeat: 20 });
  client.connect();
  await until(() => transport.last);
  const [link] = transport.links;
  link.up();
  await until(() => link.of('ping').length);
  await until(() => transport.links.length == 2);
  assert.equal(link.closedWith, 4000);
});

test('throttled sends: the first at once, then the last of each interval', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  client.connect();
  await until(() => transport.last);
  room.send('m', 'lost'); // not connected, volatile
  transport.last.up();
  const sent = () => transport.last.of('message').map((f) => f.content);
  for (let n = 1; n <= 50; n++) room.send('m', n, { throttle: 15, key: 'k' });
  room.send('m', 'other', { throttle: 15, key: 'l' });
  assert.deepEqual(sent(), [1, 'other']);
  await until(() => sent().length == 3);
  assert.deepEqual(sent(), [1, 'other', 50]);
  assert.equal(transport.last.of('message')[2].volatile, true);
});

test('a loop over messages subscribes, and lets go at its end', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c');
  const got = [];
  const loop = (async () => {
    for await (const m of room) {
      got.push(m.data);
      if (m.data == 3) break;
    }
  })();
  await until(() => transport.last);
  transport.last.up();
  transport.last.context.frame(subscribed(0));
  for (const n of [1, 2, 3]) transport.last.context.frame(message(n));
  await loop;
  assert.deepEqual(got, [1, 2, 3]);
  assert.equal(transport.last.of('unsubscribe').length, 1);
  const control = new AbortController();
  const second = room.messages({ signal: control.signal }).next();
  transport.last.context.frame(subscribed(3));
  await turn();
  control.abort(new Error('enough'));
  await assert.rejects(second, { message: 'enough' });
  assert.equal(transport.last.of('unsubscribe').length, 2);
});

test('presence is said again on every connection', async (t) => {
  const { client, transport } = make(t);
  const room = client.channel('c', { presence: true });
  room.subscribe();
  room.presence.enter({ name: 'Ann' }, 'ann');
  await until(() => transport.last);
  transport.last.up();
  assert.deepEqual(transport.last.of('track'), [{ type: 'track', channel: 'c', key: 'ann', meta: { name: 'Ann' } }]);
  assert.equal(transport.last.of('subscribe')[0].presence, true);
  transport.last.context.closed(1006);
  await until(() => transport.links.length == 2);
  transport.last.up();
  assert.equal(transport.last.of('track').length, 1);
  room.presence.leave('ann').catch(() => {});
  assert.equal(transport.last.of('untrack').length, 1);
});
