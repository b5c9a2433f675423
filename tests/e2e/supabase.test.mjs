// SPDX-License-Identifier: Apache-2.0
// supabase-js in a real browser: an app on an origin of its own with a room as apps write it (one
// effect: broadcast, presence, rows, track when SUBSCRIBED), under React's StrictMode, in two
// browsers that see each other come, type, reload and go.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
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
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-e2e-supabase-'));
const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const VERSIONS = ['2.80', '2.109', '2.119'];

const APP = `
import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { createClient } from '@supabase/supabase-js';

const { url, key, user, keyed } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const supabase = createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false } });
globalThis.statuses = [];
globalThis.system = [];

function useRealtimeMessages(roomId) {
  const [messages, setMessages] = useState([]);
  const [said, setSaid] = useState([]);
  const [typing, setTyping] = useState([]);
  const [online, setOnline] = useState([]);
  const [channel, setChannel] = useState(null);
  useEffect(() => {
    const roomChannel = supabase.channel('room:' + roomId, keyed ? { config: { presence: { key: user } } } : undefined);
    roomChannel
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages', filter: 'room_id=eq.' + roomId },
        (payload) => setMessages((prev) => [...prev, payload.new]))
      .on('broadcast', { event: 'new-message' }, ({ payload }) => setSaid((prev) => [...prev, payload.text]))
      .on('broadcast', { event: 'typing' }, ({ payload }) => setTyping((prev) => [...prev, payload.user_id]))
      .on('system', {}, (payload) => globalThis.system.push(payload))
      .on('presence', { event: 'sync' }, () =>
        setOnline(Object.values(roomChannel.presenceState()).flat().map((m) => m.user_id).sort()))
      .subscribe((status) => {
        globalThis.statuses.push(status);
        if (status === 'SUBSCRIBED') roomChannel.track({ user_id: user, online_at: new Date().toISOString() });
      });
    setChannel(roomChannel);
    return () => { roomChannel.unsubscribe(); };
  }, [roomId]);
  const sendMessage = async (content) => {
    const { error } = await supabase.from('messages').insert({ room_id: roomId, content });
    if (error) globalThis.failed = error;
  };
  const broadcast = (event, payload) => channel?.send({ type: 'broadcast', event, payload });
  return { messages, said, typing, online, sendMessage, broadcast };
}

function ChatRoom({ roomId }) {
  const [input, setInput] = useState('');
  const { messages, said, typing, online, sendMessage, broadcast } = useRealtimeMessages(roomId);
  globalThis.say = (text) => broadcast('new-message', { text });
  const type = (e) => { setInput(e.target.value); broadcast('typing', { user_id: user }); };
  return <main>
    <ul id="rows">{messages.map((m) => <li key={m.id}>{m.content}</li>)}</ul>
    <p id="said">{said.join(' ')}</p><p id="typing">{typing.join(' ')}</p><p id="online">{online.join(' ')}</p>
    <input value={input} onChange={type} onKeyDown={(e) => e.key === 'Enter' && sendMessage(input)} />
  </main>;
}

function App() {
  const [room, setRoom] = useState('one');
  globalThis.setRoom = setRoom;
  return room ? <ChatRoom roomId={room} /> : <p>nowhere</p>;
}
document.body.innerHTML = '<div id="root"></div>';
createRoot(document.getElementById('root')).render(<StrictMode><App /></StrictMode>);
`;

let browser, site, origin;

before(async () => {
  for (const version of VERSIONS)
    await build({
      stdin: { contents: APP, loader: 'jsx', resolveDir: top },
      outfile: path.join(folder, `${version}.js`),
      bundle: true,
      format: 'iife',
      jsx: 'automatic',
      jsxDev: false,
      // StrictMode mounts twice in development only.
      define: { 'process.env.NODE_ENV': '"development"' },
      logLevel: 'error',
      alias: { '@supabase/supabase-js': path.join(top, `tests/clients/node_modules/supabase-js-${version}`) },
    });
  site = http.createServer((req, res) => {
    const version = req.url.match(/^\/(2\.\d+)(\.js)?$/);
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

// A browser of its own (cookies, storage) with the app in one tab.
async function visit(t, server, version, user, { url = server.url, ...more } = {}) {
  const made = await browser.newContext();
  t.after(() => made.close());
  const page = await made.newPage();
  page.faults = [];
  page.on('pageerror', (e) => page.faults.push(e.message));
  await page.goto(`${origin}/${version}#${new URLSearchParams({ url, key: server.anonKey, user, ...more })}`);
  page.shows = (id, text) => page.waitForFunction(([i, x]) => document.getElementById(i)?.textContent === x, [id, text]);
  return page;
}

for (const version of VERSIONS) {
  test(`${version}: two browsers see each other come, type, reload and go`, { timeout: 90000 }, async (t) => {
    const server = await serve(t);
    const a = await visit(t, server, version, 'ann', { keyed: 1 });
    await a.shows('online', 'ann');
    const b = await visit(t, server, version, 'bob', { keyed: 1 });
    await Promise.all([a.shows('online', 'ann bob'), b.shows('online', 'ann bob')]);

    await b.locator('input').pressSequentially('hi');
    await a.shows('typing', 'bob bob');
    await b.shows('typing', ''); // not his own
    await b.keyboard.press('Enter');
    for (const p of [a, b]) await p.waitForSelector('#rows li:has-text("hi")');
    await a.evaluate(() => say('hello'));
    await b.shows('said', 'hello');

    for (let i = 0; i < 2; i++) {
      await b.reload();
      await b.shows('online', 'ann bob');
      await a.shows('online', 'ann bob'); // and nobody twice
    }
    await a.evaluate(() => say('again'));
    await b.waitForFunction(() => document.getElementById('said').textContent.endsWith('again'));

    await b.close();
    await a.shows('online', 'ann');
    assert.deepEqual(a.faults, []);
    assert.deepEqual(b.faults, []);
    assert.equal(await a.evaluate(() => globalThis.failed ?? null), null);
  });

  if (version === '2.80') continue; // the rest of it in Node.js

  test(`${version}: StrictMode and quick changes of the room end SUBSCRIBED once, with one member`, { timeout: 90000 }, async (t) => {
    const server = await serve(t);
    const [a, b] = [await visit(t, server, version, 'ann'), await visit(t, server, version, 'bob')];
    await a.shows('online', 'ann bob');
    assert.deepEqual(await a.evaluate(() => statuses.filter((s) => s === 'SUBSCRIBED').length), 1);
    await until(async () => (await server.metric('tidewire_subscriptions')) === 2, 'one subscription each');
    assert.equal(await server.metric('tidewire_presence_members'), 2);

    await a.evaluate(() => { for (const room of ['two', 'one', 'two', 'one', 'two']) setRoom(room); });
    await a.shows('online', 'ann');
    await b.shows('online', 'bob');
    await a.evaluate(() => setRoom('one'));
    await Promise.all([a.shows('online', 'ann bob'), b.shows('online', 'ann bob')]);
    await b.evaluate(() => say('once'));
    await a.shows('said', 'once');
    await a.evaluate(() => setRoom(null));
    await b.shows('online', 'bob');
    await until(async () => (await server.metric('tidewire_subscriptions')) === 1, 'only bob listens');
    assert.deepEqual(a.faults, []);
  });

  test(`${version}: a cut connection comes back with what it missed, by its cookie`, { timeout: 90000 }, async (t) => {
    const server = await serve(t);
    const proxy = await startProxy(t, server.port);
    const a = await visit(t, server, version, 'ann', { url: `http://127.0.0.1:${proxy.port}` });
    const b = await visit(t, server, version, 'bob');
    await b.shows('online', 'ann bob');
    proxy.refusing = true;
    for (const link of [...proxy.links]) link.reset();
    await a.waitForFunction(() => statuses.includes('CHANNEL_ERROR'));
    await b.evaluate(async () => { for (const word of ['1', '2', '3']) await say(word); });
    await b.fill('input', 'row');
    await b.press('input', 'Enter');
    await b.waitForSelector('#rows li:has-text("row")');
    proxy.refusing = false;
    await a.shows('said', '1 2 3');
    await a.waitForSelector('#rows li:has-text("row")');
    await a.shows('online', 'ann bob');
    assert.deepEqual(await a.evaluate(() => system.filter((m) => m.status === 'error')), []);
  });
}
