// SPDX-License-Identifier: Apache-2.0
// RFC 6455, section 5 to 8, frame by frame over a raw socket against /echo. Each row is a test.
import { after, before, describe, test } from 'node:test';
import { closePayload, frame, OP } from './lib/rawsocket.mjs';
import { Rng } from './lib/rng.mjs';
import { serveAll } from './lib/server.mjs';
import { binary, close, pong, run, text } from './lib/wscase.mjs';

const server = serveAll({ before, after }, { args: ['--conformance'] });
const { CONT, TEXT, BINARY, CLOSE, PING, PONG } = OP;
const MAX = 16 << 20; // of /echo
const PROTOCOL = close(1002);
const TOO_BIG = close(1009);
const BAD_TEXT = close(1007);

function rows(title, list) {
  describe(title, () => {
    for (const [name, row] of list) test(name, () => run(server.port, row));
  });
}

const part = (opcode, payload) => frame(opcode, payload, { fin: false });
const ascii = (n) => 'tidewire'.repeat(n / 8 + 1).slice(0, n);
const noise = (n) => new Rng(n).bytes(n);
const u8 = (...bytes) => Buffer.from(bytes);

// ---- messages of every length form ----------------------------------------------------------
const LENGTHS = [0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 4095, 4096, 65534, 65535, 65536, 65537, 200001, 1 << 20];
rows('a text message comes back', LENGTHS.map((n) =>
  [`of ${n} bytes`, { send: [frame(TEXT, ascii(n))], expect: [text(ascii(n))] }]));
rows('a binary message comes back', LENGTHS.map((n) =>
  [`of ${n} bytes`, { send: [frame(BINARY, noise(n))], expect: [binary(noise(n))] }]));
rows('however it is cut by the network', [0, 1, 125, 126, 127, 300].flatMap((n) => [1, 2, 3, 7].map((piece) =>
  [`${n} bytes in pieces of ${piece}`, { send: [frame(TEXT, ascii(n))], piece, expect: [text(ascii(n))] }])));
rows('however it is cut by the network, larger', [65535, 65536, 100000].flatMap((n) => [997, 4096, 65536].map((piece) =>
  [`${n} bytes in pieces of ${piece}`, { send: [frame(BINARY, noise(n))], piece, expect: [binary(noise(n))] }])));
rows('several messages', [
  ['in one write keep their order', {
    send: [Buffer.concat([...'abcdefgh'].map((c) => frame(TEXT, c)))], expect: [...'abcdefgh'].map(text),
  }],
  ['text and binary mixed', {
    send: [frame(TEXT, 'a'), frame(BINARY, u8(0, 255)), frame(TEXT, '')], expect: [text('a'), binary(u8(0, 255)), text('')],
  }],
  ['of the largest size', { send: [frame(BINARY, Buffer.alloc(MAX, 7))], expect: [binary(Buffer.alloc(MAX, 7))] }],
]);

// ---- masks ------------------------------------------------------------------------------------
rows('any mask is taken off', ['00000000', 'ffffffff', '00000001', '80000000', 'deadbeef', '0a0d0a0d'].map((hex) =>
  [hex, { send: [frame(TEXT, ascii(131), { mask: Buffer.from(hex, 'hex') })], expect: [text(ascii(131))] }]));
rows('a frame without a mask is an error', [TEXT, BINARY, CONT, CLOSE, PING, PONG].flatMap((opcode) => [
  [`opcode ${opcode}`, { send: [frame(opcode, '', { mask: false })], expect: [PROTOCOL] }],
  [`opcode ${opcode}, with payload`, { send: [frame(opcode, '\x03\xe8', { mask: false })], expect: [PROTOCOL] }],
]));
rows('a mask may change from frame to frame', [
  ['also within a message', {
    send: [frame(TEXT, 'he', { fin: false, mask: u8(1, 2, 3, 4) }), frame(CONT, 'llo', { mask: u8(9, 8, 7, 6) })],
    expect: [text('hello')],
  }],
]);

// ---- reserved bits and opcodes -----------------------------------------------------------------
rows('a reserved bit is an error', [1, 2, 3, 4, 5, 6, 7].flatMap((rsv) => [TEXT, BINARY, PING, PONG, CLOSE].map((opcode) =>
  [`bits ${rsv} on opcode ${opcode}`, { send: [frame(opcode, '', { rsv })], expect: [PROTOCOL] }])));
rows('a reserved bit on a continuation is an error', [1, 2, 4].map((rsv) =>
  [`bits ${rsv}`, { send: [part(TEXT, 'a'), frame(CONT, 'b', { rsv })], expect: [PROTOCOL] }]));
rows('a reserved opcode is an error', [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => [
  [`${opcode}`, { send: [frame(opcode)], expect: [PROTOCOL] }],
  [`${opcode} after a message that was answered`, { send: [frame(TEXT, 'a'), frame(opcode, 'x')], expect: [text('a'), PROTOCOL] }],
  [`${opcode} inside a message`, { send: [part(TEXT, 'a'), frame(opcode, 'x')], expect: [PROTOCOL] }],
]));

// ---- lengths that are lies or too long -----------------------------------------------------------
const claim = (opcode, length, form) => frame(opcode, '', { claim: length, form });
rows('a length must be minimal', [
  ...[0, 1, 125].map((n) => [`${n} in 16 bits`, { send: [frame(TEXT, ascii(n), { form: 16 })], expect: [PROTOCOL] }]),
  ...[0, 1, 125, 126, 65535].map((n) =>
    [`${n} in 64 bits`, { send: [frame(BINARY, noise(n), { form: 64 })], expect: [PROTOCOL] }]),
]);
rows('a length is refused at the head, before any payload', [
  ['2^63', { send: [claim(BINARY, 2n ** 63n, 64)], expect: [PROTOCOL] }],
  ['2^63 + 4', { send: [claim(BINARY, 2n ** 63n + 4n, 64)], expect: [PROTOCOL] }],
  ['2^64 - 1', { send: [claim(BINARY, 2n ** 64n - 1n, 64)], expect: [PROTOCOL] }],
  ['2^62', { send: [claim(BINARY, 2n ** 62n, 64)], expect: [TOO_BIG] }],
  ['2^63 - 1', { send: [claim(TEXT, 2n ** 63n - 1n, 64)], expect: [TOO_BIG] }],
  ['2^32', { send: [claim(BINARY, 2n ** 32n, 64)], expect: [TOO_BIG] }],
  ['2^32 + 5', { send: [claim(TEXT, 2n ** 32n + 5n, 64)], expect: [TOO_BIG] }],
  ['the limit and one', { send: [claim(BINARY, MAX + 1, 64)], expect: [TOO_BIG] }],
  ['one more than is left of a message', { send: [part(BINARY, 'a'), claim(CONT, MAX, 64)], expect: [TOO_BIG] }],
]);
rows('a control frame has at most 125 bytes', [PING, PONG, CLOSE].flatMap((opcode) => [126, 127, 65535, 65536].map((n) =>
  [`opcode ${opcode}, ${n}`, { send: [claim(opcode, n)], expect: [PROTOCOL] }])));

// ---- control frames -------------------------------------------------------------------------------
rows('a ping is answered with its payload', [
  ...[0, 1, 2, 124, 125].map((n) => [`of ${n} bytes`, { send: [frame(PING, noise(n))], expect: [pong(noise(n))] }]),
  ['that is no text', { send: [frame(PING, u8(0, 255, 254, 253, 252, 251, 0))], expect: [pong(u8(0, 255, 254, 253, 252, 251, 0))] }],
  ['byte by byte', { send: [frame(PING, noise(125))], piece: 1, expect: [pong(noise(125))] }],
  ['ten times, in order', {
    send: [Buffer.concat([...'0123456789'].map((c) => frame(PING, c)))], expect: [...'0123456789'].map(pong),
  }],
  ['ten times byte by byte', {
    send: [Buffer.concat([...'0123456789'].map((c) => frame(PING, c)))], piece: 1, expect: [...'0123456789'].map(pong),
  }],
  ['between two messages', {
    send: [frame(TEXT, 'a'), frame(PING, 'p'), frame(TEXT, 'b')], expect: [text('a'), pong('p'), text('b')],
  }],
]);
rows('a pong nobody asked for is ignored', [
  ['empty', { send: [frame(PONG), frame(TEXT, 'a')], expect: [text('a')] }],
  ['with payload', { send: [frame(PONG, 'unasked'), frame(PING, 'p')], expect: [pong('p')] }],
  ['ten of them', { send: [Buffer.concat(Array(10).fill(frame(PONG, 'x'))), frame(PING, 'p')], expect: [pong('p')] }],
  ['inside a message', { send: [part(TEXT, 'a'), frame(PONG, 'x'), frame(CONT, 'b')], expect: [text('ab')] }],
]);
rows('a control frame cannot be fragmented', [PING, PONG, CLOSE].flatMap((opcode) => [
  [`opcode ${opcode}`, { send: [part(opcode, '')], expect: [PROTOCOL] }],
  [`opcode ${opcode} with payload`, { send: [part(opcode, closePayload(1000))], expect: [PROTOCOL] }],
]));

// ---- fragments ------------------------------------------------------------------------------------
const split = (opcode, payload, n) => {
  const pieces = [];
  for (let at = 0; at < payload.length || !at; at += n) pieces.push(payload.subarray(at, at + n));
  return pieces.map((p, i) => frame(i ? CONT : opcode, p, { fin: i === pieces.length - 1 }));
};
rows('fragments make one message', [
  ['two', { send: [part(TEXT, 'frag'), frame(CONT, 'ment')], expect: [text('fragment')] }],
  ['two in one write', { send: [Buffer.concat([part(TEXT, 'frag'), frame(CONT, 'ment')])], expect: [text('fragment')] }],
  ['two, byte by byte', { send: [part(TEXT, 'frag'), frame(CONT, 'ment')], piece: 1, expect: [text('fragment')] }],
  ['two, binary', { send: [part(BINARY, u8(0, 1)), frame(CONT, u8(2))], expect: [binary(u8(0, 1, 2))] }],
  ['all empty', { send: [part(TEXT, ''), part(CONT, ''), frame(CONT, '')], expect: [text('')] }],
  ['empty, full, empty', { send: [part(TEXT, ''), part(CONT, 'middle'), frame(CONT, '')], expect: [text('middle')] }],
  ['full, empty, full', { send: [part(TEXT, 'a'), part(CONT, ''), frame(CONT, 'b')], expect: [text('ab')] }],
  ...[1, 2, 7, 125, 126, 1000].map((n) =>
    [`3000 bytes in frames of ${n}`, { send: split(BINARY, noise(3000), n), expect: [binary(noise(3000))] }]),
  ['1 MiB in frames of 4096', { send: split(BINARY, noise(1 << 20), 4096), expect: [binary(noise(1 << 20))] }],
  ['and the next message is another', {
    send: [part(TEXT, 'a'), frame(CONT, 'b'), frame(BINARY, 'c'), part(TEXT, 'd'), frame(CONT, 'e')],
    expect: [text('ab'), binary('c'), text('de')],
  }],
]);
rows('control frames stand between fragments', [
  ['a ping', { send: [part(TEXT, 'a'), frame(PING, 'p'), frame(CONT, 'b')], expect: [pong('p'), text('ab')] }],
  ['a ping, in one write', {
    send: [Buffer.concat([part(TEXT, 'a'), frame(PING, 'p'), frame(CONT, 'b')])], expect: [pong('p'), text('ab')],
  }],
  ['a ping, byte by byte', {
    send: [part(TEXT, 'a'), frame(PING, 'p'), frame(CONT, 'b')], piece: 1, expect: [pong('p'), text('ab')],
  }],
  ['many pings', {
    send: [part(TEXT, 'a'), frame(PING, '1'), part(CONT, 'b'), frame(PING, '2'), frame(PING, '3'), frame(CONT, 'c')],
    expect: [pong('1'), pong('2'), pong('3'), text('abc')],
  }],
  ['a close, and the message is never finished', {
    send: [part(TEXT, 'a'), frame(CLOSE, closePayload(1000))], expect: [close(1000)],
  }],
]);
rows('fragments out of turn are an error', [
  ['a continuation of nothing', { send: [frame(CONT, 'x')], expect: [PROTOCOL] }],
  ['an unfinished continuation of nothing', { send: [part(CONT, 'x')], expect: [PROTOCOL] }],
  ['an empty continuation of nothing', { send: [frame(CONT)], expect: [PROTOCOL] }],
  ['a continuation after a whole message', { send: [frame(TEXT, 'a'), frame(CONT, 'b')], expect: [text('a'), PROTOCOL] }],
  ['a continuation after a finished one', {
    send: [part(TEXT, 'a'), frame(CONT, 'b'), frame(CONT, 'c')], expect: [text('ab'), PROTOCOL],
  }],
  ['text inside text', { send: [part(TEXT, 'a'), frame(TEXT, 'b')], expect: [PROTOCOL] }],
  ['binary inside text', { send: [part(TEXT, 'a'), frame(BINARY, 'b')], expect: [PROTOCOL] }],
  ['unfinished text inside binary', { send: [part(BINARY, 'a'), part(TEXT, 'b')], expect: [PROTOCOL] }],
  ['text after a ping inside text', {
    send: [part(TEXT, 'a'), frame(PING, 'p'), frame(TEXT, 'b')], expect: [pong('p'), PROTOCOL],
  }],
]);

// ---- text is UTF-8 ----------------------------------------------------------------------------------
const GOOD = {
  'the ends of each length': '007f c280 dfbf e0a080 efbfbf f0908080 f48fbfbf',
  'around the surrogates': 'ed9fbf ee8080',
  'noncharacters': 'efb790 efbfbe f09fbfbe f48fbfbe',
  'a Greek word': 'cebae1bdb9cf83cebcceb5',
  'a replacement character': 'efbfbd',
  'a zero': '00',
  'an emoji of several': 'f09f91a9e2808df09f91a9e2808df09f91a6',
};
const goodRows = Object.entries(GOOD).flatMap(([name, hex]) => {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  return [
    [name, { send: [frame(TEXT, bytes)], expect: [text(bytes)] }],
    [`${name}, byte by byte`, { send: [frame(TEXT, bytes)], piece: 1, expect: [text(bytes)] }],
    [`${name}, a frame for each byte`, { send: split(TEXT, bytes, 1), expect: [text(bytes)] }],
  ];
});
rows('valid UTF-8 is taken', goodRows);

const BAD = {
  'a lonely continuation 80': '80', 'a lonely continuation bf': 'bf', 'overlong / in two': 'c0af', 'overlong 0': 'c080',
  'overlong 7f': 'c1bf', 'overlong in three': 'e08080', 'overlong 7ff': 'e09fbf', 'overlong in four': 'f0808080',
  'overlong ffff': 'f08fbfbf', 'the first surrogate': 'eda080', 'the last high surrogate': 'edafbf',
  'the first low surrogate': 'edb080', 'the last surrogate': 'edbfbf', 'a pair of surrogates (CESU)': 'eda080edb080',
  'above 10ffff': 'f4908080', 'lead f5': 'f5808080', 'lead f8, five bytes': 'f888808080', 'lead fc, six bytes': 'fc8480808080',
  'fe': 'fe', 'ff': 'ff', 'fe ff (UTF-16)': 'feff0061', 'two leads': 'c3c3a4', 'three, cut by ASCII': 'e28241',
  'three, second too low': 'e27fbf', 'four, third not one': 'f09f4180', 'a lead after text': '68656c6c6fce00',
};
const CUT = {
  'two without its second': 'c3', 'three without its third': 'e282', 'three, the lead alone': 'e2', 'four without its fourth': 'f09f98',
  'four without its third': 'f09f',
};
rows('invalid UTF-8 ends the connection with 1007', [
  ...Object.entries({ ...BAD, ...CUT }).map(([name, hex]) =>
    [name, { send: [frame(TEXT, Buffer.from(`61${hex}`, 'hex'))], expect: [BAD_TEXT] }]),
  ...Object.entries(BAD).map(([name, hex]) =>
    [`${name}, a frame for each byte`, { send: [...split(TEXT, Buffer.from(hex, 'hex'), 1).slice(0, -1),
      frame(hex.length > 2 ? CONT : TEXT, Buffer.from(hex.slice(-2), 'hex'))], expect: [BAD_TEXT] }]),
  ...Object.entries(CUT).map(([name, hex]) =>
    [`${name}, then an empty last frame`, { send: [part(TEXT, Buffer.from(hex, 'hex')), frame(CONT)], expect: [BAD_TEXT] }]),
]);
rows('... as soon as it can be known', Object.entries(BAD).slice(0, 24).map(([name, hex]) => {
  const unfinished = claim(TEXT, 70000, 64); // its mask is the usual one: only the beginning comes
  const begin = frame(TEXT, Buffer.concat([Buffer.from('ok'), Buffer.from(hex, 'hex'), Buffer.from('a')])).subarray(6);
  return [`${name}, in a frame whose rest never comes`, { send: [Buffer.concat([unfinished, begin])], expect: [BAD_TEXT] }];
}));
rows('a character may be cut by a frame, not by another message', [
  ['cut by a frame', { send: [part(TEXT, u8(0xe2, 0x82)), frame(CONT, u8(0xac))], expect: [text('€')] }],
  ['cut by a frame, with a ping inside', {
    send: [part(TEXT, u8(0xe2)), frame(PING, u8(0xff)), frame(CONT, u8(0x82, 0xac))], expect: [pong(u8(0xff)), text('€')],
  }],
  ['cut by a message', { send: [frame(TEXT, u8(0xe2, 0x82)), frame(TEXT, u8(0xac))], expect: [BAD_TEXT] }],
  ['good text, then bad', { send: [frame(TEXT, 'good'), frame(TEXT, u8(0xff))], expect: [text('good'), BAD_TEXT] }],
]);
rows('binary is anything', Object.entries(BAD).slice(0, 6).map(([name, hex]) =>
  [name, { send: [frame(BINARY, Buffer.from(hex, 'hex'))], expect: [binary(Buffer.from(hex, 'hex'))] }]));

// ---- the close handshake ----------------------------------------------------------------------------
rows('a close frame is answered with its code', [
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999].map((code) =>
    [`${code}`, { send: [frame(CLOSE, closePayload(code))], expect: [close(code)] }]),
  ['without a code', { send: [frame(CLOSE)], expect: [close(1000, 1005)] }],
  ['with a reason', { send: [frame(CLOSE, closePayload(1000, 'bye'))], expect: [close(1000)] }],
  ['with the longest reason', { send: [frame(CLOSE, closePayload(1000, ascii(123)))], expect: [close(1000)] }],
  ['with a reason of many bytes a character', { send: [frame(CLOSE, closePayload(1000, '€'.repeat(41)))], expect: [close(1000)] }],
  ['byte by byte', { send: [frame(CLOSE, closePayload(3333, 'bye'))], piece: 1, expect: [close(3333)] }],
]);
rows('a code that must not be sent is an error', [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((code) =>
  [`${code}`, { send: [frame(CLOSE, closePayload(code))], expect: [PROTOCOL] }]));
rows('a close frame that is wrong in itself', [
  ['one byte', { send: [frame(CLOSE, u8(3))], expect: [PROTOCOL] }],
  ['a reason that is not UTF-8', { send: [frame(CLOSE, closePayload(1000, u8(0xce, 0xba, 0xed, 0xa0, 0x80)))], expect: [BAD_TEXT] }],
  ['a reason that is cut', { send: [frame(CLOSE, closePayload(1000, u8(0xe2, 0x82)))], expect: [BAD_TEXT] }],
]);
rows('nothing is answered after a close frame', [
  ['a message', { send: [frame(CLOSE, closePayload(1000)), frame(TEXT, 'late')], expect: [close(1000)] }],
  ['a ping', { send: [Buffer.concat([frame(CLOSE, closePayload(1000)), frame(PING, 'late')])], expect: [close(1000)] }],
  ['another close', { send: [frame(CLOSE, closePayload(1000)), frame(CLOSE, closePayload(4000))], expect: [close(1000)] }],
  ['what is no frame at all', { send: [Buffer.concat([frame(CLOSE, closePayload(1000)), u8(255, 255, 255)])], expect: [close(1000)] }],
  ['messages before it are all answered', {
    send: [Buffer.concat([frame(TEXT, 'a'), frame(TEXT, 'b'), frame(CLOSE, closePayload(1000))])],
    expect: [text('a'), text('b'), close(1000)],
  }],
  ['large messages before it are all answered', {
    send: [frame(BINARY, noise(1 << 20)), frame(BINARY, noise(1 << 20)), frame(CLOSE, closePayload(1000))],
    expect: [binary(noise(1 << 20)), binary(noise(1 << 20)), close(1000)],
  }],
]);
