// SPDX-License-Identifier: Apache-2.0
// kill -9 in the middle of inserts, fifty times. What was answered is there, once, although each
// writer repeats what got no answer (with its Idempotency-Key); and who listens to the table gets
// each row once, in order, though it was cut off fifty times.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { NativeClient } from '../clients/lib/native.mjs';
import { Rng } from '../clients/lib/rng.mjs';
import { Server, sleep } from '../clients/lib/server.mjs';
import { until } from '../clients/lib/wait.mjs';

const ROUNDS = 50;
const WRITERS = 6;
const SEED = Number(process.env.TIDEWIRE_SEED || 20261124);

// Posts rows until it is told to stop; each until it is answered.
async function write(server, w, state) {
  const headers = { apikey: server.anonKey, 'content-type': 'application/json', prefer: 'return=representation' };
  for (let i = 0; !state.over; i++) {
    const content = `${w}-${i}`;
    for (;;) {
      const answer = await fetch(`${server.url}/rest/v1/messages?select=id`, { method: 'POST',
        headers: { ...headers, 'idempotency-key': content }, body: JSON.stringify({ room_id: 'r', content }) }).catch(() => null);
      const rows = answer?.status === 201 ? await answer.json().catch(() => null) : null;
      if (rows) {
        assert.equal(state.acked.get(content), undefined);
        state.acked.set(content, rows[0].id);
        break;
      }
      state.retries++;
      await sleep(5);
    }
  }
}

// Listens to the table with its own place, coming back after each cut.
async function listen(server, state) {
  let since;
  while (!state.done) {
    const c = new NativeClient(server.ws('/socket?session=none'));
    c.onFrame = (m) => {
      if (m.type === 'gap') state.gaps++;
      if (m.type !== 'message') return;
      since = { epoch: since.epoch, offset: m.offset };
      state.heard.push(m.content.record.content);
    };
    try {
      await c.type('connected');
      const answer = await c.subscribe('table:messages', since ? { since } : {});
      since ??= { epoch: answer.epoch, offset: answer.offset };
      state.listening = true;
      state.client = c;
      await c.closed.promise;
    } catch {
      await sleep(5);
    }
  }
}

test(`killed ${ROUNDS} times: nothing acknowledged is lost, nobody misses or repeats`, { timeout: 240000 }, async (t) => {
  const rng = new Rng(SEED);
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-crash-'));
  const server = new Server({ data });
  t.after(() => fs.rmSync(data, { recursive: true, force: true }));
  await server.start();
  const state = { acked: new Map(), heard: [], gaps: 0, retries: 0, over: false, done: false, listening: false };
  const listener = listen(server, state);
  await until(() => state.listening, 'the subscription');
  const writers = Array.from({ length: WRITERS }, (_, w) => write(server, w, state));
  for (let round = 0; round < ROUNDS; round++) {
    const target = state.acked.size + rng.int(1, 30);
    await until(() => state.acked.size >= target, () => `${target} rows in round ${round}\n${server.log().slice(-2000)}`, { every: 1 });
    await server.kill();
    await server.start();
  }
  state.over = true;
  await Promise.all(writers);
  const rows = [];
  for (let more = true; more;) {
    const page = await (await fetch(`${server.url}/rest/v1/messages?select=id,content&order=id&offset=${rows.length}`)).json();
    rows.push(...page);
    more = page.length === 1000;
  }
  await until(() => state.heard.length >= rows.length, () => `${rows.length} rows, ${state.heard.length} heard`);
  state.done = true;
  await state.client.close();
  await listener;
  await server.stop();
  assert.ok(state.retries > 0);
  assert.equal(new Set(rows.map((row) => row.content)).size, rows.length, 'a retried insert is one row');
  assert.deepEqual(new Map(rows.map((row) => [row.content, row.id])).size, state.acked.size);
  for (const row of rows) assert.equal(state.acked.get(row.content), row.id, `${row.content} was answered with its id`);
  assert.deepEqual(state.heard, rows.map((row) => row.content));
  assert.equal(state.gaps, 0);
});
