// SPDX-License-Identifier: Apache-2.0
// Which transport? Three questions, an answer, and the code that the other cards run.
import { useState } from 'react';
import eventsSource from './code/events.ts?raw';
import pollingSource from './code/polling.ts?raw';
import roomSource from './code/useRoom.ts?raw';
import websocketSource from './code/websocket.ts?raw';
import { Code } from './ui.js';
import type { Source } from './ui.js';

interface Answer {
  name: string;
  why: string;
  uses: string[];
  page: [string, string];
  code: Source[];
}
const ANSWERS: Record<'websocket' | 'sse' | 'poll' | 'either', Answer> = {
  websocket: {
    name: 'WebSocket',
    why: 'One connection, both ways, the least delay.',
    uses: ['chat', 'editing together', 'games', 'cursors'],
    page: ['#/chat', 'See the chat'],
    code: [
      { name: 'with hooks: useRoom.ts', text: roomSource },
      { name: 'by hand: websocket.ts', text: websocketSource },
    ],
  },
  sse: {
    name: 'Server-Sent Events',
    why: 'Plain HTTP, built into every browser, comes back by itself.',
    uses: ['live feeds', 'notifications', 'progress', 'dashboards'],
    page: ['#/feed', 'See the feed'],
    code: [{ name: 'events.ts', text: eventsSource }],
  },
  poll: {
    name: 'Long poll',
    why: 'A request that waits for its answer: nothing is simpler, nothing passes more proxies.',
    uses: ['status checks', 'mail notices', 'old systems'],
    page: ['#/feed', 'See the status check'],
    code: [{ name: 'polling.ts', text: pollingSource }],
  },
  either: {
    name: 'Start with Server-Sent Events',
    why: 'The simpler of the two. The channel stays the same if you need a WebSocket later.',
    uses: ['scores', 'prices', 'whatever comes often and only one way'],
    page: ['#/feed', 'See the feed'],
    code: [
      { name: 'now: events.ts', text: eventsSource },
      { name: 'later: websocket.ts', text: websocketSource },
    ],
  },
};

const QUESTIONS = [
  {
    text: 'Do both sides send?',
    hint: 'The page and the server both have something to say.',
    yes: 'websocket',
  },
  { text: 'Does only the server send?', hint: 'The page listens, and it comes often.', yes: 'sse' },
  { text: 'Is it rare?', hint: 'Less than once a minute.', yes: 'poll' },
] as const;

export function Helper() {
  const [said, setSaid] = useState<boolean[]>([]);
  const last = said.length - 1;
  const key = said[last] ? QUESTIONS[last]!.yes : last == 2 ? 'either' : undefined;
  const answer = key && ANSWERS[key];
  return (
    <section className="card" aria-labelledby="helper">
      <div className="head">
        <h2 id="helper">Which transport do I need?</h2>
        {said.length > 0 && (
          <button className="chip" onClick={() => setSaid([])}>
            Start over
          </button>
        )}
      </div>
      <ol className="tree">
        {QUESTIONS.slice(0, said.length + (answer ? 0 : 1)).map((q, i) => (
          <li key={q.text}>
            <fieldset className="question">
              <legend>
                {q.text} <small>{q.hint}</small>
              </legend>
              {[true, false].map((v) => (
                <button
                  key={String(v)}
                  aria-pressed={said[i] === v}
                  onClick={() => setSaid([...said.slice(0, i), v])}
                >
                  {v ? 'Yes' : 'No'}
                </button>
              ))}
            </fieldset>
          </li>
        ))}
      </ol>
      <div role="status">
        {answer && (
          <div className="answer">
            <p className="big">{answer.name}</p>
            <p>{answer.why}</p>
            <ul className="uses">
              {answer.uses.map((u) => (
                <li key={u} className="badge">
                  {u}
                </li>
              ))}
            </ul>
          </div>
        )}
      </div>
      {answer && (
        <>
          <Code key={key} sources={answer.code} />
          <p>
            <a href={answer.page[0]}>{answer.page[1]}</a>
          </p>
        </>
      )}
    </section>
  );
}
