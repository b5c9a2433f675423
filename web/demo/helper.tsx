// SPDX-License-Identifier: Apache-2.0
// Which transport? Three questions, an answer, and the code.
import { useState } from 'react';
import { Code } from './ui.js';

const ANSWERS = {
  websocket: {
    name: 'WebSocket',
    for: 'chat, editing together, games, cursors',
    code: [
      `const client = createClient();`,
      `const room = client.channel('room:1');`,
      `room.on('message', (m) => show(m.data));`,
      `await room.subscribe();`,
      `await room.publish('message', { text: 'hi' });`,
    ].join('\n'),
  },
  sse: {
    name: 'Server-Sent Events',
    for: 'live feeds, notifications, progress, scores',
    code: [
      `const source = new EventSource('/api/events?channel=news');`,
      `source.onmessage = ({ data }) => show(JSON.parse(data));`,
    ].join('\n'),
  },
  poll: {
    name: 'Long poll',
    for: 'a status now and then, old systems, strict proxies',
    code: [
      `async function poll() {`,
      `  const update = await (await fetch('/api/poll?channel=status')).json();`,
      `  show(update);`,
      `  poll();`,
      `}`,
    ].join('\n'),
  },
  either: {
    name: 'Start with Server-Sent Events',
    for: 'anything else; it is the simpler of the two, and the channel stays the same when you move to WebSocket',
    code: [
      `const source = new EventSource('/api/events?channel=updates');`,
      `source.onmessage = ({ data }) => show(JSON.parse(data));`,
      `// later: createClient().channel('updates'), nothing else changes`,
    ].join('\n'),
  },
} as const;

const QUESTIONS = [
  { text: 'Do both sides send?', yes: 'websocket' },
  { text: 'Does only the server send?', yes: 'sse' },
  { text: 'Less than once a minute?', yes: 'poll' },
] as const;

export function Helper() {
  const [said, setSaid] = useState<boolean[]>([]);
  const answer = said.at(-1) ? QUESTIONS[said.length - 1]!.yes : said.length == QUESTIONS.length ? 'either' : undefined;
  const found = answer && ANSWERS[answer];
  return (
    <section className="card" aria-labelledby="helper">
      <div className="head">
        <h2 id="helper">Which transport?</h2>
      </div>
      {QUESTIONS.slice(0, said.length + (found ? 0 : 1)).map((q, i) => (
        <fieldset key={q.text} className="question">
          <legend>{q.text}</legend>
          {[true, false].map((v) => (
            <button key={String(v)} aria-pressed={said[i] === v} onClick={() => setSaid([...said.slice(0, i), v])}>
              {v ? 'Yes' : 'No'}
            </button>
          ))}
        </fieldset>
      ))}
      {found && (
        <div className="answer" role="status">
          <p>
            <b>{found.name}</b>: {found.for}.
          </p>
          <Code text={found.code} />
        </div>
      )}
    </section>
  );
}
