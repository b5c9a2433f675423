// SPDX-License-Identifier: Apache-2.0
// What an idle channel costs: node bench/channels.mjs URL PID [CHANNELS]
// 1,000 channels on each connection, each with one subscriber and nothing said yet.
import { readFileSync } from 'node:fs';
import WebSocket from 'ws';

const [url, pid, count = '100000'] = process.argv.slice(2);
const pss = () => 1024 * Number(/\nPss:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
const cpu = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ').slice(11, 13)
  .reduce((sum, ticks) => sum + Number(ticks) * 1e4, 0);
const before = [pss(), cpu()];
let done = 0;
for (let first = 0; first < Number(count); first += 1000) {
  await new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace('http', 'ws') + '/socket', { perMessageDeflate: false });
    let left = Math.min(1000, Number(count) - first);
    socket.on('error', reject);
    socket.on('open', () => {
      for (let i = 0; i < left; i += 100) {
        const channels = Array.from({ length: Math.min(100, left - i) }, (_, k) => `c${first + i + k}`);
        socket.send(JSON.stringify({ type: 'subscribe', channels }));
      }
    });
    socket.on('message', (data) => {
      const frame = JSON.parse(data);
      if (frame.type === 'error') reject(new Error(frame.message));
      if (frame.type === 'subscribed') { done++; if (--left === 0) resolve(); }
    });
  });
}
console.log(JSON.stringify({ channels: done, pss_each: Math.round((pss() - before[0]) / done),
  cpu_us: Number(((cpu() - before[1]) / done).toFixed(2)) }));
process.exit(0);
