// SPDX-License-Identifier: Apache-2.0
// socket.io, as its documentation does it: join a room, emit to a room.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { serveClient: false });
io.on('connection', (socket) => {
  socket.on('join', (room, done) => { socket.join(room); done(); });
  socket.on('send', (room, text) => { io.to(room).emit('msg', text); });
});
http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 },
  () => console.log(`http://127.0.0.1:${http.address().port}`));
