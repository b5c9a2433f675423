// SPDX-License-Identifier: Apache-2.0
// A canvas that many draw on. Pointers are volatile: throttled when they leave, conflated for slow
// readers, never stored. The keyboard draws too.
import { TidewireProvider } from '@tidewire/react';
import { useEffect, useReducer, useRef, useState } from 'react';
import cursorsSource from './code/useCursors.ts?raw';
import { useCursors } from './code/useCursors.js';
import type { Cursor } from './code/useCursors.js';
import { me, robin } from './people.js';
import { Card, colour } from './ui.js';

const ROOM = 'demo:canvas';
const STEP = 0.02;
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-STEP, 0],
  ArrowRight: [STEP, 0],
  ArrowUp: [0, -STEP],
  ArrowDown: [0, STEP],
};
type Point = { x: number; y: number };

function line(canvas: HTMLCanvasElement, a: Point, b: Point, stroke: string) {
  const g = canvas.getContext('2d')!;
  g.strokeStyle = stroke;
  g.lineWidth = 5;
  g.lineCap = 'round';
  g.beginPath();
  g.moveTo(a.x * canvas.width, a.y * canvas.height);
  g.lineTo(b.x * canvas.width, b.y * canvas.height);
  g.stroke();
}

export function Cursors({ name }: { name: string }) {
  const [cursors, send] = useCursors(ROOM);
  const canvas = useRef<HTMLCanvasElement>(null);
  const trail = useRef(new Map<string, Point>());
  const moves = useRef(0);
  const began = useRef(me.network.sent.get('cursor') ?? 0);
  const [, draw] = useReducer((n: number) => n + 1, 0);
  const [drawing, setDrawing] = useState(!matchMedia('(prefers-reduced-motion: reduce)').matches);

  const mark = ({ id, x, y, down }: Cursor) => {
    const last = trail.current.get(id);
    if (down && last) line(canvas.current!, last, { x, y }, colour(id));
    trail.current.set(id, { x, y });
  };
  useEffect(() => cursors.forEach(mark), [cursors]);

  const move = (at: Point, down: boolean) => {
    const mine = { id: me.id, ...at, name, down };
    moves.current++;
    mark(mine);
    send(mine);
    draw();
  };
  const pointer = (e: React.PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    const at = { x: (e.clientX - box.left) / box.width, y: (e.clientY - box.top) / box.height };
    move(at, e.buttons > 0);
  };
  const keys = (e: React.KeyboardEvent) => {
    const by = ARROWS[e.key];
    if (!by) return;
    e.preventDefault();
    const { x, y } = trail.current.get(me.id) ?? { x: 0.5, y: 0.5 };
    const clamp = (n: number) => Math.min(1, Math.max(0, n));
    move({ x: clamp(x + by[0]), y: clamp(y + by[1]) }, e.shiftKey);
  };
  const sent = (me.network.sent.get('cursor') ?? 0) - began.current;
  const own = trail.current.get(me.id);
  return (
    <Card
      title="Cursors on a canvas"
      transport="WebSocket, volatile"
      code={[{ name: 'useCursors.ts', text: cursorsSource }]}
      about="Draw with the button down, or with the arrow keys and Shift. Open a second window."
    >
      <div className="canvas">
        <canvas
          ref={canvas}
          width={1100}
          height={460}
          tabIndex={0}
          role="application"
          aria-label="Shared canvas. Arrow keys move, with Shift they draw."
          onPointerMove={pointer}
          onPointerDown={pointer}
          onKeyDown={keys}
        />
        {[...cursors].map(([key, c]) => (
          <Hand key={key} at={c} name={c.name} tint={colour(c.id)} />
        ))}
        {own && <Hand at={own} name={name} tint={colour(me.id)} />}
      </div>
      <div className="row">
        <button
          onClick={() => {
            const { width, height } = canvas.current!;
            canvas.current!.getContext('2d')!.clearRect(0, 0, width, height);
          }}
        >
          Wipe mine
        </button>
        <button aria-pressed={drawing} onClick={() => setDrawing(!drawing)}>
          Robin draws
        </button>
        <small className="facts">
          moved <b data-n="moves">{moves.current}</b> times, sent <b data-n="sent">{sent}</b>;
          others here: <b data-n="others">{cursors.size}</b>
        </small>
      </div>
      {drawing && (
        <TidewireProvider client={robin.client}>
          <Robot />
        </TidewireProvider>
      )}
    </Card>
  );
}

function Hand({ at, name, tint }: { at: Point; name: string; tint: string }) {
  return (
    <span className="hand" style={{ left: `${at.x * 100}%`, top: `${at.y * 100}%` }}>
      <svg width="18" height="20" viewBox="0 0 18 20" aria-hidden="true">
        <path d="M1 1l6 17 3-7 7-2z" fill={tint} stroke="#fff" strokeWidth="1.5" />
      </svg>
      <b style={{ background: tint }}>{name}</b>
    </span>
  );
}

/** Robin draws waves, a move per frame: three of four are never sent. */
function Robot() {
  const [, send] = useCursors(ROOM);
  useEffect(() => {
    let frame = 0;
    let n = 0;
    const step = () => {
      const t = n++ / 90;
      const x = (t * 0.13) % 1.1;
      const y = 0.5 + 0.3 * Math.sin(t * 1.3) * Math.cos(t * 0.31);
      const down = x > 0.02 && x < 1;
      send({ id: robin.id, name: robin.name, x: Math.min(1, x), y, down });
      frame = requestAnimationFrame(step);
    };
    step();
    return () => cancelAnimationFrame(frame);
  }, [send]);
  return null;
}
