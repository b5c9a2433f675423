// SPDX-License-Identifier: Apache-2.0
// A visitor of the demo: a browser whose pages must not throw, warn, ask elsewhere, or break their
// policy. Shared by the demo's tests.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

export const PAGES = ['chat', 'feed', 'cursors', 'game', 'dashboard', 'supabase', 'dialects', 'which'];

// const visitor = visitors({ before, after }, server)
export function visitors({ before, after }, server) {
  let browser;
  before(async () => {
    const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'];
    const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
    browser = await chromium.launch({ executablePath, args });
  });
  after(() => browser?.close());
  return (t, options) => visit(browser, server, t, options);
}

// `expected` names what a test provokes. The rest is checked when the test is over.
async function visit(browser, server, t, { width = 1280, height = 860, expected, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, ...options });
  context.setDefaultTimeout(20000);
  const faults = [];
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) =>
      console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`),
    );
  });
  const { host } = new URL(server.url);
  t.after(async () => {
    await context.close();
    assert.deepEqual(faults, []);
  });
  const watch = (page) => {
    page.on('pageerror', (e) => faults.push(e.stack));
    page.on('console', (m) => {
      if (['error', 'warning'].includes(m.type()) && !expected?.test(m.text())) faults.push(m.text());
    });
    page.on('request', (r) => {
      const url = new URL(r.url());
      if (/^http|^ws/.test(url.protocol) && url.host != host) faults.push(`asks ${r.url()}`);
    });
    page.on('websocket', (w) => new URL(w.url()).host != host && faults.push(`asks ${w.url()}`));
  };
  return {
    context,
    async open(name, page) {
      if (!page) watch((page = await context.newPage()));
      await page.goto(`${server.url}/#/${name}`);
      await page.waitForSelector('[data-state=connected]');
      return page;
    },
  };
}

export const count = async (page, name) => Number(await page.textContent(`[data-n=${name}]`));
export const counted = (page, name, least) =>
  page.waitForFunction(
    ([n, m]) => Number(document.querySelector(`[data-n=${n}]`).textContent) >= m,
    [name, least],
  );
export const button = (page, name) => page.getByRole('button', { name, exact: true });
export async function say(page, who, text) {
  const input = page.locator(`[data-person=${who}] form input`);
  await input.fill(text);
  await input.press('Enter');
}
