// SPDX-License-Identifier: Apache-2.0
// The plain dialect on a WebSocket (docs/protocols/native.md), by the `ws` package: every message,
// every answer, and the ways to come back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NativeClient } from './lib/native.mjs';
import { serve, serveAll } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const server = serveAll({ before, after }, {
  config: {
    channels: {
      rules: [
        { match: 'quiet:*', echo: false, allow: { subscribe: '*', publish: '*' } },
        { match: 'members:*', allow: { subscribe: 'authenticated', publish: 'authenticated if segment(2) == sub' } },
        { match: 'read:*', allow: { subscribe: '*', publish: 'none', history: 'none', presence: 'none', track: 'none' } },
        { match: '*', allow: { subscribe: '*', publish: '*', presence: '*', track: '*', history: '*' } },
      ],
    },
    limits: { subscriptions: 50, payload_bytes: '64KiB' },
  },
});
const connect = (options = {}, query = '') => NativeClient.open(server.ws(`/socket${query}`), options);
let count = 0;
const fresh = () => `room-${++count}`;

async function pair(channel = fresh(), options = {}) {
  const [a, b] = [await connect(options), await connect(options)];
  await a.subscribe(channel);
  await b.subscribe(channel);
  return { a, b, channel, end: () => Promise.all([a.close(), b.close()]) };
}

describe('connected', () => {
  test('comes first, with session, ping and time', async () => {
    const c = await connect();
    const { type, session, recovered, ping, time } = c.connected;
    assert.deepEqual([type, recovered, ping], ['connected', false, 25000]);
    assert.match(session, /^[A-Za-z0-9_-]{16}$/);
    assert.ok(Math.abs(time - Date.now()) < 60000);
    assert.match(c.setCookie, /^tw_session=[^;]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/);
    await c.close();
  });
  test('the ticket is told to who sent no cookie, and to no browser', async () => {
    const bare = await connect();
    assert.ok(bare.connected.ticket);
    const browser = await connect({ headers: { Origin: 'http://localhost:3000' } });
    assert.equal(browser.connected.ticket, undefined);
    await Promise.all([bare.close(), browser.close()]);
  });
  test('?session=none: a session of its own and no cookie', async () => {
    const c = await connect({}, '?session=none');
    assert.equal(c.setCookie, undefined);
    assert.ok(c.connected.session && c.connected.ticket);
    await c.close();
  });
  test('the subprotocol is ours when it was offered', async () => {
    const c = await connect({ protocols: ['chat', 'tidewire.v1'] });
    assert.equal(c.ws.protocol, 'tidewire.v1');
    await c.close();
  });
});

describe('subscribe and message', () => {
  test('everybody on the channel gets the message, the sender too', async () => {
    const { a, b, channel, end } = await pair();
    a.send({ type: 'message', channel, content: { text: 'hi' } });
    for (const c of [a, b]) {
      const m = await c.type('message');
      assert.deepEqual([m.channel, m.event, m.content, m.offset], [channel, 'message', { text: 'hi' }, 1]);
      assert.match(m.id, /^[a-z0-9]+-1$/);
      assert.ok(Math.abs(m.time - Date.now()) < 60000);
    }
    await end();
  });
  test('nobody else does', async () => {
    const { a, channel, end } = await pair();
    const other = await connect();
    await other.subscribe(fresh());
    await a.ask({ type: 'message', channel, content: 1 });
    assert.deepEqual(await other.settle(), []);
    await Promise.all([other.close(), end()]);
  });
  test('a message without channel goes to the one subscribed last', async () => {
    const c = await connect();
    const [one, two] = [fresh(), fresh()];
    await c.subscribe(one);
    await c.subscribe(two);
    assert.equal((await c.ask({ type: 'message', content: 1 })).channel, two);
    await c.ask({ type: 'unsubscribe', channel: two });
    assert.equal((await c.ask({ type: 'message', content: 2 })).channel, one);
    await c.subscribe(two);
    await c.subscribe(one); // again: it is the last one now
    assert.equal((await c.ask({ type: 'message', content: 3 })).channel, one);
    await c.close();
  });
  test('... and to the default channel when there is none', async () => {
    const c = await connect();
    assert.equal((await c.ask({ type: 'message', content: 1 })).channel, 'main');
    await c.close();
  });
  test('subscribe without channel is the default channel', async () => {
    const c = await connect();
    assert.equal((await c.ask({ type: 'subscribe' })).channel, 'main');
    await c.close();
  });
  test('several channels in one subscribe: one answer each', async () => {
    const c = await connect();
    const names = [fresh(), fresh(), fresh()];
    c.send({ type: 'subscribe', channels: names, ref: 7 });
    const answers = [await c.type('subscribed'), await c.type('subscribed'), await c.type('subscribed')];
    assert.deepEqual(answers.map((m) => m.channel).sort(), [...names].sort());
    assert.ok(answers.every((m) => m.ref === 7));
    c.send({ type: 'unsubscribe', channels: names, ref: 8 });
    for (let i = 0; i < 3; i++) assert.equal((await c.type('unsubscribed')).ref, 8);
    await c.close();
  });
  test('subscribing twice is one subscription', async () => {
    const { a, b, channel, end } = await pair();
    await a.subscribe(channel);
    await b.ask({ type: 'message', channel, content: 'once' });
    assert.equal((await a.settle()).filter((m) => m.type === 'message').length, 1);
    await end();
  });
  test('after unsubscribe nothing comes', async () => {
    const { a, b, channel, end } = await pair();
    const gone = await a.ask({ type: 'unsubscribe', channel });
    assert.deepEqual([gone.type, gone.channel], ['unsubscribed', channel]);
    await b.ask({ type: 'message', channel, content: 1 });
    assert.deepEqual(await a.settle(), []);
    await end();
  });
  test('unsubscribing from what one never had is answered too', async () => {
    const c = await connect();
    assert.equal((await c.ask({ type: 'unsubscribe', channel: fresh() })).type, 'unsubscribed');
    await c.close();
  });
  test('subscribed is atomic: all that is published after it arrives', async () => {
    const channel = fresh();
    const [a, b] = [await connect(), await connect()];
    let published = 0;
    let stop = false;
    const going = (async () => {
      while (!stop) {
        await a.ask({ type: 'message', channel, content: ++published });
      }
    })();
    for (let i = 0; i < 30; i++) {
      const c = i % 2 ? b : await connect();
      const { offset } = await c.subscribe(channel);
      const [first] = await c.messages(1);
      assert.equal(first.offset, offset + 1);
      await c.ask({ type: 'unsubscribe', channel });
      c.frames.takeAll();
      if (c !== b) await c.close();
    }
    stop = true;
    await going;
    await Promise.all([a.close(), b.close()]);
  });
  test('order and content are kept, whatever the content', async () => {
    const { a, b, channel, end } = await pair();
    const contents = ['{"a":1}', '[1,2,3]', '"text"', '0', '-0', '1e2', '1E400', '123456789012345678901234567890', 'true', 'false', 'null',
      '""', '{}', '[]', '"\\u0000"', '"\\ud83d\\ude00"', '"\\/"', '{"a":1,"a":2}', '{"__proto__":{"x":1}}', ' { "b" : [ ] } ', '"ünï"', '0.10'];
    for (const content of contents) a.ws.send(`{"type":"message","channel":"${channel}","content":${content}}`);
    const raw = [];
    b.ws.on('message', (data) => raw.push(data.toString()));
    await a.ask({ type: 'ping' });
    await b.settle();
    await until(async () => (await server.channel(channel)).offset === contents.length, 'all are there');
    const seen = (await b.settle(), raw.filter((r) => r.startsWith('{"type":"message"')));
    assert.equal(seen.length, contents.length);
    contents.forEach((content, i) => assert.ok(seen[i].includes(`"content":${content.trim()},`), `${content}: ${seen[i]}`));
    await end();
  });
  test('an event has a name', async () => {
    const { a, b, channel, end } = await pair();
    await a.ask({ type: 'message', channel, event: 'user-joined', content: { name: 'Ann' } });
    assert.equal((await b.type('message')).event, 'user-joined');
    await end();
  });
  test('the sender is named by sub and session, never by token', async () => {
    const token = server.mint({ sub: 'u7', role: 'member' });
    const { b, channel, end } = await pair();
    const a = await connect({ headers: { Authorization: `Bearer ${token}` } });
    await a.ask({ type: 'message', channel, content: 1 });
    const m = await b.type('message');
    assert.deepEqual(m.sender, { sub: 'u7', session: a.connected.session });
    await Promise.all([a.close(), end()]);
  });
  test('echo: false is not for me; the channel may say so too; echo: true anyway', async () => {
    const { a, b, channel, end } = await pair();
    await a.ask({ type: 'message', channel, content: 1, echo: false });
    assert.equal((await b.type('message')).content, 1);
    assert.deepEqual(await a.settle(), []);
    await end();
    const quiet = await pair(`quiet:${fresh()}`);
    await quiet.a.ask({ type: 'message', channel: quiet.channel, content: 2 });
    assert.deepEqual(await quiet.a.settle(), []);
    await quiet.a.ask({ type: 'message', channel: quiet.channel, content: 3, echo: true });
    assert.equal((await quiet.a.type('message')).content, 3);
    await quiet.end();
  });
  test('a key travels with the message', async () => {
    const { a, b, channel, end } = await pair();
    await a.ask({ type: 'message', channel, content: 1, key: 'cursor-u1' });
    assert.equal((await b.type('message')).key, 'cursor-u1');
    await end();
  });
});

describe('ack and idempotency', () => {
  test('an ack has the place of the message', async () => {
    const c = await connect();
    const channel = fresh();
    const ack = await c.ask({ type: 'message', channel, content: 1, id: 'one' });
    assert.equal(ack.type, 'ack');
    assert.deepEqual([ack.channel, ack.offset, ack.id, ack.duplicate], [channel, 1, 'one', false]);
    await c.close();
  });
  test('the same id is one message, on any connection of the same identity, by any way', async () => {
    const token = server.mint({ sub: 'u8' });
    const headers = { Authorization: `Bearer ${token}` };
    const [a, b] = [await connect({ headers }), await connect({ headers })];
    const channel = fresh();
    const first = await a.ask({ type: 'message', channel, content: 1, id: 'same' });
    const again = await b.ask({ type: 'message', channel, content: 'other', id: 'same' });
    assert.deepEqual([again.offset, again.epoch, again.duplicate], [first.offset, first.epoch, true]);
    const third = await server.publish({ channel, content: 2, id: 'same' }, { token });
    assert.deepEqual([third.offset, third.duplicate], [first.offset, true]);
    const other = await server.publish({ channel, content: 3, id: 'same' }, { token: server.mint({ sub: 'u9' }) });
    assert.deepEqual([other.offset, other.duplicate], [2, false]);
    await Promise.all([a.close(), b.close()]);
  });
  test('who is anonymous may repeat it by another connection, and by HTTP', async () => {
    const [a, b] = [await connect(), await connect()], channel = fresh(), id = crypto.randomUUID();
    const first = await a.ask({ type: 'message', channel, content: 1, id });
    const again = await b.ask({ type: 'message', channel, content: 1, id });
    assert.deepEqual([again.offset, again.duplicate], [first.offset, true]);
    const third = await server.publish({ channel, content: 1, id });
    assert.deepEqual([third.offset, third.duplicate], [first.offset, true]);
    await Promise.all([a.close(), b.close()]);
  });
  test('without id and ref there is no ack', async () => {
    const c = await connect();
    c.send({ type: 'message', channel: fresh(), content: 1 });
    assert.deepEqual(await c.settle(), []);
    await c.close();
  });
});

describe('since, history, gap', () => {
  async function filled(n) {
    const channel = fresh();
    const c = await connect();
    let epoch;
    for (let i = 1; i <= n; i++) ({ epoch } = await c.ask({ type: 'message', channel, content: i }));
    return { c, channel, epoch };
  }
  test('since: exactly what was missed, then live', async () => {
    const { c, channel, epoch } = await filled(10);
    const answer = await c.subscribe(channel, { since: { epoch, offset: 6 } });
    assert.deepEqual([answer.epoch, answer.offset, answer.recovered], [epoch, 10, true]);
    await c.ask({ type: 'message', channel, content: 11 });
    assert.deepEqual((await c.messages(5)).map((m) => m.offset), [7, 8, 9, 10, 11]);
    await c.close();
  });
  test('since for several channels', async () => {
    const one = await filled(3), two = await filled(4);
    one.c.send({ type: 'subscribe', channels: [one.channel, two.channel],
      since: { [one.channel]: { epoch: one.epoch, offset: 2 }, [two.channel]: { epoch: two.epoch, offset: 1 } } });
    const got = await one.c.messages(4);
    assert.deepEqual(got.filter((m) => m.channel === one.channel).map((m) => m.offset), [3]);
    assert.deepEqual(got.filter((m) => m.channel === two.channel).map((m) => m.offset), [2, 3, 4]);
    await Promise.all([one.c.close(), two.c.close()]);
  });
  test('offset 0 without epoch: everything kept', async () => {
    const { c, channel } = await filled(3);
    await c.subscribe(channel, { since: { offset: 0 } });
    assert.deepEqual((await c.messages(3)).map((m) => m.offset), [1, 2, 3]);
    await c.close();
  });
  test('history: the newest n first', async () => {
    const { c, channel } = await filled(10);
    await c.subscribe(channel, { history: 3 });
    assert.deepEqual((await c.messages(3)).map((m) => m.offset), [8, 9, 10]);
    await c.close();
  });
  test('another epoch: not recovered, and it is said', async () => {
    const { c, channel, epoch } = await filled(3);
    const answer = await c.subscribe(channel, { since: { epoch: 'another0epoch', offset: 2 } });
    assert.deepEqual([answer.epoch, answer.recovered], [epoch, false]);
    await c.close();
  });
  test('a position beyond the end: not recovered', async () => {
    const { c, channel, epoch } = await filled(3);
    assert.equal((await c.subscribe(channel, { since: { epoch, offset: 99 } })).recovered, false);
    await c.close();
  });
  test('what history no longer has is a gap, where it would have been', async (t) => {
    const small = await serve(t, { args: ['--history.count=5'] });
    const c = await NativeClient.open(small.ws());
    let epoch;
    for (let i = 1; i <= 20; i++) ({ epoch } = await c.ask({ type: 'message', channel: 'a', content: i }));
    const answer = await c.subscribe('a', { since: { epoch, offset: 3 } });
    assert.equal(answer.recovered, false);
    const all = [];
    while (all.at(-1)?.offset !== 20) all.push(await c.frames.next());
    assert.deepEqual(all[0], { type: 'gap', channel: 'a', from: 4, to: 15 });
    assert.deepEqual(all.slice(1).map((m) => m.offset), [16, 17, 18, 19, 20]);
    await c.close();
  });
  test('history is paged', async () => {
    const { c, channel, epoch } = await filled(25);
    const newest = await c.ask({ type: 'history', channel, limit: 10 });
    assert.deepEqual([newest.type, newest.channel, newest.epoch, newest.more], ['history', channel, epoch, true]);
    assert.deepEqual(newest.messages.map((m) => m.offset), [16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
    const older = await c.ask({ type: 'history', channel, limit: 10, before: 16 });
    assert.deepEqual(older.messages.map((m) => m.offset), [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    const oldest = await c.ask({ type: 'history', channel, limit: 10, before: 6 });
    assert.deepEqual([oldest.messages.length, oldest.more], [5, false]);
    const next = await c.ask({ type: 'history', channel, after: 20 });
    assert.deepEqual(next.messages.map((m) => m.content), [21, 22, 23, 24, 25]);
    const one = await c.ask({ type: 'history', channel, after: 20, limit: 1 });
    assert.deepEqual([one.messages[0].offset, one.more], [21, true]);
    const none = await c.ask({ type: 'history', channel: fresh() });
    assert.deepEqual([none.messages, none.more], [[], false]);
    await c.close();
  });
  test('as the endpoint has it', async () => {
    const { c, channel, epoch } = await filled(5);
    await c.subscribe(channel);
    const answer = await server.channel(channel, '?limit=2');
    assert.deepEqual([answer.channel, answer.epoch, answer.offset, answer.subscribers], [channel, epoch, 5, 1]);
    assert.deepEqual(answer.messages.map((m) => m.offset), [4, 5]);
    assert.deepEqual((await server.channel(channel, '?limit=0')).messages, []);
    assert.deepEqual((await server.channel(channel, '?before=3')).messages.map((m) => m.offset), [1, 2]);
    await c.close();
  });
});

describe('binary', () => {
  const frameOf = (channel, event, content) => Buffer.concat([
    Buffer.from([Buffer.byteLength(channel)]), Buffer.from(channel), Buffer.from([event.length]), Buffer.from(event), content]);
  test('arrives as the same frame with its offset', async () => {
    const { a, b, channel, end } = await pair();
    const content = Buffer.from([0, 255, 1, 254]);
    a.ws.send(frameOf(channel, 'blob', content));
    const got = await b.binary.next();
    const head = frameOf(channel, 'blob', Buffer.alloc(0));
    assert.deepEqual(got.subarray(0, head.length), head);
    assert.equal(got.readBigUInt64BE(head.length), 1n);
    assert.deepEqual(got.subarray(head.length + 8), content);
    await end();
  });
  test('without a channel it goes to the last one subscribed', async () => {
    const { a, b, end } = await pair();
    a.ws.send(frameOf('', 'x', Buffer.from('hi')));
    assert.equal((await b.binary.next()).subarray(-2).toString(), 'hi');
    await end();
  });
  test('in history it is base64', async () => {
    const { a, b, channel, end } = await pair();
    a.ws.send(frameOf(channel, 'blob', Buffer.from([1, 2, 3])));
    await b.binary.next();
    const { messages } = await a.ask({ type: 'history', channel });
    assert.deepEqual([messages[0].content, messages[0].encoding, messages[0].event], ['AQID', 'base64', 'blob']);
    await end();
  });
  test('a frame that breaks off is an error frame', async () => {
    const c = await connect();
    for (const bad of [Buffer.alloc(0), Buffer.from([5, 97]), Buffer.from([1, 97, 9, 98])]) {
      c.ws.send(bad);
      assert.equal((await c.type('error')).code, 4400);
    }
    await c.close();
  });
});

describe('ping and ref', () => {
  test('pong brings data and ref back', async () => {
    const c = await connect();
    c.send({ type: 'ping', data: { at: [1, 'x'] }, ref: 99 });
    const pong = await c.type('pong');
    assert.deepEqual([pong.data, pong.ref], [{ at: [1, 'x'] }, 99]);
    c.send({ type: 'ping' });
    assert.equal((await c.type('pong')).ref, undefined);
    await c.close();
  });
  test('a ref is returned byte for byte', async () => {
    const c = await connect();
    for (const ref of ['"a\\u0000b"', '1e5', '-0', '"\\ud83d\\ude00"', '"ü"', '12345678901234567890']) {
      c.ws.send(`{"type":"ping","ref":${ref}}`);
      const raw = await new Promise((resolve) => c.ws.once('message', (d) => resolve(d.toString())));
      assert.ok(raw.includes(`"ref":${ref}`), raw);
    }
    await c.close();
  });
});

describe('errors say what is wrong and leave the connection as it was', () => {
  const cases = {
    'no JSON': 'hello', 'a list': '[]', 'a text': '"x"', 'nothing': '', 'an open object': '{"type":"ping"', 'two objects': '{}{}',
    'no type': '{}', 'an unknown type': '{"type":"shout"}', 'a type that is no text': '{"type":1}',
    'the type __proto__': '{"type":"__proto__"}', 'the type constructor': '{"type":"constructor"}',
    'a message without content': '{"type":"message"}', 'a channel that is no text': '{"type":"subscribe","channel":1}',
    'an empty channel': '{"type":"subscribe","channel":""}', 'a channel of 256 bytes': `{"type":"subscribe","channel":"${'x'.repeat(256)}"}`,
    'a channel with a line end': '{"type":"subscribe","channel":"a\\nb"}', 'a channel with NUL': '{"type":"subscribe","channel":"a\\u0000"}',
    'a channel with half a pair': '{"type":"subscribe","channel":"\\ud800"}', 'an empty list': '{"type":"subscribe","channels":[]}',
    'a list of numbers': '{"type":"subscribe","channels":[1]}', 'an event of 129 bytes': `{"type":"message","content":1,"event":"${'x'.repeat(129)}"}`,
    'an id of 65 bytes': `{"type":"message","content":1,"id":"${'x'.repeat(65)}"}`, 'a ref that is an object': '{"type":"ping","ref":{}}',
    'since that is text': '{"type":"subscribe","channel":"a","since":"x"}', 'a negative offset': '{"type":"subscribe","channel":"a","since":{"offset":-1}}',
    'history that is text': '{"type":"subscribe","channel":"a","history":"all"}', 'meta that is a list': '{"type":"track","channel":"a","meta":[]}',
    'auth without a token': '{"type":"auth"}', 'half a pair in an event': '{"type":"message","content":1,"event":"\\udc00"}',
    'depth': `{"type":"message","content":${'['.repeat(100)}${']'.repeat(100)}}`, 'great depth': `{"type":"message","content":${'['.repeat(50000)}`,
    'limit that is too large': '{"type":"history","channel":"a","limit":1001}', 'a trailing comma': '{"type":"ping",}', 'a comment': '{"type":"ping"/**/}',
    'single quotes': "{'type':'ping'}", 'NaN': '{"type":"message","content":NaN}', 'a raw control character': '{"type":"message","content":"a\x01b"}',
    'a number with a leading zero': '{"type":"message","content":01}', 'a BOM': '\ufeff{"type":"ping"}',
  };
  for (const [name, text] of Object.entries(cases)) {
    test(name, async () => {
      const c = await connect();
      c.ws.send(text);
      const error = await c.type('error');
      assert.ok(error.code >= 4400 && error.code < 4500, String(error.code));
      assert.ok(error.name && error.message && error.hint && error.retryable === false);
      assert.equal((await c.ask({ type: 'ping', data: 1 })).data, 1);
      assert.deepEqual(c.bad, []);
      await c.close();
    });
  }
  test('a payload above the limit: an error, with its ref', async () => {
    const c = await connect();
    const error = await c.ask({ type: 'message', channel: fresh(), content: 'x'.repeat(65 * 1024) });
    assert.deepEqual([error.type, error.code, error.name], ['error', 4413, 'TOO_LARGE']);
    await c.close();
  });
  test('a frame above the limit: closed with 1009', async () => {
    const c = await connect();
    c.ws.send('x'.repeat(2 << 20));
    assert.equal((await c.ended()).code, 1009);
  });
  test('too many subscriptions', async () => {
    const c = await connect();
    for (let i = 0; i < 50; i++) await c.subscribe(`many-${i}`);
    const error = await c.ask({ type: 'subscribe', channel: 'many-50' });
    assert.deepEqual([error.code, error.channel, error.retryable], [4428, 'many-50', true]);
    await c.ask({ type: 'unsubscribe', channel: 'many-0' });
    await c.subscribe('many-50');
    await c.close();
  });
  test('rules: who may listen, who may speak', async () => {
    const anon = await connect();
    const member = await connect({ headers: { Authorization: `Bearer ${server.mint({ sub: 'u1' })}` } });
    const denied = await anon.ask({ type: 'subscribe', channel: 'members:u1' });
    assert.ok([4401, 4403].includes(denied.code), String(denied.code));
    assert.equal(denied.channel, 'members:u1');
    await member.subscribe('members:u2');
    await member.subscribe('members:u1');
    assert.equal((await member.ask({ type: 'message', channel: 'members:u1', content: 1 })).type, 'ack');
    const other = await member.ask({ type: 'message', channel: 'members:u2', content: 1 });
    assert.deepEqual([other.code, other.name, other.message], [4403, 'ACCESS_DENIED', 'Access denied']);
    await member.subscribe('read:x');
    for (const ask of [{ type: 'message', content: 1 }, { type: 'history' }, { type: 'presence' }, { type: 'track' }]) {
      assert.equal((await member.ask({ ...ask, channel: 'read:x' })).code, 4403, ask.type);
    }
    const refused = await server.publish({ channel: 'members:u1', content: 1 });
    assert.ok([401, 403].includes(refused.status));
    assert.equal((await server.publish({ channel: 'members:u1', content: 1 }, { token: server.serviceKey })).status, 200);
    await Promise.all([anon.close(), member.close()]);
  });
});

describe('coming back', () => {
  test('with the cookie: subscriptions are live again, what was missed arrives once', async () => {
    const jar = {}, channel = fresh();
    const a = await connect({ jar });
    await a.subscribe(channel);
    await server.publish({ channel, content: 1 });
    await a.messages(1);
    await a.settle();
    await a.lose();
    for (const content of [2, 3]) await server.publish({ channel, content });
    const b = await connect({ jar });
    assert.equal(b.connected.recovered, true);
    assert.equal(b.connected.session, a.connected.session);
    await server.publish({ channel, content: 4 });
    assert.deepEqual((await b.messages(3)).map((m) => m.content), [2, 3, 4]);
    await b.close();
  });
  test('a guide client that subscribes again gets nothing twice', async () => {
    const jar = {}, channel = fresh();
    const a = await connect({ jar });
    await a.subscribe(channel);
    await a.lose();
    await server.publish({ channel, content: 1 });
    const b = await connect({ jar });
    await b.subscribe(channel);
    await server.publish({ channel, content: 2 });
    await b.messages(1);
    await b.messages(1);
    assert.deepEqual((await b.settle()).filter((m) => m.type === 'message'), []);
    await b.close();
  });
  test('with ?session= for who keeps no cookies', async () => {
    const channel = fresh();
    const a = await connect();
    await a.subscribe(channel);
    const { session, ticket } = a.connected;
    await a.lose();
    await server.publish({ channel, content: 1 });
    const b = await connect({}, `?session=${session}.${ticket}`);
    assert.deepEqual([b.connected.recovered, b.connected.session], [true, session]);
    assert.equal((await b.messages(1))[0].content, 1);
    await b.close();
  });
  test('many times', async () => {
    const jar = {}, channel = fresh();
    let c = await connect({ jar });
    await c.subscribe(channel);
    for (let i = 1; i <= 10; i++) {
      await c.lose();
      await server.publish({ channel, content: i });
      c = await connect({ jar });
      assert.equal(c.connected.recovered, true);
      assert.equal((await c.messages(1))[0].content, i);
    }
    await c.close();
  });
  test('who said goodbye has no session any more', async () => {
    for (const code of [1000, 1001, 3000, 4999]) {
      const jar = {}, channel = fresh();
      const a = await connect({ jar });
      await a.subscribe(channel);
      if (code === 1000) await a.close(1000);
      else {
        a.ws.close(code);
        await a.ended();
      }
      const b = await connect({ jar });
      assert.equal(b.connected.recovered, false);
      await b.close();
    }
  });
  test('4000 is no goodbye: who lets go so finds the session, and was never gone for others', async () => {
    const channel = fresh(), here = () => server.channel(channel).then((c) => c.presence.length);
    const a = await connect();
    const { session, ticket } = a.connected;
    await a.subscribe(channel);
    await a.ask({ type: 'track', channel, key: 'a', meta: {} });
    a.ws.close(4000);
    await a.ended();
    const b = await connect({}, `?session=${session}.${ticket}`);
    assert.equal(b.connected.recovered, true);
    assert.equal(await here(), 1);
    await b.close();
  });
  test('two tabs of one browser come back as two', async () => {
    const jar = {}, [one, two] = [fresh(), fresh()];
    const a = await connect({ jar });
    await a.subscribe(one);
    const b = await connect({ jar });
    assert.equal(b.connected.recovered, false);
    await b.subscribe(two);
    await a.lose();
    await b.lose();
    for (const channel of [one, two]) await server.publish({ channel, content: channel });
    const again = [await connect({ jar }), await connect({ jar })];
    assert.ok(again.every((c) => c.connected.recovered));
    const got = [(await again[0].messages(1))[0], (await again[1].messages(1))[0]];
    assert.deepEqual(got.map((m) => m.content).sort(), [one, two].sort());
    await Promise.all(again.map((c) => c.close()));
  });
  test('a ticket of another, or made up, or of another user: a fresh session', async () => {
    const a = await connect({ headers: { Authorization: `Bearer ${server.mint({ sub: 'owner' })}` } });
    await a.subscribe(fresh());
    const { session, ticket } = a.connected;
    await a.lose();
    for (const text of [`${session}.`, `${session}.${'x'.repeat(26)}`, `${session}.00${'A'.repeat(24)}`, `x.${ticket.slice(0, -1)}`, 'null', '..', '%00']) {
      const c = await connect({}, `?session=${text}`);
      assert.equal(c.connected.recovered, false, text);
      await c.close();
    }
    const thief = await connect({ headers: { Authorization: `Bearer ${server.mint({ sub: 'thief' })}` } }, `?session=${session}.${ticket}`);
    assert.equal(thief.connected.recovered, false);
    await thief.close();
  });
  test('after its time the session is gone', async (t) => {
    const hasty = await serve(t, { args: ['--session.resume_ms=200ms'] });
    const jar = {};
    const a = await NativeClient.open(hasty.ws(), { jar });
    await a.subscribe('a');
    await a.lose();
    await hasty.settled();
    const b = await NativeClient.open(hasty.ws(), { jar });
    assert.equal(b.connected.recovered, false);
    await b.close();
  });
  test('an open connection whose peer vanished makes room for the one that comes back', async () => {
    const jar = {}, channel = fresh();
    const a = await connect({ jar });
    await a.subscribe(channel);
    a.ws._socket.pause(); // it answers no ping from here on
    const b = await connect({ jar });
    assert.equal(b.connected.recovered, true);
    await server.publish({ channel, content: 'back' });
    assert.equal((await b.messages(1))[0].content, 'back');
    a.ws.terminate();
    await b.close();
  });
  test('rights are asked again', async () => {
    const jar = {};
    const a = await connect({ jar, headers: { Authorization: `Bearer ${server.mint({ sub: 'u1' })}` } });
    await a.subscribe('members:u1');
    await a.lose();
    const b = await connect({ jar }); // without the token
    assert.equal(b.connected.recovered, false);
    await b.close();
  });
});

describe('compression', () => {
  test('agreed and used for large messages, by content the same', async () => {
    const channel = fresh();
    const plain = await connect({ perMessageDeflate: false });
    const packed = await connect({ perMessageDeflate: true });
    await plain.subscribe(channel);
    await packed.subscribe(channel);
    assert.match(packed.extensions, /^permessage-deflate/);
    assert.equal(plain.extensions, undefined);
    const content = { text: 'tidewire '.repeat(3000) };
    const before = packed.ws._socket.bytesRead;
    await plain.ask({ type: 'message', channel, content });
    assert.deepEqual((await packed.type('message')).content, content);
    assert.deepEqual((await plain.type('message')).content, content);
    assert.ok(packed.ws._socket.bytesRead - before < 3000);
    await Promise.all([plain.close(), packed.close()]);
  });
});

test('no connection is left', () => until(async () =>
  (await server.metric('tidewire_connections{transport="websocket"}')) === 0, 'the gauge is 0'));
