// SPDX-License-Identifier: Apache-2.0
// Components for react.test.mjs, written as an application would write them.
import { createClient } from '@tidewire/client';
import type { Client } from '@tidewire/client';
import {
  TidewireProvider,
  useBroadcast,
  useChatMessages,
  useConnection,
  useMessages,
  usePresence,
  useRealtimeMessages,
  useTable,
  useTyping,
} from '@tidewire/react';
import { Component, StrictMode, useState } from 'react';
import type { ReactNode } from 'react';
import { createRoot, hydrateRoot } from 'react-dom/client';

declare global {
  // eslint-disable-next-line no-var
  var shown: { renders: number; [name: string]: unknown };
}
globalThis.shown = { renders: 0 };

/** Puts it on the page, in StrictMode; returns the way to take it away. */
export function show(client: Client, what: ReactNode) {
  const root = createRoot(document.getElementById('root')!);
  root.render(<Frame client={client}>{what}</Frame>);
  return () => root.unmount();
}

function Frame({ client, children }: { client: Client; children: ReactNode }) {
  return (
    <StrictMode>
      <TidewireProvider client={client}>
        {children}
      </TidewireProvider>
    </StrictMode>
  );
}

export function Count({ room, limit = 500 }: { room: string; limit?: number }) {
  const { messages, gap } = useMessages<number>(room, { event: 'n', limit, rewind: 0 });
  shown.renders++;
  shown.last = messages[messages.length - 1]?.data;
  shown.gap = gap;
  return <p id="count">{messages.length}</p>;
}

export function Rooms() {
  const [room, setRoom] = useState('a');
  shown.setRoom = setRoom;
  return <Rows room={room} />;
}

function Rows({ room }: { room: string }) {
  const { messages, sendMessage, broadcast, online } = useRealtimeMessages(room, 'ann');
  Object.assign(shown, { sendMessage, broadcast, online: online.length });
  return (
    <ul id="rows">
      {messages.map((row) => (
        <li key={row.id}>{row.content}</li>
      ))}
    </ul>
  );
}

export function Table({ filter }: { filter?: string }) {
  const { rows, status, error } = useTable<{ id: number; content: string }>('messages', { filter });
  shown.error = error?.message;
  return <p id="table">{`${status}: ${rows.map((r) => r.content).join(' ')}`}</p>;
}

export function Chat({ room }: { room: string }) {
  const chat = useChatMessages(room, 'ann');
  shown.chat = chat;
  return <p id="log">{chat.messages.map((m) => `${m.content}:${m.status}`).join(' ')}</p>;
}

export function Typist({ room }: { room: string }) {
  const { typing, handleTyping, stop } = useTyping(room, { name: 'Ann', idle: 1000, ttl: 3000 });
  return (
    <div>
      <input id="say" onChange={handleTyping} onBlur={stop} />
      <p id="typing">{typing.join(' ')}</p>
    </div>
  );
}

export function Cursor({ room }: { room: string }) {
  const [cursors, move] = useBroadcast<{ x: number }>(room, 'cursor', { throttle: 50 });
  shown.move = move;
  return <p id="cursors">{[...cursors.values()].map((c) => c.x).join(' ')}</p>;
}

export function Members({ room, name }: { room: string; name?: string }) {
  const { members } = usePresence(room, name ? { name } : undefined, name);
  return <p id="members">{members.map((m) => m.key).join(' ')}</p>;
}

/** Throws when it is told to, in the midst of everything. */
export function Fragile() {
  const { messages } = useMessages<number>('room', { event: 'n', rewind: 0 });
  useMembers();
  if (messages.some((m) => m.data === 13)) throw new Error('thirteen');
  return <p id="fragile">{messages.length}</p>;
}
const useMembers = () => usePresence('room', { name: 'ann' }, 'ann');

export class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
  state: { error?: Error } = {};
  static getDerivedStateFromError = (error: Error) => ({ error });
  render() {
    return this.state.error ? <p id="broken">{this.state.error.message}</p> : this.props.children;
  }
}
export const Guarded = () => (
  <Boundary>
    <Fragile />
  </Boundary>
);

/** A client of the provider's own, in StrictMode; returns the way to take it away. */
export function showOwn() {
  const root = createRoot(document.getElementById('root')!);
  root.render(
    <StrictMode>
      <TidewireProvider options={{ reconnect: { minDelay: 20 } }}>
        <Status />
        <Count room="room" />
      </TidewireProvider>
    </StrictMode>,
  );
  return () => root.unmount();
}

/** Without a provider. */
export function showBare() {
  const root = createRoot(document.getElementById('root')!);
  root.render(<Status />);
  return () => root.unmount();
}

/** For the server and the browser alike. */
export function Page({ client }: { client: Client }) {
  return (
    <TidewireProvider client={client}>
      <Status />
      <Count room="room" />
      <Members room="room" name="ann" />
      <Table />
    </TidewireProvider>
  );
}
function Status() {
  const { state, isConnected } = useConnection();
  return <p id="state">{`${state} ${isConnected}`}</p>;
}

export function hydrate(onError: (error: unknown) => void) {
  const client = createClient();
  hydrateRoot(document.getElementById('root')!, <Page client={client} />, { onRecoverableError: onError });
  return client;
}
