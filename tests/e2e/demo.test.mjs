// SPDX-License-Identifier: Apache-2.0
// The demo in a real browser against the real server: every use case from one window to another.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serveAll } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';
import { button, count, counted, say, visitors } from './lib/visitor.mjs';

const server = serveAll({ before, after });
const visitor = visitors({ before, after }, server);
const said = (page, who) => page.locator(`[data-person=${who}] .bubble p`).allTextContents();

test('chat: two on one page and a second window see each other, the words and the typing', async (t) => {
  const visit = await visitor(t);
  const a = await visit.open('chat');
  const b = await visit.open('chat');
  await b.getByLabel('You are').fill('Zoë');
  await a.waitForSelector('[data-person=me] .typing:has-text("Robin")');
  await a.waitForSelector('[data-person=me] .typing:has-text("Zoë")');
  await say(a, 'me', 'from me');
  await say(a, 'robin', 'from Robin');
  await say(b, 'me', 'from the second window');
  const all = ['from me', 'from Robin', 'from the second window'];
  for (const [page, who] of [[a, 'me'], [a, 'robin'], [b, 'me'], [b, 'robin']]) {
    await until(async () => (await said(page, who)).length == 3, `three messages for ${who}`);
    assert.deepEqual(await said(page, who), all);
  }
  await a.waitForSelector('[data-person=me] .bubble.mine.sent:has-text("from me")');
  await until(
    async () => {
      await b.locator('[data-person=me] form input').pressSequentially('a');
      return (await a.textContent('[data-person=me] .typing')).includes('Zoë is typing');
    },
    'typing is seen',
    { every: 100 },
  );
  await a.waitForFunction(
    () => !document.querySelector('[data-person=me] .typing').textContent.includes('is typing'),
  );
});

test('chat: what was said before is there, and what was before that is fetched', async (t) => {
  const say = (n) => ({
    channel: 'demo:chat',
    event: 'chat-message',
    content: { id: `old-${n}`, content: `old ${n}`, user_id: 'Old old', created_at: '' },
  });
  await server.publish(Array.from({ length: 70 }, (_, n) => say(n)));
  const visit = await visitor(t);
  const p = await visit.open('chat');
  const first = p.locator('[data-person=me] .bubble p').first();
  await p.waitForSelector('[data-person=me] .bubble:has-text("old 69")');
  assert.equal(await first.textContent(), 'old 20');
  await p.locator('[data-person=me]').getByRole('button', { name: 'Older messages' }).click();
  await p.waitForSelector('[data-person=me] .bubble:has-text("old 0")');
});

test('feed, progress and status: one window publishes, the other sees; a cut loses nothing', async (t) => {
  const visit = await visitor(t);
  const [a, b] = [await visit.open('feed'), await visit.open('feed')];
  for (const p of [a, b]) await p.waitForSelector('.card:has-text("Live feed") .dot:has-text("open")');
  await button(a, 'Publish news').click();
  for (const p of [a, b]) await p.waitForFunction(() => document.querySelectorAll('.feed time').length == 1);
  await button(a, 'Cut the network').click();
  await a.waitForSelector('.card:has-text("Live feed") .dot:has-text("connecting")');
  await button(b, 'Publish news').click();
  await button(b, 'maintenance').click();
  await b.waitForSelector('.big:has-text("maintenance")');
  await b.waitForFunction(() => document.querySelectorAll('.feed time').length == 2);
  assert.equal(await a.locator('.feed time').count(), 1);
  await button(a, 'Mend the network').click();
  await a.waitForFunction(() => document.querySelectorAll('.feed time').length == 2);
  await a.waitForSelector('.big:has-text("maintenance")');
  await button(a, 'Start a job').click();
  for (const p of [a, b]) await p.waitForFunction(() => document.querySelector('progress').value == 100);
  await button(a, 'all well').click();
  for (const p of [a, b]) await p.waitForSelector('.big:has-text("all well")');
});

test('cursors: the other hand is seen, the mouse is throttled, the keyboard draws', async (t) => {
  const visit = await visitor(t, { reducedMotion: 'reduce' }); // Robin does not draw by itself
  const [a, b] = [await visit.open('cursors'), await visit.open('cursors')];
  const name = await a.getByLabel('You are').inputValue();
  const wave = () =>
    a.locator('canvas').evaluate((canvas) => {
      const { x, y } = canvas.getBoundingClientRect();
      for (let i = 0; i < 50; i++) {
        const at = { clientX: x + 50 + i * 4, clientY: y + 80 + i, bubbles: true };
        canvas.dispatchEvent(new PointerEvent('pointermove', at));
      }
    });
  await until(async () => (await wave(), (await b.locator('.hand').count()) > 0), 'the hand', {
    every: 100,
  });
  assert.match(await b.locator('.hand').first().textContent(), new RegExp(name));
  const [moves, sent] = [await count(a, 'moves'), await count(a, 'sent')];
  assert.ok(sent * 10 < moves, `${sent} of ${moves} moves left`);
  const inked = (page) =>
    page.evaluate(() => {
      const canvas = document.querySelector('canvas');
      const { width, height } = canvas;
      const empty = Object.assign(document.createElement('canvas'), { width, height });
      return canvas.toDataURL() != empty.toDataURL();
    });
  assert.equal(await inked(b), false);
  await a.locator('canvas').focus();
  await until(
    async () => {
      await a.keyboard.press('Shift+ArrowRight');
      await a.keyboard.press('Shift+ArrowDown');
      return inked(b);
    },
    'the line is seen',
    { every: 100 },
  );
  await button(a, 'Robin draws').click();
  await a.waitForSelector('.hand:has-text("Robin")');
});

test('the game: by keyboard, seen by all, with a leaderboard', async (t) => {
  const visit = await visitor(t);
  const [a, b] = [await visit.open('game'), await visit.open('game')];
  const name = await a.getByLabel('You are').inputValue();
  await a.locator('.board button').first().focus();
  await a.keyboard.press('ArrowRight');
  await a.keyboard.press('ArrowDown');
  await a.keyboard.press('Enter');
  await a.keyboard.press('ArrowRight');
  await a.keyboard.press('Space');
  for (const p of [a, b]) {
    await p.getByRole('button', { name: `Row 2, column 2: ${name}` }).waitFor();
    await p.getByRole('button', { name: `Row 2, column 3: ${name}` }).waitFor();
    await p.waitForSelector(`.scores li:has-text("${name}"):has-text("2")`);
  }
  await button(b, 'Robin plays').click();
  await a.waitForSelector('.scores li:has-text("Robin")');
  await button(b, 'Robin plays').click();
  await button(b, 'New round').click();
  for (const p of [a, b]) await p.waitForSelector('.scores .empty');
});

test('the dashboard: numbers move, and compression shows', async (t) => {
  const visit = await visitor(t);
  const p = await visit.open('dashboard');
  await p.waitForSelector('.chart canvas');
  await counted(p, 'messages', 4);
  const connections = p.locator('.numbers div:has-text("connections") dd');
  await until(async () => Number(await connections.textContent()) > 0, 'connections');
  const kib = async (name) => {
    const [n, unit] = (await p.textContent(`[data-n=${name}]`)).split(' ');
    return Number(n) * (unit == 'MiB' ? 1024 : 1);
  };
  assert.ok((await kib('whole')) > (await kib('wire')), 'compression saved something');
  await p.locator('summary').click();
  assert.ok((await p.locator('.counters tbody tr').count()) > 20);
});

test('Supabase: what one may read the other is not sent', { timeout: 60000 }, async (t) => {
  // The browser notes every refused request; the row-level refusal below is the point.
  const visit = await visitor(t, { expected: /status of 403/ });
  const p = await visit.open('supabase');
  const of = (user) => p.locator(`[data-user=${user}]`);
  const rows = (user) => of(user).locator('.bubble p').allTextContents();
  const write = async (user, room, text) => {
    await of(user).locator('select').selectOption(room);
    await of(user).locator('form input').fill(text);
    await of(user).locator('form input').press('Enter');
  };
  const seen = async (user, text) => of(user).locator('.bubble', { hasText: text }).waitFor();
  await of('ann').locator('.dot.ok:has-text("open")').waitFor();
  await of('ben').locator('.dot.bad:has-text("refused")').waitFor();
  assert.deepEqual(await of('ben').locator('[data-room]').allTextContents(), ['Ben’s notes']);

  await write('ann', 'ann-notes', 'Ann alone');
  await seen('ann', 'Ann alone');
  await write('ben', 'ben-notes', 'Ben alone');
  await seen('ben', 'Ben alone'); // it came after Ann's: had hers been sent, it would be here
  assert.deepEqual(await rows('ann'), ['Ann alone']);
  assert.deepEqual(await rows('ben'), ['Ben alone']);
  await write('ben', 'ann-notes', 'let me in');
  await of('ben').locator('.refused:has-text("42501")').waitFor();

  await button(p, 'Let Ben into Harbour').click();
  await of('ben').locator('[data-room=harbour]').waitFor();
  await of('ben').locator('.dot.ok:has-text("Ann, Ben")').waitFor();
  await of('ann').locator('.dot.ok:has-text("SUBSCRIBED"), .dot.ok').first().waitFor();
  await write('ann', 'harbour', 'welcome');
  await seen('ben', 'welcome');
  await write('ben', 'harbour', 'thanks');
  await seen('ann', 'thanks');

  await button(p, 'Put Ben out of Harbour').click();
  await of('ben').locator('[data-room=harbour]').waitFor({ state: 'detached' });
  await of('ben').locator('.dot.bad:has-text("refused")').waitFor();
  await write('ann', 'harbour', 'without Ben');
  await seen('ann', 'without Ben');
  await write('ben', 'ben-notes', 'after that');
  await seen('ben', 'after that');
  assert.deepEqual(await rows('ben'), ['Ben alone', 'after that']);

  // Not the page hides it: the server answers so to each token.
  for (const [user, texts] of [['ben', ['Ben alone', 'after that']], ['carl', []]]) {
    const token = server.mint({ sub: user, role: 'authenticated' });
    const answer = await fetch(`${server.url}/rest/v1/demo_messages?select=content&order=id`, {
      headers: { apikey: server.anonKey, authorization: `Bearer ${token}` },
    });
    assert.deepEqual((await answer.json()).map((m) => m.content), texts);
  }
  assert.equal(await p.locator('[data-key]').getAttribute('data-key'), server.anonKey);
});

test('five dialects: each is heard by all, in one order, in two windows', async (t) => {
  const visit = await visitor(t);
  const [a, b] = [await visit.open('dialects'), await visit.open('dialects')];
  const heard = (page, name) => page.locator(`[data-dialect="${name}"] li:not(.empty)`).allTextContents();
  const names = ['WebSocket', 'Server-Sent Events', 'Long poll', 'Socket.IO', 'Supabase Realtime'];
  // What is said before a line is open is not for it: knock until all are.
  await until(
    async () => {
      await server.publish({ channel: 'demo:five', event: 'new-message', content: { message: 'knock' } });
      for (const p of [a, b]) for (const n of names) if (!(await heard(p, n)).length) return false;
      return true;
    },
    'all lines are open',
    { every: 200 },
  );
  const texts = [];
  for (const [i, name] of names.entries()) {
    texts.push(`by ${name}`);
    await a.getByLabel('Send by').selectOption(String(i));
    await a.getByLabel('Text').fill(`by ${name}`);
    await a.getByLabel('Text').press('Enter');
    for (const p of [a, b]) {
      for (const n of names) {
        await until(async () => (await heard(p, n)).at(-1) == `by ${name}`, `${n} hears ${name}`);
      }
    }
  }
  for (const p of [a, b]) for (const n of names) assert.deepEqual((await heard(p, n)).slice(-5), texts);
});

test('which one: every way through the tree ends with a transport and its code', async (t) => {
  const visit = await visitor(t);
  const p = await visit.open('which');
  const ways = [
    ['Yes', 'WebSocket'],
    ['No Yes', 'Server-Sent Events'],
    ['No No Yes', 'Long poll'],
    ['No No No', 'Start with Server-Sent Events'],
  ];
  for (const [way, answer] of ways) {
    for (const word of way.split(' ')) {
      await p.locator('.question').last().getByRole('button', { name: word, exact: true }).click();
    }
    assert.equal(await p.textContent('.answer .big'), answer);
    assert.match(await p.textContent('pre'), /WebSocket|EventSource|fetch|useChatMessages/);
    await button(p, 'Start over').click();
  }
});
