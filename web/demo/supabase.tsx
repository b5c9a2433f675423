// SPDX-License-Identifier: Apache-2.0
// The Supabase chat room under row-level security: two users side by side, each with a real
// supabase-js and a token of its own. Both ask the same; what each may see, policies decide.
import type { SupabaseClient } from '@supabase/supabase-js';
import { useCallback, useEffect, useRef, useState } from 'react';
import policiesSource from './code/policies.sql?raw';
import supabaseSource from './code/supabase.ts?raw';
import { clientOf } from './code/supabase.js';
import privateSource from './code/usePrivateChannel.ts?raw';
import { usePrivateChannel } from './code/usePrivateChannel.js';
import messagesSource from './code/useRealtimeMessages.ts?raw';
import { useRealtimeMessages } from './code/useRealtimeMessages.js';
import { Card, Copy, Face, colour } from './ui.js';

interface User {
  id: string;
  name: string;
}
interface Room {
  id: string;
  title: string;
}
const ANN: User = { id: 'ann', name: 'Ann' };
const BEN: User = { id: 'ben', name: 'Ben' };
const HARBOUR = 'harbour';
const ROOMS: Room[] = [
  { id: HARBOUR, title: 'Harbour' },
  { id: 'ann-notes', title: 'Ann’s notes' },
  { id: 'ben-notes', title: 'Ben’s notes' },
];
const OWNER: Record<string, User> = { [HARBOUR]: ANN, 'ann-notes': ANN, 'ben-notes': BEN };

async function fetchToken({ id, name }: User) {
  const answer = await fetch(`/api/demo/token?user=${id}&name=${name}`);
  if (!answer.ok)
    throw new Error('This server gives out no tokens: the room runs in `tidewire dev`');
  return (await answer.json()) as { token: string; expires: number; key: string };
}

/** The token of a user, fetched anew a minute before its end. */
function tokenOf(user: User) {
  let held: ReturnType<typeof fetchToken> | undefined;
  let until = 0;
  return async () => {
    if (Date.now() > until) {
      until = Infinity; // one question at a time
      held = fetchToken(user);
      held.then(
        ({ expires }) => (until = expires - 60000),
        () => (until = 0),
      );
    }
    return held!;
  };
}

interface Entry {
  user: User;
  supabase: SupabaseClient;
}
let entered: Promise<{ key: string; users: Entry[] }> | undefined;

/** Once per page: two clients, and the rooms of each. */
const enter = () =>
  (entered ??= make().catch((error) => ((entered = undefined), Promise.reject(error))));
async function make() {
  const tokens = [ANN, BEN].map((user) => ({ user, token: tokenOf(user) }));
  const { key } = await tokens[0]!.token();
  const users = tokens.map(({ user, token }) => ({
    user,
    supabase: clientOf(location.origin, key, async () => (await token()).token),
  }));
  for (const { user, supabase } of users) {
    const { error } = await supabase.from('demo_rooms').upsert(
      ROOMS.filter((r) => OWNER[r.id] == user),
      { onConflict: 'id', ignoreDuplicates: true },
    );
    if (error) throw new Error(error.message);
  }
  return { key, users };
}

export default function Supabase() {
  const [state, setState] = useState<{ key: string; users: Entry[] }>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    enter().then(setState, (error) => setProblem(error.message));
  }, []);
  return (
    <Card
      title="One table, two users"
      transport="Supabase Realtime + row-level security"
      code={[
        { name: 'useRealtimeMessages.ts', text: messagesSource },
        { name: 'supabase.ts', text: supabaseSource },
        { name: 'policies.sql', text: policiesSource },
        { name: 'usePrivateChannel.ts', text: privateSource },
      ]}
      about={
        <>
          The unchanged supabase-js. Both ask for <em>all</em> messages, without a filter; the
          server’s policies decide, row by row, what each is sent. Try to write where you may not.
        </>
      }
    >
      {problem && <p role="alert">{problem}</p>}
      {state && <Key value={state.key} />}
      <div className="pair rooms">
        {state?.users.map((u) => (
          <Column key={u.user.id} {...u} />
        ))}
      </div>
    </Card>
  );
}

function Key({ value }: { value: string }) {
  const [shown, setShown] = useState(false);
  const code = `createClient('${location.origin}', '${value}')`;
  return (
    <div className="key">
      <code data-key={value}>
        createClient('{location.origin}', '{shown ? value : `${value.slice(0, 12)}…`}')
      </code>
      <button className="chip" aria-pressed={shown} onClick={() => setShown(!shown)}>
        {shown ? 'Hide the key' : 'Show the key'}
      </button>
      <Copy text={code} what="the line with your URL and anon key" />
    </div>
  );
}

/** What this user may see of the rooms; asked again when a membership changes. */
function useRooms(supabase: SupabaseClient) {
  const [rooms, setRooms] = useState<Room[]>();
  const [members, setMembers] = useState<string[]>([]);
  const load = useCallback(async () => {
    const seen = await supabase.from('demo_rooms').select('id,title').order('title');
    const inside = await supabase.from('demo_members').select('user_id').eq('room_id', HARBOUR);
    setRooms(seen.data ?? []);
    setMembers(inside.data?.map((m) => m.user_id) ?? []);
  }, [supabase]);
  useEffect(() => {
    const channel = supabase
      .channel(`members-${++channels}`)
      .on('postgres_changes', { event: '*', schema: 'public', table: 'demo_members' }, load)
      .subscribe((status) => status == 'SUBSCRIBED' && load());
    addEventListener('tidewire-members', load);
    return () => {
      channel.unsubscribe();
      removeEventListener('tidewire-members', load);
    };
  }, [supabase, load]);
  return { rooms, members };
}
let channels = 0;
const nameOf = (id: string) => [ANN, BEN].find((u) => u.id == id)?.name ?? id;

function Column({ user, supabase }: Entry) {
  const { rooms, members } = useRooms(supabase);
  const seen = rooms?.map((r) => r.id).join();
  const hasBen = members.includes(BEN.id);
  const turn = async () => {
    const rows = supabase.from('demo_members');
    if (hasBen) await rows.delete().eq('room_id', HARBOUR).eq('user_id', BEN.id);
    else await rows.insert({ room_id: HARBOUR, user_id: BEN.id });
    // Who was put out may not be told by a row that he cannot see any more.
    dispatchEvent(new Event('tidewire-members'));
  };
  return (
    <section className="phone" data-user={user.id} aria-label={`What ${user.name} sees`}>
      <div className="top">
        <Face id={user.id} name={user.name} />
        <b>
          {user.name}
          <small> token of “{user.id}”</small>
        </b>
        {user == ANN && rooms && (
          <button className="chip" onClick={turn}>
            {hasBen ? 'Put Ben out of Harbour' : 'Let Ben into Harbour'}
          </button>
        )}
      </div>
      {rooms && <Inside key={seen} user={user} supabase={supabase} rooms={rooms} />}
    </section>
  );
}

function Inside({ user, supabase, rooms }: Entry & { rooms: Room[] }) {
  const { messages, status, sendMessage } = useRealtimeMessages(supabase);
  const { joined, online } = usePrivateChannel(supabase, HARBOUR, user.name);
  const [room, setRoom] = useState(user == ANN ? 'ann-notes' : 'ben-notes');
  const [text, setText] = useState('');
  const [refused, setRefused] = useState('');
  const log = useRef<HTMLDivElement>(null);
  useEffect(() => {
    log.current!.scrollTop = log.current!.scrollHeight;
  }, [messages.length]);
  const send = async (e: React.FormEvent) => {
    e.preventDefault();
    if (!text.trim()) return;
    const error = await sendMessage(room, text.trim());
    setRefused(error ? `${error.code}: ${error.message}` : '');
    if (!error) setText('');
  };
  return (
    <>
      <ul className="uses" aria-label={`Rooms that ${user.name} may see`}>
        {rooms.map((r) => (
          <li key={r.id} className="badge" data-room={r.id}>
            {r.title}
          </li>
        ))}
      </ul>
      <div
        className="log"
        role="log"
        tabIndex={0}
        ref={log}
        aria-label={`Messages that ${user.name} may read`}
      >
        {messages.map((m) => (
          <div key={m.id} className={`bubble ${m.user_id == user.id ? 'mine' : ''}`}>
            {m.user_id != user.id && (
              <b style={{ background: colour(m.user_id) }}>{nameOf(m.user_id)}</b>
            )}
            <p>{m.content}</p>
            <small>{ROOMS.find((r) => r.id == m.room_id)?.title ?? m.room_id}</small>
          </div>
        ))}
        {!messages.length && <p className="empty">No row that {user.name} may read.</p>}
      </div>
      <p className="typing">
        <span className={`dot ${status == 'SUBSCRIBED' ? 'ok' : 'wait'}`}>
          <b data-n="rows">{messages.length}</b> rows
        </span>
        <span className={`dot ${joined == 'open' ? 'ok' : joined == 'refused' ? 'bad' : 'wait'}`}>
          private channel {joined}
          {joined == 'open' && online.length > 0 && `: ${online.join(', ')}`}
        </span>
      </p>
      <form className="row" onSubmit={send}>
        <select
          aria-label={`Room to write to, as ${user.name}`}
          value={room}
          onChange={(e) => setRoom(e.target.value)}
        >
          {ROOMS.map((r) => (
            <option key={r.id} value={r.id}>
              {r.title}
            </option>
          ))}
        </select>
        <input
          aria-label={`Message of ${user.name}`}
          placeholder={`Write as ${user.name}`}
          maxLength={500}
          autoComplete="off"
          value={text}
          onChange={(e) => setText(e.target.value)}
        />
        <button className="main" aria-label={`Send as ${user.name}`}>
          Send
        </button>
      </form>
      <p className="refused" role="status">
        {refused && `Refused by a policy. ${refused}`}
      </p>
    </>
  );
}
