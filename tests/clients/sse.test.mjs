// SPDX-License-Identifier: Apache-2.0
// Server-Sent Events on /api/events: by the `eventsource` package as a browser would, and by fetch
// for what it hides.
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { after, before, describe, test } from 'node:test';
import { EventSource } from 'eventsource';
import { startProxy } from './lib/proxy.mjs';
import { RawSocket } from './lib/rawsocket.mjs';
import { EventStream, SseParser } from './lib/sse.mjs';
import { serve, serveAll } from './lib/server.mjs';
import { deferred, Queue, until, within } from './lib/wait.mjs';

const server = serveAll({ before, after }, {
  config: {
    channels: {
      rules: [{ match: 'secret:*', allow: { subscribe: 'none' } },
        { match: '*', allow: { subscribe: '*', publish: '*', presence: '*', track: '*', history: '*' } }],
    },
    sse: { heartbeat_ms: '1s', retry_ms: '100ms' },
  },
});
let count = 0;
const fresh = () => `sse-${++count}`;
const open = (query, options) => EventStream.open(`${server.url}/api/events?${query}`, options);
const say = (channel, content, more = {}) => server.publish({ channel, content, ...more });

// A stream that is subscribed to all its channels: what is published from now on will come.
async function listening(channels, query = '', options = {}) {
  const s = await open(`${channels.map((c) => `channel=${encodeURIComponent(c)}`).join('&')}${query}`, options);
  assert.equal(s.answer.status, 200);
  for (const c of channels) await until(async () => (await server.channel(c)).subscribers > 0, `a listener on ${c}`);
  return s;
}

// An EventSource whose events are in queues; .names are the named ones one listens to.
function source(t, url, names = []) {
  const es = new EventSource(url);
  t.after(() => es.close());
  const all = { es, opened: deferred(), errors: [], messages: new Queue() };
  es.onopen = () => all.opened.resolve();
  es.onerror = (e) => all.errors.push(e);
  es.onmessage = (e) => all.messages.push({ ...JSON.parse(e.data), lastEventId: e.lastEventId });
  for (const name of names) {
    all[name] = new Queue();
    es.addEventListener(name, (e) => all[name].push({ data: JSON.parse(e.data), lastEventId: e.lastEventId }));
  }
  return all;
}

describe('the answer', () => {
  test('has the head the guide asks for', async () => {
    const s = await open(`channel=${fresh()}`);
    const h = s.answer.headers;
    assert.equal(s.answer.status, 200);
    assert.match(h.get('content-type'), /^text\/event-stream/);
    assert.match(h.get('cache-control'), /no-cache/);
    assert.equal(h.get('x-accel-buffering'), 'no');
    assert.equal(h.get('content-length'), null);
    await s.close();
  });
  test('begins with retry and an unnamed connected', async () => {
    const s = await open(`channel=${fresh()}`);
    const first = await s.next();
    assert.equal(first.retry, '100');
    const hello = first.data ? first : await s.next();
    assert.equal(hello.event, undefined);
    const { type, timestamp } = JSON.parse(hello.data);
    assert.equal(type, 'connected');
    assert.ok(Math.abs(timestamp - Date.now()) < 60000);
    await s.close();
  });
  test('says where it stands before the first message, so that a cut then loses nothing', async () => {
    const channel = fresh();
    const { epoch } = await say(channel, 'before');
    const s = await open(`channel=${channel}`);
    const at = await s.data();
    assert.deepEqual([at.id, JSON.parse(at.data).type], [`${epoch}-1`, 'connected']);
    await s.close();
  });
  test('heartbeats are comments', async () => {
    const s = await open(`channel=${fresh()}`);
    const beat = await s.events.find((e) => e.comment !== undefined, 'a comment');
    assert.equal(beat.data, undefined);
    await s.close();
  });
  test('HEAD and other methods', async () => {
    assert.equal((await fetch(`${server.url}/api/events`, { method: 'POST' })).status, 405);
  });
  test('HTTP/1.0 gets it without chunks', async () => {
    const channel = fresh();
    const s = await RawSocket.connect(server.port);
    await s.write(`GET /api/events?channel=${channel} HTTP/1.0\r\n\r\n`);
    const head = (await s.readUntil('\r\n\r\n')).toString();
    assert.ok(!/transfer-encoding/i.test(head), head);
    await until(async () => (await server.channel(channel)).subscribers > 0, 'a listener');
    await say(channel, { n: 1 });
    await s.readUntil('data: {"n":1}\n\n');
    s.destroy();
  });
});

describe('messages', () => {
  test('an EventSource gets unnamed ones in onmessage, with their ids', async (t) => {
    const channel = fresh();
    const es = source(t, `${server.url}/api/events?channel=${channel}`);
    assert.equal((await es.messages.next()).type, 'connected');
    await until(async () => (await server.channel(channel)).subscribers, 'a listener');
    const { id } = await say(channel, { text: 'hi' });
    assert.deepEqual(await es.messages.next(), { text: 'hi', lastEventId: id });
  });
  test('named ones fire their own listeners and not onmessage', async (t) => {
    const channel = fresh();
    const es = source(t, `${server.url}/api/events?channel=${channel}`, ['user-joined']);
    await es.messages.next();
    await until(async () => (await server.channel(channel)).subscribers, 'a listener');
    await say(channel, { name: 'Ann' }, { event: 'user-joined' });
    assert.deepEqual((await es['user-joined'].next()).data, { name: 'Ann' });
    await say(channel, { last: true });
    assert.equal((await es.messages.next()).last, true);
  });
  test('without channel it is the default channel', async () => {
    const s = await open('');
    await until(async () => (await server.channel('main')).subscribers, 'a listener');
    await server.publish({ content: { to: 'main' } });
    await s.events.find((e) => e.data === '{"to":"main"}');
    await s.close();
  });
  test('content is what was published, byte by byte, over several data lines if it has any', async () => {
    const channel = fresh();
    const s = await listening([channel]);
    await s.json();
    const bodies = ['{ "a" : 1 }', '"\\u0000 \\n"', '{\n  "b": [\n 1 ]\n}', '"ünï — 😀"', '-0', '1E400', 'null', '""', '{"__proto__":1}'];
    for (const content of bodies) {
      await fetch(`${server.url}/api/publish`, { method: 'POST', body: `{"channel":"${channel}","content":${content}}` });
      assert.equal((await s.data()).data, content);
    }
    await s.close();
  });
  test('characters cut by the network arrive whole', async (t) => {
    const proxy = await startProxy(t, server.port);
    proxy.onLink = (link) => link.split(1, 'down');
    const channel = fresh();
    const es = source(t, `http://127.0.0.1:${proxy.port}/api/events?channel=${channel}`);
    await es.messages.next();
    await until(async () => (await server.channel(channel)).subscribers, 'a listener');
    const text = '€uro 😀 ünï '.repeat(20);
    await say(channel, { text });
    assert.equal((await es.messages.next()).text, text);
  });
  test('binary content is a base64 event "binary"', async () => {
    const channel = fresh();
    const s = await listening([channel]);
    await s.json();
    await fetch(`${server.url}/api/publish?channel=${channel}&event=blob`, {
      method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: Buffer.from([0, 255, 1]),
    });
    const e = await s.data();
    assert.deepEqual([e.event, JSON.parse(e.data)], ['binary', 'AP8B']);
    await s.close();
  });
  test('a megabyte in one message', async () => {
    const channel = fresh();
    const s = await listening([channel]);
    await s.json();
    const text = 'x'.repeat(1000000);
    await say(channel, text);
    assert.equal(JSON.parse((await s.data()).data).length, text.length);
    await s.close();
  });
  test('an event name cannot break out of its line', async () => {
    const channel = fresh();
    for (const event of ['a\nb', 'a\rb', 'a\0b', '']) {
      const answer = await server.publish({ channel, event, content: 1 });
      assert.equal(answer.status, 400, JSON.stringify(event));
    }
  });
});

describe('several channels in one stream', () => {
  test('messages of all, with ids that hold every position', async () => {
    const [a, b] = [fresh(), fresh()];
    const s = await listening([a, b]);
    await s.json();
    const [x, y] = [await say(a, 1), await say(b, 2)];
    const one = await s.data();
    assert.equal(one.data, '1');
    const two = await s.data();
    assert.equal(two.data, '2');
    assert.equal(two.id, `${x.id}~${y.id}`);
    await s.close();
  });
  test('resumed from any of these ids: exactly what was missed of each', async () => {
    const [a, b] = [fresh(), fresh()];
    const s = await listening([a, b]);
    await s.json();
    for (let i = 1; i <= 5; i++) {
      await say(a, `a${i}`);
      await say(b, `b${i}`);
    }
    const all = [];
    for (let i = 0; i < 10; i++) all.push(await s.data());
    await s.close();
    for (let k = 0; k < 10; k++) {
      const again = await open(`channel=${a}&channel=${b}`, { headers: { 'last-event-id': all[k].id } });
      await again.json();
      const got = [];
      for (let i = k + 1; i < 10; i++) got.push((await again.data()).data);
      const want = all.slice(k + 1).map((e) => e.data);
      for (const c of ['a', 'b']) {
        assert.deepEqual(got.filter((d) => d.includes(c)), want.filter((d) => d.includes(c)));
      }
      await again.close();
    }
  });
  test('a cut inside the replay loses nothing either: every event of it holds a whole position', async () => {
    const [a, b] = [fresh(), fresh()];
    for (let i = 1; i <= 4; i++) {
      await say(a, `a${i}`);
      await say(b, `b${i}`);
    }
    const first = await open(`channel=${a}&channel=${b}&since=~`);
    await first.close();
    const { epoch: ea } = await server.channel(a), { epoch: eb } = await server.channel(b);
    let id = `${ea}-0~${eb}-0`;
    const got = [];
    while (got.length < 8) { // one event at a time, then the connection is cut
      const s = await open(`channel=${a}&channel=${b}`, { headers: { 'last-event-id': id } });
      await s.json();
      const e = await s.data();
      got.push(JSON.parse(e.data));
      id = e.id;
      await s.close();
    }
    assert.deepEqual(got.filter((d) => d[0] === 'a'), ['a1', 'a2', 'a3', 'a4']);
    assert.deepEqual(got.filter((d) => d[0] === 'b'), ['b1', 'b2', 'b3', 'b4']);
  });
  test('no id has a hole: a cut would make it "from now on"', async () => {
    for (let i = 0; i < 20; i++) {
      const names = [fresh(), fresh(), fresh()];
      for (const c of names) await say(c, c);
      const s = await open(`history=1&${names.map((c) => `channel=${c}`).join('&')}`);
      for (let got = 0; got < 4; got++) {
        const { id } = await s.data();
        if (id !== undefined) assert.match(id, /^[a-z0-9]+-\d~[a-z0-9]+-\d~[a-z0-9]+-\d$/);
      }
      await s.close();
    }
  });
  test('one that may not be read does not take the others with it', async () => {
    const a = fresh();
    const s = await open(`channel=secret:x&channel=${a}`);
    if (s.answer.status === 200) {
      await until(async () => (await server.channel(a)).subscribers > 0, 'a listener');
      await say(a, 'still');
      await s.events.find((e) => e.event === 'error' && JSON.parse(e.data).code === 4403);
      await s.events.find((e) => e.data === '"still"');
    } else {
      assert.equal(s.answer.status, 403);
    }
    await s.close();
  });
});

describe('coming back', () => {
  test('an EventSource whose connection was cut gets what it missed, once', async (t) => {
    const proxy = await startProxy(t, server.port);
    const channel = fresh();
    const es = source(t, `http://127.0.0.1:${proxy.port}/api/events?channel=${channel}`, ['gap']);
    await es.messages.next();
    await until(async () => (await server.channel(channel)).subscribers, 'a listener');
    const seen = [];
    for (let n = 1; n <= 30; n++) {
      if (n % 10 === 5) {
        await until(() => proxy.links.length, 'it is back');
        proxy.links[0][n === 15 ? 'reset' : 'cut']();
        await until(async () => (await server.channel(channel)).subscribers === 0, 'the server noticed');
      }
      await say(channel, { n });
    }
    while (seen.length < 30) {
      const m = await es.messages.next();
      if (m.n) seen.push(m.n);
    }
    assert.deepEqual(seen, Array.from({ length: 30 }, (_, i) => i + 1));
    assert.equal(es.gap.length, 0);
  });
  test('since in the query is the same; Last-Event-ID wins', async () => {
    const channel = fresh();
    const ids = [];
    for (let n = 1; n <= 5; n++) ids.push((await say(channel, n)).id);
    const s = await open(`channel=${channel}&since=${ids[2]}`);
    await s.json();
    assert.deepEqual([(await s.data()).data, (await s.data()).data], ['4', '5']);
    await s.close();
    const w = await open(`channel=${channel}&since=${ids[0]}`, { headers: { 'last-event-id': ids[3] } });
    await w.json();
    assert.equal((await w.data()).data, '5');
    await w.close();
  });
  test('history: the newest n first', async () => {
    const channel = fresh();
    for (let n = 1; n <= 5; n++) await say(channel, n);
    const s = await open(`channel=${channel}&history=2`);
    await s.json();
    assert.deepEqual([(await s.data()).data, (await s.data()).data], ['4', '5']);
    await s.close();
  });
  test('what is gone is a gap event, first', async (t) => {
    const small = await serve(t, { args: ['--history.count=3'] });
    const ids = [];
    for (let n = 1; n <= 10; n++) ids.push((await small.publish({ channel: 'a', content: n })).id);
    const s = await EventStream.open(`${small.url}/api/events?channel=a`, { headers: { 'last-event-id': ids[1] } });
    await s.json();
    const gap = await s.data();
    assert.deepEqual([gap.event, JSON.parse(gap.data)], ['gap', { channel: 'a', from: 3, to: 7 }]);
    assert.ok(gap.id, 'it has a place too');
    assert.deepEqual([(await s.data()).data, (await s.data()).data, (await s.data()).data], ['8', '9', '10']);
    await s.close();
  });
  test('an id of another epoch, or nonsense, is never a non-200: an EventSource would give up', async () => {
    const channel = fresh();
    const { id, epoch } = await say(channel, 1);
    for (const bad of ['nonsense', 'x-1', `${epoch}-99999999999999999999`, `${epoch}-abc`, '~', '-', 'a~b~c', '😀', `${id}~${id}~${id}`, 'x'.repeat(3000)]) {
      const s = await open(`channel=${channel}`, { headers: { 'last-event-id': encodeURI(bad) } });
      assert.equal(s.answer.status, 200, bad);
      await s.json();
      await s.close();
    }
  });
  test('another epoch is said to be a gap or begins anew, never silently skipped', async () => {
    const channel = fresh();
    await say(channel, 1);
    const s = await open(`channel=${channel}`, { headers: { 'last-event-id': 'otherepoch00-5' } });
    await s.json();
    const e = await s.next();
    assert.equal(e.event, 'gap', JSON.stringify(e));
    await s.close();
  });
});

describe('gzip', () => {
  const raw = async (channel, more = '') => {
    const s = await RawSocket.connect(server.port);
    await s.write(`GET /api/events?channel=${channel}${more} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n`);
    s.head = (await s.readUntil('\r\n\r\n')).toString();
    return s;
  };
  test('when it is asked for; each event can be read when it comes', async () => {
    const channel = fresh();
    const s = await raw(channel);
    assert.match(s.head, /content-encoding: gzip/i);
    assert.match(s.head, /vary:.*accept-encoding/i);
    const gunzip = zlib.createGunzip();
    const parser = new SseParser();
    const events = new Queue();
    gunzip.on('data', (d) => parser.feed(d.toString()).forEach((e) => events.push(e)));
    const pump = (async () => {
      for (;;) gunzip.write(await s.readChunk());
    })().catch(() => {});
    await events.find((e) => e.data?.includes('connected'));
    await until(async () => (await server.channel(channel)).subscribers > 0, 'a listener');
    for (const text of ['short', 'long '.repeat(2000), 'ü'.repeat(300)]) {
      const began = s.received;
      await say(channel, { text });
      const e = await events.find((x) => x.data?.startsWith('{"text'));
      assert.equal(JSON.parse(e.data).text, text);
      if (text.length > 5000) assert.ok(s.received - began < 1000, `${s.received - began} bytes`);
    }
    s.destroy();
    await pump;
  });
  test('not when it is not, or was refused', async () => {
    for (const accept of ['identity', 'gzip;q=0', 'br', '']) {
      const s = await open(`channel=${fresh()}`, { headers: { 'accept-encoding': accept } });
      assert.equal(s.answer.headers.get('content-encoding'), null, accept);
      await s.close();
    }
  });
});

describe('frames=1: the frames of a WebSocket', () => {
  test('connected, subscribed per channel, message, presence, error', async () => {
    const [a, b] = [fresh(), fresh()];
    const { epoch } = await say(a, 'old');
    const s = await open(`frames=1&channel=${a}&channel=${b}&channel=secret:y&presence=1`);
    const types = {};
    for (let i = 0; i < 6; i++) {
      const m = await s.json();
      (types[m.type] ??= []).push(m);
    }
    assert.ok(types.connected[0].session);
    assert.deepEqual(types.subscribed.map((m) => m.channel).sort(), [a, b].sort());
    assert.deepEqual(types.subscribed.find((m) => m.channel === a), { type: 'subscribed', channel: a, epoch, offset: 1, recovered: false });
    assert.deepEqual([types.error[0].code, types.error[0].channel], [4403, 'secret:y']);
    assert.equal(types.presence.length, 2);
    await say(a, { n: 1 }, { event: 'named' });
    const m = await s.json();
    assert.deepEqual([m.type, m.channel, m.event, m.content, m.offset], ['message', a, 'named', { n: 1 }, 2]);
    await s.close();
  });
  test('since for several, joined by ~; an empty one is from now on', async () => {
    const [a, b] = [fresh(), fresh()];
    const ids = [await say(a, 1), await say(a, 2), await say(b, 3)].map((m) => m.id);
    const s = await open(`frames=1&channel=${a}&channel=${b}&since=${ids[0]}~`);
    const got = [];
    while (got.filter((m) => m.type === 'subscribed').length < 2 || !got.some((m) => m.type === 'message')) got.push(await s.json());
    assert.deepEqual(got.filter((m) => m.type === 'message').map((m) => m.content), [2]);
    assert.equal(got.find((m) => m.channel === a && m.type === 'subscribed').recovered, true);
    await s.close();
  });
  test('every unnamed data is JSON', async () => {
    const channel = fresh();
    const s = await listening([channel], '&frames=1');
    for (let i = 0; i < 5; i++) await say(channel, 'x'.repeat(i * 100));
    let messages = 0;
    while (messages < 5) if ((await s.json()).type === 'message') messages++;
    await s.close();
  });
});

describe('presence', () => {
  test('track while the stream is open', async () => {
    const channel = fresh();
    const watcher = await listening([channel], '&presence=1');
    const s = await listening([channel], `&track=u1&meta=${encodeURIComponent('{"name":"Ann"}')}`);
    const join = await watcher.events.find((e) => e.event === 'presence' && JSON.parse(e.data).joins?.length, 'a join');
    assert.deepEqual(JSON.parse(join.data).joins[0], { key: 'u1', metas: [{ name: 'Ann' }] });
    assert.deepEqual((await server.channel(channel)).presence, [{ key: 'u1', metas: [{ name: 'Ann' }] }]);
    await s.close();
    await watcher.events.find((e) => e.event === 'presence' && JSON.parse(e.data).leaves?.length, 'a leave');
    await watcher.close();
  });
});

test('2000 streams opened and closed leave nothing', async () => {
  await server.settled();
  const fds = server.fds();
  for (let i = 0; i < 40; i++) {
    const all = await Promise.all(Array.from({ length: 50 }, () => RawSocket.connect(server.port)));
    await Promise.all(all.map((s, k) => s.write(`GET /api/events?channel=leak-${k} HTTP/1.1\r\nHost: x\r\n\r\n`)));
    await Promise.all(all.map((s) => s.readUntil('connected')));
    for (const [k, s] of all.entries()) if (k % 2) s.reset(); else s.destroy();
  }
  await server.settled({ fds, slack: 8 });
  await within(fetch(`${server.url}/health/live`), 'an answer');
});
