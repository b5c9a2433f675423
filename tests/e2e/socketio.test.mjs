// SPDX-License-Identifier: Apache-2.0
// socket.io-client in a real browser: the guide's React hook `useSocket` (tests/e2e/guide, as printed;
// only its address is another one), in an app on an origin of its own, under StrictMode, against the
// event rules that `tidewire dev` brings.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build } from '../../node_modules/esbuild/lib/main.js';
import { io } from '../clients/node_modules/socket.io-client/build/esm-debug/index.js';
import { startProxy } from '../clients/lib/proxy.mjs';
import { serve } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';

const top = fileURLToPath(new URL('../../', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-e2e-socketio-'));
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const VERSIONS = { 4.8: 'socket.io-client', 4.5: 'socket.io-client-4.5' };

const APP = `
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useSocket } from './useSocket';

function ChatRoom({ roomId }) {
  const chat = useSocket(roomId);
  globalThis.chat = chat;
  return <main>
    <p id="connected">{roomId} {String(chat.connected)}</p>
    <p id="log">{chat.messages.map((m) => m.userName + ': ' + m.message).join(', ')}</p>
  </main>;
}

function App() {
  const [room, setRoom] = useState('one');
  globalThis.setRoom = setRoom;
  return room ? <ChatRoom roomId={room} /> : <p id="connected">nowhere</p>;
}
document.body.innerHTML = '<div id="root"></div>';
createRoot(document.getElementById('root')).render(<StrictMode><App /></StrictMode>);
`;

let browser, site, origin;

before(async () => {
  const printed = fs.readFileSync(new URL('./guide/useSocket.txt', import.meta.url), 'utf8');
  fs.writeFileSync(path.join(folder, 'useSocket.ts'), printed.replace("'http://localhost:3001'", 'globalThis.SERVER'));
  fs.writeFileSync(path.join(folder, 'app.jsx'), APP);
  for (const [version, name] of Object.entries(VERSIONS))
    await build({
      entryPoints: [path.join(folder, 'app.jsx')],
      outfile: path.join(folder, `${version}.js`),
      bundle: true,
      format: 'iife',
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': '"development"' }, // StrictMode mounts twice
      logLevel: 'error',
      nodePaths: [path.join(top, 'node_modules')],
      alias: { 'socket.io-client': path.join(top, 'tests/clients/node_modules', name) },
    });
  site = http.createServer((req, res) => {
    const version = req.url.match(/^\/(4\.\d+)(\.js)?$/);
    if (!version) return void res.writeHead(404).end();
    res.setHeader('content-type', version[2] ? 'text/javascript' : 'text/html; charset=utf-8');
    res.end(version[2] ? fs.readFileSync(path.join(folder, `${version[1]}.js`))
      : `<!doctype html><title>app</title><body><script src="/${version[1]}.js"></script>`);
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${site.address().port}`;
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGS });
});
after(async () => {
  await browser?.close();
  site?.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function user(t, server, name, version, port = server.port) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const said = [], faults = [];
  page.on('console', (m) => said.push(m.text()));
  page.on('pageerror', (e) => faults.push(e.message));
  await page.addInitScript(([address, token]) => {
    globalThis.SERVER = address;
    localStorage.setItem('auth-token', token);
  }, [`http://127.0.0.1:${port}`, server.mint({ sub: name, name: name.toUpperCase() })]);
  await page.goto(`${origin}/${version}`);
  const is = (text) => page.waitForFunction((x) => document.getElementById('connected').textContent === x, text);
  const log = () => page.textContent('#log');
  const logs = (text) => page.waitForFunction((x) => document.getElementById('log').textContent === x, text);
  const say = (text) => page.evaluate((x) => globalThis.chat.sendMessage(x), text);
  await is('one true');
  return { page, said, faults, is, log, logs, say };
}

for (const version of Object.keys(VERSIONS))
  test(`the hook of the guide with socket.io-client ${version}`, { timeout: 120000 }, async (t) => {
    const server = await serve(t, { config: { http: { origins: [origin] }, socketio: { recovery_ms: '15s' } } });
    const proxy = await startProxy(t, server.port);
    const cat = io(server.url, { transports: ['websocket'], auth: { token: server.mint({ sub: 'cat', name: 'CAT' }) } });
    t.after(() => cat.disconnect());
    const heard = [];
    cat.onAny((event, data) => heard.push([event, data?.userId]));
    await cat.timeout(20000).emitWithAck('join-room', 'one');

    const ann = await user(t, server, 'ann', version, proxy.port);
    const bob = await user(t, server, 'bob', version);
    const joined = (u) => u.said.filter((line) => line.endsWith('joined the room'));
    await until(() => joined(ann).length, 'bob came');
    await bob.say('hi');
    await ann.logs('BOB: hi');
    await ann.say('hello "bob"');
    await bob.logs('ANN: hello "bob"');

    // Typing is heard by the others, once.
    heard.length = 0;
    await bob.page.evaluate(() => [1, 2, 3].forEach(() => globalThis.chat.startTyping()));
    await bob.page.evaluate(() => globalThis.chat.stopTyping());
    await until(() => heard.length >= 2, 'typing');
    assert.deepEqual(heard, [['user-typing', 'bob'], ['user-stopped-typing', 'bob']]);

    // A cut. 4.5 has no recovery: it joins again, and has missed what was said meanwhile.
    proxy.refusing = true;
    [...proxy.links].forEach((link) => link.reset());
    await ann.is('one false');
    if (version !== '4.5') await bob.say('while you were away');
    proxy.refusing = false;
    await ann.is('one true');
    if (version !== '4.5') await ann.logs('BOB: hi, BOB: while you were away');
    // It has joined again: its own word comes after its join.
    await ann.say('back');
    await bob.logs('ANN: hello "bob", ANN: back');
    await bob.say('welcome');
    await ann.page.waitForFunction(() => document.getElementById('log').textContent.endsWith('welcome'));
    assert.deepEqual(joined(bob), [], 'ann is announced once, StrictMode and the cut notwithstanding');
    assert.deepEqual(joined(ann), ['BOB joined the room']);

    // Another room, nothing from the old one; and away.
    const before = await ann.log();
    await ann.page.evaluate(() => setRoom('two'));
    await ann.is('two true');
    await bob.say('anybody?');
    await cat.timeout(20000).emitWithAck('join-room', 'two');
    await cat.timeout(20000).emitWithAck('send-message', { roomId: 'two', message: 'new room' });
    await ann.logs(`${before}, CAT: new room`);
    for (const u of [ann, bob]) {
      await u.page.evaluate(() => setRoom(null));
      await u.is('nowhere');
      assert.deepEqual(u.faults, []);
    }
    cat.disconnect();
    // Sessions that were left behind (by 4.5 at the cut, by StrictMode's first mount) go in their time.
    await server.settled({ names: ['tidewire_sessions', 'tidewire_subscriptions'] });
  });

test('an origin that is not listed gets nothing; a bad token is told', { timeout: 60000 }, async (t) => {
  const server = await serve(t, { config: { http: { origins: ['https://elsewhere.example'] } } });
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.addInitScript((address) => { globalThis.SERVER = address; }, server.url);
  await page.goto(`${origin}/4.8`);
  const refused = await page.evaluate((address) => new Promise((resolve) => {
    fetch(`${address}/socket.io/?EIO=4&transport=polling`).then(() => resolve('let in'), () => resolve('refused'));
  }), server.url);
  assert.equal(refused, 'refused');
  assert.equal(await page.textContent('#connected'), 'one false');
});
