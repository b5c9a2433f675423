// SPDX-License-Identifier: Apache-2.0
// The tools are tested too: a checker that sees nothing, or a proxy that harms nothing, would make
// every other test pass.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { Checker } from './lib/checker.mjs';
import { startProxy } from './lib/proxy.mjs';
import { deflated, frame, inflated, OP, RawSocket } from './lib/rawsocket.mjs';
import { Rng } from './lib/rng.mjs';
import { Queue, until } from './lib/wait.mjs';

// A subscriber that got what `deliver` makes of the messages 1 to n.
function verdictOf(deliver, n = 50) {
  const checker = new Checker();
  const sub = checker.subscriber('one');
  sub.starts('room', { epoch: 'e', offset: 0 });
  for (let i = 1; i <= n; i++) checker.acked('room', { epoch: 'e', offset: i }, { n: i });
  const all = Array.from({ length: n }, (_, i) => ({ id: `e-${i + 1}`, content: { n: i + 1 } }));
  for (const m of deliver(all, sub)) sub.message('room', m);
  return checker.verdict();
}

test('the checker is silent when all is well', () => {
  const { problems, delivered } = verdictOf((all) => all);
  assert.deepEqual(problems, []);
  assert.equal(delivered, 50);
});

test('the checker sees a dropped message, also the last', () => {
  assert.equal(verdictOf((all) => all.filter((m) => m.content.n !== 20)).silent, 1);
  assert.equal(verdictOf((all) => all.slice(0, -1)).silent, 1);
});

test('the checker sees a message that came twice, at once or much later', () => {
  assert.equal(verdictOf((all) => [...all.slice(0, 10), ...all.slice(9)]).duplicates, 1);
  assert.equal(verdictOf((all) => [...all, all[3]]).duplicates, 1);
});

test('the checker sees a replay in the wrong order', () => {
  const swapped = (all) => [...all.slice(0, 10), all[11], all[10], ...all.slice(12)];
  assert.equal(verdictOf(swapped).disorder, 1);
});

test('the checker sees content that is not what was published', () => {
  assert.equal(verdictOf((all) => all.map((m) => (m.content.n === 7 ? { ...m, content: { n: 8 } } : m))).wrong, 1);
});

test('a declared gap is no silent loss, a gap that was none is an error', () => {
  const lost = verdictOf((all, sub) => {
    sub.gap('room', 5, 9);
    return all.filter((m) => m.content.n < 5 || m.content.n > 9);
  });
  assert.deepEqual([lost.silent, lost.declared, lost.falseGaps], [0, 5, 0]);
  const lie = verdictOf((all, sub) => {
    sub.gap('room', 5, 9);
    return all;
  });
  assert.equal(lie.falseGaps, 5);
});

test('chance can be had again', () => {
  const one = new Rng(7), two = new Rng(7), other = new Rng(8);
  const a = Array.from({ length: 20 }, () => one.int(1, 1000));
  assert.deepEqual(a, Array.from({ length: 20 }, () => two.int(1, 1000)));
  assert.notDeepEqual(a, Array.from({ length: 20 }, () => other.int(1, 1000)));
  assert.ok(a.every((n) => n >= 1 && n <= 1000));
  assert.notEqual(new Rng(7).fork('a').u32(), new Rng(7).fork('b').u32());
});

test('frames have the length form and mask that RFC 6455 draws', () => {
  assert.equal(frame(OP.TEXT, 'Hello').toString('hex'), '818537fa213d7f9f4d5158');
  assert.equal(frame(OP.BINARY, Buffer.alloc(256), { mask: false }).subarray(0, 4).toString('hex'), '827e0100');
  assert.equal(frame(OP.BINARY, Buffer.alloc(65536), { mask: false }).subarray(0, 10).toString('hex'),
    '827f0000000000010000');
  assert.equal(inflated(deflated('Hello')).toString(), 'Hello');
});

// A server that sends back what comes, and what it has seen of its peers' ends.
async function echoServer(t) {
  const events = new Queue();
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (s) => {
    sockets.add(s);
    s.on('data', (d) => s.write(d));
    s.on('end', () => { events.push('fin'); s.end(); });
    s.on('error', () => events.push('rst'));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const s of sockets) s.destroy();
    server.close();
  });
  return { port: server.address().port, events };
}

async function through(t) {
  const server = await echoServer(t);
  const proxy = await startProxy(t, server.port);
  const client = await RawSocket.connect(proxy.port);
  await client.write('hi');
  assert.equal((await client.read(2)).toString(), 'hi');
  return { server, proxy, client, link: proxy.links[0] };
}

test('proxy: an orderly end passes in both directions', async (t) => {
  const { server, client, proxy } = await through(t);
  client.end();
  assert.equal(await server.events.next(), 'fin');
  await client.gone();
  assert.equal(client.wasReset, false);
  await until(() => proxy.links.length === 0, 'the link is forgotten');
});

test('proxy: cut is a FIN, reset an RST', async (t) => {
  const a = await through(t);
  a.link.cut();
  await a.client.gone();
  assert.equal(a.client.wasReset, false);
  assert.equal(await a.server.events.next(), 'fin');
  const b = await through(t);
  b.link.reset();
  await b.client.gone();
  await until(() => b.client.closed, 'closed');
  assert.equal(b.client.wasReset, true);
  assert.equal(await b.server.events.next(), 'rst');
});

test('proxy: drain brings what was sent before its FIN', async (t) => {
  const { client, link, server } = await through(t);
  await client.write(Buffer.alloc(100000, 1));
  await client.read(100000);
  link.drain();
  assert.equal(await server.events.next(), 'fin');
  await client.gone();
});

test('proxy: half-open swallows and tells nobody until it is reset', async (t) => {
  const { client, link, server } = await through(t);
  link.halfOpen();
  await client.write('lost');
  await until(() => link.up.total === 6, 'the proxy took it');
  assert.equal(client.ended, false);
  assert.equal(server.events.length, 0);
  link.reset();
  await client.gone();
});

test('proxy: a stalled direction keeps its bytes for later, the other goes on', async (t) => {
  const { client, link } = await through(t);
  link.stall('down');
  await client.write('later');
  await until(() => link.up.total === 7, 'the proxy took it');
  assert.equal(client.peek().length, 0);
  link.resume('down');
  assert.equal((await client.read(5)).toString(), 'later');
});

test('proxy: split, delay and throttle change the pieces, not the bytes', async (t) => {
  const { client, link } = await through(t);
  const data = new Rng(1).bytes(3000);
  link.split(7);
  link.delay(1, 'up');
  const seen = [];
  client.socket.on('data', (d) => seen.push(d.length));
  await client.write(data);
  assert.deepEqual(Buffer.from(await client.read(3000)), data);
  assert.ok(seen.length > 20, `${seen.length} pieces`);
});

test('proxy: an outage refuses, and its end does not', async (t) => {
  const { proxy } = await through(t);
  proxy.refusing = true;
  await assert.rejects(async () => { // at once, or with the first bytes
    const refused = await RawSocket.connect(proxy.port);
    await refused.read(1);
  });
  proxy.refusing = false;
  const client = await RawSocket.connect(proxy.port);
  await client.write('back');
  assert.equal((await client.read(4)).toString(), 'back');
  client.destroy();
});

test('proxy: the same seed strikes the same', async (t) => {
  const { proxy } = await through(t);
  const chaos = proxy.chaos(new Rng(3), { every: [1, 3], faults: { split: 1, delay: 1 } });
  await until(() => (proxy.counts.split || 0) + (proxy.counts.delay || 0) >= 5, 'five faults');
  await chaos.stop();
});
