// SPDX-License-Identifier: Apache-2.0
// Frames over a WebSocket: one text frame each. Nothing is tried again here.
import { decodeBinary } from './binary.js';
import { TidewireError } from './error.js';
import type { Transport } from './types.js';

export const websocket: Transport = {
  name: 'websocket',
  open(context) {
    const { base, token, session, WebSocket } = context;
    const query = `session=${session ?? 'none'}${token ? '&token=' + encodeURIComponent(token) : ''}`;
    const socket = new WebSocket!(`ws${base.slice(4)}/socket?${query}`, 'tidewire.v1');
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }: MessageEvent) => {
      context.alive();
      if (typeof data == 'string') context.frame(JSON.parse(data), data);
      else context.frame(decodeBinary(new Uint8Array(data)));
    };
    socket.onclose = ({ code, reason }: CloseEvent) => context.closed(code, reason ? new TidewireError(code, reason) : undefined);
    socket.onerror = () => {}; // close follows; some implementations throw what nobody listens to
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
