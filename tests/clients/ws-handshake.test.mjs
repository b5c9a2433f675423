// SPDX-License-Identifier: Apache-2.0
// The upgrade (RFC 6455 section 4), who may ask for it (Origin), and the terms of
// permessage-deflate (RFC 7692 section 7.1), over a raw socket.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { acceptOf, frame, inflated, KEY, OP, RawSocket, RawWs, upgradeText } from './lib/rawsocket.mjs';
import { Rng } from './lib/rng.mjs';
import { serve, serveAll } from './lib/server.mjs';

const server = serveAll({ before, after }, { args: ['--conformance'] });

async function ask(bytes, { port = server.port, piece } = {}) {
  const s = await RawSocket.connect(port);
  const data = Buffer.from(bytes, 'latin1');
  for (let at = 0; at < data.length; at += piece || data.length) await s.write(data.subarray(at, at + (piece || data.length)));
  const answer = await s.readResponse();
  s.destroy();
  return answer;
}

// status: one, or those that are right
async function expectStatus(bytes, ...status) {
  const answer = await ask(bytes);
  assert.ok(status.includes(answer.status), `${answer.status}, expected ${status}: ${answer.body}`);
  if (answer.status !== 101) {
    const error = JSON.parse(answer.body);
    assert.ok(error.code && error.message && error.hint, `an error in our form: ${answer.body}`);
  }
  return answer;
}

const key = (n) => new Rng(n).bytes(16).toString('base64');

describe('an upgrade that is right', () => {
  const good = {
    'plain': {},
    'Upgrade in capitals': { Upgrade: 'WEBSOCKET' },
    'Upgrade as browsers once wrote it': { Upgrade: 'WebSocket' },
    'Connection in small letters': { Connection: 'upgrade' },
    'Connection with keep-alive': { Connection: 'keep-alive, Upgrade' },
    'Connection in two lines': { Connection: ['keep-alive', 'Upgrade'] },
    'Connection with odd blanks': { Connection: ' keep-alive ,\tUpgrade ' },
    'an Origin of this machine': { Origin: 'http://127.0.0.1:3000' },
    'an unknown header': { 'X-Anything': 'yes' },
    'an unknown extension': { 'Sec-WebSocket-Extensions': 'x-unknown; a=1' },
    'no body, said so': { 'Content-Length': '0' },
    'a header of 4000 bytes': { 'X-Long': 'a'.repeat(4000) },
  };
  for (const [name, headers] of Object.entries(good)) {
    test(name, async () => {
      const answer = await expectStatus(upgradeText('/socket', headers), 101);
      assert.equal(answer.headers.upgrade.toLowerCase(), 'websocket');
      assert.equal(answer.headers.connection.toLowerCase(), 'upgrade');
      assert.equal(answer.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
      assert.equal(answer.headers['sec-websocket-extensions'], undefined);
      assert.equal(answer.headers['content-length'], undefined);
      assert.equal(answer.headers['transfer-encoding'], undefined);
    });
  }
  for (let i = 1; i <= 4; i++) {
    test(`the accept value belongs to the key ${key(i)}`, async () => {
      const answer = await expectStatus(upgradeText('/socket', { 'Sec-WebSocket-Key': key(i) }), 101);
      assert.equal(answer.headers['sec-websocket-accept'], acceptOf(key(i)));
    });
  }
  test('byte by byte', async () => {
    assert.equal((await ask(upgradeText('/socket'), { piece: 1 })).status, 101);
  });
  test('frames in the same write are not lost', async () => {
    const s = await RawSocket.connect(server.port);
    const ws = Object.setPrototypeOf(s, RawWs.prototype);
    await ws.write(Buffer.concat([Buffer.from(upgradeText('/echo')), frame(OP.TEXT, 'early'), frame(OP.PING, 'p')]));
    assert.equal((await ws.readResponse()).status, 101);
    assert.equal((await ws.next()).payload.toString(), 'early');
    assert.equal((await ws.next()).opcode, OP.PONG);
    ws.destroy();
  });
  test('after other requests on the same connection', async () => {
    const s = await RawSocket.connect(server.port);
    await s.write(`GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n${upgradeText('/socket')}`);
    assert.equal((await s.readResponse()).status, 200);
    assert.equal((await s.readResponse()).status, 101);
    s.destroy();
  });
});

describe('an upgrade that is wrong', () => {
  const NONE = null;
  const bad = [
    ['no Upgrade', { Upgrade: NONE }, 400, 426],
    ['another Upgrade', { Upgrade: 'h2c' }, 400, 426],
    ['Upgrade that only begins so', { Upgrade: 'websocketx' }, 400, 426],
    ['no Connection', { Connection: NONE }, 400, 426],
    ['Connection without upgrade', { Connection: 'keep-alive' }, 400, 426],
    ['Connection close', { Connection: 'close' }, 400, 426],
    ['no key', { 'Sec-WebSocket-Key': NONE }, 400],
    ['an empty key', { 'Sec-WebSocket-Key': '' }, 400],
    ['a key of 15 bytes', { 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') }, 400],
    ['a key of 17 bytes', { 'Sec-WebSocket-Key': Buffer.alloc(17).toString('base64') }, 400],
    ['a key that is no base64', { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }, 400],
    ['a key without its padding', { 'Sec-WebSocket-Key': KEY.slice(0, -2) }, 400],
    ['two keys', { 'Sec-WebSocket-Key': [KEY, key(1)] }, 400],
    ['the same key twice', { 'Sec-WebSocket-Key': [KEY, KEY] }, 400],
    ['two keys in a line', { 'Sec-WebSocket-Key': `${KEY}, ${KEY}` }, 400],
    ['no version', { 'Sec-WebSocket-Version': NONE }, 400, 426],
    ['version 8', { 'Sec-WebSocket-Version': '8' }, 426],
    ['version 14', { 'Sec-WebSocket-Version': '14' }, 426],
    ['version 013', { 'Sec-WebSocket-Version': '013' }, 426],
    ['version +13', { 'Sec-WebSocket-Version': '+13' }, 426],
    ['version thirteen', { 'Sec-WebSocket-Version': 'thirteen' }, 426],
    ['a list of versions', { 'Sec-WebSocket-Version': '13, 8' }, 400, 426],
    ['two versions', { 'Sec-WebSocket-Version': ['13', '8'] }, 400, 426],
    ['no Host', { Host: NONE }, 400],
    ['two Hosts', { Host: ['a', 'b'] }, 400],
    ['a subprotocol that is no token', { 'Sec-WebSocket-Protocol': 'a b' }, 400],
    ['an empty subprotocol', { 'Sec-WebSocket-Protocol': 'a,,b' }, 400],
  ];
  for (const [name, headers, ...status] of bad) {
    test(name, async () => {
      const answer = await expectStatus(upgradeText('/socket', headers), ...status);
      if (answer.status === 426) assert.equal(answer.headers['sec-websocket-version'], '13');
    });
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']) {
    test(`by ${method}`, async () => {
      const s = await RawSocket.connect(server.port);
      await s.write(upgradeText('/socket', {}, { method }));
      const answer = await s.readResponse({ head: method === 'HEAD' });
      assert.notEqual(answer.status, 101);
      s.destroy();
    });
  }
  test('HTTP/1.0', () => expectStatus(upgradeText('/socket', {}, { version: 'HTTP/1.0' }), 400, 426));
  test('HTTP/2.0', () => expectStatus(upgradeText('/socket', {}, { version: 'HTTP/2.0' }), 505));
  test('a path that is not there', () => expectStatus(upgradeText('/nowhere'), 404));
  test('below a path that is there', () => expectStatus(upgradeText('/socket/x'), 404));
  test('a plain GET says what the path speaks', async () => {
    const answer = await expectStatus('GET /socket HTTP/1.1\r\nHost: x\r\n\r\n', 426);
    assert.equal(answer.headers.upgrade.toLowerCase(), 'websocket');
    assert.equal(answer.headers['sec-websocket-version'], '13');
  });
  test('a refused upgrade leaves a usable connection or none, never half of each', async () => {
    const s = await RawSocket.connect(server.port);
    await s.write(upgradeText('/socket', { 'Sec-WebSocket-Version': '8' }) + 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.equal((await s.readResponse()).status, 426);
    const next = await s.readResponse().catch(() => null);
    assert.ok(next === null || next.status === 200);
    s.destroy();
  });
});

describe('subprotocols', () => {
  const cases = [
    ['ours is chosen', 'tidewire.v1', 'tidewire.v1'],
    ['ours among others', 'chat, tidewire.v1, superchat', 'tidewire.v1'],
    ['none of ours: none is named', 'chat, superchat', undefined],
    ['names are exact', 'TIDEWIRE.V1', undefined],
    ['in two lines', ['chat', 'tidewire.v1'], 'tidewire.v1'],
  ];
  for (const [name, offered, chosen] of cases) {
    test(name, async () => {
      const answer = await expectStatus(upgradeText('/socket', { 'Sec-WebSocket-Protocol': offered }), 101);
      assert.equal(answer.headers['sec-websocket-protocol'], chosen);
    });
  }
});

// ---- permessage-deflate ---------------------------------------------------------------------------
const extension = (answer) => {
  const value = answer.headers['sec-websocket-extensions'];
  if (value === undefined) return null;
  const [name, ...params] = value.split(';').map((p) => p.trim());
  assert.equal(name, 'permessage-deflate');
  return Object.fromEntries(params.map((p) => p.split('=')));
};

describe('permessage-deflate: an offer that is taken', () => {
  const offers = [
    'permessage-deflate',
    'permessage-deflate; client_max_window_bits',
    'permessage-deflate; client_max_window_bits=15',
    'permessage-deflate; client_max_window_bits=8',
    'permessage-deflate; client_max_window_bits="10"',
    'permessage-deflate; server_no_context_takeover',
    'permessage-deflate; client_no_context_takeover',
    'permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits',
    'permessage-deflate ; client_max_window_bits',
    'x-unknown, permessage-deflate',
    'x-unknown; q="a", permessage-deflate',
    'permessage-deflate, permessage-deflate; client_max_window_bits',
    'permessage-deflate; unknown=1, permessage-deflate',
    'permessage-deflate; server_max_window_bits=7, permessage-deflate',
    ', permessage-deflate',
  ];
  for (const offer of offers) {
    test(offer, async () => {
      const answer = await expectStatus(upgradeText('/socket', { 'Sec-WebSocket-Extensions': offer }), 101);
      const terms = extension(answer);
      assert.ok(terms, 'taken');
      // The answer to the offer must not speak of a window the offer did not ask for.
      if (!/server_max_window_bits=(9|1\d)/.test(offer)) assert.equal(terms.server_max_window_bits, undefined);
      if (!offer.includes('client_max_window_bits')) assert.equal(terms.client_max_window_bits, undefined);
      assert.ok('server_no_context_takeover' in terms, 'one frame serves all');
    });
  }
  for (const bits of [9, 10, 11, 12, 13, 14, 15]) {
    test(`server_max_window_bits=${bits} is kept`, async () => {
      const ws = await RawWs.open(server.port, '/echo',
        { 'Sec-WebSocket-Extensions': `permessage-deflate; server_max_window_bits=${bits}` });
      assert.equal(extension(ws.answer).server_max_window_bits, String(bits));
      // 64 KiB that repeats itself after 20,000 bytes: a larger window than asked would be used.
      const block = new Rng(bits).bytes(20000);
      const data = Buffer.concat([block, Buffer.alloc(3000), block, block.subarray(0, 9000)]);
      await ws.send(OP.BINARY, data);
      const f = await ws.next();
      if (f.rsv === 4) assert.equal(Buffer.compare(inflateWith(f.payload, bits), data), 0);
      else assert.equal(Buffer.compare(f.payload, data), 0);
      ws.destroy();
    });
  }
});

// Inflates as a client does that has only a window of so many bits.
function inflateWith(payload, bits) {
  return inflated(payload, { windowBits: bits });
}

describe('permessage-deflate: an offer that is declined, without harm', () => {
  const offers = [
    'permessage-deflate; server_max_window_bits=7', 'permessage-deflate; server_max_window_bits=16',
    'permessage-deflate; server_max_window_bits=0', 'permessage-deflate; server_max_window_bits=-1',
    'permessage-deflate; server_max_window_bits=abc', 'permessage-deflate; server_max_window_bits=08',
    'permessage-deflate; server_max_window_bits=1000000000000', 'permessage-deflate; server_max_window_bits',
    'permessage-deflate; server_max_window_bits=', 'permessage-deflate; server_max_window_bits=8',
    'permessage-deflate; server_max_window_bits=10; server_max_window_bits=11',
    'permessage-deflate; client_max_window_bits=7', 'permessage-deflate; client_max_window_bits=16',
    'permessage-deflate; client_max_window_bits=0', 'permessage-deflate; client_max_window_bits=abc',
    'permessage-deflate; client_max_window_bits=009', 'permessage-deflate; client_max_window_bits=""',
    'permessage-deflate; client_max_window_bits; client_max_window_bits',
    'permessage-deflate; server_no_context_takeover=1', 'permessage-deflate; client_no_context_takeover=true',
    'permessage-deflate; server_no_context_takeover; server_no_context_takeover',
    'permessage-deflate; unknown', 'permessage-deflate; unknown=1', 'permessage-deflate; =1',
    'permessage-deflate;', 'permessage-deflate;;', 'permessage-deflate; client_max_window_bits="10',
    'permessage-deflatex', 'permessage-bzip2', 'x-webkit-deflate-frame', '"permessage-deflate"', ';', '=', 'a=b', ',,,',
    `permessage-deflate; ${'a'.repeat(2000)}`, Array(200).fill('x').join(','),
  ];
  for (const offer of offers) {
    test(offer.length > 80 ? `${offer.slice(0, 40)}… (${offer.length})` : offer, async () => {
      const answer = await ask(upgradeText('/socket', { 'Sec-WebSocket-Extensions': offer }));
      assert.ok([101, 400].includes(answer.status), String(answer.status));
      if (answer.status === 101) assert.equal(extension(answer), null);
    });
  }
  test('ws.deflate: false declines all', async (t) => {
    const off = await serve(t, { config: { ws: { deflate: false } } });
    const answer = await ask(upgradeText('/socket', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }), { port: off.port });
    assert.equal(answer.status, 101);
    assert.equal(extension(answer), null);
  });
});

// ---- whose page is it? ------------------------------------------------------------------------------
describe('origins', () => {
  let listed;
  before(async () => {
    listed = await serve(null, {
      config: { http: { origins: ['https://app.example.com', 'https://*.good.example'] } },
    });
  });
  after(async () => {
    await listed.stop();
    listed.clean();
  });
  const evil = ['https://evil.example', 'null', 'https://app.example.com.evil.example', 'https://evilapp.example.com',
    'http://app.example.com', 'https://app.example.com:8443', 'https://app.example.com@evil.example',
    'https://good.example.evil', 'https://xgood.example', 'file://', 'https://', 'app.example.com', '*',
    'https://app.example.com/path', 'https://app.example.com, https://evil.example', 'https://a.good.example/.evil',
    'chrome-extension://abcdef'];
  for (const origin of evil) {
    test(`${origin} may not upgrade`, async () => {
      const answer = await ask(upgradeText('/socket', { Origin: origin, Cookie: 'tw_token=x' }), { port: listed.port });
      assert.equal(answer.status, 403);
      const error = JSON.parse(answer.body);
      assert.equal(error.code, 4430);
      assert.equal(answer.headers['set-cookie'], undefined);
    });
    test(`${origin} gets no credentials over HTTP`, async () => {
      for (const where of ['/api/events', '/api/poll?timeout=1']) {
        const answer = await ask(`GET ${where} HTTP/1.1\r\nHost: x\r\nOrigin: ${origin}\r\n\r\n`, { port: listed.port });
        assert.equal(answer.status, 403, where);
        assert.notEqual(answer.headers['access-control-allow-origin'], origin);
        assert.equal(answer.headers['access-control-allow-credentials'], undefined);
      }
    });
  }
  for (const origin of ['https://app.example.com', 'https://a.good.example', 'HTTPS://APP.EXAMPLE.COM']) {
    test(`${origin} may`, async () => {
      const answer = await ask(upgradeText('/socket', { Origin: origin }), { port: listed.port });
      assert.equal(answer.status, 101);
    });
  }
  test('a page of the server itself may', async () => {
    const host = `127.0.0.1:${listed.port}`;
    const answer = await ask(upgradeText('/socket', { Host: host, Origin: `http://${host}` }), { port: listed.port });
    assert.equal(answer.status, 101);
  });
  test('two Origin lines are one too many', async () => {
    const answer = await ask(upgradeText('/socket', { Origin: ['https://app.example.com', 'https://evil.example'] }),
      { port: listed.port });
    assert.ok([400, 403].includes(answer.status), String(answer.status));
  });
  test('a token from a cookie counts only for a page that says where it is from', async () => {
    const token = listed.mint({ sub: 'u1' });
    const bare = await ask(upgradeText('/socket', { Cookie: `tw_token=${token}` }), { port: listed.port });
    assert.equal(bare.status, 403);
    const page = await ask(upgradeText('/socket', { Cookie: `tw_token=${token}`, Origin: 'https://app.example.com' }),
      { port: listed.port });
    assert.equal(page.status, 101);
  });
  test('a page elsewhere may not publish with the cookie of its visitor', async () => {
    const body = '{"content":1}';
    const answer = await ask(`POST /api/publish HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\n`
      + `Cookie: tw_token=${listed.mint({ sub: 'u1' })}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    { port: listed.port });
    assert.equal(answer.status, 403);
    assert.notEqual(answer.headers['access-control-allow-origin'], 'https://evil.example');
    assert.deepEqual((await listed.channel('main')).messages, []);
  });
});
