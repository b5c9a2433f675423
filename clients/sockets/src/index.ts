// SPDX-License-Identifier: Apache-2.0
// @tidewire/sockets: WebSocket with the same events, that comes back by itself, and one that keeps
// what you send while it is away. They know no protocol: any server will do.
//
// Two objects stand for one: `ReconnectingWebSocket` lives on, `ws` is the socket of the moment. Only
// callbacks of the present `ws` count, so an old one that dies late changes nothing.

export interface ReconnectOptions {
  protocols?: string | string[];
  /** Milliseconds; the first wait is anything between 0 and this, each next limit is `factor` times it. */
  minDelay?: number;
  maxDelay?: number;
  factor?: number;
  maxAttempts?: number;
  /** A connection that lived shorter does not reset the waits. */
  minUptime?: number;
  /** Milliseconds to open. */
  connectTimeout?: number;
  /** Sent first on every opening: subscriptions, a login. */
  hello?: () => unknown[];
  /** Close codes after which it does not come back. Default: 1000 and 4400-4403, 4407, 4430. */
  stop?: (event: CloseEvent) => boolean;
  /** Or anything that behaves like it (the `ws` package). */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  WebSocket?: new (url: string, protocols?: string | string[]) => any;
}

export interface Reconnecting {
  delay: number;
  attempt: number;
}

type Url = string | URL | (() => string | URL | Promise<string | URL>);
type Handler<E> = ((event: E) => void) | null;

const STOP = [1000, 4400, 4401, 4402, 4403, 4407, 4430];

/** Text and binary go as they are, everything else as JSON. */
const encode = (data: unknown) =>
  typeof data == 'string' || data instanceof ArrayBuffer || ArrayBuffer.isView(data) || (globalThis.Blob && data instanceof Blob)
    ? (data as string)
    : JSON.stringify(data);

/** A named event, also where CloseEvent and MessageEvent are not. */
const event = <T extends object>(type: string, from: T) => {
  const made = new Event(type);
  for (const name of ['data', 'origin', 'code', 'reason', 'wasClean', 'delay', 'attempt', 'message', 'error'] as const) {
    const value = (from as Record<string, unknown>)[name];
    if (value !== undefined) Object.defineProperty(made, name, { value, enumerable: true });
  }
  return made;
};

export class ReconnectingWebSocket extends EventTarget {
  onopen: Handler<Event> = null;
  onmessage: Handler<MessageEvent> = null;
  onclose: Handler<CloseEvent> = null;
  onerror: Handler<Event> = null;
  onreconnecting: Handler<Event & Reconnecting> = null;
  binaryType: BinaryType = 'arraybuffer';

  /** The socket of the moment. */
  protected ws: WebSocket | null = null;
  private _attempts = 0;
  private _opened = 0;
  private _done = false;
  private _timer?: ReturnType<typeof setTimeout>;
  private _wake?: () => void;

  constructor(
    protected address: Url,
    protected options: ReconnectOptions = {},
  ) {
    super();
    queueMicrotask(() => this._done || this._connect());
    if (typeof addEventListener == 'function') {
      this._wake = () => this._timer && !this.ws && this._connect();
      addEventListener('online', this._wake);
      addEventListener('pageshow', this._wake);
    }
  }

  /** CONNECTING also while it waits for the next attempt; CLOSED when it will not try again. */
  get readyState(): number {
    return this._done ? 3 : this.ws?.readyState == 1 ? 1 : 0;
  }
  get url(): string {
    return this.ws?.url ?? '';
  }
  get protocol(): string {
    return this.ws?.protocol ?? '';
  }
  get bufferedAmount(): number {
    return this.ws?.bufferedAmount ?? 0;
  }

  /** False: it was not open, and nothing was sent. */
  send(data: unknown): boolean {
    if (this.ws?.readyState != 1) return false;
    this.ws.send(encode(data));
    return true;
  }

  /** For good. */
  close(code = 1000, reason?: string): void {
    if (this._done) return;
    const { ws } = this;
    this._end();
    // A peer that is gone never answers the close: nobody shall wait for it.
    if (ws && ws.readyState < 2) ws.close(code, reason);
    this._emit('close', { code, reason: reason ?? '', wasClean: true });
  }

  /** Drop the socket, if any, and connect at once. */
  reconnect(): void {
    const { ws } = this;
    this.ws = null;
    this._done = false;
    this._attempts = 0;
    ws?.close(4000);
    this._connect();
  }

  /** What a subclass does on every opening, after `hello`. */
  protected opened(): void {}

  private _emit(type: string, from: object) {
    const made = event(type, from);
    this.dispatchEvent(made);
    (this as unknown as Record<string, Handler<Event>>)['on' + type]?.(made);
  }

  private _end() {
    this._done = true;
    this.ws = null;
    clearTimeout(this._timer);
    if (this._wake) {
      removeEventListener('online', this._wake);
      removeEventListener('pageshow', this._wake);
    }
  }

  private async _connect() {
    clearTimeout(this._timer);
    this._timer = undefined;
    const { address, options } = this;
    const Socket = options.WebSocket ?? WebSocket;
    let ws: WebSocket;
    try {
      const url = typeof address == 'function' ? await address() : address;
      if (this._done || this.ws) return;
      ws = this.ws = new Socket(String(url), options.protocols);
    } catch (error) {
      this._emit('error', { error, message: String(error) });
      return this._retry({ code: 1006, reason: '', wasClean: false });
    }
    const mine = () => this.ws == ws;
    ws.binaryType = this.binaryType;
    this._timer = setTimeout(
      () => mine() && lost({ code: 1006, reason: 'timeout', wasClean: false }),
      options.connectTimeout ?? 10000,
    );
    const lost = (why: Pick<CloseEvent, 'code' | 'reason' | 'wasClean'>) => {
      this.ws = null;
      clearTimeout(this._timer);
      if (ws.readyState < 2) ws.close();
      this._retry(why);
    };
    ws.onopen = () => {
      if (!mine()) return;
      clearTimeout(this._timer);
      this._opened = Date.now();
      for (const data of options.hello?.() ?? []) ws.send(encode(data)); // before all that waits
      this.opened();
      this._emit('open', {});
    };
    ws.onmessage = (e) => mine() && this._emit('message', e);
    ws.onerror = (e) => mine() && this._emit('error', e);
    ws.onclose = (e) => mine() && lost(e);
  }

  private _retry(why: Pick<CloseEvent, 'code' | 'reason' | 'wasClean'>) {
    const { minDelay = 500, maxDelay = 30000, factor = 2, minUptime = 5000, maxAttempts = Infinity, stop } = this.options;
    if (this._opened && Date.now() - this._opened > minUptime) this._attempts = 0;
    this._opened = 0;
    if (stop ? stop(why as CloseEvent) : STOP.includes(why.code)) this._end();
    else if (this._attempts >= maxAttempts) this._end();
    this._emit('close', why);
    if (this._done) return;
    const delay = Math.random() * Math.min(maxDelay, minDelay * factor ** this._attempts++);
    this._timer = setTimeout(() => this._connect(), delay);
    this._emit('reconnecting', { delay, attempt: this._attempts });
  }
}

/** Where queued data outlives the page. */
export interface QueueStore {
  load(): Promise<{ id: number; data: unknown; at: number }[]>;
  add(data: unknown, at: number): Promise<number>;
  remove(id: number): void;
}

export interface QueueOptions extends ReconnectOptions {
  /** Most that wait. Default 1000. */
  limit?: number;
  /** What goes when it is full. Default: the oldest. */
  drop?: 'oldest' | 'newest';
  /** Milliseconds after which a waiting item is not worth sending. */
  maxAge?: number;
  /** Default: memory. `indexedDBQueue('name')` survives a reload. */
  store?: QueueStore;
}

interface Waiting {
  data: unknown;
  at: number;
  id?: Promise<number | undefined>;
}

/** Sends at once when open, else when it opens: in order. `dropped` events tell what was given up. */
export class OfflineQueueWebSocket extends ReconnectingWebSocket {
  ondropped: Handler<Event & { data: unknown }> = null;
  private _queue: Waiting[] = [];
  private _loaded = true;
  private _set: QueueOptions;

  constructor(address: Url, options: QueueOptions = {}) {
    super(address, options);
    this._set = options;
    if (!options.store) return;
    this._loaded = false;
    options.store
      .load()
      .then((items) => this._queue.unshift(...items.map(({ id, ...item }) => ({ ...item, id: Promise.resolve(id) }))))
      .catch(() => {})
      .then(() => {
        this._loaded = true;
        this._flush();
      });
  }

  /** How many wait. */
  get queued(): number {
    return this._queue.length;
  }

  /** True: it is on its way. False: it waits. */
  override send(data: unknown): boolean {
    // Nothing overtakes what waits already.
    if (this._loaded && !this._queue.length && super.send(data)) return true;
    const { limit = 1000, drop = 'oldest', store } = this._set;
    if (this._queue.length >= limit) {
      if (drop == 'newest') {
        this._drop(data);
        return false;
      }
      this._drop(this._take().data);
    }
    const at = Date.now();
    this._queue.push({ data, at, id: store?.add(data, at).catch(() => undefined) });
    this._flush();
    return false;
  }

  protected override opened(): void {
    this._flush();
  }

  private _take(): Waiting {
    const item = this._queue.shift()!;
    item.id?.then((id) => id !== undefined && this._set.store!.remove(id));
    return item;
  }

  private _drop(data: unknown) {
    const made = event('dropped', { data });
    this.dispatchEvent(made);
    this.ondropped?.(made as Event & { data: unknown });
  }

  private _flush() {
    const { maxAge = Infinity } = this._set;
    while (this._loaded && this._queue.length && this.ws?.readyState == 1) {
      const item = this._take();
      if (Date.now() - item.at > maxAge) this._drop(item.data);
      else this.ws.send(encode(item.data));
    }
  }
}

/** A queue in IndexedDB; one name per socket. */
export function indexedDBQueue(name: string): QueueStore {
  const done = <T>(request: IDBRequest<T>) =>
    new Promise<T>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('queue', { keyPath: 'id', autoIncrement: true });
  const database = done(opening);
  const store = async () => (await database).transaction('queue', 'readwrite').objectStore('queue');
  database.catch(() => {});
  return {
    load: async () => done((await store()).getAll()),
    add: async (data, at) => (await done((await store()).add({ data, at }))) as number,
    remove: (id) =>
      void store().then(
        (s) => s.delete(id),
        () => {},
      ),
  };
}
