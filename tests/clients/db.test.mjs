// SPDX-License-Identifier: Apache-2.0
// `tidewire db`: the file without a server, or beside one; and what the server says of a file that
// cannot be used.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { BIN, serve } from './lib/server.mjs';

const NOTES = `
create table notes (
  id bigint generated always as identity primary key,
  owner text default auth.uid(),
  text text not null);
alter table notes enable row level security;
create policy "own" on notes for all to authenticated using (owner = auth.uid());
create policy "not empty" on notes as restrictive for insert with check (text <> '');
create policy "others read" on notes for select using (text like 'public%');
alter publication supabase_realtime add table notes;
`;

function folder(t) {
  const at = fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-db-'));
  t.after(() => fs.rmSync(at, { recursive: true, force: true }));
  return at;
}

function db(args, cwd, env = {}) {
  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('TIDEWIRE_')));
  const r = spawnSync(BIN, ['db', ...args], { cwd, env: { ...kept, ...env }, encoding: 'utf8' });
  return { code: r.status, out: r.stdout, err: r.stderr };
}

test('migrate: each file once, in order, whole or not at all', (t) => {
  const at = folder(t);
  const sql = path.join(at, 'sql');
  const file = `--database.file=${path.join(at, 'app.db')}`;
  fs.mkdirSync(sql);
  fs.writeFileSync(path.join(sql, '02_more.sql'), 'insert into notes (owner, text) values (\'ann\', \'public: hello\');');
  fs.writeFileSync(path.join(sql, '01_notes.sql'), NOTES);
  const first = db(['migrate', sql, file], at);
  assert.deepEqual([first.code, first.out], [0, '2 applied\n']);
  assert.match(first.err, /file=01_notes\.sql\n.*file=02_more\.sql\n$/);
  assert.equal(db(['migrate', sql, file], at).out, '0 applied\n');
  fs.writeFileSync(path.join(sql, '03_bad.sql'), 'create table half (id integer primary key);\n\ncreate tabel oops (id integer);');
  const bad = db(['migrate', sql, file], at);
  assert.notEqual(bad.code, 0);
  assert.match(bad.err, /42601.*03_bad\.sql, line 3/s);
  // Nothing of the bad file is there: put right, it runs from its beginning.
  fs.writeFileSync(path.join(sql, '03_bad.sql'), 'create table half (id integer primary key);');
  assert.equal(db(['migrate', sql, file], at).out, '1 applied\n');
});

test('policies: what guards each table, in words', (t) => {
  const at = folder(t);
  const file = `--database.file=${path.join(at, 'app.db')}`;
  fs.mkdirSync(path.join(at, 'sql'));
  fs.writeFileSync(path.join(at, 'sql', '1.sql'), NOTES);
  db(['migrate', 'sql', file], at);
  const { code, out } = db(['policies', file], at);
  assert.equal(code, 0);
  assert.match(out, /^notes: row level security on, published$/m);
  assert.match(out, /^ {2}own: permissive for all to authenticated using \(owner = auth_uid\(\)\)/m);
  assert.match(out, /^ {2}not empty: restrictive for insert to public with check \(text <> ''\)/m);
  assert.match(out, /^ {2}others read: permissive for select to public using/m);
});

test('backup: a whole copy while the server writes; the copy serves', async (t) => {
  const server = await serve(t);
  const copy = path.join(folder(t), 'copy.db');
  const insert = (n) => fetch(`${server.url}/rest/v1/messages`, { method: 'POST', body: JSON.stringify({ room_id: 'r', content: `m${n}` }),
    headers: { apikey: server.anonKey, 'content-type': 'application/json' } });
  for (let n = 0; n < 20; n++) assert.equal((await insert(n)).status, 201);
  const writing = (async () => {
    for (let n = 20; n < 60; n++) assert.equal((await insert(n)).status, 201);
  })();
  const { code, out, err } = db(['backup', copy, `--database.file=${path.join(server.data, 'tidewire.db')}`], server.data);
  assert.equal(code, 0, err);
  assert.equal(out, `${copy}\n`);
  await writing;
  const other = await serve(t, { args: [`--database.file=${copy}`] });
  const rows = await (await fetch(`${other.url}/rest/v1/messages?select=content&order=id`)).json();
  assert.ok(rows.length >= 20 && rows.length <= 60, `${rows.length}`);
  assert.deepEqual(rows.map((row) => row.content), rows.map((_, n) => `m${n}`));
});

test('shell: sqlite3 on the file; and what it says without one', (t) => {
  const at = folder(t);
  fs.writeFileSync(path.join(at, 'sqlite3'), '#!/bin/sh\necho "opened $1"\n', { mode: 0o755 });
  const file = path.join(at, 'app.db');
  assert.equal(db(['shell', `--database.file=${file}`], at, { PATH: `${at}:${process.env.PATH}` }).out, `opened ${file}\n`);
  const none = db(['shell', `--database.file=${file}`], at, { PATH: path.join(at, 'nowhere') });
  assert.notEqual(none.code, 0);
  assert.match(none.err, new RegExp(`sqlite3 is not installed; the file is ${file}`));
});

test('words that mean nothing, and files that are none', (t) => {
  const at = folder(t);
  for (const args of [[], ['eat'], ['backup'], ['migrate', 'a', 'b']]) {
    const r = db(args, at);
    assert.equal(r.code, 2, args.join(' '));
    assert.match(r.err, /db/);
  }
  fs.writeFileSync(path.join(at, 'no.db'), 'this is no database, however long one looks at it\n'.repeat(100));
  const no = `--database.file=${path.join(at, 'no.db')}`;
  for (const args of [['policies'], ['backup', path.join(at, 'x.db')], ['migrate', at]]) {
    const r = db([...args, no], at);
    assert.notEqual(r.code, 0, args.join(' '));
    assert.match(r.err, /not a database/, args.join(' '));
  }
  assert.notEqual(db(['policies', `--database.file=${path.join(at, 'absent.db')}`], at).code, 0);
});

test('a file that is no database stops the start, in a sentence; the file stays as it was', (t) => {
  const at = folder(t);
  const file = path.join(at, 'no.db');
  const text = 'not a database\n'.repeat(1000);
  fs.writeFileSync(file, text);
  const r = spawnSync(BIN, ['dev', '--listen=127.0.0.1:0', `--data=${at}`, `--database.file=${file}`], { cwd: at, encoding: 'utf8' });
  assert.equal(r.status, 4);
  assert.match(r.stderr, /^tidewire: the database cannot be opened: .*no\.db: the file is not a database/m);
  assert.equal(fs.readFileSync(file, 'utf8'), text);
});
