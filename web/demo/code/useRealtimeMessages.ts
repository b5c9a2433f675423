// SPDX-License-Identifier: Apache-2.0
import type { SupabaseClient } from '@supabase/supabase-js';
import { useEffect, useState } from 'react';

export interface Message {
  id: number;
  room_id: string;
  user_id: string;
  content: string;
}

/** Rows of a table as they come. There is no filter: the policies decide what this user is sent. */
export function useRealtimeMessages(supabase: SupabaseClient) {
  const [messages, setMessages] = useState<Message[]>([]);
  const [status, setStatus] = useState('CONNECTING');

  useEffect(() => {
    const take = (rows: Message[]) =>
      setMessages((prev) => {
        const known = new Set(prev.map((m) => m.id));
        return [...prev, ...rows.filter((m) => !known.has(m.id))].sort((a, b) => a.id - b.id);
      });

    const channel = supabase
      .channel('all-that-i-may-see')
      .on<Message>(
        'postgres_changes',
        { event: 'INSERT', schema: 'public', table: 'demo_messages' },
        (payload) => take([payload.new]),
      )
      .subscribe(async (state) => {
        setStatus(state);
        if (state != 'SUBSCRIBED') return;
        // The changes are live; what was before comes from the table.
        const { data } = await supabase.from('demo_messages').select().order('id').limit(200);
        take(data ?? []);
      });

    return () => {
      channel.unsubscribe();
    };
  }, [supabase]);

  const sendMessage = async (room_id: string, content: string) => {
    // Inserted as a row; everybody who may read it gets it. `user_id` is the token's, by default.
    const { error } = await supabase.from('demo_messages').insert({ room_id, content });
    return error;
  };

  return { messages, status, sendMessage };
}
