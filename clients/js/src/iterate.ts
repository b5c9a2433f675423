// SPDX-License-Identifier: Apache-2.0
// `for await (const m of room)`: messages as they are read. Loaded when it is used first.
import { TidewireError } from './index.js';
import type { Channel, Message } from './index.js';

const WAITING_MAX = 10000;

export interface MessagesOptions {
  /** Ends the loop by throwing its reason. */
  signal?: AbortSignal;
  event?: string;
}

export async function* messages(
  channel: Channel,
  { signal, event = '*' }: MessagesOptions = {},
): AsyncGenerator<Message, void, undefined> {
  const queue: Message[] = [];
  let wake = () => {};
  const look = () => wake();
  const offs = [
    channel.on(event as '*', (message) => {
      queue.push(message);
      wake();
    }),
    channel.on('state', look),
  ];
  let subscribed;
  signal?.addEventListener('abort', look);
  try {
    subscribed = await channel.subscribe({ signal });
    while (/^(att|sus)/.test(channel.state)) {
      if (signal?.aborted) throw signal.reason;
      if (queue.length > WAITING_MAX) throw new TidewireError(4412, 'Reading too slowly');
      if (queue[0]) yield queue.shift()!;
      else await new Promise<void>((done) => (wake = done));
    }
  } finally {
    signal?.removeEventListener('abort', look);
    offs.forEach((off) => off());
    if (subscribed) channel.unsubscribe();
  }
}
