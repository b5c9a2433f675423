// Client-side SSE
const eventSource = new EventSource('/api/events');

eventSource.onmessage = (event) => {
  const data = JSON.parse(event.data);
  handleUpdate(data);
};

eventSource.onerror = (error) => {
  console.log('Connection lost, auto-reconnecting...');
  // EventSource automatically reconnects
};

// Named events
eventSource.addEventListener('user-joined', (event) => {
  const user = JSON.parse(event.data);
  showNotification(`${user.name} joined the channel`);
});

// Close connection when done
// eventSource.close();
