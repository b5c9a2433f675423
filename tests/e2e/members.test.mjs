// SPDX-License-Identifier: Apache-2.0
// The guide's chat for members only, in a browser: three people with tokens of their own, in three
// browsers, with unmodified supabase-js. Ann and Bob are members of a room, Eve is not. Row-level
// security decides what each reads and writes, which changes each hears and who may join the private
// channel with its presence; also after a cut, and after Bob has left the room.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { startProxy } from '../clients/lib/proxy.mjs';
import { serve } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGS });
});
after(() => browser?.close());

// In the page: the guide's ChatRoom, on the members' tables.
function chatRoom({ url, key, token, user, room }) {
  const db = supabase.createClient(url, key, { accessToken: async () => token });
  const chat = { db, rows: [], heard: [], typing: [], online: [], statuses: [], system: [] };
  globalThis.chat = chat;
  chat.load = async () => {
    const { data, error } = await db.from('demo_messages').select('id, content, user_id').eq('room_id', room).order('id');
    chat.rows = data;
    return error?.code ?? data.map((row) => `${row.user_id}: ${row.content}`);
  };
  chat.send = async (content) => {
    const { data, error } = await db.from('demo_messages').insert({ room_id: room, content }).select().single();
    return error?.code ?? data.content;
  };
  chat.channel = db.channel(room, { config: { private: true, presence: { key: user } } })
    .on('postgres_changes', { event: '*', schema: 'public', table: 'demo_messages', filter: `room_id=eq.${room}` },
      (p) => chat.heard.push(`${p.eventType} ${p.new.content ?? p.old.id}`))
    .on('broadcast', { event: 'typing' }, ({ payload }) => chat.typing.push(payload.user))
    .on('system', {}, (p) => chat.system.push(`${p.extension} ${p.status}`))
    .on('presence', { event: 'sync' }, () => { chat.online = Object.keys(chat.channel.presenceState()).sort(); });
  // On a channel that anybody may join: the policies of the table alone stand between.
  chat.open = db.channel('anywhere')
    .on('postgres_changes', { event: '*', schema: 'public', table: 'demo_messages' },
      (p) => chat.heard.push(`open ${p.eventType} ${p.new.content ?? p.old.id}`))
    .on('system', {}, (p) => chat.system.push(`open ${p.extension} ${p.status}`));
  return db.realtime.setAuth().then(() => {
    chat.channel.subscribe((status) => {
      chat.statuses.push(status);
      if (status === 'SUBSCRIBED') chat.channel.track({ user });
    });
    chat.open.subscribe();
  });
}

for (const version of ['2.109', '2.119']) {
  test(`${version}: two members and one who is none`, { timeout: 90000 }, async (t) => {
    const server = await serve(t);
    const proxy = await startProxy(t, server.port);
    const umd = fileURLToPath(new URL(`../clients/node_modules/supabase-js-${version}/dist/umd/supabase.js`, import.meta.url));
    const rest = async (user, table, row) => {
      const answer = await fetch(`${server.url}/rest/v1/${table}`, { method: 'POST', body: JSON.stringify(row), headers: {
        authorization: `Bearer ${server.mint({ sub: user, role: 'authenticated' })}`, 'content-type': 'application/json' } });
      assert.equal(answer.status, 201, await answer.text());
    };
    await rest('ann', 'demo_rooms', { id: 'den', title: 'Den' });
    await rest('ann', 'demo_members', { room_id: 'den', user_id: 'bob' });

    const enter = async (user, port) => {
      const context = await browser.newContext({ bypassCSP: true });
      t.after(() => context.close());
      const page = await context.newPage();
      const url = `http://127.0.0.1:${port}`;
      await page.goto(`${url}/health/live`);
      await page.addScriptTag({ path: umd });
      await page.evaluate(chatRoom, { url, key: server.anonKey, token: server.mint({ sub: user, role: 'authenticated' }), user, room: 'den' });
      const ask = (f, x) => page.evaluate(f, x);
      return { page, ask, state: () => ask(() => ({ ...globalThis.chat, db: 0, channel: 0, open: 0 })),
        send: (text) => ask((x) => globalThis.chat.send(x), text), load: () => ask(() => globalThis.chat.load()) };
    };
    const shows = (who, what, test_) => until(async () => test_(await who.state()), async () => what, { ms: 20000 });
    const [ann, bob, eve] = [await enter('ann', server.port), await enter('bob', proxy.port), await enter('eve', server.port)];
    for (const who of [ann, bob])
      await shows(who, 'subscribed, with the other', (s) => s.statuses.at(-1) === 'SUBSCRIBED' && s.online.join() === 'ann,bob' &&
        s.system.includes('postgres_changes ok') && s.system.includes('open postgres_changes ok'));
    await shows(eve, 'refused', (s) => s.statuses.includes('CHANNEL_ERROR') && s.system.includes('open postgres_changes ok'));

    assert.equal(await ann.send('hello'), 'hello');
    assert.equal(await bob.send('hi Ann'), 'hi Ann');
    assert.equal(await eve.send('let me in'), '42501');
    await ann.ask(() => globalThis.chat.channel.send({ type: 'broadcast', event: 'typing', payload: { user: 'ann' } }));
    await shows(bob, 'both rows and typing', (s) => s.heard.filter((x) => x.startsWith('INSERT')).length === 2 && s.typing.join() === 'ann');

    // Bob's network goes; what was written meanwhile comes when it is back.
    proxy.refusing = true;
    [...proxy.links].forEach((link) => link.reset());
    for (const text of ['one', 'two', 'three']) assert.equal(await ann.send(text), text);
    proxy.refusing = false;
    const all = ['hello', 'hi Ann', 'one', 'two', 'three'];
    for (const who of [ann, bob])
      await shows(who, 'each row once, in order', (s) => s.heard.filter((x) => x.startsWith('INSERT')).join() === all.map((x) => `INSERT ${x}`).join());
    for (const who of [ann, bob])
      assert.deepEqual((await who.load()).map((x) => x.split(': ')[1]), all);

    // Not a member any more: from the next request and the next event on.
    const gone = await fetch(`${server.url}/rest/v1/demo_members?room_id=eq.den&user_id=eq.bob`, { method: 'DELETE', headers: {
      authorization: `Bearer ${server.mint({ sub: 'ann', role: 'authenticated' })}` } });
    assert.equal(gone.status, 204);
    assert.equal(await ann.send('without Bob'), 'without Bob');
    await shows(ann, 'her own', (s) => s.heard.includes('INSERT without Bob'));
    assert.equal(await bob.send('still here?'), '42501');
    assert.deepEqual(await bob.load(), []);
    assert.equal(await ann.ask(async () => (await globalThis.chat.db.from('demo_messages').delete().eq('content', 'hello')).status), 204);
    await shows(ann, 'the delete', (s) => s.heard.some((x) => x.startsWith('DELETE')));

    // Eve has heard nothing, read nothing and seen nobody; Bob nothing since.
    assert.deepEqual(await eve.load(), []);
    const hers = await eve.state();
    assert.deepEqual([hers.heard, hers.typing, hers.online], [[], [], []]);
    assert.ok(!(await bob.state()).heard.some((x) => /without Bob|DELETE/.test(x)));
  });
}
