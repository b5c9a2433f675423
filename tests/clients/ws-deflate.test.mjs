// SPDX-License-Identifier: Apache-2.0
// permessage-deflate (RFC 7692) on /echo: what compressors make, what they must not make, bombs;
// and floods of frames: whoever sends them gets what he is owed or is closed, others are served,
// memory stays bounded.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { closePayload, deflated, frame, OP, RawWs } from './lib/rawsocket.mjs';
import { Rng } from './lib/rng.mjs';
import { serveAll } from './lib/server.mjs';
import { within } from './lib/wait.mjs';
import { binary, close, PMD, pong, run, text } from './lib/wscase.mjs';

const server = serveAll({ before, after }, { args: ['--conformance', '--session.resume_ms=0'] });
const { CONT, TEXT, BINARY, CLOSE, PING } = OP;
const MAX = 16 << 20;
const MiB = 1 << 20;
const C = zlib.constants;

function rows(title, list) {
  describe(title, () => {
    for (const [name, row] of list) test(name, () => run(server.port, { headers: PMD, ...row }));
  });
}

const ascii = (n) => 'the quick brown fox jumps over the lazy dog. '.repeat(n / 45 + 1).slice(0, n);
const noise = (n) => new Rng(n + 1).bytes(n);
const packed = (opcode, payload, options) => frame(opcode, deflated(payload, options), { rsv: 4 });
const pieces = (opcode, payload, n) => {
  const all = deflated(payload);
  const cut = [];
  for (let at = 0; at < all.length || !at; at += n) cut.push(all.subarray(at, at + n));
  return cut.map((p, i) => frame(i ? CONT : opcode, p, { fin: i === cut.length - 1, rsv: i ? 0 : 4 }));
};

// ---- good ----------------------------------------------------------------------------------------
const SIZES = [0, 1, 2, 125, 126, 1023, 1024, 1025, 65535, 65536, MiB, 4 * MiB];
rows('a compressed text comes back', SIZES.map((n) =>
  [`of ${n} bytes`, { send: [packed(TEXT, ascii(n))], expect: [text(ascii(n))] }]));
rows('compressed noise comes back', SIZES.map((n) =>
  [`of ${n} bytes`, { send: [packed(BINARY, noise(n))], expect: [binary(noise(n))] }]));
rows('whatever the compressor', [
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((level) =>
    [`level ${level}`, { send: [packed(TEXT, ascii(70000), { level })], expect: [text(ascii(70000))] }]),
  ...['Z_FILTERED', 'Z_HUFFMAN_ONLY', 'Z_RLE', 'Z_FIXED'].map((name) =>
    [name, { send: [packed(TEXT, ascii(70000), { strategy: C[name] })], expect: [text(ascii(70000))] }]),
  ...[9, 10, 12, 15].map((windowBits) =>
    [`window of ${windowBits} bits`, { send: [packed(TEXT, ascii(70000), { windowBits })], expect: [text(ascii(70000))] }]),
  ...[1, 9].map((memLevel) =>
    [`memory level ${memLevel}`, { send: [packed(BINARY, noise(70000), { memLevel })], expect: [binary(noise(70000))] }]),
  ['a final block and a byte of padding (7.2.3.4)', {
    send: [frame(TEXT, Buffer.concat([zlib.deflateRawSync('Hello'), Buffer.from([0])]), { rsv: 4 })], expect: [text('Hello')],
  }],
  ['the example of 7.2.3.1', { send: [frame(TEXT, Buffer.from('f248cdc9c90700', 'hex'), { rsv: 4 })], expect: [text('Hello')] }],
  ['a stored block (7.2.3.3)', {
    send: [frame(TEXT, Buffer.from('000500faff48656c6c6f00', 'hex'), { rsv: 4 })], expect: [text('Hello')],
  }],
  ['two blocks (7.2.3.5)', {
    send: [frame(TEXT, Buffer.from('f248050000 00ffffcac9c90700'.replace(' ', ''), 'hex'), { rsv: 4 })], expect: [text('Hello')],
  }],
  ['empty as a single zero byte (7.2.3.6)', { send: [frame(TEXT, Buffer.from([0]), { rsv: 4 })], expect: [text('')] }],
]);
rows('compressed or not is said per message', [
  ['plain on an agreed connection', { send: [frame(TEXT, 'plain')], expect: [text('plain')] }],
  ['mixed', {
    send: [packed(TEXT, ascii(2000)), frame(TEXT, 'plain'), packed(BINARY, noise(3000)), frame(BINARY, 'b')],
    expect: [text(ascii(2000)), text('plain'), binary(noise(3000)), binary('b')],
  }],
  ['the same twice', { send: [packed(TEXT, ascii(5000)), packed(TEXT, ascii(5000))], expect: [text(ascii(5000)), text(ascii(5000))] }],
]);
rows('a compressed message may be fragmented', [
  ...[1, 2, 7, 100, 1000].map((n) => [`in frames of ${n}`, { send: pieces(TEXT, ascii(3000), n), expect: [text(ascii(3000))] }]),
  ['noise in frames of 1000', { send: pieces(BINARY, noise(200000), 1000), expect: [binary(noise(200000))] }],
  ['with an empty first frame', {
    send: [frame(TEXT, '', { fin: false, rsv: 4 }), frame(CONT, deflated('Hello'))], expect: [text('Hello')],
  }],
  ['with an empty last frame', {
    send: [frame(TEXT, deflated('Hello'), { fin: false, rsv: 4 }), frame(CONT)], expect: [text('Hello')],
  }],
  ['with pings between', {
    send: pieces(TEXT, ascii(300), 20).flatMap((f, i) => (i === 1 ? [frame(PING, 'p'), f] : [f])),
    expect: [pong('p'), text(ascii(300))],
  }],
  ['cut by the network byte by byte', { send: [Buffer.concat(pieces(TEXT, ascii(300), 20))], piece: 1, expect: [text(ascii(300))] }],
  ['and is UTF-8 only as a whole', { send: pieces(TEXT, '€uro '.repeat(300), 3), expect: [text('€uro '.repeat(300))] }],
]);
test('a chance of 200 messages of all kinds', async () => {
  const rng = new Rng(11);
  const all = Array.from({ length: 200 }, () => {
    const n = rng.pick([rng.int(0, 10), rng.int(100, 2000), rng.int(2000, 60000)]);
    const data = rng.chance(0.5) ? rng.bytes(n) : Buffer.from(ascii(n));
    return rng.chance(0.7) ? { f: packed(BINARY, data, { level: rng.int(0, 9) }), data } : { f: frame(BINARY, data), data };
  });
  await run(server.port, { headers: PMD, send: [Buffer.concat(all.map((m) => m.f))], expect: all.map((m) => binary(m.data)) });
});

// ---- bad ---------------------------------------------------------------------------------------------
const context = () => { // the second message refers to the first, which was agreed not to be kept
  const stream = zlib.createDeflateRaw();
  const out = [];
  stream.on('data', (d) => out.push(d));
  const flush = () => new Promise((resolve) => stream.flush(C.Z_SYNC_FLUSH, () => resolve(Buffer.concat(out.splice(0)).subarray(0, -4))));
  return async (payload) => {
    stream.write(payload);
    return frame(BINARY, await flush(), { rsv: 4 });
  };
};
rows('what is not deflate data ends the connection', [
  ['noise', { send: [frame(TEXT, Buffer.from('ffffffffffff', 'hex'), { rsv: 4 })], expect: [close(1002, 1007)] }],
  ['a reserved block type', { send: [frame(BINARY, Buffer.from('07', 'hex'), { rsv: 4 })], expect: [close(1002, 1007)] }],
  ['a stored block whose lengths disagree', {
    send: [frame(BINARY, Buffer.from('000500faef48656c6c6f00', 'hex'), { rsv: 4 })], expect: [close(1002, 1007)],
  }],
  ['a distance before the beginning', { send: [frame(BINARY, Buffer.from('4b04120000', 'hex'), { rsv: 4 })], expect: [close(1002, 1007)] }],
  ['with a zlib head', { send: [frame(TEXT, zlib.deflateSync(ascii(100)), { rsv: 4 })], expect: [close(1002, 1007)] }],
  ['with a gzip head', { send: [frame(TEXT, zlib.gzipSync(ascii(100)), { rsv: 4 })], expect: [close(1002, 1007)] }],
  ['cut off', { send: [frame(BINARY, deflated(noise(1000)).subarray(0, 500), { rsv: 4 })], expect: [close(1002, 1007)] }],
  ['context from the message before', {
    send: [async (ws) => {
      const next = context();
      await ws.write(await next(noise(500)));
      await ws.write(await next(noise(500)));
    }],
    expect: [binary(noise(500)), close(1002, 1007)],
  }],
]);
rows('the compression bit where it may not be', [
  ['on a ping', { send: [frame(PING, '', { rsv: 4 })], expect: [close(1002)] }],
  ['on a close', { send: [frame(CLOSE, closePayload(1000), { rsv: 4 })], expect: [close(1002)] }],
  ['on a continuation of a plain message', {
    send: [frame(TEXT, 'a', { fin: false }), frame(CONT, deflated('b'), { rsv: 4 })], expect: [close(1002)],
  }],
  ['on a continuation of a compressed one', {
    send: [frame(TEXT, deflated('ab').subarray(0, 2), { fin: false, rsv: 4 }), frame(CONT, deflated('ab').subarray(2), { rsv: 4 })],
    expect: [close(1002)],
  }],
  ['where nothing was agreed', { headers: {}, send: [packed(TEXT, 'a')], expect: [close(1002)] }],
  ['with another bit', { send: [frame(TEXT, deflated('a'), { rsv: 6 })], expect: [close(1002)] }],
]);
rows('compressed text must be UTF-8 too', ['ff', 'c080', 'eda080', 'f4908080', 'e282'].flatMap((hex) => [
  [hex, { send: [packed(TEXT, Buffer.from(`61${hex}`, 'hex'))], expect: [close(1007)] }],
  [`${hex}, fragmented`, { send: pieces(TEXT, Buffer.from(`6162${hex}`, 'hex'), 2), expect: [close(1007)] }],
]));

// ---- bombs ---------------------------------------------------------------------------------------------
describe('bombs', () => {
  const zeros = (n) => packed(BINARY, Buffer.alloc(n), { level: 9 });
  test('the limit is on what it inflates to: exactly the limit passes', () =>
    run(server.port, { headers: PMD, send: [zeros(MAX)], expect: [binary(Buffer.alloc(MAX))] }));
  test('one byte more is too much', () => run(server.port, { headers: PMD, send: [zeros(MAX + 1)], expect: [close(1009)] }));
  test('256 MiB of zeros in 260 KB: 1009, and memory does not follow', async () => {
    const bomb = zeros(256 * MiB);
    assert.ok(bomb.length < 300000);
    await run(server.port, { headers: PMD, send: [zeros(MAX)], expect: [binary(Buffer.alloc(MAX))] }); // once, to warm up
    const rss = server.rssKb();
    for (let i = 0; i < 3; i++) await run(server.port, { headers: PMD, send: [bomb], expect: [close(1009)] });
    server.assertGrown(rss, 3 * 16 * 1024);
  });
  test('the same in fragments', async () => {
    const bomb = deflated(Buffer.alloc(64 * MiB), { level: 9 });
    const send = [];
    for (let at = 0; at < bomb.length; at += 1000) {
      send.push(frame(at ? CONT : BINARY, bomb.subarray(at, at + 1000), { fin: at + 1000 >= bomb.length, rsv: at ? 0 : 4 }));
    }
    await run(server.port, { headers: PMD, send: [Buffer.concat(send)], expect: [close(1009)] });
  });
  test('200 fragments of 1 MiB, sent plain, are stopped at the limit', async () => {
    const ws = await RawWs.open(server.port, '/echo');
    const before = server.rssKb();
    const over = new Promise((resolve) => ws.socket.on('close', resolve));
    const sending = (async () => {
      for (let i = 0; i < 200 && !ws.ended; i++) {
        await Promise.race([ws.send(i ? CONT : BINARY, Buffer.alloc(MiB), { fin: false }), over]);
      }
    })();
    assert.equal((await ws.closing()).code, 1009);
    server.assertGrown(before, 4 * 16 * 1024);
    ws.destroy();
    await sending;
  });
  test('the plain dialect has a limit of its own', async () => {
    const ws = await RawWs.open(server.port, '/socket', PMD);
    assert.equal((await ws.json()).type, 'connected');
    await ws.write(zeros(8 * MiB));
    assert.equal((await ws.closing()).code, 1009);
    ws.destroy();
  });
});

// ---- floods ----------------------------------------------------------------------------------------------
describe('floods', () => {
  // While `attack` runs, somebody else is answered.
  async function othersAreServed(attack) {
    const other = await RawWs.open(server.port, '/echo');
    let over = false;
    const attacking = attack().finally(() => { over = true; });
    let rounds = 0;
    do {
      await other.send(TEXT, `round ${rounds}`);
      assert.equal((await other.message()).payload.toString(), `round ${rounds}`);
      rounds++;
    } while (!over);
    await attacking;
    other.destroy();
  }

  test('a message of 65,536 fragments of one byte', () => othersAreServed(async () => {
    const one = frame(CONT, 'x', { fin: false });
    const flood = Buffer.concat([frame(TEXT, 'x', { fin: false }), ...Array(65534).fill(one), frame(CONT, 'x')]);
    await run(server.port, { send: [flood], expect: [text('x'.repeat(65536))] });
  }));
  test('100,000 empty fragments', () => othersAreServed(async () => {
    const ws = await RawWs.open(server.port, '/echo');
    const empty = frame(CONT, '', { fin: false });
    await ws.write(Buffer.concat([frame(TEXT, 'a', { fin: false }), ...Array(100000).fill(empty), frame(CONT, 'b')]));
    const m = await ws.message().catch((error) => error.close);
    assert.ok(m.code === 1008 || m.payload?.toString() === 'ab');
    ws.destroy();
  }));
  test('40 connections with 131,000 unfinished fragments cost what their bytes cost', async () => {
    const before = server.rssKb();
    const one = frame(CONT, 'x', { fin: false });
    const flood = Buffer.concat([frame(TEXT, 'x', { fin: false }), ...Array(131000).fill(one), frame(PING, 'p')]);
    const all = await Promise.all(Array.from({ length: 40 }, () => RawWs.open(server.port, '/echo')));
    await Promise.all(all.map(async (ws) => {
      await ws.write(flood);
      await ws.next(); // the pong, or a close: all of it was read
    }));
    server.assertGrown(before, 40 * 1024); // for 40 × 128 KiB of payload
    for (const ws of all) ws.destroy();
  });
  test('20,000 pings whose pongs nobody reads', () => othersAreServed(async () => {
    const before = server.rssKb();
    const ws = await RawWs.open(server.port, '/echo');
    ws.pause();
    const ping = frame(PING, noise(125));
    const writing = ws.write(Buffer.concat(Array(20000).fill(ping)));
    await Promise.race([writing, within(new Promise(() => {}), '', 1500).catch(() => {})]);
    server.assertGrown(before, 16 * 1024);
    ws.resume();
    let pongs = 0;
    while (pongs < 20000 && (await ws.next()).opcode === OP.PONG) pongs++;
    assert.equal(pongs, 20000);
    ws.destroy();
    await writing;
  }));
  test('an echo nobody reads stops the reading, not the server', () => othersAreServed(async () => {
    const before = server.rssKb();
    const ws = await RawWs.open(server.port, '/echo');
    ws.pause();
    const block = Buffer.concat(Array(64).fill(frame(BINARY, noise(65536))));
    const writing = (async () => {
      for (let i = 0; i < 16; i++) await ws.write(block); // 64 MiB in all
    })();
    await Promise.race([writing, within(new Promise(() => {}), '', 1500).catch(() => {})]);
    server.assertGrown(before, 24 * 1024);
    ws.destroy();
    await writing.catch(() => {});
  }));
  test('compressed, fragmented and with pings between, on 100 connections at once', () => othersAreServed(async () => {
    const before = server.rssKb();
    const zeros = deflated(Buffer.alloc(15 * MiB), { level: 9 });
    const flood = [frame(BINARY, zeros.subarray(0, 10), { fin: false, rsv: 4 })];
    for (let at = 10; at < zeros.length - 10; at += 50) {
      flood.push(frame(CONT, zeros.subarray(at, Math.min(at + 50, zeros.length - 10)), { fin: false }), frame(PING, 'p'));
    }
    const all = await Promise.all(Array.from({ length: 100 }, () => RawWs.open(server.port, '/echo', PMD)));
    await Promise.all(all.map((ws) => ws.write(Buffer.concat(flood))));
    await Promise.all(all.map((ws) => ws.next()));
    server.assertGrown(before, 64 * 1024);
    for (const ws of all) ws.destroy();
  }));
  test('all is given back', () => server.settled());
});
