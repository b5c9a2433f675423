// SPDX-License-Identifier: Apache-2.0
// Long poll on /api/poll: the guide's loop, which sends no cursor, with a cookie jar and without,
// and loops that send one; what falls between two polls; batch, frames, restart.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { RawSocket } from './lib/rawsocket.mjs';
import { serve, serveAll, sleep } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

const server = serveAll({ before, after }, {
  config: {
    channels: {
      rules: [{ match: 'secret:*', allow: { subscribe: 'none' } },
        { match: '*', allow: { subscribe: '*', publish: '*', presence: '*', track: '*', history: '*' } }],
    },
    poll: { timeout_max: '10s' },
  },
});
let count = 0;
const fresh = () => `poll-${++count}`;
const say = (channel, content, more = {}) => server.publish({ channel, content, ...more });

// A client with connections of its own: agent keepAlive or not, cookies or not.
class Poller {
  constructor({ keepAlive = true, cookies = false, name = `poller-${Math.random()}`, port = server.port } = {}) {
    Object.assign(this, { cookies, name, port, jar: '' });
    this.agent = new http.Agent({ keepAlive, maxSockets: 1 });
  }

  get(query, headers = {}) {
    const all = { 'user-agent': this.name, ...headers };
    if (this.cookies && this.jar) all.cookie = this.jar;
    const asking = new Promise((resolve, reject) => {
      const req = http.get({ port: this.port, host: '127.0.0.1', path: `/api/poll${query}`, agent: this.agent, headers: all }, (res) => {
        const parts = [];
        res.on('data', (d) => parts.push(d));
        res.on('error', reject);
        res.on('end', () => {
          const set = res.headers['set-cookie']?.[0];
          if (this.cookies && set) this.jar = set.split(';')[0];
          resolve({ status: res.statusCode, headers: res.headers, text: Buffer.concat(parts).toString() });
        });
      });
      req.on('error', reject);
      this.last = req;
    });
    return within(asking, `an answer to ${query}`, 30000);
  }

  // The next poll's object; anything but 200 with JSON fails.
  async poll(query, headers) {
    const answer = await this.get(query, headers);
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers['content-type'], /^application\/json/);
    return JSON.parse(answer.text);
  }

  close() {
    this.agent.destroy();
  }
}

const parked = () => until(async () => (await server.metric('tidewire_connections{transport="poll"}')) > 0, 'a parked poll');

describe('one poll', () => {
  test('waits for a message and is answered at once', async () => {
    const p = new Poller(), channel = fresh();
    const answer = p.poll(`?channel=${channel}`);
    await parked();
    const { id, epoch } = await say(channel, { text: 'hi' }, { event: 'chat', key: 'k' });
    const m = await answer;
    assert.deepEqual([m.type, m.channel, m.event, m.content, m.offset, m.id, m.key, m.cursor],
      ['message', channel, 'chat', { text: 'hi' }, 1, id, 'k', `${epoch}-1`]);
    p.close();
  });
  test('times out with 200 and JSON, and a cursor', async () => {
    const p = new Poller();
    const m = await p.poll(`?channel=${fresh()}&timeout=50`);
    assert.equal(m.type, 'timeout');
    assert.ok(m.cursor && Math.abs(m.timestamp - Date.now()) < 60000);
    p.close();
  });
  test('timeout=0 answers what there is', async () => {
    const p = new Poller();
    for (let i = 0; i < 20; i++) {
      const m = await p.poll(`?channel=${fresh()}&timeout=0`);
      assert.equal(m.type, 'timeout');
      assert.match(m.cursor, /^[a-z0-9]+-0$/, 'never before it knows where the channel stands');
    }
    p.close();
  });
  test('is not stored by caches, names its cookie carefully', async () => {
    const p = new Poller();
    const { headers } = await p.get(`?channel=${fresh()}&timeout=0`);
    assert.match(headers['cache-control'], /no-store/);
    if (headers['set-cookie']) assert.match(headers['set-cookie'][0], /HttpOnly; SameSite=Lax/);
    p.close();
  });
  test('history: the newest n, one by one', async () => {
    const p = new Poller(), channel = fresh();
    for (let n = 1; n <= 5; n++) await say(channel, n);
    let m = await p.poll(`?channel=${channel}&history=2`);
    assert.equal(m.content, 4);
    m = await p.poll(`?channel=${channel}&cursor=${m.cursor}`);
    assert.equal(m.content, 5);
    p.close();
  });
  test('an empty cursor is a cursor: what another tab of the browser has read is nothing to it', async () => {
    const p = new Poller({ cookies: true }), channel = fresh();
    await say(channel, 'old');
    assert.equal((await p.poll(`?channel=${channel}&history=1`)).content, 'old');
    assert.match(p.jar, /^tw_poll/);
    const { text, headers } = await p.get(`?channel=${channel}&history=1&cursor=`);
    assert.equal(JSON.parse(text).content, 'old');
    assert.equal(headers['set-cookie'], undefined);
    p.close();
  });
  test('without channel it is the default channel', async () => {
    const p = new Poller();
    const answer = p.poll('');
    await parked();
    await server.publish({ content: 'main' });
    assert.equal((await answer).channel, 'main');
    p.close();
  });
  test('refusals are errors in our form', async () => {
    const p = new Poller();
    for (const [query, status] of [['?channel=secret:x', 403], ['?cursor=nonsense', 400], ['?channel=', 400], ['?channel=a%0ab', 400],
      [`?channel=${'x'.repeat(256)}`, 400], ['?channel=%ff', 400], ['?channel=%00', 400], ['?channel=a&channel=%zz', 400], ['?cursor=%0', 400]]) {
      const answer = await p.get(`${query}&timeout=0`);
      assert.equal(answer.status, status, `${query}: ${answer.text}`);
      assert.ok(JSON.parse(answer.text).code >= 4400);
    }
    p.close();
  });
  test('who hangs up while waiting leaves nothing', async () => {
    const p = new Poller(), channel = fresh();
    const asking = p.poll(`?channel=${channel}`).catch(() => 'gone');
    await parked();
    p.last.destroy();
    await asking;
    await server.settled();
    p.close();
  });
});

// What a loop gets while messages are published in bursts with pauses, some between two polls.
async function loops(poller, query, total, { onAnswer = (m) => m, pause = 0 } = {}) {
  const channel = fresh();
  const got = [];
  const cursorOf = query.includes('CURSOR');
  let cursor = '';
  const first = await poller.poll(`?channel=${channel}&timeout=0${query.replace('CURSOR', '')}`);
  cursor = first.cursor;
  const publishing = (async () => {
    for (let n = 1; n <= total; n++) {
      await say(channel, n);
      if (n % 7 === 0) await sleep(15);
    }
  })();
  while (got.length < total) {
    const m = await poller.poll(`?channel=${channel}${cursorOf ? query.replace('CURSOR', cursor) : query}`);
    cursor = m.cursor;
    for (const one of m.messages ?? [m]) {
      assert.ok(['message', 'timeout'].includes(one.type), JSON.stringify(one));
      if (one.type === 'message') got.push(one.content);
    }
    onAnswer(m);
    if (pause) await sleep(pause);
  }
  await publishing;
  assert.deepEqual(got, Array.from({ length: total }, (_, i) => i + 1));
  poller.close();
}

describe('a loop gets each message once, in order', () => {
  test('with a cursor', () => loops(new Poller(), '&cursor=CURSOR', 150));
  test('with a cursor, a connection each', () => loops(new Poller({ keepAlive: false }), '&cursor=CURSOR', 100));
  test('with a cursor and batch', () => loops(new Poller(), '&batch=1&cursor=CURSOR', 300));
  test('with the cookie (a browser)', () => loops(new Poller({ cookies: true }), '', 150));
  test('with the cookie, a connection each', () => loops(new Poller({ cookies: true, keepAlive: false }), '', 100));
  test('with the cookie and batch', () => loops(new Poller({ cookies: true }), '&batch=1', 300));
  test('with nothing but its connection (the guide\'s loop in Node)', () => loops(new Poller(), '', 150));
  test('with nothing, and slow between two polls', () => loops(new Poller(), '', 40, { pause: 5 }));
  test('two loops on one machine do not take each other\'s', async () => {
    const name = 'the same agent';
    await Promise.all([loops(new Poller({ name }), '', 60), loops(new Poller({ name }), '', 60)]);
  });
  test('by fetch', async () => {
    const channel = fresh();
    const got = [];
    await fetch(`${server.url}/api/poll?channel=${channel}&timeout=0`).then((r) => r.json());
    const publishing = (async () => {
      for (let n = 1; n <= 50; n++) await say(channel, n);
    })();
    let cursor = `${(await server.channel(channel)).epoch}-0`;
    while (got.length < 50) {
      const m = await within(fetch(`${server.url}/api/poll?channel=${channel}&cursor=${cursor}`).then((r) => r.json()), 'a poll');
      cursor = m.cursor;
      if (m.type === 'message') got.push(m.content);
    }
    await publishing;
    assert.deepEqual(got, Array.from({ length: 50 }, (_, i) => i + 1));
  });
});

describe('a lost answer is not lost', () => {
  test('with a cursor: asked again, the same comes again', async () => {
    const p = new Poller(), channel = fresh();
    const { epoch } = await say(channel, 1);
    await say(channel, 2);
    for (let i = 0; i < 3; i++) assert.equal((await p.poll(`?channel=${channel}&cursor=${epoch}-0`)).content, 1);
    p.close();
  });
  test('with a cookie that was not kept: the same again', async () => {
    const p = new Poller({ cookies: true }), channel = fresh();
    await p.poll(`?channel=${channel}&timeout=0`);
    await say(channel, 1);
    const { jar } = p;
    assert.equal((await p.poll(`?channel=${channel}`)).content, 1);
    p.jar = jar; // the answer was lost on its way
    assert.equal((await p.poll(`?channel=${channel}`)).content, 1);
    await say(channel, 2);
    assert.equal((await p.poll(`?channel=${channel}`)).content, 2);
    p.close();
  });
  test('with nothing: a new connection of the same client goes on before the last answer', async () => {
    const p = new Poller({ name: 'lonely' }), channel = fresh();
    await p.poll(`?channel=${channel}&timeout=0`);
    await say(channel, 1);
    assert.equal((await p.poll(`?channel=${channel}`)).content, 1);
    await say(channel, 2);
    p.close();
    await sleep(100); // nobody else's connection would be taken for it sooner
    const q = new Poller({ name: 'lonely' });
    const again = await q.poll(`?channel=${channel}`);
    assert.ok([1, 2].includes(again.content), JSON.stringify(again)); // a repeat shows in its id, a loss would not
    if (again.content === 1) assert.equal((await q.poll(`?channel=${channel}`)).content, 2);
    q.close();
  });
});

describe('several channels', () => {
  test('one cursor for all, also by cookie', async () => {
    for (const p of [new Poller(), new Poller({ cookies: true })]) {
      const [a, b] = [fresh(), fresh()];
      let m = await p.poll(`?channel=${a}&channel=${b}&timeout=0`);
      await say(a, 'a1');
      await say(b, 'b1');
      await say(a, 'a2');
      const got = [];
      while (got.length < 3) {
        m = await p.poll(`?channel=${a}&channel=${b}${p.cookies ? '' : `&cursor=${m.cursor}`}`);
        got.push(m.content);
      }
      assert.deepEqual(got.filter((c) => c[0] === 'a'), ['a1', 'a2']);
      assert.deepEqual(got.filter((c) => c[0] === 'b'), ['b1']);
      p.close();
    }
  });
  test('an answer for one names the place of all', async () => {
    const p = new Poller();
    for (let i = 0; i < 20; i++) {
      const names = [fresh(), fresh(), fresh()];
      await say(names[i % 3], 1);
      const { cursor } = await p.poll(`?${names.map((c) => `channel=${c}`).join('&')}&history=1`);
      assert.match(cursor, /^[a-z0-9]+-\d~[a-z0-9]+-\d~[a-z0-9]+-\d$/);
    }
    p.close();
  });
  test('loops on different channels keep different cookies', async () => {
    const jar = {};
    const [a, b] = [fresh(), fresh()];
    const names = [];
    for (const channel of [a, b]) {
      const { headers } = await new Poller().get(`?channel=${channel}&timeout=0`);
      names.push(headers['set-cookie']?.[0].split('=')[0]);
      jar[channel] = headers['set-cookie']?.[0].split(';')[0];
    }
    assert.notEqual(names[0], names[1]);
    await say(a, 1);
    await say(b, 2);
    const p = new Poller();
    for (const [channel, want] of [[a, 1], [b, 2]]) {
      assert.equal((await p.poll(`?channel=${channel}`, { cookie: `${jar[a]}; ${jar[b]}` })).content, want);
    }
    p.close();
  });
});

describe('gap, batch, frames', () => {
  test('what is gone is a gap, then the rest', async (t) => {
    const small = await serve(t, { args: ['--history.count=3'] });
    const p = new Poller({ port: small.port });
    let epoch;
    for (let n = 1; n <= 10; n++) ({ epoch } = await small.publish({ channel: 'a', content: n }));
    let m = await p.poll(`?channel=a&cursor=${epoch}-2`);
    assert.deepEqual([m.type, m.channel, m.from, m.to], ['gap', 'a', 3, 7]);
    for (const n of [8, 9, 10]) {
      m = await p.poll(`?channel=a&cursor=${m.cursor}`);
      assert.equal(m.content, n);
    }
    const all = await p.poll(`?channel=a&batch=1&cursor=${epoch}-2`);
    assert.deepEqual(all.messages.map((x) => x.type), ['gap', 'message', 'message', 'message']);
    p.close();
  });
  test('a cursor of another epoch: a gap, never silence', async () => {
    const p = new Poller(), channel = fresh();
    await say(channel, 1);
    const m = await p.poll(`?channel=${channel}&cursor=otherepoch00-7&timeout=200`);
    assert.equal(m.type, 'gap', JSON.stringify(m));
    p.close();
  });
  test('batch takes all that is there, in bounded pieces', async () => {
    const p = new Poller(), channel = fresh();
    const { epoch } = await say(channel, 0);
    for (let i = 0; i < 3; i++) await server.publish(Array.from({ length: 80 }, (_, k) => ({ channel, content: 1 + i * 80 + k })));
    let cursor = `${epoch}-0`;
    const got = [];
    while (got.length < 241) {
      const m = await p.poll(`?channel=${channel}&batch=1&cursor=${cursor}`);
      got.push(...m.messages.map((x) => x.content));
      cursor = m.cursor;
    }
    assert.deepEqual(got, Array.from({ length: 241 }, (_, i) => i));
    p.close();
  });
  test('frames=1: subscribed and a cursor at once, then messages', async () => {
    const p = new Poller(), channel = fresh();
    const { epoch } = await say(channel, 1);
    const hello = await p.poll(`?frames=1&batch=1&channel=${channel}`);
    assert.deepEqual(hello.messages.map((m) => [m.type, m.channel, m.offset]), [['subscribed', channel, 1]]);
    assert.equal(hello.cursor, `${epoch}-1`);
    const next = p.poll(`?frames=1&batch=1&channel=${channel}&cursor=${hello.cursor}`);
    await parked();
    await say(channel, 2);
    assert.deepEqual((await next).messages.map((m) => [m.type, m.content]), [['message', 2]]);
    p.close();
  });
  test('binary content as base64', async () => {
    const p = new Poller(), channel = fresh();
    await p.poll(`?channel=${channel}&timeout=0`);
    await fetch(`${server.url}/api/publish?channel=${channel}&event=blob`, {
      method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: Buffer.from([1, 2, 3]),
    });
    const m = await p.poll(`?channel=${channel}`);
    assert.deepEqual([m.content, m.encoding], ['AQID', 'base64']);
    p.close();
  });
});

test('a restart while it waits: the loop goes on, what is gone is said', async (t) => {
  const s = await serve(t);
  const p = new Poller({ port: s.port });
  let { epoch } = await s.publish({ channel: 'a', content: 1 });
  let cursor = `${epoch}-1`;
  const waiting = p.poll(`?channel=a&cursor=${cursor}`).catch((error) => error);
  await until(async () => (await s.metric('tidewire_connections{transport="poll"}')) > 0, 'a parked poll');
  await s.kill();
  assert.ok(await waiting instanceof Error);
  await s.restart();
  ({ epoch } = await s.publish({ channel: 'a', content: 2 }));
  const got = [];
  while (!got.includes(2)) {
    const m = await p.poll(`?channel=a&cursor=${cursor}&timeout=500`);
    cursor = m.cursor;
    got.push(m.type === 'message' ? m.content : m.type);
  }
  assert.deepEqual(got, ['gap', 2]);
  p.close();
});

describe('curl', () => {
  const curl = (...args) => new Promise((resolve, reject) => {
    execFile('curl', ['-sS', '--max-time', '20', ...args], (error, out) => (error ? reject(error) : resolve(out)));
  });
  test('polls with a cookie jar', async (t) => {
    const channel = fresh();
    const jar = `${server.data}/cookies.txt`;
    const poll = (ms) => curl('-b', jar, '-c', jar, `${server.url}/api/poll?channel=${channel}&timeout=${ms}`).then(JSON.parse);
    await poll(0);
    for (const n of [1, 2, 3]) await say(channel, n);
    for (const n of [1, 2, 3]) assert.equal((await poll(5000)).content, n);
    t.diagnostic('curl keeps its place');
  });
  test('publishes, reads a channel, listens to a stream', async () => {
    const channel = fresh();
    const out = JSON.parse(await curl('-d', `{"channel":"${channel}","content":{"by":"curl"}}`, '-H', 'content-type: application/json',
      `${server.url}/api/publish`));
    assert.equal(out.offset, 1);
    const stream = await curl('-N', '--max-time', '1', `${server.url}/api/events?channel=${channel}&history=1`).catch((e) => e.stdout ?? '');
    assert.ok(typeof stream === 'string');
    const listed = JSON.parse(await curl(`${server.url}/api/channels/${channel}`));
    assert.deepEqual(listed.messages.map((m) => m.content), [{ by: 'curl' }]);
  });
});

test('a request pipelined behind a waiting poll waits too', async () => {
  const s = await RawSocket.connect(server.port);
  await s.write(`GET /api/poll?channel=${fresh()}&timeout=300 HTTP/1.1\r\nHost: x\r\n\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.equal(JSON.parse((await s.readResponse()).body).type, 'timeout');
  assert.equal(JSON.parse((await s.readResponse()).body).status, 'live');
  s.destroy();
});

test('all is given back', () => server.settled());
