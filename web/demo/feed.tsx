// SPDX-License-Identifier: Apache-2.0
// Server-Sent Events and long poll, as the browser has them: no SDK in these two.
import { useEffect, useState } from 'react';
import { Card } from './ui.js';

const FEED = 'demo:feed';
const STATUS = 'demo:status';

const post = (body: unknown) =>
  fetch('/api/publish', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

const FEED_CODE = `const source = new EventSource('/api/events?channel=demo:feed');
source.onmessage = ({ data }) => show(JSON.parse(data));
source.addEventListener('progress', ({ data }) => setProgress(JSON.parse(data).percent));
// The browser reconnects by itself and says where it was; nothing is lost.

// From a backend, or the shell:
// curl -d '{"channel":"demo:feed","content":{"text":"hello"}}' \\
//      -H 'content-type: application/json' http://127.0.0.1:8787/api/publish`;

interface Item {
  id: string;
  text: string;
  time: number;
}

export function Feed() {
  const [items, setItems] = useState<Item[]>([]);
  const [percent, setPercent] = useState<number>();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const source = new EventSource(`/api/events?channel=${FEED}&history=10`);
    source.onopen = () => setOpen(true);
    source.onerror = () => setOpen(false);
    source.onmessage = ({ data, lastEventId }) => {
      const content = JSON.parse(data);
      if (content.text) setItems((all) => [{ id: lastEventId, ...content }, ...all].slice(0, 30));
    };
    source.addEventListener('progress', ({ data }) => setPercent(JSON.parse(data).percent));
    return () => source.close();
  }, []);
  const job = async () => {
    for (let p = 0; p <= 100; p += 5) {
      await post({ channel: FEED, event: 'progress', content: { percent: p } });
      await new Promise((done) => setTimeout(done, 120));
    }
    post({ channel: FEED, content: { text: 'A job has finished', time: Date.now() } });
  };
  return (
    <Card
      title="Live feed and progress"
      transport="Server-Sent Events"
      code={FEED_CODE}
      about="The server talks, the page listens: news, notifications, the progress of a job."
    >
      <div className="row">
        <button
          className="main"
          onClick={() =>
            post({ channel: FEED, content: { text: HEADLINES[Math.floor(Math.random() * HEADLINES.length)], time: Date.now() } })
          }
        >
          Publish news
        </button>
        <button onClick={job}>Start a job</button>
        <span className={`badge ${open ? 'ok' : 'wait'}`}>{open ? 'open' : 'connecting'}</span>
      </div>
      {percent !== undefined && (
        <label className="progress">
          Job <progress max={100} value={percent} /> {percent} %
        </label>
      )}
      <ul className="feed">
        {items.map((i) => (
          <li key={i.id}>
            <time>{new Date(i.time).toLocaleTimeString()}</time>
            {i.text}
          </li>
        ))}
        {!items.length && <li className="empty">No news yet.</li>}
      </ul>
    </Card>
  );
}
const HEADLINES = [
  'The ferry is on time',
  'High water at 14:20',
  'Wind turns to the west',
  'Harbour lights tested',
  'Seals counted: 212',
  'New buoy off the pier',
];

const POLL_CODE = `let cursor = '';
async function poll() {
  const answer = await fetch('/api/poll?channel=demo:status&cursor=' + cursor);
  const update = await answer.json();     // always 200 and JSON, also when nothing came
  cursor = update.cursor;
  if (update.type === 'message') show(update.content);
  poll();
}`;

export function Status() {
  const [state, setState] = useState('all well');
  const [rounds, setRounds] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    (async () => {
      let cursor = '';
      let first = '&history=1';
      while (!control.signal.aborted) {
        try {
          const answer = await fetch(`/api/poll?channel=${STATUS}&cursor=${cursor}${first}`, { signal: control.signal });
          const update = await answer.json();
          first = '';
          cursor = update.cursor;
          setRounds((n) => n + 1);
          if (update.type == 'message') setState(update.content.state);
        } catch {
          await new Promise((done) => setTimeout(done, 2000));
        }
      }
    })();
    return () => control.abort();
  }, []);
  return (
    <Card
      title="Status check"
      transport="Long poll"
      code={POLL_CODE}
      about="Rarely something new: a question that the server answers when there is an answer. Works through anything that passes HTTP."
    >
      <p className="big">{state}</p>
      <div className="row">
        {['all well', 'degraded', 'maintenance'].map((s) => (
          <button key={s} aria-pressed={s == state} onClick={() => post({ channel: STATUS, content: { state: s } })}>
            {s}
          </button>
        ))}
        <small>{rounds} answers</small>
      </div>
    </Card>
  );
}
