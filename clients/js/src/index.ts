// SPDX-License-Identifier: Apache-2.0
// @tidewire/client: what applications import.
export { backoff } from './backoff.js';
export { Channel } from './channel.js';
export type { ChannelEvents } from './channel.js';
export { Client, createClient } from './client.js';
export { Connection } from './connection.js';
export { Emitter } from './emitter.js';
export { TidewireError } from './error.js';
export { Outbox } from './outbox-queue.js';
export { Presence } from './presence.js';
export type * from './types.js';
