// SPDX-License-Identifier: Apache-2.0
// An HTTP proxy as some offices have: it may refuse WebSocket, and keep an answer until it is whole,
// so that a stream never arrives.
import http from 'node:http';
import net from 'node:net';

export async function startHostile(t, port, { upgrade = true, streams = true } = {}) {
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push(request.url);
    const out = http.request(
      { host: '127.0.0.1', port, path: request.url, method: request.method, headers: request.headers },
      (answer) => {
        const parts = [];
        if (streams) response.writeHead(answer.statusCode, answer.headers);
        answer.on('data', (data) => (streams ? response.write(data) : parts.push(data)));
        answer.on('end', () => {
          if (!streams) {
            const { 'transfer-encoding': _, ...headers } = answer.headers;
            response.writeHead(answer.statusCode, headers);
          }
          response.end(Buffer.concat(parts));
        });
        answer.on('error', () => response.destroy());
      },
    );
    out.on('error', () => response.destroy());
    response.on('close', () => out.destroy());
    request.pipe(out);
  });
  const open = new Set();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    seen.push(`upgrade ${request.url}`);
    socket.on('error', () => {});
    if (!upgrade) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    const out = net.connect(port, '127.0.0.1', () => {
      out.write(
        `${request.method} ${request.url} HTTP/1.1\r\n${request.rawHeaders.reduce((s, h, i) => s + h + (i % 2 ? '\r\n' : ': '), '')}\r\n`,
      );
      out.write(head);
      socket.pipe(out).pipe(socket);
    });
    out.on('error', () => socket.destroy());
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    open.forEach((socket) => socket.destroy());
    server.close();
  });
  return { port: server.address().port, seen };
}
