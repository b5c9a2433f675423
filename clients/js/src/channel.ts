// SPDX-License-Identifier: Apache-2.0
// One channel: who listens, where it stands (epoch and offset), and what it says. Subscriptions are
// counted: the first subscribe() attaches, the last unsubscribe() detaches. The position survives
// every break, so that each message comes once, in order, or a gap is told.
import { bytesOf, encodeBinary, fromBase64 } from './binary.js';
import type { Client } from './client.js';
import { defer } from './deferred.js';
import type { Deferred } from './deferred.js';
import { Emitter } from './emitter.js';
import { CLOSED, TIMEOUT, TidewireError, errorOf } from './error.js';
import type { MessagesOptions } from './iterate.js';
import { Presence } from './presence.js';
import type {
  Ack,
  ChannelOptions,
  ChannelState,
  DeltaStream,
  EventMap,
  Frame,
  Gap,
  HistoryOptions,
  Message,
  Position,
  PublishOptions,
  SendOptions,
  Subscribed,
} from './types.js';

/** Names that are the channel's own; a message of such a name reaches only `*`. */
export interface Life {
  state: ChannelState;
  gap: Gap;
  error: Error;
}
export type ChannelEvents<E extends EventMap> = { [K in Exclude<keyof E, keyof Life | '*'>]: Message<E[K]> } & Life & {
    '*': Message;
  };

export class Channel<E extends EventMap = EventMap> extends Emitter<ChannelEvents<E>> {
  state: ChannelState = 'initialized';
  readonly presence: Presence;
  /** @internal */
  _count = 0;
  private _ref = 0;
  private _epoch?: string; // undefined: no position
  private _seen = 0; // offset of the last message handed out
  private _head = 0; // where it went live
  private _told?: number; // a gap that began here is known: the server tells it in offsets of the lost log
  private _waiting = new Set<Deferred<Subscribed>>();
  private _timer?: ReturnType<typeof setTimeout>;
  private _answer!: Subscribed;
  private _slots = new Map<string, (() => void) | undefined>(); // throttled: what is to go next
  private _delta?: DeltaStream;

  /** @internal */
  constructor(
    private _client: Client,
    readonly name: string,
    private _options: ChannelOptions = {},
  ) {
    super();
    const { delta } = _client.options;
    if (_options.delta && !delta) throw new TypeError('delta needs deltas()');
    if (_options.delta) this._delta = delta!((frame) => _client.connection._ask(frame).catch(() => undefined));
    this.presence = new Presence(this);
    this._reset();
  }

  /** @internal Presence is looked at. */
  _watch(): void {
    if (this._options.presence) return;
    this._options = { ...this._options, presence: true };
    if (this._count) this._client.connection._send(this._subscribe());
  }

  /** @internal About us; without a connection it is said on connecting (`_standing`). */
  async _present(type: string, more?: object): Promise<Frame | undefined> {
    const { connection } = this._client;
    this._client._auto();
    if (connection._link) return connection._ask({ type, channel: this.name, ...more });
  }

  /** Where a later subscription could go on: `since` of its options. */
  get position(): Position | undefined {
    return this._epoch === undefined ? undefined : { epoch: this._epoch, offset: this._seen || this._head };
  }

  private _reset() {
    const { epoch, offset = 0 }: Partial<Position> = this._options.since ?? {};
    this._epoch = epoch;
    this._seen = this._head = offset;
  }

  private _set(state: ChannelState) {
    if (state == this.state) return;
    this.state = state;
    this._tell('state', state);
  }

  private _tell(name: string, value: unknown) {
    (this as Emitter<Record<string, unknown>>)._emit(name, value);
  }

  /** Counted: as many unsubscribe() as subscribe(). Settles when the server answered; who fails is not counted. */
  subscribe({ signal }: { signal?: AbortSignal } = {}): Promise<Subscribed> {
    this._client._auto();
    const waiter = defer<Subscribed>(signal);
    const dead = this._client._dead();
    if (dead) waiter._fail(dead);
    else if (!signal?.aborted) {
      this._count++;
      this._waiting.add(waiter);
      waiter.catch(() => this._waiting.delete(waiter) && this.unsubscribe());
      if (this.state == 'attached') this._settle();
      else if (this._count == 1) {
        this._set('attaching');
        this._sent(this._client.connection._send(this._subscribe()));
      }
    }
    return waiter;
  }

  /** Answers who waits for subscribe(). With an error they no longer count. */
  private _settle(error?: Error) {
    clearTimeout(this._timer);
    const waiting = [...this._waiting];
    this._waiting.clear();
    for (const waiter of waiting) {
      if (error) (this._count--, waiter._fail(error));
      else waiter._done(this._answer);
    }
  }

  unsubscribe(): void {
    if (!this._count || --this._count) return;
    this._client.connection._send({ type: 'unsubscribe', channel: this.name });
    clearTimeout(this._timer);
    this._reset();
    this._delta?.reset();
    this._set('detached');
  }

  /** @internal What is to be said on every connection. */
  _standing(): Frame[] {
    return [...(this._count ? [this._subscribe()] : []), ...this.presence._standing()];
  }

  private _subscribe(): Frame {
    const { presence, delta, rewind, recover } = this._options;
    const { name, position } = this;
    const since = recover !== false && position && { [name]: position };
    const ref = 's' + ++this._ref;
    return {
      type: 'subscribe',
      ref,
      channels: [name],
      since: since || undefined,
      history: since ? undefined : rewind,
      presence,
      delta,
    };
  }

  /** @internal The subscribe frame is out: an answer is due. */
  _sent(out: boolean): void {
    clearTimeout(this._timer);
    if (out && this._waiting.size) {
      this._timer = setTimeout(() => this._fail(new TidewireError(TIMEOUT, 'Timed out')), this._client.options.timeout ?? 10000);
    }
  }

  /** Refused: the subscription is over for all who had it. */
  private _fail(error: Error) {
    this._settle(error);
    this._count = 0;
    this._set('failed');
    this._tell('error', error);
  }

  /** @internal The connection went; with an error: for good, unless somebody calls connect(). */
  _down(error?: Error): void {
    this._delta?.reset();
    if (error) {
      this._settle(error);
      this._slots.clear();
      if (this._count) this._set((error as TidewireError).code == CLOSED ? 'detached' : 'failed');
    } else if (this.state == 'attached') this._set('suspended');
    clearTimeout(this._timer);
  }

  /** @internal */
  _frame(frame: Frame, raw?: string): void {
    const { type, epoch, offset, recovered } = frame;
    if (type == 'presence') this.presence._frame(frame);
    else if (type == 'error' && !(frame.ref > 0)) {
      const error = errorOf(frame);
      if (error.retryable || !this._count) this._tell('error', error);
      else this._fail(error);
    }
    if (!this._count) return;
    if (type == 'message') {
      if (this._delta) this._delta.push(frame, raw, (whole) => this._message(whole));
      else this._message(frame);
    } else if (type == 'gap' && frame.from != this._told && frame.to > this._seen) this._gap(frame.from, frame.to);
    else if (type == 'subscribed' && (!frame.ref || frame.ref == 's' + this._ref)) {
      const again = this._epoch !== undefined && this._options.recover !== false;
      const lost = again && this._epoch && this._epoch != epoch;
      const from = this._seen + 1;
      // A break before the newest n are here asks for these, not for all that is kept.
      if (!again) this._seen = Math.max(0, offset - (this._options.rewind ?? 0));
      this._epoch = epoch;
      this._head = offset;
      this._answer = { recovered: again && recovered, gap: again && !recovered, epoch, offset };
      // Another epoch: the log itself was lost, and with it what we had not read.
      this._told = lost ? from : undefined;
      if (lost) {
        this._seen = 0;
        this._gap(from, 0);
      }
      this._set('attached');
      this._settle();
    }
  }

  private _gap(from: number, to: number) {
    this._seen = Math.max(this._seen, to);
    this._delta?.reset();
    this._tell('gap', { channel: this.name, from, to });
  }

  private _read({ id, event = 'message', content, encoding, offset, time, sender, key }: Frame): Message {
    return {
      id: id ?? `${this._epoch}-${offset}`,
      channel: this.name,
      event,
      offset,
      time,
      sender,
      key,
      data: encoding ? fromBase64(content) : content,
      replayed: offset <= this._head,
    };
  }

  private _message(frame: Frame) {
    if (frame.offset <= this._seen) return;
    this._seen = frame.offset;
    const message = this._read(frame);
    if (!/^(state|gap|error|\*)$/.test(message.event)) this._tell(message.event, message);
    this._tell('*', message);
  }

  /** Settles when the server has it. Waits while offline; sent again after a break; taken once. */
  publish<K extends keyof E & string>(event: K, data: E[K], options: PublishOptions = {}): Promise<Ack> {
    this._client._auto();
    const { key, echo, id = newId() } = options;
    return this._client.outbox._add(
      { id, channel: this.name, event, data, key, echo, created: Date.now(), attempts: 0 },
      options,
    );
  }

  /** Without an answer: cursors, typing. With `throttle` the last one always goes. */
  send<K extends keyof E & string>(event: K, data: E[K], options: SendOptions = {}): void {
    const { throttle, key } = options;
    const go = () => this._send(event, data, options);
    if (!throttle) return go();
    const slot = event + ' ' + key;
    const run = () => {
      const next = this._slots.get(slot);
      this._slots.delete(slot);
      if (!next) return;
      this._slots.set(slot, undefined);
      setTimeout(run, throttle);
      next();
    };
    const busy = this._slots.has(slot);
    this._slots.set(slot, go);
    if (!busy) run();
  }

  private _send(event: string, content: unknown, { key, echo, volatile = true }: SendOptions) {
    const { name, _client } = this;
    const { _link } = _client.connection;
    const bytes = bytesOf(content);
    if (!_link || (volatile && _link.buffered?.()! > 65536)) {
      if (!volatile) this.publish(event as never, content as never, { key, echo });
    } else if (!bytes) _client.connection._send({ type: 'message', channel: name, event, content, key, echo, volatile });
    else if (_link.sendBinary) _link.sendBinary(encodeBinary(name, event, bytes));
    else this.publish(event as never, content as never);
  }

  /** Messages that are kept, in order. */
  async history({ signal, ...query }: HistoryOptions = {}): Promise<{ messages: Message[]; more: boolean; epoch: string }> {
    const { messages, more, epoch } = await this._client._ask({ type: 'history', channel: this.name, ...query }, signal);
    return { epoch, more, messages: messages.map((m: Frame) => ({ ...this._read(m), replayed: true })) };
  }

  /** `for await (const m of room.messages())`: subscribed while the loop runs. A signal ends it by throwing its reason. */
  async *messages<K extends keyof E & string = never>(
    options?: MessagesOptions & { event?: K },
  ): AsyncGenerator<Message<[K] extends [never] ? unknown : E[K]>, void, undefined> {
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    yield* (await import('./iterate.js')).messages(this as unknown as Channel, options) as AsyncGenerator<any, void, undefined>;
  }

  [Symbol.asyncIterator](): AsyncGenerator<Message, void, undefined> {
    return this.messages();
  }
}

/** Random enough to be nobody else's, also where crypto.randomUUID is not (plain http). */
export function newId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-');
}
