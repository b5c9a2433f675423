// SPDX-License-Identifier: Apache-2.0
// A room by long poll, for whoever has nothing but requests.
import { publish } from './publish.js';

export function joinPoll(room: string, onMessage: (data: { message: string }) => void) {
  const control = new AbortController();
  const { signal } = control;

  async function poll(cursor = '') {
    try {
      const answer = await fetch(`/api/poll?channel=${room}&cursor=${cursor}`, { signal });
      const update = await answer.json();
      if (update.event === 'new-message') onMessage(update.content);
      poll(update.cursor);
    } catch {
      if (!signal.aborted) setTimeout(poll, 1000, cursor);
    }
  }

  poll();
  const sendMessage = (message: string) => publish(room, { message }, 'new-message');
  return { sendMessage, close: () => control.abort() };
}
