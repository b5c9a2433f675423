// SPDX-License-Identifier: Apache-2.0
// Hooks on channels. Each keeps its state in a Store made for the channel, listens in an effect, and
// lets go a moment after unmount, so that a second mount finds everything as it was.
import type {
  Ack,
  Channel,
  ChannelOptions,
  ChannelState,
  Gap,
  Member,
  Message,
  PublishOptions,
  SendOptions,
} from '@tidewire/client';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { GRACE_MS, useClient, useKeep } from './context.js';
import { Store, useStore } from './store.js';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Any = any;

/** The newest value without being a dependency. */
export function useLatest<T>(value: T): { readonly current: T } {
  const ref = useRef(value);
  useEffect(() => {
    ref.current = value;
  });
  return ref;
}

export const randomId = (): string => Math.random().toString(36).slice(2) + Date.now().toString(36);

export interface Handlers {
  onMessage?(message: Message<Any>): void;
  onGap?(gap: Gap): void;
  onError?(error: Error): void;
}

/** The channel of that name, subscribed while mounted. Components share one subscription. */
export function useChannel(name: string, options?: ChannelOptions, handlers: Handlers = {}): Channel<Record<string, Any>> {
  const client = useClient();
  useKeep(client);
  const channel = useMemo(() => client.channel(name, options), [client, name]);
  const latest = useLatest(handlers);
  useEffect(() => {
    const offs = [
      channel.on('*', (m) => latest.current.onMessage?.(m)),
      channel.on('gap', (g) => latest.current.onGap?.(g)),
      channel.on('error', (e) => latest.current.onError?.(e)),
    ];
    let counted = true;
    channel.subscribe().catch(() => (counted = false));
    return () => {
      offs.forEach((off) => off());
      setTimeout(() => counted && channel.unsubscribe(), GRACE_MS);
    };
  }, [channel]);
  return channel;
}

export interface MessagesOptions extends ChannelOptions {
  /** Only this event. */
  event?: string;
  /** Most that are kept here. Default 200. */
  limit?: number;
  onGap?(gap: Gap): void;
}

export interface Messages<T> {
  messages: Message<T>[];
  publish(data: T, options?: PublishOptions): Promise<Ack>;
  /** Older ones, from the server's history. False: there are none. */
  loadMore(count?: number): Promise<boolean>;
  status: ChannelState;
  /** Something was missed for good since the last time all was there. */
  gap: boolean;
  error?: Error;
}

interface Kept<T> {
  list: Message<T>[];
  status: ChannelState;
  gap: boolean;
  error?: Error;
}

/** By offset, each once. */
export function mergeMessages<T>(list: readonly Message<T>[], more: readonly Message<T>[], limit: number): Message<T>[] {
  const all = [...list];
  for (const message of more) {
    let at = all.length;
    while (at && all[at - 1]!.offset > message.offset) at--;
    if (all[at - 1]?.id != message.id) all.splice(at, 0, message);
  }
  return all.length > limit ? all.slice(-limit) : all;
}

/** The messages of a channel, the newest `limit`, in order. */
export function useMessages<T = Any>(name: string, options: MessagesOptions = {}): Messages<T> {
  const { event, limit = 200, onGap, ...channelOptions } = options;
  const rewind = channelOptions.rewind ?? Math.min(limit, 50);
  const store = useMemo(() => new Store<Kept<T>>({ list: [], status: 'initialized', gap: false }), [name, event]);
  const put = (part: Partial<Kept<T>>) => store.set({ ...store.value, ...part });
  const takes = (m: Message) => event === undefined || m.event == event;
  const client = useClient();
  const before = useMemo(() => client.channel(name, { ...channelOptions, rewind }).state, [client, name]);
  const channel = useChannel(
    name,
    { ...channelOptions, rewind },
    {
      onMessage: (m) => takes(m) && put({ list: mergeMessages(store.value.list, [m], limit) }),
      onGap: (g) => {
        put({ gap: true });
        onGap?.(g);
      },
      onError: (error) => put({ error }),
    },
  );
  useEffect(() => {
    put({ status: channel.state });
    // Somebody else had it open already: what he got at the start we have to ask for.
    if (before == 'attached' && rewind && !store.value.list.length) {
      channel.history({ limit: rewind }).then(
        ({ messages }) => put({ list: mergeMessages(store.value.list, messages.filter(takes) as Message<T>[], limit) }),
        () => {},
      );
    }
    return channel.on('state', (status) => put(status == 'attached' ? { status, error: undefined } : { status }));
  }, [channel, store]);
  const { list, status, gap, error } = useStore(store);
  return {
    messages: list,
    status,
    gap,
    error,
    publish: useCallback((data: T, more?: PublishOptions) => channel.publish(event ?? 'message', data, more), [channel, event]),
    loadMore: useCallback(
      async (count = 50) => {
        const { messages, more } = await channel.history({ limit: count, before: store.value.list[0]?.offset });
        const old = messages.filter(takes) as Message<T>[];
        put({ list: mergeMessages(store.value.list, old, store.value.list.length + old.length) });
        return more;
      },
      [channel, store],
    ),
  };
}

export interface PresenceState<M> {
  members: Member<M>[];
  update(meta: M): Promise<void>;
  enter(meta?: M): Promise<void>;
  leave(): Promise<void>;
  /** Why we are not there, or may not look. */
  error?: Error;
}

const present = new Map<string, number>();

/** Who is there. With `initial` we are there too, while mounted; `key` defaults to who the token says. */
export function usePresence<M = Any>(name: string, initial?: M, key?: string): PresenceState<M> {
  const [error, fail] = useState<Error>();
  const channel = useChannel(name, { presence: true }, { onError: fail });
  const store = useMemo(() => new Store<Member<M>[]>(channel.presence.members as Member<M>[]), [channel]);
  const latest = useLatest(initial);
  const takesPart = initial !== undefined;
  useEffect(() => channel.presence.on('sync', (all) => store.set(all as Member<M>[])), [channel, store]);
  useEffect(() => {
    if (!takesPart) return;
    const slot = JSON.stringify([name, key]);
    present.set(slot, (present.get(slot) ?? 0) + 1);
    channel.presence.enter(latest.current, key).then(() => fail(undefined), fail);
    return () => {
      setTimeout(() => {
        const left = present.get(slot)! - 1;
        present.set(slot, left);
        if (!left) channel.presence.leave(key).catch(() => {});
      }, GRACE_MS / 2);
    };
  }, [channel, key, takesPart]);
  const enter = useCallback((meta?: M) => channel.presence.enter(meta, key), [channel, key]);
  return {
    members: useStore(store, EMPTY as Member<M>[]),
    error,
    enter,
    update: enter,
    leave: useCallback(() => channel.presence.leave(key), [channel, key]),
  };
}
const EMPTY: never[] = [];

/** The last value of each sender, and a function that sends ours: cursors, reactions. */
export function useBroadcast<T = Any>(
  name: string,
  event: string,
  options: SendOptions & { ttl?: number } = {},
): [ReadonlyMap<string, T>, (data: T) => void] {
  const me = useMemo(randomId, []);
  const store = useMemo(() => new Store<ReadonlyMap<string, T>>(new Map()), [name, event]);
  const timers = useMemo(() => new Map<string, ReturnType<typeof setTimeout>>(), [store]);
  const channel = useChannel(name, undefined, {
    onMessage(m) {
      const from = m.key ?? m.sender?.session ?? m.sender?.sub ?? '';
      if (m.event != event || from == me || m.replayed) return;
      const take = (data?: T) => {
        const all = new Map(store.value);
        if (data === undefined) all.delete(from);
        else all.set(from, data);
        store.set(all);
      };
      take(m.data as T);
      clearTimeout(timers.get(from));
      if (options.ttl) timers.set(from, setTimeout(take, options.ttl));
    },
  });
  useEffect(() => () => timers.forEach(clearTimeout), [timers]);
  const latest = useLatest(options);
  const send = useCallback(
    (data: T) => {
      const { ttl: _, ...rest } = latest.current;
      channel.send(event, data, { echo: false, key: me, ...rest });
    },
    [channel, event, me],
  );
  return [useStore(store), send];
}

export interface TypingOptions {
  /** How we are called at the others. */
  name?: string;
  /** Milliseconds without a key after which we are no longer typing. */
  idle?: number;
  /** Milliseconds after which others forget us; we say it again at half of it. */
  ttl?: number;
}

/** Who types. Call `handleTyping` on every key, `stop` on blur and on sending. */
export function useTyping(channelName: string, { name, idle = 1000, ttl = 3000 }: TypingOptions = {}) {
  const [others, send] = useBroadcast<{ name?: string; on: boolean }>(channelName, 'typing', { ttl });
  const latest = useLatest(name);
  const say = useCallback((on: boolean) => send({ name: latest.current, on }), [send]);
  const handleTyping = useTypingIndicator(
    () => say(true),
    idle,
    () => say(false),
    ttl / 2,
  );
  const typing = useMemo(() => [...others].filter(([, t]) => t.on).map(([key, t]) => t.name ?? key), [others]);
  return { typing, handleTyping, stop: handleTyping.stop };
}

/**
 * The first key calls `onTyping`, and then one each `again` ms while it goes on (default: never again);
 * `delay` ms of quiet, unmounting or `stop()` call `onStoppedTyping`.
 */
export function useTypingIndicator(onTyping: () => void, delay = 1000, onStoppedTyping?: () => void, again = Infinity) {
  const latest = useLatest({ onTyping, onStoppedTyping });
  const handle = useMemo(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let said = 0;
    const stop = () => {
      if (timer === undefined) return;
      clearTimeout(timer);
      timer = undefined;
      latest.current.onStoppedTyping?.();
    };
    const handleTyping = () => {
      const now = Date.now();
      if (timer === undefined || now - said >= again) {
        said = now;
        latest.current.onTyping();
      }
      clearTimeout(timer);
      timer = setTimeout(stop, delay);
    };
    return Object.assign(handleTyping, { stop });
  }, [delay, again]);
  useEffect(() => handle.stop, [handle]);
  return handle;
}

export interface OptimisticItem<T> {
  id: string;
  value: T;
  status: 'sending' | 'sent' | 'failed';
  error?: Error;
}

/**
 * A list that shows what we did before the server has it. `base` is the truth; `send` brings one item
 * there. An item leaves the waiting ones when the truth holds its id, whichever comes first: the answer
 * or the echo.
 */
export function useOptimistic<T>(base: readonly T[], { id, send }: { id(item: T): string; send(item: T): Promise<unknown> }) {
  const [store] = useState(() => new Store<OptimisticItem<T>[]>([]));
  const items = useStore(store);
  const latest = useLatest({ id, send });
  const known = new Set(base.map(id));
  const act = useMemo(() => {
    const change = (key: string, part: Partial<OptimisticItem<T>> | null) =>
      store.set(store.value.flatMap((i) => (i.id == key ? (part ? [{ ...i, ...part }] : []) : [i])));
    const go = async (key: string, value: T) => {
      try {
        await latest.current.send(value);
        change(key, { status: 'sent' });
      } catch (error) {
        change(key, { status: 'failed', error: error as Error });
      }
    };
    return {
      mutate(value: T) {
        const key = latest.current.id(value);
        store.set([...store.value, { id: key, value, status: 'sending' }]);
        return go(key, value);
      },
      retry(key: string) {
        const item = store.value.find((i) => i.id == key && i.status == 'failed');
        if (!item) return;
        change(key, { status: 'sending', error: undefined });
        return go(key, item.value);
      },
      discard: (key: string) => change(key, null),
    };
  }, [store]);
  useEffect(() => {
    if (items.some((i) => known.has(i.id))) store.set(store.value.filter((i) => !known.has(i.id)));
  });
  const waiting = items.filter((i) => !known.has(i.id));
  return {
    data: [...base.map((value): OptimisticItem<T> => ({ id: id(value), value, status: 'sent' })), ...waiting],
    pending: waiting.filter((i) => i.status == 'sending'),
    failed: waiting.filter((i) => i.status == 'failed'),
    ...act,
  };
}

/** `lost` after the connection has been away for `after` ms, `restored` when it is back. */
export function useLostConnection(listener: (event: 'lost' | 'restored') => void, after = 5000): void {
  const client = useClient();
  const latest = useLatest(listener);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let lost = false;
    const off = client.connection.on('change', ({ current }) => {
      if (current == 'connected') {
        clearTimeout(timer);
        timer = undefined;
        if (lost) latest.current('restored');
        lost = false;
      } else if (/^(dis|sus|fail)/.test(current)) {
        timer ??= setTimeout(() => {
          lost = true;
          latest.current('lost');
        }, after);
      }
    });
    return () => {
      off();
      clearTimeout(timer);
    };
  }, [client, after]);
}
