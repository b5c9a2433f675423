// SPDX-License-Identifier: Apache-2.0
// An outbox in IndexedDB: what was not acknowledged outlives a reload. Each page owns its entries and
// shows that it lives by a Web Lock; entries of a page that is gone go to the next page that loads.
import type { OutboxEntry, OutboxStore } from './types.js';

export interface IndexedDBOutboxOptions {
  /** Pages with the same name share what was left. Use another for another user. */
  name?: string;
  limit?: number;
  /** Milliseconds, or `90s`, `15m`, `24h`. */
  maxAge?: number | string;
}

interface Row {
  n?: number;
  page: string;
  entry: OutboxEntry;
}

const UNIT: Record<string, number> = { ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000 };

export function indexedDBOutbox({
  name = 'tidewire-outbox',
  limit = 1000,
  maxAge = '24h',
}: IndexedDBOutboxOptions = {}): OutboxStore {
  const page = `${name}:${Math.random().toString(36).slice(2)}`;
  const numbers = new Map<string, number>();
  const { locks } = navigator;
  let release = () => {};
  // Held until this page is gone, however that happens.
  if (locks) locks.request(page, () => new Promise<void>((done) => (release = done))).catch(() => {});

  const done = <T>(request: IDBRequest<T>) =>
    new Promise<T>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('rows', { keyPath: 'n', autoIncrement: true });
  const database = done(opening);
  database.catch(() => {});
  const rows = async () => (await database).transaction('rows', 'readwrite').objectStore('rows');

  const adopt = async () => {
    const alive = new Set((await locks?.query())?.held?.map((l) => l.name));
    const store = await rows();
    const mine = [];
    for (const row of (await done(store.getAll())) as Row[]) {
      if (alive.has(row.page)) continue;
      row.page = page;
      store.put(row);
      numbers.set(row.entry.id, row.n!);
      mine.push(row.entry);
    }
    return mine;
  };
  const age = /^(\d+)(ms|[smhd])$/.exec(String(maxAge));

  return {
    limit,
    maxAge: typeof maxAge == 'number' ? maxAge : age ? +age[1]! * UNIT[age[2]!]! : UNIT.d,
    // One page at a time, so that nothing is adopted twice.
    load: () => (locks ? (locks.request(name, adopt) as Promise<OutboxEntry[]>) : adopt()),
    async add(entry) {
      const n = await done((await rows()).add({ page, entry } as Row));
      numbers.set(entry.id, n as number);
    },
    remove(id) {
      const n = numbers.get(id);
      if (n !== undefined && numbers.delete(id))
        rows().then(
          (store) => store.delete(n),
          () => {},
        );
    },
    close: () => {
      release();
      database.then(
        (d) => d.close(),
        () => {},
      );
    },
  };
}
