// SPDX-License-Identifier: Apache-2.0
// The client: a connection, the channels by name, and the outbox. Frames come in at one place and
// go to the channel they name.
import { Channel } from './channel.js';
import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { CLOSED, TidewireError, UNAVAILABLE, errorOf } from './error.js';
import { Outbox } from './outbox-queue.js';
import type { ChannelOptions, ClientOptions, EventMap, Frame, OutboxEntry } from './types.js';

export class Client<E extends EventMap = EventMap> extends Emitter<{ error: Error }> {
  readonly connection: Connection;
  readonly outbox: Outbox;
  private _channels = new Map<string, Channel>();
  private _base: string;

  constructor(readonly options: ClientOptions = {}) {
    super();
    const { url = globalThis.location?.origin, outbox } = options;
    if (!url) throw new TypeError('url is needed outside of a browser');
    this._base = url.replace(/^ws/, 'http').replace(/\/+$/, '');
    this.connection = new Connection(options, this._base, {
      standing: () => this._standing(),
      frame: (frame, raw) => this._frame(frame, raw),
      up: (link) => {
        if (!link.standing) for (const frame of this._standing()) this.connection.send(frame);
        this._channels.forEach((c) => c.sent(true));
        this.outbox.flush();
      },
      down: () => this._channels.forEach((c) => c.down()),
    });
    this.connection.on('change', ({ current, error }) => {
      if (current == 'failed') this._channels.forEach((c) => c.down(error));
    });
    this.outbox = new Outbox(
      {
        connected: () => this.connection.state == 'connected',
        ask: (frame) => this.connection.ask(frame),
        binary: (entry, bytes) => this.postBinary(entry, bytes),
      },
      outbox,
    );
  }

  /** The channel of that name; the options count on first use. */
  channel<R extends EventMap = E>(name: string, options?: ChannelOptions): Channel<R> {
    let channel = this._channels.get(name);
    if (!channel) this._channels.set(name, (channel = new Channel(this as Client, name, options)));
    return channel as unknown as Channel<R>;
  }

  connect(): this {
    this.connection.connect();
    return this;
  }

  /** Nothing is left running: promises settle, timers end. What an outbox stored stays stored. */
  close(): void {
    const error = new TidewireError(CLOSED, 'Closed');
    this._channels.forEach((c) => c.down(error));
    this.outbox.close();
    this.connection.close();
  }

  /** @internal */
  autoConnect(): void {
    if (this.options.autoConnect !== false && this.connection.state == 'initialized') this.connection.connect();
  }

  /** @internal Why nothing will come of it any more, until somebody calls connect(). */
  dead(): Error | undefined {
    const { state, error } = this.connection;
    if (state == 'closed' || state == 'failed') return error ?? new TidewireError(CLOSED, 'Closed');
  }

  /** @internal Waits for a connection, then asks. */
  async ask(frame: Frame, signal?: AbortSignal): Promise<Frame> {
    this.autoConnect();
    await this._connected(signal);
    return this.connection.ask(frame, signal);
  }

  /** @internal Asks if connected; else what stands is said on connecting anyway. */
  async askOrStand(frame: Frame): Promise<Frame | undefined> {
    this.autoConnect();
    if (this.connection.state == 'connected') return this.connection.ask(frame);
  }

  private _connected(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const dead = signal?.aborted ? signal.reason : this.dead();
        if (dead) reject(dead);
        else if (this.connection.state == 'connected') resolve();
        else return;
        off();
        signal?.removeEventListener('abort', look);
      };
      const off = this.connection.on('change', look);
      signal?.addEventListener('abort', look);
      look();
    });
  }

  /** @internal Binary with an answer: over HTTP, the bytes as they are. */
  async postBinary({ channel, event, id }: Pick<OutboxEntry, 'channel' | 'event'> & { id?: string }, bytes: Uint8Array): Promise<Frame> {
    const { token, fetch = globalThis.fetch } = this.options;
    const bearer = typeof token == 'function' ? await token({ reason: 'connect', signal: new AbortController().signal }) : token;
    let answer, body;
    try {
      answer = await fetch(`${this._base}/api/publish?${new URLSearchParams({ channel, event })}`, {
        method: 'POST',
        body: bytes as Uint8Array<ArrayBuffer>,
        headers: {
          'content-type': 'application/octet-stream',
          ...(id && { 'idempotency-key': id }),
          ...(bearer && { authorization: `Bearer ${bearer}` }),
        },
      });
      body = await answer.json();
    } catch (error) {
      throw new TidewireError(UNAVAILABLE, String(error));
    }
    if (!answer.ok) throw errorOf(body);
    return body;
  }

  /** Everything we are subscribed to and present in; subscriptions that ask alike go together. */
  private _standing(): Frame[] {
    const groups = new Map<string, Frame>();
    const rest: Frame[] = [];
    this._channels.forEach((channel) => {
      for (const frame of channel.standing()) {
        if (frame.type != 'subscribe') {
          rest.push(frame);
          continue;
        }
        const { channels, since, ...same } = frame;
        const alike = JSON.stringify(same) + !since;
        const group = groups.get(alike);
        if (group && group.channels.length < 100) {
          group.channels.push(...channels);
          if (since) Object.assign(group.since, since);
        } else groups.set(alike, frame);
      }
    });
    return [...groups.values(), ...rest];
  }

  private _frame(frame: Frame, raw?: string) {
    const channel = this._channels.get(frame.channel);
    if (channel) channel.frame(frame, raw);
    else if (frame.channel === undefined && frame.type == 'error' && frame.ref === undefined) this.emit('error', errorOf(frame));
  }
}

export function createClient<E extends EventMap = EventMap>(options?: ClientOptions): Client<E> {
  return new Client<E>(options);
}
