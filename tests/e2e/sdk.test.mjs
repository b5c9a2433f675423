// SPDX-License-Identifier: Apache-2.0
// The packages in a real browser against the real server. The network is cut by our own
// TCP proxy, not by the browser.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build } from '../../node_modules/esbuild/lib/main.js';
import { startProxy } from '../clients/lib/proxy.mjs';
import { serve } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';

const top = fileURLToPath(new URL('../../', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-e2e-'));
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
let browser;

before(async () => {
  await build({
    stdin: {
      contents: `
        import * as client from '@tidewire/client';
        import { indexedDBOutbox } from '${top}clients/js/src/outbox.ts';
        import { shareTabs } from '${top}clients/js/src/shared.ts';
        import { deltas } from '${top}clients/js/src/delta.ts';
        import * as sockets from '${top}clients/sockets/src/index.ts';
        import * as hooks from '@tidewire/react';
        import * as React from 'react';
        import { createRoot } from 'react-dom/client';
        globalThis.tw = { ...client, indexedDBOutbox, shareTabs, deltas, sockets, hooks, React, createRoot };`,
      resolveDir: top,
    },
    outfile: path.join(folder, 'all.js'),
    bundle: true,
    format: 'iife',
    jsx: 'automatic',
    logLevel: 'error',
    supported: { 'dynamic-import': true },
    // One instance of the client: the hub of a shared connection uses its Connection.
    alias: { '@tidewire/client': `${top}clients/js/src/index.ts`, '@tidewire/react': `${top}clients/react/src/index.ts` },
  });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGS });
});
after(async () => {
  await browser?.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function context(t, options = {}) {
  const made = await browser.newContext({ bypassCSP: true, ...options });
  t.after(() => made.close());
  return made;
}
/** A page of the server with the packages in `tw`. */
async function page(made, url) {
  const p = await made.newPage();
  await p.goto(`${url}/plain.css`);
  await p.addScriptTag({ path: path.join(folder, 'all.js') });
  return p;
}
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('the outbox outlives a reload: all arrive, once, in order', async (t) => {
  const server = await serve(t);
  const proxy = await startProxy(t, server.port);
  const made = await context(t);
  const url = `http://127.0.0.1:${proxy.port}`;
  let p = await page(made, url);
  const start = () =>
    p.evaluate(() => {
      globalThis.client = tw.createClient({ outbox: tw.indexedDBOutbox(), reconnect: { minDelay: 20, maxDelay: 100 } });
      globalThis.room = client.channel('room');
    });
  await start();
  await p.evaluate(() => room.subscribe());
  const { port } = proxy;
  proxy.refusing = true;
  [...proxy.links].forEach((link) => link.reset());
  await p.waitForFunction(() => client.connection.state != 'connected');
  await p.evaluate(async () => {
    for (let n = 1; n <= 20; n++) room.publish('n', n);
    // Written when the database says so: a second store sees them.
    const count = () =>
      new Promise((done) => {
        const opening = indexedDB.open('tidewire-outbox', 1);
        opening.onsuccess = () => {
          const asked = opening.result.transaction('rows').objectStore('rows').count();
          asked.onsuccess = () => (opening.result.close(), done(asked.result));
        };
      });
    while ((await count()) < 20) await new Promise((done) => setTimeout(done, 10));
  });
  await p.close();
  proxy.refusing = false;
  assert.equal(proxy.port, port);
  p = await page(made, url);
  await start();
  await p.evaluate(() => client.connect());
  await p.waitForFunction(() => client.connection.state == 'connected' && client.outbox.size == 0);
  await until(async () => (await server.channel('room')).offset >= 20, 'twenty messages');
  const { messages } = await server.channel('room', '?limit=100');
  assert.deepEqual(
    messages.map((m) => m.content),
    numbers(1, 20),
  );
});

test('eight tabs share one connection; the leader goes, nothing is lost', { timeout: 90000 }, async (t) => {
  const server = await serve(t);
  const made = await context(t);
  const tabs = [];
  for (let i = 0; i < 8; i++) {
    const p = await page(made, server.url);
    await p.evaluate(async () => {
      globalThis.client = tw.createClient({ share: tw.shareTabs(), reconnect: { minDelay: 20, maxDelay: 200 } });
      globalThis.room = client.channel('room');
      globalThis.got = [];
      globalThis.gaps = 0;
      room.on('n', (m) => got.push(m.data));
      room.on('gap', () => gaps++);
      await room.subscribe();
    });
    tabs.push(p);
  }
  assert.equal(await server.metric('tidewire_connections{transport="websocket"}'), 1);
  for (const n of numbers(1, 10)) await server.publish({ channel: 'room', event: 'n', content: n });
  for (const p of tabs) await p.waitForFunction(() => got.length == 10);
  await tabs[0].close(); // the first is the one that leads
  for (const n of numbers(11, 20)) await server.publish({ channel: 'room', event: 'n', content: n });
  for (const p of tabs.slice(1)) {
    await p.waitForFunction(() => got.length >= 20);
    assert.deepEqual(await p.evaluate(() => [got, gaps]), [numbers(1, 20), 0]);
  }
  await tabs[1].evaluate(() => room.publish('n', 21));
  for (const p of tabs.slice(1)) await p.waitForFunction(() => got.at(-1) == 21);
});

test('StrictMode: one connection, one subscription, and nothing after unmount', async (t) => {
  const server = await serve(t);
  const p = await page(await context(t), server.url);
  await p.evaluate(() => {
    const { React, hooks, createRoot, createClient } = tw;
    globalThis.renders = 0;
    globalThis.client = createClient();
    function Room() {
      renders++;
      const { messages } = hooks.useMessages('room', { event: 'n', limit: 20000, rewind: 0 });
      hooks.usePresence('room', { name: 'x' }, 'x');
      return React.createElement('p', { id: 'count' }, String(messages.length));
    }
    document.body.innerHTML = '<div id="root"></div>';
    globalThis.root = createRoot(document.getElementById('root'));
    root.render(
      React.createElement(
        React.StrictMode,
        null,
        React.createElement(hooks.TidewireProvider, { client }, React.createElement(Room)),
      ),
    );
  });
  await p.waitForFunction(() => client.channel('room').state == 'attached');
  await until(async () => (await server.metric('tidewire_presence_members')) == 1, 'is present');
  assert.equal(await server.metric('tidewire_subscriptions'), 1);
  assert.equal(await server.metric('tidewire_connections{transport="websocket"}'), 1);
  const before = await p.evaluate(() => renders);
  // A burst: React is told once per frame.
  for (let i = 0; i < 10; i++) await server.publish(numbers(1, 60).map((n) => ({ channel: 'room', event: 'n', content: n })));
  await p.waitForFunction(() => document.getElementById('count').textContent == '600');
  const renders = (await p.evaluate(() => globalThis.renders)) - before;
  assert.ok(renders < 300, `${renders} renders for 600 messages`);
  await p.evaluate(() => root.unmount());
  await until(async () => (await server.metric('tidewire_subscriptions')) == 0, 'nothing is subscribed');
  await until(async () => (await server.metric('tidewire_presence_members')) == 0, 'nobody is present');
});

test('two hundred mounts leave nothing', async (t) => {
  const server = await serve(t);
  const p = await page(await context(t), server.url);
  await p.evaluate(async () => {
    const { React, hooks, createRoot, createClient } = tw;
    globalThis.client = createClient();
    const Room = ({ n }) => (hooks.useMessages(`room-${n % 7}`), hooks.useTyping(`room-${n % 7}`), null);
    document.body.innerHTML = '<div id="root"></div>';
    const root = createRoot(document.getElementById('root'));
    for (let n = 0; n < 200; n++) {
      root.render(React.createElement(hooks.TidewireProvider, { client }, React.createElement(Room, { n, key: n })));
      await new Promise((done) => setTimeout(done));
    }
    root.unmount();
  });
  await until(async () => (await server.metric('tidewire_subscriptions')) == 0, 'no subscription');
  await p.evaluate(() => client.close());
  await server.settled();
});

test('an optimistic message: sending, sent in its place; refused: failed, and retry', async (t) => {
  const server = await serve(t);
  const proxy = await startProxy(t, server.port);
  const p = await page(await context(t), `http://127.0.0.1:${proxy.port}`);
  await p.evaluate(() => {
    const { React, hooks, createRoot, createClient } = tw;
    globalThis.client = createClient({ transports: ['websocket'], reconnect: { minDelay: 20, maxDelay: 100 } });
    function Chat() {
      globalThis.chat = hooks.useChatMessages('room', 'ann');
      return React.createElement('p', { id: 'log' }, chat.messages.map((m) => `${m.content}:${m.status}`).join(' '));
    }
    document.body.innerHTML = '<div id="root"></div>';
    createRoot(document.getElementById('root')).render(
      React.createElement(
        React.StrictMode,
        null,
        React.createElement(hooks.TidewireProvider, { client }, React.createElement(Chat)),
      ),
    );
  });
  await p.waitForFunction(() => client.channel('room').state == 'attached');
  proxy.links.forEach((link) => link.delay(300));
  await p.evaluate(() => void chat.sendMessage('one'));
  await p.waitForFunction(() => document.getElementById('log').textContent == 'one:sending');
  await p.waitForFunction(() => document.getElementById('log').textContent == 'one:sent');
  await p.evaluate(() => void chat.sendMessage('x'.repeat(2 * 1024 * 1024)));
  await p.waitForFunction(
    () => document.getElementById('log').textContent.endsWith(':failed') || client.connection.state != 'connected',
    undefined,
    { timeout: 60000 },
  );
});

test('sockets: comes back by itself, and what waited goes out in order', async (t) => {
  const server = await serve(t);
  const proxy = await startProxy(t, server.port);
  const p = await page(await context(t), `http://127.0.0.1:${proxy.port}`);
  await p.evaluate((url) => {
    globalThis.got = [];
    globalThis.socket = new tw.sockets.OfflineQueueWebSocket(url, {
      minDelay: 20,
      maxDelay: 100,
      hello: () => [{ type: 'subscribe', channel: 'room' }],
    });
    socket.onmessage = ({ data }) => {
      const m = JSON.parse(data);
      if (m.type == 'message') got.push(m.content);
    };
    socket.send({ type: 'message', channel: 'room', content: 1 });
  }, `ws://127.0.0.1:${proxy.port}/socket?session=none`);
  await p.waitForFunction(() => got.length == 1);
  proxy.refusing = true;
  [...proxy.links].forEach((link) => link.reset());
  await p.waitForFunction(() => socket.readyState == 0);
  await p.evaluate(() => [2, 3, 4].forEach((n) => socket.send({ type: 'message', channel: 'room', content: n })));
  assert.equal(await p.evaluate(() => socket.queued), 3);
  proxy.refusing = false;
  await p.waitForFunction(() => got.length == 4);
  assert.deepEqual(await p.evaluate(() => got), [1, 2, 3, 4]);
  await p.evaluate(() => socket.close());
  assert.equal(await p.evaluate(() => socket.readyState), 3);
});

test('the page without a library: three transports, each cut comes back with all', { timeout: 60000 }, async (t) => {
  const server = await serve(t);
  const made = await context(t, { bypassCSP: false });
  const p = await made.newPage();
  await p.goto(`${server.url}/plain.html`);
  for (const name of ['WebSocket', 'Server-Sent Events', 'Long poll'])
    await p.waitForSelector(`[data-transport="${name}"] [data-state=connected]`);
  await p.waitForFunction(() => document.getElementById('count').textContent == '1');
  for (const button of await p.locator('.cut').all()) await button.click();
  await p.check('input[value=post]', { force: true });
  await p.click('#burst');
  for (const name of ['WebSocket', 'Server-Sent Events', 'Long poll']) {
    await p.waitForFunction(
      (n) => {
        const pane = document.querySelector(`[data-transport="${n}"]`);
        return pane.querySelector('[data-n=received]').textContent == '20' && pane.querySelector('[data-state=connected]');
      },
      name,
      { timeout: 20000 },
    );
    const pane = p.locator(`[data-transport="${name}"]`);
    assert.deepEqual(
      [await pane.locator('[data-n=gaps]').textContent(), await pane.locator('[data-n=twice]').textContent()],
      ['0', '0'],
      name,
    );
  }
});
