// SPDX-License-Identifier: Apache-2.0
// Messages rebuilt from what changed against the last one of the same key (docs/protocols/native.md,
// "Deltas"). The server's bytes are the truth: a wrong sum, or a base we do not have, fetches the
// whole message, and what comes after it waits.
import type { DeltaCodec, Frame } from './types.js';

const KEYS_MAX = 200;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** CRC-32 as zlib has it. */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

/** n > 0 copies n bytes, -n leaves out n bytes, a text is put in. undefined: it does not fit. */
export function applyDelta(base: Uint8Array, delta: readonly (number | string)[]): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let at = 0;
  let size = 0;
  for (const step of delta) {
    if (typeof step == 'string') parts.push(encoder.encode(step));
    else {
      const to = at + Math.abs(step);
      if (!Number.isInteger(step) || to > base.length) return;
      if (step > 0) parts.push(base.subarray(at, to));
      at = to;
      if (step < 0) continue;
    }
    size += parts[parts.length - 1]?.length ?? 0;
  }
  const out = new Uint8Array(size);
  let end = 0;
  for (const part of parts) {
    out.set(part, end);
    end += part.length;
  }
  return out;
}

/** The text of the member `name` of the object that stands `depth` braces deep, as it was sent. */
export function rawMember(json: string, name: string, depth = 1): string | undefined {
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs;
  const wanted = JSON.stringify(name);
  let level = 0;
  let start = -1;
  let key = '';
  for (let t; (t = token.exec(json));) {
    const text = t[0];
    if (text == '{' || text == '[') level++;
    else if (text == '}' || text == ']' || text == ',') {
      if (level == depth && start >= 0) return json.slice(start, t.index);
      if (text != ',') level--;
    } else if (text == ':') {
      if (level == depth && start < 0 && key == wanted) start = token.lastIndex;
    } else if (level == depth && start < 0) key = text;
  }
}

interface Base {
  offset: number;
  bytes: Uint8Array;
}

export function deltas(): DeltaCodec {
  return (fetchWhole) => {
    const bases = new Map<string, Base>();
    let held: [Frame, string | undefined, (frame: Frame) => void][] | undefined;
    let turn = 0;

    const keep = (frame: Frame, bytes: Uint8Array) => {
      const name = slot(frame);
      bases.delete(name);
      bases.set(name, { offset: frame.offset, bytes });
      if (bases.size > KEYS_MAX) bases.delete(bases.keys().next().value!);
    };
    const slot = ({ key, event }: Frame) => (key === undefined ? `e${event}` : `k${key}`);

    const push = (frame: Frame, raw: string | undefined, deliver: (frame: Frame) => void) => {
      if (held) {
        held.push([frame, raw, deliver]);
        return;
      }
      const { delta, base, sum, ...rest } = frame;
      if (!delta) {
        const text = raw && rawMember(raw, 'content');
        if (text) keep(frame, encoder.encode(text));
        return deliver(frame);
      }
      const old = bases.get(slot(frame));
      const bytes = old && old.offset == base ? applyDelta(old.bytes, delta) : undefined;
      if (bytes && crc32(bytes) == sum) {
        keep(frame, bytes);
        return deliver({ ...rest, content: JSON.parse(decoder.decode(bytes)) } as Frame);
      }
      held = [];
      const mine = turn;
      fetchWhole({ type: 'history', channel: frame.channel, after: frame.offset - 1, limit: 1 }).then((answer) => {
        if (mine != turn) return; // the connection broke: what follows comes again by its position
        const whole = (answer?.messages as Frame[] | undefined)?.[0];
        const waiting = held!;
        held = undefined;
        if (whole?.offset == frame.offset) {
          const text = answer!.raw && rawMember(answer!.raw, 'content', 3);
          if (text) keep(frame, encoder.encode(text));
          deliver({ ...rest, content: whole!.content } as Frame);
        }
        waiting.forEach((w) => push(...w));
      });
    };
    return {
      push,
      reset() {
        turn++;
        held = undefined;
        bases.clear();
      },
    };
  };
}
