// SPDX-License-Identifier: Apache-2.0
// A promise that somebody else settles, at the latest after a time or when a signal says so. Who does
// not look at it gets no unhandled rejection.
import { TIMEOUT, TidewireError } from './error.js';

export class Deferred<T> {
  readonly promise: Promise<T>;
  _done!: (value: T) => void;
  _fail!: (error: unknown) => void;

  constructor(signal?: AbortSignal, ms?: number, ended?: () => void) {
    this.promise = new Promise((resolve, reject) => {
      const stop = () => this._fail(signal!.reason);
      const timer = ms && setTimeout(() => this._fail(new TidewireError(TIMEOUT, 'Timed out')), Math.min(ms, 2 ** 31 - 1));
      let over: boolean;
      const end =
        <V>(settle: (value: V) => void) =>
        (value: V) => {
          if (over) return;
          over = true;
          clearTimeout(timer as never);
          signal?.removeEventListener('abort', stop);
          settle(value);
          ended?.();
        };
      this._done = end(resolve);
      this._fail = end(reject);
      signal?.addEventListener('abort', stop);
      if (signal?.aborted) stop();
    });
    this.promise.catch(() => {});
  }
}
