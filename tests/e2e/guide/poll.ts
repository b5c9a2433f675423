// Client-side Long Polling
async function poll() {
  try {
    const response = await fetch('/api/poll');
    const data = await response.json();

    // Update UI with new data
    handleUpdate(data);

    // Immediately reconnect
    poll();
  } catch (error) {
    console.error('Polling error:', error);
    // Retry after 5 seconds on error
    setTimeout(poll, 5000);
  }
}

// Start polling
poll();
