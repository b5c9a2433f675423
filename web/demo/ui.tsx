// SPDX-License-Identifier: Apache-2.0
// What every card of the demo has: a head with its transport, the live thing, and its code.
import { useId, useMemo, useRef, useState } from 'react';
import type { KeyboardEvent, ReactNode } from 'react';
import { piecesOf } from './highlight.js';

export interface Source {
  name: string;
  text: string;
}

/** A row of choices of which one is taken; arrows, Home and End move. */
export function Tabs<K extends string>({
  label,
  tabs,
  value,
  onChange,
  panel,
}: {
  label: string;
  tabs: readonly (readonly [K, ReactNode])[];
  value: K;
  onChange(to: K): void;
  panel: string;
}) {
  const row = useRef<HTMLDivElement>(null);
  const keys = (e: KeyboardEvent) => {
    const at = tabs.findIndex(([name]) => name == value);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const next = (to + tabs.length) % tabs.length;
    onChange(tabs[next]![0]);
    (row.current!.children[next] as HTMLElement).focus();
  };
  return (
    <div className="tabs" role="tablist" aria-label={label} ref={row} onKeyDown={keys}>
      {tabs.map(([name, text]) => (
        <button
          key={name}
          role="tab"
          id={`${panel}-${name}`}
          aria-selected={value == name}
          aria-controls={panel}
          tabIndex={value == name ? 0 : -1}
          onClick={() => onChange(name)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

export function Card({
  title,
  transport,
  about,
  code,
  className = '',
  children,
}: {
  title: string;
  transport: string;
  about: ReactNode;
  code: Source[];
  className?: string;
  children: ReactNode;
}) {
  const [tab, setTab] = useState('live' as 'live' | 'code');
  const id = useId();
  const panel = `${id}p`;
  return (
    <section className={`card ${className}`} aria-labelledby={id}>
      <div className="head">
        <h2 id={id}>{title}</h2>
        <span className="badge">{transport}</span>
        <Tabs<'live' | 'code'>
          label={`${title}: live or code`}
          tabs={[
            ['live', 'Live'],
            ['code', 'Show the code'],
          ]}
          value={tab}
          onChange={setTab}
          panel={panel}
        />
      </div>
      <p className="about">{about}</p>
      <div className="panel" role="tabpanel" id={panel} aria-labelledby={`${panel}-${tab}`}>
        <div hidden={tab != 'live'} className="body">
          {children}
        </div>
        {tab == 'code' && <Code sources={code} />}
      </div>
    </section>
  );
}

export function Code({ sources }: { sources: Source[] }) {
  const [at, setAt] = useState(0);
  const { name, text } = sources[Math.min(at, sources.length - 1)]!;
  const pieces = useMemo(() => piecesOf(text), [text]);
  return (
    <div className="code">
      <div className="row">
        {sources.map((s, i) => (
          <button key={s.name} className="chip" aria-pressed={i == at} onClick={() => setAt(i)}>
            {s.name}
          </button>
        ))}
        <Copy text={text} what={`the code of ${name}`} />
      </div>
      <pre tabIndex={0} aria-label={name}>
        <code>
          {pieces.map(({ kind, text: t }, i) =>
            kind ? <b key={i} className={kind} children={t} /> : t,
          )}
        </code>
      </pre>
    </div>
  );
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [copied, setCopied] = useState(false);
  const copy = () =>
    navigator.clipboard?.writeText(text).then(
      () => {
        setCopied(true);
        setTimeout(() => setCopied(false), 2000);
      },
      () => {},
    );
  return (
    <button className="copy" onClick={copy} aria-label={`Copy ${what}`}>
      <span role="status">{copied ? 'Copied' : 'Copy'}</span>
    </button>
  );
}

// Dark enough for white letters, light enough to be told apart on a dark page.
const HUES = [
  '#0b6e8f',
  '#b3541e',
  '#6a4fb3',
  '#2d7a3e',
  '#b32d5e',
  '#866500',
  '#3558c9',
  '#9c3fb0',
];
/** One colour per person, the same for everybody. */
export const colour = (id: string) =>
  HUES[[...id].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7) % HUES.length]!;

export function Face({ id, name }: { id: string; name: string }) {
  return (
    <span className="face" style={{ background: colour(id) }} aria-hidden="true">
      {name.slice(0, 1).toUpperCase()}
    </span>
  );
}

export const kib = (bytes: number) =>
  bytes < 1024 * 1024
    ? `${(bytes / 1024).toFixed(1)} KiB`
    : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
