// SPDX-License-Identifier: Apache-2.0
// What the data API costs: node bench/data.mjs FOLDER, which holds `rest` and `visibility` (`make
// bench-data` builds and runs them). Each part prints one line of JSON.
//   inserts, bulk inserts and reads a second over keep-alive connections (synchronous=full)
//   from the insert that is sent to the change that arrives, one at a time
//   one change to 10,000 subscribers of 10,000 users under a membership policy, without the sending
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { NativeClient } from '../tests/clients/lib/native.mjs';
import { serve } from '../tests/clients/lib/server.mjs';

const folder = path.resolve(process.argv[2] || 'build/release/data');
const SECONDS = process.env.SECONDS_EACH || '3';
const ROUNDS = Number(process.env.ROUNDS || 3);
const server = await serve(null, { loops: Number(process.env.LOOPS || 1) });
const say = (o) => console.log(JSON.stringify(o));
const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];

function load(mode, connections) {
  const lines = [];
  for (let i = 0; i < ROUNDS; i++) {
    const cpu = server.cpuMs();
    const line = JSON.parse(execFileSync(path.join(folder, 'rest'),
      [String(server.port), server.anonKey, mode, String(connections), SECONDS], { encoding: 'utf8' }));
    lines.push({ ...line, cpu_us: ((server.cpuMs() - cpu) * 1000) / (line.per_second * Number(SECONDS)) });
  }
  const middle = median(lines.map((l) => l.per_second));
  const line = lines.find((l) => l.per_second === middle);
  say({ ...line, cpu_us: Math.round(line.cpu_us) });
}

async function latency(count) {
  const c = await NativeClient.open(server.ws('/socket?session=none'));
  await c.subscribe('table:messages?room_id=eq.latency');
  const times = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    const sent = fetch(`${server.url}/rest/v1/messages`, { method: 'POST', headers: { apikey: server.anonKey, 'content-type': 'application/json' },
      body: JSON.stringify({ room_id: 'latency', content: `m${i}` }) });
    await c.type('message');
    times.push(performance.now() - began);
    await (await sent).text();
  }
  await c.close();
  times.sort((a, b) => a - b);
  say({ mode: 'insert to event', count, p50_ms: +times[count >> 1].toFixed(2), p99_ms: +times[Math.floor(count * 0.99)].toFixed(2) });
}

try {
  await latency(1000);
  for (const connections of [1, 64, 256]) load('insert', connections);
  load('bulk', 8);
  load('read', 64);
  for (let i = 0; i < ROUNDS; i++) process.stdout.write(execFileSync(path.join(folder, 'visibility'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
} finally {
  await server.stop();
  server.clean();
}
