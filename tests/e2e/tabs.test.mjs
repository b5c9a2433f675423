// SPDX-License-Identifier: Apache-2.0
// Tabs that share a connection: by a SharedWorker, by a tab that leads, behind a proxy without WebSocket;
// tokens and users.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startHostile } from '../clients/lib/hostile.mjs';
import { until } from '../clients/lib/wait.mjs';
import { cut, hears, pages, say, start } from './page.mjs';

const browser = pages({ before, after });

for (const how of ['worker', 'leader']) {
  test(`shared tabs (${how}): one connection; a tab goes, the link breaks, nothing is lost`, { timeout: 90000 }, async (t) => {
    const { server, proxy, context, page } = await browser.open(t);
    const tabs = [page];
    while (tabs.length < 4) tabs.push(await browser.tab(context, proxy.port));
    for (const tab of tabs) await start(tab, {}, how);
    assert.equal(await server.metric('tidewire_connections{transport="websocket"}'), 1);
    await say(server, 1, 5);
    for (const tab of tabs) await hears(tab, 5);
    const began = Date.now();
    await tabs.shift().close();
    await say(server, 6, 10);
    for (const tab of tabs) await hears(tab, 10);
    t.diagnostic(`all had it ${Date.now() - began} ms after the first tab went`);
    cut(proxy);
    await say(server, 11, 15);
    for (const tab of tabs) await hears(tab, 15);
    // Of one who leaves the others go on; what he says reaches all; presence is by tab.
    await tabs[0].evaluate(() => room.unsubscribe());
    await tabs[1].evaluate(() => room.publish('n', 16));
    for (const tab of tabs.slice(1)) await hears(tab, 16);
    await tabs[1].evaluate(() => room.presence.enter({ tab: 1 }, 'ann'));
    await tabs[2].evaluate(() => room.presence.enter({ tab: 2 }, 'ann'));
    await until(async () => (await server.channel('room')).presence[0]?.metas[0].tab === 2, 'present, once');
    await tabs[2].close();
    await until(async () => (await server.channel('room')).presence[0]?.metas[0].tab === 1, 'the other still is');
    for (const tab of tabs.slice(0, 2)) assert.deepEqual(tab.faults, []);
    for (const tab of tabs.slice(0, 2)) await tab.close();
    await until(async () => (await server.metric('tidewire_connections{transport="websocket"}')) === 0, 'the last tab closes it');
  });
}

test('nine shared tabs behind a proxy without WebSocket are one stream; requests of a page still go out', { timeout: 90000 }, async (t) => {
  const { server, context } = await browser.open(t);
  const hostile = await startHostile(t, server.port, { upgrade: false });
  const tabs = [];
  for (let n = 0; n < 9; n++) {
    tabs.push(await browser.tab(context, hostile.port));
    await start(tabs[n], {}, 'leader');
  }
  assert.equal(await server.metric('tidewire_connections{transport="sse"}'), 1);
  await say(server, 1, 3);
  for (const tab of tabs) await hears(tab, 3);
  for (const tab of tabs) assert.equal(await tab.evaluate(() => fetch('/health/live').then((a) => a.status)), 200);
});

test('a token that ends is renewed in all tabs without a break; another user has another connection', { timeout: 60000 }, async (t) => {
  const { server, proxy, context, page } = await browser.open(t, { config: { auth: { expiring_ms: '2s' } } });
  const second = await browser.tab(context, proxy.port);
  let minted = 0;
  const mint = (sub) =>
    server.mint({ sub, role: 'authenticated', exp: Math.floor(Date.now() / 1000) + (minted++ < 2 ? 4 : 3600) });
  for (const p of [page, second]) await p.exposeFunction('mint', mint);
  const open = (p, sub) =>
    p.evaluate(async (who) => {
      Object.assign(globalThis, { got: [], gaps: [], changes: [], reasons: [] });
      globalThis.client = tw.createClient({
        share: tw.shareTabs(),
        token: ({ reason }) => (reasons.push(reason), mint(who)),
      });
      globalThis.room = client.channel('room');
      room.on('n', (m) => got.push(m.data));
      await room.subscribe();
      client.connection.on('change', ({ current }) => changes.push(current));
    }, sub);
  for (const p of [page, second]) await open(p, 'ann');
  await until(async () => (await page.evaluate(() => reasons)).includes('expiring') ||
    (await second.evaluate(() => reasons)).includes('expiring'), 'a fresh token is asked for');
  const end = Date.now() + 4000;
  let n = 0;
  while (Date.now() < end) await say(server, ++n, n);
  for (const p of [page, second]) {
    await hears(p, n);
    assert.deepEqual(await p.evaluate(() => changes), []);
  }
  const third = await browser.tab(context, proxy.port);
  await third.exposeFunction('mint', mint);
  await open(third, 'bob');
  assert.equal(await server.metric('tidewire_connections{transport="websocket"}'), 2);
});
