// SPDX-License-Identifier: Apache-2.0
// One channel: who listens, where it stands (epoch and offset), and what it says. Subscriptions are
// counted: the first subscribe() attaches, the last unsubscribe() detaches. The position survives
// every break, so that each message comes once, in order, or a gap is told.
import { encodeBinary, bytesOf, fromBase64 } from './binary.js';
import { Emitter, report } from './emitter.js';
import { CLOSED, TIMEOUT, TidewireError, errorOf } from './error.js';
import { Presence } from './presence.js';
import type {
  Ack, ChannelOptions, ChannelState, DeltaStream, EventMap, Frame, Gap, HistoryOptions, Message, Position, PublishOptions,
  SendOptions, Subscribed,
} from './types.js';
import type { Client } from './client.js';

/** Names that are the channel's own; a message of such a name reaches only `*`. */
export interface Life {
  state: ChannelState;
  gap: Gap;
  error: Error;
}
export type ChannelEvents<E extends EventMap> = { [K in Exclude<keyof E, keyof Life | '*'>]: Message<E[K]> } & Life & { '*': Message };

const ITERATOR_MAX = 10000;

export class Channel<E extends EventMap = EventMap> extends Emitter<ChannelEvents<E>> {
  state: ChannelState = 'initialized';
  readonly presence: Presence;
  private _count = 0;
  private _epoch = '';
  private _seen = 0; // offset of the last message handed out
  private _head = 0; // where it was live
  private _known = false; // has a position
  private _waiting: { done(s: Subscribed): void; fail(e: unknown): void }[] = [];
  private _timer?: ReturnType<typeof setTimeout>;
  private _last: Subscribed = { recovered: false, gap: false, epoch: '', offset: 0 };
  private _throttled = new Map<string, { timer: ReturnType<typeof setTimeout>; next?: () => void }>();
  private _delta?: DeltaStream;

  /** @internal */
  constructor(private _client: Client, readonly name: string, private _options: ChannelOptions = {}) {
    super();
    const { since, delta } = _options;
    if (since) this._place(since);
    const codec = _client.options.delta;
    if (delta && !codec) throw new TypeError('delta: true needs `delta: deltas()` in the options of the client');
    if (delta) this._delta = codec!((frame) => _client.connection.ask(frame).catch(() => undefined));
    this.presence = new Presence({
      name,
      watch: () => {
        if (this._options.presence) return;
        this._options = { ...this._options, presence: true };
        if (this.wanted) _client.connection.send(this._ask());
      },
      ask: (frame) => _client.askOrStand(frame),
    });
  }

  /** Where a later subscribe could go on. */
  get position(): Position | undefined {
    return this._known ? { epoch: this._epoch, offset: this._seen || this._head } : undefined;
  }

  /** @internal */
  get wanted(): boolean {
    return this._count > 0;
  }

  private _place({ epoch, offset }: Position) {
    this._epoch = epoch;
    this._seen = this._head = offset;
    this._known = true;
  }

  private _set(state: ChannelState) {
    if (state == this.state) return;
    this.state = state;
    this._emit('state', state);
  }

  private _emit(name: string, value: unknown) {
    (this as Emitter<Record<string, unknown>>).emit(name, value);
  }

  /** Counted: as many unsubscribe() as subscribe(). Settles when the server answered. */
  subscribe({ signal }: { signal?: AbortSignal } = {}): Promise<Subscribed> {
    const promise = new Promise<Subscribed>((resolve, reject) => {
      const dead = signal?.aborted ? signal.reason : this._client.dead();
      if (dead) return reject(dead);
      this._count++;
      if (this.state == 'attached') return resolve(this._last);
      const stop = () => {
        this._waiting = this._waiting.filter((w) => w != waiter);
        this.unsubscribe();
        reject(signal!.reason);
      };
      const waiter = {
        done: (s: Subscribed) => (signal?.removeEventListener('abort', stop), resolve(s)),
        fail: (e: unknown) => (signal?.removeEventListener('abort', stop), this._count--, reject(e)),
      };
      signal?.addEventListener('abort', stop);
      this._waiting.push(waiter);
      if (this.state != 'attaching' && this.state != 'suspended') {
        this._set('attaching');
        this._client.autoConnect();
        this.sent(this._client.connection.send(this._ask()));
      }
    });
    promise.catch(() => {}); // whoever does not wait for it is told by `error` and `state`
    return promise;
  }

  unsubscribe(): void {
    if (!this._count || --this._count) return;
    this._client.connection.send({ type: 'unsubscribe', channel: this.name });
    this._known = !!this._options.since;
    if (this._options.since) this._place(this._options.since);
    this._delta?.reset();
    clearTimeout(this._timer);
    this._set('detached');
  }

  /** @internal What is asked of the server, as of now. */
  standing(): Frame[] {
    return [...(this.wanted ? [this._ask()] : []), ...this.presence.standing()];
  }

  private _ask(): Frame {
    const { presence, delta, filter, rewind, recover } = this._options;
    const { position } = this;
    return {
      type: 'subscribe',
      channels: [this.name],
      ...(position && recover !== false ? { since: { [this.name]: position } } : rewind && { history: rewind }),
      ...(presence && { presence }),
      ...(delta && { delta }),
      ...(filter && { filter }),
    };
  }

  /** @internal The subscribe frame is out: an answer is due. */
  sent(out: boolean): void {
    clearTimeout(this._timer);
    if (out && this.wanted) {
      this._timer = setTimeout(
        () => this._waiting.length && this._fail(new TidewireError(TIMEOUT, 'No answer to subscribe', '', true, this.name)),
        this._client.options.timeout ?? 10000,
      );
    }
  }

  private _fail(error: Error) {
    clearTimeout(this._timer);
    this._waiting.splice(0).forEach((w) => w.fail(error));
    this._count = 0;
    this._set('failed');
    this._emit('error', error);
  }

  /** @internal The connection went (for good: closed). */
  down(closed?: Error): void {
    clearTimeout(this._timer);
    this._delta?.reset();
    if (closed) {
      this._throttled.forEach(({ timer }) => clearTimeout(timer));
      this._throttled.clear();
      this._waiting.splice(0).forEach((w) => w.fail(closed));
      if (this.wanted || this.state == 'suspended') this._set((closed as TidewireError).code == CLOSED ? 'detached' : 'failed');
    } else if (this.state == 'attached') this._set('suspended');
  }

  /** @internal */
  frame(frame: Frame, raw?: string): void {
    const { type } = frame;
    if (type == 'message') {
      if (!this.wanted) return;
      if (this._delta) this._delta.push(frame, raw, (whole) => this._message(whole));
      else this._message(frame);
    } else if (type == 'presence') {
      this.presence.frame(frame);
    } else if (type == 'gap') {
      if (frame.to > this._seen) this._gap(frame.from, frame.to);
    } else if (type == 'subscribed') this._subscribed(frame);
    else if (type == 'error' && frame.ref === undefined) {
      const error = errorOf(frame);
      if (!error.retryable && (this.state == 'attaching' || this.state == 'suspended' || this.state == 'attached')) this._fail(error);
      else this._emit('error', error);
    }
  }

  private _gap(from: number, to: number) {
    this._seen = Math.max(this._seen, to);
    this._delta?.reset();
    this._last = { ...this._last, gap: true };
    this._emit('gap', { channel: this.name, from, to });
  }

  private _subscribed({ epoch, offset, recovered }: Frame) {
    clearTimeout(this._timer);
    if (!this.wanted) return void this._client.connection.send({ type: 'unsubscribe', channel: this.name });
    const again = this._known && this._options.recover !== false;
    const lost = again && !!this._epoch && epoch != this._epoch;
    const from = this._seen + 1;
    if (!again) this._seen = this._options.rewind ? 0 : offset;
    else if (lost) this._seen = 0;
    this._epoch = epoch;
    this._head = offset;
    this._known = true;
    this._last = { recovered: again && !!recovered, gap: again && !recovered, epoch, offset };
    // Another epoch: the log itself was lost, and with it what we had not read.
    if (lost) this._emit('gap', { channel: this.name, from, to: offset });
    this._set('attached');
    this._waiting.splice(0).forEach((w) => w.done(this._last));
  }

  private _message(frame: Frame) {
    const { offset, event = 'message', id, time, sender, key } = frame;
    if (offset <= this._seen) return;
    this._seen = offset;
    const data = frame.encoding == 'base64' ? fromBase64(frame.content) : frame.content;
    const message: Message = {
      id: id ?? `${this._epoch}-${offset}`, channel: this.name, event, data, offset, time, sender, key, replayed: offset <= this._head,
    };
    if (event != 'state' && event != 'gap' && event != 'error' && event != '*') this._emit(event, message);
    this._emit('*', message);
  }

  /** Settles when the server has it. Waits while offline; sent again after a break; taken once. */
  publish<K extends keyof E & string>(event: K, data: E[K], options: PublishOptions = {}): Promise<Ack> {
    this._client.autoConnect();
    const { key, echo } = options;
    const promise = this._client.outbox.add(
      { id: options.id ?? newId(), channel: this.name, event, data, key, echo, created: Date.now(), attempts: 0 },
      options,
    );
    promise.catch(() => {}); // who does not wait learns it from the outbox's `failed`
    return promise;
  }

  /** Without an answer: cursors, typing. The newest counts. */
  send<K extends keyof E & string>(event: K, data: E[K], options: SendOptions = {}): void {
    const { throttle, key } = options;
    const go = () => this._send(event, data, options);
    if (!throttle) return go();
    const slot = `${event} ${key ?? ''}`;
    const running = this._throttled.get(slot);
    if (running) {
      running.next = go;
      return;
    }
    const again = () => {
      const { next } = state;
      state.next = undefined;
      if (!next) return void this._throttled.delete(slot);
      next();
      state.timer = setTimeout(again, throttle);
    };
    const state: { timer: ReturnType<typeof setTimeout>; next?: () => void } = { timer: setTimeout(again, throttle) };
    this._throttled.set(slot, state);
    go();
  }

  private _send(event: string, data: unknown, { key, echo, volatile = true }: SendOptions) {
    const { link } = this._client.connection;
    if (!link || (volatile && (link.buffered?.() ?? 0) > 65536)) {
      if (!volatile) this.publish(event as never, data as never, { key, echo });
      return;
    }
    const bytes = bytesOf(data);
    try {
      if (bytes && link.sendBinary) link.sendBinary(encodeBinary(this.name, event, bytes));
      else if (bytes) this._client.postBinary({ channel: this.name, event }, bytes).catch(() => {});
      else link.send({ type: 'message', channel: this.name, event, content: data, key, echo, ...(volatile && { volatile }) });
    } catch (error) {
      report(error);
    }
  }

  /** Messages that are kept, in order. */
  async history({ signal, ...query }: HistoryOptions = {}): Promise<{ messages: Message[]; more: boolean; epoch: string }> {
    const { messages, more, epoch } = await this._client.ask({ type: 'history', channel: this.name, ...query }, signal);
    return {
      epoch,
      more: !!more,
      messages: (messages as Frame[]).map((m) => ({
        id: m.id, channel: this.name, event: m.event ?? 'message', offset: m.offset, time: m.time, sender: m.sender, key: m.key,
        data: m.encoding == 'base64' ? fromBase64(m.content) : m.content,
        replayed: true,
      })),
    };
  }

  /** `for await (const m of room.messages())`: subscribed while the loop runs. */
  async *messages({ signal, event = '*' }: { signal?: AbortSignal; event?: string } = {}): AsyncGenerator<Message, void, undefined> {
    const queue: Message[] = [];
    let wake = () => {};
    let ended: { error?: unknown } | undefined;
    const end = (error?: unknown) => {
      ended ??= { error };
      wake();
    };
    const stop = () => end();
    const offs = [
      this.on(event as '*', (message) => {
        if (queue.push(message) > ITERATOR_MAX) end(new TidewireError(4412, 'The loop reads too slowly', '', true, this.name));
        wake();
      }),
      this.on('state', (state) => state == 'detached' && end()),
    ];
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) end();
    let subscribed = false;
    try {
      if (!ended) {
        await this.subscribe({ signal });
        subscribed = true;
      }
      for (;;) {
        while (queue.length) yield queue.shift()!;
        if (ended) break;
        await new Promise<void>((resolve) => (wake = resolve));
      }
      if (ended.error) throw ended.error;
    } catch (error) {
      if (!signal?.aborted) throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
      offs.forEach((off) => off());
      if (subscribed) this.unsubscribe();
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<Message, void, undefined> {
    return this.messages();
  }
}

/** Random enough to be nobody else's, also where crypto.randomUUID is not (plain http). */
export function newId(): string {
  const bytes = new Uint8Array(12);
  if (globalThis.crypto) crypto.getRandomValues(bytes);
  else bytes.forEach((_, i) => (bytes[i] = Math.random() * 256));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
}
