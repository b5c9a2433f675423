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
  const names = [encoder.encode(channel), encoder.encode(event)];
  const out = new Uint8Array(2 + names[0]!.length + names[1]!.length + content.length);
  let at = 0;
  for (const name of names) {
    out[at++] = name.length;
    out.set(name, at);
    at += name.length;
  }
  out.set(content, at);
  return out;
}

/** The server's form has 8 bytes of big-endian offset before the content. */
export function decodeBinary(bytes: Uint8Array): Frame {
  let at = 0;
  const name = () => {
    const end = at + 1 + bytes[at]!;
    const text = decoder.decode(bytes.subarray(at + 1, end));
    at = end;
    return text;
  };
  const channel = name();
  const event = name();
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const offset = view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
  return { type: 'message', channel, event, offset, content: bytes.slice(at + 8) };
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}
