// Client-side WebSocket with reconnection
let ws: WebSocket;
let reconnectAttempts = 0;
const MAX_RECONNECT_ATTEMPTS = 5;

function connect() {
  ws = new WebSocket('wss://example.com/socket');

  ws.onopen = () => {
    console.log('Connected to WebSocket');
    reconnectAttempts = 0;

    // Subscribe to channels
    ws.send(JSON.stringify({
      type: 'subscribe',
      channel: 'chat-room-1'
    }));
  };

  ws.onmessage = (event) => {
    const data = JSON.parse(event.data);
    handleUpdate(data);
  };

  ws.onerror = (error) => {
    console.error('WebSocket error:', error);
  };

  ws.onclose = () => {
    console.log('Connection closed');

    // Exponential backoff reconnection
    if (reconnectAttempts < MAX_RECONNECT_ATTEMPTS) {
      const delay = Math.min(1000 * Math.pow(2, reconnectAttempts), 30000);
      setTimeout(() => {
        reconnectAttempts++;
        connect();
      }, delay);
    }
  };
}

// Send message
function sendMessage(message: string) {
  if (ws.readyState === WebSocket.OPEN) {
    ws.send(JSON.stringify({
      type: 'message',
      content: message
    }));
  }
}

connect();
