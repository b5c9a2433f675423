// SPDX-License-Identifier: Apache-2.0
// Pages for browser tests: a folder with the packages as one script (`tw`), the worker of shared tabs
// and a page under a strict CSP, served by `tidewire dev FOLDER`; and a browser to open it with.
//
//   const { open } = pages({ before, after });
//   const { server, proxy, page } = await open(t);   // the page has `tw`
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build } from '../../node_modules/esbuild/lib/main.js';
import { startProxy } from '../clients/lib/proxy.mjs';
import { serve } from '../clients/lib/server.mjs';

export const top = fileURLToPath(new URL('../../', import.meta.url));
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
export const bundling = {
  bundle: true,
  jsx: 'automatic',
  logLevel: 'error',
  // One instance of the client, and the packages from their sources.
  alias: {
    '@tidewire/client/outbox': `${top}clients/js/src/outbox.ts`,
    '@tidewire/client/shared': `${top}clients/js/src/shared.ts`,
    '@tidewire/client/delta': `${top}clients/js/src/delta.ts`,
    '@tidewire/client': `${top}clients/js/src/index.ts`,
    '@tidewire/sockets': `${top}clients/sockets/src/index.ts`,
    '@tidewire/react': `${top}clients/react/src/index.ts`,
  },
};
const CSP = `<meta http-equiv="Content-Security-Policy" content="default-src 'self'">`;
export const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

export function pages({ before, after }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-pages-'));
  const all = { folder };
  before(async () => {
    const make = (file, contents, more) =>
      build({
        ...bundling,
        stdin: { contents, resolveDir: `${top}tests/e2e`, loader: 'tsx' },
        outfile: path.join(folder, file),
        format: 'iife',
        supported: { 'dynamic-import': true },
        define: { 'process.env.NODE_ENV': '"production"' },
        ...more,
      });
    await make(
      'all.js',
      `import * as client from '@tidewire/client';
       import { indexedDBOutbox } from '@tidewire/client/outbox';
       import { shareTabs } from '@tidewire/client/shared';
       import { deltas } from '@tidewire/client/delta';
       import * as hooks from '@tidewire/react';
       import * as React from 'react';
       import * as dom from 'react-dom/client';
       import * as app from './app.tsx';
       globalThis.tw = { ...client, indexedDBOutbox, shareTabs, deltas, hooks, React, ...dom, app };`,
    );
    await make('worker.js', `import { serveTabs } from '@tidewire/client/shared'; serveTabs();`);
    const page = (root = '') =>
      `<!doctype html><title>test</title>${CSP}<div id="root">${root}</div><input id="field"><script src="all.js"></script>`;
    all.page = (name, root) => fs.writeFileSync(path.join(folder, name), page(root));
    all.page('page.html');
    fs.writeFileSync(path.join(folder, 'away.html'), '<!doctype html><title>away</title>');
    all.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
      args: ARGS,
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    });
  });
  after(async () => {
    await all.browser?.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  all.context = async (t) => {
    const made = await all.browser.newContext();
    t.after(() => made.close());
    return made;
  };
  all.tab = async (context, port, name = 'page.html') => {
    const page = await context.newPage();
    page.faults = [];
    page.on('pageerror', (e) => page.faults.push(e.message));
    page.on('console', (m) => /Content Security Policy|hydrat/i.test(m.text()) && page.faults.push(m.text()));
    await page.goto(`http://127.0.0.1:${port}/${name}`);
    return page;
  };
  // A server, a proxy before it, and a page that came through the proxy.
  all.open = async (t, options = {}) => {
    const server = await serve(t, { ...options, args: [folder, ...(options.args ?? [])] });
    const proxy = await startProxy(t, server.port);
    const context = await all.context(t);
    return { server, proxy, context, page: await all.tab(context, proxy.port) };
  };
  return all;
}

export const cut = (proxy) => [...proxy.links].forEach((link) => link.reset());

/** A client in the page: `client`, `room`, `got` (numbers), `gaps`, `changes`. Resolves when it is subscribed. */
export const start = (page, options = {}, share = '') =>
  page.evaluate(
    async ([more, how]) => {
      const worker = how == 'worker' ? () => new SharedWorker('worker.js') : undefined;
      globalThis.client = tw.createClient({
        reconnect: { minDelay: 20, maxDelay: 200 },
        share: how ? tw.shareTabs({ worker }) : undefined,
        ...more,
      });
      globalThis.room = client.channel('room');
      Object.assign(globalThis, { got: [], gaps: [], changes: [] });
      client.connection.on('change', ({ current }) => changes.push(current));
      room.on('n', (m) => got.push(m.data));
      room.on('gap', (g) => gaps.push(g));
      await room.subscribe();
    },
    [options, share],
  );
export const say = (server, from, to) => server.publish(numbers(from, to).map((content) => ({ channel: 'room', event: 'n', content })));
export const hears = async (page, upTo, options) => {
  await page.waitForFunction((n) => got.length >= n, upTo, options);
  assert.deepEqual(await page.evaluate(() => [got, gaps]), [numbers(1, upTo), []]);
};
