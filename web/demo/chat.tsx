// SPDX-License-Identifier: Apache-2.0
import { useChatMessages, usePresence, useTyping } from '@tidewire/react';
import { useEffect, useRef, useState } from 'react';
import { me } from './network.js';
import { Card, colour } from './ui.js';

const ROOM = 'demo:chat';
const CODE = `import { useChatMessages, usePresence, useTyping } from '@tidewire/react';

function Chat({ me }) {
  const { messages, sendMessage, retry } = useChatMessages('demo:chat', me.id);
  const { members } = usePresence('demo:chat', { name: me.name }, me.id);
  const { typing, handleTyping, stop } = useTyping('demo:chat', { name: me.name });
  // messages[i].status is 'sending', 'sent' or 'failed'
}`;

export function Chat({ name }: { name: string }) {
  const { messages, sendMessage, retry, discard, loadMore } = useChatMessages(ROOM, `${name} ${me.id}`);
  const { members } = usePresence<{ name: string }>(ROOM, { name }, me.id);
  const { typing, handleTyping, stop } = useTyping(ROOM, { name });
  const [text, setText] = useState('');
  const [more, setMore] = useState(true);
  const log = useRef<HTMLDivElement>(null);
  useEffect(() => {
    log.current!.scrollTop = log.current!.scrollHeight;
  }, [messages.length]);
  return (
    <Card
      title="Chat"
      transport="WebSocket"
      code={CODE}
      about="Both sides talk. Your message shows at once; cut the network and it waits, then goes out once. Open this page twice."
    >
      <ul className="people" aria-label="Here now">
        {members.map((m) => (
          <li key={m.key}>
            <i style={{ background: colour(m.key) }} />
            {m.metas[0]?.name ?? m.key}
            {m.key == me.id && ' (you)'}
          </li>
        ))}
      </ul>
      <div className="log" role="log" tabIndex={0} ref={log} aria-label="Messages">
        {more && messages.length > 0 && (
          <button className="link" onClick={() => loadMore().then(setMore, () => setMore(false))}>
            Older messages
          </button>
        )}
        {messages.map((m) => {
          const [who, id = ''] = (m.user_id ?? 'someone').split(' ');
          return (
            <div key={m.id} className={`bubble ${id == me.id ? 'mine' : ''} ${m.status}`}>
              <b style={{ color: id == me.id ? undefined : colour(id) }}>{who}</b>
              <p>{m.content}</p>
              {m.status == 'sending' && <small>sending…</small>}
              {m.status == 'failed' && (
                <small>
                  not sent{' '}
                  <button className="link" onClick={() => retry(m.id)}>
                    try again
                  </button>{' '}
                  <button className="link" onClick={() => discard(m.id)}>
                    discard
                  </button>
                </small>
              )}
            </div>
          );
        })}
        {!messages.length && <p className="empty">Nothing said yet.</p>}
      </div>
      <p className="typing" aria-live="polite">
        {typing.length ? `${typing.join(', ')} ${typing.length > 1 ? 'are' : 'is'} typing…` : '\u00a0'}
      </p>
      <form
        className="row"
        onSubmit={(e) => {
          e.preventDefault();
          if (!text.trim()) return;
          sendMessage(text.trim());
          stop();
          setText('');
        }}
      >
        <input
          aria-label="Message"
          placeholder="Type a message"
          maxLength={500}
          value={text}
          onBlur={stop}
          onChange={(e) => {
            setText(e.target.value);
            handleTyping();
          }}
        />
        <button className="main">Send</button>
      </form>
    </Card>
  );
}
