// SPDX-License-Identifier: Apache-2.0
// The network of one person of this page, with a switch in it: what goes through here can be cut or
// silenced without asking anybody, and is counted.
//
//   cut      the link breaks at once, and no new one opens
//   offline  the link is silent: nothing comes, nothing goes, nobody says so (a dead Wi-Fi)
//
// What a silent link was given it keeps, as TCP would, and delivers if it outlives the silence.
import { Store } from '../../clients/react/src/store.js';

export type Weather = 'up' | 'cut' | 'offline';

interface Switched {
  weather(now: Weather): void;
}

export class Network {
  readonly weather = new Store<Weather>('up');
  readonly traffic = new Store({ received: 0, bytes: 0 });
  /** Frames that left, by their event. */
  readonly sent = new Map<string, number>();
  private links = new Set<Switched>();
  /** The same as the browser's own, behind the switch. */
  readonly WebSocket = socketBehind(this) as unknown as typeof WebSocket;
  readonly EventSource = eventsBehind(this) as unknown as typeof EventSource;

  set(weather: Weather) {
    const before = this.weather.value;
    this.weather.set(weather);
    this.links.forEach((link) => link.weather(weather));
    // The words the browser would say.
    if (weather == 'offline') dispatchEvent(new Event('offline'));
    if (weather == 'up' && before != 'up') dispatchEvent(new Event('online'));
  }

  readonly fetch: typeof fetch = async (input, init = {}) => {
    if (this.weather.value != 'up') throw new TypeError('The network is away.');
    const control = new AbortController();
    const abort = () => control.abort(init.signal?.reason);
    if (init.signal?.aborted) abort();
    init.signal?.addEventListener('abort', abort);
    // A break ends what was under way; silence only keeps it waiting.
    this.add({ weather: (now) => now == 'cut' && control.abort() }, control.signal);
    return fetch(input, { ...init, signal: control.signal });
  };

  add(link: Switched, until?: AbortSignal) {
    this.links.add(link);
    until?.addEventListener('abort', () => this.links.delete(link));
    return () => this.links.delete(link);
  }

  came(data: string | ArrayBuffer) {
    const { received, bytes } = this.traffic.value;
    this.traffic.set({ received: received + 1, bytes: bytes + sizeOf(data) });
  }

  went(data: unknown) {
    const event = typeof data == 'string' ? (/"event":"([^"]+)"/.exec(data)?.[1] ?? '') : '';
    this.sent.set(event, (this.sent.get(event) ?? 0) + 1);
  }
}

const sizeOf = (data: string | ArrayBuffer) =>
  typeof data == 'string' ? new TextEncoder().encode(data).length : data.byteLength;

function socketBehind(network: Network) {
  return class SwitchedWebSocket {
    onopen: ((event: Event) => void) | null = null;
    onmessage: ((event: MessageEvent) => void) | null = null;
    onclose: ((event: CloseEvent) => void) | null = null;
    onerror: ((event: Event) => void) | null = null;
    private real?: WebSocket;
    private held: (() => void)[] = [];
    private remove?: () => void;

    constructor(url: string | URL, protocols?: string | string[]) {
      if (network.weather.value != 'up') {
        setTimeout(() => this.broken());
        return;
      }
      const real = (this.real = new WebSocket(url, protocols));
      this.remove = network.add(this);
      real.onopen = (event) => this.pass(() => this.onopen?.(event));
      real.onmessage = (event) => {
        network.came(event.data);
        this.pass(() => this.onmessage?.(event));
      };
      real.onerror = (event) => this.pass(() => this.onerror?.(event));
      real.onclose = (event) => this.pass(() => (this.end(), this.onclose?.(event)));
    }
    set binaryType(type: BinaryType) {
      if (this.real) this.real.binaryType = type;
    }
    get bufferedAmount() {
      return this.real?.bufferedAmount ?? 0;
    }
    get readyState() {
      return this.real?.readyState ?? WebSocket.CLOSED;
    }
    send(data: string | ArrayBuffer) {
      network.went(data);
      this.pass(() => this.real?.send(data));
    }
    close(code?: number, reason?: string) {
      this.real?.close(code, reason);
      this.end();
    }
    weather(now: Weather) {
      if (now == 'cut') {
        this.close(4000);
        this.broken();
      } else if (now == 'up') this.held.splice(0).forEach((step) => step());
    }
    private pass(step: () => void) {
      if (network.weather.value == 'offline') this.held.push(step);
      else step();
    }
    private end() {
      this.remove?.();
      this.held.length = 0;
      if (this.real) {
        this.real.onopen = this.real.onmessage = this.real.onerror = this.real.onclose = null;
      }
    }
    private broken() {
      this.onerror?.(new Event('error'));
      this.onclose?.(new CloseEvent('close', { code: 1006 }));
    }
  };
}

/**
 * EventSource comes back by itself and says where it was; so does this one when it was cut. A page
 * that nobody looks at gives its connection back meanwhile: a browser has six for all its windows.
 */
function eventsBehind(network: Network) {
  return class SwitchedEventSource extends EventTarget {
    onopen: ((event: Event) => void) | null = null;
    onmessage: ((event: MessageEvent) => void) | null = null;
    onerror: ((event: Event) => void) | null = null;
    private real?: EventSource;
    private last = '';
    private names = new Set<string>();
    private remove: () => void;

    constructor(private url: string) {
      super();
      this.remove = network.add(this);
      document.addEventListener('visibilitychange', this.look);
      this.look();
    }
    override addEventListener(name: string, listener: EventListenerOrEventListenerObject) {
      super.addEventListener(name, listener);
      this.names.add(name);
      this.real?.addEventListener(name, this.pass);
    }
    close() {
      this.remove();
      document.removeEventListener('visibilitychange', this.look);
      this.real?.close();
    }
    weather() {
      this.look();
    }
    private look = () => {
      if (network.weather.value != 'up' || document.visibilityState == 'hidden') {
        this.real?.close();
        this.real = undefined;
        this.onerror?.(new Event('error'));
      } else if (!this.real) this.open();
    };
    private open() {
      const since = this.last && `&since=${encodeURIComponent(this.last)}`;
      const real = (this.real = new EventSource(this.url + since));
      real.onopen = (event) => this.onopen?.(event);
      real.onerror = (event) => this.onerror?.(event);
      real.onmessage = this.pass;
      this.names.forEach((name) => real.addEventListener(name, this.pass));
    }
    private pass = (event: MessageEvent) => {
      this.last = event.lastEventId || this.last;
      const copy = new MessageEvent(event.type, {
        data: event.data,
        lastEventId: event.lastEventId,
      });
      if (event.type == 'message') this.onmessage?.(copy);
      this.dispatchEvent(copy);
    };
  };
}
