// SPDX-License-Identifier: Apache-2.0
// A room by Server-Sent Events; what one says goes up by a request.
import { publish } from './publish.js';

export function joinEvents(room: string, onMessage: (data: { message: string }) => void) {
  const source = new EventSource(`/api/events?channel=${room}`);

  source.addEventListener('new-message', ({ data }) => onMessage(JSON.parse(data)));

  const sendMessage = (message: string) => publish(room, { message }, 'new-message');
  return { sendMessage, close: () => source.close() };
}
