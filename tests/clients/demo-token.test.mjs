// SPDX-License-Identifier: Apache-2.0
// Where the demo page gets tokens for its users: development alone, names of this machine alone.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { serve, serveAll } from './lib/server.mjs';

const server = serveAll({ before, after });
const ask = (query, headers = {}) =>
  new Promise((resolve, reject) => {
    const options = { host: server.host, port: server.port, path: `/api/demo/token?${query}`, headers };
    http.get(options, async (answer) => {
      let text = '';
      for await (const piece of answer) text += piece;
      resolve({ status: answer.statusCode, headers: answer.headers, body: JSON.parse(text) });
    }).on('error', reject);
  });
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

test('a token for that user and time, which the server takes', async () => {
  const { status, headers, body } = await ask('user=ann&name=Ann%20%C3%A9&seconds=60');
  assert.equal(status, 200);
  assert.equal(headers['cache-control'], 'no-store');
  assert.equal(body.key, server.anonKey);
  const { sub, name, role, iat, exp } = claims(body.token);
  assert.deepEqual({ sub, name, role, lasts: exp - iat }, { sub: 'ann', name: 'Ann é', role: 'authenticated', lasts: 60 });
  assert.equal(body.expires, exp * 1000);
  const row = await fetch(`${server.url}/rest/v1/demo_rooms`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${body.token}`, 'content-type': 'application/json', prefer: 'return=representation',
    },
    body: JSON.stringify({ id: 'desk', title: 'Desk' }),
  });
  assert.equal((await row.json())[0].owner, 'ann');
});

test('what is no name or no time is refused', async () => {
  const long = 'x'.repeat(65);
  for (const query of ['', 'user=', `user=${long}`, `user=a&name=${long}`, 'user=%ff', 'user=a&seconds=0',
    'user=a&seconds=86401', 'user=a&seconds=-1', 'user=a&seconds=x'])
    assert.equal((await ask(query)).status, 400, query);
});

test('pages of elsewhere get nothing, by whatever name they came', async () => {
  assert.equal((await ask('user=a', { origin: 'https://evil.example' })).status, 403);
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.10'])
    assert.equal((await ask('user=a', { host })).status, 403, host);
  for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:1', '[::1]', '[::1]:1'])
    assert.equal((await ask('user=a', { host })).status, 200, host);
});

test('a server that is not for development has no such path', async (t) => {
  const config = { auth: { jwt_secret: 'a secret that is long enough for 256 bits' } };
  const real = await serve(t, { verb: 'serve', config });
  assert.equal((await fetch(`${real.url}/api/demo/token?user=a`)).status, 404);
});
