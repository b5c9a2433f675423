// SPDX-License-Identifier: Apache-2.0
// The demo: what the usual guides to real-time web apps describe, each live on its transport.
// To add a card: a component, and a row in PAGES.
import { TidewireProvider, useConnection } from '@tidewire/react';
import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useStore } from '../../clients/react/src/store.js';
import { Chat } from './chat.js';
import { Dashboard } from './dashboard.js';
import './demo.css';
import { Dialects } from './dialects.js';
import { Feed, Status } from './feed.js';
import { Helper } from './helper.js';
import { audit, client, counters, cut, me, rename, setCut } from './network.js';
import { Cursors, Game } from './play.js';

const PAGES: Record<string, { title: string; show(name: string): React.ReactNode }> = {
  chat: { title: 'Chat', show: (name) => <Chat name={name} /> },
  feed: {
    title: 'Feed',
    show: () => (
      <>
        <Feed />
        <Status />
      </>
    ),
  },
  cursors: { title: 'Cursors', show: (name) => <Cursors name={name} /> },
  game: { title: 'Game', show: (name) => <Game name={name} /> },
  dashboard: { title: 'Dashboard', show: () => <Dashboard /> },
  dialects: { title: 'Five dialects', show: () => <Dialects /> },
  which: { title: 'Which one?', show: () => <Helper /> },
};
['demo:chat', 'demo:tiles', 'demo:numbers'].forEach(audit);

function usePage() {
  const read = () => (location.hash.slice(2) in PAGES ? location.hash.slice(2) : 'chat');
  const [page, setPage] = useState(read);
  useEffect(() => {
    const listener = () => setPage(read());
    addEventListener('hashchange', listener);
    return () => removeEventListener('hashchange', listener);
  }, []);
  return page;
}

function Network() {
  const { state, transport, retryIn, error, reconnect } = useConnection();
  const isCut = useStore(cut);
  const c = useStore(counters);
  return (
    <footer className="network" aria-label="Network">
      <span className={`badge ${state == 'connected' ? 'ok' : isCut ? 'bad' : 'wait'}`} data-state={state}>
        {state == 'connected' ? transport : state}
      </span>
      <button aria-pressed={isCut} onClick={() => setCut(!isCut)}>
        {isCut ? 'Mend the network' : 'Cut the network'}
      </button>
      <button onClick={reconnect}>Restart the connection</button>
      <dl>
        {(['messages', 'recovered', 'gaps', 'duplicates'] as const).map((name) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd data-n={name}>{c[name]}</dd>
          </div>
        ))}
        <div>
          <dt>received</dt>
          <dd>{(c.bytes / 1024).toFixed(1)} KiB</dd>
        </div>
      </dl>
      {state != 'connected' && (
        <small>
          {error?.message}
          {retryIn ? `, next try within ${(retryIn / 1000).toFixed(1)} s` : ''}
        </small>
      )}
    </footer>
  );
}

function App() {
  const page = usePage();
  const [name, setName] = useState(me.name);
  return (
    <>
      <header>
        <a className="brand" href="#/chat">
          <img src="icon.svg" alt="" width={36} height={36} />
          <span>
            <h1>Tidewire</h1>
            <small>one channel, every transport</small>
          </span>
        </a>
        <label className="who">
          You are{' '}
          <input
            value={name}
            maxLength={24}
            onChange={(e) => {
              setName(e.target.value);
              rename(e.target.value);
            }}
          />
        </label>
        <nav aria-label="Demos">
          {Object.entries(PAGES).map(([key, { title }]) => (
            <a key={key} href={`#/${key}`} aria-current={page == key ? 'page' : undefined}>
              {title}
            </a>
          ))}
          <a href="plain.html">Without SDK</a>
        </nav>
      </header>
      <main>{PAGES[page]!.show(name)}</main>
      <Network />
    </>
  );
}

createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <TidewireProvider client={client}>
      <App />
    </TidewireProvider>
  </StrictMode>,
);
