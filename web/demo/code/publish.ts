// SPDX-License-Identifier: Apache-2.0
// From a backend, a form, a shell: one request. Everybody who listens gets it, on any transport.
import { fetch } from './browser.js';

export function publish(channel: string, content: unknown, event = 'message') {
  return fetch('/api/publish', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ channel, event, content }),
  });
}

// curl -d '{"channel":"demo:feed","content":{"text":"hello"}}' \
//   -H 'content-type: application/json' http://127.0.0.1:8787/api/publish
