// SPDX-License-Identifier: Apache-2.0
// The program as a person or a script meets it: the real binary, its words, files and exit codes.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const BIN = process.env.TIDEWIRE_BIN ?? 'build/tidewire';
const folders = [];
const children = new Set();
after(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function folder() {
  const path = mkdtempSync(join(tmpdir(), 'tidewire-cli-'));
  folders.push(path);
  return path;
}

// Nothing of the caller's environment that the program would read.
function environment(more = {}) {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('TIDEWIRE_'));
  return { ...Object.fromEntries(kept), ...more };
}

function run(args, { cwd = folder(), env = {}, input } = {}) {
  const r = spawnSync(BIN, args, { cwd, env: environment(env), input, encoding: 'utf8' });
  return { code: r.status, out: r.stdout, err: r.stderr, signal: r.signal };
}

function start(args, { cwd, env = {} }) {
  const child = spawn(BIN, args, { cwd, env: environment(env) });
  children.add(child);
  child.text = '';
  child.out = '';
  child.stderr.on('data', (bytes) => (child.text += bytes));
  child.stdout.on('data', (bytes) => (child.out += bytes));
  child.ended = new Promise((resolve) => child.on('exit', (code, signal) => {
    children.delete(child);
    resolve({ code, signal });
  }));
  return child;
}

async function until(what, condition) {
  const end = Date.now() + 60_000;
  while (Date.now() < end) {
    const value = await condition();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`never happened: ${what}`);
}

function serve(verb, args, where) {
  return start([verb, `--loops=${process.env.TIDEWIRE_LOOPS ?? '2'}`, '--data', './tidewire-data', ...args],
    where);
}

// The event of that name in the JSON log of a server.
function logged(child, event) {
  return until(`log event ${event}`, () => child.text.split('\n').filter(Boolean).map((line) => {
    try { return JSON.parse(line); } catch { return {}; }
  }).find((line) => line.event === event));
}

function envFile(path) {
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')),
    line.slice(line.indexOf('=') + 1)]));
}

async function dev(cwd, args = [], env = {}) {
  const child = serve('dev', ['--listen', '127.0.0.1:0', ...args], { cwd, env });
  await logged(child, 'ready');
  const path = join(cwd, 'tidewire-data', 'dev.env');
  await until('dev.env', () => existsSync(path));
  return { child, path, env: envFile(path) };
}

async function stop(child) {
  child.kill('SIGTERM');
  return child.ended;
}

const SECRET = '0123456789abcdef0123456789abcdef';

// ---- help and usage ----

test('a bare command prints help', () => {
  const r = run([]);
  assert.equal(r.code, 0);
  assert.match(r.out, /tidewire VERB/);
  for (const verb of ['dev', 'serve', 'init', 'pub', 'sub', 'tail', 'token', 'config', 'explain', 'health',
    'version', 'completion'])
    assert.match(r.out, new RegExp(`^  ${verb} `, 'm'));
  assert.equal(run(['--help']).code, 0);
  assert.match(run(['help', 'token']).out, /--ttl DURATION/);
  assert.equal(run(['token', '--help']).out, run(['help', 'token']).out);
});

test('wrong usage is exit code 2 and says so on stderr alone', () => {
  for (const args of [['no-such-verb'], ['version', '--nope'], ['config', 'nope'], ['token'],
    ['pub'], ['sub'], ['explain', '1', '2'], ['completion', 'tcsh'], ['pub', 'a', '1', '--every', 'x'],
    ['token', 'mint', '--ttl', 'soon'], ['serve', 'extra'], ['help', 'nope']]) {
    const r = run(args);
    assert.equal(r.code, 2, args.join(' '));
    assert.equal(r.out, '');
    assert.match(r.err, /^tidewire: /);
  }
});

test('a flag that is nearly a setting is told', () => {
  const r = run(['config', 'check', '--http.lisen=:80']);
  assert.equal(r.code, 2);
  assert.match(r.err, /"http\.lisen" — did you mean "http\.listen"\?/);
});

test('version and completion', () => {
  assert.match(run(['version']).out, /^tidewire \d+\.\d+\.\d+\n$/);
  assert.match(run(['version', '--build']).out, /^openssl /m);
  assert.ok(JSON.parse(run(['version', '--build', '--json']).out).openssl);
  const script = run(['completion', 'bash']).out;
  assert.equal(spawnSync('bash', ['-n'], { input: script }).status, 0);
  assert.match(run(['completion', 'zsh']).out, /bashcompinit/);
  assert.match(run(['completion', 'fish']).out, /^complete -c tidewire/);
});

test('a reader that goes away is no reason to complain', async () => {
  const child = spawn('bash', ['-c', `"${BIN}" config defaults | head -1; echo "\${PIPESTATUS[0]}"`],
    { env: environment() });
  let out = '', err = '';
  child.stdout.on('data', (bytes) => (out += bytes));
  child.stderr.on('data', (bytes) => (err += bytes));
  await new Promise((resolve) => child.on('exit', resolve));
  assert.match(out, /^# Tidewire settings/);
  assert.equal(err, '');
});

// ---- explain ----

test('errors are explained by number and by name', () => {
  const r = run(['explain', '4403']);
  assert.equal(r.code, 0);
  assert.match(r.out, /^4403 ACCESS_DENIED: Access denied\n {2}Fix: /);
  assert.equal(run(['explain', 'access_denied']).out, r.out);
  assert.deepEqual(JSON.parse(run(['explain', '4403', '--json']).out).name, 'ACCESS_DENIED');
  assert.ok(run(['explain']).out.split('\n').length > 20);
  const none = run(['explain', '9999']);
  assert.equal(none.code, 1);
  assert.match(none.err, /there is no error "9999"/);
});

// ---- config ----

test('config check names file, line, column and the cure', () => {
  const cwd = folder();
  writeFileSync(join(cwd, 'tidewire.yaml'), 'http:\n  lisen: :80\nloops: many\n' +
    'channels:\n  rules:\n    - match: a\n      allow:\n        publish: "role in ["\n');
  const r = run(['config', 'check'], { cwd });
  assert.equal(r.code, 3);
  assert.equal(r.out, '');
  assert.deepEqual(r.err.trim().split('\n'), [
    'tidewire.yaml:2:3: unknown key "http.lisen" — did you mean "http.listen"?',
    'tidewire.yaml:3:8: loops: "many" is not a whole number']);
  writeFileSync(join(cwd, 'tidewire.yaml'), 'channels:\n  rules:\n    - match: a\n      allow:\n' +
    '        publish: "admin if segment("\n');
  const rules = run(['config', 'check', '--json'], { cwd });
  assert.equal(rules.code, 3);
  const answer = JSON.parse(rules.out);
  assert.equal(answer.ok, false);
  assert.match(answer.problems[0], /^tidewire\.yaml:5:18: channels\.rules\[0\]\.allow\.publish: /);
});

test('flag beats environment beats file beats default', () => {
  const cwd = folder();
  const level = (args, env) => run(['config', 'explain', 'log.level', ...args], { cwd, env }).out
    .match(/now +(\S+) +\((\w+)/).slice(1).join(' ');
  assert.equal(level([]), 'info default');
  writeFileSync(join(cwd, 'tidewire.yaml'), 'log: {level: warn}\n');
  assert.equal(level([]), 'warn file');
  assert.equal(level([], { TIDEWIRE_LOG_LEVEL: 'error' }), 'error environment');
  assert.equal(level(['--log.level', 'debug'], { TIDEWIRE_LOG_LEVEL: 'error' }), 'debug flag');
  writeFileSync(join(cwd, 'other.json'), '{"log":{"level":"trace"}}');
  assert.equal(level(['-c', 'other.json']), 'trace file');
  assert.equal(level([], { TIDEWIRE_CONFIG: 'other.json' }), 'trace file');
});

test('what the guides show is a configuration', () => {
  const cwd = folder(), guides = new URL('../../docs/guide/', import.meta.url);
  let shown = 0;
  for (const name of readdirSync(guides)) {
    for (const [, text] of readFileSync(new URL(name, guides), 'utf8').matchAll(/```yaml\n([^]*?)```/g)) {
      shown++;
      writeFileSync(join(cwd, 'shown.yaml'), text);
      const { err } = run(['config', 'check', '-c', 'shown.yaml'],
        { cwd, env: { JWT_SECRET: SECRET, SECRET_A: SECRET } });
      // The keys of others are not here.
      const problems = err.split('\n').filter((line) => line && !/cannot read the key file "\/etc/.test(line)
        && !/shown\.yaml: good/.test(line));
      assert.deepEqual(problems, [], `${name}\n${text}`);
    }
  }
  assert.ok(shown >= 4);
});

test('what config prints is what config takes', () => {
  const cwd = folder();
  writeFileSync(join(cwd, 'all.yaml'), run(['config', 'defaults']).out);
  const r = run(['config', 'check', '-c', 'all.yaml'], { cwd });
  assert.equal(r.code, 0);
  assert.equal(r.out, 'all.yaml: good\n');
  const schema = JSON.parse(run(['config', 'schema']).out);
  assert.equal(schema.properties.http.properties.listen.items.type, 'string');
  assert.match(run(['config', 'env']).out, /^#TIDEWIRE_HTTP_LISTEN=127\.0\.0\.1:8787$/m);
  assert.equal(run(['config', 'explain', 'nope.nope']).code, 1);
});

test('an unknown variable is a warning with a suggestion', () => {
  const r = run(['config', 'check'], { env: { TIDEWIRE_HTTP_LISTN: ':80' } });
  assert.equal(r.code, 0);
  assert.match(r.err, /TIDEWIRE_HTTP_LISTN: is no setting — did you mean TIDEWIRE_HTTP_LISTEN\?/);
});

test('init writes settings that check, a private secret, and overwrites nothing', () => {
  const cwd = folder();
  assert.equal(run(['init'], { cwd }).code, 0);
  assert.equal(statSync(join(cwd, '.env')).mode & 0o777, 0o600);
  const env = envFile(join(cwd, '.env'));
  assert.ok(env.TIDEWIRE_AUTH_JWT_SECRET.length >= 43);
  const check = run(['config', 'check'], { cwd, env });
  assert.equal(check.err, '');
  assert.equal(check.code, 0);
  const again = run(['init'], { cwd });
  assert.equal(again.code, 1);
  assert.match(again.err, /File exists; --force replaces it/);
  assert.deepEqual(envFile(join(cwd, '.env')), env);
  assert.equal(run(['init', '--force'], { cwd }).code, 0);
  assert.notDeepEqual(envFile(join(cwd, '.env')), env);
});

// ---- tokens ----

const withSecret = { TIDEWIRE_AUTH_JWT_SECRET: SECRET };

test('a minted token is good and carries its claims', () => {
  const r = run(['token', 'mint', '--sub', 'u1', '--role', 'admin', '--claim', 'level=3',
    '--claim', 'who=me "x"', '--ttl', '2h'], { env: withSecret });
  assert.equal(r.code, 0);
  const claims = JSON.parse(Buffer.from(r.out.split('.')[1], 'base64url'));
  assert.deepEqual({ ...claims, iat: 0, exp: 0 },
    { sub: 'u1', role: 'admin', level: 3, who: 'me "x"', iat: 0, exp: 0 });
  assert.equal(claims.exp - claims.iat, 7200);
  const check = run(['token', 'check', r.out.trim()], { env: withSecret });
  assert.equal(check.code, 0);
  assert.match(check.out, /^sub +u1$/m);
  assert.match(check.out, /^expires +in 7\d\d\d s$/m);
  const piped = run(['token', 'check', '-', '--json'], { env: withSecret, input: r.out });
  assert.equal(JSON.parse(piped.out).ok, true);
});

test('token check says why a token is refused', () => {
  const mint = (...args) => run(['token', 'mint', ...args], { env: withSecret }).out.trim();
  const check = (token, env = withSecret) => run(['token', 'check', token], { env });
  const expired = check(mint('--claim', 'exp=1000'));
  assert.equal(expired.code, 1);
  assert.match(expired.out, /expired/);
  const other = check(mint('--sub', 'x'), { TIDEWIRE_AUTH_JWT_SECRET: SECRET + 'x' });
  assert.equal(other.code, 1);
  assert.match(other.out, /signature is wrong/);
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`;
  assert.equal(check(none).code, 1);
  assert.equal(check('nonsense').code, 1);
});

test('without a secret nothing is minted, and a bad secret is exit code 3', () => {
  const r = run(['token', 'mint', '--sub', 'u']);
  assert.equal(r.code, 1);
  assert.equal(r.out, '');
  assert.match(r.err, /no shared secret is configured/);
  const short = run(['token', 'mint'], { env: { TIDEWIRE_AUTH_JWT_SECRET: 'short' } });
  assert.equal(short.code, 3);
  assert.doesNotMatch(short.err, /"short"/);
  assert.equal(run(['token', 'mint', '--claims', '[1]'], { env: withSecret }).code, 2);
  assert.equal(run(['token', 'mint', '--claim', 'a={'], { env: withSecret }).code, 1);
});

// ---- dev ----

test('dev makes private secrets, says where it is, and ends in good order', async () => {
  const cwd = folder();
  const { child, path, env } = await dev(cwd);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(join(cwd, 'tidewire-data')).mode & 0o777, 0o700);
  assert.equal(statSync(join(cwd, 'tidewire-data', 'dev.secret')).mode & 0o777, 0o600);
  assert.match(env.TIDEWIRE_URL, /^http:\/\/127\.0\.0\.1:\d+$/);
  const claims = (key) => JSON.parse(Buffer.from(key.split('.')[1], 'base64url'));
  assert.equal(claims(env.TIDEWIRE_ANON_KEY).role, 'anon');
  assert.equal(claims(env.TIDEWIRE_SERVICE_KEY).role, 'service_role');
  assert.ok(!child.text.includes(env.TIDEWIRE_JWT_SECRET) && !child.text.includes(env.TIDEWIRE_SERVICE_KEY));

  for (const key of [env.TIDEWIRE_ANON_KEY, env.TIDEWIRE_SERVICE_KEY])
    assert.equal(run(['token', 'check', key], { cwd }).code, 0);
  const token = run(['token', 'mint', '--sub', 'ann'], { cwd }).out.trim();

  assert.equal(run(['health'], { cwd }).out, 'ready\n');
  const live = await fetch(`${env.TIDEWIRE_URL}/health/live`);
  assert.deepEqual(await live.json(), { status: 'live' });
  const metrics = await (await fetch(`${env.TIDEWIRE_URL}/metrics`)).text();
  assert.match(metrics, /^tidewire_connections_total \d+$/m);
  const forOthers = await fetch(`${env.TIDEWIRE_URL}/metrics`, { headers: { 'x-forwarded-for': '10.1.1.1' } });
  assert.equal(forOthers.status, 403);
  const missing = await fetch(`${env.TIDEWIRE_URL}/nope`);
  assert.equal(missing.status, 404);
  assert.equal((await missing.json()).name, 'NOT_FOUND');

  const first = run(['pub', 'room:1', 'hello', '{"a":1}', '--token', token, '--id', 'once'], { cwd });
  assert.equal(first.out, 'room:1 1\n', first.err);
  const repeat = run(['pub', 'room:1', 'hello', '{"a":1}', '--token', token, '--id', 'once', '--json'], { cwd });
  assert.deepEqual([JSON.parse(repeat.out).offset, JSON.parse(repeat.out).duplicate], [1, true]);
  assert.equal(run(['pub', 'room:1', '-'], { cwd, input: '{"n":1}\n\n"two"\n' }).out, 'room:1 2\nroom:1 3\n');
  const got = run(['sub', 'room:1', '--history', '10', '--count', '3', '--raw'], { cwd });
  assert.equal(got.out, '{"a":1}\n{"n":1}\n"two"\n');
  assert.equal(run(['pub', 'room:1', 'x', 'not json'], { cwd }).code, 1);
  assert.equal(run(['pub', 'room:1', 'x', '1', '--token', 'bad'], { cwd }).code, 1);

  assert.deepEqual(await stop(child), { code: 0, signal: null });
  assert.equal(run(['health', '--url', env.TIDEWIRE_URL], { cwd }).code, 4);

  const again = await dev(cwd);
  assert.equal(again.env.TIDEWIRE_ANON_KEY, env.TIDEWIRE_ANON_KEY);
  assert.deepEqual(await stop(again.child), { code: 0, signal: null });
});

test('sub follows a server through a restart and misses nothing', async () => {
  const cwd = folder();
  const a = await dev(cwd);
  const port = new URL(a.env.TIDEWIRE_URL).port;
  const sub = start(['sub', 'r', '--json'], { cwd });
  await until('subscribed', () => sub.out.includes('"type":"subscribed"'));
  run(['pub', 'r', 'e', '"before"'], { cwd });
  await until('first message', () => sub.out.includes('"before"'));
  await stop(a.child);
  const b = serve('dev', ['--listen', `127.0.0.1:${port}`], { cwd });
  await logged(b, 'ready');
  run(['pub', 'r', 'e', '"after"'], { cwd });
  await until('message after the restart', () => sub.out.includes('"after"'));
  const contents = sub.out.trim().split('\n').map((line) => JSON.parse(line))
    .filter((m) => m.type === 'message').map((m) => m.content);
  assert.deepEqual(contents, ['before', 'after']);
  assert.match(sub.text, /lost the connection .*\n(.*\n)*back\n/);
  sub.kill('SIGINT');
  assert.equal((await sub.ended).signal, 'SIGINT'); // a shell says 130
  await stop(b);
});

test('dev takes the file that init wrote, with a secret of its own', async () => {
  const cwd = folder();
  assert.equal(run(['init'], { cwd }).code, 0);
  const { child, env } = await dev(cwd);
  assert.ok(!child.text.includes('nobody_can_enter'));
  const publish = async (bearer) => (await fetch(`${env.TIDEWIRE_URL}/api/publish`, {
    method: 'POST', body: '{"channel":"c","content":1}',
    headers: bearer ? { authorization: `Bearer ${bearer}` } : {} })).status;
  assert.equal(await publish(), 401); // as the file says
  assert.equal(await publish(run(['token', 'mint', '--sub', 'u'], { cwd }).out.trim()), 200);
  assert.equal(await publish(env.TIDEWIRE_SERVICE_KEY), 200);
  await stop(child);
});

test('dev serves the files of a folder, and never what is secret', async () => {
  const cwd = folder();
  const outside = folder();
  writeFileSync(join(outside, 'secret.txt'), 'outside');
  writeFileSync(join(cwd, 'index.html'), '<h1>mine</h1>');
  writeFileSync(join(cwd, '.env'), 'hidden');
  mkdirSync(join(cwd, 'sub'));
  writeFileSync(join(cwd, 'sub', 'index.html'), 'below');
  writeFileSync(join(cwd, 'sub', 'app.js'), 'x = 1');
  writeFileSync(join(cwd, 'empty.css'), '');
  symlinkSync(join(outside, 'secret.txt'), join(cwd, 'link.txt'));
  symlinkSync(join(cwd, 'sub', 'app.js'), join(cwd, 'inner.js'));
  symlinkSync('tidewire-data/dev.env', join(cwd, 'env.txt'));
  const { child, env: { TIDEWIRE_URL: url } } = await dev(cwd, ['.']);
  const get = async (path, options) => {
    const answer = await fetch(url + path, options);
    return [answer.status, answer.headers.get('content-type'), await answer.text(), answer.headers.get('etag')];
  };
  assert.deepEqual((await get('/')).slice(0, 3), [200, 'text/html; charset=utf-8', '<h1>mine</h1>']);
  assert.equal((await get('/sub/'))[2], 'below');
  assert.equal((await get('/sub'))[0], 404);
  assert.deepEqual((await get('/sub/app.js')).slice(0, 3), [200, 'text/javascript; charset=utf-8', 'x = 1']);
  assert.equal((await get('/inner.js'))[2], 'x = 1');
  assert.equal((await get('/empty.css'))[0], 200);
  const tag = (await get('/sub/app.js'))[3];
  assert.equal((await get('/sub/app.js', { headers: { 'if-none-match': tag } }))[0], 304);
  assert.deepEqual((await get('/sub/app.js', { method: 'HEAD' })).slice(0, 3).join(), '200,text/javascript; charset=utf-8,');
  for (const path of ['/.env', '/link.txt', '/env.txt', '/tidewire-data/dev.env', '/tidewire-data/dev.secret',
    '/%2e%2e/x', '/sub/%2e%2e/%2eenv', '/sub/..%2f.env', '/%2fetc/passwd', '/nope', '/tidewire-data/'])
    assert.deepEqual((await get(path)).slice(0, 2), [404, 'application/json; charset=utf-8'], path);
  assert.equal((await get('/', { method: 'POST' }))[0], 405);
  assert.equal((await get('/health/ready'))[0], 200);
  await stop(child);
  assert.equal(run(['dev', 'no-such-folder', '--listen', '127.0.0.1:0']).code, 4);
});

test('tail shows what happens, to the service role alone', async () => {
  const cwd = folder();
  const { child, env } = await dev(cwd);
  const all = start(['tail', '--json'], { cwd });
  const some = start(['tail', 'room:*', '--no-sessions', '--count', '3'], { cwd });
  await until('both watch', () => all.text.includes('watching') && some.text.includes('watching'));
  const token = run(['token', 'mint', '--sub', 'ann'], { cwd }).out.trim();
  run(['pub', 'room:1', 'hello', '{"a":1}', '--token', token], { cwd });
  run(['pub', 'other', 'hello', '2'], { cwd });
  run(['pub', 'room:2', 'hello', '"\u202e\\u001b"', '-n', '2'], { cwd });
  await until('three lines', () => some.out.split('\n').length > 3);
  assert.deepEqual(await some.ended, { code: 0, signal: null });
  const lines = some.out.trim().split('\n').map((line) => line.replace(/^\S+ /, ''));
  assert.deepEqual(lines, ['room:1 #1 hello {"a":1}', 'room:2 #1 hello "?\\u001b"', 'room:2 #2 hello "?\\u001b"']);
  const events = await until('all that happened', () => {
    const seen = all.out.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
    const ended = seen.some((e) => e.event === 'end' && e.sub === 'ann');
    return ended && seen.filter((e) => e.type === 'message').length === 4 && seen;
  });
  const ann = events.filter((e) => e.type === 'session' && e.sub === 'ann').map((e) => e.event);
  assert.deepEqual(ann, ['open', 'end']);
  assert.ok(!all.out.includes(token.split('.')[2]));

  const { TIDEWIRE_ANON_KEY: anon, TIDEWIRE_SERVICE_KEY: service, TIDEWIRE_URL: url } = env;
  for (const [key, status] of [[anon, 403], [token, 403], ['x', 401], [service, 200]]) {
    const answer = await fetch(`${url}/api/tail`, { headers: { authorization: `Bearer ${key}` } });
    assert.equal(answer.status, status);
    await answer.body.cancel();
  }
  assert.equal(run(['tail', '--token', token], { cwd }).code, 1);
  all.kill('SIGINT');
  const left = start(['tail'], { cwd });
  await until('it watches', () => left.text.includes('watching'));
  assert.deepEqual(await stop(child), { code: 0, signal: null }); // a drain ends the stream
  assert.equal((await left.ended).code, 4);
});

test('dev stays on this machine', () => {
  for (const address of ['0.0.0.0:0', ':0', '[::]:0', '192.0.2.1:80']) {
    const r = run(['dev', '--listen', address]);
    assert.equal(r.code, 3, address);
    assert.match(r.err, /is not a loopback address/);
  }
});

test('serve refuses the secrets of dev, wherever they come from', async () => {
  const cwd = folder();
  const { child, env } = await dev(cwd);
  await stop(child);
  const from = { TIDEWIRE_AUTH_JWT_SECRET: env.TIDEWIRE_JWT_SECRET };
  for (const r of [run(['serve', '--listen', '127.0.0.1:0'], { cwd, env: from }),
    run(['config', 'check'], { cwd, env: from }),
    run(['serve', '--listen', '127.0.0.1:0'],
      { cwd, env: { TIDEWIRE_AUTH_JWT_SECRET_FILE: 'tidewire-data/dev.secret' } }),
    run(['serve', '--listen', '127.0.0.1:0', `--auth.keys=[{secret: ${env.TIDEWIRE_JWT_SECRET}}]`], { cwd })]) {
    assert.equal(r.code, 3, r.err);
    assert.match(r.err, /was made by `tidewire dev`/);
    assert.ok(!r.err.includes(env.TIDEWIRE_JWT_SECRET));
  }
});

// ---- serve ----

test('a data folder that cannot be had is exit code 4 and says what to do', () => {
  const cwd = folder();
  writeFileSync(join(cwd, 'file'), '');
  const r = run(['serve', '--listen', '127.0.0.1:0', '--data', 'file/data',
    '--database.file=x.db'], { cwd, env: withSecret });
  assert.equal(r.code, 4);
  assert.match(r.err, /the database cannot be opened: file\/data: Not a directory. Name another folder/);
});

test('what a durable channel has answered is there after a kill', async () => {
  const cwd = folder();
  const rules = "--channels.rules=[{match: 'd*', durable: true, allow: {subscribe: '*', publish: '*'}}]";
  const first = await dev(cwd, [rules]);
  for (const n of [1, 2])
    assert.equal(run(['pub', 'd', 'e', String(n)], { cwd }).out, `d ${n}\n`);
  first.child.kill('SIGKILL');
  await first.child.ended;
  rmSync(first.path);
  const second = await dev(cwd, [rules]);
  assert.equal(run(['pub', 'd', 'e', '3'], { cwd }).out, 'd 3\n');
  const kept = await (await fetch(`${second.env.TIDEWIRE_URL}/api/channels/d`)).json();
  assert.deepEqual(kept.messages.map((m) => m.content), [1, 2, 3]);
  await stop(second.child);
});

test('an address in use is exit code 4', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.on('listening', resolve));
  const r = run(['serve', '--data', '.', '--listen', `127.0.0.1:${holder.address().port}`],
    { env: withSecret });
  holder.close();
  assert.equal(r.code, 4);
  assert.match(r.err, /cannot listen on .*: Address already in use/);
});

test('serve lets nobody in whom no rule names, and SIGHUP changes the rules as a whole', async () => {
  const cwd = folder();
  const file = join(cwd, 'tidewire.yaml');
  const settings = (rule) => `http: {listen: "127.0.0.1:0"}\nauth: {jwt_secret: ${SECRET}}\n` +
    `channels:\n  rules:\n    - match: "*"\n      allow: ${rule}\n`;
  writeFileSync(file, settings('{subscribe: authenticated}'));
  const child = serve('serve', [], { cwd });
  const { url } = await logged(child, 'ready');
  const token = run(['token', 'mint', '--sub', 'u', '--role', 'authenticated'], { env: withSecret }).out.trim();
  const publish = async (bearer) => (await fetch(`${url}/api/publish`, {
    method: 'POST', body: '{"channel":"c","content":1}',
    headers: bearer ? { authorization: `Bearer ${bearer}` } : {} })).status;
  assert.equal(await publish(), 401);
  assert.equal(await publish('x.y.z'), 401);
  assert.equal(await publish(token), 403);

  writeFileSync(file, settings('{subscribe: authenticated, publish: authenticated}'));
  child.kill('SIGHUP');
  await until('the new rules', async () => (await publish(token)) === 200);

  writeFileSync(file, settings('{publish: none}') + 'lop: 3\n');
  child.kill('SIGHUP');
  const refused = await logged(child, 'reload_refused');
  assert.match(refused.problem, /tidewire\.yaml:7:1: unknown key "lop" — did you mean "loops"\?/);
  assert.equal(await publish(token), 200);

  writeFileSync(file, settings('{publish: none}') + 'history: {count: 3}\n');
  child.kill('SIGHUP');
  assert.match((await logged(child, 'needs_restart')).settings, /history\.count/);
  await until('no publishing', async () => (await publish(token)) === 403);
  assert.deepEqual(await stop(child), { code: 0, signal: null });
  assert.ok(!child.text.includes(SECRET) && !child.text.includes(token));
});

test('metrics have a listener of their own when they shall', async () => {
  const cwd = folder();
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.on('listening', resolve));
  const { port } = holder.address();
  await new Promise((resolve) => holder.close(resolve));
  const child = serve('serve', ['--listen', '127.0.0.1:0', `--metrics.listen=127.0.0.1:${port}`],
    { cwd, env: withSecret });
  await logged(child, 'ready');
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { via: '1.1 proxy' } });
  assert.equal(answer.status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${port}/health/ready`)).status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${port}/api/publish`, { method: 'POST' })).status, 404);
  await stop(child);
});

test('SIGUSR2 tells the state and a second SIGTERM does not wait', async () => {
  const cwd = folder();
  const { child, env } = await dev(cwd, ['--drain.timeout=1h']);
  child.kill('SIGUSR2');
  const state = await logged(child, 'state');
  assert.equal(state.websocket, 0);
  // A stream that does not go away by itself keeps the drain waiting.
  const stream = await fetch(`${env.TIDEWIRE_URL}/api/events`);
  const reader = stream.body.getReader();
  await reader.read();
  child.kill('SIGTERM');
  await logged(child, 'draining');
  child.kill('SIGTERM');
  assert.deepEqual(await child.ended, { code: 0, signal: null });
  await reader.cancel().catch(() => {});
});
