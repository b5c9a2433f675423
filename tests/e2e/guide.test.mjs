// SPDX-License-Identifier: Apache-2.0
// The guide's own client code (tests/e2e/guide, as printed) in a browser, on pages that `tidewire dev
// FOLDER` serves. Only the address `wss://example.com` is another one. Each goes through a loss of its
// connection and through a restart of the server, and must have every message once and in order.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { transform } from '../../node_modules/esbuild/lib/main.js';
import { startProxy } from '../clients/lib/proxy.mjs';
import { serve } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-guide-'));
let browser;

// What the guide leaves to its reader: somewhere to show what comes.
const PAGE = `const got = [], shown = [];
  function handleUpdate(data) { got.push(data); }
  function showNotification(text) { shown.push(text); }`;

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGS });
});
after(async () => {
  await browser?.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

// The page NAME.html with that snippet, loaded from the server through a proxy.
async function start(t, name) {
  const server = await serve(t, { args: [folder] });
  const proxy = await startProxy(t, server.port);
  const host = `127.0.0.1:${proxy.port}`;
  const printed = fs.readFileSync(new URL(`./guide/${name}.txt`, import.meta.url), 'utf8');
  const { code } = await transform(printed.replace('wss://example.com', `ws://${host}`), { loader: 'ts' });
  fs.writeFileSync(path.join(folder, `${name}.js`), code);
  fs.writeFileSync(path.join(folder, `${name}.html`),
    `<!doctype html><title>${name}</title><script>${PAGE}</script><script src="${name}.js"></script>`);
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (e) => faults.push(e.message));
  await page.goto(`http://${host}/${name}.html`);
  return { server, proxy, page, faults };
}
const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const say = async (server, channel, from, to, event) => {
  for (const n of numbers(from, to)) await server.publish({ channel, event, content: { n } });
};
const cut = (proxy) => [...proxy.links].forEach((link) => link.reset());
// What the page has is known to the kernel of the server: a question of its own carries the word.
const acknowledged = async (page, socket) => {
  const pongs = await page.evaluate((name) => {
    const before = got.filter((m) => m.type === 'pong').length;
    eval(name).send(JSON.stringify({ type: 'ping' }));
    return before;
  }, socket);
  await page.waitForFunction((n) => got.filter((m) => m.type === 'pong').length > n, pongs);
};

test('long polling: every message once and in order, without a cursor', { timeout: 120000 }, async (t) => {
  const { server, proxy, page, faults } = await start(t, 'poll');
  const heard = () => page.evaluate(() => got.filter((m) => m.type === 'message').map((m) => m.content.n));
  const has = (n) => page.waitForFunction((count) => got.filter((m) => m.type === 'message').length >= count, n);
  const waits = () => until(async () => (await server.metric('tidewire_connections{transport="poll"}')) === 1, 'a poll waits');
  await waits();
  await say(server, 'main', 1, 30); // some find a poll that waits, some come between two
  await server.publish(numbers(31, 60).map((n) => ({ channel: 'main', content: { n } })));
  await has(60);
  await waits();
  cut(proxy);
  await say(server, 'main', 61, 70);
  await has(70); // five seconds later
  await waits();
  await server.stop(); // it is told by an answer, and asks a server that is not there
  await server.restart();
  await waits();
  await say(server, 'main', 71, 80);
  await has(80);
  assert.deepEqual(await heard(), numbers(1, 80));
  assert.deepEqual(faults, []);
});

test('EventSource: unnamed and named events, once and in order', { timeout: 120000 }, async (t) => {
  const { server, proxy, page, faults } = await start(t, 'events');
  const heard = () => page.evaluate(() => got.filter((m) => m.n).map((m) => m.n));
  const has = (n) => page.waitForFunction((count) => got.filter((m) => m.n).length >= count, n);
  const listens = () => until(async () => (await server.metric('tidewire_connections{transport="sse"}')) === 1, 'a stream is open');
  await page.waitForFunction(() => got.length === 1);
  const [hello] = await page.evaluate(() => got);
  assert.equal(hello.type, 'connected');
  assert.ok(Math.abs(hello.timestamp - Date.now()) < 60000);
  await say(server, 'main', 1, 20);
  await server.publish({ event: 'user-joined', content: { name: 'Ann' } });
  await has(20);
  await page.waitForFunction(() => shown.length === 1);
  assert.deepEqual(await page.evaluate(() => shown), ['Ann joined the channel']);
  cut(proxy);
  await say(server, 'main', 21, 40);
  await has(40);
  await listens();
  await server.stop();
  await server.restart();
  await listens();
  await say(server, 'main', 41, 50);
  await has(50);
  assert.deepEqual(await heard(), numbers(1, 50));
  await page.evaluate(() => eventSource.close());
  await until(async () => (await server.metric('tidewire_connections{transport="sse"}')) === 0, 'it is closed');
  assert.deepEqual(faults, []);
});

test('WebSocket: talks, comes back by itself, has missed nothing', { timeout: 120000 }, async (t) => {
  const { server, proxy, page, faults } = await start(t, 'socket');
  const heard = () => page.evaluate(() => got.filter((m) => m.type === 'message').map((m) => m.content.n ?? m.content));
  const has = (n) => page.waitForFunction((count) => got.filter((m) => m.type === 'message').length >= count, n);
  const listens = () => until(async () => (await server.metric('tidewire_subscriptions')) === 1, 'it has subscribed');
  const room = 'chat-room-1';
  await page.waitForFunction(() => got.some((m) => m.type === 'subscribed'));
  await page.evaluate(() => sendMessage('hello'));
  await has(1);
  await say(server, room, 1, 20);
  await has(21);
  await acknowledged(page, 'ws');
  cut(proxy);
  await say(server, room, 21, 40);
  await has(41);
  await listens();
  // An outage of some attempts, all of them in vain.
  await acknowledged(page, 'ws');
  proxy.refusing = true;
  cut(proxy);
  await page.waitForFunction(() => reconnectAttempts >= 2);
  await say(server, room, 41, 60);
  proxy.refusing = false;
  await has(61);
  await listens();
  await server.stop();
  await server.restart();
  await listens();
  await say(server, room, 61, 70);
  await has(71);
  assert.deepEqual(await heard(), ['hello', ...numbers(1, 70)]);
  assert.deepEqual(await page.evaluate(() => got.filter((m) => m.type === 'error')), []);
  assert.deepEqual(faults, []);
});

test('the offline queue: in order and once; its subscription comes back though it never asks again', { timeout: 120000 }, async (t) => {
  const { server, proxy, page, faults } = await start(t, 'queue');
  await page.evaluate((url) => {
    const Plain = WebSocket; // the guide's class shows no messages: they are taken down at the source
    globalThis.WebSocket = class extends Plain {
      constructor(...args) {
        super(...args);
        this.addEventListener('message', ({ data }) => handleUpdate(JSON.parse(data)));
      }
    };
    globalThis.queue = new OfflineQueueWebSocket(url);
    queue.send({ type: 'subscribe', channel: 'room' }); // not open yet: it waits for the next
    queue.send({ type: 'message', channel: 'room', content: { n: 1 } });
  }, `ws://127.0.0.1:${proxy.port}/socket`);
  await page.waitForFunction(() => got.some((m) => m.type === 'connected'));
  await page.evaluate(() => queue.send({ type: 'message', channel: 'room', content: { n: 2 } }));
  const heard = () => page.evaluate(() => got.filter((m) => m.type === 'message').map((m) => m.content.n));
  const has = (n) => page.waitForFunction((count) => got.filter((m) => m.type === 'message').length >= count, n);
  await has(2);
  await acknowledged(page, 'queue.ws');
  cut(proxy);
  await page.waitForFunction(() => queue.ws.readyState === 3);
  await page.evaluate(() => { // a burst of a thousand, more than a second may bring
    for (let n = 3; n <= 1002; n++) queue.send({ type: 'message', channel: 'room', content: { n } });
  });
  await page.waitForFunction(() => queue.ws.readyState === 1);
  await page.evaluate(() => queue.send({ type: 'message', channel: 'room', content: { n: 1003 } }));
  await has(1003);
  assert.deepEqual(await heard(), numbers(1, 1003));
  const { messages } = await server.channel('room', '?limit=256');
  assert.deepEqual(messages.map((m) => m.content.n), numbers(1003 - 255, 1003));
  assert.deepEqual(faults, []);
});
