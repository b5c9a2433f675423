// SPDX-License-Identifier: Apache-2.0
import { useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import numbersSource from './code/useNumbers.ts?raw';
import { useNumbers } from './code/useNumbers.js';
import type { Sample } from './code/useNumbers.js';
import { NUMBERS, sum } from './numbers.js';
import { Card, kib } from './ui.js';

/** How much a counter grew per second, at each sample but the first. */
const rates = (samples: Sample[], name: string) =>
  samples.slice(1).map(({ t, all }, i) => {
    const before = samples[i]!;
    const seconds = (t - before.t) / 1000 || 1;
    return Math.max(0, (sum(all, name) - sum(before.all, name)) / seconds);
  });
const values = (samples: Sample[], name: string) =>
  samples.slice(1).map(({ all }) => sum(all, name));

export default function Dashboard() {
  const samples = useNumbers(NUMBERS);
  const all = samples.at(-1)?.all ?? {};
  const wire = sum(all, 'bytes_sent_total');
  const saved = sum(all, 'compressed_bytes_saved_total');
  const tiles: [string, string | number][] = [
    ['connections', sum(all, 'connections')],
    ['published / s', (rates(samples, 'messages_published_total').at(-1) ?? 0).toFixed(0)],
    ['delivered / s', (rates(samples, 'messages_delivered_total').at(-1) ?? 0).toFixed(0)],
    ['sent', kib(wire)],
    ['without compression', kib(wire + saved)],
  ];
  return (
    <Card
      title="Live dashboard"
      transport="WebSocket"
      code={[{ name: 'useNumbers.ts', text: numbersSource }]}
      about="The numbers of this very server. One open page feeds them, all others only listen."
    >
      <dl className="numbers">
        {tiles.map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div className="charts">
        <Chart
          title="Messages per second"
          t={samples}
          lines={[
            ['delivered', rates(samples, 'messages_delivered_total')],
            ['published', rates(samples, 'messages_published_total')],
          ]}
        />
        <Chart
          title="Connections and subscriptions"
          t={samples}
          lines={[
            ['subscriptions', values(samples, 'subscriptions')],
            ['connections', values(samples, 'connections')],
          ]}
        />
      </div>
      <details>
        <summary>All {Object.keys(all).length} counters</summary>
        <div className="counters" tabIndex={0} role="region" aria-label="All counters">
          <table>
            <thead>
              <tr>
                <th scope="col">name</th>
                <th scope="col">value</th>
              </tr>
            </thead>
            <tbody>
              {Object.entries(all).map(([name, n]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>{n}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </Card>
  );
}

const HEIGHT = 230;
type Line = [label: string, values: number[]];

function useDark() {
  const [, turn] = useState(0);
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)');
    const again = () => turn((n) => n + 1);
    const watch = new MutationObserver(again);
    watch.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    query.addEventListener('change', again);
    return () => (watch.disconnect(), query.removeEventListener('change', again));
  }, []);
  return getComputedStyle(document.body).color;
}

function Chart({ title, t, lines }: { title: string; t: Sample[]; lines: Line[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const ink = useDark();
  const data: uPlot.AlignedData = [t.slice(1).map((s) => s.t / 1000), ...lines.map(([, v]) => v)];
  useEffect(() => {
    const node = box.current!;
    const css = getComputedStyle(node);
    // The palette is light-dark(): only a property that is used has the colour of today.
    const colourOf = (name: string) => {
      node.style.outlineColor = `var(${name})`;
      return css.outlineColor;
    };
    const [soft, rule] = [colourOf('--soft'), colourOf('--line')];
    const axis = { stroke: soft, grid: { stroke: rule, width: 1 }, ticks: { show: false } };
    const looks = [
      { stroke: colourOf('--accent'), fill: colourOf('--back'), width: 2 },
      { stroke: colourOf('--second'), width: 2 },
    ];
    const width = () => node.clientWidth;
    plot.current = new uPlot(
      {
        width: width(),
        height: HEIGHT,
        cursor: { y: false },
        scales: { y: { range: (_, __, most) => [0, Math.max(5, most * 1.15)] } },
        axes: [axis, { ...axis, size: 44 }],
        series: [
          {},
          ...lines.map(([label], i) => ({ label, points: { show: false }, ...looks[i] })),
        ],
      },
      data,
      node,
    );
    const watch = new ResizeObserver(() =>
      plot.current!.setSize({ width: width(), height: HEIGHT }),
    );
    watch.observe(node);
    return () => {
      watch.disconnect();
      plot.current!.destroy();
    };
  }, [ink]);
  useEffect(() => plot.current!.setData(data), [t.at(-1)?.t]);
  const now = lines.map(([label, v]) => `${label} ${(v.at(-1) ?? 0).toFixed(0)}`).join(', ');
  return (
    <figure>
      <figcaption>{title}</figcaption>
      <div ref={box} className="chart" role="img" aria-label={`${title}: ${now}`} />
    </figure>
  );
}
