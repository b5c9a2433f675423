// SPDX-License-Identifier: Apache-2.0
import { useMessages } from '@tidewire/react';
import { useMemo } from 'react';

export interface Player {
  id: string;
  name: string;
}
export interface Move {
  tile?: number; // none: a new round
  by: Player;
}

/** A game without a game server: the channel is a log that all see in one order. */
export function useBoard(room: string) {
  const { messages, publish } = useMessages<Move>(room, { event: 'take', rewind: 256, limit: 500 });

  // The board is what the log adds up to.
  const board = useMemo(() => {
    const tiles = new Map<number, Player>();
    for (const { data } of messages) {
      if (data.tile === undefined) tiles.clear();
      else tiles.set(data.tile, data.by);
    }
    return tiles;
  }, [messages]);

  const scores = useMemo(() => {
    const points = new Map<string, { player: Player; tiles: number }>();
    for (const player of board.values()) {
      points.set(player.id, { player, tiles: (points.get(player.id)?.tiles ?? 0) + 1 });
    }
    return [...points.values()].sort((a, b) => b.tiles - a.tiles);
  }, [board]);

  const move = (by: Player, tile?: number) => publish({ tile, by });
  return { board, scores, move };
}
