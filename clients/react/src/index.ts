// SPDX-License-Identifier: Apache-2.0
// @tidewire/react: what applications import.
export { TidewireProvider, useClient, useConnection } from './context.js';
export type { ConnectionStatus, ProviderProps } from './context.js';
export {
  mergeMessages,
  useBroadcast,
  useChannel,
  useLostConnection,
  useMessages,
  useOptimistic,
  usePresence,
  useTyping,
  useTypingIndicator,
} from './hooks.js';
export type { Handlers, Messages, MessagesOptions, OptimisticItem, PresenceState, TypingOptions } from './hooks.js';
export { useChatMessages, useRealTimeData, useSocket } from './guide.js';
export type { ChatMessage, RoomMessage, User } from './guide.js';
export { Store, useStore } from './store.js';
// A file of its own: who shows no tables does not bundle it.
export { rest, useRealtimeMessages, useTable } from './table.js';
export type { Row, TableOptions } from './table.js';
