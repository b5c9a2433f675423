// SPDX-License-Identifier: Apache-2.0
// The pages of the demo as such: with the keyboard alone, as a screen reader would name things, wide
// and narrow, light and dark; the code on show; the size. TIDEWIRE_SHOTS=folder keeps a picture of
// each.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { serveAll } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';
import { PAGES, button, say, visitors } from './lib/visitor.mjs';

const top = fileURLToPath(new URL('../../', import.meta.url));
const MODES = [
  { width: 1280, height: 860, colorScheme: 'light' },
  { width: 1280, height: 860, colorScheme: 'dark' },
  { width: 380, height: 780, colorScheme: 'light' },
  { width: 380, height: 780, colorScheme: 'dark' },
];
const server = serveAll({ before, after });
const visitor = visitors({ before, after }, server);

// The name a screen reader would say, by the rules that this page needs.
const NAME = `(e) =>
  (e.getAttribute('aria-labelledby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '').join(' ').trim() ||
  e.getAttribute('aria-label') || [...(e.labels ?? [])].map((l) => l.textContent).join(' ').trim() ||
  (e.matches('input, select') ? '' : e.textContent.trim()) || e.getAttribute('alt') || ''`;

test('"Show the code" shows the files that run', async (t) => {
  const visit = await visitor(t);
  const p = await visit.open('chat');
  const folder = path.join(top, 'web/demo/code');
  const files = new Map();
  for (const name of fs.readdirSync(folder)) {
    const text = fs.readFileSync(path.join(folder, name), 'utf8');
    files.set(text.replace(/^\/\/ SPDX.*\n/, '').trim(), name);
  }
  const shown = new Set();
  for (const name of PAGES.filter((n) => n != 'which')) {
    await visit.open(name, p);
    await p.waitForSelector('.card [role=tab]');
    for (const card of await p.locator('.card').all()) {
      await card.getByRole('tab', { name: 'Show the code' }).click();
      for (const chip of await card.locator('.code .chip').all()) {
        await chip.click();
        const file = files.get(await card.locator('pre').textContent());
        assert.ok(file, `${name}, ${await chip.textContent()}: a file of web/demo/code`);
        shown.add(file);
      }
      await card.getByRole('tab', { name: 'Live' }).click();
    }
  }
  const hidden = [...files.values()].filter((f) => !shown.has(f) && f != 'browser.ts');
  assert.deepEqual(hidden, [], 'every piece is on show somewhere');
  // The policies on show are those of the development database.
  const sql = fs.readFileSync(path.join(top, 'src/db/demo.c'), 'utf8').match(/^    "(.*)\\n"/gm);
  const schema = sql.map((l) => JSON.parse(l.trim().replace(/\\n"$/, '"'))).join('\n');
  for (const part of [...files].find(([, f]) => f == 'policies.sql')[0].split('\n\n')) {
    assert.ok(schema.includes(part), part);
  }
});

test('with the keyboard alone: order, a visible focus, and everything can be reached', { timeout: 90000 }, async (t) => {
  const visit = await visitor(t);
  const p = await visit.open('chat');
  await p.keyboard.press('Tab');
  assert.equal(await p.evaluate(() => document.activeElement.className), 'skip');
  assert.ok(await p.locator('.skip').evaluate((e) => e.getBoundingClientRect().left >= 0), 'it shows');
  await p.keyboard.press('Enter');
  assert.equal(await p.evaluate(() => document.activeElement.id), 'main');
  // Send a message, cut the network, mend it: without a mouse.
  await p.keyboard.press('Tab');
  assert.equal(await p.evaluate(() => document.activeElement.textContent), 'Live');
  await p.keyboard.press('ArrowRight');
  await p.waitForSelector('pre');
  await p.keyboard.press('Home');
  assert.equal(await p.locator('pre').count(), 0);
  const tabTo = async (what, test) => {
    for (let i = 0; i < 60; i++) {
      if (await p.evaluate(test)) return;
      await p.keyboard.press('Tab');
    }
    assert.fail(`no way to ${what}`);
  };
  await tabTo('the message', () => document.activeElement.getAttribute('aria-label') == 'Message');
  await p.keyboard.type('typed');
  await p.keyboard.press('Enter');
  await p.waitForSelector('[data-person=robin] .bubble:has-text("typed")');
  await tabTo('the scissors', () => document.activeElement.textContent == 'Cut the network');
  await p.keyboard.press('Enter');
  await p.waitForSelector('[data-state=disconnected], [data-state=connecting]');
  await p.keyboard.press('Enter');
  await p.waitForSelector('[data-state=connected]');

  for (const name of PAGES) {
    await visit.open(name, p);
    await p.waitForSelector('.card');
    // Tab by tab: in the order of the document, each with an outline, until the end of the page.
    const seen = [];
    await p.focus('.skip');
    for (let i = 0; i < 60; i++) {
      await p.keyboard.press('Tab');
      const at = await p.evaluate((nameOf) => {
        const e = document.activeElement;
        if (e == document.body) return null;
        const style = getComputedStyle(e);
        const all = [...document.querySelectorAll('*')];
        return {
          index: all.indexOf(e),
          name: eval(nameOf)(e),
          outline: style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2,
        };
      }, NAME);
      if (!at || (seen.length && at.index < seen[0].index)) break;
      if (seen.some((s) => s.index == at.index)) break;
      seen.push(at);
      assert.ok(at.outline, `${name}: focus is seen on "${at.name}"`);
      assert.ok(at.name, `${name}: stop ${i} has a name`);
    }
    assert.ok(seen.length >= 15, `${name}: ${seen.length} stops`);
    const order = seen.map((s) => s.index);
    assert.deepEqual(order, [...order].sort((x, y) => x - y), `${name}: in order`);
    assert.ok(seen.length < 60, `${name}: not too many stops (${seen.length})`);
    assert.equal(await p.locator('[tabindex]:not([tabindex="0"]):not([tabindex="-1"])').count(), 0);
  }
});

// What can be said without a person about a page for a screen reader, and for weak eyes.
function audit(nameSource) {
  const nameOf = eval(nameSource);
  const faults = [];
  const show = (e) => e.outerHTML.slice(0, 120);
  const visible = (e) => e.checkVisibility({ visibilityProperty: true });
  const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
  for (const e of all('a, button, input, select, canvas, [role=log], [role=group], section, nav, footer')) {
    if (!nameOf(e) && !e.closest('[role=img]')) faults.push(`no name: ${show(e)}`);
  }
  for (const e of all('img:not([alt]), svg:not([aria-hidden]):not([role])')) faults.push(`no text: ${show(e)}`);
  for (const e of document.querySelectorAll('[aria-controls], [aria-labelledby]')) {
    for (const name of ['aria-controls', 'aria-labelledby']) {
      for (const id of (e.getAttribute(name) ?? '').split(' ').filter(Boolean)) {
        if (!document.getElementById(id)) faults.push(`${name}=${id} is nowhere: ${show(e)}`);
      }
    }
  }
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  if (new Set(ids).size != ids.length) faults.push(`ids twice: ${ids}`);
  for (const e of all('[role=tab]')) if (!e.closest('[role=tablist]')) faults.push(`tab alone: ${show(e)}`);
  for (const e of all('li')) if (!/^[UO]L$/.test(e.parentElement.tagName)) faults.push(`li alone: ${show(e)}`);
  for (const tag of ['main', 'header', 'footer', 'h1', 'nav']) {
    if (all(tag).length != 1) faults.push(`${all(tag).length} ${tag}`);
  }
  let level = 1;
  for (const e of all('h1, h2, h3, h4')) {
    if (e.tagName[1] > level + 1) faults.push(`a heading left out before ${show(e)}`);
    level = +e.tagName[1];
  }
  if (!document.documentElement.lang || !document.title) faults.push('no language or title');
  // Contrast: WCAG 2, 4.5 for text, 3 for large text.
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
  const g = canvas.getContext('2d', { willReadFrequently: true });
  const known = new Map();
  const rgba = (css, under) => {
    const key = `${css} ${under}`;
    if (!known.has(key)) known.set(key, painted(css, under));
    return known.get(key);
  };
  const painted = (css, under) => {
    g.clearRect(0, 0, 1, 1);
    g.fillStyle = `rgb(${under.slice(0, 3)})`;
    g.fillRect(0, 0, 1, 1);
    g.fillStyle = css;
    g.fillRect(0, 0, 1, 1);
    return [...g.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, gr, b]) => {
    const part = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(gr) + 0.0722 * part(b);
  };
  const back = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) {
      const { backgroundColor } = getComputedStyle(e);
      layers.unshift(backgroundColor);
    }
    return layers.reduce((under, css) => rgba(css, under), [255, 255, 255, 255]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walker.nextNode()); ) {
    const e = n.parentElement;
    if (!n.data.trim() || !visible(e) || e.closest('script, noscript, :disabled, .skip')) continue;
    const under = back(e);
    const style = getComputedStyle(e);
    const [x, y] = [light(rgba(style.color, under)), light(under)].sort((p, q) => q - p);
    const ratio = (x + 0.05) / (y + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.6 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)} of "${n.data.trim()}" ${show(e)}`);
  }
  // Fingers: nothing to press is smaller than 24 px.
  for (const e of all('button:not(.link), select, input, nav a')) {
    const { width, height } = e.getBoundingClientRect();
    if (width < 24 || height < 24) faults.push(`small: ${width}x${height} ${show(e)}`);
  }
  return faults;
}

for (const mode of MODES) {
  const about = `${mode.width} px, ${mode.colorScheme}`;
  test(`${about}: names, contrast, and nothing wider than the window`, { timeout: 90000 }, async (t) => {
    const visit = await visitor(t, { ...mode, reducedMotion: 'reduce' });
    const p = await visit.open('chat');
    await say(p, 'me', `Good morning, ${about}`);
    await p.waitForSelector('[data-person=robin] .bubble');
    for (const name of PAGES) {
      await visit.open(name, p);
      if (name == 'supabase') await p.waitForSelector('[data-user=ben] form');
      if (name == 'dashboard') await p.waitForSelector('.chart canvas');
      if (name == 'game') await p.locator('.board button').nth(9).click();
      if (name == 'which') await button(p, 'Yes').click();
      assert.deepEqual(await p.evaluate(audit, NAME), [], `${name}, live`);
      const over = () => p.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok((await over()) <= 0, `${name} is ${await over()} px too wide`);
      const { TIDEWIRE_SHOTS: folder } = process.env;
      if (folder) {
        const file = `${name}-${mode.width}-${mode.colorScheme}.png`;
        await p.screenshot({ path: path.join(folder, file) });
      }
      for (const tab of await p.getByRole('tab', { name: 'Show the code' }).all()) await tab.click();
      assert.deepEqual(await p.evaluate(audit, NAME), [], `${name}, code`);
      assert.ok((await over()) <= 0, `${name}, code: ${await over()} px too wide`);
    }
    if (mode.width > 500) return;
    await button(p, 'Break it').click();
    await button(p, 'Cut the network').waitFor();
    assert.ok((await p.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
  });
}

test('the colours can be chosen, and stay', async (t) => {
  const visit = await visitor(t, { colorScheme: 'light' });
  const p = await visit.open('chat');
  const back = () => p.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await back();
  await p.getByLabel('Colours').selectOption('dark');
  await until(async () => (await back()) != light, 'it is dark');
  await p.reload();
  await p.waitForSelector('[data-state=connected]');
  assert.notEqual(await back(), light);
});

test('it is small: what is loaded first, and all of it', async (t) => {
  const visit = await visitor(t);
  const sizes = new Map();
  const size = async (page) => {
    page.on('response', async (r) => {
      const length = Number(r.headers()['content-length']);
      if (/\.(js|css|svg|html)$|\/$/.test(new URL(r.url()).pathname)) sizes.set(r.url(), length);
    });
  };
  const p = await visit.context.newPage();
  await size(p);
  await visit.open('chat', p);
  const sum = () => [...sizes.values()].reduce((total, n) => total + n, 0) / 1024;
  const first = sum();
  for (const name of PAGES) await visit.open(name, p);
  await p.waitForSelector('.card');
  await visit.open('supabase', p);
  await p.waitForSelector('[data-user=ben]');
  await visit.open('dashboard', p);
  await p.waitForSelector('.chart canvas');
  t.diagnostic(`first ${first.toFixed(0)} KiB, all ${sum().toFixed(0)} KiB, compressed`);
  assert.ok(first < 90, `${first} KiB at first`);
  assert.ok(sum() < 200, `${sum()} KiB in all`);
});
