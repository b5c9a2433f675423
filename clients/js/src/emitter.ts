// SPDX-License-Identifier: Apache-2.0
// Listeners by name. One that throws is reported and does not stop the others.

export type Listener<T> = (value: T) => void;

export class Emitter<E> {
  private _lists = new Map<keyof E, Set<Listener<never>>>();

  /** Returns the function that takes the listener away again. */
  on<K extends keyof E>(name: K, listener: Listener<E[K]>): () => void {
    let list = this._lists.get(name);
    if (!list) this._lists.set(name, (list = new Set()));
    list.add(listener);
    return () => this.off(name, listener);
  }

  once<K extends keyof E>(name: K, listener: Listener<E[K]>): () => void {
    const off = this.on(name, (value) => {
      off();
      listener(value);
    });
    return off;
  }

  off<K extends keyof E>(name: K, listener: Listener<E[K]>): void {
    const list = this._lists.get(name);
    list?.delete(listener);
    if (!list?.size) this._lists.delete(name);
  }

  /** How many listen, to one name or to all. */
  listeners(name?: keyof E): number {
    if (name !== undefined) return this._lists.get(name)?.size ?? 0;
    let sum = 0;
    this._lists.forEach((list) => (sum += list.size));
    return sum;
  }

  /** @internal */
  emit<K extends keyof E>(name: K, value: E[K]): void {
    const list = this._lists.get(name);
    if (!list) return;
    for (const listener of [...list]) {
      try {
        (listener as Listener<E[K]>)(value);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** Tell the developer, as the browser does for its own listeners, and go on. */
export function report(error: unknown): void {
  const g = globalThis as { reportError?: (error: unknown) => void };
  if (g.reportError) g.reportError(error);
  else console.error(error);
}
