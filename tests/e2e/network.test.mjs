// SPDX-License-Identifier: Apache-2.0
// The client in Chromium on networks that are not kind: every transport, proxies that refuse or keep,
// a killed server, a half-open link, sleep, a page that is put away; under a strict CSP.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startHostile } from '../clients/lib/hostile.mjs';
import { until } from '../clients/lib/wait.mjs';
import { hears, pages, say, start } from './page.mjs';

const browser = pages({ before, after });

test('each transport; and the next one where a proxy refuses WebSocket, or keeps streams too', { timeout: 90000 }, async (t) => {
  const { server, context } = await browser.open(t);
  for (const [name, manners, options] of [
    ['websocket', {}, {}],
    ['sse', {}, { transports: ['sse'] }],
    ['polling', {}, { transports: ['polling'] }],
    ['sse', { upgrade: false }, {}],
    ['polling', { upgrade: false, streams: false }, {}],
  ]) {
    const hostile = await startHostile(t, server.port, manners);
    const page = await browser.tab(context, hostile.port);
    await start(page, options);
    assert.equal(await page.evaluate(() => client.connection.transport), name);
    const { offset } = await page.evaluate(() => room.publish('n', 1));
    await page.waitForFunction(() => got.length == 1);
    assert.equal((await server.channel('room')).offset, offset);
    assert.deepEqual(page.faults, []); // the CSP lets all of it pass
    // What worked is remembered: the next page does not try what does not.
    if (!manners.upgrade && name != 'websocket' && !options.transports) {
      hostile.seen.length = 0;
      const second = await browser.tab(context, hostile.port);
      await start(second, options);
      assert.deepEqual(hostile.seen.filter((url) => /^upgrade/.test(url)), []);
    }
    await page.close();
  }
});

test('a bad token is known at once, and by its code', async (t) => {
  const { page } = await browser.open(t);
  const requests = [];
  page.on('request', (r) => requests.push(r.url()));
  const refused = await page.evaluate(async () => {
    globalThis.client = tw.createClient({ token: 'not.a.token' });
    const error = await client.channel('room').subscribe().catch((e) => e);
    return [error.code, error.message, client.connection.state, client.connection.transport];
  });
  assert.deepEqual(refused, [4402, 'Invalid authentication token', 'failed', 'websocket']);
  assert.deepEqual(requests.filter((url) => /api/.test(url)), [], 'it took no second transport');
});

test('the server is killed under a thousand durable messages: each once, in order', { timeout: 120000 }, async (t) => {
  const config = { channels: { rules: [{ match: '*', durable: true, history: { count: 5000 }, allow: { subscribe: '*', publish: '*', history: '*' } }] } };
  const { server, context, page } = await browser.open(t, { config });
  const writer = await browser.tab(context, server.port);
  await start(page);
  await start(writer);
  await writer.evaluate(() => void Promise.all(Array.from({ length: 500 }, (_, n) => room.publish('n', n + 1))));
  await page.waitForFunction(() => got.length > 100);
  await server.kill();
  await page.waitForFunction(() => client.connection.state != 'connected');
  await writer.evaluate(() => void Promise.all(Array.from({ length: 500 }, (_, n) => room.publish('n', n + 501))));
  await server.restart();
  await hears(page, 1000, { timeout: 60000 });
  assert.equal((await server.channel('room')).offset, 1000);
});

test('a half-open link is noticed within two heartbeats; a link that slept, on waking', { timeout: 60000 }, async (t) => {
  const { server, proxy, page } = await browser.open(t);
  await start(page, { heartbeat: 1000 });
  const began = Date.now();
  proxy.links.forEach((link) => link.halfOpen());
  await say(server, 1, 5);
  await page.waitForFunction(() => changes.includes('disconnected'));
  const took = Date.now() - began;
  await hears(page, 5);
  t.diagnostic(`noticed after ${took} ms`);
  assert.ok(took < 2000 + 3000, `${took} ms`); // the page may get its turn late

  // The machine slept: what it had open is dead, nobody told it, and its timers stood still.
  await page.evaluate(() => client.close());
  await start(page, { heartbeat: 3600000 });
  proxy.links.forEach((link) => link.halfOpen());
  await say(server, 1, 3);
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await hears(page, 3);
});

test('a page that is frozen lets go and comes back with what it missed', { timeout: 60000 }, async (t) => {
  const { server, page } = await browser.open(t);
  await start(page);
  // A headless browser freezes no page that is shown: the events as it would send them.
  await page.evaluate(() => document.dispatchEvent(new Event('freeze')));
  await until(async () => (await server.metric('tidewire_connections{transport="websocket"}')) === 0, 'it let go');
  await say(server, 1, 5);
  await page.evaluate(() => document.dispatchEvent(new Event('resume')));
  await hears(page, 5);
});

test('back and forward: the page is as it was, and has what it missed', { timeout: 60000 }, async (t) => {
  const { server, proxy, page } = await browser.open(t);
  await start(page);
  await page.evaluate(() => (globalThis.mark = 1));
  await say(server, 1, 3);
  await hears(page, 3);
  await page.goto(`http://127.0.0.1:${proxy.port}/away.html`);
  await until(async () => (await server.metric('tidewire_connections{transport="websocket"}')) === 0, 'it let go');
  await say(server, 4, 6);
  await page.goBack({ waitUntil: 'commit' }); // a page that was kept is not loaded
  if ((await page.evaluate(() => globalThis.mark)) === 1) {
    await hears(page, 6);
    return;
  }
  t.diagnostic('this browser keeps no pages: it was loaded anew');
  await start(page);
  await say(server, 7, 7);
  await page.waitForFunction(() => got.at(-1) == 7);
});
