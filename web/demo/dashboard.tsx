// SPDX-License-Identifier: Apache-2.0
// The server's own numbers, shared: one of the pages that are open asks for them and publishes them in
// the channel, the others only listen. (Who that is, presence decides: the first key.)
import { useMessages, usePresence } from '@tidewire/react';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { me } from './network.js';
import { Card } from './ui.js';

const CHANNEL = 'demo:numbers';
const CODE = `const { messages } = useMessages('demo:numbers', { rewind: 120, limit: 120 });
// messages -> uPlot; sixty or six hundred a second: React draws once per frame.`;

interface Sample {
  t: number;
  connections: number;
  delivered: number;
  published: number;
}

async function sample(): Promise<Sample> {
  const text = await (await fetch('/metrics')).text();
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)$`, 'gm'))].reduce((s, m) => s + Number(m[1]), 0);
  return {
    t: Date.now(),
    connections: sum('tidewire_connections'),
    delivered: sum('tidewire_messages_delivered_total') || sum('tidewire_messages_delivered'),
    published: sum('tidewire_messages_published_total') || sum('tidewire_messages_published'),
  };
}

export function Dashboard() {
  const { messages, publish } = useMessages<Sample>(CHANNEL, { rewind: 120, limit: 120 });
  const { members } = usePresence(CHANNEL, { at: 0 }, me.id);
  const leads = [...members].map((m) => m.key).sort()[0] == me.id;
  useEffect(() => {
    if (!leads) return;
    const timer = setInterval(
      () =>
        sample()
          .then((s) => publish(s, { queue: false }))
          .catch(() => {}),
      1000,
    );
    return () => clearInterval(timer);
  }, [leads, publish]);
  const data = messages.map((m) => m.data).filter((s) => s?.t);
  const last = data.at(-1);
  const before = data.at(-2);
  const rate = (name: 'delivered' | 'published') =>
    last && before ? Math.max(0, (last[name] - before[name]) / ((last.t - before.t) / 1000 || 1)) : 0;
  return (
    <Card
      title="Live dashboard"
      transport="WebSocket"
      code={CODE}
      about="The numbers of this very server, once a second. One open page feeds them to all."
    >
      <div className="numbers">
        <div>
          <b>{last?.connections ?? '–'}</b>
          <span>connections</span>
        </div>
        <div>
          <b>{rate('published').toFixed(0)}</b>
          <span>published / s</span>
        </div>
        <div>
          <b>{rate('delivered').toFixed(0)}</b>
          <span>delivered / s</span>
        </div>
      </div>
      <Chart samples={data} />
    </Card>
  );
}

function Chart({ samples }: { samples: Sample[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const css = getComputedStyle(document.documentElement);
    const ink = css.getPropertyValue('--soft');
    const axis = { stroke: ink, grid: { stroke: css.getPropertyValue('--line'), width: 1 }, ticks: { show: false } };
    plot.current = new uPlot(
      {
        width: box.current!.clientWidth,
        height: 260,
        scales: { y: { range: (_, __, max) => [0, Math.max(5, max * 1.1)] } },
        axes: [axis, { ...axis, size: 46 }],
        series: [
          {},
          { label: 'delivered / s', stroke: css.getPropertyValue('--accent'), width: 2, fill: css.getPropertyValue('--back') },
          { label: 'connections', stroke: '#d0762b', width: 2 },
        ],
      },
      [[], [], []],
      box.current!,
    );
    const watch = new ResizeObserver(() => plot.current!.setSize({ width: box.current!.clientWidth, height: 260 }));
    watch.observe(box.current!);
    return () => {
      watch.disconnect();
      plot.current!.destroy();
    };
  }, []);
  useEffect(() => {
    const s = samples.slice(1);
    plot.current?.setData([
      s.map((x) => x.t / 1000),
      s.map((x, i) => Math.max(0, (x.delivered - samples[i]!.delivered) / ((x.t - samples[i]!.t) / 1000 || 1))),
      s.map((x) => x.connections),
    ]);
  }, [samples]);
  return <div ref={box} className="chart" />;
}
