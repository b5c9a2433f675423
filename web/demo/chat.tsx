// SPDX-License-Identifier: Apache-2.0
// A room with two people on one page, each over a connection of its own.
import { TidewireProvider, useConnection } from '@tidewire/react';
import { useEffect, useRef, useState } from 'react';
import roomSource from './code/useRoom.ts?raw';
import { useRoom } from './code/useRoom.js';
import { me, robin } from './people.js';
import type { Person } from './people.js';
import { Card, Face, colour } from './ui.js';

const ROOM = 'demo:chat';

export function Chat({ name }: { name: string }) {
  return (
    <Card
      className="stage"
      title="Cut the network. Keep typing."
      transport="WebSocket"
      code={[{ name: 'useRoom.ts', text: roomSource }]}
      about={
        <>
          Two people, two connections. Cut yours below and go on: what you write waits and goes out
          once; what Robin writes meanwhile is there when you are back, in order.
        </>
      }
    >
      <div className="pair">
        <Phone person={me} name={name} />
        <TidewireProvider client={robin.client}>
          <Phone person={robin} name={robin.name} />
        </TidewireProvider>
      </div>
    </Card>
  );
}

const WORDS = { connected: 'online', connecting: 'connecting', failed: 'refused' } as const;

function Phone({ person, name }: { person: Person; name: string }) {
  const room = useRoom(ROOM, { id: person.id, name });
  const { state } = useConnection();
  const { messages, sendMessage, members, typing, handleTyping, stop } = room;
  const [text, setText] = useState('');
  const log = useRef<HTMLDivElement>(null);
  const who = person == me ? 'you' : name;
  useEffect(() => {
    log.current!.scrollTop = log.current!.scrollHeight;
  }, [messages.length]);
  const send = (e: React.FormEvent) => {
    e.preventDefault();
    if (!text.trim()) return;
    sendMessage(text.trim());
    stop();
    setText('');
  };
  return (
    <section
      className="phone"
      data-person={person == me ? 'me' : 'robin'}
      aria-label={`Chat of ${who}`}
    >
      <div className="top">
        <Face id={person.id} name={name || '?'} />
        <b>
          {name}
          <small>{person == me ? ' you' : ' second client'}</small>
        </b>
        <span className={`dot ${state == 'connected' ? 'ok' : 'bad'}`}>
          {WORDS[state as keyof typeof WORDS] ?? 'offline'}
        </span>
      </div>
      <Log room={room} person={person} box={log} who={who} />
      <p className="typing" aria-live={person == me ? 'polite' : 'off'}>
        {typing.length > 0 && `${typing.join(', ')} ${typing.length > 1 ? 'are' : 'is'} typing…`}
        {!typing.length && <Here members={members} self={person.id} />}
      </p>
      <form className="row" onSubmit={send}>
        <input
          aria-label={person == me ? 'Message' : `Message of ${name}`}
          placeholder={`Write as ${name}`}
          maxLength={500}
          autoComplete="off"
          value={text}
          onBlur={stop}
          onChange={(e) => {
            setText(e.target.value);
            handleTyping();
          }}
        />
        <button className="main" aria-label={`Send as ${name}`}>
          Send
        </button>
      </form>
    </section>
  );
}

function Here({ members, self }: { members: Room['members']; self: string }) {
  const others = members.filter((m) => m.key != self).map((m) => m.metas[0]?.name ?? m.key);
  return <>{others.length ? `Here too: ${others.join(', ')}` : 'Nobody else is here'}</>;
}

type Room = ReturnType<typeof useRoom>;

function Log(props: {
  room: Room;
  person: Person;
  box: React.RefObject<HTMLDivElement | null>;
  who: string;
}) {
  const { room, person, box, who } = props;
  const [more, setMore] = useState(true);
  return (
    <div
      className="log"
      role="log"
      tabIndex={0}
      ref={box}
      aria-label={`Messages in the chat of ${who}`}
      aria-live={person == me ? 'polite' : 'off'}
    >
      {more && room.messages.length >= 50 && (
        <button
          className="link"
          onClick={() => room.loadMore().then(setMore, () => setMore(false))}
        >
          Older messages
        </button>
      )}
      {room.messages.map((m) => {
        const [name, id = ''] = (m.user_id ?? 'someone').split(/ (?=\S*$)/);
        const mine = id == person.id;
        return (
          <div key={m.id} className={`bubble ${mine ? 'mine' : ''} ${m.status}`}>
            {mine && <span className="unseen">You: </span>}
            {!mine && <b style={{ background: colour(id) }}>{name}</b>}
            <p>{m.content}</p>
            {m.status == 'sending' && <small>waiting to be sent…</small>}
            {m.status == 'failed' && (
              <small>
                not sent{' '}
                <button className="link" onClick={() => room.retry(m.id)}>
                  try again
                </button>{' '}
                <button className="link" onClick={() => room.discard(m.id)}>
                  discard
                </button>
              </small>
            )}
          </div>
        );
      })}
      {!room.messages.length && <p className="empty">Nothing said yet. Say hello.</p>}
    </div>
  );
}
