// SPDX-License-Identifier: Apache-2.0
import { useBroadcast } from '@tidewire/react';

export interface Cursor {
  id: string;
  x: number;
  y: number;
  name: string;
  down?: boolean;
}

/** Everybody's pointer on a shared canvas. */
export function useCursors(room: string) {
  // throttle: at most 20 a second leave, and the last one always does.
  // Each of us has a key, so a slow reader gets the newest position of each (conflated), not all.
  // ttl: who is silent for ten seconds is gone.
  return useBroadcast<Cursor>(room, 'cursor', { throttle: 50, ttl: 10_000 });
}
