// SPDX-License-Identifier: Apache-2.0
// A WebSocket case as a row: what is sent to /echo, and what must come back.
//
//   run(port, { send: [frame(...), ...], piece: 1, expect: [text('hi'), pong(''), close(1000)] })
//
// When no close is expected the conversation is ended in good order, and the server must answer
// the close frame and then end the connection. When one is, nothing may follow it.

import assert from 'node:assert/strict';
import { closePayload, frame, inflated, OP, RawWs } from './rawsocket.mjs';

export const text = (payload) => ({ opcode: OP.TEXT, payload: Buffer.from(payload) });
export const binary = (payload) => ({ opcode: OP.BINARY, payload: Buffer.from(payload) });
export const pong = (payload) => ({ opcode: OP.PONG, payload: Buffer.from(payload) });
// code: one, or a list of those that are right; 1005 = an empty close frame
export const close = (...codes) => ({ opcode: OP.CLOSE, codes });

export const PMD = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };

async function sendAll(ws, { send, piece }) {
  for (const part of send) {
    if (typeof part === 'function') {
      await part(ws);
      continue;
    }
    for (let at = 0; at < part.length; at += piece || part.length) {
      await ws.write(part.subarray(at, at + (piece || part.length)));
      if (piece) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function nextMessage(ws) {
  const parts = [];
  let first = null;
  for (;;) {
    const f = await ws.next();
    if (f.opcode >= 8) return f; // the server does not put control frames inside its messages
    first ??= f;
    parts.push(f.payload);
    if (!f.fin) continue;
    const data = Buffer.concat(parts);
    return { opcode: first.opcode, payload: first.rsv === 4 ? inflated(data) : data };
  }
}

function check(want, got, ws) {
  if (want.opcode !== OP.CLOSE) {
    assert.equal(got.opcode, want.opcode, `opcode, after ${got.payload.length} bytes "${got.payload.subarray(0, 80)}"`);
    assert.equal(Buffer.compare(got.payload, want.payload), 0, `payload: ${got.payload.subarray(0, 80).toString('hex')}`);
    return;
  }
  assert.equal(got.opcode, OP.CLOSE, `a close frame, not ${got.opcode} "${got.payload.subarray(0, 80)}"`);
  const { code, reason } = ws.closeOf(got);
  assert.ok(want.codes.includes(code), `close ${code} (${reason}), expected ${want.codes}`);
  assert.ok(got.payload.length <= 125);
}

// Sends our side of the close and waits for the end of the connection: no byte may follow.
async function end(ws, closed) {
  if (!closed) {
    await ws.send(OP.CLOSE, closePayload(1000));
    const f = await ws.next();
    assert.equal(f.opcode, OP.CLOSE, `the answer to our close, not ${f.opcode} "${f.payload.subarray(0, 80)}"`);
    assert.equal(ws.closeOf(f).code, 1000);
  } else {
    await ws.write(frame(OP.CLOSE, closePayload(1000)));
  }
  const rest = await ws.readAll();
  assert.equal(rest.length, 0, `${rest.length} bytes after the close frame`);
  ws.destroy();
}

export async function run(port, { send, expect = [], headers = {}, target = '/echo', ...options }) {
  const ws = await RawWs.open(port, target, headers);
  try {
    const sending = sendAll(ws, { send, ...options });
    let closed = false;
    for (const want of expect) {
      check(want, await nextMessage(ws), ws);
      closed = want.opcode === OP.CLOSE;
    }
    await sending;
    await end(ws, closed);
  } finally {
    ws.destroy();
  }
}
