// SPDX-License-Identifier: Apache-2.0
// HTTP and WebSocket byte by byte, for what a real client would never send. Nothing here is
// checked on the way out; on the way in, a frame or an answer is taken apart as it stands.

import { createHash } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import zlib from 'node:zlib';
import { within } from './wait.mjs';

export class Closed extends Error {}

// A TCP connection whose input is asked for, so that a test reads like a conversation.
export class RawSocket {
  #chunks = Buffer.alloc(0);
  #waiting = null;

  constructor(socket) {
    this.socket = socket;
    this.ended = false; // the peer sent FIN
    this.closed = false; // ... or is gone
    this.wasReset = false;
    this.received = 0;
    socket.setNoDelay(true);
    socket.on('data', (data) => {
      this.received += data.length;
      this.#chunks = this.#chunks.length ? Buffer.concat([this.#chunks, data]) : data;
      this.#wake();
    });
    socket.on('end', () => { this.ended = true; this.#wake(); });
    socket.on('error', (error) => { this.wasReset = true; this.error = error; });
    socket.on('close', () => { this.ended = this.closed = true; this.#wake(); });
  }

  static connect(port, { host = '127.0.0.1', tlsOptions } = {}) {
    return new Promise((resolve, reject) => {
      const socket = tlsOptions
        ? tls.connect({ port, host, ...tlsOptions }, () => resolve(new RawSocket(socket)))
        : net.connect({ port, host, allowHalfOpen: true }, () => resolve(new RawSocket(socket)));
      socket.once('error', reject);
    });
  }

  #wake() {
    this.#waiting?.();
    this.#waiting = null;
  }

  write(data) {
    if (this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => this.socket.write(data, () => resolve()));
  }

  end() {
    this.socket.end();
  }

  reset() {
    this.socket.resetAndDestroy();
  }

  destroy() {
    this.socket.destroy();
  }

  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }

  // What has come and was not taken.
  peek() {
    return this.#chunks;
  }

  take(n = this.#chunks.length) {
    const out = this.#chunks.subarray(0, n);
    this.#chunks = this.#chunks.subarray(n);
    return out;
  }

  // Waits until `done` says how many bytes are to be taken (a number, 0 counts); undefined = more.
  async #when(done, what, ms) {
    const ask = async () => {
      for (;;) {
        const n = done(this.#chunks);
        if (n !== undefined) return this.take(n);
        if (this.ended) throw new Closed(`closed while waiting for ${what}`);
        await new Promise((resolve) => { this.#waiting = resolve; });
      }
    };
    return within(ask(), what, ms);
  }

  read(n, ms) {
    return this.#when((b) => (b.length >= n ? n : undefined), `${n} bytes`, ms);
  }

  readUntil(text, ms) {
    return this.#when((b) => {
      const at = b.indexOf(text);
      return at < 0 ? undefined : at + text.length;
    }, JSON.stringify(text), ms);
  }

  // All until the peer's end.
  async readAll(ms) {
    const wait = async () => {
      while (!this.ended) await new Promise((resolve) => { this.#waiting = resolve; });
      return this.take();
    };
    return within(wait(), 'the end of the connection', ms);
  }

  // One answer: { status, reason, headers (lower case, last wins), list, body }.
  async readResponse({ head = false, ms } = {}) {
    const text = (await this.readUntil('\r\n\r\n', ms)).toString('latin1');
    const lines = text.split('\r\n');
    const m = lines[0].match(/^HTTP\/1\.1 (\d{3}) (.*)$/);
    if (!m) throw new Error(`not a status line: ${lines[0]}`);
    const list = lines.slice(1, -2).map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
    });
    const headers = Object.fromEntries(list);
    const answer = { status: Number(m[1]), reason: m[2], headers, list, text };
    answer.body = head || [204, 304].includes(answer.status) || answer.status < 200
      ? Buffer.alloc(0) : await this.#body(headers, ms);
    return answer;
  }

  async #body(headers, ms) {
    if (headers['transfer-encoding'] === 'chunked') {
      const parts = [];
      for (;;) {
        const chunk = await this.readChunk(ms);
        if (!chunk.length) return Buffer.concat(parts);
        parts.push(chunk);
      }
    }
    if (headers['content-length'] !== undefined) return this.read(Number(headers['content-length']), ms);
    return this.readAll(ms);
  }

  async readChunk(ms) {
    const size = parseInt((await this.readUntil('\r\n', ms)).toString(), 16);
    const data = await this.read(size, ms);
    await this.readUntil('\r\n', ms);
    return Buffer.from(data);
  }

  // Waits until the peer has closed; what it still sent is dropped.
  async gone(ms) {
    await this.readAll(ms);
  }
}

// One request, all answers until the connection ends or stays silent: for tests of the parser.
// Sends `bytes` in pieces of `piece` bytes when that is given.
export async function exchange(port, bytes, { piece = 0, half = true, ms = 15000 } = {}) {
  const s = await RawSocket.connect(port);
  const data = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1');
  for (let at = 0; at < data.length; at += piece || data.length) {
    await s.write(data.subarray(at, at + (piece || data.length)));
  }
  if (half) s.end();
  const all = await s.readAll(ms);
  s.destroy();
  return all;
}

// ---- WebSocket ----------------------------------------------------------------------------------

export const OP = { CONT: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };

// A client's frame. mask: true (fixed key), false (none), or 4 bytes. form: length form 7, 16 or 64
// whatever the length is. claim: another length in the head than the payload has.
export function frame(opcode, payload = '', options = {}) {
  const { fin = true, rsv = 0, mask = true, form, claim } = options;
  const data = Buffer.isBuffer(payload) ? Buffer.from(payload) : Buffer.from(payload);
  const length = claim ?? data.length;
  const size = form ?? (length < 126 ? 7 : length < 65536 ? 16 : 64);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const bit = mask === false ? 0 : 0x80;
  if (size === 7) head.push(bit | Number(length));
  else if (size === 16) head.push(bit | 126, (Number(length) >> 8) & 255, Number(length) & 255);
  else {
    const eight = Buffer.alloc(8);
    eight.writeBigUInt64BE(BigInt(length));
    head.push(bit | 127, ...eight);
  }
  if (mask === false) return Buffer.concat([Buffer.from(head), data]);
  const key = mask === true ? Buffer.from([0x37, 0xfa, 0x21, 0x3d]) : mask;
  for (let i = 0; i < data.length; i++) data[i] ^= key[i & 3];
  return Buffer.concat([Buffer.from(head), key, data]);
}

export function closePayload(code, reason = '') {
  const two = Buffer.alloc(2);
  two.writeUInt16BE(code);
  return Buffer.concat([two, Buffer.isBuffer(reason) ? reason : Buffer.from(reason)]);
}

// A message's payload for a compressed frame (RFC 7692), without the closing 00 00 ff ff.
export function deflated(payload, options = {}) {
  const out = zlib.deflateRawSync(payload, { finishFlush: zlib.constants.Z_SYNC_FLUSH, ...options });
  return out.subarray(0, out.length - 4);
}

export function inflated(payload, options = {}) {
  return zlib.inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]),
    { finishFlush: zlib.constants.Z_SYNC_FLUSH, ...options });
}

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

export function acceptOf(key) {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

// The text of an upgrade request. headers: name -> value (an array repeats it, null leaves it out).
export function upgradeText(target, headers = {}, { method = 'GET', version = 'HTTP/1.1' } = {}) {
  const all = {
    Host: 'localhost', Upgrade: 'websocket', Connection: 'Upgrade',
    'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': '13', ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => [value ?? []].flat().map((v) => `${name}: ${v}`));
  return `${method} ${target} ${version}\r\n${lines.join('\r\n')}\r\n\r\n`;
}

// An open WebSocket whose frames are written and read one by one.
export class RawWs extends RawSocket {
  // Returns the open socket; .answer is the 101. A refused upgrade throws with .answer.
  static async open(port, target = '/socket', headers = {}) {
    const plain = await RawSocket.connect(port);
    const ws = Object.setPrototypeOf(plain, RawWs.prototype);
    await ws.write(upgradeText(target, headers));
    ws.answer = await ws.readResponse();
    if (ws.answer.status !== 101) {
      ws.destroy();
      throw Object.assign(new Error(`upgrade refused: ${ws.answer.status} ${ws.answer.body}`), { answer: ws.answer });
    }
    return ws;
  }

  send(opcode, payload, options) {
    return this.write(frame(opcode, payload, options));
  }

  sendJson(value) {
    return this.send(OP.TEXT, JSON.stringify(value));
  }

  // The server's next frame: { fin, rsv, opcode, payload }. Masked or oddly long ones throw.
  async next(ms) {
    const head = await this.read(2, ms);
    const [a, b] = head;
    let length = b & 127;
    if (b & 128) throw new Error('the server masked a frame');
    if (length === 126) {
      length = (await this.read(2, ms)).readUInt16BE();
      if (length < 126) throw new Error('length is not minimal');
    } else if (length === 127) {
      length = Number((await this.read(8, ms)).readBigUInt64BE());
      if (length < 65536) throw new Error('length is not minimal');
    }
    const payload = Buffer.from(await this.read(length, ms));
    return { fin: a >> 7 === 1, rsv: (a >> 4) & 7, opcode: a & 15, payload };
  }

  // The next data message, inflated when it was compressed; control frames before it are kept in
  // .controls.
  async message(ms) {
    let parts = null;
    for (;;) {
      const f = await this.next(ms);
      if (f.opcode >= 8) {
        (this.controls ??= []).push(f);
        if (f.opcode === OP.CLOSE) throw Object.assign(new Closed('close frame'), { close: this.closeOf(f) });
        continue;
      }
      parts ??= { opcode: f.opcode, rsv: f.rsv, data: [] };
      parts.data.push(f.payload);
      if (!f.fin) continue;
      const data = Buffer.concat(parts.data);
      return { opcode: parts.opcode, compressed: parts.rsv === 4, payload: parts.rsv === 4 ? inflated(data) : data };
    }
  }

  async json(ms) {
    return JSON.parse((await this.message(ms)).payload.toString());
  }

  // Messages until one of that type.
  async jsonOf(type, ms) {
    for (;;) {
      const m = await this.json(ms);
      if (m.type === type) return m;
    }
  }

  closeOf(f) {
    return f.payload.length < 2 ? { code: 1005, reason: '' }
      : { code: f.payload.readUInt16BE(), reason: f.payload.subarray(2).toString() };
  }

  // Frames until the close frame; { code, reason, before: the frames that came first }, or code
  // 1006 when the connection ends without one.
  async closing(ms) {
    const before = [];
    for (;;) {
      let f;
      try {
        f = await this.next(ms);
      } catch (error) {
        if (error instanceof Closed) return { code: 1006, reason: '', before };
        throw error;
      }
      if (f.opcode === OP.CLOSE) return { ...this.closeOf(f), before };
      before.push(f);
    }
  }
}
