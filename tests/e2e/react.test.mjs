// SPDX-License-Identifier: Apache-2.0
// The hooks in Chromium: a burst, rows of the real database, optimistic messages that fail, typing,
// throttled cursors, presence after a crash, server rendering and hydration.
import assert from 'node:assert/strict';
import path from 'node:path';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { build } from '../../node_modules/esbuild/lib/main.js';
import { until } from '../clients/lib/wait.mjs';
import { bundling, cut, numbers, pages, top } from './page.mjs';

const browser = pages({ before, after });
const text = (page, id) => page.textContent(`#${id}`);
const has = (page, id, wanted, options) =>
  page.waitForFunction(([i, w]) => document.getElementById(i)?.textContent === w, [id, wanted], options);

const start = (page, what, options = {}) =>
  page.evaluate(
    ([name, props, more]) => {
      globalThis.client ??= tw.createClient({ reconnect: { minDelay: 20, maxDelay: 100 }, ...more });
      globalThis.stop = tw.app.show(client, tw.React.createElement(tw.app[name], props));
    },
    [what.name, what.props ?? {}, options],
  );
const attached = (page, room) => page.waitForFunction((name) => client.channel(name).state == 'attached', room);

test('ten thousand messages at once: no long task, one render per frame', { timeout: 120000 }, async (t) => {
  const { server, page } = await browser.open(t, { config: { history: { count: 20000 } } });
  await start(page, { name: 'Count', props: { room: 'room' } });
  await attached(page, 'room');
  await page.evaluate(() => {
    globalThis.frames = 0;
    const tick = () => (frames++, requestAnimationFrame(tick));
    requestAnimationFrame(tick);
    shown.renders = 0;
  });
  await browser.browser.startTracing(page, { categories: ['toplevel'] });
  for (let n = 1; n <= 10000; n += 500)
    await server.publish(numbers(n, n + 499).map((content) => ({ channel: 'room', event: 'n', content })));
  await page.waitForFunction(() => shown.last === 10000, undefined, { timeout: 60000 });
  await has(page, 'count', '500');
  const trace = JSON.parse((await browser.browser.stopTracing()).toString());
  const { renders, frames } = await page.evaluate(() => ({ renders: shown.renders, frames }));
  // By the thread's own time: others may use the processor too.
  const mains = trace.traceEvents.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid} ${e.tid}`);
  const tasks = trace.traceEvents.filter((e) => /RunTask/.test(e.name) && mains.includes(`${e.pid} ${e.tid}`) && e.tdur);
  const longest = Math.max(...tasks.map((e) => e.tdur / 1000));
  t.diagnostic(`${renders} renders in ${frames} frames; ${tasks.length} tasks, the longest had ${longest} ms`);
  assert.ok(tasks.length > 20);
  assert.ok(renders <= frames + 2, `${renders} renders in ${frames} frames`);
  assert.ok(longest < 50, `a task took ${longest} ms`);
});

test('useTable: a snapshot and what changes, filtered, through a break, and what is refused', { timeout: 60000 }, async (t) => {
  const { server, proxy, page } = await browser.open(t);
  const rest = (method, where, body) =>
    fetch(`${server.url}/rest/v1/${where}`, {
      method,
      headers: { apikey: server.serviceKey, authorization: `Bearer ${server.serviceKey}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    }).then((answer) => assert.ok(answer.ok, `${answer.status}`));
  const insert = (content, room_id = 'a') => rest('POST', 'messages', { room_id, content });
  await insert('one');
  await insert('other', 'b');
  await start(page, { name: 'Table', props: { filter: 'room_id=eq.a' } }, { token: server.anonKey });
  await has(page, 'table', 'live: one');
  await insert('two');
  await insert('other', 'b');
  await has(page, 'table', 'live: one two');
  await rest('PATCH', 'messages?content=eq.one', { content: 'ONE' });
  await has(page, 'table', 'live: ONE two');
  await rest('DELETE', 'messages?content=eq.two');
  await has(page, 'table', 'live: ONE');
  proxy.refusing = true;
  cut(proxy);
  await page.waitForFunction(() => client.connection.state != 'connected');
  await insert('three');
  await rest('DELETE', 'messages?content=eq.ONE');
  proxy.refusing = false;
  await has(page, 'table', 'live: three');
  await page.evaluate(() => stop());
  await until(async () => (await server.metric('tidewire_subscriptions')) === 0, 'nothing is subscribed');
});

test('useRealtimeMessages: another room shows other rows; own and foreign, presence, refusal', async (t) => {
  const { server, page } = await browser.open(t);
  await start(page, { name: 'Rooms' }, { token: server.anonKey });
  await attached(page, 'table:messages?room_id=eq.a');
  await page.evaluate(() => shown.sendMessage('hi'));
  await has(page, 'rows', 'hi');
  await page.waitForFunction(() => shown.online === 1);
  await page.evaluate(() => shown.setRoom('b'));
  await attached(page, 'table:messages?room_id=eq.b');
  await has(page, 'rows', '');
  await page.evaluate(() => shown.sendMessage('there'));
  await has(page, 'rows', 'there');
  await page.evaluate(() => shown.setRoom('a'));
  await has(page, 'rows', 'hi');
  const refused = await page.evaluate(() => shown.sendMessage(null).then(() => 'sent', (e) => e.code));
  assert.equal(refused, '23502');
});

test('an optimistic message that is refused: failed, in its place; again, and sent', { timeout: 60000 }, async (t) => {
  const rules = (publish) => ({ channels: { rules: [{ match: '*', allow: { subscribe: '*', history: '*', publish } }] } });
  const { server, proxy, page } = await browser.open(t, { config: rules('none') });
  await start(page, { name: 'Chat', props: { room: 'room' } });
  await attached(page, 'room');
  proxy.links.forEach((link) => link.delay(200));
  await page.evaluate(() => void shown.chat.sendMessage('one'));
  await has(page, 'log', 'one:sending');
  await has(page, 'log', 'one:failed');
  assert.equal(await page.evaluate(() => shown.chat.failed[0].error.code), 4403);
  await server.stop();
  server.child = null;
  server.options.config = rules('*');
  await server.restart();
  await attached(page, 'room');
  await page.evaluate(() => void shown.chat.sendMessage('two'));
  await has(page, 'log', 'two:sent one:failed');
  await page.evaluate(() => void shown.chat.retry(shown.chat.failed[0].id));
  await has(page, 'log', 'two:sent one:sent');
  assert.equal((await server.channel('room')).offset, 2, 'each is there once');
});

test('typing: one start while it goes on, renewed in time, and a stop on blur', { timeout: 60000 }, async (t) => {
  const { server, context, page } = await browser.open(t);
  const other = await browser.tab(context, server.port);
  for (const p of [page, other]) await start(p, { name: 'Typist', props: { room: 'room' } });
  for (const p of [page, other]) await attached(p, 'room');
  await page.evaluate(() => {
    globalThis.frames = [];
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (data) {
      frames.push(JSON.parse(data));
      return send.call(this, data);
    };
  });
  const said = () => page.evaluate(() => frames.filter((f) => f.event === 'typing').map((f) => f.content.on));
  await page.focus('#say');
  for (let i = 0; i < 30; i++) await page.keyboard.press('a');
  await has(other, 'typing', 'Ann');
  const all = await said();
  assert.equal(all[0], true);
  assert.ok(all.length <= 4, `thirty keys made ${all.length} frames`);
  await page.evaluate(() => document.activeElement.blur());
  await has(other, 'typing', '');
  assert.equal((await said()).at(-1), false);
  // Who vanishes while typing is forgotten.
  await page.focus('#say');
  await page.keyboard.press('b');
  await has(other, 'typing', 'Ann');
  await page.close({ runBeforeUnload: false });
  await has(other, 'typing', '');
});

test('throttle: a thousand moves are few frames, and the last position arrives', async (t) => {
  const { server, context, page } = await browser.open(t);
  const other = await browser.tab(context, server.port);
  for (const p of [page, other]) await start(p, { name: 'Cursor', props: { room: 'room' } });
  for (const p of [page, other]) await attached(p, 'room');
  const { frames, ms } = await page.evaluate(async () => {
    let frames = 0;
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (data) {
      if (JSON.parse(data).event === 'cursor') frames++;
      return send.call(this, data);
    };
    const began = performance.now();
    for (let n = 1; n <= 1000; n++) {
      shown.move({ x: n });
      if (n % 10 == 0) await new Promise((done) => setTimeout(done, 10));
    }
    return { frames, ms: performance.now() - began };
  });
  await has(other, 'cursors', '1000');
  t.diagnostic(`${frames} frames in ${Math.round(ms)} ms`);
  assert.ok(frames <= ms / 50 + 2, `${frames} frames in ${ms} ms`);
});

test('presence: who crashes leaves within the lease; a short break is no leave', { timeout: 60000 }, async (t) => {
  const { server, proxy, page } = await browser.open(t, {
    config: { ws: { ping_ms: '1s', pong_ms_max: '1s' }, session: { resume_ms: '5s' }, presence: { lease_ms: '3s' } },
  });
  const watcher = await browser.tab(await browser.context(t), server.port);
  await start(page, { name: 'Members', props: { room: 'room', name: 'ann' } });
  await start(watcher, { name: 'Members', props: { room: 'room' } });
  await has(watcher, 'members', 'ann');
  await watcher.evaluate(() => {
    globalThis.leaves = 0;
    client.channel('room').presence.on('leave', () => leaves++);
  });
  cut(proxy);
  await page.waitForFunction(() => client.connection.last.recovered === true);
  await until(async () => (await server.metric('tidewire_presence_members')) === 1, 'still one');
  assert.equal(await watcher.evaluate(() => leaves), 0, 'no flicker');
  proxy.refusing = true;
  proxy.links.forEach((link) => link.halfOpen());
  await has(watcher, 'members', '', { timeout: 20000 });
  assert.equal(await watcher.evaluate(() => leaves), 1);
});

test('a server renders without a connection, and the browser takes it over as it is', async (t) => {
  const outfile = path.join(browser.folder, 'ssr.cjs');
  await build({
    ...bundling,
    stdin: {
      contents: `import { createClient } from '@tidewire/client';
        import { renderToString } from 'react-dom/server';
        import { Page } from './app.tsx';
        export const opened = [];
        class Socket { constructor(url) { opened.push(url); } }
        export const render = () => {
          const client = createClient({ url: 'http://127.0.0.1:9', WebSocket: Socket, fetch: (url) => (opened.push(url), new Promise(() => {})) });
          return [renderToString(<Page client={client} />), client.connection.state];
        };`,
      resolveDir: `${top}tests/e2e`,
      loader: 'tsx',
    },
    outfile,
    format: 'cjs',
    platform: 'node',
  });
  const { render, opened } = createRequire(import.meta.url)(outfile);
  const [html, state] = render();
  await new Promise((done) => setTimeout(done, 50)); // longer than any effect would take
  assert.match(html, /initialized false/);
  assert.equal(state, 'initialized');
  assert.deepEqual(opened, []);

  browser.page('ssr.html', html);
  const { server } = await browser.open(t);
  const page = await browser.tab(await browser.context(t), server.port, 'ssr.html');
  await page.evaluate(() => {
    globalThis.wrong = [];
    globalThis.client = tw.app.hydrate((error) => wrong.push(String(error)));
  });
  await has(page, 'state', 'connected true');
  await has(page, 'members', 'ann');
  assert.deepEqual(await page.evaluate(() => wrong), []);
  assert.deepEqual(page.faults, []);
});

test('a component that throws leaves nothing behind; hot mounts are one subscription; own clients are closed', { timeout: 60000 }, async (t) => {
  const { server, page } = await browser.open(t);
  const none = (what) => until(async () => (await server.metric(what)) === 0, `${what} is 0`);
  await start(page, { name: 'Guarded' });
  await attached(page, 'room');
  await until(async () => (await server.metric('tidewire_presence_members')) === 1, 'present');
  await server.publish({ channel: 'room', event: 'n', content: 13 });
  await has(page, 'broken', 'thirteen');
  await none('tidewire_subscriptions');
  await none('tidewire_presence_members');
  // A listener of the application that throws stops nobody.
  await page.evaluate(() => {
    stop();
    client.channel('room').on('n', () => {
      throw new Error('of a listener');
    });
    for (let n = 0; n < 20; n++) {
      globalThis.stop = tw.app.show(client, tw.React.createElement(tw.app.Count, { room: 'room' }));
      if (n < 19) stop();
    }
  });
  await attached(page, 'room');
  await until(async () => (await server.metric('tidewire_subscriptions')) === 1, 'one subscription');
  await server.publish({ channel: 'room', event: 'n', content: 1 });
  await has(page, 'count', '1');
  assert.ok(page.faults.every((fault) => /of a listener|thirteen/.test(fault)), page.faults.join());
  await page.evaluate(() => (stop(), client.close()));
  for (const how of ['showOwn', 'showBare']) {
    await none('tidewire_connections{transport="websocket"}');
    await page.evaluate((name) => (globalThis.stop = tw.app[name]()), how);
    if (how == 'showOwn') await has(page, 'state', 'connected true');
    else await page.waitForSelector('#state');
    await page.evaluate(() => stop());
  }
  await none('tidewire_connections{transport="websocket"}');
});
