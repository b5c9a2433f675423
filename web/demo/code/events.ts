// SPDX-License-Identifier: Apache-2.0
// Server-Sent Events: the server talks, the page listens.
import { EventSource } from './browser.js';

export function listen(channel: string, on: Listeners) {
  const eventSource = new EventSource(`/api/events?channel=${channel}&history=10`);

  eventSource.onopen = () => on.state('open');

  eventSource.onmessage = (event) => {
    const data = JSON.parse(event.data);
    on.update(data, event.lastEventId);
  };

  eventSource.onerror = () => {
    // It comes back by itself and says where it was: what was missed is sent first.
    on.state('connecting');
  };

  // Named events
  eventSource.addEventListener('progress', (event) => {
    const { percent } = JSON.parse(event.data);
    on.progress(percent);
  });

  return () => eventSource.close();
}

export interface Listeners {
  state(state: 'open' | 'connecting'): void;
  update(data: { text?: string; time?: number }, id: string): void;
  progress(percent: number): void;
}
