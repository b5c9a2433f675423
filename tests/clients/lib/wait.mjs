// SPDX-License-Identifier: Apache-2.0
// Waiting for a condition, never for a time. Limits are generous (the machine may be busy and the
// server under a sanitizer) and say what did not come.

export const SLOW = Number(process.env.TIDEWIRE_SLOW || 1);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Rejects with `what` when the promise has not settled after ms.
export function within(promise, what, ms = 20000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not come within ${ms * SLOW} ms: ${what}`)), ms * SLOW);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Asks until the answer is truthy, and returns it.
export async function until(ask, what, { ms = 20000, every = 20 } = {}) {
  const end = Date.now() + ms * SLOW;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) {
      throw new Error(`did not come within ${ms * SLOW} ms: ${typeof what === 'function' ? what() : what}`);
    }
    await sleep(every);
  }
}

// A promise that is settled from outside.
export function deferred() {
  const d = {};
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }));
  return d;
}

// Things that come one by one: push() on one side, next() on the other, in order.
export class Queue {
  #items = [];
  #waiting = [];
  #end = null;

  push(item) {
    const w = this.#waiting.shift();
    if (w) w.resolve(item);
    else this.#items.push(item);
  }

  // Whoever waits, and will wait, is told; what came before can still be taken.
  finish(error) {
    this.#end ??= error;
    for (const w of this.#waiting.splice(0)) w.reject(this.#end);
  }

  get length() {
    return this.#items.length;
  }

  async next(what = 'the next item', ms = 20000) {
    if (this.#items.length) return this.#items.shift();
    if (this.#end) throw this.#end;
    const w = deferred();
    this.#waiting.push(w);
    try {
      return await within(w.promise, what, ms);
    } finally {
      const at = this.#waiting.indexOf(w);
      if (at >= 0) this.#waiting.splice(at, 1);
    }
  }

  // The next item that fits; others before it are dropped.
  async find(fits, what = 'a fitting item', ms = 20000) {
    for (;;) {
      const item = await this.next(what, ms);
      if (fits(item)) return item;
    }
  }

  takeAll() {
    return this.#items.splice(0);
  }
}
