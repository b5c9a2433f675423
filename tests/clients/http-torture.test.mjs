// SPDX-License-Identifier: Apache-2.0
// Requests that no client should send (RFC 9110, 9112), over a raw socket. Wherever a body could be
// taken for a request there is one in it, for /__smuggled__: it must never be answered. A row is
// sent in one write and again byte by byte, and must fare the same both times.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { exchange, RawSocket } from './lib/rawsocket.mjs';
import { serve, serveAll } from './lib/server.mjs';
import { within } from './lib/wait.mjs';

const server = serveAll({ before, after }, { args: ['--conformance'] });

const SMUGGLED = 'GET /__smuggled__ HTTP/1.1\r\nHost: x\r\n\r\n';
const NEXT = 'GET /health/live HTTP/1.1\r\nHost: x\r\nX-Next: 1\r\n\r\n';
const CLOSE = 'Connection: close\r\n';

// All answers in the bytes of a connection: [{ status, headers, body }]; throws on anything else.
function answersOf(bytes, heads = []) {
  const out = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf('\r\n\r\n', at);
    assert.ok(end >= 0, `an answer breaks off: ${bytes.subarray(at, at + 100)}`);
    const [first, ...lines] = bytes.subarray(at, end).toString('latin1').split('\r\n');
    const m = first.match(/^HTTP\/1\.1 (\d{3}) /);
    assert.ok(m, `not a status line: ${first}`);
    const headers = Object.fromEntries(lines.map((l) => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]));
    const status = Number(m[1]);
    const bare = status < 200 || status === 204 || status === 304 || heads[out.filter((a) => a.status >= 200).length];
    const n = bare ? 0 : Number(headers['content-length']);
    assert.ok(Number.isInteger(n), `an answer without a length: ${lines}`);
    out.push({ status, headers, body: bytes.subarray(end + 4, end + 4 + n).toString('latin1') });
    at = end + 4 + n;
  }
  return out;
}

// What a row expects: refused(400) = one answer of that status, the connection ends, nothing else is
// answered; or ok(200, 404, ...) = these answers in this order.
const refused = (...status) => ({ refused: status });
const ok = (...status) => ({ status });
const either = (...all) => ({ either: all });

function judge(bytes, want, heads) {
  assert.ok(!bytes.includes('__smuggled__'), 'the planted request was looked at');
  const answers = answersOf(bytes, heads).filter((a) => a.status !== 100);
  const got = answers.map((a) => a.status);
  if (want.either) {
    const fits = want.either.some((w) => {
      try {
        judge(bytes, w, heads);
        return true;
      } catch {
        return false;
      }
    });
    assert.ok(fits, `answered ${got}`);
  } else if (want.refused) {
    assert.equal(got.length, 1, `one answer, not ${got}`);
    assert.ok(want.refused.includes(got[0]), `answered ${got}, expected ${want.refused}`);
    assert.match(answers[0].headers.connection ?? '', /close/, 'the connection is closed after it');
    const error = JSON.parse(answers[0].body);
    assert.ok(error.code >= 4400 && error.message && error.hint);
  } else {
    assert.deepEqual(got, want.status);
  }
  return answers;
}

function rows(title, list, { slow = true } = {}) {
  describe(title, () => {
    for (const [name, bytes, want, more] of list) {
      test(name, async () => {
        const data = Buffer.from(bytes, 'latin1');
        const answers = judge(await exchange(server.port, data), want, more?.heads);
        if (more?.body !== undefined) assert.equal(answers[0].body, more.body);
        if (slow && data.length < 1500) judge(await exchange(server.port, data, { piece: 1 }), want, more?.heads);
      });
    }
  });
}

const get = (line, headers = 'Host: x\r\n') => `${line}\r\n${headers}\r\n`;
const post = (headers, body) => `POST /echo HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;

// ---- the request line ---------------------------------------------------------------------------
rows('request lines', [
  ['plain', get('GET /health/live HTTP/1.1'), ok(200)],
  ['an empty line before it', `\r\n${get('GET /health/live HTTP/1.1')}`, ok(200)],
  ['many empty lines before it', `${'\r\n'.repeat(2000)}${get('GET /health/live HTTP/1.1')}`, either(ok(200), refused(400))],
  ['line ends of LF alone', 'GET /health/live HTTP/1.1\nHost: x\n\n', refused(400)],
  ['LF alone after the request line', 'GET /health/live HTTP/1.1\nHost: x\r\n\r\n', refused(400)],
  ['LF alone after a header', 'GET /health/live HTTP/1.1\r\nHost: x\nA: b\r\n\r\n', refused(400)],
  ['LF alone at the end of the head', 'GET /health/live HTTP/1.1\r\nHost: x\r\n\n', refused(400)],
  ['CR alone', 'GET /health/live HTTP/1.1\rHost: x\r\n\r\n', refused(400)],
  ['CR CR LF', 'GET /health/live HTTP/1.1\r\r\nHost: x\r\n\r\n', refused(400)],
  ['two blanks after the method', get('GET  /health/live HTTP/1.1'), refused(400)],
  ['two blanks before the version', get('GET /health/live  HTTP/1.1'), refused(400)],
  ['a tab for a blank', get('GET\t/health/live HTTP/1.1'), refused(400)],
  ['a blank at the end', get('GET /health/live HTTP/1.1 '), refused(400)],
  ['a blank at the beginning', get(' GET /health/live HTTP/1.1'), refused(400)],
  ['no version (HTTP/0.9)', 'GET /health/live\r\n\r\n', refused(400, 505)],
  ['no target', get('GET HTTP/1.1'), refused(400)],
  ['HTTP/1.0 needs no Host', 'GET /health/live HTTP/1.0\r\n\r\n', ok(200)],
  ['HTTP/1.2 is answered as 1.1', get('GET /health/live HTTP/1.2'), either(ok(200), refused(400, 505))],
  ['HTTP/2.0', get('GET /health/live HTTP/2.0'), refused(505)],
  ['HTTP/0.9', get('GET /health/live HTTP/0.9'), refused(400, 505)],
  ['HTTP/3.0', get('GET /health/live HTTP/3.0'), refused(505)],
  ['http/1.1', get('GET /health/live http/1.1'), refused(400)],
  ['HTTP/1.1x', get('GET /health/live HTTP/1.1x'), refused(400)],
  ['HTTP/11.1', get('GET /health/live HTTP/11.1'), refused(400, 505)],
  ['HTTP/1', get('GET /health/live HTTP/1'), refused(400, 505)],
  ['HTTP/1.', get('GET /health/live HTTP/1.'), refused(400, 505)],
  ['HTTP/+1.1', get('GET /health/live HTTP/+1.1'), refused(400)],
  ['HTTPS/1.1', get('GET /health/live HTTPS/1.1'), refused(400)],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', refused(400, 505)],
  ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(300, '\x00'), refused(400)],
  ['noise', '\xff\xfe\xfd\x00\x01garbage\r\n\r\n', refused(400)],
]);
rows('methods', [
  ['get', get('get /health/live HTTP/1.1'), either(refused(400), ok(405), ok(501))],
  ['one that is not known', get('BREW /health/live HTTP/1.1'), either(refused(400), ok(405), ok(501))],
  ['TRACE', get('TRACE /health/live HTTP/1.1', 'Host: x\r\nX-Secret: s3cret\r\n'), either(refused(405), ok(405), ok(501))],
  ['CONNECT', get('CONNECT example.com:443 HTTP/1.1', 'Host: example.com:443\r\n'), either(refused(400, 405, 501), ok(404), ok(405), ok(501))],
  ['PUT on a path of GET', get('PUT /health/live HTTP/1.1', 'Host: x\r\nContent-Length: 0\r\n'), ok(405)],
  ['DELETE on a path of POST', get('DELETE /api/publish HTTP/1.1'), ok(405)],
  ['OPTIONS *', get('OPTIONS * HTTP/1.1'), either(ok(200), ok(204), ok(405), ok(404), refused(400))],
  ['a method with a comma', get('GE,T /health/live HTTP/1.1'), refused(400)],
  ['a method in brackets', get('[GET] /health/live HTTP/1.1'), refused(400)],
  ['a method with NUL', get('GE\0T /health/live HTTP/1.1'), refused(400)],
  ['a method with a high byte', get('GE\xe9T /health/live HTTP/1.1'), refused(400)],
  ['a method of 1000 letters', get(`${'G'.repeat(1000)} /health/live HTTP/1.1`), either(refused(400, 414, 431, 501), ok(405), ok(501))],
]);
rows('targets', [
  ['with a query', get('GET /health/live?a=b&c HTTP/1.1'), ok(200)],
  ['absolute', get('GET http://x/health/live HTTP/1.1'), ok(200)],
  ['absolute, another Host: the target counts', get('GET http://y/health/live HTTP/1.1'), either(ok(200), refused(400))],
  ['absolute, in capitals', get('GET HTTP://x/health/live HTTP/1.1'), either(ok(200), refused(400))],
  ['absolute, of another scheme', get('GET ftp://x/health/live HTTP/1.1'), refused(400)],
  ['absolute, without a host', get('GET http:///health/live HTTP/1.1'), refused(400)],
  ['without a slash', get('GET health/live HTTP/1.1'), refused(400)],
  ['* for GET', get('GET * HTTP/1.1'), either(refused(400), ok(404))],
  ['an authority for GET', get('GET x:80 HTTP/1.1'), refused(400)],
  ['with a blank', get('GET /health /live HTTP/1.1'), refused(400)],
  ['with NUL', get('GET /health\0live HTTP/1.1'), refused(400)],
  ['with a control character', get('GET /health\x01live HTTP/1.1'), refused(400)],
  ['with DEL', get('GET /health\x7flive HTTP/1.1'), refused(400)],
  ['with a high byte', get('GET /h\xe9 HTTP/1.1'), either(refused(400), ok(404))],
  ['with a fragment', get('GET /health/live#x HTTP/1.1'), either(refused(400), ok(404))],
  ['with a quote', get('GET /"health" HTTP/1.1'), either(refused(400), ok(404))],
  ['%', get('GET /% HTTP/1.1'), either(refused(400), ok(400), ok(404))],
  ['%zz', get('GET /%zz HTTP/1.1'), either(refused(400), ok(400), ok(404))],
  ['%00', get('GET /health%00live HTTP/1.1'), either(refused(400), ok(400), ok(404))],
  ['an overlong slash', get('GET /%c0%af HTTP/1.1'), either(refused(400), ok(400), ok(404))],
  ['up and away', get('GET /../../etc/passwd HTTP/1.1'), either(refused(400), ok(400), ok(404))],
  ['up and away, encoded', get('GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1'), either(refused(400), ok(400), ok(404))],
  ['up and away, backwards', get('GET /..\\..\\etc\\passwd HTTP/1.1'), either(refused(400), ok(400), ok(404))],
  ['two slashes', get('GET //health/live HTTP/1.1'), ok(404)],
  ['a path that is not there', get('GET /nowhere HTTP/1.1'), ok(404)],
  ['17000 bytes', get(`GET /${'a'.repeat(17000)} HTTP/1.1`), refused(414)],
  ['1 MiB', get(`GET /${'a'.repeat(1 << 20)} HTTP/1.1`), refused(414)],
  ['1 MiB of query', get(`GET /?${'a'.repeat(1 << 20)} HTTP/1.1`), refused(414)],
]);

// ---- headers ----------------------------------------------------------------------------------------
const header = (text) => `GET /health/live HTTP/1.1\r\nHost: x\r\n${text}\r\n${CLOSE}\r\n`;
rows('header lines', [
  ['without a colon', header('NoColon'), refused(400)],
  ['a blank before the colon', header('A : b'), refused(400)],
  ['a tab before the colon', header('A\t: b'), refused(400)],
  ['folded', header('A: b\r\n c'), refused(400)],
  ['folded with a tab', header('A: b\r\n\tc'), refused(400)],
  ['a blank before the first header', `GET /health/live HTTP/1.1\r\n Host: x\r\n\r\n`, refused(400)],
  ['without a name', header(': b'), refused(400)],
  ['without a value', header('A:'), ok(200)],
  ['without a blank', header('A:b'), ok(200)],
  ['with many blanks', header('A:   \t b \t '), ok(200)],
  ...[...'(),/;<=>?@[\\]{}" '].map((c) => [`${JSON.stringify(c)} in a name`, header(`A${c}B: x`), refused(400)]),
  ['a high byte in a name', header('A\xe9: x'), refused(400)],
  ['NUL in a name', header('A\0: x'), refused(400)],
  ['NUL in a value', header('A: x\0y'), refused(400)],
  ['CR in a value', header('A: x\ry'), refused(400)],
  ['LF in a value', header('A: x\ny'), refused(400)],
  ['LF and a header in a value', header('A: x\nTransfer-Encoding: chunked'), refused(400)],
  ['a control character in a value', header('A: x\x01'), refused(400)],
  ['DEL in a value', header('A: x\x7f'), refused(400)],
  ['VT in a value', header('A: x\x0by'), refused(400)],
  ['high bytes in a value', header('A: caf\xe9'), ok(200)],
  ['every letter a token may have', header("!#$%&'*+-.^_`|~09azAZ: x"), ok(200)],
  ['33 KiB', header(`A: ${'b'.repeat(33 * 1024)}`), refused(431)],
  ['1 MiB', header(`A: ${'b'.repeat(1 << 20)}`), refused(431)],
  ['1 MiB of name', header(`${'a'.repeat(1 << 20)}: b`), refused(431)],
  ['1 MiB without any end', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(1 << 20)}`, refused(431)],
  ['101 of them', header(Array.from({ length: 101 }, (_, i) => `A${i}: b`).join('\r\n')), refused(431)],
  ['10,000 of them', header(Array.from({ length: 10000 }, (_, i) => `A${i}: b`).join('\r\n')), refused(431)],
  ['3000 of one name', header(Array(3000).fill('Same: b').join('\r\n')), refused(431)],
]);
const host = (value) => `GET /health/live HTTP/1.1\r\n${value}${CLOSE}\r\n`;
rows('Host', [
  ['missing', host(''), refused(400)],
  ['twice', host('Host: x\r\nHost: y\r\n'), refused(400)],
  ['twice the same', host('Host: x\r\nHost: x\r\n'), refused(400)],
  ['empty', host('Host:\r\n'), either(ok(200), refused(400))],
  ...['a b', 'a/b', 'a@b', 'a,b', '[::1', '::1]', 'a:port', 'a:99999', 'a:-1', 'a:80:80', 'a?b', 'a#b', 'http://a', 'a\x01b', 'a"b', 'a<b>']
    .map((h) => [JSON.stringify(h), host(`Host: ${h}\r\n`), refused(400)]),
  ...['a', 'a:80', 'a.example:8787', '127.0.0.1', '[::1]', '[::1]:80', 'A.B', 'xn--a', 'a_b', 'a-b', 'a:']
    .map((h) => [JSON.stringify(h), host(`Host: ${h}\r\n`), ok(200)]),
  ['with tabs around', host('Host:\ta\t\r\n'), ok(200)],
]);

// ---- how long is the body? -----------------------------------------------------------------------------
const chunked = (body) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
const LEN = SMUGGLED.length;
rows('Content-Length', [
  ['right', post(`Content-Length: ${LEN}\r\n`, SMUGGLED.replace('__smuggled__', '__contained_')), ok(200)],
  ['right, and the next request is answered', post('Content-Length: 5\r\n', 'hello') + NEXT, ok(200, 200), { body: 'hello' }],
  ['zero, and the next request is answered', post('Content-Length: 0\r\n', '') + NEXT, ok(200, 200), { body: '' }],
  ['of a GET, whose body is no request', `GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: ${LEN}\r\n\r\n${SMUGGLED}${NEXT}`,
    either(ok(200, 200), refused(400))],
  ['of a path that is not there', `POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: ${LEN}\r\n\r\n${SMUGGLED}${NEXT}`,
    either(ok(404, 200), ok(404))],
  ['of a method that is not allowed', `POST /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: ${LEN}\r\n\r\n${SMUGGLED}${NEXT}`,
    either(ok(405, 200), ok(405))],
  ['of a refused publish', `POST /api/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\nContent-Length: ${LEN}\r\n\r\n${SMUGGLED}${NEXT}`,
    either(ok(401, 200), ok(401))],
  ['of a refused upgrade', `GET /socket HTTP/1.1\r\nHost: x\r\nContent-Length: ${LEN}\r\n\r\n${SMUGGLED}${NEXT}`, either(ok(426, 200), ok(426), ok(400))],
  ['twice, the same', post('Content-Length: 5\r\nContent-Length: 5\r\n', `hello${SMUGGLED}`), refused(400)],
  ['twice, different', post(`Content-Length: 5\r\nContent-Length: ${LEN}\r\n`, SMUGGLED), refused(400)],
  ['twice, in other letters', post('Content-Length: 0\r\ncontent-length: 5\r\n', SMUGGLED), refused(400)],
  ...['5, 5', '5, 6', '5,', ',5', '+5', '-5', '-0', '0x5', '5.0', '5e0', '5x', '5 5', '', '""', '"5"', '5;a', '0 0', '\x0b5', '5\x0c',
    '18446744073709551616', '18446744073709551621', '9223372036854775808', '99999999999999999999999', '\xef\xbc\x95']
    .map((v) => [JSON.stringify(v), post(`Content-Length: ${v}\r\n`, `hello${SMUGGLED}`), refused(400, 413)]),
  ['with zeros in front', post('Content-Length: 0005\r\n', 'hello') + NEXT, either(ok(200, 200), refused(400))],
  ['with blanks around', post('Content-Length:  \t5 \t\r\n', 'hello') + NEXT, ok(200, 200), { body: 'hello' }],
  ['a blank before the colon', post('Content-Length : 5\r\n', `hello${SMUGGLED}`), refused(400)],
  ['a tab before the colon', post('Content-Length\t: 5\r\n', `hello${SMUGGLED}`), refused(400)],
  ['folded', post('Content-Length:\r\n 5\r\n', `hello${SMUGGLED}`), refused(400)],
  ['after a line that begins with a blank', post(` Content-Length: 5\r\n`, `hello${SMUGGLED}`), refused(400)],
  ['with NUL', post('Content-Length: 5\0\r\n', `hello${SMUGGLED}`), refused(400)],
  ['more than comes', post('Content-Length: 50\r\n', 'hello'), either(ok(), refused(400))],
  ['more than may be', post(`Content-Length: ${17 << 20}\r\n`, ''), refused(413)],
]);
const TE = (value, name = 'Transfer-Encoding') => post(`${name}: ${value}\r\n`, chunked(SMUGGLED.replace('__smuggled__', '__hidden__')) + SMUGGLED);
const good = (value) => post(`Transfer-Encoding: ${value}\r\n`, chunked('hello')) + NEXT;
rows('Transfer-Encoding', [
  ['chunked', good('chunked'), ok(200, 200), { body: 'hello' }],
  ['Chunked', good('Chunked'), ok(200, 200), { body: 'hello' }],
  ['blanks around', good(' \tchunked \t'), ok(200, 200), { body: 'hello' }],
  ...['xchunked', 'chunkedx', 'identity', 'chunked, identity', 'identity, chunked', 'chunked, chunked', 'gzip', 'gzip, chunked', 'deflate',
    'compress', 'chunked, gzip', '"chunked"', "'chunked'", '\x0bchunked', 'chunked\x0b', '\x0cchunked', 'chunked\x00', '\x00chunked', 'chunked;a=b',
    'chunked;', 'chunked a', ',chunked', 'chunked,', '', ',', 'chun ked', 'cHuNkEd-not', '\xa0chunked', 'chunked\r', '\rchunked', 'x\rTransfer-Encoding: chunked']
    .map((v) => [JSON.stringify(v), TE(v), refused(400, 501)]),
  ['twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', chunked('hello') + SMUGGLED), refused(400, 501)],
  ['twice, the second identity', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', chunked('hello') + SMUGGLED), refused(400, 501)],
  ['twice, the first identity', post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n', chunked('hello') + SMUGGLED), refused(400, 501)],
  ['twice, the first cow', post('Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n', chunked('hello') + SMUGGLED), refused(400, 501)],
  ['with LF inside', TE('x\nTransfer-Encoding: chunked'), refused(400)],
  ['a blank before the colon', TE('chunked', 'Transfer-Encoding '), refused(400)],
  ['a tab before the colon', TE('chunked', 'Transfer-Encoding\t'), refused(400)],
  ['a blank before the name', TE('chunked', ' Transfer-Encoding'), refused(400)],
  ['folded', TE('\r\n chunked'), refused(400)],
  ['an underscore is another header', post('Transfer_Encoding: chunked\r\nContent-Length: 5\r\n', 'hello') + NEXT, ok(200, 200), { body: 'hello' }],
  ['with Content-Length before', post(`Content-Length: 5\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${SMUGGLED}`), refused(400)],
  ['with Content-Length after', post(`Transfer-Encoding: chunked\r\nContent-Length: 5\r\n`, `0\r\n\r\n${SMUGGLED}`), refused(400)],
  ['with Content-Length 0', post(`Transfer-Encoding: chunked\r\nContent-Length: 0\r\n`, chunked(SMUGGLED)), refused(400)],
  ['with a Content-Length that is wrong in itself', post(`Content-Length: abc\r\nTransfer-Encoding: chunked\r\n`, chunked(SMUGGLED)), refused(400)],
  ['unknown, with Content-Length', post(`Content-Length: 5\r\nTransfer-Encoding: identity\r\n`, `hello${SMUGGLED}`), refused(400, 501)],
  ['in HTTP/1.0', `POST /echo HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('hello')}${SMUGGLED}`, refused(400, 501)],
  ['of a GET', `GET /health/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('hello')}${NEXT}`, either(ok(200, 200), refused(400))],
  ['of a path that is not there', `POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(SMUGGLED)}${NEXT}`,
    either(ok(404, 200), ok(404))],
]);

// ---- chunks -----------------------------------------------------------------------------------------------
const te = (body) => post('Transfer-Encoding: chunked\r\n', body);
rows('chunks', [
  ['several', te('5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n') + NEXT, ok(200, 200), { body: 'hello world' }],
  ['none', te('0\r\n\r\n') + NEXT, ok(200, 200), { body: '' }],
  ['a size in capitals', te(`A\r\n0123456789\r\n0\r\n\r\n`) + NEXT, ok(200, 200), { body: '0123456789' }],
  ['a size with zeros in front', te(`0005\r\nhello\r\n000\r\n\r\n`) + NEXT, ok(200, 200), { body: 'hello' }],
  ['an extension', te('5;name=value\r\nhello\r\n0;last\r\n\r\n') + NEXT, ok(200, 200), { body: 'hello' }],
  ['a quoted extension', te('5;name="a;b"\r\nhello\r\n0\r\n\r\n') + NEXT, ok(200, 200), { body: 'hello' }],
  ['a body that looks like chunks', te('5\r\n0\r\n\r\n\r\n0\r\n\r\n') + NEXT, ok(200, 200), { body: '0\r\n\r\n' }],
  ...['-1', '+5', '0x5', '5 x', ' 5', '5 5', 'g', '', '5.', '5,', '0x', '-0', '\x0b5', '5\x0b', '5\0', '10000000000000005',
    'ffffffffffffffff', 'fffffffffffffffff', '8000000000000000', '00000000000000000000000000000005x', '５', '5\r', 'five']
    .map((size) => [`size ${JSON.stringify(size)}`, te(`${size}\r\nhello\r\n0\r\n\r\n`) + SMUGGLED, refused(400, 413)]),
  ['a size of 17 digits', te(`00000000000000005\r\nhello\r\n0\r\n\r\n`) + NEXT, either(ok(200, 200), refused(400))],
  ['a blank after the size', te('5 \r\nhello\r\n0\r\n\r\n') + SMUGGLED.replace('__smuggled__', 'x'), either(refused(400), ok(200, 404))],
  ['LF alone after the size', te('5\nhello\r\n0\r\n\r\n') + SMUGGLED, refused(400)],
  ['LF alone after the data', te('5\r\nhello\n0\r\n\r\n') + SMUGGLED, refused(400)],
  ['LF alone after the last chunk', te('5\r\nhello\r\n0\n\r\n') + SMUGGLED, refused(400)],
  ['LF alone at the very end', te('5\r\nhello\r\n0\r\n\n') + SMUGGLED, refused(400)],
  ['CR alone after the size', te('5\rhello\r\n0\r\n\r\n') + SMUGGLED, refused(400)],
  ['an extension that ends with LF alone (TERM.EXT)', te(`5;\nhello\r\n0\r\n\r\n`) + SMUGGLED, refused(400)],
  ['an extension with LF inside', te(`5;a\nb\r\nhello\r\n0\r\n\r\n`) + SMUGGLED, refused(400)],
  ['an extension with CR inside', te(`5;a\rb\r\nhello\r\n0\r\n\r\n`) + SMUGGLED, refused(400)],
  ['an extension with NUL', te(`5;a\0\r\nhello\r\n0\r\n\r\n`) + SMUGGLED, refused(400)],
  ['an open quote that swallows a line', te(`5;a="\r\nhello\r\n0\r\n\r\n`) + SMUGGLED, refused(400)],
  ['no line end after the data', te('5\r\nhello0\r\n\r\n') + SMUGGLED, refused(400)],
  ['data longer than its size', te('5\r\nhello!\r\n0\r\n\r\n') + SMUGGLED, refused(400)],
  ['data shorter than its size', te('7\r\nhello\r\n0\r\n\r\n') + SMUGGLED, refused(400)],
  ['two bytes instead of the line end', te('5\r\nhelloXX0\r\n\r\n') + SMUGGLED, refused(400)],
  ['a last chunk with data', te('5\r\nhello\r\n0\r\nabc\r\n\r\n') + SMUGGLED, refused(400)],
  ['no end', te('5\r\nhello\r\n'), either(ok(), refused(400))],
  ['an extension of 256 KiB', te(`5;${'a'.repeat(256 * 1024)}\r\nhello\r\n0\r\n\r\n`) + SMUGGLED, refused(400, 413, 431)],
  ['20,000 chunks with an extension', te(`${'1;a=b\r\nx\r\n'.repeat(20000)}0\r\n\r\n`) + NEXT, either(ok(200, 200), refused(400, 413, 431))],
  ['more in all than may be', te(`${`100000\r\n${'x'.repeat(1 << 20)}\r\n`.repeat(17)}0\r\n\r\n`) + SMUGGLED, refused(413)],
  ['a size beyond what may be', te(`fffffff0\r\n`), refused(413)],
]);
rows('trailers', [
  ['are taken', te('5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n') + NEXT, ok(200, 200), { body: 'hello' }],
  ['Content-Length means nothing there', te(`5\r\nhello\r\n0\r\nContent-Length: ${LEN}\r\n\r\n`) + NEXT, either(ok(200, 200), refused(400))],
  ['Transfer-Encoding means nothing there', te('5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n') + NEXT, either(ok(200, 200), refused(400))],
  ['Host means nothing there', te('5\r\nhello\r\n0\r\nHost: evil\r\n\r\n') + NEXT, either(ok(200, 200), refused(400))],
  ['Authorization means nothing there', te('5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\n\r\n') + NEXT, either(ok(200, 200), refused(400))],
  ['folded', te('5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n') + SMUGGLED, refused(400)],
  ['without a colon', te('5\r\nhello\r\n0\r\nNoColon\r\n\r\n') + SMUGGLED, refused(400)],
  ['a blank before the colon', te('5\r\nhello\r\n0\r\nA : b\r\n\r\n') + SMUGGLED, refused(400)],
  ['with LF alone', te('5\r\nhello\r\n0\r\nA: b\n\r\n') + SMUGGLED, refused(400)],
  ['with NUL', te('5\r\nhello\r\n0\r\nA: \0\r\n\r\n') + SMUGGLED, refused(400)],
  ['1 MiB', te(`5\r\nhello\r\n0\r\nA: ${'b'.repeat(1 << 20)}\r\n\r\n`) + SMUGGLED, refused(400, 413, 431)],
  ['10,000 of them', te(`5\r\nhello\r\n0\r\n${'A: b\r\n'.repeat(10000)}\r\n`) + SMUGGLED, refused(400, 413, 431)],
]);

// ---- one after the other ------------------------------------------------------------------------------------
const live = get('GET /health/live HTTP/1.1');
rows('a connection', [
  ['two requests in one write', live + live, ok(200, 200)],
  ['a hundred requests in one write', live.repeat(100), ok(...Array(100).fill(200))],
  ['answers keep the order of the requests', `${get('GET /nowhere HTTP/1.1')}${live}${get('PUT /health/live HTTP/1.1')}${live}`, ok(404, 200, 405, 200)],
  ['a good request, then garbage: both are answered', `${live}garbage\r\n\r\n`, ok(200, 400)],
  ['nothing after garbage is answered', `garbage\r\n\r\n${live}`, refused(400)],
  ['HEAD has no body', `${get('HEAD /health/live HTTP/1.1')}${live}`, ok(200, 200), { heads: [true] }],
  ['HEAD of a path that is not there', `${get('HEAD /nowhere HTTP/1.1')}${live}`, ok(404, 200), { heads: [true] }],
  ['nothing follows Connection: close', `GET /health/live HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n${live}`, ok(200)],
  ['... among others', `GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n${live}`, ok(200)],
  ['nothing follows HTTP/1.0', `GET /health/live HTTP/1.0\r\n\r\n${live}`, ok(200)],
  ['... unless it asks for it', `GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n${live}`, ok(200, 200)],
  ['an empty line between requests', `${live}\r\n${live}`, ok(200, 200)],
  ['half a request, then the end', 'GET /health/live HT', ok()],
  ['half a head, then the end', 'GET /health/live HTTP/1.1\r\nHost: x\r\n', ok()],
  ['nothing at all', '', ok()],
  ['an unknown expectation', post('Expect: the-unexpected\r\nContent-Length: 5\r\n', `hello${SMUGGLED}`), refused(417)],
  ['a body after Expect: 100-continue', post('Expect: 100-continue\r\nContent-Length: 5\r\n', 'hello') + NEXT, ok(200, 200)],
  ['Expect: 100-continue of HTTP/1.0', 'POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello', ok(200), { body: 'hello' }],
]);

test('Expect: 100-continue is answered before the body comes, or the body is refused', async () => {
  const s = await RawSocket.connect(server.port);
  await s.write(post('Expect: 100-continue\r\nContent-Length: 5\r\n', ''));
  assert.equal((await s.readResponse()).status, 100);
  await s.write('hello');
  assert.equal((await s.readResponse()).body.toString(), 'hello');
  await s.write(post(`Expect: 100-continue\r\nContent-Length: ${17 << 20}\r\n`, ''));
  assert.equal((await s.readResponse()).status, 413);
  await s.gone();
});

test('an answer is given once the request is complete, also while the peer keeps its side open', async () => {
  const s = await RawSocket.connect(server.port);
  for (let i = 0; i < 3; i++) {
    await s.write(live);
    assert.equal((await s.readResponse()).status, 200);
  }
  s.destroy();
});

test('a refused request is answered though its body still comes', async () => {
  const s = await RawSocket.connect(server.port);
  await s.write(post(`Content-Length: ${100 << 20}\r\n`, 'x'.repeat(1 << 20)));
  assert.equal((await s.readResponse()).status, 413);
  s.destroy();
});

test('what an answer says of itself is safe', async () => {
  const { headers } = answersOf(await exchange(server.port, get('GET /nowhere HTTP/1.1', 'Host: x\r\nOrigin: http://localhost:1\r\n')))[0];
  assert.match(headers['content-type'], /^application\/json/);
  assert.equal(headers['access-control-allow-origin'], 'http://localhost:1');
  assert.ok(!/\d/.test(headers.server ?? ''), 'no version');
});

// ---- those who take their time ---------------------------------------------------------------------------------
describe('slow clients are closed by an absolute deadline', () => {
  let hasty;
  before(async () => {
    hasty = await serve(null, {
      args: ['--conformance'],
      config: { http: { head_ms_max: '700ms', body_ms_max: '700ms', keepalive_ms: '700ms' }, ws: { ping_ms: '1s', pong_ms_max: '500ms' } },
    });
  });
  after(async () => {
    await hasty.stop();
    hasty.clean();
  });

  // Drips on until the server has closed; only a deadline that does not move can end it.
  async function drips(start, drop) {
    const s = await RawSocket.connect(hasty.port);
    let all = Buffer.alloc(0);
    const dripping = (async () => {
      await s.write(start);
      while (!s.ended) {
        await s.write(drop);
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    })();
    all = await s.readAll();
    await dripping;
    s.destroy();
    const answers = answersOf(all);
    assert.ok(answers.length <= 1 && [400, 408].includes(answers[0]?.status ?? 408), `answered ${answers.map((a) => a.status)}`);
  }

  test('a request line', () => drips('G', 'E'));
  test('empty lines before it', () => drips('\r\n', '\r\n'));
  test('a header', () => drips('GET / HTTP/1.1\r\nHost: x\r\nA: ', 'b'));
  test('many headers', () => drips('GET / HTTP/1.1\r\nHost: x\r\n', 'A: b\r\n'));
  test('half an upgrade', () => drips('GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX: ', 'y'));
  test('a body', () => drips(post('Content-Length: 100000\r\n', ''), 'x'));
  test('chunks', () => drips(te(''), '1\r\nx\r\n'));
  test('a size of a chunk', () => drips(te(''), '0'));
  test('an extension of a chunk', () => drips(te('5;'), 'a'));
  test('trailers', () => drips(te('0\r\n'), 'A: b\r\n'));
  test('a body after Expect: 100-continue that never comes', async () => {
    const s = await RawSocket.connect(hasty.port);
    await s.write(post('Expect: 100-continue\r\nContent-Length: 5\r\n', ''));
    assert.equal((await s.readResponse()).status, 100);
    assert.equal((await s.readResponse()).status, 408);
    await s.gone();
  });
  test('who says nothing at all', async () => {
    const s = await RawSocket.connect(hasty.port);
    await s.gone();
  });
  test('who says nothing after an answer', async () => {
    const s = await RawSocket.connect(hasty.port);
    await s.write(live);
    assert.equal((await s.readResponse()).status, 200);
    assert.equal((await s.readAll()).length, 0);
  });
  test('others are served meanwhile', async () => {
    const slow = await Promise.all(Array.from({ length: 200 }, () => RawSocket.connect(hasty.port)));
    await Promise.all(slow.map((s) => s.write('GET / HTTP/1.1\r\nHost: ')));
    const answer = await within(fetch(`${hasty.url}/health/live`), 'an answer');
    assert.equal(answer.status, 200);
    await Promise.all(slow.map((s) => s.gone()));
  });
});
