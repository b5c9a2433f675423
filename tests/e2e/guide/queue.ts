// Robust reconnection with exponential backoff
class ReconnectingWebSocket {
  private ws: WebSocket | null = null;
  private reconnectAttempts = 0;
  private maxReconnectAttempts = 10;
  private reconnectInterval = 1000; // Start at 1 second
  private maxReconnectInterval = 30000; // Max 30 seconds

  constructor(private url: string) {
    this.connect();
  }

  private connect() {
    this.ws = new WebSocket(this.url);

    this.ws.onopen = () => {
      console.log('Connected');
      this.reconnectAttempts = 0;
      this.reconnectInterval = 1000;
    };

    this.ws.onclose = () => {
      this.handleReconnect();
    };

    this.ws.onerror = (error) => {
      console.error('WebSocket error:', error);
    };
  }

  private handleReconnect() {
    if (this.reconnectAttempts >= this.maxReconnectAttempts) {
      console.error('Max reconnection attempts reached');
      return;
    }

    this.reconnectAttempts++;

    // Exponential backoff with jitter
    const jitter = Math.random() * 1000;
    const delay = Math.min(
      this.reconnectInterval * Math.pow(2, this.reconnectAttempts) + jitter,
      this.maxReconnectInterval
    );

    console.log(`Reconnecting in ${delay}ms (attempt ${this.reconnectAttempts})`);

    setTimeout(() => {
      this.connect();
    }, delay);
  }

  send(data: any) {
    if (this.ws?.readyState === WebSocket.OPEN) {
      this.ws.send(JSON.stringify(data));
    } else {
      console.warn('WebSocket not connected, queuing message');
      // Implement message queue here
    }
  }

  close() {
    this.maxReconnectAttempts = 0; // Prevent reconnection
    this.ws?.close();
  }
}

// Queue messages when offline, send when reconnected
class OfflineQueueWebSocket extends ReconnectingWebSocket {
  private messageQueue: any[] = [];

  send(data: any) {
    if (this.ws?.readyState === WebSocket.OPEN) {
      // Send queued messages first
      while (this.messageQueue.length > 0) {
        const queuedMessage = this.messageQueue.shift();
        this.ws.send(JSON.stringify(queuedMessage));
      }
      // Send current message
      this.ws.send(JSON.stringify(data));
    } else {
      // Queue for later
      this.messageQueue.push(data);
      console.log(`Message queued (${this.messageQueue.length} total)`);
    }
  }
}
