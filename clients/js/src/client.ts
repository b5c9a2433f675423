// SPDX-License-Identifier: Apache-2.0
// The client: a connection, the channels by name, and the outbox. Frames come in at one place and
// go to the channel they name.
import { Channel } from './channel.js';
import { Connection } from './connection.js';
import { defer } from './deferred.js';
import { Emitter } from './emitter.js';
import { CLOSED, TidewireError, errorOf } from './error.js';
import { Outbox } from './queue.js';
import type { ChannelOptions, ClientOptions, EventMap, Frame } from './types.js';

export class Client<E extends EventMap = EventMap> extends Emitter<{ error: Error }> {
  readonly connection: Connection;
  readonly outbox: Outbox;
  private _channels = new Map<string, Channel>();

  constructor(readonly options: ClientOptions = {}) {
    super();
    const { url = globalThis.location?.origin, outbox } = options;
    if (!url) throw new TypeError('url is needed');
    this.connection = new Connection(options, url.replace(/^ws/, 'http').replace(/\/+$/, ''), {
      _standing: () => this._all().flatMap((c) => c._standing()),
      _frame: (frame, raw) => {
        const channel = this._channels.get(frame.channel);
        if (channel) channel._frame(frame, raw);
        else if (!frame.channel && !frame.ref && frame.type == 'error') this._emit('error', errorOf(frame));
      },
      _restored: (name) => this._channels.get(name)?._count || this.connection._send({ type: 'unsubscribe', channel: name }),
      _up: () => {
        this._all().forEach((c) => c._sent(true));
        this.outbox._flush();
      },
      _down: (error) => this._all().forEach((c) => c._down(error)),
    });
    this.outbox = new Outbox(this.connection, outbox);
  }

  private _all() {
    return [...this._channels.values()];
  }

  /** The channel of that name; the options count on first use. */
  channel<R extends EventMap = E>(name: string, options?: ChannelOptions): Channel<R> {
    const channel = this._channels.get(name) ?? new Channel(this as Client, name, options);
    this._channels.set(name, channel);
    return channel as unknown as Channel<R>;
  }

  connect(): this {
    this.connection.connect();
    return this;
  }

  /** Nothing is left running: promises settle, timers end. What an outbox stored stays stored. */
  close(): void {
    this.connection.close();
    this.outbox._close();
  }

  /** @internal Why nothing will come of it any more, until somebody calls connect(). */
  _dead(): Error | undefined {
    const { state, error } = this.connection;
    if (state == 'closed' || state == 'failed') return error ?? new TidewireError(CLOSED, 'Closed');
  }

  /** @internal Waits for a connection, then asks. */
  async _ask(frame: Frame, signal?: AbortSignal): Promise<Frame> {
    this._auto();
    const { connection } = this;
    while (!connection._link) {
      const dead = this._dead();
      if (dead) throw dead;
      const change = defer<unknown>(signal);
      await change.finally(connection.on('change', change._done));
    }
    return connection._ask(frame, signal);
  }

  /** @internal */
  _auto(): void {
    if (this.options.autoConnect !== false && this.connection.state == 'initialized') this.connection.connect();
  }
}

export function createClient<E extends EventMap = EventMap>(options?: ClientOptions): Client<E> {
  return new Client<E>(options);
}
