// SPDX-License-Identifier: Apache-2.0
// Supabase Realtime with the real supabase-js: broadcast, presence, life of channels. Each row of
// the guide's section 6 that needs no database, for three versions of the client.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { EventSource } from 'eventsource';
import { serveAll } from './lib/server.mjs';
import { startProxy } from './lib/proxy.mjs';
import { connect, hasBinary, send, VERSIONS, watch } from './lib/supabase.mjs';
import { Queue, until, within } from './lib/wait.mjs';

const server = serveAll({ before, after }, { config: { presence: { lease_ms: '500ms' }, session: { resume_ms: '1s' } } });

let number = 0;
const room = () => `room:${++number}`;

// 2.109 takes the refs out of its own state when a key that is there joins again, and then cannot
// remove the old meta: with any server. 2.119 has it right.
const forgetsRefs = (version) => version === '2.109';

for (const version of VERSIONS) {
  const open = (t, options) => connect(t, server, { version, ...options });

  test(`${version}: broadcast reaches others, not the sender`, async (t) => {
    const [a, b] = [await open(t), await open(t)];
    const name = room();
    const wa = watch(a.channel(name)), wb = watch(b.channel(name));
    await Promise.all([wa.subscribe(), wb.subscribe()]);
    assert.equal(await send(wa.channel, 'new-message', { text: 'häß “ü”', n: [1, null] }), 'ok');
    const got = await wb.broadcasts.next('the broadcast');
    assert.equal(got.type, 'broadcast');
    assert.equal(got.event, 'new-message');
    assert.deepEqual(got.payload, { text: 'häß “ü”', n: [1, null] });
    await send(wb.channel, 'back', {});
    assert.equal((await wa.broadcasts.next()).event, 'back'); // and not its own before
  });

  test(`${version}: self and ack`, async (t) => {
    const a = await open(t);
    const w = watch(a.channel(room(), { config: { broadcast: { self: true, ack: true } } }));
    await w.subscribe();
    assert.equal(await send(w.channel, 'typing', { user_id: 'u' }), 'ok');
    assert.deepEqual((await w.broadcasts.next()).payload, { user_id: 'u' });
  });

  test(`${version}: many messages in order, once`, async (t) => {
    const [a, b] = [await open(t), await open(t)];
    const name = room();
    const wa = watch(a.channel(name)), wb = watch(b.channel(name));
    await Promise.all([wa.subscribe(), wb.subscribe()]);
    for (let i = 0; i < 300; i++) wa.channel.send({ type: 'broadcast', event: 'n', payload: { i } });
    for (let i = 0; i < 300; i++) assert.equal((await wb.broadcasts.next()).payload.i, i);
    assert.equal(wb.broadcasts.length, 0);
  });

  test(`${version}: send before the join goes by REST and arrives`, async (t) => {
    const [a, b] = [await open(t), await open(t)];
    const name = room();
    const wb = watch(b.channel(name));
    await wb.subscribe();
    assert.equal(await send(a.channel(name), 'early', { by: 'rest' }), 'ok');
    assert.deepEqual((await wb.broadcasts.next()).payload, { by: 'rest' });
  });

  test(`${version}: presence: state, join, update, untrack`, async (t) => {
    const [a, b] = [await open(t), await open(t)];
    const name = room();
    const wa = watch(a.channel(name, { config: { presence: { key: 'ann' } } })), wb = watch(b.channel(name));
    await wa.subscribe();
    assert.deepEqual(await wa.syncs.next('the first state'), {});
    assert.equal(await wa.channel.track({ online_at: 1 }), 'ok');
    await wb.subscribe();
    const state = await wb.syncs.find((s) => s.ann, 'ann in the state');
    assert.equal(state.ann.length, 1);
    assert.equal(state.ann[0].online_at, 1);
    assert.ok(state.ann[0].presence_ref);
    assert.equal(state.ann[0].phx_ref, undefined);

    if (forgetsRefs(version)) return;
    await wa.channel.track({ online_at: 2 });
    const updated = await wb.syncs.find((s) => s.ann?.[0].online_at === 2, 'the update');
    assert.equal(updated.ann.length, 1);
    assert.notEqual(updated.ann[0].presence_ref, state.ann[0].presence_ref);

    await wa.channel.untrack();
    await wb.leaves.find((l) => l.key === 'ann' && l.leftPresences[0].online_at === 2, 'the leave');
    await wb.syncs.find((s) => !s.ann, 'nobody left');
  });

  test(`${version}: the same track again is no news`, async (t) => {
    const [a, b] = [await open(t), await open(t)];
    const name = room();
    const wa = watch(a.channel(name, { config: { presence: { key: 'ann' } } })), wb = watch(b.channel(name));
    await Promise.all([wa.subscribe(), wb.subscribe()]);
    await wa.channel.track({ at: 1 });
    await wb.joins.next();
    assert.equal(await wa.channel.track({ at: 1 }), 'ok');
    await wa.channel.track({ at: 2 });
    const next = await wb.joins.next('the update');
    assert.equal(next.newPresences[0].at, 2);
    assert.equal(wb.joins.length, 0);
  });

  test(`${version}: one key from two clients has two metas`, async (t) => {
    const [a, b, c] = [await open(t), await open(t), await open(t)];
    const name = room(), config = { config: { presence: { key: 'ann' } } };
    const wa = watch(a.channel(name, config)), wb = watch(b.channel(name, config)), wc = watch(c.channel(name));
    await Promise.all([wa.subscribe(), wb.subscribe(), wc.subscribe()]);
    await wa.channel.track({ tab: 1 });
    await wb.channel.track({ tab: 2 });
    await wc.syncs.find((s) => s.ann?.length === 2, 'two metas');
    if (forgetsRefs(version)) return;
    await wa.channel.unsubscribe();
    const left = await wc.syncs.find((s) => s.ann?.length === 1, 'one meta');
    assert.equal(left.ann[0].tab, 2);
  });

  test(`${version}: unsubscribe leaves at once, a crash within the lease`, async (t) => {
    const proxy = await startProxy(t, server.port);
    const [a, b, c] = [await open(t), await open(t, { url: `http://127.0.0.1:${proxy.port}` }), await open(t)];
    const name = room();
    const wa = watch(a.channel(name, { config: { presence: { key: 'a' } } }));
    const wb = watch(b.channel(name, { config: { presence: { key: 'b' } } }));
    const wc = watch(c.channel(name));
    await Promise.all([wa.subscribe(), wb.subscribe(), wc.subscribe()]);
    await wa.channel.track({});
    await wb.channel.track({});
    await wc.syncs.find((s) => s.a && s.b, 'both');
    await wa.channel.unsubscribe();
    await wc.leaves.find((l) => l.key === 'a', 'a has left');
    proxy.refusing = true;
    for (const link of [...proxy.links]) link.reset();
    await wc.leaves.find((l) => l.key === 'b', 'b has left');
  });

  test(`${version}: rapid unsubscribe and subscribe ends SUBSCRIBED exactly once`, async (t) => {
    const a = await open(t), other = await open(t);
    const name = room();
    let last;
    const leaving = [];
    for (let i = 0; i < 4; i++) {
      last = watch(a.channel(name));
      last.subscribe().catch(() => {});
      if (i < 3) leaving.push(last.channel.unsubscribe());
    }
    await Promise.all(leaving);
    await until(() => last.history.includes('SUBSCRIBED'), () => `SUBSCRIBED; ${last.history}`);
    const wo = watch(other.channel(name));
    await wo.subscribe();
    await send(wo.channel, 'once', {});
    assert.equal((await last.broadcasts.next('the broadcast')).event, 'once');
    assert.deepEqual(last.history.filter((s) => s === 'SUBSCRIBED'), ['SUBSCRIBED']);
    await send(wo.channel, 'twice', {});
    assert.equal((await last.broadcasts.next()).event, 'twice');
    assert.equal(await server.metrics().then((m) => m.tidewire_subscriptions > 0), true);
  });

  test(`${version}: leave, and the same topic anew on the same socket`, async (t) => {
    const [a, b] = [await open(t), await open(t)];
    const name = room();
    const wb = watch(b.channel(name));
    await wb.subscribe();
    for (let i = 0; i < 3; i++) {
      const w = watch(a.channel(name));
      await w.subscribe();
      await send(wb.channel, 'n', { i });
      assert.equal((await w.broadcasts.next()).payload.i, i);
      assert.equal(await w.channel.unsubscribe(), 'ok');
    }
  });

  test(`${version}: interop with a plain WebSocket and an EventSource`, async (t) => {
    const a = await open(t);
    const name = room();
    const w = watch(a.channel(name));
    await w.subscribe();
    const plain = new Queue(), events = new Queue();
    const ws = new WebSocket(server.ws('/socket'));
    t.after(() => ws.close());
    ws.on('message', (m) => plain.push(JSON.parse(m)));
    await new Promise((resolve) => ws.on('open', resolve));
    ws.send(JSON.stringify({ type: 'subscribe', channel: name, presence: true }));
    await plain.find((m) => m.type === 'subscribed');
    const es = new EventSource(`${server.url}/api/events?channel=${encodeURIComponent(name)}`);
    t.after(() => es.close());
    await new Promise((resolve) => { es.onopen = resolve; });
    es.addEventListener('chat', (e) => events.push(JSON.parse(e.data)));

    await send(w.channel, 'chat', { from: 'supabase' });
    const message = await plain.find((m) => m.type === 'message');
    assert.equal(message.event, 'chat');
    assert.deepEqual(message.content, { from: 'supabase' });
    assert.deepEqual(await events.next('the event'), { from: 'supabase' });

    ws.send(JSON.stringify({ type: 'message', channel: name, event: 'chat', content: { from: 'plain' } }));
    const got = await w.broadcasts.next();
    assert.deepEqual([got.event, got.payload], ['chat', { from: 'plain' }]);
    ws.send(JSON.stringify({ type: 'message', channel: name, event: 'list', content: [1, 'two'] }));
    assert.deepEqual((await w.broadcasts.next()).payload, [1, 'two']); // no object: as it is

    await w.channel.track({ name: 'ann' });
    const diff = await plain.find((m) => m.type === 'presence_diff' || m.joins);
    assert.match(JSON.stringify(diff), /"ann"/);
    ws.send(JSON.stringify({ type: 'track', channel: name, key: 'bob', meta: { name: 'bob' } }));
    await w.syncs.find((s) => s.bob?.[0].name === 'bob', 'bob from the plain dialect');
  });

  test(`${version}: the guide's useRealtimeMessages, broadcast and presence`, async (t) => {
    const [ann, bob] = [await open(t), await open(t)];
    const roomId = room().slice(5);
    const mount = (supabase, user) => {
      const seen = { messages: new Queue(), typing: new Queue(), states: new Queue() };
      const roomChannel = supabase.channel(`room:g-${roomId}`);
      roomChannel
        .on('broadcast', { event: 'new-message' }, (payload) => seen.messages.push(payload))
        .on('broadcast', { event: 'typing' }, (payload) => seen.typing.push(payload))
        .on('presence', { event: 'sync' }, () => seen.states.push(roomChannel.presenceState()))
        .subscribe((status) => {
          if (status === 'SUBSCRIBED') roomChannel.track({ user_id: user, online_at: new Date().toISOString() });
        });
      const broadcast = (event, payload) => roomChannel.send({ type: 'broadcast', event, payload });
      return { seen, broadcast, unmount: () => roomChannel.unsubscribe() };
    };
    const users = (state) => Object.values(state).flat().map((m) => m.user_id).sort();
    const a = mount(ann, 'user-1'), b = mount(bob, 'user-2');
    await a.seen.states.find((s) => users(s).join() === 'user-1,user-2', 'both online');
    await b.seen.states.find((s) => users(s).join() === 'user-1,user-2', 'both online');
    a.broadcast('typing', { user_id: 'user-1' });
    assert.deepEqual((await b.seen.typing.next()).payload, { user_id: 'user-1' });
    a.broadcast('new-message', { content: 'hi' });
    assert.deepEqual((await b.seen.messages.next()).payload, { content: 'hi' });
    assert.equal(a.seen.messages.length, 0);
    await b.unmount();
    await a.seen.states.find((s) => users(s).join() === 'user-1', 'bob is gone');
  });

  if (hasBinary(version)) {
    test(`${version}: bytes stay bytes, also beside a client of vsn 1`, async (t) => {
      const [a, b, old] = [await open(t), await open(t), await connect(t, server, { version: '2.80' })];
      const name = room();
      const wa = watch(a.channel(name)), wb = watch(b.channel(name)), wo = watch(old.channel(name));
      await Promise.all([wa.subscribe(), wb.subscribe(), wo.subscribe()]);
      const bytes = new Uint8Array([0, 1, 2, 0x80, 0xff]);
      await send(wa.channel, 'bytes', bytes.buffer);
      const got = await wb.broadcasts.next();
      assert.equal(got.event, 'bytes');
      assert.deepEqual(new Uint8Array(got.payload), bytes);
      assert.deepEqual((await wo.broadcasts.next()).payload,
        { encoding: 'base64', content: Buffer.from(bytes).toString('base64') });
    });

    test(`${version}: names that Latin-1 headers break still arrive`, async (t) => {
      const [a, b] = [await open(t), await open(t)];
      const name = `räume:日本:${number++}`;
      const wa = watch(a.channel(name)), wb = watch(b.channel(name));
      await Promise.all([wa.subscribe(), wb.subscribe()]);
      await send(wa.channel, 'grün', { ok: '日本' });
      const got = await wb.broadcasts.next();
      assert.deepEqual([got.event, got.payload], ['grün', { ok: '日本' }]);
    });

    test(`${version}: httpSend, JSON and bytes`, async (t) => {
      const [a, b] = [await open(t), await open(t)];
      const name = room();
      const wb = watch(b.channel(name));
      await wb.subscribe();
      const sender = a.channel(name);
      if (!sender.httpSend) return;
      assert.deepEqual(await sender.httpSend('over http', { n: 1 }), { success: true });
      const got = await wb.broadcasts.next();
      assert.deepEqual([got.event, got.payload], ['over http', { n: 1 }]);
    });
  }

  test(`${version}: the server goes and comes back on the same port`, async (t) => {
    const { serve } = await import('./lib/server.mjs');
    const own = await serve(t);
    // 2.80 gives its channels the same time to join.
    const a = await connect(t, own, { version, realtime: { reconnectAfterMs: () => (version === '2.80' ? 700 : 50) } });
    const w = watch(a.channel('room'));
    await w.subscribe();
    await own.stop();
    await own.restart();
    await w.status('SUBSCRIBED');
    assert.equal(await send(w.channel, 'x', {}), 'ok');
  });
}

test('nothing is left when all have gone', async () => {
  await within(server.settled({}), 'settled', 30000);
});
