// SPDX-License-Identifier: Apache-2.0
// One connection for all tabs of a browser. A hub holds it: in a SharedWorker if you give one, else in
// the tab that holds a Web Lock. To a tab the hub is a transport like any other: it takes frames and
// answers with frames. So when a hub goes away its tabs reconnect to the next one with their positions,
// as after any break, and nothing is lost.
//
//   tab (Client) --frames--> bus --> hub (Connection) --> server
//
// Tabs with another user (`sub` of the token) have another hub. Who is gone is known by locks: each tab
// holds one of its own name, and the hub waits for it.
import { Connection } from './index.js';
import type { Frame, Link, LinkContext, Position, TidewireError, Transport } from './index.js';

/** What goes over the bus. */
interface Mail {
  /** To one tab, from the hub. */
  to?: string;
  /** From a tab, to the hub. */
  from?: string;
  frame?: Frame;
  binary?: Uint8Array;
  hello?: { base: string; token?: string };
  bye?: boolean;
  closed?: number;
  /** A hub of this name has begun. */
  hub?: string;
}

interface Bus {
  post(mail: Mail): void;
  hear(listener: (mail: Mail) => void): void;
  close(): void;
}

interface Entry {
  /** How it was subscribed first. */
  ask: Frame;
  live: boolean;
  at: Position;
  presence: boolean;
  /** With the ref that each waits for. */
  tabs: Map<string, unknown>;
  /** Tabs that are given what they missed: what comes meanwhile waits. */
  held: Map<string, Frame[]>;
  later: (() => void)[];
}

const id = () => Math.random().toString(36).slice(2);

class Hub {
  private _name = id();
  private _tabs = new Map<string, boolean>(); // told that we are connected
  private _entries = new Map<string, Entry>();
  private _tracks = new Map<string, Map<string, Frame>>(); // by channel and key, then by tab
  private _connection?: Connection;
  private _token?: string;
  private _fresh?: (token: string) => void;

  constructor(private _bus: Bus) {
    _bus.hear((mail) => mail.from && this._mail(mail.from, mail));
    _bus.post({ hub: this._name });
  }

  close() {
    this._connection?.close();
    this._bus.close();
  }

  private _to(to: string, frame: Frame) {
    this._bus.post({ to, frame });
  }

  private _mail(tab: string, { frame, binary, hello, bye }: Mail) {
    if (hello) {
      this._token = hello.token ?? this._token;
      this._bus.post({ to: tab, hub: this._name });
      if (!this._tabs.has(tab)) {
        this._tabs.set(tab, false);
        // Granted when the tab is gone.
        navigator.locks.request(tab, async () => this._gone(tab));
      }
      this._connection ??= this._connect(hello.base);
      if (this._connection.state == 'failed' || this._connection.state == 'closed') this._connection.connect();
      this._greet();
    } else if (bye) this._gone(tab);
    else if (binary) this._connection?._link?.sendBinary?.(binary);
    else if (frame && this._tabs.get(tab)) this._frame(tab, frame);
  }

  private _connect(base: string) {
    const connection = new Connection(
      {
        // The page that hosts the hub has its tokens; here they come from whichever tab answers.
        token: ({ reason }) => (reason == 'connect' ? this._token : this._renew()),
      },
      base,
      {
        _standing: () => this._standing(),
        _frame: (frame) => this._came(frame),
        _restored: () => {},
        _up: () => this._greet(),
        _down: (error) => {
          this._entries.clear();
          this._tracks.clear();
          this._tabs.forEach((told, tab) => {
            if (told || error) this._bus.post({ to: tab, closed: (error as TidewireError)?.code ?? 1006 });
          });
          this._tabs.forEach((_, tab) => this._tabs.set(tab, false));
        },
      },
    );
    connection.connect();
    return connection;
  }

  /** For transports whose address says everything. */
  private _standing(): Frame[] {
    const all = [...this._entries].map(([channel, { ask, live, at, presence }]) => ({
      ...ask,
      presence,
      ...(live && { since: { [channel]: at }, history: undefined }),
    }));
    return [...all, ...[...this._tracks.values()].map((who) => [...who.values()].pop()!)];
  }

  private _greet() {
    if (!this._connection?._link) return;
    this._tabs.forEach((told, tab) => {
      if (told) return;
      this._tabs.set(tab, true);
      this._to(tab, { type: 'connected', ping: 25000 });
    });
  }

  /** A tab has the means to make a token: it answers `expiring` with `auth`. */
  private _renew() {
    return new Promise<string>((resolve, reject) => {
      this._fresh = resolve;
      setTimeout(reject, 10000, new Error('No tab has a fresh token'));
      const [tab] = this._tabs.keys();
      if (tab) this._to(tab, { type: 'expiring', in: 10000 });
    });
  }

  private _gone(tab: string) {
    if (!this._tabs.delete(tab)) return;
    for (const channel of [...this._entries.keys()]) this._leave(tab, channel);
    for (const tracked of [...this._tracks.keys()]) this._untrack(tab, tracked);
    if (!this._tabs.size) {
      this._connection?.close();
      this._connection = undefined;
    }
  }

  private _frame(tab: string, frame: Frame) {
    const { type, channel, ref } = frame;
    const send = (f: Frame) => this._connection!._send(f);
    if (type == 'subscribe') for (const name of frame.channels) this._subscribe(tab, name, frame);
    else if (type == 'unsubscribe') this._leave(tab, channel);
    else if (type == 'auth') {
      this._token = frame.token;
      this._fresh?.(frame.token);
      this._to(tab, { type: 'authenticated', ref });
    } else {
      if (type == 'track') {
        const slot = track(frame);
        this._tracks.set(slot, (this._tracks.get(slot) ?? new Map()).set(tab, frame));
      } else if (type == 'untrack') {
        this._untrack(tab, track(frame));
        this._to(tab, { type: 'ack', channel, ref });
        return;
      }
      if (ref === undefined) send(frame);
      else {
        this._connection!._ask(frame).then(
          (answer) => this._to(tab, { ...answer, ref }),
          ({ code, message, hint, retryable }) => this._to(tab, { type: 'error', code, message, hint, retryable, channel, ref }),
        );
      }
    }
  }

  /** Another tab may stand under the same key: then its words count. */
  private _untrack(tab: string, slot: string) {
    const who = this._tracks.get(slot);
    const frame = who?.get(tab);
    if (!frame || !who!.delete(tab)) return;
    const [other] = who!.values();
    const { channel, key } = frame;
    this._connection?._send(other ?? { type: 'untrack', channel, key });
    if (!other) this._tracks.delete(slot);
  }

  private _leave(tab: string, channel: string) {
    const entry = this._entries.get(channel);
    if (!entry?.tabs.delete(tab)) return;
    entry.held.delete(tab);
    if (entry.tabs.size) return;
    this._entries.delete(channel);
    this._connection?._send({ type: 'unsubscribe', channel });
  }

  private async _subscribe(tab: string, channel: string, frame: Frame) {
    const { since, history, presence, ref } = frame;
    const position: Position | undefined = since?.[channel];
    let entry = this._entries.get(channel);
    if (!entry) {
      const ask = {
        type: 'subscribe',
        ref: 'h',
        channels: [channel],
        since: position && { [channel]: position },
        history,
        presence,
      };
      entry = {
        ask,
        live: false,
        at: { epoch: '', offset: 0 },
        presence: !!presence,
        tabs: new Map([[tab, ref]]),
        held: new Map(),
        later: [],
      };
      this._entries.set(channel, entry);
      this._connection!._send(ask);
      return;
    }
    if (!entry.live) {
      entry.later.push(() => this._tabs.has(tab) && this._subscribe(tab, channel, frame));
      return;
    }
    entry.tabs.set(tab, ref);
    const { epoch, offset } = entry.at;
    const subscribed = (recovered: boolean) => this._to(tab, { type: 'subscribed', channel, epoch, offset, recovered, ref });
    if (history || (position && (position.epoch != epoch || position.offset < offset))) {
      const held: Frame[] = [];
      entry.held.set(tab, held);
      const after = position?.epoch == epoch ? position.offset : 0;
      const answer = await this._connection!._ask({
        type: 'history',
        channel,
        ...(position ? { after, limit: 1000 } : { limit: history }),
      }).catch(() => undefined);
      if (entry.held.get(tab) != held) return; // it left meanwhile
      entry.held.delete(tab);
      const missed = ((answer?.messages ?? []) as Frame[]).filter((m) => m.offset <= offset);
      const first = missed[0]?.offset ?? offset + 1;
      const whole = !!position && position.epoch == epoch && first == after + 1;
      subscribed(whole);
      if (position && !whole) this._to(tab, { type: 'gap', channel, from: after + 1, to: first - 1 });
      for (const m of missed) this._to(tab, { ...m, type: 'message', channel });
      for (const m of held) this._to(tab, m);
    } else subscribed(!!position);
    if (!presence) return;
    if (entry.presence) {
      this._connection!._ask({ type: 'presence', channel }).then(
        (f) => this._to(tab, { ...f, ref: undefined }),
        () => {},
      );
    } else {
      entry.presence = true;
      this._connection!._send({ type: 'subscribe', ref: 'h', channels: [channel], since: { [channel]: entry.at }, presence });
    }
  }

  /** From the server, not an answer to one tab. */
  private _came(frame: Frame) {
    const { type, channel, ref } = frame;
    if (ref > 0) return;
    const entry = this._entries.get(channel);
    if (!entry) return channel === undefined && this._tabs.forEach((_, tab) => this._to(tab, frame));
    const { raw: _, ...plain } = frame;
    if (type == 'subscribed') {
      if (entry.live) return;
      entry.live = true;
      entry.at = { epoch: frame.epoch, offset: frame.offset };
    } else if (type == 'message') entry.at.offset = Math.max(entry.at.offset, frame.offset);
    entry.tabs.forEach((wanted, tab) => {
      const held = entry.held.get(tab);
      const told = { ...plain, ref: wanted } as Frame;
      if (type == 'message' || type == 'presence' || type == 'gap') delete told.ref;
      if (held) held.push(told);
      else this._to(tab, told);
    });
    if (type == 'subscribed') entry.later.splice(0).forEach((f) => f());
    else if (type == 'error' && !frame.retryable) this._entries.delete(channel);
  }
}

const track = ({ channel, key }: Frame) => JSON.stringify([channel, key]);

/** Whose hub: tokens of one user share, others do not. */
const group = (base: string, token = '') => {
  let who = token;
  try {
    who = JSON.parse(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/'))).sub ?? token;
  } catch {
    // not a JWT: the whole token
  }
  return `tidewire:${base}:${who}`;
};

const broadcast = (name: string): Bus => {
  const channel = new BroadcastChannel(name);
  return {
    post: (mail) => channel.postMessage(mail),
    hear: (listener) => (channel.onmessage = ({ data }) => listener(data)),
    close: () => channel.close(),
  };
};

/** Hold a lock until the returned function is called, or the page is gone. */
const hold = (name: string, granted?: () => void) => {
  const control = new AbortController();
  let release: (() => void) | undefined;
  navigator.locks
    .request(name, { signal: control.signal }, () => {
      granted?.();
      return new Promise<void>((done) => (release = done));
    })
    .catch(() => {});
  return () => (release ? release() : control.abort());
};

export interface ShareOptions {
  /** A worker whose script calls `serveTabs()`. Without one, a tab leads. */
  worker?: () => SharedWorker;
}

/** The `share` of a client's options; null where the browser cannot (then each tab has its own). */
export function shareTabs({ worker }: ShareOptions = {}): Transport | null {
  if (!globalThis.navigator?.locks || !globalThis.BroadcastChannel) return null;
  // Who leads is a matter of the page, not of one link: a link is opened anew for each new hub.
  let leading: { name: string; end(): void } | undefined;
  return {
    name: 'shared',
    open({ base, token, frame, alive, closed }: LinkContext): Link {
      const name = group(base, token);
      const tab = id();
      const bus = broadcast(name);
      let mine: string | undefined; // the hub we talk to
      const free = hold(tab, () => hello());
      const hello = () => bus.post({ from: tab, hello: { base, token } });
      bus.hear((mail) => {
        if (mail.hub && mail.to === undefined) {
          // Another hub has begun: what the old one knew of us is gone.
          if (mine && mine != mail.hub) {
            end();
            closed(1006);
          } else hello();
        }
        if (mail.to != tab) return;
        if (mail.hub) mine = mail.hub;
        alive();
        if (mail.frame) frame(mail.frame);
        if (mail.closed) {
          end();
          closed(mail.closed);
        }
      });
      if (worker && globalThis.SharedWorker) {
        const { port } = worker();
        port.start();
        port.postMessage(name);
      } else if (leading?.name != name) {
        leading?.end();
        let hub: Hub | undefined;
        const release = hold(name, () => (hub = new Hub(broadcast(name))));
        leading = { name, end: () => (hub?.close(), release()) };
      }
      let over = false;
      const end = () => {
        if (over) return;
        over = true;
        bus.post({ from: tab, bye: true });
        bus.close();
        free();
      };
      return {
        send: (f) => over || bus.post({ from: tab, frame: f }),
        sendBinary: (binary) => bus.post({ from: tab, binary }),
        close(code) {
          end();
          if (code != 1000) return;
          leading?.end();
          leading = undefined;
        },
      };
    },
  };
}

/** The whole of a SharedWorker's script: `import { serveTabs } from '@tidewire/client/shared'; serveTabs()`. */
export function serveTabs(): void {
  const hubs = new Map<string, Hub>();
  (globalThis as unknown as { onconnect: (e: MessageEvent) => void }).onconnect = ({ ports }) => {
    const port = ports[0]!;
    port.onmessage = ({ data }) => {
      if (!hubs.has(data)) hubs.set(data, new Hub(broadcast(data)));
    };
  };
}
