// SPDX-License-Identifier: Apache-2.0
// A WebSocket by hand. It comes back after a break; the channel says the rest.
export function connect(channel: string, handleUpdate: (data: Data) => void) {
  let ws: WebSocket;
  let reconnectAttempts = 0;
  let closed = false;
  let timer: ReturnType<typeof setTimeout>;

  function open() {
    ws = new WebSocket(`${location.origin.replace('http', 'ws')}/socket?session=none`);

    ws.onopen = () => {
      reconnectAttempts = 0;
      // Subscribe to channels
      ws.send(JSON.stringify({ type: 'subscribe', channel }));
    };

    ws.onmessage = (event) => {
      const data: Data = JSON.parse(event.data);
      if (data.type == 'message') handleUpdate(data);
    };

    ws.onclose = () => {
      if (closed) return;
      // Exponential backoff, each wait anywhere between nothing and its limit
      const limit = Math.min(1000 * 2 ** reconnectAttempts++, 30000);
      timer = setTimeout(open, Math.random() * limit);
    };
  }

  function sendMessage(content: unknown, event = 'message') {
    if (ws.readyState === WebSocket.OPEN) {
      ws.send(JSON.stringify({ type: 'message', channel, event, content }));
    }
  }

  open();
  const close = () => {
    closed = true;
    clearTimeout(timer);
    ws.close();
  };
  return { sendMessage, close };
}

export interface Data {
  type: string;
  event: string;
  content: { message: string };
}
