// SPDX-License-Identifier: Apache-2.0
// What every card of the demo has: a head with its transport, the live thing, and its code.
import { useId, useState } from 'react';
import type { ReactNode } from 'react';

export function Card({
  title,
  transport,
  about,
  code,
  children,
}: {
  title: string;
  transport: string;
  about: string;
  code: string;
  children: ReactNode;
}) {
  const [tab, setTab] = useState<'live' | 'code'>('live');
  const id = useId();
  return (
    <section className="card" aria-labelledby={id}>
      <div className="head">
        <h2 id={id}>{title}</h2>
        <span className="badge">{transport}</span>
        <div className="switch" role="tablist" aria-label={title}>
          {(['live', 'code'] as const).map((name) => (
            <button key={name} role="tab" aria-selected={tab == name} onClick={() => setTab(name)}>
              {name == 'live' ? 'Live' : 'Show the code'}
            </button>
          ))}
        </div>
      </div>
      <p className="about">{about}</p>
      <div hidden={tab != 'live'} className="body">
        {children}
      </div>
      {tab == 'code' && <Code text={code} />}
    </section>
  );
}

export function Code({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <div className="code">
      <button onClick={() => navigator.clipboard?.writeText(text).then(() => setCopied(true))}>
        {copied ? 'Copied' : 'Copy'}
      </button>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </div>
  );
}

const HUES = ['#0b6e8f', '#b3541e', '#6a4fb3', '#2d7a3e', '#b32d5e', '#8a6d00', '#3558c9', '#9c3fb0'];
/** One colour per person, the same for everybody. */
export const colour = (id: string) => HUES[[...id].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7) % HUES.length]!;
