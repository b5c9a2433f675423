// SPDX-License-Identifier: Apache-2.0
// Frames over a WebSocket: one text frame each. Nothing is tried again here.
import { decodeBinary } from './binary.js';
import { TidewireError, UNAVAILABLE } from './error.js';
import type { Transport } from './types.js';

export const websocket: Transport = {
  name: 'websocket',
  open(context) {
    const { base, token, session, WebSocket } = context;
    if (!WebSocket) throw new TidewireError(UNAVAILABLE, 'No WebSocket here', 'Pass one in the options, such as that of the package ws.');
    const query = new URLSearchParams({ session: session ?? 'none' });
    if (token) query.set('token', token);
    const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/socket?${query}`, 'tidewire.v1');
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => {
      context.alive();
      if (typeof data == 'string') context.frame(JSON.parse(data), data);
      else context.frame(decodeBinary(new Uint8Array(data)));
    };
    socket.onclose = ({ code, reason }) => context.closed(code, reason ? new TidewireError(code, reason) : undefined);
    socket.onerror = () => {}; // close follows
    return {
      send: (frame) => socket.send(JSON.stringify(frame)),
      sendBinary: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>),
      buffered: () => socket.bufferedAmount,
      close(code) {
        socket.onmessage = socket.onclose = null;
        socket.close(code);
      },
    };
  },
};
