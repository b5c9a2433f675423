// SPDX-License-Identifier: Apache-2.0
// How long to wait before attempt n: anything between nothing and a doubling limit ("full jitter"),
// so that ten thousand clients of one restarted server come back spread out.
import type { ReconnectOptions } from './types.js';

export function backoff(attempt: number, options: ReconnectOptions = {}): number {
  const { minDelay = 500, maxDelay = 30000, factor = 2 } = options;
  return Math.random() * Math.min(maxDelay, minDelay * factor ** attempt);
}
