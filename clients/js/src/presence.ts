// SPDX-License-Identifier: Apache-2.0
// Who is in a channel: members by key, each with one meta per session. The server tells the whole
// state once and then who came and who left; an update is one meta leaving and another coming.
import { Emitter } from './emitter.js';
import type { Frame, Member } from './types.js';

/** What presence needs of its channel. */
export interface PresencePort {
  name: string;
  _watch(): void;
  _present(type: string, more?: object): Promise<Frame | undefined>;
}

type Wire = { key: string; metas?: unknown[] }[] | undefined;

export class Presence<M = unknown> extends Emitter<{ enter: Member<M>; update: Member<M>; leave: Member<M>; sync: Member<M>[] }> {
  private _members = new Map<string, M[]>();
  private _mine = new Map<string | undefined, M | undefined>();

  /** @internal */
  constructor(private _port: PresencePort) {
    super();
  }

  override on: Emitter<{ enter: Member<M>; update: Member<M>; leave: Member<M>; sync: Member<M>[] }>['on'] = (name, listener) => {
    this._port._watch();
    return super.on(name, listener);
  };

  /** Be there, now and after every break. Default key: the identity's `sub`, else this connection. */
  async enter(meta?: M, key?: string): Promise<void> {
    this._mine.set(key, meta);
    await this._port._present('track', { key, meta });
  }

  update(meta: M, key?: string): Promise<void> {
    return this.enter(meta, key);
  }

  async leave(key?: string): Promise<void> {
    if (this._mine.delete(key)) await this._port._present('untrack', { key });
  }

  /** As known now; stays up to date while the channel is subscribed with presence. */
  get members(): Member<M>[] {
    return [...this._members].map(([key, metas]) => ({ key, metas }));
  }

  /** Ask the server. */
  async get(): Promise<Member<M>[]> {
    return (await this._port._present('presence'))?.state ?? this.members;
  }

  /** @internal What we stand for, to be said again. */
  _standing(): Frame[] {
    return [...this._mine].map(([key, meta]) => ({ type: 'track', channel: this._port.name, key, meta }));
  }

  /** @internal */
  _frame({ state, joins, leaves }: Frame): void {
    const before = this._members;
    const now = (this._members = new Map(state ? [] : before));
    const same = (a?: unknown, b?: unknown) => JSON.stringify(a) == JSON.stringify(b);
    for (const { key, metas = [] } of (leaves as Wire) ?? []) {
      const left = [...(now.get(key) ?? [])];
      for (const meta of metas) left.splice(left.findIndex((m) => same(m, meta)) >>> 0, 1);
      if (metas[0] && left[0]) now.set(key, left);
      else now.delete(key);
    }
    for (const { key, metas = [] } of (state as Wire) ?? (joins as Wire) ?? [])
      now.set(key, [...(now.get(key) ?? []), ...(metas as M[])]);
    for (const key of new Set([...before.keys(), ...now.keys()])) {
      const old = before.get(key);
      const metas = now.get(key);
      if (!metas) this._emit('leave', { key, metas: old! });
      else if (!old) this._emit('enter', { key, metas });
      else if (!same(old, metas)) this._emit('update', { key, metas });
    }
    this._emit('sync', this.members);
  }
}
