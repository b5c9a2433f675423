// SPDX-License-Identifier: Apache-2.0
// Binary messages: the frame of the plain dialect, and base64 where only text can pass.
import type { Frame } from './types.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function bytesOf(data: unknown): Uint8Array | undefined {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** `<channel length><channel><event length><event><content>` */
export function encodeBinary(channel: string, event: string, content: Uint8Array): Uint8Array {
  const name = (text: string) => {
    const bytes = encoder.encode(text);
    return [bytes.length, ...bytes];
  };
  const head = [...name(channel), ...name(event)];
  const out = new Uint8Array(head.length + content.length);
  out.set(head);
  out.set(content, head.length);
  return out;
}

/** The server's form has 8 bytes of big-endian offset before the content. */
export function decodeBinary(bytes: Uint8Array): Frame {
  let at = 0;
  const name = () => decoder.decode(bytes.subarray(at + 1, (at += 1 + bytes[at]!)));
  const channel = name();
  const event = name();
  const offset = bytes.subarray(at, at + 8).reduce((sum, byte) => sum * 256 + byte, 0);
  return { type: 'message', channel, event, offset, content: bytes.slice(at + 8) };
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}
