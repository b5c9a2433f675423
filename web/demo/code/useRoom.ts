// SPDX-License-Identifier: Apache-2.0
import { useChatMessages, usePresence, useTyping } from '@tidewire/react';
import { useEffect } from 'react';

/** A chat room: messages, who is there, who types. */
export function useRoom(roomId: string, user: { id: string; name: string }) {
  // Own messages show at once: 'sending', then 'sent' in the same place, or 'failed' with retry.
  // Away, they wait and go out once, in order. History comes from the server.
  const { messages, sendMessage, retry, discard, loadMore } = useChatMessages(
    roomId,
    `${user.name} ${user.id}`,
  );

  // Who is online. A lost connection leaves after a moment, a closed one at once.
  const { members, update } = usePresence(roomId, { name: user.name }, user.id);
  useEffect(() => {
    update({ name: user.name }).catch(() => {}); // refused: then nobody sees us
  }, [user.name, update]);

  // "… is typing": said on the first key, again while it goes on, and taken back.
  const { typing, handleTyping, stop } = useTyping(roomId, { name: user.name });

  return { messages, sendMessage, retry, discard, loadMore, members, typing, handleTyping, stop };
}
