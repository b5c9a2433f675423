// SPDX-License-Identifier: Apache-2.0
// Tile grab: a game for as many as like, and a leaderboard. One tab stop; arrows walk the board.
import { TidewireProvider } from '@tidewire/react';
import { useEffect, useRef, useState } from 'react';
import boardSource from './code/useBoard.ts?raw';
import { useBoard } from './code/useBoard.js';
import { me, robin } from './people.js';
import { Card, colour } from './ui.js';

const ROOM = 'demo:tiles';
const SIZE = 8;
const STEPS: Record<string, number> = {
  ArrowLeft: -1,
  ArrowRight: 1,
  ArrowUp: -SIZE,
  ArrowDown: SIZE,
};

export function Game({ name }: { name: string }) {
  const { board, scores, move } = useBoard(ROOM);
  const [at, setAt] = useState(0);
  const [plays, setPlays] = useState(false);
  const tiles = useRef<HTMLDivElement>(null);
  const by = { id: me.id, name };
  const keys = (e: React.KeyboardEvent) => {
    const step = STEPS[e.key];
    if (step === undefined) return;
    e.preventDefault();
    const next = (at + step + SIZE * SIZE) % (SIZE * SIZE);
    setAt(next);
    (tiles.current!.children[next] as HTMLElement).focus();
  };
  return (
    <Card
      title="Tile grab"
      transport="WebSocket"
      code={[{ name: 'useBoard.ts', text: boardSource }]}
      about="Take tiles, also those of others. All see one order, so all see the same board."
    >
      <div className="game">
        <div className="board" role="group" aria-label="Board" ref={tiles} onKeyDown={keys}>
          {Array.from({ length: SIZE * SIZE }, (_, tile) => {
            const owner = board.get(tile);
            const place = `Row ${Math.floor(tile / SIZE) + 1}, column ${(tile % SIZE) + 1}`;
            return (
              <button
                key={tile}
                tabIndex={tile == at ? 0 : -1}
                aria-label={`${place}: ${owner ? owner.name : 'free'}`}
                style={owner && { background: colour(owner.id) }}
                onFocus={() => setAt(tile)}
                onClick={() => move(by, tile)}
              >
                {owner?.name.slice(0, 1)}
              </button>
            );
          })}
        </div>
        <div className="side">
          <h3>Leaderboard</h3>
          <ol className="scores" aria-label="Leaderboard">
            {scores.map(({ player, tiles: n }) => (
              <li key={player.id}>
                <span
                  style={{
                    width: `${(n / scores[0]!.tiles) * 100}%`,
                    background: colour(player.id),
                  }}
                />
                <i>
                  {player.name}
                  {player.id == me.id && ' (you)'}
                </i>
                <b>{n}</b>
              </li>
            ))}
            {!scores.length && <li className="empty">No tile is taken.</li>}
          </ol>
          <div className="row">
            <button aria-pressed={plays} onClick={() => setPlays(!plays)}>
              Robin plays
            </button>
            <button onClick={() => move(by)}>New round</button>
          </div>
        </div>
      </div>
      {plays && (
        <TidewireProvider client={robin.client}>
          <Robot />
        </TidewireProvider>
      )}
    </Card>
  );
}

function Robot() {
  const { move } = useBoard(ROOM);
  useEffect(() => {
    const step = () =>
      move({ id: robin.id, name: robin.name }, Math.floor(Math.random() * SIZE * SIZE)).catch(
        () => {},
      );
    step();
    const timer = setInterval(step, 700);
    return () => clearInterval(timer);
  }, []);
  return null;
}
