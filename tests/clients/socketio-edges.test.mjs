// SPDX-License-Identifier: Apache-2.0
// Engine.IO and Socket.IO byte by byte: what the reference does in edge cases, row by row, and
// where we differ on purpose (docs/protocols/socketio.md, "Differences").
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { BIN, serve, serveAll, sleep, until, within } from './lib/server.mjs';
import { Queue } from './lib/wait.mjs';

const RS = '\x1e';
const echo = path.join(path.dirname(fs.realpathSync(BIN)), 'examples/echo');
const config = {
  socketio: {
    ping_interval_ms: '30s', upgrade_timeout_ms: '1s', cookie: 'io', max_http_buffer_size: 20000,
  },
  http: { origins: ['https://app.example.com', 'http://*.test'] },
};
const server = serveAll({ before, after }, { bin: echo, config });
const agent = new http.Agent({ keepAlive: true, maxSockets: 100 });
after(() => agent.destroy());

// One request; { status, headers, body } or an abort function.
function ask(query, { method = 'GET', body, headers = {}, s = server, base = '/socket.io/' } = {}) {
  const request = http.request({ host: '127.0.0.1', port: s.port, path: `${base}?${query}`, method, headers, agent });
  const answer = new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (res) => {
      const chunks = [];
      res.on('data', (d) => chunks.push(d));
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks).toString() }));
    });
  });
  const result = within(answer, `${method} ${query}`);
  result.catch(() => {}); // an aborted one is nobody's
  request.end(body);
  return Object.assign(result, { abort: () => request.destroy() });
}

class Poller {
  static async open(s = server, join = true) {
    const { body } = await ask('EIO=4&transport=polling', { s });
    const p = new Poller();
    p.s = s;
    p.sid = JSON.parse(body.split(RS)[0].slice(1)).sid;
    p.q = `EIO=4&transport=polling&sid=${p.sid}`;
    if (join) {
      assert.equal((await p.post('40')).body, 'ok');
      assert.match(await p.get(), /^40\{"sid":"[\w-]{20}","pid":"[\w-]+"\}/);
    }
    return p;
  }

  ask(options) {
    return ask(this.q, { s: this.s, ...options });
  }

  async get() {
    const { status, body } = await this.ask();
    return status === 200 ? body : status;
  }

  post(body, headers = { 'content-type': 'text/plain' }) {
    return this.ask({ method: 'POST', body, headers });
  }

  async isGone() {
    return (await this.ask()).body === '{"code":1,"message":"Session ID unknown"}';
  }
}

class Ws {
  static async open(query = 'EIO=4&transport=websocket', { s = server, headers, protocols, base = '/socket.io/' } = {}) {
    const w = new Ws();
    w.s = s;
    w.queue = new Queue();
    w.ws = new WebSocket(`ws://127.0.0.1:${s.port}${base}?${query}`, protocols, { headers });
    w.closed = new Promise((resolve) => { w.ws.on('close', (code) => { resolve(code); w.queue.finish(new Error(`closed ${code}`)); }); });
    w.ws.on('message', (data, binary) => w.queue.push(binary ? data : data.toString()));
    w.ws.on('error', () => {});
    await within(new Promise((resolve, reject) => {
      w.ws.on('open', resolve);
      w.ws.on('unexpected-response', (_, res) => {
        let body = '';
        res.on('data', (d) => { body += d; });
        res.on('end', () => reject(Object.assign(new Error('refused'), { status: res.statusCode, body, headers: res.headers })));
      });
    }), 'the WebSocket');
    return w;
  }

  static async joined(options) {
    const w = await Ws.open(undefined, options);
    assert.match(await w.next(), /^0\{/);
    w.send('40');
    assert.match(await w.next(), /^40\{/);
    assert.match(await w.next(), /^42\["auth","welcome","~1"\]$/);
    return w;
  }

  send(...all) {
    all.forEach((one) => this.ws.send(one));
  }

  next(ms) {
    return this.queue.next('a message', ms);
  }

  async isAlive() {
    this.send('429999["who"]');
    const answer = await this.queue.find((m) => typeof m === 'string' && m.startsWith('439999'));
    return answer.includes('"id"');
  }

  // The code with which the server closes it.
  async gone() {
    return within(this.closed, 'the close').catch((error) => {
      throw new Error(`${error.message}\nheard: ${this.queue.takeAll().join(' ')}\n${this.s.log().slice(-4000)}`);
    });
  }

  close() {
    this.ws.terminate();
  }
}

describe('HTTP', () => {
  test('the handshake: keys in order, headers, cookie', async () => {
    const a = await ask('EIO=4&transport=polling');
    assert.equal(a.status, 200);
    assert.match(a.body, /^0\{"sid":"[\w-]{20}","upgrades":\["websocket"\],"pingInterval":30000,"pingTimeout":20000,"maxPayload":20000\}$/);
    assert.equal(a.headers['content-type'], 'text/plain; charset=UTF-8');
    assert.equal(a.headers['cache-control'], 'no-store');
    const { sid } = JSON.parse(a.body.slice(1));
    assert.deepEqual(a.headers['set-cookie'], [`io=${sid}; Path=/; HttpOnly; SameSite=Lax`]);
    assert.equal((await ask('EIO=4&transport=polling', { base: '/socket.io/extra' })).status, 200);
    assert.equal((await ask('EIO=4&transport=polling', { base: '/socket.iox/' })).status, 404);
    assert.equal((await ask('EIO=4&transport=foo&transport=polling')).status, 200);
    assert.equal((await ask('EIO=4&transport=polling&sid=')).status, 200);
  });

  const errors = [
    ['EIO=4', 0, 'Transport unknown'],
    ['EIO=4&transport=foo', 0, 'Transport unknown'],
    ['EIO=4&transport=__proto__', 0, 'Transport unknown'],
    ['EIO=4&transport=webtransport', 0, 'Transport unknown'],
    ['transport=polling', 5, 'Unsupported protocol version'],
    ['EIO=3&transport=polling', 5, 'Unsupported protocol version'],
    ['EIO=abc&transport=polling', 5, 'Unsupported protocol version'],
    ['EIO=4&transport=polling&sid=nope', 1, 'Session ID unknown'],
    ['EIO=4&transport=websocket', 3, 'Bad request'],
  ];
  for (const [query, code, message] of errors)
    test(`${query}: code ${code}`, async () => {
      const a = await ask(query);
      assert.equal(a.status, 400);
      assert.deepEqual(JSON.parse(a.body), { code, message });
      assert.match(a.headers['content-type'], /^application\/json/);
    });

  test('a path without its slash is the same (differs); a foreign one is not ours', async () => {
    assert.equal((await ask('EIO=4&transport=polling', { base: '/socket.io' })).status, 200);
    const w = await Ws.open(undefined, { base: '/socket.io' });
    assert.match(await w.next(), /^0\{/);
    w.close();
    await assert.rejects(Ws.open(undefined, { base: '/socket.iox/' }), (e) => e.status === 404);
  });

  test('a sid that nobody has: also for a post', async () => {
    const a = await ask('EIO=4&transport=polling&sid=nope', { method: 'POST', body: '40' });
    assert.deepEqual([a.status, JSON.parse(a.body).code], [400, 1]);
  });

  test('methods without a sid: code 2; with one the connection lives', async () => {
    assert.equal((await ask('EIO=4&transport=polling', { method: 'HEAD' })).status, 400);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const a = await ask('EIO=4&transport=polling', { method });
      assert.deepEqual([a.status, JSON.parse(a.body).code], [400, 2], method);
    }
    const p = await Poller.open();
    for (const method of ['PUT', 'DELETE', 'HEAD']) assert.equal((await p.ask({ method })).status, 400);
    assert.equal((await p.post('3')).body, 'ok');
  });

  test('a sid with another transport or version: code 3', async () => {
    const p = await Poller.open();
    assert.equal(JSON.parse((await ask(`EIO=4&transport=websocket&sid=${p.sid}`)).body).code, 3);
    assert.equal(JSON.parse((await ask(`EIO=3&transport=polling&sid=${p.sid}`)).body).code, 3);
  });

  test('posts: the answer, types of content, chunks', async () => {
    const p = await Poller.open();
    const a = await p.post('421["who"]');
    assert.deepEqual([a.status, a.body, a.headers['content-type'], a.headers['cache-control']],
      [200, 'ok', 'text/html', 'no-store']);
    assert.match(await p.get(), /431\[\{"id"/);
    assert.equal((await p.post('3', { 'content-type': 'application/x-www-form-urlencoded' })).body, 'ok');
    assert.equal((await p.post('3', { 'transfer-encoding': 'chunked' })).body, 'ok');
    for (const ignored of ['0', '5', '6', '3']) assert.equal((await p.post(ignored)).body, 'ok');
    assert.equal((await p.post('3', { 'content-type': 'application/octet-stream' })).status, 400);
    assert.ok(await p.isGone());
  });

  for (const [what, body] of [['nothing', ''], ['no packet', 'abc'], ['a client ping', '2'],
    ['a separator at the end', `3${RS}`]])
    test(`a post with ${what} is answered and ends the connection`, async () => {
      const p = await Poller.open();
      assert.equal((await p.post(body)).body, 'ok');
      assert.equal(await p.get(), `6${RS}1`);
      assert.ok(await p.isGone());
    });

  test('packets before a bad one are handled', async () => {
    const p = await Poller.open();
    await p.post(`427["who"]${RS}xyz${RS}428["who"]`);
    const got = await p.get();
    assert.match(got, /437\[/);
    assert.doesNotMatch(got, /438\[/);
    assert.equal(await p.get(), `6${RS}1`);
  });

  test('two polls at once: the first gets 1, the second 400, the connection is gone', async () => {
    const p = await Poller.open();
    const first = p.get();
    await p.post('3');
    assert.equal((await p.ask()).status, 400);
    assert.equal(await first, '1');
    assert.ok(await p.isGone());
  });

  test('goodbye by post: a poll that waits gets a noop', async () => {
    const p = await Poller.open();
    const first = p.get();
    await p.post('3');
    assert.equal((await p.post(`1${RS}421["who"]`)).body, 'ok');
    assert.equal(await first, '6');
    assert.ok(await p.isGone());
  });

  test('a poll that its client gave up ends the connection', async () => {
    const p = await Poller.open();
    const first = p.ask();
    await p.post('3');
    first.abort();
    await until(() => p.ask({ method: 'POST', body: '3' }).then((a) => a.status === 400), 'the end');
  });

  test('a body over the limit: 413, the connection lives; at the limit it is taken', async () => {
    const p = await Poller.open();
    assert.equal((await p.post(`4${'x'.repeat(20000)}`)).status, 413);
    const text = `421["message-with-ack","${'x'.repeat(20000 - 26)}"]`;
    assert.equal(text.length, 20000);
    assert.equal((await p.post(text)).body, 'ok');
    assert.match(await p.get(), /^431\["xxx/);
  });

  test('an attachment may come in a later post; base64 is read leniently', async () => {
    const p = await Poller.open();
    await p.post('451-["message",{"_placeholder":true,"num":0}]');
    await p.post('bAQ!ID');
    assert.equal(await p.get(), `451-["message-back",{"_placeholder":true,"num":0},"~2"]${RS}bAQID`);
  });

  test('after the namespace is left a packet for it is a violation: 6 and 1 on the next poll', async () => {
    const p = await Poller.open();
    assert.equal((await p.post(`41${RS}42["who"]`)).body, 'ok');
    assert.equal(await p.get(), `6${RS}1`);
    assert.ok(await p.isGone());
  });

  test('disconnect(true): 41, then 6 and 1', async () => {
    const p = await Poller.open();
    await p.post('42["bye",true]');
    assert.equal(await p.get(), '41');
    assert.equal(await p.get(), `6${RS}1`);
  });

  test('a second post while the first is incomplete: both are read (differs)', async () => {
    const p = await Poller.open();
    const x = net.connect(server.port, '127.0.0.1');
    const answered = new Promise((resolve) => { x.once('data', (d) => resolve(d.toString())); });
    x.write(`POST /socket.io/?${p.q} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n421`);
    assert.equal((await p.post('422["who"]')).body, 'ok');
    assert.match(await p.get(), /^432\[/);
    x.write('["who"]'.slice(0, 6));
    assert.match(await within(answered, 'the answer'), /200 OK/);
    x.destroy();
    assert.equal(await p.get(), `6${RS}1`); // 421["who" is no packet
  });

  test('HTTP/1.0, and an Origin that is no text', async () => {
    for (const [version, more, status] of [['1.0', '', 200], ['1.1', 'Origin: http://a\x01b\r\n', 400]]) {
      const x = net.connect(server.port, '127.0.0.1');
      let text = '';
      x.on('data', (d) => { text += d; });
      const ended = new Promise((resolve) => { x.once('close', resolve); });
      x.write(`GET /socket.io/?EIO=4&transport=polling HTTP/${version}\r\nHost: x\r\n${more}\r\n`);
      await within(ended, `the end of HTTP/${version}`);
      assert.match(text, new RegExp(`^HTTP/1.1 ${status} `));
    }
  });

  test('a program refuses handshakes, in its words or in ours', async () => {
    for (const [wish, words] of [['words', 'custom reason'], ['plain', 'Forbidden']]) {
      const headers = { 'x-refuse': wish };
      const a = await ask('EIO=4&transport=polling', { headers });
      assert.deepEqual([a.status, JSON.parse(a.body)], [403, { code: 4, message: words }]);
      await assert.rejects(Ws.open(undefined, { headers }), (e) => e.status === 400 && e.body === words);
    }
  });

  test('JSONP still stands in EIO 4', async () => {
    const a = await ask('EIO=4&transport=polling&j=0');
    assert.match(a.body, /^___eio\[0\]\("0\{\\"sid\\":/);
    const sid = a.body.match(/\\"sid\\":\\"([\w-]+)\\"/)[1];
    const q = `EIO=4&transport=polling&j=1&sid=${sid}`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    await ask(q, { method: 'POST', body: `d=${encodeURIComponent('40')}`, headers });
    assert.match((await ask(q)).body, /^___eio\[1\]\("40\{/);
  });

  test('compression from 1 KiB on, for those who take gzip', async () => {
    const p = await Poller.open();
    const big = 'y'.repeat(3000);
    await p.post(`421["message-with-ack","${big}"]`);
    const zipped = await p.ask({ headers: { 'accept-encoding': 'gzip, deflate, br' } });
    assert.equal(zipped.headers['content-encoding'], 'gzip');
    await p.post(`422["message-with-ack","${big}"]`);
    const plain = await p.ask({ headers: { 'accept-encoding': 'br' } });
    assert.equal(plain.headers['content-encoding'], undefined);
    assert.match(plain.body, /^432\["yyy/);
  });

  test('old browsers get X-XSS-Protection', async () => {
    const a = await ask('EIO=4&transport=polling', { headers: { 'user-agent': 'x ;MSIE 9' } });
    assert.equal(a.headers['x-xss-protection'], '0');
  });

  test('CORS: a listed origin with credentials, also on errors; others are refused', async () => {
    const good = { origin: 'https://app.example.com' };
    for (const q of ['EIO=4&transport=polling', 'EIO=4&transport=foo']) {
      const a = await ask(q, { headers: good });
      assert.equal(a.headers['access-control-allow-origin'], good.origin);
      assert.equal(a.headers['access-control-allow-credentials'], 'true');
      assert.match(a.headers.vary, /Origin/);
    }
    const pattern = await ask('EIO=4&transport=polling', { headers: { origin: 'http://a.test' } });
    assert.equal(pattern.headers['access-control-allow-origin'], 'http://a.test');
    const preflight = await ask('EIO=4&transport=polling', {
      method: 'OPTIONS',
      headers: { ...good, 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-one' },
    });
    assert.equal(preflight.status, 204);
    assert.match(preflight.headers['access-control-allow-methods'], /POST/);
    assert.equal(preflight.headers['access-control-allow-headers'], 'x-one');
    const evil = await ask('EIO=4&transport=polling', { headers: { origin: 'https://evil.example' } });
    assert.equal(evil.status, 403);
    assert.deepEqual(JSON.parse(evil.body), { code: 4, message: 'Origin not allowed' });
    await assert.rejects(Ws.open(undefined, { headers: { origin: 'https://evil.example' } }),
      (e) => e.status === 400 && e.body === 'Origin not allowed');
  });
});

describe('WebSocket', () => {
  test('the handshake: no upgrades, the first subprotocol, no extension', async () => {
    const w = await Ws.open(undefined, { protocols: ['foo', 'bar'] });
    assert.match(await w.next(), /^0\{"sid":"[\w-]{20}","upgrades":\[\],"pingInterval"/);
    assert.equal(w.ws.protocol, 'foo');
    assert.equal(w.ws.extensions, '');
    w.close();
  });

  for (const [query, text] of [['EIO=4&transport=foo', 'Transport unknown'],
    ['EIO=4&transport=websocket&sid=nope', 'Session ID unknown'],
    ['EIO=3&transport=websocket', 'Unsupported protocol version'],
    ['EIO=4&transport=polling', 'Bad request']])
    test(`${query}: 400 ${text}`, async () => {
      await assert.rejects(Ws.open(query), (e) => e.status === 400 && e.body === text && /text\/html/.test(e.headers['content-type']));
    });

  for (const [what, lines, words] of [
    ['another version', 'Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version'],
    ['a bad key', 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x', 'Sec-WebSocket-Key']])
    test(`${what}: 400 that says so`, async () => {
      const x = net.connect(server.port, '127.0.0.1');
      let text = '';
      x.on('data', (d) => { text += d; });
      x.write('GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n'
        + `Connection: Upgrade\r\n${lines}\r\n\r\n`);
      await until(() => text.includes(words) && /\r\n\r\n./.test(text), `the answer: ${text}`);
      assert.match(text, /^HTTP\/1.1 400 /);
      x.destroy();
    });

  let bystander;
  const closes = [
    ['CONNECT twice', '40'],
    ['for a namespace that is not connected', '42/custom,["x"]'],
    ['DISCONNECT of such a one', '41/custom,'],
    ['auth that is no object', '40/custom,[1]'],
    ['auth that is text', '40/custom,"x"'],
    ['auth that is null', '40/custom,null'],
    ['auth that is broken', '40/custom,{bad'],
    ['DISCONNECT with a payload', '41["x"]'],
    ['CONNECT_ERROR', '44{"message":"x"}'],
    ...['connect', 'disconnect', 'connect_error', 'disconnecting', 'newListener', 'removeListener']
      .map((name) => [`the reserved name ${name}`, `42["${name}"]`]),
    ['no name', '42[]'],
    ['no array', '42{}'],
    ['null for a name', '42[null]'],
    ['an object for a name', '42[{"a":1}]'],
    ['an ack that is no array', '431{}'],
    ['an unknown type', '47["x"]'],
    ['an empty packet', '4'],
    ['letters', '4abc'],
    ['an unknown Engine.IO type', '8'],
    ['nothing', ''],
    ['a client ping', '2'],
    ['a late probe', '2probe'],
    ['bytes that nobody waits for', 'bAQI='],
    ['a frame of bytes that nobody waits for', Buffer.from([1, 2])],
    ['no attachments', '450-["x"]'],
    ['attachments without a number', '45-["x"]'],
    ['a binary event without', '451["x"]'],
    ['half an attachment', '451.5-["x"]'],
    ['eleven attachments', '4511-["x"]'],
    ['trailing garbage', '42["x"]x'],
    ['a namespace without its comma', '42/custom["echo"]'],
    ['a placeholder for what does not come', '451-["x",{"_placeholder":true,"num":5}]'],
    ['a placeholder that is text', '451-["x",{"_placeholder":true,"num":"0"}]'],
    ['exponents in a number (differs)', '451e0-["x"]'],
  ];
  for (const [what, packet] of closes)
    test(`${what}: closed, without a code`, async () => {
      const w = await Ws.joined();
      w.send(packet);
      assert.equal(await w.gone(), 1005);
      bystander ??= await Ws.joined();
      assert.ok(await bystander.isAlive(), 'it is closed alone');
    });
  after(() => bystander?.close());

  for (const packet of ['40random', '40[1]', '40"x"', '40null', '40{bad', '42["x"]', '41'])
    test(`${packet} for a first packet: closed`, async () => {
      const w = await Ws.open();
      await w.next();
      w.send(packet);
      assert.equal(await w.gone(), 1005);
    });

  test('left, and back again: a new id', async () => {
    const w = await Ws.open();
    await w.next();
    const ids = [];
    for (let i = 0; i < 2; i++) {
      w.send('40');
      ids.push(JSON.parse((await w.next()).slice(2)).sid);
      await w.next();
      w.send('41');
    }
    assert.notEqual(ids[0], ids[1]);
    w.close();
  });

  test('1 closes at once', async () => {
    const w = await Ws.joined();
    w.send('1');
    assert.equal(await w.gone(), 1005);
  });

  test('what is tolerated', async () => {
    const w = await Ws.joined();
    w.send('5', '6', '0{}', '3', '42', '421', '42[7]', '4399["x"]', '431', '42["error"]', '42["connection"]',
      '42["nobody-listens"]', '42/,["message",1]');
    assert.equal(await w.next(), '42["message-back",1,"~2"]');
    w.send('42 ["message-with-ack",1]');
    assert.equal(await w.next(), '430[1]');
    w.send('42007["message-with-ack",1]');
    assert.equal(await w.next(), '437[1]');
    w.send('42100000000000000000000["message-with-ack",1]');
    assert.equal(await w.next(), '43100000000000000000000[1]');
    w.send('42["message",1e3,{"a":1,"a":2}]  ');
    assert.equal(await w.next(), '42["message-back",1e3,{"a":1,"a":2},"~3"]');
    w.close();
  });

  test('bytes: frames or base64 in, frames out; a pong may stand between; too many end it', async () => {
    const w = await Ws.joined();
    w.send('451-["message",{"_placeholder":true,"num":0}]', '3', Buffer.from([1, 2, 3]));
    assert.equal(await w.next(), '451-["message-back",{"_placeholder":true,"num":0},"~2"]');
    assert.deepEqual(await w.next(), Buffer.from([1, 2, 3]));
    w.send('451-["message-with-ack",{"_placeholder":true,"num":0}]', 'bAQI=');
    await w.next();
    await w.next();
    w.send('451-["message",1]', Buffer.from([9]));
    assert.equal(await w.next(), '42["message-back",1,"~4"]');
    const twice = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}';
    w.send(`451-["message",${twice}]`, Buffer.from([8]));
    assert.equal(await w.next(), `452-["message-back",${twice.replace(/0\}$/, '1}')},"~5"]`);
    assert.deepEqual([await w.next(), await w.next()], [Buffer.from([8]), Buffer.from([8])]);
    w.send('4510-["message",1,1,1]', ...Array(10).fill(Buffer.from([1])));
    assert.equal(await w.next(), '42["message-back",1,1,1,"~6"]');
    w.send('451-["message",{"_placeholder":true,"num":0}]', Buffer.from([1]), Buffer.from([2]));
    assert.match(await w.next(), /^451-/);
    await w.next();
    assert.equal(await w.gone(), 1005);
  });

  test('a client answers with bytes', async () => {
    const w = await Ws.joined();
    w.send('42["ask"]');
    assert.match(await w.next(), /^420\["question",1,"2"\]$/);
    w.send('461-0["x",{"_placeholder":true,"num":0}]', Buffer.from([1]));
    assert.equal(await w.next(), '42["answered","ok",["x",{"_placeholder":true,"num":0}],0,"~2"]');
    w.send('42["ask"]');
    assert.match(await w.next(), /^421\["question"/);
    w.send('461-1[{"_placeholder":true,"num":0}]', Buffer.from([1, 2, 3]));
    assert.equal(await w.next(), '42["answered","ok",[{"_placeholder":true,"num":0}],3,"~3"]');
    w.close();
  });

  test('text while attachments are pending: closed', async () => {
    const w = await Ws.joined();
    w.send('451-["message",{"_placeholder":true,"num":0}]', '42["who"]');
    assert.equal(await w.gone(), 1005);
  });

  test('b64: bytes as text', async () => {
    const w = await Ws.open('EIO=4&transport=websocket&b64=1');
    await w.next();
    w.send('40');
    await w.next();
    await w.next();
    w.send('451-["message",{"_placeholder":true,"num":0}]', 'bAQI=');
    assert.match(await w.next(), /^451-/);
    assert.equal(await w.next(), 'bAQI=');
    w.close();
  });

  test('a message over the limit: 1009', async () => {
    const w = await Ws.joined();
    w.send(`4${'x'.repeat(20000)}`);
    assert.equal(await w.gone(), 1009);
  });

  test('namespaces: unknown ones are named in the refusal and harm nothing', async () => {
    const w = await Ws.joined();
    w.send('40/random');
    assert.equal(await w.next(), '44/random,{"message":"Invalid namespace"}');
    w.send('40/other?token=1,{"a":1}');
    assert.equal(await w.next(), '44/other?token=1,{"message":"Invalid namespace"}');
    w.send('40/dyn-101,');
    assert.match(await w.next(), /^40\/dyn-101,\{"sid"/);
    assert.match(await w.next(), /^42\/dyn-101,\["auth","welcome","~1"\]$/);
    w.send('40/auth,{}');
    assert.equal(await w.next(), '44/auth,{"message":"not authorized","data":{"code":"E1","n":2}}');
    w.send('40/auth,{"secret":"open sesame"}');
    assert.match(await w.next(), /^40\/auth,\{"sid"/);
    await w.next();
    w.send('41/dyn-101,');
    assert.ok(await w.isAlive());
    w.send('40/dyn-101,');
    assert.match(await w.next(), /^40\/dyn-101,\{"sid"/);
    w.close();
  });

  test('a second CONNECT, also while a middleware thinks about the first, breaks the rules (differs)', async () => {
    const w = await Ws.joined();
    w.send('40/slow,', '40/slow,');
    assert.equal(await w.gone(), 1005);
  });

  test('an event to a namespace that is not decided yet breaks the rules', async () => {
    const w = await Ws.joined();
    w.send('40/slow,', '42/slow,["who"]');
    assert.equal(await w.gone(), 1005);
  });

  test('so many namespaces on a connection, and no more', async () => {
    const w = await Ws.joined();
    for (let i = 0; i < 64; i++) w.send(`40/dyn-${i},`);
    const refused = await w.queue.find((m) => m.startsWith('44'));
    assert.equal(refused, '44/dyn-63,{"message":"Too many"}');
    assert.ok(await w.isAlive());
    w.close();
  });

  test('disconnect(true) with two namespaces: 41 for each, then the close', async () => {
    const w = await Ws.joined();
    w.send('40/custom,');
    await w.next();
    await w.next();
    w.send('42["bye",true]');
    assert.deepEqual([await w.next(), await w.next()], ['41', '41/custom,']);
    assert.equal(await w.gone(), 1005);
  });
});

describe('upgrade', () => {
  const probe = (p) => Ws.open(`EIO=4&transport=websocket&sid=${p.sid}`);

  test('probe, noop, upgrade; then polls are refused and a second WebSocket is closed', async () => {
    const p = await Poller.open();
    const parked = p.get();
    const w = await probe(p);
    w.send('2probe');
    assert.equal(await w.next(), '3probe');
    assert.equal(await parked, '6');
    w.send('5', '421["who"]');
    assert.match(await w.next(), /^431\[/);
    assert.equal(JSON.parse((await p.ask()).body).code, 3);
    const second = await probe(p);
    assert.equal(await second.gone(), 1005);
    assert.ok(await w.isAlive());
    w.close();
  });

  test('all in one piece: 2probe, 5 and an event', async () => {
    const p = await Poller.open();
    const w = await probe(p);
    w.send('2probe', '5', '421["who"]');
    assert.equal(await w.next(), '3probe');
    assert.match(await w.next(), /^431\[/);
    w.close();
  });

  test('polls during the probe are answered with a noop until 5', async () => {
    const p = await Poller.open();
    const w = await probe(p);
    w.send('2probe');
    await w.next();
    assert.deepEqual([await p.get(), await p.get()], ['6', '6']);
    await p.post('421["who"]');
    w.send('5');
    assert.match(await w.next(), /^431\[/);
    w.close();
  });

  test('an answer during the probe leaves by the poll that waits', async () => {
    const p = await Poller.open();
    const w = await probe(p);
    const parked = p.get();
    await p.post('421["who"]');
    assert.match(await parked, /^431\[/);
    w.close();
  });

  test('5 without a probe is accepted; a poll that waits gets 1', async () => {
    const p = await Poller.open();
    const parked = p.get();
    const w = await probe(p);
    w.send('5');
    assert.equal(await parked, '1');
    assert.ok(await w.isAlive());
    w.close();
  });

  test('nonsense, silence or loss of the probe: only that WebSocket goes', async () => {
    const p = await Poller.open();
    for (const word of ['4hello', '2', null]) {
      const w = await probe(p);
      if (word) w.send(word);
      assert.equal(await w.gone(), 1005, word);
    }
    const lost = await probe(p);
    lost.send('2probe');
    await lost.next();
    lost.close();
    const w = await until(() => probe(p).then((x) => new Promise((resolve) => {
      x.send('2probe');
      x.next().then(() => resolve(x), () => resolve(null));
    })), 'another probe');
    w.send('5');
    assert.ok(await w.isAlive());
    w.close();
  });

  test('a second WebSocket while probing is closed, the first goes on', async () => {
    const p = await Poller.open();
    const w = await probe(p);
    const second = await probe(p);
    assert.equal(await second.gone(), 1005);
    w.send('2probe', '5');
    await w.next();
    assert.ok(await w.isAlive());
    w.close();
  });

  test('goodbye while probing: noop for the poll, the WebSocket is closed', async () => {
    const p = await Poller.open();
    const parked = p.get();
    const w = await probe(p);
    await p.post('1');
    assert.equal(await parked, '6');
    assert.equal(await w.gone(), 1005);
  });
});

describe('time', () => {
  const quick = { socketio: { ping_interval_ms: '300ms', ping_timeout_ms: '200ms', connect_timeout_ms: '1s' } };

  test('pings, the pong that does not come, one extension, an unsolicited pong', async (t) => {
    const s = await serve(t, { bin: echo, config: quick });
    let began = performance.now();
    const w = await Ws.joined({ s });
    assert.equal(await w.next(), '2');
    const ping = performance.now() - began;
    assert.ok(ping >= 299, `ping after ${ping} ms`);
    await w.gone();
    assert.ok(performance.now() - began >= 498);

    began = performance.now();
    const x = await Ws.joined({ s });
    await x.next();
    x.send('42["nobody-listens"]', '42["nobody-listens"]');
    await x.gone();
    assert.ok(performance.now() - began >= 490, 'extended once');
  });

  test('a pong that nobody asked for puts the ping off', async (t) => {
    const s = await serve(t, { bin: echo, config: quick });
    const w = await Ws.joined({ s });
    for (let i = 0; i < 20; i++) {
      w.send('3');
      await sleep(40);
    }
    const pings = w.queue.takeAll().length; // without: two, and the end
    assert.ok(pings <= 1, `${pings} pings`);
    assert.equal(await w.next(), '2');
    w.close();
  });

  test('no CONNECT that succeeds in time: the poll gets 1, a refused one does not help', async (t) => {
    const s = await serve(t, { bin: echo, config: { socketio: { connect_timeout_ms: '1s' } } });
    const p = await Poller.open(s, false);
    const parked = p.get();
    await p.post('40/nowhere,');
    assert.match(await parked, /^44\/nowhere/);
    assert.equal(await p.get(), '1');
    assert.ok(await p.isGone());
    const q = await Poller.open(s, false);
    await sleep(1300); // nobody polls meanwhile
    assert.equal(await q.get(), `6${RS}1`);
  });

  test('a ping that nobody answers ends a poll with 1; without CONNECT it ends, too', async (t) => {
    const s = await serve(t, { bin: echo, config: quick });
    const p = await Poller.open(s, false);
    assert.equal(await p.get(), '2');
    assert.equal(await p.get(), '1');
    assert.ok(await p.isGone());
    const w = await Ws.open(undefined, { s });
    await w.next();
    const pongs = (async () => { for (;;) if ((await w.next()) === '2') w.send('3'); })().catch(() => {});
    assert.equal(await w.gone(), 1005);
    await pongs;
  });
});

describe('settings', () => {
  test('only websocket, compressed', async (t) => {
    const s = await serve(t, { bin: echo, config: { socketio: { transports: ['websocket'], per_message_deflate: true } } });
    assert.equal(JSON.parse((await ask('EIO=4&transport=polling', { s })).body).code, 0);
    const w = await Ws.open(undefined, { s });
    assert.match(w.ws.extensions, /^permessage-deflate/);
    await w.next();
    w.send('40');
    await w.next();
    await w.next();
    const long = 'abc'.repeat(2000);
    w.send(`421["message-with-ack","${long}"]`);
    assert.equal(await w.next(), `431["${long}"]`);
    w.close();
  });

  test('no upgrades, no compression, a packet for the beginning, any origin, no cookie', async (t) => {
    const s = await serve(t, {
      bin: echo,
      config: {
        socketio: { allow_upgrades: false, http_compression: false, initial_packet: 'hello' },
        http: { origins: ['*'] },
      },
    });
    const a = await ask('EIO=4&transport=polling', { s, headers: { origin: 'https://any.example' } });
    const [open, hello] = a.body.split(RS);
    assert.deepEqual(JSON.parse(open.slice(1)).upgrades, []);
    assert.equal(hello, '4hello');
    assert.equal(a.headers['access-control-allow-origin'], '*');
    assert.equal(a.headers['set-cookie'], undefined);
    const p = await Poller.open(s);
    await p.post(`421["message-with-ack","${'y'.repeat(3000)}"]`);
    const plain = await p.ask({ headers: { 'accept-encoding': 'gzip' } });
    assert.match(plain.body, /yyy/);
    assert.equal(plain.headers['content-encoding'], undefined);
    const w = await Ws.open(`EIO=4&transport=websocket&sid=${p.sid}`, { s });
    w.send('2probe'); // asked all the same, it is answered
    assert.equal(await w.next(), '3probe');
    w.close();
  });

  test('only polling: a WebSocket is refused', async (t) => {
    const s = await serve(t, { bin: echo, config: { socketio: { transports: ['polling'] } } });
    await assert.rejects(Ws.open(undefined, { s }), (e) => e.status === 400 && e.body === 'Transport unknown');
    const { body } = await ask('EIO=4&transport=polling', { s });
    assert.deepEqual(JSON.parse(body.slice(1)).upgrades, []);
  });

  test('the server ends: a poll that waits gets 1, a WebSocket is closed', async (t) => {
    const s = await serve(t, { bin: echo });
    const p = await Poller.open(s);
    const w = await Ws.joined({ s });
    const parked = p.get();
    await p.post('3');
    const stopped = s.stop();
    assert.equal(await parked, '1');
    assert.equal(await w.gone(), 1005);
    await stopped;
  });
});

// What the program is told at the end of a socket, for each way to end.
describe('reasons on the server', () => {
  const ends = [
    ['parse error', async (w) => w.send('8')],
    ['transport error', async (w) => w.send('2')],
    ['forced close', async (w) => w.send('42{}')],
    ['forced server close', async (w) => w.send('40')],
    ['transport close', async (w) => w.send('1')],
    ['transport close', async (w) => w.close()],
    ['client namespace disconnect', async (w) => w.send('41')],
    ['server namespace disconnect', async (w) => w.send('42["bye",false]')],
    ['transport error', async (w) => w.send(`4${'x'.repeat(20000)}`)],
  ];
  for (const [reason, end] of ends)
    test(`${reason}: ${String(end).slice(14)}`, async () => {
      const watcher = await Ws.joined();
      watcher.send('421["join","watchers"]');
      assert.equal(await watcher.next(), '431[true]');
      const w = await Ws.open();
      await w.next();
      w.send('40');
      const { sid } = JSON.parse((await w.next()).slice(2));
      await w.next();
      await end(w);
      const told = await watcher.queue.find((m) => typeof m === 'string' && m.includes(`"left","${sid}"`), reason);
      assert.equal(JSON.parse(told.slice(2))[2], reason);
      w.close();
      watcher.close();
    });

  test('ping timeout', async (t) => {
    const s = await serve(t, { bin: echo, config: { socketio: { ping_interval_ms: '300ms', ping_timeout_ms: '200ms' } } });
    const watcher = await Ws.joined({ s });
    watcher.send('421["join","watchers"]');
    const pong = setInterval(() => watcher.send('3'), 40);
    const w = await Ws.joined({ s });
    await w.gone();
    const told = await watcher.queue.find((m) => m.includes('"left"'));
    assert.match(told, /"ping timeout"/);
    clearInterval(pong);
    watcher.close();
  });
});

describe('recovery', () => {
  const again = async (auth) => {
    const w = await Ws.open();
    await w.next();
    w.send(`40${JSON.stringify(auth)}`);
    return w;
  };

  const begin = async () => {
    const w = await Ws.open();
    await w.next();
    w.send('40');
    const { sid, pid } = JSON.parse((await w.next()).slice(2));
    await w.next();
    return { w, sid, pid };
  };

  test('missed events come right behind the CONNECT reply, with the same sid and pid (differs)', async () => {
    const { w, sid, pid } = await begin();
    w.send('421["join","edge-room"]');
    assert.equal(await w.next(), '431[true]');
    await server.publish({ channel: 'edge-room', event: 'one', content: 1 });
    const offset = JSON.parse((await w.next()).slice(2))[2];
    w.close();
    await server.publish({ channel: 'edge-room', event: 'two', content: { b: 2 } });
    await server.publish({ channel: 'edge-other', event: 'not-mine', content: 0 });
    const x = await again({ pid, offset });
    assert.equal(await x.next(), `40${JSON.stringify({ sid, pid })}`);
    assert.match(await x.next(), /^42\["two",\{"b":2\},"[\w]+-\d+"\]$/);
    x.close();
  });

  test('events that want an answer, and volatile ones, have no place; events with bytes have', async () => {
    const w = await Ws.joined();
    w.send('42["burst"]');
    assert.equal(await w.next(), '42["drop",1]');
    w.send('42["ask"]');
    assert.match(await w.queue.find((m) => m.startsWith('420')), /^420\["question",1,"2"\]$/);
    w.close();
  });

  test('a client that left by itself, or came too late, begins anew', async (t) => {
    const s = await serve(t, { bin: echo, config: { socketio: { recovery_ms: '300ms' } } });
    for (const goodbye of [true, false]) {
      const w = await Ws.open(undefined, { s });
      await w.next();
      w.send('40');
      const old = JSON.parse((await w.next()).slice(2));
      await w.next();
      if (goodbye) w.send('41');
      else w.close();
      if (!goodbye) await until(() => s.metric('tidewire_sessions').then((n) => n === 0), 'it is forgotten');
      const x = await Ws.open(undefined, { s });
      await x.next();
      x.send(`40${JSON.stringify({ pid: old.pid, offset: '~1' })}`);
      assert.notEqual(JSON.parse((await x.next()).slice(2)).sid, old.sid);
      x.send('41');
      x.close();
    }
  });

  test('a half-open old connection is taken over; never two of one pid', async () => {
    const { w, sid, pid } = await begin();
    const x = await again({ pid, offset: '~1' });
    assert.equal(await x.next(), `40${JSON.stringify({ sid, pid })}`);
    assert.equal(await within(w.closed, 'the old one is closed'), 1005);
    x.close();
  });

  test('an unknown pid, a wrong offset, another user: a fresh socket', async () => {
    const { w, sid, pid } = await begin();
    w.close();
    for (const auth of [{ pid: 'x'.repeat(26), offset: '~1' }, { pid, offset: 'nonsense' }, { pid, offset: '~99' },
      { pid, offset: '~1', token: server.mint({ sub: 'somebody' }) }]) {
      const x = await again(auth);
      const reply = JSON.parse((await x.next()).slice(2));
      assert.notEqual(reply.sid, sid);
      assert.notEqual(reply.pid, pid);
      x.close();
    }
    const x = await again({ pid, offset: '~1' });
    assert.equal(await x.next(), `40${JSON.stringify({ sid, pid })}`);
    x.close();
  });

  test('asked again where the setting wants it: nothing before the middleware has said yes', async (t) => {
    const s = await serve(t, { bin: echo, config: { socketio: { recovery_skip_middlewares: false } } });
    const join = async (auth) => {
      const w = await Ws.open(undefined, { s });
      await w.next();
      w.send(`40/auth,${JSON.stringify(auth)}`);
      return w;
    };
    for (const secret of ['open sesame', 'wrong']) {
      const w = await join({ secret: 'open sesame' });
      const { sid, pid } = JSON.parse((await w.next()).slice('40/auth,'.length));
      await w.next();
      w.send('42/auth,1["join","vault"]');
      assert.equal(await w.next(), '43/auth,1[true]');
      w.close();
      await s.publish({ channel: '/auth#vault', event: 'gold', content: 1 });
      const x = await join({ secret, pid, offset: '~1' });
      if (secret === 'wrong') {
        assert.match(await x.next(), /^44\/auth,/);
        x.send('40');
        assert.match(await x.next(), /^40\{/, 'and not the gold');
      } else {
        assert.equal(await x.next(), `40/auth,${JSON.stringify({ sid, pid })}`);
        assert.match(await x.next(), /^42\/auth,\["gold",1,/);
      }
      x.close();
    }
  });

  test('history that no longer reaches: a fresh socket and none of it', async (t) => {
    const s = await serve(t, { bin: echo, config: { history: { count: 3 } } });
    const w = await Ws.joined({ s });
    w.close();
    const y = await Ws.open(undefined, { s });
    await y.next();
    y.send('40');
    const { sid, pid } = JSON.parse((await y.next()).slice(2));
    await y.next();
    y.send('421["join","short"]');
    await y.next();
    y.close();
    for (let i = 0; i < 5; i++) await s.publish({ channel: 'short', event: 'e', content: i });
    const x = await Ws.open(undefined, { s });
    await x.next();
    x.send(`40${JSON.stringify({ pid, offset: '~1' })}`);
    const reply = JSON.parse((await x.next()).slice(2));
    assert.notEqual(reply.sid, sid);
    x.close();
  });

  test('off by setting: no pid, no offsets', async (t) => {
    const s = await serve(t, { bin: echo, config: { socketio: { recovery_ms: 0 } } });
    const w = await Ws.open(undefined, { s });
    await w.next();
    w.send('40');
    assert.match(await w.next(), /^40\{"sid":"[\w-]{20}"\}$/);
    assert.equal(await w.next(), '42["auth","welcome"]');
    w.close();
  });
});

describe('a hostile client harms only itself', () => {
  test('noise', async () => {
    const good = await Ws.joined();
    const p = await Poller.open();
    await p.post(Array(9000).fill('6').join(RS));
    const w = await Ws.joined();
    w.send(`42["message",${'['.repeat(500)}${']'.repeat(500)}]`);
    await w.gone();
    const x = net.connect(server.port, '127.0.0.1');
    x.write('GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n');
    await within(new Promise((resolve) => { x.once('data', resolve); }), 'an answer');
    x.destroy();
    assert.ok(await good.isAlive());
    good.close();
  });

  test('handshakes without end: the oldest that joined nothing give way, nobody else', async (t) => {
    const s = await serve(t, { bin: echo, config: { socketio: { handshakes_max: 400 } } });
    const p = await Poller.open(s);
    const w = await Ws.joined({ s });
    const first = await Poller.open(s, false);
    for (let i = 0; i < 10; i++)
      await Promise.all(Array.from({ length: 50 }, () => ask('EIO=4&transport=polling', { s })));
    // Asked by a POST: a GET of one that is still there would wait, and nobody else come meanwhile.
    const pong = () => first.ask({ method: 'POST', body: '3' });
    while ((await pong()).status === 200) await ask('EIO=4&transport=polling', { s });
    assert.ok(await first.isGone());
    assert.ok(await s.metric('tidewire_connections{transport="socketio-poll"}') <= 410);
    assert.ok(await w.isAlive());
    await p.post('421["who"]');
    assert.match(await p.get(), /^431\[/);
    const q = await Poller.open(s); // and whoever comes now comes in
    await q.post('1');
    w.close();
  });

  test('a flood of events to the program is read as fast as the limit allows', async (t) => {
    const s = await serve(t, { bin: echo, config: { limits: { messages_per_second: 100, burst: 50 } } });
    const w = await Ws.joined({ s });
    const began = performance.now();
    for (let i = 0; i < 150; i++) w.send(`42${i}["message-with-ack"]`);
    await w.queue.find((m) => m.startsWith('43149'), 'the last answer');
    assert.ok(performance.now() - began >= 900, `150 events in ${performance.now() - began} ms`);
    w.close();
  });

  test('so is a flood of CONNECTs, each of which costs a look at a token', async () => {
    const w = await Ws.joined();
    const began = performance.now();
    for (let i = 0; i < 110; i++) w.send('40/nowhere,');
    for (let i = 0; i < 110; i++) assert.match(await w.next(), /^44/);
    assert.ok(performance.now() - began >= 800, `110 CONNECTs in ${performance.now() - began} ms`);
    assert.ok(await w.isAlive());
    w.close();
  });
});

describe('what a program does to many', () => {
  test('all of a room are called out, moved, and sent away; also who is away', async () => {
    const [a, b, c] = await Promise.all([Ws.joined(), Ws.joined(), Ws.joined()]);
    const me = async (w) => {
      w.send('42800["who"]');
      return JSON.parse((await w.queue.find((m) => m.startsWith('43800'))).slice(5))[0].id;
    };
    const ids = await Promise.all([a, b, c].map(me));
    let n = 0;
    const tell = async (w, ...args) => {
      const ack = `${++n}`;
      w.send(`42${ack}${JSON.stringify(args)}`);
      const answer = await w.queue.find((m) => typeof m === 'string' && m.startsWith(`43${ack}[`), args.join());
      return JSON.parse(answer.slice(2 + ack.length))[0];
    };
    for (const w of [a, b]) await tell(w, 'join', 'crew');
    const crew = async (room) => (await tell(c, 'all', room)).sort();
    assert.deepEqual(await crew('crew'), ids.slice(0, 2).sort());
    assert.deepEqual(await crew(ids[0]), [ids[0]]);
    assert.equal(await tell(c, 'move', 'crew', 'join', 'ship'), true);
    assert.deepEqual(await crew('ship'), ids.slice(0, 2).sort());
    await tell(c, 'move', ids[0], 'leave', 'crew');
    assert.deepEqual(await crew('crew'), [ids[1]]);
    b.close(); // may come back, and is in its rooms meanwhile
    assert.deepEqual(await crew('crew'), [ids[1]]);
    await tell(c, 'move', 'ship', 'close');
    assert.equal(await a.queue.find((m) => m === '41'), '41');
    assert.equal(await a.gone(), 1005);
    assert.deepEqual(await crew('ship'), []);
    c.close();
  });

  test('threads of the program speak all at once', async () => {
    const w = await Ws.joined();
    w.send('421["join","storm"]');
    assert.equal(await w.next(), '431[true]');
    w.send('422["storm"]', '423["start-ticks"]', '424["join","ticks"]');
    const got = { wind: 0, breeze: 0, tick: 0 };
    const gusts = [[], [], [], []];
    while (got.wind < 200 || got.breeze < 200 || got.tick < 20 || gusts.some((g) => g.length < 50)) {
      const m = await w.next();
      if (!m.startsWith('42')) continue;
      const [event, x, y] = JSON.parse(m.slice(2));
      if (event === 'gust') gusts[x].push(y);
      else got[event]++;
    }
    for (const g of gusts) assert.deepEqual(g, Array.from({ length: 50 }, (_, i) => i), 'in the order of its thread');
    w.close(); // the ticks go on while the server ends
  });
});
