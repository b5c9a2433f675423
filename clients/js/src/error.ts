// SPDX-License-Identifier: Apache-2.0
// The one error of the SDK. Codes are the server's (`tidewire explain CODE`); those that the client
// itself finds out use the same numbers, so that one table is enough.
import type { Frame } from './types.js';

export class TidewireError extends Error {
  declare readonly code: number;
  /** What to do about it, in a sentence. */
  declare readonly hint: string;
  /** The same thing may work later without a change. */
  declare readonly retryable: boolean;
  declare readonly channel?: string;

  constructor(code: number, message: string, hint = '', retryable = code === TIMEOUT || code >= 4500, channel?: string) {
    super(message);
    Object.assign(this, { name: 'TidewireError', code, hint, retryable, channel });
  }
}

export const TIMEOUT = 4408;
export const CLOSED = 4410;
export const UNAVAILABLE = 4503;

export const errorOf = (frame: Frame): TidewireError =>
  new TidewireError(frame.code, frame.message, frame.hint, frame.retryable, frame.channel);
