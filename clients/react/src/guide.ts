// SPDX-License-Identifier: Apache-2.0
// Hooks by the names that people know from tutorials, with the same signatures, mended: no second
// subscription per render, echo and optimistic row are one, failures show.
import type { Message } from '@tidewire/client';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useConnection } from './context.js';
import { randomId, useChannel, useLatest, useMessages, useOptimistic } from './hooks.js';

export interface User {
  id: string;
  name?: string;
}

export interface RoomMessage {
  userId?: string;
  userName?: string;
  message: string;
  timestamp: number;
}

/** A chat room: the events and fields of the Socket.IO chat, so that both kinds of clients meet in it. */
export function useSocket(roomId: string, user?: User) {
  const { isConnected } = useConnection();
  const { messages, publish } = useMessages<RoomMessage>(roomId, { event: 'new-message' });
  const channel = useChannel(roomId);
  const latest = useLatest(user);
  const userId = user?.id;
  useEffect(() => {
    if (userId) channel.presence.enter({ userId, userName: latest.current?.name }, userId).catch(() => {});
    return () => {
      if (userId) channel.presence.leave(userId).catch(() => {});
    };
  }, [channel, userId]);
  const say = useCallback((event: string) => channel.send(event, { userId: latest.current?.id }, { echo: false }), [channel]);
  return {
    connected: isConnected,
    messages: useMemo(() => messages.map((m) => ({ id: m.id, ...m.data })), [messages]),
    sendMessage: useCallback(
      (message: string) =>
        publish({ userId: latest.current?.id, userName: latest.current?.name, message, timestamp: Date.now() }),
      [publish],
    ),
    startTyping: useCallback(() => say('user-typing'), [say]),
    stopTyping: useCallback(() => say('user-stopped-typing'), [say]),
  };
}

/**
 * `subscribe` gets a callback and returns the way out. It may be a new function on every render:
 * only a change of `deps` subscribes anew.
 */
export function useRealTimeData<T>(
  subscribe: (callback: (data: T) => void, onError: (error: Error) => void) => () => void,
  deps: readonly unknown[] = [],
) {
  const [state, set] = useState<{ data: T | null; error: Error | null; isConnected: boolean }>({
    data: null,
    error: null,
    isConnected: false,
  });
  const latest = useRef(subscribe);
  latest.current = subscribe;
  useEffect(() => {
    let on = true;
    const fail = (error: unknown) => on && set((s) => ({ ...s, error: error as Error, isConnected: false }));
    let off: (() => void) | undefined;
    try {
      off = latest.current((data) => on && set({ data, error: null, isConnected: true }), fail);
      set((s) => ({ ...s, isConnected: !s.error }));
    } catch (error) {
      fail(error);
    }
    return () => {
      on = false;
      set((s) => ({ ...s, isConnected: false }));
      off?.();
    };
  }, deps);
  return state;
}

export interface ChatMessage {
  id: string;
  content: string;
  user_id?: string;
  created_at: string;
  status?: 'sending' | 'sent' | 'failed';
}

/** A chat whose own messages show at once: sending, sent, or failed with `retry` and `discard`. */
export function useChatMessages(roomId: string, userId?: string) {
  const { messages, publish, loadMore, gap } = useMessages<ChatMessage>(roomId, { event: 'chat-message' });
  const base = useMemo(() => messages.map((m: Message<ChatMessage>) => m.data), [messages]);
  const { data, mutate, failed, retry, discard } = useOptimistic(base, {
    id: (m) => m.id,
    // The id makes a repeated send one message, and the echo the same row.
    send: (m) => publish(m, { id: m.id, timeout: 15000 }),
  });
  return {
    messages: data.map(({ value, status }): ChatMessage => ({ ...value, status })),
    sendMessage: useCallback(
      (content: string) => mutate({ id: randomId(), content, user_id: userId, created_at: new Date().toISOString() }),
      [mutate, userId],
    ),
    failed,
    retry,
    discard,
    loadMore,
    gap,
  };
}
