// SPDX-License-Identifier: Apache-2.0
// The demo: what the usual guides to real-time web apps describe, each live on its transport.
// To add a card: a component, and a row in PAGES. What is heavy is loaded when it is opened.
import { TidewireProvider } from '@tidewire/react';
import { StrictMode, Suspense, lazy, useEffect, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Bar } from './bar.js';
import { Chat } from './chat.js';
import { Cursors } from './cursors.js';
import 'uplot/dist/uPlot.min.css';
import './demo.css';
import { FeedPage } from './feed.js';
import { Game } from './game.js';
import { Helper } from './helper.js';
import { NUMBERS, feedNumbers } from './numbers.js';
import { me, rename } from './people.js';

const Dashboard = lazy(() => import('./dashboard.js'));
const Dialects = lazy(() => import('./dialects.js'));
const Supabase = lazy(() => import('./supabase.js'));

const PAGES: Record<string, { title: string; show(name: string): React.ReactNode }> = {
  chat: { title: 'Chat', show: (name) => <Chat name={name} /> },
  feed: { title: 'Feed and status', show: () => <FeedPage /> },
  cursors: { title: 'Cursors', show: (name) => <Cursors name={name} /> },
  game: { title: 'Game', show: (name) => <Game name={name} /> },
  dashboard: { title: 'Dashboard', show: () => <Dashboard /> },
  supabase: { title: 'Supabase', show: () => <Supabase /> },
  dialects: { title: 'Five dialects', show: () => <Dialects /> },
  which: { title: 'Which one?', show: () => <Helper /> },
};
me.audit('demo:chat', 50).audit('demo:tiles', 256).audit(NUMBERS, 120);
feedNumbers();

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

const THEMES = ['auto', 'light', 'dark'] as const;
function Theme() {
  const [theme, setTheme] = useState<string>(localStorage.tidewireTheme ?? 'auto');
  useEffect(() => {
    localStorage.tidewireTheme = document.documentElement.dataset.theme = theme;
  }, [theme]);
  return (
    <select aria-label="Colours" value={theme} onChange={(e) => setTheme(e.target.value)}>
      {THEMES.map((t) => (
        <option key={t} value={t}>
          {t[0]!.toUpperCase() + t.slice(1)}
        </option>
      ))}
    </select>
  );
}

function Header({
  page,
  name,
  setName,
}: {
  page: string;
  name: string;
  setName(to: string): void;
}) {
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    const here = nav.current!.querySelector('[aria-current]');
    here?.scrollIntoView({ block: 'nearest', inline: 'center' });
    document.title = `${PAGES[page]!.title} · Tidewire`;
  }, [page]);
  return (
    <header>
      <a className="skip" href="#main" onClick={(e) => skip(e)}>
        To the demo
      </a>
      <div className="brand">
        <img src="icon.svg" alt="" width={38} height={38} />
        <h1>
          Tidewire <small>one channel, every transport</small>
        </h1>
      </div>
      <span className="unseen" role="status">
        {PAGES[page]!.title}
      </span>
      <label className="who">
        You are{' '}
        <input
          value={name}
          maxLength={24}
          autoComplete="off"
          onChange={(e) => {
            setName(e.target.value);
            rename(e.target.value);
          }}
        />
      </label>
      <Theme />
      <nav aria-label="Demos" ref={nav}>
        {Object.entries(PAGES).map(([key, { title }]) => (
          <a key={key} href={`#/${key}`} aria-current={page == key ? 'page' : undefined}>
            {title}
          </a>
        ))}
        <a href="plain.html">Without SDK</a>
      </nav>
    </header>
  );
}

const skip = (e: React.MouseEvent) => {
  e.preventDefault();
  document.getElementById('main')!.focus();
};

const LOADING = <p className="empty">Loading…</p>;

function App() {
  const page = usePage();
  const [name, setName] = useState(me.name);
  return (
    <>
      <Header page={page} name={name} setName={setName} />
      <main id="main" tabIndex={-1} aria-label={PAGES[page]!.title}>
        <Suspense fallback={LOADING}>{PAGES[page]!.show(name)}</Suspense>
        <p className="legal">
          <a href="licences.txt">Licences of what this page is made with</a>
        </p>
      </main>
      <Bar />
    </>
  );
}

document.documentElement.dataset.theme = localStorage.tidewireTheme ?? 'auto';
createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <TidewireProvider client={me.client}>
      <App />
    </TidewireProvider>
  </StrictMode>,
);
