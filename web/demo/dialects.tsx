// SPDX-License-Identifier: Apache-2.0
// One room through five dialects at once. Each is spoken by hand in a few lines, so that one sees what
// goes over the wire; the real client libraries say the same.
import { useEffect, useState } from 'react';
import { me } from './network.js';
import { Card } from './ui.js';

const ROOM = 'demo:five';
const ws = (path: string) => new WebSocket(`${location.protocol.replace('http', 'ws')}//${location.host}${path}`);
type Show = (text: string) => void;
interface Line {
  send?(text: string): void;
  close(): void;
}

function plain(show: Show): Line {
  const socket = ws('/socket?session=none');
  socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', channel: ROOM }));
  socket.onmessage = ({ data }) => {
    const m = JSON.parse(data);
    if (m.type == 'message' && m.event == 'say') show(m.content.text);
  };
  return {
    send: (text) => socket.send(JSON.stringify({ type: 'message', channel: ROOM, event: 'say', content: { text } })),
    close: () => socket.close(),
  };
}
function events(show: Show): Line {
  const source = new EventSource(`/api/events?channel=${ROOM}`);
  source.addEventListener('say', ({ data }) => show(JSON.parse(data).text));
  return { close: () => source.close() };
}
function poll(show: Show): Line {
  const control = new AbortController();
  (async () => {
    for (let cursor = ''; !control.signal.aborted;) {
      try {
        const m = await (await fetch(`/api/poll?channel=${ROOM}&cursor=${cursor}`, { signal: control.signal })).json();
        cursor = m.cursor;
        if (m.type == 'message' && m.event == 'say') show(m.content.text);
      } catch {
        await new Promise((done) => setTimeout(done, 2000));
      }
    }
  })();
  return { close: () => control.abort() };
}
/** Engine.IO 4 by hand: 0 open, 2 ping, 3 pong, 4 message; Socket.IO: 0 connect, 2 event. */
function socketio(show: Show): Line {
  const socket = ws('/socket.io/?EIO=4&transport=websocket');
  socket.onmessage = ({ data }: { data: string }) => {
    if (data[0] == '0') socket.send('40');
    else if (data == '2') socket.send('3');
    else if (data.startsWith('40')) socket.send(`42${JSON.stringify(['join-room', ROOM])}`);
    else if (data.startsWith('42')) {
      const [event, payload] = JSON.parse(data.slice(data.indexOf('[')));
      if (event == 'say') show(payload.text);
    }
  };
  return { close: () => socket.close() };
}
/** Phoenix vsn 2: [join ref, ref, topic, event, payload]. */
function supabase(show: Show): Line {
  const socket = ws('/realtime/v1/websocket?vsn=2.0.0');
  let ref = 0;
  const push = (event: string, payload: unknown, topic = `realtime:${ROOM}`) =>
    socket.send(JSON.stringify(['1', String(++ref), topic, event, payload]));
  let beat: ReturnType<typeof setInterval>;
  socket.onopen = () => {
    push('phx_join', { config: { broadcast: { self: true, ack: false }, presence: { key: '' }, postgres_changes: [] } });
    beat = setInterval(() => socket.send(JSON.stringify([null, String(++ref), 'phoenix', 'heartbeat', {}])), 25000);
  };
  socket.onmessage = ({ data }) => {
    if (typeof data != 'string') return;
    const [, , , event, payload] = JSON.parse(data);
    if (event == 'broadcast' && payload.event == 'say') show(payload.payload.text);
  };
  return {
    send: (text) => push('broadcast', { type: 'broadcast', event: 'say', payload: { text } }),
    close: () => (clearInterval(beat), socket.close()),
  };
}

const DIALECTS = [
  { name: 'Plain WebSocket', open: plain },
  { name: 'Server-Sent Events', open: events },
  { name: 'Long poll', open: poll },
  { name: 'Socket.IO', open: socketio },
  { name: 'Supabase Realtime', open: supabase },
];
const CODE = `new WebSocket('/socket')                        // {"type":"subscribe","channel":"demo:five"}
new EventSource('/api/events?channel=demo:five')
fetch('/api/poll?channel=demo:five')
io().emit('join-room', 'demo:five')             // socket.io-client
createClient(url, key).channel('demo:five')     // @supabase/supabase-js

// What one of them sends, all of them get: one channel, one order.`;

export function Dialects() {
  const [lines, setLines] = useState<string[][]>(() => DIALECTS.map(() => []));
  const [open, setOpen] = useState<Line[]>([]);
  const [text, setText] = useState('');
  const [via, setVia] = useState(0);
  useEffect(() => {
    const all = DIALECTS.map(({ open: start }, i) =>
      start((t) => setLines((old) => old.map((l, j) => (i == j ? [...l, t].slice(-50) : l)))),
    );
    setOpen(all);
    return () => all.forEach((l) => l.close());
  }, []);
  const send = () => {
    const line = open[via];
    if (line?.send) line.send(text);
    else
      fetch('/api/publish', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ channel: ROOM, event: 'say', content: { text } }),
      });
    setText('');
  };
  return (
    <Card
      title="One room, five dialects"
      transport="all of them"
      code={CODE}
      about="The clients that people already have meet in one channel: what one says, all hear, in the same order."
    >
      <form
        className="row"
        onSubmit={(e) => {
          e.preventDefault();
          if (text) send();
        }}
      >
        <select aria-label="Send by" value={via} onChange={(e) => setVia(+e.target.value)}>
          {DIALECTS.map((d, i) => (
            <option key={d.name} value={i}>
              {d.name}
              {open[i]?.send ? '' : ' (POST)'}
            </option>
          ))}
        </select>
        <input
          aria-label="Text"
          placeholder={`Something from ${me.name}`}
          value={text}
          onChange={(e) => setText(e.target.value)}
        />
        <button className="main">Send</button>
      </form>
      <div className="five">
        {DIALECTS.map((d, i) => (
          <section key={d.name} data-dialect={d.name}>
            <h3>
              {d.name} <small>{lines[i]!.length}</small>
            </h3>
            <ol>
              {lines[i]!.map((l, n) => (
                <li key={n}>{l}</li>
              ))}
            </ol>
          </section>
        ))}
      </div>
    </Card>
  );
}
