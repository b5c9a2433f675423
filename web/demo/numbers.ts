// SPDX-License-Identifier: Apache-2.0
// The server's own numbers, shared: of the pages that are open one asks for them each second and
// publishes them, all others only listen. Who that is, presence decides: the first key.
import type { Sample } from './code/useNumbers.js';
import { robin } from './people.js';

export const NUMBERS = 'demo:numbers';

async function sample(): Promise<Sample> {
  const answer = await fetch('/metrics');
  if (!answer.ok) throw new Error('The metrics are for operators here');
  const all: Record<string, number> = {};
  for (const [, name, n] of (await answer.text()).matchAll(/^tidewire_(\S+) ([0-9.e+-]+)$/gm)) {
    if (!/_bucket|_sum$|_count$/.test(name!)) all[name!] = Number(n);
  }
  return { t: Date.now(), all };
}

/** Robin does it, whose network is always fine. */
export function feedNumbers() {
  const channel = robin.client.channel(NUMBERS, { presence: true });
  channel.subscribe().catch(() => {});
  channel.presence.enter({}, robin.id).catch(() => {});
  const timer = setInterval(async () => {
    const first = channel.presence.members.map((m) => m.key).sort()[0];
    if (first != robin.id) return;
    try {
      await channel.publish('message', await sample(), { queue: false });
    } catch {
      // away, or not allowed: the numbers stand still
    }
  }, 1000);
  return () => {
    clearInterval(timer);
    channel.unsubscribe();
  };
}

export const sum = (all: Record<string, number>, name: string) =>
  Object.entries(all).reduce(
    (total, [key, n]) => (key.split('{')[0] == name ? total + n : total),
    0,
  );
