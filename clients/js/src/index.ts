// SPDX-License-Identifier: Apache-2.0
// @tidewire/client: what applications import.
export { backoff } from './backoff.js';
export type { Channel } from './channel.js';
export type { ChannelEvents } from './channel.js';
export { Client, createClient } from './client.js';
export { Connection } from './connection.js';
export type { Emitter } from './emitter.js';
export type { MessagesOptions } from './iterate.js';
export { TidewireError } from './error.js';
export type { Failed, Outbox } from './queue.js';
export type { Presence } from './presence.js';
export type * from './types.js';
