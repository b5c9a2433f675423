// SPDX-License-Identifier: Apache-2.0
// One room through five dialects at once, each spoken by the client that people have: the browser's
// own three, socket.io-client and supabase-js.
import { useEffect, useMemo, useRef, useState } from 'react';
import broadcastSource from './code/broadcast.ts?raw';
import { joinBroadcast } from './code/broadcast.js';
import eventsSource from './code/roomEvents.ts?raw';
import { joinEvents } from './code/roomEvents.js';
import pollSource from './code/roomPoll.ts?raw';
import { joinPoll } from './code/roomPoll.js';
import socketioSource from './code/socketio.ts?raw';
import { joinRoom } from './code/socketio.js';
import { clientOf } from './code/supabase.js';
import websocketSource from './code/websocket.ts?raw';
import { connect } from './code/websocket.js';
import { me } from './people.js';
import { Card } from './ui.js';

const ROOM = 'demo:five';
const EVENT = 'new-message';
type Show = (text: string) => void;
interface Line {
  send(text: string): unknown;
  close(): void;
}
interface Keys {
  token?: string;
  key?: string;
}

function plain(show: Show): Line {
  const { sendMessage, close } = connect(ROOM, (m) => m.event == EVENT && show(m.content.message));
  return { send: (message) => sendMessage({ message }, EVENT), close };
}

function events(show: Show): Line {
  const { sendMessage, close } = joinEvents(ROOM, (m) => show(m.message));
  return { send: sendMessage, close };
}

function poll(show: Show): Line {
  const { sendMessage, close } = joinPoll(ROOM, (m) => show(m.message));
  return { send: sendMessage, close };
}

function socketio(show: Show, { token }: Keys): Line {
  const { sendMessage, close } = joinRoom(ROOM, (m) => show(m.message), token);
  // The room's rule leaves out the sender, as tutorials have it: so he shows it himself.
  return { send: (message) => (sendMessage(message), show(message)), close };
}

function supabase(show: Show, { key, token }: Keys): Line {
  if (!key || !token) {
    const why = 'Needs a key, which `tidewire dev` would make';
    return { send: () => show(why), close: () => {} };
  }
  const client = clientOf(location.origin, key, async () => token);
  const { sendMessage, close } = joinBroadcast(client, ROOM, (m) => show(m.message));
  return { send: sendMessage, close: () => (close(), void client.realtime.disconnect()) };
}

const DIALECTS = [
  { name: 'WebSocket', by: 'new WebSocket()', open: plain },
  { name: 'Server-Sent Events', by: 'new EventSource()', open: events },
  { name: 'Long poll', by: 'fetch()', open: poll },
  { name: 'Socket.IO', by: 'socket.io-client', open: socketio },
  { name: 'Supabase Realtime', by: '@supabase/supabase-js', open: supabase },
];
const CODE = [
  { name: 'WebSocket', text: websocketSource },
  { name: 'Server-Sent Events', text: eventsSource },
  { name: 'Long poll', text: pollSource },
  { name: 'Socket.IO', text: socketioSource },
  { name: 'Supabase Realtime', text: broadcastSource },
];

export default function Dialects() {
  const [lines, setLines] = useState<string[][]>(() => DIALECTS.map(() => []));
  const open = useRef<Line[]>([]);
  const [text, setText] = useState('');
  const [via, setVia] = useState(0);
  const [said, setSaid] = useState(0);
  useEffect(() => {
    let gone = false;
    const start = async () => {
      const answer = await fetch(
        `/api/demo/token?user=${me.id}&name=${encodeURIComponent(me.name)}`,
      );
      const keys: Keys = answer.ok ? await answer.json() : {};
      if (gone) return;
      open.current = DIALECTS.map(({ open: dial }, i) =>
        dial(
          (t) => setLines((old) => old.map((l, j) => (i == j ? [...l, t].slice(-50) : l))),
          keys,
        ),
      );
    };
    start();
    return () => {
      gone = true;
      open.current.splice(0).forEach((l) => l.close());
    };
  }, []);
  const lists = useRef<HTMLDivElement>(null);
  useEffect(() => {
    lists.current!.querySelectorAll('ol').forEach((list) => list.scrollTo(0, list.scrollHeight));
  }, [lines]);
  const send = (e: React.FormEvent) => {
    e.preventDefault();
    const message = text.trim() || `${me.name} says hello by ${DIALECTS[via]!.name}`;
    open.current[via]?.send(message);
    setSaid(said + 1);
    setText('');
  };
  const same = useMemo(() => new Set(lines.map((l) => JSON.stringify(l))).size == 1, [lines]);
  return (
    <Card
      title="One room, five dialects"
      transport="all of them"
      code={CODE}
      about="The clients that people already have meet in one channel: what one says, all hear."
    >
      <form className="row" onSubmit={send}>
        <select aria-label="Send by" value={via} onChange={(e) => setVia(+e.target.value)}>
          {DIALECTS.map((d, i) => (
            <option key={d.name} value={i}>
              {d.name}
              {d.open == events || d.open == poll ? ' (and POST)' : ''}
            </option>
          ))}
        </select>
        <input
          aria-label="Text"
          placeholder="Say something, or just send"
          maxLength={200}
          autoComplete="off"
          value={text}
          onChange={(e) => setText(e.target.value)}
        />
        <button className="main">Send</button>
      </form>
      <div className="five" ref={lists}>
        {DIALECTS.map((d, i) => (
          <section key={d.name} data-dialect={d.name} aria-label={d.name}>
            <h3>
              {d.name} <small>{d.by}</small>
            </h3>
            <ol tabIndex={0} aria-label={`Heard by ${d.name}`}>
              {lines[i]!.map((l, n) => (
                <li key={n}>{l}</li>
              ))}
              {!lines[i]!.length && <li className="empty">…</li>}
            </ol>
          </section>
        ))}
      </div>
      <p className="typing" role="status" data-same={same}>
        {said > 0 && same && 'All five heard the same, in the same order.'}
      </p>
    </Card>
  );
}
