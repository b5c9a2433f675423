// SPDX-License-Identifier: Apache-2.0
// A table that stays up to date: a snapshot over the data API, then its changes by the channel
// `table:<name>`. Subscribed first, so that nothing falls between; a gap fetches anew.
import type { Client, Message } from '@tidewire/client';
import { useCallback, useEffect, useMemo } from 'react';
import { Store, useChannel, useClient, usePresence, useStore } from './index.js';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Any = any;

/** One request to the data API, as the client's identity. Throws what the server refused. */
export async function rest<T>(client: Client, path: string, init: RequestInit = {}): Promise<T> {
  const { url = globalThis.location?.origin, token, fetch = globalThis.fetch } = client.options;
  const signal = init.signal ?? new AbortController().signal;
  const bearer = typeof token == 'function' ? await token({ reason: 'connect', signal }) : token;
  const answer = await fetch(`${url}/rest/v1/${path}`, {
    ...init,
    headers: {
      'content-type': 'application/json',
      ...(bearer && { apikey: bearer, authorization: `Bearer ${bearer}` }),
      ...init.headers,
    },
  });
  const text = await answer.text();
  const body = text ? JSON.parse(text) : undefined;
  if (!answer.ok) throw Object.assign(new Error(body?.message ?? `HTTP ${answer.status}`), body);
  return body;
}

export interface TableOptions<R> {
  /** As in the data API: `room_id=eq.7`. */
  filter?: string;
  /** Column that names a row. Default `id`. */
  key?: string;
  /** The rows to begin with. Default: the data API, in order of `key`. */
  initial?(): Promise<R[]>;
}

interface Rows<R> {
  rows: R[];
  status: 'loading' | 'live' | 'failed';
  error?: Error;
}

interface Change<R> {
  type?: string;
  eventType?: string;
  record?: R;
  old_record?: Partial<R>;
}

export function useTable<R extends Record<string, Any>>(
  table: string,
  { filter, key = 'id', initial }: TableOptions<R> = {},
): Rows<R> {
  const client = useClient();
  const store = useMemo(() => new Store<Rows<R>>({ rows: [], status: 'loading' }), [client, table, filter, key]);
  const load = async () => {
    try {
      const rows = initial ? await initial() : await rest<R[]>(client, `${table}?${filter ? filter + '&' : ''}order=${key}`);
      // What changed while it was on its way is newer than it.
      const seen = new Map(store.value.rows.map((r) => [r[key], r]));
      store.set({
        rows: [
          ...rows.map((r) => seen.get(r[key]) ?? r),
          ...[...seen.values()].filter((r) => !rows.some((o) => o[key] == r[key])),
        ],
        status: 'live',
      });
    } catch (error) {
      store.set({ ...store.value, status: 'failed', error: error as Error });
    }
  };
  const channel = useChannel(
    `table:${table}${filter ? '?' + filter.replace(/&/g, ',') : ''}`,
    undefined,
    {
      onMessage({ event, data }: Message<Change<R>>) {
        const { rows } = store.value;
        const type = data.type ?? data.eventType ?? event;
        const row = (data.record ?? data.old_record) as R | undefined;
        if (!row) return;
        const at = rows.findIndex((r) => r[key] == row[key]);
        const next = [...rows];
        if (type == 'DELETE') {
          if (at >= 0) next.splice(at, 1);
        } else next.splice(at < 0 ? rows.length : at, 1, row);
        store.set({ ...store.value, rows: next });
      },
      onGap: () => {
        store.set({ ...store.value, rows: [] });
        load();
      },
      onError: (error) => store.set({ ...store.value, status: 'failed', error }),
    },
  );
  useEffect(() => {
    if (channel.state == 'attached') load();
    return channel.on('state', (state) => state == 'attached' && store.value.status != 'live' && load());
  }, [channel, store]);
  return useStore(store);
}

export interface Row {
  id: string | number;
  [column: string]: Any;
}

/** Rows of the table `messages` in a room as they are written, with broadcast and presence beside them. */
export function useRealtimeMessages<R extends Row = Row>(roomId: string, userId?: string) {
  const client = useClient();
  const { rows, error, status } = useTable<R>('messages', { filter: `room_id=eq.${roomId}` });
  const room = useChannel(`room:${roomId}`);
  const online = useMemo(() => (userId ? { user_id: userId, online_at: new Date().toISOString() } : undefined), [userId]);
  const { members } = usePresence(`room:${roomId}`, online, userId);
  return {
    messages: rows,
    error,
    status,
    online: members,
    /** Rejects when the row was refused. */
    sendMessage: useCallback(
      (content: string) =>
        rest<void>(client, 'messages', { method: 'POST', body: JSON.stringify({ room_id: roomId, content, user_id: userId }) }),
      [client, roomId, userId],
    ),
    broadcast: useCallback((event: string, payload: Any) => room.send(event, payload, { volatile: false }), [room]),
  };
}
