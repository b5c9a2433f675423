// SPDX-License-Identifier: Apache-2.0
// What was published and has no ack yet: in order, sent again after a break, each under its own id so
// that the server takes it once. A store (`@tidewire/client/outbox`) lets it outlive the page.
import { bytesOf } from './binary.js';
import type { Connection } from './connection.js';
import { defer } from './deferred.js';
import type { Deferred } from './deferred.js';
import { Emitter } from './emitter.js';
import { CLOSED, TidewireError, UNAVAILABLE } from './error.js';
import type { Ack, OutboxEntry, OutboxStore, PublishOptions } from './types.js';

const IN_FLIGHT = 32;

interface Item {
  _entry: OutboxEntry;
  _sent?: boolean;
  _stored?: boolean;
  _ack: Deferred<Ack>;
}

export interface Failed {
  entry: OutboxEntry;
  error: Error;
}

export class Outbox extends Emitter<{ sent: Ack; failed: Failed; change: number }> {
  /** Given up: expired or refused. `retry(id)` or `discard(id)`. */
  readonly failed: Failed[] = [];
  private _items: Item[] = [];
  private _pause?: ReturnType<typeof setTimeout>;
  private _window = IN_FLIGHT;
  private _loaded?: Promise<void>;

  /** @internal */
  constructor(
    private _connection: Connection,
    private _store?: OutboxStore,
  ) {
    super();
    this._loaded = _store
      ?.load()
      .then((entries) => {
        const fresh = this._items.splice(0);
        entries.forEach((entry) => this._add(entry, {}, true));
        this._items.push(...fresh);
        this._flush();
      })
      .catch(() => {});
  }

  /** How many wait. */
  get size(): number {
    return this._items.length;
  }

  retry(id: string): Promise<Ack> | undefined {
    const entry = this.discard(id);
    return entry && this._add({ ...entry, created: Date.now() });
  }

  discard(id: string): OutboxEntry | undefined {
    const at = this.failed.findIndex((f) => f.entry.id == id);
    return this.failed.splice(at, at < 0 ? 0 : 1)[0]?.entry;
  }

  /** @internal */
  _add(entry: OutboxEntry, { timeout = Infinity, signal, queue }: PublishOptions = {}, loaded?: boolean): Promise<Ack> {
    const { _store } = this;
    const left = entry.created + (_store?.maxAge ?? 300000) - Date.now();
    const ack = defer<Ack>(signal, Math.max(1, Math.min(timeout, left)), () => {
      this._items = this._items.filter((i) => i != item);
      this._emit('change', this.size);
      this._flush();
    });
    const item: Item = { _entry: entry, _stored: loaded || !_store, _ack: ack };
    const ready = () => {
      item._stored = true;
      this._flush();
    };
    this._items.push(item);
    ack.then(
      (answer) => {
        _store?.remove(entry.id);
        this._emit('sent', answer);
      },
      (error) => {
        if (error.code == CLOSED) return;
        _store?.remove(entry.id);
        if (signal?.aborted) return;
        if (this.failed.push({ entry, error }) > 1000) this.failed.shift();
        this._emit('failed', { entry, error });
      },
    );
    this._emit('change', this.size);
    if (queue === false && !this._connection._link) ack._fail(new TidewireError(UNAVAILABLE, 'Not connected'));
    else if (!loaded && this.size > (_store?.limit ?? 1000)) ack._fail(new TidewireError(4428, 'The outbox is full'));
    // A store that fails must not keep the message from being sent.
    else if (!item._stored) this._loaded!.then(() => _store!.add(entry)).then(ready, ready);
    else this._flush();
    return ack;
  }

  /** @internal Sends what may be sent: from the front, never past one that is not ready. */
  _flush(): void {
    if (!this._connection._link || this._pause) return;
    let flying = 0;
    for (const item of this._items) {
      const bytes = bytesOf(item._entry.data);
      if (!item._sent) {
        if (!item._stored || flying >= this._window || (bytes && flying)) return;
        this._out(item, bytes);
      }
      flying++;
      if (bytes) return; // goes another way: nothing may overtake it
    }
    if (!flying) this._window = IN_FLIGHT;
  }

  private _out(item: Item, bytes?: Uint8Array) {
    const { id, channel, event, data: content, key, echo } = item._entry;
    item._sent = true;
    item._entry.attempts++;
    (bytes
      ? this._connection._post(channel, event, bytes, id)
      : this._connection._ask({ type: 'message', channel, event, content, id, key, echo })
    ).then(
      ({ epoch, offset, duplicate }) => item._ack._done({ id, channel, epoch, offset, duplicate: !!duplicate }),
      (error) => {
        if (error.retryable === false) return item._ack._fail(error);
        item._sent = false;
        if (!this._connection._link) return; // the next connection flushes
        // Too fast, or busy: wait, then one at a time so that the order holds.
        this._window = 1;
        clearTimeout(this._pause);
        this._pause = setTimeout(
          () => {
            this._pause = undefined;
            this._flush();
          },
          250 + Math.random() * 750,
        );
      },
    );
  }

  /** @internal Nothing waits any more; what is stored stays stored. */
  _close(): void {
    this._pause = clearTimeout(this._pause) as undefined;
    this._items.forEach((item) => item._ack._fail(new TidewireError(CLOSED, 'Closed')));
    this._store?.close();
  }
}
