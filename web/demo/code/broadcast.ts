// SPDX-License-Identifier: Apache-2.0
// @supabase/supabase-js, unchanged: a broadcast channel.
import type { SupabaseClient } from '@supabase/supabase-js';

export function joinBroadcast(
  supabase: SupabaseClient,
  name: string,
  onMessage: (payload: { message: string }) => void,
) {
  const channel = supabase
    .channel(name, { config: { broadcast: { self: true } } })
    .on('broadcast', { event: 'new-message' }, ({ payload }) => onMessage(payload))
    .subscribe();

  const sendMessage = (message: string) => {
    channel.send({ type: 'broadcast', event: 'new-message', payload: { message } });
  };
  return { sendMessage, close: () => void channel.unsubscribe() };
}
