// SPDX-License-Identifier: Apache-2.0
import { useBroadcast, useMessages } from '@tidewire/react';
import { useEffect, useMemo, useRef } from 'react';
import { me } from './network.js';
import { Card, colour } from './ui.js';

const CURSORS_CODE = `const [cursors, send] = useBroadcast('demo:canvas', 'cursor', { throttle: 50, ttl: 10000 });

<canvas onPointerMove={(e) => send({ x, y, name })} />
// At most 20 a second leave; the last one always does. A slow reader gets the newest per person.`;

interface Cursor {
  x: number;
  y: number;
  name: string;
  down?: boolean;
}

export function Cursors({ name }: { name: string }) {
  const [cursors, send] = useBroadcast<Cursor>('demo:canvas', 'cursor', { throttle: 50, ttl: 10000 });
  const canvas = useRef<HTMLCanvasElement>(null);
  const trail = useRef(new Map<string, { x: number; y: number }>());
  useEffect(() => {
    const c = canvas.current!;
    const g = c.getContext('2d')!;
    cursors.forEach(({ x, y, down }, key) => {
      const last = trail.current.get(key);
      if (down && last) line(g, last, { x, y }, colour(key), c);
      trail.current.set(key, { x, y });
    });
  }, [cursors]);
  const move = (e: React.PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    const at = { x: (e.clientX - box.left) / box.width, y: (e.clientY - box.top) / box.height };
    const down = e.buttons > 0;
    const last = trail.current.get(me.id);
    if (down && last) line(canvas.current!.getContext('2d')!, last, at, colour(me.id), canvas.current!);
    trail.current.set(me.id, at);
    send({ ...at, name, down });
  };
  return (
    <Card
      title="Cursors on a canvas"
      transport="WebSocket, volatile"
      code={CURSORS_CODE}
      about="Move over it, draw with the button down. Open a second window to see the other hand."
    >
      <div className="canvas">
        <canvas ref={canvas} width={900} height={420} onPointerMove={move} aria-label="Shared canvas" />
        {[...cursors].map(([key, c]) => (
          <span key={key} className="cursor" style={{ left: `${c.x * 100}%`, top: `${c.y * 100}%`, color: colour(key) }}>
            ▲<b>{c.name}</b>
          </span>
        ))}
      </div>
      <div className="row">
        <button onClick={() => canvas.current!.getContext('2d')!.clearRect(0, 0, 900, 420)}>Wipe mine</button>
        <small>
          {cursors.size} other{cursors.size == 1 ? '' : 's'} here
        </small>
      </div>
    </Card>
  );
}

function line(
  g: CanvasRenderingContext2D,
  a: { x: number; y: number },
  b: { x: number; y: number },
  stroke: string,
  c: HTMLCanvasElement,
) {
  g.strokeStyle = stroke;
  g.lineWidth = 4;
  g.lineCap = 'round';
  g.beginPath();
  g.moveTo(a.x * c.width, a.y * c.height);
  g.lineTo(b.x * c.width, b.y * c.height);
  g.stroke();
}

const SIZE = 8;
const GAME_CODE = `const { messages, publish } = useMessages('demo:tiles', { event: 'take', rewind: 256 });
// The channel is a log that all see in one order: the board is a fold over it.
const board = messages.reduce((b, m) => ({ ...b, [m.data.tile]: m.data.by }), {});
<button onClick={() => publish({ tile, by: me })} />`;

interface Take {
  tile: number;
  by: { id: string; name: string };
}

export function Game({ name }: { name: string }) {
  const { messages, publish } = useMessages<Take>('demo:tiles', { event: 'take', rewind: 256, limit: 256 });
  const board = useMemo(() => {
    const b = new Map<number, Take['by']>();
    for (const m of messages) if (m.data?.by) b.set(m.data.tile, m.data.by);
    return b;
  }, [messages]);
  const scores = useMemo(() => {
    const s = new Map<string, { name: string; tiles: number }>();
    board.forEach(({ id, name: n }) => s.set(id, { name: n, tiles: (s.get(id)?.tiles ?? 0) + 1 }));
    return [...s].sort((a, b) => b[1].tiles - a[1].tiles);
  }, [board]);
  return (
    <Card
      title="Tile grab"
      transport="WebSocket"
      code={GAME_CODE}
      about="A small game for as many as like: take tiles, also those of others. All see the same order, so all see the same board."
    >
      <div className="game">
        <div className="board" role="group" aria-label="Board">
          {Array.from({ length: SIZE * SIZE }, (_, tile) => {
            const by = board.get(tile);
            return (
              <button
                key={tile}
                aria-label={`Tile ${tile + 1}${by ? `, ${by.name}` : ', free'}`}
                style={by && { background: colour(by.id) }}
                onClick={() => publish({ tile, by: { id: me.id, name } })}
              />
            );
          })}
        </div>
        <ol className="scores" aria-label="Leaderboard">
          {scores.map(([id, { name: n, tiles }]) => (
            <li key={id}>
              <i style={{ background: colour(id) }} />
              {n}
              {id == me.id && ' (you)'}
              <b>{tiles}</b>
            </li>
          ))}
          {!scores.length && <li className="empty">No tile is taken.</li>}
        </ol>
      </div>
    </Card>
  );
}
