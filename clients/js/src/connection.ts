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
import { Emitter } from './emitter.js';
import { CLOSED, TIMEOUT, TidewireError, UNAVAILABLE, errorOf } from './error.js';
import { polling, sse } from './http.js';
import type { ClientOptions, ConnectionChange, ConnectionState, Frame, Link, TokenRequest, Transport } from './types.js';
import { websocket } from './websocket.js';

const KNOWN: Record<string, Transport> = { websocket, sse, polling };
const FATAL = [4401, 4402, 4403, 4407, 4430];
const TOKEN = [4401, 4402, 4407];
const PROBE_MS = 3000;
const SUSPEND_MS = 120000;
const REMEMBER_MS = 600000;
const MEMORY = 'tidewire:transport:';

interface Asked {
  done(frame: Frame): void;
  fail(error: unknown): void;
}

export class Connection extends Emitter<{ change: ConnectionChange }> {
  state: ConnectionState = 'initialized';
  /** The transport in use, or tried. */
  transport?: string;
  error?: Error;
  /** Attempts since the last connection that held. */
  attempt = 0;
  /** When the next attempt is planned (Date.now()). */
  retryAt?: number;

  private _list: Transport[];
  private _index = 0;
  private _proven?: Transport;
  private _tried = 0;
  private _link?: Link;
  private _open?: AbortController; // one per attempt: also tells whether a callback is of today
  private _timer?: ReturnType<typeof setTimeout>;
  private _watch?: ReturnType<typeof setInterval>;
  private _probe?: ReturnType<typeof setTimeout>;
  private _refresh?: ReturnType<typeof setTimeout>;
  private _last = 0; // when something came
  private _tick = 0;
  private _ping = 25000;
  private _since = 0; // when the state began
  private _down = 0; // when it was last up
  private _session?: string;
  private _renewed = false; // a rejected token was replaced once
  private _refs = 0;
  private _asked = new Map<number, Asked>();
  private _unhook: (() => void)[] = [];

  /** @internal */
  constructor(
    private _options: ClientOptions,
    private _base: string,
    private _hooks: { standing(): Frame[]; frame(frame: Frame, raw?: string): void; up(link: Link): void; down(): void },
  ) {
    super();
    const { share, transports = ['websocket', 'sse', 'polling'] } = _options;
    this._list = share ? [share] : transports.map((t) => (typeof t == 'string' ? KNOWN[t]! : t));
    const memory = recall(_base);
    this._index = Math.max(0, this._list.findIndex((t) => t.name == memory));
    if (memory && this._list[this._index]!.name == memory) this._proven = this._list[this._index];
  }

  connect(): void {
    if (/^(initialized|closed|failed)$/.test(this.state)) {
      this._hook();
      this.attempt = 0;
      this._renewed = false;
      this._start('connect');
    }
  }

  /** Drop the link, if any, and connect at once. */
  reconnect(): void {
    if (/^(initialized|closed|failed)$/.test(this.state)) return this.connect();
    this._drop(4000);
    this._start('connect');
  }

  close(): void {
    if (this.state == 'closed') return;
    this._set('closing');
    this._drop(1000);
    this._session = undefined;
    this._unhook.splice(0).forEach((f) => f());
    this._set('closed');
    this._settle(new TidewireError(CLOSED, 'Closed'));
  }

  /** Round trip in milliseconds. */
  async ping(): Promise<number> {
    const start = Date.now();
    await this.ask({ type: 'ping' });
    return Date.now() - start;
  }

  /** @internal False when there is no connection. */
  send(frame: Frame): boolean {
    if (this.state != 'connected') return false;
    try {
      this._link!.send(frame);
      return true;
    } catch {
      return false;
    }
  }

  /** @internal */
  get link(): Link | undefined {
    return this.state == 'connected' ? this._link : undefined;
  }

  /** @internal A frame with an answer. */
  ask(frame: Frame, signal?: AbortSignal): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const ref = ++this._refs;
      const stop = () => fail(signal!.reason);
      const clear = () => {
        clearTimeout(timer);
        this._asked.delete(ref);
        signal?.removeEventListener('abort', stop);
      };
      const fail = (error: unknown) => (clear(), reject(error));
      const timer = setTimeout(() => fail(new TidewireError(TIMEOUT, 'No answer in time')), this._options.timeout ?? 10000);
      this._asked.set(ref, { done: (f) => (clear(), f.type == 'error' ? reject(errorOf(f)) : resolve(f)), fail });
      if (signal?.aborted) stop();
      else {
        signal?.addEventListener('abort', stop);
        if (!this.send({ ...frame, ref })) fail(new TidewireError(UNAVAILABLE, 'Not connected'));
      }
    });
  }

  private _set(current: ConnectionState, more: Partial<ConnectionChange> = {}) {
    const previous = this.state;
    this.state = current;
    this._since = Date.now();
    this.retryAt = more.retryIn === undefined ? undefined : this._since + more.retryIn;
    if (current == 'connected') this.error = undefined;
    else if (more.error) this.error = more.error;
    this._options.debug?.(`connection ${previous} -> ${current}`, more);
    this.emit('change', { previous, current, transport: this.transport, attempt: this.attempt, ...more });
  }

  private async _token(reason: TokenRequest['reason'], signal: AbortSignal) {
    const { token } = this._options;
    return typeof token == 'function' ? token({ reason, signal }) : token;
  }

  private async _start(reason: TokenRequest['reason']) {
    clearTimeout(this._timer);
    const open = (this._open = new AbortController());
    const mine = () => this._open == open;
    const transport = this._list[this._index]!;
    this.transport = transport.name;
    this._set('connecting');
    const { timeout = 10000, WebSocket = globalThis.WebSocket, fetch = globalThis.fetch } = this._options;
    try {
      const token = await this._token(reason, open.signal);
      if (!mine()) return;
      const last = this._index == this._list.length - 1 || transport == this._proven;
      this._timer = setTimeout(
        () => this._lost(TIMEOUT, new TidewireError(TIMEOUT, `${transport.name} did not open in time`)),
        last ? timeout : Math.min(timeout, PROBE_MS),
      );
      this._link = transport.open({
        base: this._base,
        token,
        session: this._session,
        WebSocket,
        fetch: (...a) => fetch(...a),
        standing: this._hooks.standing,
        alive: () => mine() && this._alive(),
        frame: (frame, raw) => mine() && this._frame(frame, raw),
        closed: (code, error) => mine() && this._lost(code, error),
      });
    } catch (error) {
      if (mine()) this._lost((error as TidewireError).code ?? UNAVAILABLE, error as Error);
    }
  }

  private _alive() {
    this._last = Date.now();
    clearTimeout(this._probe);
    this._probe = undefined;
  }

  private _frame(frame: Frame, raw?: string) {
    this._alive();
    switch (frame.type) {
      case 'connected':
        return this._up(frame);
      case 'expiring':
        return this._renew(frame.in);
      case 'reconnect':
        this._drop(4000);
        return this._wait(frame.in ?? 0);
    }
    const asked = this._asked.get(frame.ref);
    if (asked) {
      if (raw) Object.defineProperty(frame, 'raw', { value: raw });
      asked.done(frame);
    }
    this._hooks.frame(frame, raw);
  }

  private _up(frame: Frame) {
    if (this.state == 'connected') return;
    clearTimeout(this._timer);
    const transport = (this._proven = this._list[this._index]!);
    this._tried = 0;
    remember(this._base, this._index && transport.name);
    if (frame.ticket) this._session = `${frame.session}.${frame.ticket}`;
    this._ping = this._options.heartbeat ?? frame.ping ?? 25000;
    this._tick = Date.now();
    this._watch = setInterval(() => this._look(), this._ping / 2);
    this._set('connected', { recovered: !!frame.recovered });
    if (this.link) this._hooks.up(this.link);
  }

  /** Is it still there? Asked after silence, and after the clock jumped (the machine slept). */
  private _look() {
    const now = Date.now();
    const slept = now - this._tick > this._ping + 5000;
    this._tick = now;
    if (slept || now - this._last > this._ping * 0.9) this._check(Math.min(PROBE_MS, this._ping / 2));
  }

  private _check(limit: number) {
    if (this.state != 'connected' || this._probe) return;
    this._probe = setTimeout(() => this._lost(TIMEOUT, new TidewireError(TIMEOUT, 'The server went silent')), limit);
    this.send({ type: 'ping' });
  }

  /** Forget the link. Its answers will not come. */
  private _drop(code: number) {
    this._open?.abort();
    this._open = undefined;
    const up = this._link && this.state == 'connected';
    [this._timer, this._probe, this._refresh].forEach(clearTimeout);
    clearInterval(this._watch);
    this._probe = undefined;
    const link = this._link;
    this._link = undefined;
    try {
      link?.close(code);
    } catch {
      // it was not open yet
    }
    if (up) {
      this._down = Date.now();
      this._settle(new TidewireError(UNAVAILABLE, 'The connection broke'));
      this._hooks.down();
    }
  }

  private _settle(error: Error) {
    [...this._asked.values()].forEach((a) => a.fail(error));
  }

  private _lost(code: number, error?: Error) {
    const up = this.state == 'connected';
    const uptime = Date.now() - this._since;
    this._drop(4000);
    error ??= new TidewireError(code, code == 1012 ? 'The server restarts' : 'The connection broke', '', true);
    if (FATAL.includes(code)) {
      if (TOKEN.includes(code) && typeof this._options.token == 'function' && !this._renewed) {
        this._renewed = true;
        this._start('rejected');
        return;
      }
      this._unhook.splice(0).forEach((f) => f());
      this._set('failed', { error });
      return this._settle(error);
    }
    if (up) {
      if (uptime > (this._options.reconnect?.minUptime ?? 5000)) {
        this.attempt = 0;
        this._renewed = false;
      }
    } else if (this._list.length > 1 && (this._list[this._index] != this._proven || ++this._tried >= 3)) {
      // It never opened: the next one may pass where this one does not. What once worked gets
      // three tries first, for then it is rather the server that is away.
      if (this._list[this._index] == this._proven) {
        this._proven = undefined;
        this._index = -1;
      }
      this._index = (this._index + 1) % this._list.length;
      if (this._index) return void this._start('connect');
    }
    this._wait(backoff(this.attempt++, this._options.reconnect), error);
  }

  private _wait(retryIn: number, error?: Error) {
    if (this.attempt > (this._options.reconnect?.maxAttempts ?? Infinity)) return this._set('failed', { error });
    this._down ||= Date.now();
    this._set(Date.now() - this._down > SUSPEND_MS ? 'suspended' : 'disconnected', { retryIn, error });
    this._timer = setTimeout(() => this._start('connect'), retryIn);
  }

  /** A fresh token before the old one ends; what fails is tried again while there is time. */
  private async _renew(left: number) {
    const open = this._open;
    const start = Date.now();
    if (typeof this._options.token != 'function' || !open) return;
    try {
      await this.ask({ type: 'auth', token: await this._token('expiring', open.signal) });
    } catch (error) {
      this._options.debug?.('token not renewed', error);
      const wait = Math.min(5000, left / 4);
      left -= Date.now() - start + wait;
      if (this._open == open && left > 0) this._refresh = setTimeout(() => this._renew(left), wait);
    }
  }

  /** The browser's hints: they make us look, or try at once. */
  private _hook() {
    const hook = (target: EventTarget | undefined, names: string, fn: (event: Event) => void) =>
      names.split(' ').forEach((name) => {
        target?.addEventListener?.(name, fn);
        this._unhook.push(() => target?.removeEventListener?.(name, fn));
      });
    const { document } = globalThis;
    const wake = () => {
      if (document?.visibilityState == 'hidden') return;
      if (/^(dis|sus)/.test(this.state)) this._start('connect');
      else this._check(PROBE_MS);
    };
    hook(globalThis as never, 'online offline pageshow', wake);
    hook(document, 'visibilitychange resume', wake);
    // A frozen page keeps no connection: let go of it so that the session waits for us.
    const sleep = (event: Event) => {
      if ((event as PageTransitionEvent).persisted === false || !/^conn/.test(this.state)) return;
      this._drop(4000);
      this._set('disconnected');
    };
    hook(globalThis as never, 'pagehide', sleep);
    hook(document, 'freeze', sleep);
  }
}

/** What worked here last, for a while: a blocked WebSocket costs seconds each time. */
function recall(base: string): string | undefined {
  try {
    const [name, until] = JSON.parse(localStorage.getItem(MEMORY + base)!);
    if (until > Date.now()) return name;
  } catch {
    // no memory, or no storage
  }
}

function remember(base: string, name: string | 0) {
  try {
    if (name) localStorage.setItem(MEMORY + base, JSON.stringify([name, Date.now() + REMEMBER_MS]));
    else localStorage.removeItem(MEMORY + base);
  } catch {
    // no storage
  }
}
