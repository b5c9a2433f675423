// SPDX-License-Identifier: Apache-2.0
// Server-Sent Events and long poll, as the browser has them: no SDK in these three.
import { useEffect, useState } from 'react';
import eventsSource from './code/events.ts?raw';
import { listen } from './code/events.js';
import pollingSource from './code/polling.ts?raw';
import { startPolling } from './code/polling.js';
import publishSource from './code/publish.ts?raw';
import { publish } from './code/publish.js';
import { Card } from './ui.js';

const FEED = 'demo:feed';
const STATUS = 'demo:status';
const EVENTS = { name: 'events.ts', text: eventsSource };
const PUBLISH = { name: 'publish.ts', text: publishSource };
const ignore = () => {};

const HEADLINES = [
  'The ferry is on time',
  'High water at 14:20',
  'Wind turns to the west',
  'Harbour lights tested',
  'Seals counted: 212',
  'New buoy off the pier',
];

interface Item {
  id: string;
  text: string;
  time: number;
}

/** One stream for two cards: a browser opens six connections to a host, for all its windows. */
export function FeedPage() {
  const [items, setItems] = useState<Item[]>([]);
  const [state, setState] = useState('connecting');
  const [percent, setPercent] = useState<number>();
  useEffect(() => {
    const update = ({ text, time = 0 }: Partial<Item>, id: string) =>
      text &&
      setItems((all) => [{ id, text, time }, ...all.filter((i) => i.id != id)].slice(0, 30));
    return listen(FEED, { state: setState, progress: setPercent, update });
  }, []);
  return (
    <div className="two">
      <Feed items={items} state={state} />
      <div className="stack">
        <Progress percent={percent} />
        <Status />
      </div>
    </div>
  );
}

function Feed({ items, state }: { items: Item[]; state: string }) {
  const news = () => {
    const text = HEADLINES[Math.floor(Math.random() * HEADLINES.length)]!;
    publish(FEED, { text, time: Date.now() }).catch(ignore);
  };
  return (
    <Card
      title="Live feed"
      transport="Server-Sent Events"
      code={[EVENTS, PUBLISH]}
      about="The server talks, the page listens: news, scores, notifications."
    >
      <div className="row">
        <button className="main" onClick={news}>
          Publish news
        </button>
        <span className={`dot ${state == 'open' ? 'ok' : 'bad'}`}>{state}</span>
      </div>
      <ul className="feed" aria-live="polite" aria-label="News" tabIndex={0}>
        {items.map((i) => (
          <li key={i.id}>
            <time dateTime={new Date(i.time).toISOString()}>
              {new Date(i.time).toLocaleTimeString()}
            </time>
            {i.text}
          </li>
        ))}
        {!items.length && <li className="empty">No news yet.</li>}
      </ul>
    </Card>
  );
}

const STEPS = ['queued', 'reading', 'resizing', 'compressing', 'storing', 'done'];

function Progress({ percent }: { percent?: number }) {
  const running = percent !== undefined && percent < 100;
  const job = async () => {
    for (let p = 0; p <= 100; p += 4) {
      await publish(FEED, { percent: p }, 'progress').catch(ignore);
      await new Promise((done) => setTimeout(done, 120));
    }
  };
  return (
    <Card
      title="Progress of a job"
      transport="Server-Sent Events"
      code={[EVENTS, PUBLISH]}
      about="A worker reports by HTTP, whoever waits sees the bar. Here this page plays the worker."
    >
      <div className="row">
        <button className="main" onClick={job} disabled={running}>
          Start a job
        </button>
        <span aria-live="polite">{percent !== undefined && STEPS[Math.floor(percent / 20)]}</span>
      </div>
      <label className="progress">
        Job <progress max={100} value={percent ?? 0} /> <span>{percent ?? 0} %</span>
      </label>
    </Card>
  );
}

function Status() {
  const [state, setState] = useState('all well');
  const [rounds, setRounds] = useState(0);
  useEffect(
    () =>
      startPolling(STATUS, (update) => {
        setRounds((n) => n + 1);
        if (update.content?.state) setState(update.content.state);
      }),
    [],
  );
  return (
    <Card
      title="Status check"
      transport="Long poll"
      code={[{ name: 'polling.ts', text: pollingSource }, PUBLISH]}
      about="A question that waits for its answer. It passes whatever passes HTTP."
    >
      <p className="big" aria-live="polite">
        <span
          className={`lamp ${state == 'all well' ? 'ok' : state == 'degraded' ? 'wait' : 'bad'}`}
        />
        {state}
      </p>
      <div className="row" role="group" aria-label="Set the status">
        {['all well', 'degraded', 'maintenance'].map((s) => (
          <button
            key={s}
            aria-pressed={s == state}
            onClick={() => publish(STATUS, { state: s }).catch(ignore)}
          >
            {s}
          </button>
        ))}
        <small>
          {rounds} {rounds == 1 ? 'answer' : 'answers'}
        </small>
      </div>
    </Card>
  );
}
