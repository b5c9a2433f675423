// SPDX-License-Identifier: Apache-2.0
// Who is on this page: you, and Robin, a second client with a token and a connection of its own.
// The buttons at the bottom act on you; Robin's network is always fine.
import { createClient } from '@tidewire/client';
import type { Client, OutboxStore } from '@tidewire/client';
import { indexedDBOutbox } from '@tidewire/client/outbox';
import { Store } from '../../clients/react/src/store.js';
import { Network } from './network.js';

export interface Counters {
  messages: number;
  recovered: number;
  gaps: number;
  duplicates: number;
  renewed: number;
}

export class Person {
  readonly network = new Network();
  readonly client: Client;
  readonly counters = new Store<Counters>({
    messages: 0,
    recovered: 0,
    gaps: 0,
    duplicates: 0,
    renewed: 0,
  });

  constructor(
    readonly id: string,
    public name: string,
    private given?: string,
    outbox?: OutboxStore,
  ) {
    this.client = createClient({
      token: ({ reason, signal }) => {
        if (reason == 'expiring') this.count({ renewed: 1 });
        return this.token(3600, signal);
      },
      outbox,
      reconnect: { minDelay: 300, maxDelay: 5000 },
      WebSocket: this.network.WebSocket,
      fetch: this.network.fetch,
    });
  }

  count(part: Partial<Counters>) {
    const next = { ...this.counters.value };
    for (const [name, n] of Object.entries(part)) next[name as keyof Counters] += n!;
    this.counters.set(next);
  }

  /** `tidewire dev` makes tokens for its page; another server leaves us without one. */
  private async token(seconds: number, signal?: AbortSignal) {
    if (this.given) return this.given;
    const about = new URLSearchParams({ user: this.id, name: this.name, seconds: `${seconds}` });
    const answer = await this.network.fetch(`/api/demo/token?${about}`, { signal });
    return answer.ok ? ((await answer.json()).token as string) : undefined;
  }

  /** Takes a token that ends in a moment. The server says so, and the client fetches the next. */
  async expire() {
    const token = await this.token(5);
    if (!token || this.given) throw new Error('This server gives this page no tokens.');
    await this.client._ask({ type: 'auth', token });
  }

  /**
   * Everything a channel brings is checked: each once, in order, or a gap is told. `rewind` as the
   * hooks on it have it: the first to name a channel says how it is opened.
   */
  audit(name: string, rewind: number) {
    const channel = this.client.channel(name, { rewind, presence: true });
    let epoch = '';
    let last = 0;
    let joined = false;
    let wasAway = false; // what is replayed to a newcomer is history, not recovered
    channel.on('*', ({ id, offset, replayed }) => {
      const [now = ''] = id.split('-');
      if (now != epoch) [epoch, last] = [now, 0];
      const again = offset <= last;
      this.count({
        messages: 1,
        duplicates: again ? 1 : 0,
        recovered: replayed && wasAway && !again ? 1 : 0,
      });
      if (!again) last = offset;
    });
    channel.on('gap', () => this.count({ gaps: 1 }));
    // A room that was left and entered again begins anew.
    channel.on('state', (state) => {
      if (state == 'detached') [last, joined, wasAway] = [0, false, false];
      if (state == 'attached') joined = true;
    });
    this.client.connection.on('change', ({ previous }) => {
      if (previous == 'connected' && joined) wasAway = true;
    });
    return this;
  }
}

// Two tabs are two people; the name lasts.
const names = 'Ada Bo Cleo Dov Edda Finn Gia Hal Ines Juno Kai Lea'.split(' ');
const id: string = (sessionStorage.tidewireId ??= Math.random().toString(36).slice(2, 10));
const name: string = (sessionStorage.tidewireName ??=
  localStorage.tidewireName ?? names[Math.floor(Math.random() * names.length)]);

const given = new URLSearchParams(location.search).get('token') ?? undefined;

/** What you write while away outlives a reload of the page. */
export const me = new Person(id, name, given, indexedDBOutbox());
export const robin = new Person(`${id}-2`, 'Robin');

export function rename(to: string) {
  me.name = sessionStorage.tidewireName = localStorage.tidewireName = to;
}
