// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc } from 'node:zlib';
import { load } from '../../load.mjs';

const { backoff } = await load('js/src/backoff.ts');
const { eventParser } = await load('js/src/sse.ts');
const { encodeBinary, decodeBinary, bytesOf, fromBase64 } = await load('js/src/binary.ts');
const { applyDelta, crc32, rawMember, deltas } = await load('js/src/delta.ts');
const { Presence } = await load('js/src/presence.ts');
const { Emitter } = await load('js/src/emitter.ts');
const { defer } = await load('js/src/deferred.ts');

test('waits are anywhere below a doubling limit', (t) => {
  t.mock.method(Math, 'random', () => 1);
  assert.deepEqual(
    [0, 1, 2, 3, 20].map((n) => backoff(n)),
    [500, 1000, 2000, 4000, 30000],
  );
  Math.random.mock.mockImplementation(() => 0);
  assert.equal(backoff(7), 0);
  Math.random.mock.mockImplementation(() => 0.5);
  assert.equal(backoff(3, { minDelay: 10, factor: 3, maxDelay: 100 }), 50);
});

test('an event stream is cut into its events, however it is split', () => {
  const text = ': ping\r\n\r\nretry: 2000\nid: a-1\ndata: {"a":\ndata: 1}\n\nevent: x\ndata:two\r\rdata: é€😀\n\n\n';
  const whole = [];
  eventParser((d) => whole.push(d))(text);
  assert.deepEqual(whole, ['{"a":\n1}', 'two', 'é€😀']);
  for (let at = 0; at <= text.length; at++) {
    const got = [];
    const feed = eventParser((d) => got.push(d));
    feed(text.slice(0, at));
    feed(text.slice(at));
    assert.deepEqual(got, whole, `split at ${at}`);
  }
  const bytewise = [];
  const feed = eventParser((d) => bytewise.push(d));
  for (const c of text) feed(c);
  assert.deepEqual(bytewise, whole);
});

test('an unfinished event is not told', () => {
  const got = [];
  eventParser((d) => got.push(d))('data: 1\n\ndata: 2\n');
  assert.deepEqual(got, ['1']);
});

test('binary frames hold channel, event, content', () => {
  const frame = encodeBinary('räume', 'bild', Uint8Array.of(1, 2, 255));
  assert.deepEqual([...frame], [6, ...Buffer.from('räume'), 4, ...Buffer.from('bild'), 1, 2, 255]);
  const fromServer = new Uint8Array([...frame.slice(0, -3), 0, 0, 0, 1, 0, 0, 0, 7, 1, 2, 255]);
  assert.deepEqual(decodeBinary(fromServer), {
    type: 'message',
    channel: 'räume',
    event: 'bild',
    offset: 2 ** 32 + 7,
    content: Uint8Array.of(1, 2, 255),
  });
});

test('what is binary is known, also a view into a larger buffer', () => {
  const whole = Uint8Array.of(9, 8, 7, 6);
  assert.deepEqual(bytesOf(whole.buffer), whole);
  assert.deepEqual(bytesOf(new DataView(whole.buffer, 1, 2)), Uint8Array.of(8, 7));
  assert.equal(bytesOf('text'), undefined);
  assert.equal(bytesOf([1]), undefined);
  assert.deepEqual(fromBase64('AP+A'), Uint8Array.of(0, 255, 128));
});

const utf8 = (text) => new TextEncoder().encode(text);

test('the sum is CRC-32', { skip: !zlibCrc && 'this Node has no zlib.crc32' }, () => {
  for (const text of ['', 'a', 'The quick brown fox', 'é€😀'.repeat(50)]) assert.equal(crc32(utf8(text)), zlibCrc(text));
});

test('the example of the protocol page holds', () => {
  const out = applyDelta(utf8('{"a":1,"b":"x"}'), [12, -1, 'é', 2]);
  assert.equal(new TextDecoder().decode(out), '{"a":1,"b":"é"}');
  assert.equal(crc32(out), 2322756775);
});

test('a delta that does not fit its base is refused', () => {
  const base = utf8('12345');
  assert.equal(applyDelta(base, [6]), undefined);
  assert.equal(applyDelta(base, [3, -3]), undefined);
  assert.equal(applyDelta(base, [1.5]), undefined);
  assert.deepEqual(applyDelta(base, []), new Uint8Array(0));
});

test('a member is found as it was sent', () => {
  const json = '{"a":{"content":1},"s":"\\"content\\":3","content" : {"x": [1, 2 ],"content":"}"} ,"z":[{"content":7}]}';
  assert.equal(rawMember(json, 'content').trim(), '{"x": [1, 2 ],"content":"}"}');
  assert.equal(rawMember('{"messages":[{"offset":1,"content": 1.50}],"content":2}', 'content', 3).trim(), '1.50');
  assert.equal(rawMember('{"a":1}', 'content'), undefined);
  assert.equal(rawMember('{"content":"x"}', 'content'), '"x"');
});

const settled = () => new Promise((done) => setImmediate(done));

test('deltas give whole messages, and fetch what does not fit', async () => {
  const asked = [];
  let answer;
  const stream = deltas()((frame) => {
    asked.push(frame);
    return new Promise((resolve) => (answer = resolve));
  });
  const got = [];
  const push = (frame) => stream.push(frame, JSON.stringify(frame), (f) => got.push([f.offset, f.content]));
  const next = '{"a":1,"b":"é"}';
  push({ type: 'message', channel: 'c', event: 'e', key: 'k', offset: 5, content: { a: 1, b: 'x' } });
  push({
    type: 'message',
    channel: 'c',
    event: 'e',
    key: 'k',
    offset: 6,
    base: 5,
    delta: [12, -1, 'é', 2],
    sum: crc32(utf8(next)),
  });
  assert.deepEqual(got, [
    [5, { a: 1, b: 'x' }],
    [6, { a: 1, b: 'é' }],
  ]);
  // A sum that does not fit: the whole one is fetched, and the next waits for it.
  push({ type: 'message', channel: 'c', event: 'e', key: 'k', offset: 7, base: 6, delta: [3], sum: 1 });
  push({ type: 'message', channel: 'c', event: 'e', key: 'k', offset: 8, base: 7, delta: [1, '2', 2], sum: 1 });
  push({ type: 'message', channel: 'c', event: 'e', offset: 9, content: 'other' });
  assert.equal(got.length, 2);
  assert.deepEqual(asked, [{ type: 'history', channel: 'c', after: 6, limit: 1 }]);
  const history = { type: 'history', messages: [{ offset: 7, content: [3] }] };
  answer({ ...history, raw: JSON.stringify(history) });
  await settled();
  assert.deepEqual(got.slice(2), [[7, [3]]], 'message 8 does not fit 7 either, and is fetched too');
  const second = { type: 'history', messages: [{ offset: 8, content: [4] }] };
  answer({ ...second, raw: JSON.stringify(second) });
  await settled();
  assert.deepEqual(got.slice(3), [
    [8, [4]],
    [9, 'other'],
  ]);
});

test('after a reset no old answer is delivered', async () => {
  let answer;
  const stream = deltas()(() => new Promise((resolve) => (answer = resolve)));
  const got = [];
  stream.push({ type: 'message', channel: 'c', event: 'e', offset: 2, base: 1, delta: [1], sum: 0 }, '', (f) => got.push(f));
  stream.reset();
  answer({ messages: [{ offset: 2, content: 1 }] });
  await settled();
  assert.deepEqual(got, []);
});

test('presence tells who enters, changes and leaves', () => {
  const presence = new Presence({ name: 'c', _watch() {}, _present: async () => undefined });
  const told = [];
  for (const name of ['enter', 'update', 'leave']) presence.on(name, ({ key, metas }) => told.push([name, key, metas]));
  presence._frame({ type: 'presence', state: [{ key: 'a', metas: [{ n: 1 }] }] });
  presence._frame({
    type: 'presence',
    joins: [
      { key: 'a', metas: [{ n: 1 }] },
      { key: 'b', metas: [{}] },
    ],
  });
  presence._frame({ type: 'presence', leaves: [{ key: 'a', metas: [{ n: 1 }] }] });
  assert.deepEqual(
    presence.members,
    [
      { key: 'a', metas: [{ n: 1 }] },
      { key: 'b', metas: [{}] },
    ],
    'one of two equal metas left',
  );
  presence._frame({ type: 'presence', joins: [{ key: 'a', metas: [{ n: 2 }] }], leaves: [{ key: 'a', metas: [{ n: 1 }] }] });
  presence._frame({ type: 'presence', leaves: [{ key: 'b', metas: [{}] }] });
  presence._frame({
    type: 'presence',
    state: [
      { key: 'a', metas: [{ n: 2 }] },
      { key: 'c', metas: [{}] },
    ],
  });
  assert.deepEqual(
    told.map(([name, key]) => `${name} ${key}`),
    ['enter a', 'update a', 'enter b', 'update a', 'update a', 'leave b', 'enter c'],
  );
});

test('a listener that throws does not stop the others', () => {
  const emitter = new Emitter();
  const seen = [];
  const reported = [];
  globalThis.reportError = (e) => reported.push(e.message);
  try {
    emitter.on('x', () => {
      throw new Error('oops');
    });
    const off = emitter.on('x', (v) => seen.push(v));
    emitter._emit('x', 1);
    off();
    emitter._emit('x', 2);
  } finally {
    delete globalThis.reportError;
  }
  assert.deepEqual([seen, reported], [[1], ['oops', 'oops']]);
});

test('a deferred settles once: by hand, by time or by signal', async () => {
  const byHand = defer();
  byHand._done(1);
  byHand._fail(new Error('late'));
  assert.equal(await byHand, 1);
  await assert.rejects(defer(undefined, 1), { code: 4408 });
  const control = new AbortController();
  let ended = 0;
  const bySignal = defer(control.signal, 60000, () => ended++);
  control.abort(new Error('enough'));
  await assert.rejects(bySignal, { message: 'enough' });
  assert.equal(ended, 1);
  await assert.rejects(defer(control.signal), { message: 'enough' });
});
