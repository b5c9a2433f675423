// SPDX-License-Identifier: Apache-2.0
// A promise that somebody else settles, at the latest after a time or when a signal says so. Who does
// not look at it gets no unhandled rejection.
import { TIMEOUT, TidewireError } from './error.js';

export type Deferred<T> = Promise<T> & { _done(value: T): void; _fail(error: unknown): void };

export function defer<T>(signal?: AbortSignal, ms?: number, ended?: () => void): Deferred<T> {
  const stop = () => made._fail(signal!.reason);
  const timer = ms && setTimeout(() => made._fail(new TidewireError(TIMEOUT, 'Timed out')), Math.min(ms, 2 ** 31 - 1));
  let over: boolean;
  let ends!: Pick<Deferred<T>, '_done' | '_fail'>;
  const made = new Promise<T>((resolve, reject) => {
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
    ends = { _done: end(resolve), _fail: end(reject) };
  }) as Deferred<T>;
  Object.assign(made, ends).catch(() => {});
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  return made;
}
