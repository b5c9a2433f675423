// SPDX-License-Identifier: Apache-2.0
// Socket.IO by polling alone: node bench/polling.mjs URL SECONDS LABEL PID...
// 500 clients in a room, one message on its way: each delivery is an answer and the next GET. A line
// like those of `tidewire bench`.
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';

const [url, seconds, label, ...pids] = process.argv.slice(2);
const MEMBERS = 500, RS = '\x1e', TEXT = 'x'.repeat(128);
const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
const { hostname, port } = new URL(url);

// Processor time of all threads, in microseconds.
const cpu = () => pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((task) =>
  Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000))
  .reduce((a, b) => a + b, 0);

function ask(query, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({
      hostname, port, agent, path: `/socket.io/?EIO=4&transport=polling${query}`, method: body ? 'POST' : 'GET',
      headers: body ? { 'content-type': 'text/plain', 'content-length': body.length } : {},
    }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (d) => { text += d; });
      res.on('end', () => (res.statusCode === 200 ? resolve(text) : reject(new Error(`${res.statusCode} ${text}`))));
    });
    request.on('error', reject);
    request.end(body);
  });
}

const got = { n: 0, bytes: 0, lost: 0, repeated: 0, delays: [] };
let waiting = null;

class Client {
  async open() {
    this.q = `&sid=${JSON.parse((await ask('')).slice(1)).sid}`;
    this.last = 0;
    await ask(this.q, '40');
    await ask(this.q);
    await ask(this.q, '420["join","room"]');
    while (!(await ask(this.q)).includes('430')) ;
    this.poll();
  }

  async poll() {
    for (;;) for (const packet of (await ask(this.q)).split(RS)) this.take(packet);
  }

  take(packet) {
    if (packet === '2') ask(this.q, '3');
    if (!packet.startsWith('42["msg"')) return;
    const [, text] = JSON.parse(packet.slice(2));
    const [n, at] = text.split(' ').map(Number);
    if (n <= this.last) got.repeated++;
    else got.lost += n - this.last - 1;
    this.last = n;
    got.n++;
    got.bytes += packet.length;
    got.delays.push(performance.now() - at);
    if (--waiting.left === 0) waiting.done();
  }
}

const clients = Array.from({ length: MEMBERS }, () => new Client());
for (let i = 0; i < MEMBERS; i += 50) await Promise.all(clients.slice(i, i + 50).map((c) => c.open()));
let n = 0;
async function round() {
  const all = new Promise((done) => { waiting = { left: MEMBERS, done }; });
  const text = `${++n} ${performance.now()} ${TEXT}`.slice(0, 128);
  ask(clients[n % MEMBERS].q, `42${JSON.stringify(['send', 'room', text])}`);
  await all;
}
for (let i = 0; i < 5; i++) await round(); // warm
Object.assign(got, { n: 0, bytes: 0, delays: [] });
const [before, began] = [cpu(), performance.now()];
while (performance.now() - began < Number(seconds) * 1000) await round();
const spent = cpu() - before;
const sorted = got.delays.sort((a, b) => a - b);
console.log(JSON.stringify({
  label, dialect: 'socketio-poll', delivered: got.n, cpu_us: spent / got.n, bytes_each: got.bytes / got.n,
  p50_ms: sorted[sorted.length >> 1], p99_ms: sorted[Math.floor(sorted.length * 0.99)],
  lost: got.lost, repeated: got.repeated, displaced: 0, strange: 0, failed: 0,
}));
process.exit(0);
