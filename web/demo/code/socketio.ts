// SPDX-License-Identifier: Apache-2.0
// socket.io-client, unchanged. The server has no code: joining and sending are four lines of
// Tidewire's configuration (`socketio.events`), and `tidewire dev` brings them.
import { io } from 'socket.io-client';

export function joinRoom(
  roomId: string,
  onMessage: (message: RoomMessage) => void,
  token?: string,
) {
  const socket = io({ auth: { token } });

  socket.on('connect', () => {
    socket.emit('join-room', roomId);
  });

  socket.on('new-message', onMessage);

  const sendMessage = (message: string) => {
    // Goes to the room, without the sender
    socket.emit('send-message', { roomId, message });
  };
  return { sendMessage, close: () => void socket.disconnect() };
}

export interface RoomMessage {
  userId?: string;
  userName?: string;
  message: string;
  timestamp?: number;
}
