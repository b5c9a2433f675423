// SPDX-License-Identifier: Apache-2.0
// State outside of React that many messages may change in one frame: React is told once per frame.
import { useSyncExternalStore } from 'react';

const dirty = new Set<Store<unknown>>();
let planned = false;

function flush(): void {
  planned = false;
  const now = [...dirty];
  dirty.clear();
  now.forEach((store) => store.tell());
}

export class Store<T> {
  private _listeners = new Set<() => void>();
  private _shown: T;

  constructor(private _value: T) {
    this._shown = _value;
  }

  get value(): T {
    return this._value;
  }

  set(value: T): void {
    if (Object.is(value, this._value)) return;
    this._value = value;
    dirty.add(this as Store<unknown>);
    if (planned) return;
    planned = true;
    // A hidden page has no frames.
    if (globalThis.document?.visibilityState == 'visible') requestAnimationFrame(flush);
    else setTimeout(flush, 16);
  }

  tell(): void {
    this._shown = this._value;
    this._listeners.forEach((listener) => listener());
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    if (!this._listeners.size) this._shown = this._value;
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  };
  readonly shown = (): T => this._shown;
}

export function useStore<T>(store: Store<T>, server: T = store.shown()): T {
  return useSyncExternalStore(store.subscribe, store.shown, () => server);
}
