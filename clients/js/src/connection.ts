// SPDX-License-Identifier: Apache-2.0
// One connection that is kept up: which transport, when to try again, whether it is still alive, and
// the token. It knows frames, not channels.
//
//   initialized -> connecting -> connected -> disconnected (waits) -> connecting ...
//   disconnected for long -> suspended (still trying)      close() -> closing -> closed
//   refused for good -> failed (connect() starts again)
//
// Silence is measured by clock, not by counting ticks: timers of a hidden tab stand still.
import { backoff } from './backoff.js';
import { defer } from './deferred.js';
import type { Deferred } from './deferred.js';
import { Emitter } from './emitter.js';
import { CLOSED, TIMEOUT, TidewireError, UNAVAILABLE, errorOf } from './error.js';
import type { ClientOptions, ConnectionChange, ConnectionState, Frame, Link, TokenRequest, Transport } from './types.js';
import { websocket } from './websocket.js';

const PROBE_MS = 3000;
const SUSPEND_MS = 120000;
const REMEMBER_MS = 600000;

// The fallbacks are fetched when they are needed: most never do.
const later = (name: 'sse' | 'polling'): Transport => ({
  name,
  open: async (context) => (await import('./fallback.js'))[name].open(context),
});
const KNOWN: Record<string, Transport> = { websocket, sse: later('sse'), polling: later('polling') };

export class Connection extends Emitter<{ change: ConnectionChange }> {
  /** The last change: state, transport, error, when the next attempt is due. */
  last: ConnectionChange = { previous: 'initialized', current: 'initialized', attempt: 0 };

  private _list: Transport[];
  private _now: Transport;
  private _proven?: Transport;
  private _tried!: number;
  private _raw?: Link;
  private _try?: AbortController; // one per attempt: tells whether a callback is of today
  private _timer?: ReturnType<typeof setTimeout>; // opening, or waiting
  private _watch?: ReturnType<typeof setInterval>;
  private _probe?: ReturnType<typeof setTimeout>;
  private _refresh?: ReturnType<typeof setTimeout>;
  private _heard!: number; // when something came
  private _ping = 25000;
  private _since!: number; // when the state began
  private _broke?: number; // when it was last up
  private _attempt!: number;
  private _session?: string;
  private _bearer?: string;
  private _renewed?: boolean; // a rejected token was replaced once
  private _refs = 0;
  private _ours?: Set<string>; // after a take-over: channels that answered to us, not to who we were
  private _asked = new Map<number, Deferred<Frame>>();
  private _hooked?: AbortController;

  /** @internal */
  constructor(
    private _options: ClientOptions,
    private _base: string,
    private _hooks: {
      _standing(): Frame[];
      _frame(frame: Frame, raw?: string): void;
      _restored(channel: string): void;
      _up(): void;
      _down(error?: Error): void;
    },
  ) {
    super();
    const { share, transports = ['websocket', 'sse', 'polling'] } = _options;
    this._list = share ? [share] : transports.map((t) => (typeof t == 'string' ? KNOWN[t]! : t));
    this._proven = this._list.find((t) => t.name == this._memory());
    this._now = this._proven ?? this._list[0]!;
  }

  get state(): ConnectionState {
    return this.last.current;
  }
  /** In use, or tried. */
  get transport(): string | undefined {
    return this.last.transport;
  }
  get error(): Error | undefined {
    return this.last.error;
  }

  connect(): void {
    if (this._hooked) return;
    this._hook();
    this._tried = this._attempt = 0;
    this._renewed = false;
    this._start('connect');
  }

  /** Drop what there is and connect at once. */
  reconnect(): void {
    this._drop();
    if (this._hooked) this._start('connect');
    else this.connect();
  }

  close(): void {
    if (this.state == 'closed') return;
    this._set('closing');
    this._drop(1000);
    this._session = undefined;
    this._end('closed', new TidewireError(CLOSED, 'Closed'));
  }

  /** Round trip in milliseconds. */
  async ping(): Promise<number> {
    const start = Date.now();
    await this._ask({ type: 'ping' });
    return Date.now() - start;
  }

  /** @internal The way out, while there is one. */
  get _link(): Link | undefined {
    return this.state == 'connected' ? this._raw : undefined;
  }

  /** @internal False: there is no connection. */
  _send(frame: Frame): boolean {
    try {
      this._link!.send(frame);
      return true;
    } catch {
      return false;
    }
  }

  /** @internal A frame with an answer. */
  _ask(frame: Frame, signal?: AbortSignal): Promise<Frame> {
    const ref = ++this._refs;
    const asked = defer<Frame>(signal, this._options.timeout ?? 10000, () => this._asked.delete(ref));
    this._asked.set(ref, asked);
    if (!this._send({ ...frame, ref })) asked._fail(new TidewireError(UNAVAILABLE, 'Not connected'));
    return asked;
  }

  /** @internal Binary with an answer goes over HTTP, as it is. */
  async _post(channel: string, event: string, bytes: Uint8Array, id?: string): Promise<Frame> {
    const { fetch = globalThis.fetch } = this._options;
    return (await import('./fallback.js')).post(fetch, this._base, this._bearer, { channel, event }, bytes, id);
  }

  private _set(current: ConnectionState, more: Partial<ConnectionChange> = {}) {
    const { current: previous, transport } = this.last;
    this._since = Date.now();
    this.last = { transport, attempt: this._attempt, ...more, previous, current };
    this._emit('change', this.last);
  }

  private _next(): Transport | undefined {
    return this._list[this._list.indexOf(this._now) + 1];
  }

  private async _token(reason: TokenRequest['reason'], signal: AbortSignal) {
    const { token } = this._options;
    return (this._bearer = typeof token == 'function' ? await token({ reason, signal }) : token);
  }

  private async _start(reason: TokenRequest['reason']) {
    clearTimeout(this._timer);
    const attempt = (this._try = new AbortController());
    const mine = () => this._try == attempt;
    const transport = this._now;
    this._set('connecting', { transport: transport.name });
    const { timeout = 10000, WebSocket = globalThis.WebSocket, fetch = globalThis.fetch } = this._options;
    try {
      const token = await this._token(reason, attempt.signal);
      if (!mine()) return;
      this._timer = setTimeout(
        () => this._lost(TIMEOUT),
        transport == this._proven || !this._next() ? timeout : Math.min(timeout, PROBE_MS),
      );
      const link = await transport.open({
        base: this._base,
        token,
        session: this._session,
        WebSocket,
        fetch,
        standing: this._hooks._standing,
        alive: () => mine() && this._alive(),
        frame: (frame, raw) => mine() && this._frame(frame, raw),
        closed: (code, error) => mine() && this._lost(code, error),
      });
      if (mine()) this._raw = link;
      else link.close(4000);
    } catch (error) {
      if (mine()) this._lost((error as TidewireError).code, error as Error);
    }
  }

  private _alive() {
    this._heard = Date.now();
    clearTimeout(this._probe);
    this._probe = undefined;
  }

  private _frame(frame: Frame, raw?: string) {
    this._alive();
    const { type } = frame;
    if (type == 'connected') this._up(frame);
    else if (type == 'expiring') this._renew(frame.in);
    else if (type == 'reconnect') {
      this._drop();
      this._wait(frame.in);
    } else {
      const { channel, ref } = frame;
      if (this._ours && channel !== undefined && !this._ours.has(channel)) {
        if (ref === undefined) {
          // Restored from where the server thinks we were: it comes again from where we are.
          if (type == 'subscribed') this._hooks._restored(channel);
          return;
        }
        if (type == 'subscribed') this._ours.add(channel);
      }
      const asked = this._asked.get(ref);
      frame.raw = raw;
      if (type == 'error') asked?._fail(errorOf(frame));
      else asked?._done(frame);
      this._hooks._frame(frame, raw);
    }
  }

  private _up({ session, ticket, ping, recovered }: Frame) {
    if (this._link) return; // a stream that was opened anew for other channels
    clearTimeout(this._timer);
    this._proven = this._now;
    this._tried = 0;
    this._ours = recovered ? new Set() : undefined;
    this._memory(this._now == this._list[0] ? '' : this._now.name);
    if (ticket) this._session = `${session}.${ticket}`;
    this._ping = this._options.heartbeat ?? ping ?? this._ping;
    this._watch = setInterval(() => this._look(), this._ping / 2);
    const { _raw } = this;
    this._set('connected', { recovered });
    if (!_raw!.standing) this._hooks._standing().forEach((frame) => this._send(frame));
    this._hooks._up();
  }

  /** Is it still there? Asked after silence, be it that the machine slept. */
  private _look() {
    if (Date.now() - this._heard > this._ping * 0.9) this._check(Math.min(PROBE_MS, this._ping / 2));
  }

  private _check(limit: number) {
    if (!this._link || this._probe) return;
    this._probe = setTimeout(() => this._lost(TIMEOUT), limit);
    this._send({ type: 'ping' });
  }

  /** Forget the link. Its answers will not come. */
  private _drop(code = 4000) {
    const { _raw, _link } = this;
    this._try?.abort();
    this._try = this._raw = this._probe = clearTimeout(this._probe) as undefined;
    clearTimeout(this._timer);
    clearTimeout(this._refresh);
    clearInterval(this._watch);
    _raw?.close(code);
    if (!_link) return;
    this._broke = Date.now();
    this._settle(new TidewireError(UNAVAILABLE, 'Not connected'));
    this._hooks._down();
  }

  private _settle(error: Error) {
    [...this._asked.values()].forEach((a) => a._fail(error));
  }

  private _end(state: ConnectionState, error: Error) {
    this._hooked = this._hooked?.abort() as undefined;
    this._settle(error);
    this._set(state, { error });
    this._hooks._down(error);
  }

  private _lost(code = UNAVAILABLE, error: Error = new TidewireError(code, 'Connection lost', '', true)) {
    const up = this._link;
    const uptime = Date.now() - this._since;
    this._drop();
    if (/^44(0[1237]|30)$/.test(code as never)) {
      // With another token it may go: once.
      if (/[127]$/.test(code as never) && typeof this._options.token == 'function' && !this._renewed) {
        this._renewed = true;
        this._start('rejected');
      } else this._end('failed', error);
      return;
    }
    if (up) {
      if (uptime > (this._options.reconnect?.minUptime ?? 5000)) {
        this._attempt = 0;
        this._renewed = false;
      }
    } else if (this._now != this._proven || ++this._tried > 2) {
      // It never opened: the next one may pass where this one does not. What once worked gets
      // three tries first, for then it is rather the server that is away.
      const next = this._now == this._proven ? undefined : this._next();
      this._proven = undefined;
      this._now = next ?? this._list[0]!;
      if (next) return void this._start('connect');
    }
    this._wait(backoff(this._attempt++, this._options.reconnect), error);
  }

  private _wait(retryIn: number, error?: Error) {
    if (this._attempt > (this._options.reconnect?.maxAttempts ?? Infinity)) return this._end('failed', error!);
    this._broke = this._broke || Date.now();
    this._set(Date.now() - this._broke > SUSPEND_MS ? 'suspended' : 'disconnected', { retryIn, error });
    this._timer = setTimeout(() => this._start('connect'), retryIn);
  }

  /** A fresh token before the old one ends; what fails is tried again while there is time. */
  private async _renew(left: number) {
    const attempt = this._try!;
    if (typeof this._options.token != 'function') return;
    try {
      await this._ask({ type: 'auth', token: await this._token('expiring', attempt.signal) });
    } catch {
      if (this._try == attempt && left > 100) this._refresh = setTimeout(() => this._renew(left / 2), left / 4);
    }
  }

  /** The browser's hints: they make us look, or try at once. */
  private _hook() {
    const { signal } = (this._hooked = new AbortController());
    const hook = (names: string, fn: (event: Event) => void) =>
      names.split(' ').forEach((name) => globalThis.addEventListener?.(name, fn, { signal, capture: true }));
    // Those of the document pass here on their way down.
    hook('online offline pageshow visibilitychange resume', () => {
      if (globalThis.document?.visibilityState == 'hidden') return;
      if (/^(dis|sus)/.test(this.state)) this._start('connect');
      else this._check(PROBE_MS);
    });
    // A frozen page keeps no connection: let go of it so that the session waits for us.
    hook('pagehide freeze', (event) => {
      if ((event as PageTransitionEvent).persisted == false || !/^conn/.test(this.state)) return;
      this._drop();
      this._set('disconnected');
    });
  }

  /** What worked here last, for a while: a blocked WebSocket costs seconds each time. */
  private _memory(name?: string): string | undefined {
    const slot = 'tidewire:' + this._base;
    try {
      if (name) localStorage[slot] = [name, Date.now() + REMEMBER_MS];
      else if (name == '') delete localStorage[slot];
      const [known, until] = localStorage[slot].split(',');
      if (until > Date.now()) return known;
    } catch {
      // no memory, or no storage
    }
  }
}
