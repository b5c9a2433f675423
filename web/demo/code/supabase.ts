// SPDX-License-Identifier: Apache-2.0
import { createClient } from '@supabase/supabase-js';

/** supabase-js for one user: the anon key says which project, the token says who. */
export function clientOf(url: string, anonKey: string, accessToken: () => Promise<string>) {
  return createClient(url, anonKey, { accessToken });
}
