// SPDX-License-Identifier: Apache-2.0
// Unmodified supabase-js clients of several ages. 2.80 speaks only vsn 1.0.0, the others 2.0.0.
import WebSocket from 'ws';
import { Queue, sleep, within } from './wait.mjs';

process.removeAllListeners('warning');
console.warn = ((warn) => (...args) => (/Node\.js 20/.test(args[0]) ? undefined : warn(...args)))(console.warn);

export const VERSIONS = ['2.80', '2.109', '2.119'];
export const hasBinary = (version) => version !== '2.80';

export async function load(version) {
  return (await import(`supabase-js-${version}`)).createClient;
}

// A WebSocket whose frames can be read: frames(ws) is what came and went.
export class Spy extends WebSocket {
  static all = [];

  constructor(...args) {
    super(...args);
    this.inbox = [];
    this.on('message', (data, isBinary) => this.inbox.push(isBinary ? data : JSON.parse(data)));
    Spy.all.push(this);
  }
}

// What a client starts here and forgets (disconnect: a timer of 10 s) does not keep the process.
function lightly(run) {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (...args) => {
    const timer = setTimeout(...args);
    return timer.unref();
  };
  try {
    return run();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

// A client that is closed when the test is over.
export async function connect(t, server, { version = '2.119', key, url, realtime = {}, ...options } = {}) {
  const createClient = await load(version);
  const client = createClient(url || server.url, key || server.anonKey, {
    auth: { persistSession: false, autoRefreshToken: false },
    ...options,
    realtime: { transport: WebSocket, ...realtime },
  });
  t.after(async () => {
    // A leave that is not answered is a timer of 10 s, which the test's process would wait for.
    const leaving = client.realtime.isConnected() ? client.getChannels().map((channel) => channel.unsubscribe()) : [];
    await Promise.race([Promise.all(leaving), sleep(1000)]);
    await lightly(() => client.realtime.disconnect());
  });
  return client;
}

// A channel with everything that happens on it: broadcasts, presence, system, statuses.
export function watch(channel, { presence = true, event = '*' } = {}) {
  const w = { channel, broadcasts: new Queue(), syncs: new Queue(), joins: new Queue(), leaves: new Queue(),
    system: new Queue(), statuses: new Queue(), history: [] };
  channel.on('broadcast', { event }, (p) => w.broadcasts.push(p));
  channel.on('system', {}, (p) => w.system.push(p));
  if (presence) {
    channel.on('presence', { event: 'sync' }, () => w.syncs.push(structuredClone(channel.presenceState())));
    channel.on('presence', { event: 'join' }, (p) => w.joins.push(p));
    channel.on('presence', { event: 'leave' }, (p) => w.leaves.push(p));
  }
  w.subscribe = async (expected = 'SUBSCRIBED') => {
    channel.subscribe((status, error) => {
      w.history.push(status);
      w.statuses.push({ status, error });
    });
    return w.status(expected);
  };
  w.status = (expected) => w.statuses.find((s) => s.status === expected, `status ${expected}; there were ${w.history}`);
  return w;
}

export const send = (channel, event, payload) =>
  within(channel.send({ type: 'broadcast', event, payload }), `the answer to ${event}`);
