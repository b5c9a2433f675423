// SPDX-License-Identifier: Apache-2.0
// Long polling: one question at a time; the server answers when there is something to say.
import { fetch } from './browser.js';

export function startPolling(channel: string, handleUpdate: (update: Update) => void) {
  let cursor = ''; // where we are: nothing is lost between two questions
  let stopped = false;

  async function poll() {
    if (stopped) return;
    try {
      const response = await fetch(`/api/poll?channel=${channel}&cursor=${cursor}&history=1`);
      const data: Update = await response.json(); // always 200, also when nothing came
      cursor = data.cursor;
      if (!stopped) handleUpdate(data);
      // Ask again at once
      poll();
    } catch (error) {
      console.log('Polling error:', error);
      // Try again in a moment
      setTimeout(poll, 1000);
    }
  }

  poll();
  return () => {
    stopped = true;
  };
}

export interface Update {
  type: 'message' | 'timeout' | 'gap';
  cursor: string;
  content?: { state: string };
}
