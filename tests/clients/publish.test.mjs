// SPDX-License-Identifier: Apache-2.0
// The up-channel: POST /api/publish, and GET /api/channels/{name}.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NativeClient } from './lib/native.mjs';
import { serve, serveAll } from './lib/server.mjs';

const server = serveAll({ before, after }, {
  config: {
    channels: {
      rules: [{ match: 'service:*', allow: { subscribe: '*', publish: 'none' } },
        { match: 'small:*', payload_bytes: '100B', allow: { subscribe: '*', publish: '*' } },
        { match: '*', allow: { subscribe: '*', publish: '*', presence: '*', track: '*', history: '*' } }],
    },
    limits: { publish_batch: 100, payload_bytes: '64KiB', publish_bytes: '512KiB' },
  },
});
let count = 0;
const fresh = () => `publish-${++count}`;

async function post(body, { query = '', headers = {}, method = 'POST' } = {}) {
  const answer = await fetch(`${server.url}/api/publish${query}`, {
    method, body, headers: { 'content-type': 'application/json', ...headers },
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : null };
}
const publish = (message, options) => post(JSON.stringify(message), options);

describe('one message', () => {
  test('is answered with its place', async () => {
    const channel = fresh();
    const one = await publish({ channel, content: { text: 'hi' } });
    assert.equal(one.status, 200);
    const { epoch } = one.body;
    assert.deepEqual(one.body, { channel, offset: 1, epoch, id: `${epoch}-1`, duplicate: false });
    assert.equal((await publish({ channel, content: 2 })).body.offset, 2);
  });
  test('without channel it goes to the default channel, without event it is a message', async () => {
    const c = await NativeClient.open(server.ws());
    await c.subscribe('main');
    assert.equal((await publish({ content: 1 })).body.channel, 'main');
    const m = await c.type('message');
    assert.deepEqual([m.event, m.content, m.sender], ['message', 1, undefined]);
    await c.close();
  });
  test('the sender is the token\'s', async () => {
    const c = await NativeClient.open(server.ws());
    const channel = fresh();
    await c.subscribe(channel);
    const token = server.mint({ sub: 'u1' });
    for (const options of [{ headers: { authorization: `Bearer ${token}` } }, { headers: { apikey: token } }, { query: `?token=${token}` }]) {
      await publish({ channel, content: 1 }, options);
      assert.equal((await c.type('message')).sender.sub, 'u1');
    }
    await c.close();
  });
  test('any content type is read as JSON', async () => {
    const channel = fresh();
    for (const type of ['text/plain', 'application/json; charset=utf-8', 'application/x-www-form-urlencoded', '']) {
      const answer = await publish({ channel, content: 1 }, { headers: { 'content-type': type } });
      assert.ok([200, 415].includes(answer.status), `${type}: ${answer.status}`);
    }
  });
  test('a body in chunks, and one that is gzipped, is read or refused, never misread', async () => {
    const channel = fresh();
    const answer = await fetch(`${server.url}/api/publish`, {
      method: 'POST', duplex: 'half',
      body: new ReadableStream({
        start(c) {
          for (const part of [`{"channel":"${channel}",`, '"content":', '{"in":"parts"}', '}']) c.enqueue(new TextEncoder().encode(part));
          c.close();
        },
      }),
    });
    assert.equal(answer.status, 200);
    const gzipped = await post('x', { headers: { 'content-encoding': 'gzip' } });
    assert.ok([400, 415].includes(gzipped.status));
  });
});

describe('idempotency', () => {
  test('by id, by header; the first answer again', async () => {
    const channel = fresh();
    const first = await publish({ channel, content: 1, id: 'order-1' });
    const again = await publish({ channel, content: 'changed', id: 'order-1' });
    assert.deepEqual(again.body, { ...first.body, duplicate: true });
    const header = await publish({ channel, content: 2 }, { headers: { 'idempotency-key': 'order-2' } });
    const header2 = await publish({ channel, content: 3 }, { headers: { 'idempotency-key': 'order-2' } });
    assert.deepEqual([header.body.duplicate, header2.body.duplicate, header2.body.offset], [false, true, header.body.offset]);
    assert.deepEqual((await server.channel(channel)).messages.map((m) => m.content), [1, 2]);
  });
  test('per channel and per identity', async () => {
    const [a, b] = [fresh(), fresh()];
    const mine = { headers: { authorization: `Bearer ${server.mint({ sub: 'u1' })}` } };
    const yours = { headers: { authorization: `Bearer ${server.mint({ sub: 'u2' })}` } };
    const all = [await publish({ channel: a, content: 1, id: 'x' }, mine), await publish({ channel: b, content: 1, id: 'x' }, mine),
      await publish({ channel: a, content: 1, id: 'x' }, yours), await publish({ channel: a, content: 1, id: 'x' })];
    assert.ok(all.every((r) => r.body.duplicate === false));
  });
  test('20 at once are one message', async () => {
    const channel = fresh();
    const all = await Promise.all(Array.from({ length: 20 }, () => publish({ channel, content: 1, id: 'race' })));
    assert.equal(all.filter((r) => !r.body.duplicate).length, 1);
    assert.equal(new Set(all.map((r) => r.body.offset)).size, 1);
    assert.equal((await server.channel(channel)).offset, 1);
  });
  test('inside one array too', async () => {
    const channel = fresh();
    const { body } = await publish([{ channel, content: 1, id: 'x' }, { channel, content: 2, id: 'x' }, { channel, content: 3 }]);
    assert.deepEqual(body.map((r) => [r.offset, r.duplicate]), [[1, false], [1, true], [2, false]]);
  });
});

describe('an array', () => {
  test('is answered by an array in its order', async () => {
    const channel = fresh();
    const { status, body } = await publish(Array.from({ length: 50 }, (_, i) => ({ channel, content: i })));
    assert.equal(status, 200);
    assert.deepEqual(body.map((r) => r.offset), Array.from({ length: 50 }, (_, i) => i + 1));
  });
  test('each is taken or refused by itself', async () => {
    const channel = fresh();
    const { status, body } = await publish([
      { channel, content: 1 }, { channel: '', content: 2 }, { channel }, 'text', null, { channel: 'service:x', content: 3 },
      { channel: 'small:x', content: 'y'.repeat(200) }, { channel, content: 4 }]);
    assert.equal(status, 200);
    assert.deepEqual(body.map((r) => r.code ?? 'ok'), ['ok', 4400, 4400, 4400, 4400, body[5].code, 4413, 'ok']);
    assert.ok([4401, 4403].includes(body[5].code));
    assert.deepEqual([body[0].offset, body[7].offset], [1, 2]);
    assert.ok(body.filter((r) => r.code).every((r) => r.name && r.message && r.hint && typeof r.retryable === 'boolean'));
  });
  test('empty is empty', async () => assert.deepEqual((await publish([])).body, []));
  test('too many are refused whole', async () => {
    const channel = fresh();
    const { status, body } = await publish(Array.from({ length: 101 }, () => ({ channel, content: 1 })));
    assert.deepEqual([status, body.code], [413, 4413]);
    assert.equal((await server.channel(channel)).offset, 0);
  });
  test('over many channels, owned by many loops', async () => {
    const names = Array.from({ length: 60 }, () => fresh());
    const { body } = await publish(names.map((channel) => ({ channel, content: 1 })));
    assert.deepEqual(body.map((r) => r.channel), names);
    assert.ok(body.every((r) => r.offset === 1));
  });
});

describe('binary', () => {
  test('goes out as a frame to WebSockets', async () => {
    const channel = fresh();
    const c = await NativeClient.open(server.ws());
    await c.subscribe(channel);
    const { status, body } = await post(Buffer.from([9, 8, 7]), {
      query: `?channel=${channel}&event=blob&id=b1`, headers: { 'content-type': 'application/octet-stream' },
    });
    assert.deepEqual([status, body.offset], [200, 1]);
    const frame = await c.binary.next();
    assert.deepEqual([...frame.subarray(-3)], [9, 8, 7]);
    const again = await post(Buffer.from([9]), {
      query: `?channel=${channel}&event=blob&id=b1`, headers: { 'content-type': 'application/octet-stream' },
    });
    assert.equal(again.body.duplicate, true);
    await c.close();
  });
  test('empty, and the largest there may be', async () => {
    for (const [n, status] of [[0, 200], [65536, 200], [65537, 413]]) {
      const answer = await post(Buffer.alloc(n), { query: `?channel=${fresh()}`, headers: { 'content-type': 'application/octet-stream' } });
      assert.equal(answer.status, status, `${n} bytes: ${JSON.stringify(answer.body)}`);
    }
  });
  test('names of bytes are held to the same rules; a key that cannot be one is refused', async () => {
    const channel = fresh();
    for (const query of ['channel=a%0Ab', 'channel=%00', 'channel=%zz', `channel=${'x'.repeat(256)}`,
      `channel=${channel}&event=a%0Ab`, `channel=${channel}&event=${'x'.repeat(129)}`, `channel=${channel}&id=${'x'.repeat(65)}`]) {
      const answer = await post(Buffer.from('x'), { query: `?${query}`, headers: { 'content-type': 'application/octet-stream' } });
      assert.deepEqual([answer.status, answer.body.name], [400, 'BAD_REQUEST'], query);
      assert.match(answer.body.message, /^(channel|event|id): /);
    }
    const answer = await publish({ channel, content: 1 }, { headers: { 'idempotency-key': 'k'.repeat(65) } });
    assert.deepEqual([answer.status, answer.body.message.slice(0, 15)], [400, 'Idempotency-Key']);
    assert.equal((await server.channel(channel)).offset, 0);
  });
});

describe('refusals', () => {
  const cases = {
    'no body': ['', 400], 'no JSON': ['hello', 400], 'a text': ['"x"', 400], 'a number': ['1', 400], 'null': ['null', 400],
    'no content': ['{"channel":"a"}', 400], 'an open object': ['{"content":1', 400], 'two objects': ['{"content":1}{"content":2}', 400],
    'a channel of 256 bytes': [`{"channel":"${'x'.repeat(256)}","content":1}`, 400], 'an empty channel': ['{"channel":"","content":1}', 400],
    'a channel that is a number': ['{"channel":1,"content":1}', 400], 'a channel with a line end': ['{"channel":"a\\nb","content":1}', 400],
    'an event of 129 bytes': [`{"event":"${'x'.repeat(129)}","content":1}`, 400], 'an id of 65 bytes': [`{"id":"${'x'.repeat(65)}","content":1}`, 400],
    'half a pair in the name': ['{"channel":"\\ud800","content":1}', 400], 'bytes that are no UTF-8': [Buffer.from('{"content":"\xff"}', 'latin1'), 400],
    '100,000 deep': [`{"content":${'['.repeat(100000)}`, 413], '100,000 deep and closed': [`{"content":${'['.repeat(100000)}${']'.repeat(100000)}}`, 413],
    'a key of 200 KB': [`{"${'k'.repeat(200000)}":1}`, 400], 'content above the limit': [`{"content":"${'x'.repeat(65 * 1024)}"}`, 413],
    'a body above the limit': [`{"content":"${'x'.repeat(600 * 1024)}"}`, 413], 'an array of one million': [`[${'1,'.repeat(200000)}1]`, 413],
  };
  for (const [name, [body, status]] of Object.entries(cases)) {
    test(name, async () => {
      const answer = await post(body);
      assert.equal(answer.status, status, JSON.stringify(answer.body).slice(0, 300));
      assert.ok(answer.body.code && answer.body.message && answer.body.hint);
      assert.equal((await publish({ channel: 'alive', content: 1 })).status, 200);
    });
  }
  test('GET, PUT, DELETE', async () => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await fetch(`${server.url}/api/publish`, { method });
      assert.equal(answer.status, 405);
      assert.match(answer.headers.get('allow'), /POST/);
    }
  });
  test('where publishing is not allowed: 401 or 403 without a right, 200 for the service key', async () => {
    assert.ok([401, 403].includes((await publish({ channel: 'service:x', content: 1 })).status));
    const member = await publish({ channel: 'service:x', content: 1 }, { headers: { authorization: `Bearer ${server.mint({ sub: 'u' })}` } });
    assert.deepEqual([member.status, member.body.code, member.body.message], [403, 4403, 'Access denied']);
    assert.equal((await publish({ channel: 'service:x', content: 1 }, { headers: { apikey: server.serviceKey } })).status, 200);
  });
});

describe('JSON that others have stumbled over passes unchanged', () => {
  const texts = ['{"__proto__":1}', '{"constructor":{"prototype":{"x":1}}}', '{"a":1,"a":2}', '1e400', '-0', '-0.0', '1E+2', '"\\u0000"', '"\\ud83d\\ude00"',
    '{"toString":"x"}', '{"":""}', '9007199254740993', '0.1e-7', '"\\u2028\\u2029"', '"</script><script>"', `"${'é'.repeat(1000)}"`, '[[[[[[[[]]]]]]]]', '"\\/\\b\\f"'];
  for (const content of texts) {
    test(content.slice(0, 40), async () => {
      const channel = fresh();
      const c = await NativeClient.open(server.ws());
      await c.subscribe(channel);
      const raw = new Promise((resolve) => c.ws.on('message', (d) => resolve(d.toString())));
      assert.equal((await post(`{"channel":"${channel}","content":${content}}`)).status, 200);
      assert.ok((await raw).includes(`"content":${content}`));
      const answer = await fetch(`${server.url}/api/channels/${channel}`);
      assert.ok((await answer.text()).includes(`"content":${content}`));
      await c.close();
    });
  }
  test('names that are words of languages are names', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '...', '../x', '%2e%2e', 'a b', '*', '?', 'ünï', '😀', 'a/b/c', "'; drop table x--", '<b>', '"', '\\']) {
      const c = await NativeClient.open(server.ws());
      await c.subscribe(name);
      assert.equal((await publish({ channel: name, event: name, content: name })).status, 200, name);
      const m = await c.type('message');
      assert.deepEqual([m.channel, m.event, m.content], [name, name, name]);
      const listed = await server.channel(name);
      assert.equal(listed.channel, name);
      await c.close();
    }
  });
});

describe('GET /api/channels/{name}', () => {
  test('one that nobody knows is empty', async () => {
    const answer = await server.channel('never');
    assert.deepEqual([answer.offset, answer.subscribers, answer.presence, answer.messages], [0, 0, [], []]);
  });
  test('asking makes none; publishing makes as many as there may be, then it is said', async (t) => {
    const small = await serve(t, { args: ['--channels.max=50'] });
    for (let i = 0; i < 200; i++) assert.equal((await small.channel(`never-${i}`)).offset, 0);
    let refused;
    for (let i = 0; i < 200 && !refused; i++) {
      const answer = await small.publish({ channel: `new-${i}`, content: 1 });
      if (answer.status !== 200) refused = answer;
    }
    assert.deepEqual([refused?.status, refused?.code, refused?.retryable], [429, 4428, true]);
    assert.equal((await small.publish({ channel: 'new-0', content: 2 })).offset, 2, 'those that are there go on');
  });
  test('bad names are errors', async () => {
    for (const [path, status] of [['', 404], ['%00', 400], ['%ff', 400], ['%zz', 400], ['a%0ab', 400], ['x'.repeat(256), 400]]) {
      const answer = await fetch(`${server.url}/api/channels/${path}`);
      assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}, about ${status}`);
    }
  });
  test('limits that are none are the default', async () => {
    for (const query of ['?limit=-1', '?limit=abc', '?limit=99999999999999999999', '?before=-5', '?after=x']) {
      const answer = await fetch(`${server.url}/api/channels/main${query}`);
      assert.ok([200, 400].includes(answer.status), query);
      await answer.text();
    }
  });
});

test('nothing is left of all that', () => server.settled());
