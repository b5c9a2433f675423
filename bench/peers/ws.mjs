// SPDX-License-Identifier: Apache-2.0
// The `ws` package, used as its documentation does: a text is sent to everybody in the path's room.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const rooms = new Map();
const http = createServer();
const perMessageDeflate = process.argv[2] === 'deflate' && {
  serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 256,
};
const server = new WebSocketServer({ server: http, perMessageDeflate });
server.on('connection', (socket, request) => {
  let room = rooms.get(request.url);
  if (!room) rooms.set(request.url, room = new Set());
  room.add(socket);
  socket.on('message', (data) => {
    for (const member of room) member.send(data, { binary: false });
  });
  socket.on('close', () => room.delete(socket));
  socket.on('error', () => {});
});
http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 },
  () => console.log(`http://127.0.0.1:${http.address().port}`));
