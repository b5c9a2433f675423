// SPDX-License-Identifier: Apache-2.0
import type { SupabaseClient } from '@supabase/supabase-js';
import { useEffect, useState } from 'react';

/** A channel that only those may join whom a policy on realtime.messages lets in. */
export function usePrivateChannel(supabase: SupabaseClient, topic: string, name: string) {
  const [joined, setJoined] = useState<'asking' | 'open' | 'refused'>('asking');
  const [online, setOnline] = useState<string[]>([]);

  useEffect(() => {
    const channel = supabase.channel(topic, { config: { private: true, presence: { key: name } } });
    channel
      .on('presence', { event: 'sync' }, () => setOnline(Object.keys(channel.presenceState())))
      .subscribe((status) => {
        if (status == 'SUBSCRIBED') {
          setJoined('open');
          channel.track({ online_at: new Date().toISOString() });
        } else if (status == 'CHANNEL_ERROR') {
          setJoined('refused');
          channel.unsubscribe();
        }
      });
    return () => {
      channel.unsubscribe();
    };
  }, [supabase, topic, name]);

  return { joined, online };
}
