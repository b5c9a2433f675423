// SPDX-License-Identifier: Apache-2.0
// What was published and has no ack yet: in order, sent again after a break, each under its own id so
// that the server takes it once. A store (`@tidewire/client/outbox`) lets it outlive the page.
import { bytesOf } from './binary.js';
import { Emitter } from './emitter.js';
import { CLOSED, TIMEOUT, TidewireError, UNAVAILABLE } from './error.js';
import type { Ack, Frame, OutboxEntry, OutboxStore, PublishOptions } from './types.js';

const IN_FLIGHT = 32;
const MEMORY: OutboxStore = { load: async () => [], add: async () => {}, remove() {}, close() {} };

interface Item {
  entry: OutboxEntry;
  sent: boolean;
  stored: boolean;
  timer?: ReturnType<typeof setTimeout>;
  end(error?: Error, ack?: Ack): void;
}

/** What the queue needs of the connection. */
export interface Sending {
  connected(): boolean;
  ask(frame: Frame): Promise<Frame>;
  binary(entry: OutboxEntry, bytes: Uint8Array): Promise<Frame>;
}

export class Outbox extends Emitter<{ sent: Ack; failed: { entry: OutboxEntry; error: Error }; change: number }> {
  /** Given up: expired or refused. `retry(id)` or `discard(id)`. */
  readonly failed: { entry: OutboxEntry; error: Error }[] = [];
  private _items: Item[] = [];
  private _pause?: ReturnType<typeof setTimeout>;
  private _window = IN_FLIGHT;
  private _loaded: Promise<void>;

  /** @internal */
  constructor(private _sending: Sending, private _store: OutboxStore = MEMORY) {
    super();
    this._loaded = _store
      .load()
      .then((entries) => {
        const known = this._items.splice(0);
        for (const entry of entries) this._push(entry, true).catch(() => {});
        this._items.push(...known);
      })
      .catch(() => {});
    this._loaded.then(() => this.flush());
  }

  /** How many wait. */
  get size(): number {
    return this._items.length;
  }

  retry(id: string): Promise<Ack> | undefined {
    const entry = this._take(id);
    return entry && this.add({ ...entry, created: Date.now() }, {});
  }

  discard(id: string): void {
    this._take(id);
  }

  private _take(id: string) {
    const at = this.failed.findIndex((f) => f.entry.id == id);
    return at < 0 ? undefined : this.failed.splice(at, 1)[0]!.entry;
  }

  /** @internal */
  async add(entry: OutboxEntry, { queue, timeout, signal }: PublishOptions): Promise<Ack> {
    if (queue === false && !this._sending.connected()) throw new TidewireError(UNAVAILABLE, 'Not connected');
    if (this._items.length >= (this._store.limit ?? 1000)) throw new TidewireError(4428, 'The outbox is full', 'Wait for acks, or raise its limit.');
    if (signal?.aborted) throw signal.reason;
    return this._push(entry, false, timeout, signal);
  }

  private _push(entry: OutboxEntry, stored: boolean, timeout?: number, signal?: AbortSignal): Promise<Ack> {
    return new Promise((resolve, reject) => {
      const left = entry.created + (this._store.maxAge ?? 300000) - Date.now();
      const stop = () => item.end(signal!.reason);
      const item: Item = {
        entry,
        sent: false,
        stored,
        end: (error, ack) => {
          const at = this._items.indexOf(item);
          if (at < 0) return;
          this._items.splice(at, 1);
          clearTimeout(item.timer);
          signal?.removeEventListener('abort', stop);
          if ((error as TidewireError)?.code != CLOSED) this._store.remove(entry.id);
          if (ack) {
            this.emit('sent', ack);
            resolve(ack);
          } else {
            if (!signal?.aborted && (error as TidewireError).code != CLOSED) {
              const failed = { entry, error: error! };
              if (this.failed.push(failed) > 1000) this.failed.shift();
              this.emit('failed', failed);
            }
            reject(error);
          }
          this.emit('change', this.size);
          this.flush();
        },
      };
      item.timer = setTimeout(
        () => item.end(new TidewireError(TIMEOUT, 'Not sent in time')),
        Math.max(0, Math.min(timeout ?? Infinity, left, 2 ** 31 - 1)),
      );
      signal?.addEventListener('abort', stop);
      this._items.push(item);
      this.emit('change', this.size);
      const ready = () => {
        item.stored = true;
        this.flush();
      };
      // A store that fails must not keep the message from being sent.
      if (stored || this._store == MEMORY) ready();
      else this._loaded.then(() => this._store.add(entry)).then(ready, ready);
    });
  }

  /** @internal Sends what may be sent: from the front, never past one that is not ready. */
  flush(): void {
    if (!this._sending.connected() || this._pause) return;
    let flying = 0;
    for (const item of this._items) {
      const bytes = bytesOf(item.entry.data);
      if (!item.sent) {
        if (!item.stored || flying >= this._window || (bytes && flying)) return;
        this._send(item, bytes);
      }
      flying++;
      if (bytes) return; // goes another way: nothing may overtake it
    }
    if (!flying) this._window = IN_FLIGHT;
  }

  private _send(item: Item, bytes?: Uint8Array) {
    const { id, channel, event, data, key, echo } = item.entry;
    item.sent = true;
    item.entry.attempts++;
    const answer = bytes
      ? this._sending.binary(item.entry, bytes)
      : this._sending.ask({ type: 'message', channel, event, content: data, id, key, echo });
    answer.then(
      ({ epoch, offset, duplicate }) => item.end(undefined, { id, channel, epoch, offset, duplicate: !!duplicate }),
      (error) => {
        if (error?.retryable === false || error?.code == CLOSED) return item.end(error);
        item.sent = false;
        if (!this._sending.connected()) return; // the next connection flushes
        // Too fast, or busy: wait, then one at a time so that the order holds.
        this._window = 1;
        this._pause ??= setTimeout(() => {
          this._pause = undefined;
          this.flush();
        }, 250 + Math.random() * 750);
      },
    );
  }

  /** @internal Nothing waits any more; what is stored stays stored. */
  close(): void {
    clearTimeout(this._pause);
    this._pause = undefined;
    [...this._items].forEach((item) => item.end(new TidewireError(CLOSED, 'Closed')));
    this._store.close();
  }
}
