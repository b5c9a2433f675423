// SPDX-License-Identifier: Apache-2.0
// The demo in a real browser against the real server: the buttons that break the network.
// All comes back, in order, once.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serveAll } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';
import { button, count, counted, say, visitors } from './lib/visitor.mjs';

const server = serveAll({ before, after });
const visitor = visitors({ before, after }, server);
const said = (page, who) => page.locator(`[data-person=${who}] .bubble p`).allTextContents();

test('cut, silence, restart: all comes back, nothing twice', { timeout: 90000 }, async (t) => {
  const visit = await visitor(t);
  const p = await visit.open('chat');
  const talk = async (tag) => {
    await say(p, 'me', `${tag} mine`);
    await p.waitForSelector(`.bubble.sending:has-text("${tag} mine")`);
    for (const n of [1, 2, 3]) await say(p, 'robin', `${tag} ${n}`);
    await p.waitForSelector(`[data-person=robin] .bubble.sent:has-text("${tag} 3")`);
    assert.ok(!(await said(p, 'me')).some((m) => m == `${tag} 1`), 'nothing comes while away');
  };
  await counted(p, 'messages', 1);
  assert.equal(await count(p, 'recovered'), 0, 'history is nothing recovered');
  await button(p, 'Cut the network').click();
  await p.waitForSelector('[data-state=disconnected], [data-state=connecting]');
  await talk('cut');
  await button(p, 'Mend the network').click();
  await p.waitForSelector('[data-person=me] .bubble:has-text("cut 3")');
  await counted(p, 'recovered', 3);

  const recovered = await count(p, 'recovered');
  await button(p, 'Go offline').click();
  await p.waitForSelector('.bar .dot:has-text("silent")'); // nobody has noticed yet
  await talk('silent');
  await p.waitForSelector('[data-state=disconnected], [data-state=connecting]');
  await button(p, 'Go online').click();
  await p.waitForSelector('[data-person=me] .bubble:has-text("silent 3")');
  await counted(p, 'recovered', recovered + 3);

  await button(p, 'Restart the connection').click();
  await p.waitForSelector('.story:has-text("the session was kept")');
  await say(p, 'me', 'restarted');
  await p.waitForSelector('[data-person=robin] .bubble:has-text("restarted")');
  await p.waitForFunction(() => !document.querySelector('.bubble.sending'));
  const [mine, theirs] = [await said(p, 'me'), await said(p, 'robin')];
  assert.deepEqual(mine, theirs, 'both see one order');
  const told = ['cut', 'silent'].flatMap((tag) => [`${tag} mine`, ...[1, 2, 3].map((n) => `${tag} ${n}`)]);
  assert.deepEqual(mine.slice(-9).sort(), [...told, 'restarted'].sort());
  assert.deepEqual([await count(p, 'duplicates'), await count(p, 'gaps')], [0, 0]);
});

test('silence that ends before anybody notices loses nothing either', async (t) => {
  const visit = await visitor(t);
  const p = await visit.open('chat');
  await button(p, 'Go offline').click();
  await say(p, 'robin', 'into the silence');
  await p.waitForSelector('[data-person=robin] .bubble.sent:has-text("into the silence")');
  await button(p, 'Go online').click();
  await p.waitForSelector('[data-person=me] .bubble:has-text("into the silence")');
  assert.deepEqual([await count(p, 'duplicates'), await count(p, 'gaps')], [0, 0]);
});

test('the token expires: a fresh one goes up the open connection', async (t) => {
  const visit = await visitor(t);
  const p = await visit.open('chat');
  await p.evaluate(() => {
    globalThis.states = [];
    const badge = document.querySelector('[data-state]');
    new MutationObserver(() => states.push(badge.dataset.state)).observe(badge, {
      attributeFilter: ['data-state'],
    });
  });
  const failures = await server.metric('tidewire_auth_failures_total');
  await button(p, 'Expire the token').click();
  await counted(p, 'renewed', 1);
  await p.waitForSelector('.story:has-text("a fresh one went up")');
  // Past the end of the short one the connection is as it was.
  const end = Date.now() + 6000;
  await until(() => Date.now() > end, 'the old token has ended', { ms: 20000, every: 200 });
  await say(p, 'me', 'still here');
  await p.waitForSelector('[data-person=robin] .bubble:has-text("still here")');
  assert.deepEqual(await p.evaluate(() => states), []);
  assert.equal(await server.metric('tidewire_auth_failures_total'), failures);
});

test('what was written while away outlives a reload, and goes out once', async (t) => {
  const visit = await visitor(t);
  const p = await visit.open('chat');
  await button(p, 'Cut the network').click();
  await p.waitForSelector('[data-state=disconnected], [data-state=connecting]');
  await say(p, 'me', 'before the reload');
  await p.waitForFunction(async () => {
    const open = indexedDB.open('tidewire-outbox');
    await new Promise((done) => (open.onsuccess = done));
    const ask = open.result.transaction('rows').objectStore('rows').count();
    await new Promise((done) => (ask.onsuccess = done));
    open.result.close();
    return ask.result == 1;
  });
  await p.reload();
  const one = (who) => p.locator(`[data-person=${who}] .bubble:has-text("before the reload")`);
  for (const who of ['me', 'robin']) {
    await one(who).waitFor();
    assert.equal(await one(who).count(), 1);
  }
});
