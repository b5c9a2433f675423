// SPDX-License-Identifier: Apache-2.0
// The real program, started for a test: `tidewire dev` on a port of its own with a data folder of
// its own, stopped when the test is over. A test fails when the server reports anything to a
// sanitizer, ends otherwise than it was told to, or (server.settled) does not give everything back.
//
//   const server = await serve(t, { config: { ws: { ping_ms: '1s' } } });
//   server.url, server.ws('/socket'), server.anonKey, server.mint({ sub: 'u1' }) ...
//
// TIDEWIRE_BIN names the program (default build/tidewire), TIDEWIRE_LOOPS the number of loops;
// TIDEWIRE_FLUSH=writev runs it without io_uring.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep, until, within } from './wait.mjs';

const TOP = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const BIN = path.resolve(process.env.TIDEWIRE_BIN || path.join(TOP, 'build/tidewire'));
export const LOOPS = Number(process.env.TIDEWIRE_LOOPS || 2);
const FLUSH = process.env.TIDEWIRE_FLUSH;

const REPORTS = /ERROR: (Address|Leak|Thread|UndefinedBehavior)Sanitizer|WARNING: ThreadSanitizer|runtime error: /;
const SETTLED = ['tidewire_sessions', 'tidewire_subscriptions', 'tidewire_presence_members',
  'tidewire_connections{transport="websocket"}', 'tidewire_connections{transport="sse"}',
  'tidewire_connections{transport="poll"}'];

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => process.exit(1));

// A token of HS256 over any header and claims; exp is an hour ahead unless it is given.
export function signHs256(secret, claims, header = {}) {
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

export class Server {
  // options: config (object, becomes the file), args (more flags), env, loops, verb, ulimit (open
  // files), listen, data (a folder to keep; else a fresh one that is removed), bin (another program
  // that takes the same flags)
  constructor(options = {}) {
    this.options = options;
    this.ownsData = !options.data;
    this.data = options.data || fs.mkdtempSync(path.join(os.tmpdir(), 'tidewire-test-'));
    this.logPath = path.join(this.data, 'server.log');
    this.verb = options.verb || 'dev';
    this.listen = options.listen || '127.0.0.1:0';
  }

  async start() {
    fs.rmSync(path.join(this.data, 'dev.env'), { force: true });
    const log = fs.openSync(this.logPath, 'a');
    const began = fs.fstatSync(log).size;
    const [program, args] = this.#command();
    this.child = spawn(program, args, {
      cwd: this.data, env: this.#environment(), stdio: ['ignore', log, log],
    });
    fs.closeSync(log);
    running.add(this.child);
    this.exited = new Promise((resolve) => {
      this.child.on('exit', (code, signal) => {
        running.delete(this.child);
        resolve({ code, signal });
      });
      this.child.on('error', (error) => resolve({ code: -1, error }));
    });
    this.stopping = false;
    let ended = null;
    this.exited.then((e) => { ended = e; });
    await until(() => {
      if (ended) throw new Error(`the server ended while starting (${JSON.stringify(ended)}):\n${this.log()}`);
      return this.#learn(began);
    }, () => `ready\n${this.log()}`, { ms: 30000 });
    await until(() => ended || this.#isReady(), '/health/ready');
    return this;
  }

  #command() {
    const { config, args = [], loops = LOOPS, ulimit } = this.options;
    const flags = [this.verb, '--listen', this.listen, '--data', this.data, `--loops=${loops}`];
    if (config) {
      const file = path.join(this.data, 'test.json');
      fs.writeFileSync(file, JSON.stringify(config, null, 2));
      flags.push('--config', file);
    }
    flags.push(...args);
    const bin = this.options.bin || BIN;
    if (!ulimit) return [bin, flags];
    return ['/bin/sh', ['-c', `ulimit -n ${ulimit} && exec "$@"`, 'sh', bin, ...flags]];
  }

  // Settings of the developer's own shell must not reach the server; how it writes may be chosen.
  #environment() {
    const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !k.startsWith('TIDEWIRE_')));
    const asan = [env.ASAN_OPTIONS, 'detect_leaks=1', 'exitcode=99'].filter(Boolean).join(':');
    return { ...env, ASAN_OPTIONS: asan, ...(FLUSH && { TIDEWIRE_FLUSH: FLUSH }), ...this.options.env };
  }

  // dev writes dev.env when it is ready; any verb says so in its log.
  #learn(began) {
    const ready = this.log(began).match(/"event":"ready","url":"([^"]+)".*"flush":"(\w+)"/);
    if (!ready) return false;
    if (FLUSH && ready[2] !== FLUSH) throw new Error(`it writes by ${ready[2]}, not by ${FLUSH}`);
    this.url = ready[1];
    this.port = Number(new URL(this.url).port);
    this.host = '127.0.0.1';
    this.listen = `${this.host}:${this.port}`; // a restart takes the same port
    const file = path.join(this.data, 'dev.env');
    if (this.verb === 'dev' && !fs.existsSync(file)) return false;
    const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    this.vars = Object.fromEntries([...text.matchAll(/^(\w+)=(.*)$/gm)].map((m) => [m[1], m[2]]));
    this.anonKey = this.vars.TIDEWIRE_ANON_KEY;
    this.serviceKey = this.vars.TIDEWIRE_SERVICE_KEY;
    this.secret = this.vars.TIDEWIRE_JWT_SECRET;
    return true;
  }

  async #isReady() {
    try {
      return (await fetch(`${this.url}/health/ready`)).status === 200;
    } catch {
      return false;
    }
  }

  get pid() {
    return this.child.pid;
  }

  ws(where = '/socket') {
    return `ws://${this.host}:${this.port}${where}`;
  }

  // claims: sub, role, exp ... ; exp: seconds since 1970, null = none, default in an hour
  mint(claims = {}, header = {}) {
    const now = Math.floor(Date.now() / 1000);
    const all = { iat: now, exp: now + 3600, ...claims };
    if (all.exp === null) delete all.exp;
    return signHs256(this.secret, all, header);
  }

  // One message or an array, by the publish endpoint; returns the parsed answer.
  async publish(message, { token, headers = {} } = {}) {
    const answer = await fetch(`${this.url}/api/publish`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers,
      },
      body: JSON.stringify(message),
    });
    const body = await answer.json();
    return Object.assign(body, Array.isArray(body) ? {} : { status: answer.status });
  }

  async channel(name, query = '') {
    const answer = await fetch(`${this.url}/api/channels/${encodeURIComponent(name)}${query}`);
    return answer.json();
  }

  log(from = 0) {
    return fs.existsSync(this.logPath) ? fs.readFileSync(this.logPath).subarray(from).toString() : '';
  }

  logLines() {
    return this.log().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  }

  // name or name{label="…"} -> number
  async metrics() {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const all = {};
    for (const line of text.split('\n')) {
      const at = line.lastIndexOf(' ');
      if (at > 0 && !line.startsWith('#')) all[line.slice(0, at)] = Number(line.slice(at + 1));
    }
    return all;
  }

  async metric(name) {
    return (await this.metrics())[name];
  }

  fds() {
    return fs.readdirSync(`/proc/${this.pid}/fd`).length;
  }

  rssKb() {
    return Number(fs.readFileSync(`/proc/${this.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
  }

  // A sanitizer keeps freed memory to itself for a while and adds to every piece.
  get isSanitized() {
    this.sanitized ??= /lib[at]san/.test(fs.readFileSync(`/proc/${this.pid}/maps`, 'utf8'));
    return this.sanitized;
  }

  // Throws when the resident size has grown by more than mostKb since `before` (rssKb()).
  assertGrown(before, mostKb) {
    const grown = this.rssKb() - before;
    const most = this.isSanitized ? mostKb * 4 + 500 * 1024 : mostKb;
    if (grown > most) throw new Error(`the server grew by ${grown} KiB, at most ${most} were right`);
  }

  // Processor time of the server so far, in milliseconds (ticks of 10 ms).
  cpuMs() {
    const fields = fs.readFileSync(`/proc/${this.pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  // Waits until every gauge is back to 0 and, when a count is given, the descriptors to it.
  // Sessions that wait for a client that will not come are not given back before their time:
  // such a test sets session.resume_ms.
  async settled({ fds, names = SETTLED, slack = 0 } = {}) {
    let left;
    await until(async () => {
      const all = await this.metrics();
      left = Object.fromEntries(names.map((n) => [n, all[n]]).filter(([, v]) => v !== 0));
      if (fds !== undefined && this.fds() > fds + slack + 1) left.fds = this.fds(); // 1: this question's own
      return Object.keys(left).length === 0;
    }, () => `all given back; left: ${JSON.stringify(left)} (fds were ${fds})`, { every: 50 });
  }

  signal(name) {
    this.child.kill(name);
  }

  // An orderly end. Exit 0 and silence of the sanitizers are part of every test.
  async stop({ signal = 'SIGTERM', ms = 40000 } = {}) {
    if (this.stopping || !this.child) return;
    this.stopping = true;
    this.child.kill(signal);
    let end;
    try {
      end = await within(this.exited, 'the end of the server', ms);
    } catch (error) {
      this.child.kill('SIGKILL');
      throw new Error(`${error.message}\n${this.log().slice(-4000)}`);
    }
    this.#judge(end);
  }

  #judge(end) {
    const log = this.log();
    if (REPORTS.test(log) || end.code !== 0) {
      throw new Error(`the server ended with ${JSON.stringify(end)}:\n${log.slice(-8000)}`);
    }
  }

  // As by the kernel: no word to anybody.
  async kill() {
    this.stopping = true;
    this.child.kill('SIGKILL');
    await this.exited;
    if (REPORTS.test(this.log())) throw new Error(`sanitizer report:\n${this.log().slice(-8000)}`);
  }

  // Once more, on the same port, with the same data (dev's secret stays).
  async restart() {
    await this.start();
  }

  clean() {
    if (this.ownsData) fs.rmSync(this.data, { recursive: true, force: true });
  }
}

// A server for one test (t.after ends it) or, without t, one that the caller stops and cleans.
export async function serve(t, options = {}) {
  const server = new Server(options);
  if (t) {
    t.after(async () => {
      try {
        await server.stop();
      } finally {
        server.clean();
      }
    });
  }
  try {
    return await server.start();
  } catch (error) {
    server.child?.kill('SIGKILL');
    throw error;
  }
}

// A server for all tests of a file: const server = serveAll({ before, after }, {...}); its fields
// are there once the tests run.
export function serveAll({ before, after }, options = {}) {
  const server = new Server(options);
  before(() => server.start());
  after(async () => {
    try {
      await server.stop();
    } finally {
      server.clean();
    }
  });
  return server;
}

// A port that was free a moment ago.
export async function freePort() {
  const probe = net.createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

export { sleep, until, within };
