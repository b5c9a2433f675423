// SPDX-License-Identifier: Apache-2.0
// The page "from the guide to Tidewire": each of its snippets is run in Chromium as it is printed (only
// the server's address is another one), and its configurations are checked by the program.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { build, transformSync } from '../../node_modules/esbuild/lib/main.js';
import { BIN, serve } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';
import { bundling, pages, top } from './page.mjs';

const browser = pages({ before, after });
let shared; // a server for all that do not end theirs
before(async () => (shared = await serve(null, { args: [browser.folder] })));
after(async () => {
  await shared?.stop();
  shared?.clean();
});
const page = fs.readFileSync(`${top}docs/guide/from-the-guide.md`, 'utf8');
const snippets = (kinds) =>
  [...page.matchAll(/^```(\w+)\n([^]*?)^```/gm)].filter((m) => kinds.includes(m[1])).map(([, kind, text]) => ({ kind, text }));
const code = snippets(['ts', 'tsx']);
const used = new Set();
/** The one that has this in it. */
const find = (part) => {
  const found = code.filter(({ text }) => text.includes(part));
  assert.equal(found.length, 1, part);
  used.add(found[0]);
  return found[0];
};

async function run(t, snippet, wrap = '', server = shared) {
  const p = await (await browser.context(t)).newPage();
  const name = `s${code.indexOf(snippet)}`;
  await build({
    ...bundling,
    stdin: {
      contents: snippet.text.replaceAll('http://127.0.0.1:8787', server.url).replaceAll('ws://127.0.0.1:8787', server.ws('')) + wrap,
      resolveDir: `${top}tests/e2e`,
      loader: snippet.kind,
    },
    outfile: path.join(browser.folder, `${name}.js`),
    format: 'esm',
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  fs.writeFileSync(path.join(browser.folder, `${name}.html`),
    `<!doctype html><title>${name}</title><div id="root"></div><script type="module" src="${name}.js"></script>`);
  const said = [];
  p.on('console', async (m) => {
    const args = await Promise.all(m.args().map((a) => a.jsonValue().catch(() => '?')));
    said.push(args.map((a) => (typeof a == 'string' ? a : JSON.stringify(a))).join(' '));
  });
  const go = async () => {
    await p.goto(`${server.url}/${name}.html`);
  };
  const heard = (wanted) => until(() => said.some((line) => line.includes(wanted)), () => `${wanted}; said: ${said.join(' | ')}`);
  return { server, p, said, go, heard };
}
const mount = (what, props = '', around = '') => `
  import { createRoot } from 'react-dom/client';
  import { StrictMode } from 'react';
  ${around}
  createRoot(document.getElementById('root')!).render(<StrictMode><${what} ${props} /></StrictMode>);`;
const shows = (p, text) => p.waitForFunction((wanted) => document.body.innerText.includes(wanted), text);

test('long polling', async (t) => {
  const { server, go, heard } = await run(t, find('/api/poll'));
  await go();
  await until(async () => (await server.metric('tidewire_connections{transport="poll"}')) === 1, 'a poll waits');
  for (const n of [1, 2, 3]) await server.publish({ channel: 'status', content: { n } });
  for (const n of [1, 2, 3]) await heard(`polled {"n":${n}}`);
});

test('Server-Sent Events, and the server\'s side of it', async (t) => {
  const reader = await run(t, find('new EventSource'));
  await reader.go();
  await reader.heard('"type":"connected"');
  const { text } = find('async function sendUpdate');
  await reader.p.evaluate(async (js) => {
    await new (Object.getPrototypeOf(async () => {}).constructor)(js)();
  }, transformSync(text, { loader: 'ts' }).code.replace('http://127.0.0.1:8787', reader.server.url));
  await reader.heard('news {"type":"update"');
  await reader.heard('Ann joined');
  await reader.heard('sent');
});

test('a WebSocket that comes back and says hello again', async (t) => {
  const { server, go, heard, said } = await run(t, find('hello: () =>'), '', await serve(t, { args: [browser.folder] }));
  await go();
  await heard('socket hi');
  await server.kill();
  await server.restart();
  await until(() => said.filter((s) => s === 'socket hi').length >= 2, 'it said hello to the new one');
});

test('useSocket', async (t) => {
  const { p, go, server } = await run(t, find('useSocket(roomId'), mount('Chat', 'roomId="r1"'));
  await go();
  await until(async () => (await server.channel('r1')).presence.length === 1, 'present');
  await p.fill('input', 'hello');
  await p.keyboard.press('Enter');
  await shows(p, 'Ann hello');
  assert.equal((await server.channel('r1')).offset >= 1, true);
});

test('the Supabase room', async (t) => {
  const snippet = find('useRealtimeMessages(roomId');
  const { p, go, server } = await run(t, snippet, mount('ChatRoom', 'roomId="r1"'));
  await go();
  await shows(p, '1 online');
  await p.locator('input').pressSequentially('hello');
  await p.keyboard.press('Enter');
  await shows(p, 'user-123 hello');
  await p.waitForFunction(() => document.querySelector('input').value === '');
  const rows = await (await fetch(`${server.url}/rest/v1/messages?select=content`, { headers: { apikey: server.anonKey } })).json();
  assert.deepEqual(rows, [{ content: 'hello' }]);
});

test('useRealTimeData', async (t) => {
  const { p, go, server } = await run(t, find('useRealTimeData<number>'), mount('Score', 'match="7"'));
  await server.publish({ channel: 'match:7', event: 'score', content: 1 });
  await go();
  await shows(p, '1');
  await server.publish({ channel: 'match:7', event: 'score', content: 42 });
  await shows(p, '42');
  assert.equal((await server.channel('match:7')).subscribers, 1);
});

test('optimistic messages', async (t) => {
  const { p, go, server } = await run(t, find('useChatMessages('), mount('Optimistic'));
  await go();
  await p.click('button');
  await until(async () => (await server.channel('room:42')).offset >= 1, 'it is there');
  await p.waitForFunction(() => document.querySelectorAll('li').length === 1 && document.querySelector('li').innerText.trim() === 'hi');
});

test('a queue that goes out when the socket opens', async (t) => {
  const { go, heard } = await run(t, find('new OfflineQueueWebSocket'));
  await go();
  await heard('queued one');
  await heard('queued two');
});

test('a token by a function', async (t) => {
  const { go, heard, server } = await run(t, find('/auth-token.json'));
  fs.writeFileSync(path.join(browser.folder, 'auth-token.json'), JSON.stringify({ token: server.mint({ sub: 'ann' }) }));
  await go();
  await heard('auth connected');
});

test('deltas, binary, one connection', async (t) => {
  const { go, heard } = await run(t, find('shareTabs()'));
  await go();
  for (const n of [1, 2, 3]) await heard(`doc ${n}`);
  await heard('bytes 1000');
});

test('typing', async (t) => {
  const { p, go, heard, said } = await run(t, find('useTypingIndicator('), mount('Input', "say={(on: boolean) => console.log('typing', on)}"));
  await go();
  await p.focus('input');
  await p.keyboard.type('hello');
  await p.evaluate(() => document.activeElement.blur());
  await heard('typing false');
  assert.deepEqual(said.filter((s) => s.startsWith('typing')), ['typing true', 'typing false']);
});

test('the pitfalls', async (t) => {
  const { p, go, heard, server } = await run(t, find("room.on('gap'"));
  await go();
  await heard('status connected');
  await heard('live hi');
  await heard('cursor {"x":100}');
  await p.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: false })));
  await until(async () => (await server.channel('room:42')).subscribers === 0, 'nothing is left');
});

test('the configurations are good, and no snippet was left out', () => {
  for (const { text } of snippets(['yaml'])) {
    const file = path.join(browser.folder, 'check.yaml');
    fs.writeFileSync(file, text.replace('${JWT_SECRET}', 'x'.repeat(40)));
    const { status, stderr, stdout } = spawnSync(BIN, ['config', 'check', '--config', file], { encoding: 'utf8' });
    assert.equal(status, 0, stderr + stdout);
  }
  assert.deepEqual(code.filter((s) => !used.has(s)).map((s) => s.text), []);
});
