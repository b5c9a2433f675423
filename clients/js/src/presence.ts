// SPDX-License-Identifier: Apache-2.0
// Who is in a channel: members by key, each with one meta per session. The server tells the whole
// state once and then who came and who left; an update is one meta leaving and another coming.
import { Emitter } from './emitter.js';
import type { Frame, Member } from './types.js';

/** What presence needs of its channel. */
export interface PresencePort {
  name: string;
  watch(): void;
  ask(frame: Frame): Promise<Frame | undefined>;
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
    this._port.watch();
    return super.on(name, listener);
  };

  /** Be there, now and after every break. Default key: the identity's `sub`, else this connection. */
  async enter(meta?: M, key?: string): Promise<void> {
    this._mine.set(key, meta);
    await this._port.ask({ type: 'track', channel: this._port.name, key, meta });
  }

  update(meta: M, key?: string): Promise<void> {
    return this.enter(meta, key);
  }

  async leave(key?: string): Promise<void> {
    if (this._mine.delete(key)) await this._port.ask({ type: 'untrack', channel: this._port.name, key });
  }

  /** As known now; stays up to date while the channel is subscribed with presence. */
  get members(): Member<M>[] {
    return [...this._members].map(([key, metas]) => ({ key, metas }));
  }

  /** Ask the server. */
  async get(): Promise<Member<M>[]> {
    const answer = await this._port.ask({ type: 'presence', channel: this._port.name });
    return answer?.state ?? this.members;
  }

  /** @internal What we stand for, to be said again. */
  standing(): Frame[] {
    return [...this._mine].map(([key, meta]) => ({ type: 'track', channel: this._port.name, key, meta }));
  }

  /** @internal */
  frame({ state, joins, leaves }: Frame): void {
    const before = this._members;
    const now = new Map(state ? [] : before);
    for (const { key, metas = [] } of (leaves as Wire) ?? []) {
      const left = [...(now.get(key) ?? [])];
      for (const meta of metas) {
        const text = JSON.stringify(meta);
        const at = left.findIndex((m) => JSON.stringify(m) == text);
        if (at >= 0) left.splice(at, 1);
      }
      if (metas.length && left.length) now.set(key, left);
      else now.delete(key);
    }
    for (const { key, metas = [] } of (state as Wire) ?? (joins as Wire) ?? []) now.set(key, [...(now.get(key) ?? []), ...(metas as M[])]);
    this._members = now;
    const changed = new Set<string>([...before.keys(), ...now.keys()]);
    for (const key of changed) {
      const [old, metas] = [before.get(key), now.get(key)];
      if (old === metas) continue;
      if (!metas) this.emit('leave', { key, metas: old! });
      else if (!old) this.emit('enter', { key, metas });
      else if (JSON.stringify(old) != JSON.stringify(metas)) this.emit('update', { key, metas });
    }
    this.emit('sync', this.members);
  }
}
