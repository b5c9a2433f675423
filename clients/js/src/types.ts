// SPDX-License-Identifier: Apache-2.0
// The words of the SDK. A frame is one JSON object of the plain dialect (docs/protocols/native.md);
// a transport is anything that carries frames both ways.

/** Payloads by event name: `interface Chat extends EventMap { message: { text: string } }`. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type EventMap = Record<string, any>;

/** A frame of the plain dialect. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Frame = { type: string; [member: string]: any };

export interface Position {
  epoch: string;
  offset: number;
}

export interface Sender {
  sub?: string;
  session?: string;
}

export interface Message<T = unknown> {
  /** `<epoch>-<offset>`: the same for everybody, on every transport. */
  id: string;
  channel: string;
  event: string;
  data: T;
  offset: number;
  /** Milliseconds since 1970; undefined for binary messages over WebSocket. */
  time?: number;
  sender?: Sender;
  key?: string;
  /** True for what was published before this subscription went live. */
  replayed: boolean;
}

export interface Gap {
  channel: string;
  from: number;
  /** 0: the log itself was lost and begins anew. */
  to: number;
}

export interface Ack {
  id: string;
  channel: string;
  epoch: string;
  offset: number;
  /** The server had it already: a repeated send. */
  duplicate: boolean;
}

export interface Member<M = unknown> {
  key: string;
  metas: M[];
}

export type ConnectionState =
  'initialized' | 'connecting' | 'connected' | 'disconnected' | 'suspended' | 'closing' | 'closed' | 'failed';
export type ChannelState = 'initialized' | 'attaching' | 'attached' | 'suspended' | 'detached' | 'failed';

export interface ConnectionChange {
  previous: ConnectionState;
  current: ConnectionState;
  transport?: string;
  /** Why, when something went wrong. */
  error?: Error;
  /** Milliseconds until the next attempt, when one is planned. */
  retryIn?: number;
  attempt: number;
  /** On `connected`: the server kept our session, presence included. */
  recovered?: boolean;
}

export interface TokenRequest {
  reason: 'connect' | 'expiring' | 'rejected';
  signal: AbortSignal;
}
export type Token = string | ((request: TokenRequest) => string | undefined | Promise<string | undefined>);

export interface ReconnectOptions {
  /** Milliseconds; the first wait is between 0 and this. */
  minDelay?: number;
  maxDelay?: number;
  factor?: number;
  maxAttempts?: number;
  /** A connection that lived shorter than this does not reset the waits. */
  minUptime?: number;
}

/** The browser's WebSocket, or anything that behaves like it (the `ws` package). */
export type SocketConstructor = new (url: string, protocols?: string | string[]) => {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  binaryType: any;
  readonly bufferedAmount: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  onmessage: any;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  onclose: any;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  onerror: any;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  send(data: any): void;
  close(code?: number): void;
};

/** What a transport is given. */
export interface LinkContext {
  /** http(s) address without a trailing slash. */
  base: string;
  token?: string;
  /** `<session>.<ticket>` of the session to take over. */
  session?: string;
  fetch: typeof fetch;
  WebSocket?: SocketConstructor;
  /** Frames that say what we are subscribed to and present in, as of now. */
  standing(): Frame[];
  /** A frame came. `raw` is its text, for deltas. */
  frame(frame: Frame, raw?: string): void;
  /** Something came, be it only a heartbeat. */
  alive(): void;
  /** The link is over; at most once. `code` as a WebSocket close code. */
  closed(code: number, error?: Error): void;
}

export interface Link {
  send(frame: Frame): void;
  sendBinary?(bytes: Uint8Array): void;
  /** Bytes that wait in the socket. */
  buffered?(): number;
  close(code: number): void;
  /** The link has asked `standing()` itself; nothing is to be sent on opening. */
  standing?: boolean;
}

export interface Transport {
  readonly name: string;
  open(context: LinkContext): Link | Promise<Link>;
}

/** A message that waits for its ack. */
export interface OutboxEntry {
  id: string;
  channel: string;
  event: string;
  data: unknown;
  key?: string;
  echo?: boolean;
  created: number;
  attempts: number;
}

/** Where entries outlive a page; see `@tidewire/client/outbox`. */
export interface OutboxStore {
  /** Milliseconds an entry is worth sending. */
  maxAge?: number;
  /** Most entries that wait. */
  limit?: number;
  /** Entries nobody else takes care of, oldest first. */
  load(): Promise<OutboxEntry[]>;
  add(entry: OutboxEntry): Promise<void>;
  remove(id: string): void;
  close(): void;
}

/** Rebuilds messages from changes; see `@tidewire/client/delta`. */
export interface DeltaCodec {
  (fetchWhole: (frame: Frame) => Promise<Frame | undefined>): DeltaStream;
}
export interface DeltaStream {
  /** Calls `deliver` with whole messages, in order, now or later. */
  push(frame: Frame, raw: string | undefined, deliver: (frame: Frame) => void): void;
  reset(): void;
}

export interface ClientOptions {
  /** `https://rt.example.com`; default: where the page came from. */
  url?: string;
  token?: Token;
  /** Tried in this order. */
  transports?: ('websocket' | 'sse' | 'polling' | Transport)[];
  /** One connection for all tabs: `shareTabs()` of `@tidewire/client/shared`. */
  share?: Transport | null;
  /** Where unsent messages live: `indexedDBOutbox()`; default: memory. */
  outbox?: OutboxStore;
  delta?: DeltaCodec;
  reconnect?: ReconnectOptions;
  /** Milliseconds for opening, subscribing and asking. */
  timeout?: number;
  /** Milliseconds of silence after which the server is asked; default: what the server says. */
  heartbeat?: number;
  /** false: connect() is called by you, not by the first subscribe or publish. */
  autoConnect?: boolean;
  WebSocket?: SocketConstructor;
  fetch?: typeof fetch;
}

export interface ChannelOptions {
  /** The newest n messages first. */
  rewind?: number;
  /** Start after this position, as after a break. */
  since?: Position;
  /** false: start anew after a break, without what was missed. */
  recover?: boolean;
  presence?: boolean;
  /** Ask for changes instead of whole messages (needs `delta` in the client's options). */
  delta?: boolean;
}

export interface PublishOptions {
  /** The same id within five minutes is one message. */
  id?: string;
  /** Conflation: a slow reader gets the newest of a key. */
  key?: string;
  /** false: others only. */
  echo?: boolean;
  /** false: fail at once when not connected. */
  queue?: boolean;
  /** Milliseconds; default: the outbox's `maxAge`. */
  timeout?: number;
  signal?: AbortSignal;
}

export interface SendOptions {
  key?: string;
  echo?: boolean;
  /** Dropped when not connected, or when the socket is behind. Default true. */
  volatile?: boolean;
  /** At most one per so many milliseconds and key; the last one always goes. */
  throttle?: number;
}

export interface HistoryOptions {
  limit?: number;
  before?: number;
  after?: number;
  signal?: AbortSignal;
}

export interface Subscribed {
  /** Everything missed was there. */
  recovered: boolean;
  /** Something could not be had any more. */
  gap: boolean;
  epoch: string;
  offset: number;
}
