// SPDX-License-Identifier: Apache-2.0
import { useMessages } from '@tidewire/react';

export interface Sample {
  t: number;
  all: Record<string, number>;
}

/** The last two minutes of the server's numbers. However many come, React draws once per frame. */
export function useNumbers(channel: string) {
  const { messages } = useMessages<Sample>(channel, { rewind: 120, limit: 120 });
  return messages.map((m) => m.data);
}
