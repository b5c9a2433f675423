// SPDX-License-Identifier: Apache-2.0
// Listeners by name. One that throws is reported and does not stop the others.

export type Listener<T> = (value: T) => void;

export class Emitter<E> {
  private _lists = new Map<keyof E, Set<Listener<never>>>();

  /** Returns the function that takes the listener away again. */
  on<K extends keyof E>(name: K, listener: Listener<E[K]>): () => void {
    const list = this._lists.get(name) ?? new Set();
    this._lists.set(name, list.add(listener));
    return () => this.off(name, listener);
  }

  off<K extends keyof E>(name: K, listener: Listener<E[K]>): void {
    this._lists.get(name)?.delete(listener);
  }

  /** @internal */
  _emit<K extends keyof E>(name: K, value: E[K]): void {
    for (const listener of [...(this._lists.get(name) ?? [])]) {
      try {
        (listener as Listener<E[K]>)(value);
      } catch (error) {
        // Tell the developer, as the browser does for its own listeners, and go on.
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }
}
