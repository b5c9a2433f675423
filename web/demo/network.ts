// SPDX-License-Identifier: Apache-2.0
// The network of this page, with a switch: what goes through here can be cut without asking anybody,
// and is counted. The client of the demo is made on top of it.
import { createClient } from '@tidewire/client';
import { Store } from '../../clients/react/src/store.js';

export interface Counters {
  bytes: number;
  messages: number;
  recovered: number;
  gaps: number;
  duplicates: number;
}

export const counters = new Store<Counters>({ bytes: 0, messages: 0, recovered: 0, gaps: 0, duplicates: 0 });
export const count = (part: Partial<Counters>) => {
  const next = { ...counters.value };
  for (const [name, n] of Object.entries(part)) next[name as keyof Counters] += n!;
  counters.set(next);
};

export const cut = new Store(false);

/** A WebSocket that cannot be opened while the network is cut. */
class CountedWebSocket extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    // Port 9 answers nobody: the browser reports it as it does any lost network.
    super(cut.value ? 'ws://127.0.0.1:9/' : url, protocols);
    this.addEventListener('message', ({ data }) => count({ bytes: typeof data == 'string' ? data.length : data.byteLength }));
  }
}

const countedFetch: typeof fetch = (input, init) =>
  cut.value ? Promise.reject(new TypeError('The network is cut')) : fetch(input, init);

// Two tabs are two people; the name lasts.
const names = ['Ada', 'Bo', 'Cleo', 'Dov', 'Edda', 'Finn', 'Gia', 'Hal', 'Ines', 'Juno', 'Kai', 'Lea'];
export const me = {
  id: (sessionStorage.tidewireId ??= Math.random().toString(36).slice(2, 10)) as string,
  name: (sessionStorage.tidewireName ??= localStorage.tidewireName ?? names[Math.floor(Math.random() * names.length)]) as string,
};
export function rename(name: string) {
  me.name = sessionStorage.tidewireName = localStorage.tidewireName = name;
}

export const client = createClient({
  token: new URLSearchParams(location.search).get('token') ?? undefined,
  WebSocket: CountedWebSocket,
  fetch: countedFetch,
});

export function setCut(on: boolean) {
  cut.set(on);
  client.connection.reconnect();
}

/** Everything a channel of the demo brings is checked here: each once, in order, or a gap is told. */
export function audit(name: string) {
  const channel = client.channel(name);
  let last = 0;
  channel.on('*', (m) => {
    count({ messages: 1 });
    if (m.offset <= last) count({ duplicates: 1 });
    else if (m.replayed && last) count({ recovered: 1 });
    last = Math.max(last, m.offset);
  });
  channel.on('gap', () => count({ gaps: 1 }));
}
