// SPDX-License-Identifier: Apache-2.0
// Which client: the provider's, or one for where the page came from. A client that we made is closed
// when nobody has used it for a moment; one that you made is yours.
import { createClient } from '@tidewire/client';
import type { Client, ClientOptions, ConnectionChange } from '@tidewire/client';
import { createContext, createElement, useContext, useEffect, useState, useSyncExternalStore } from 'react';
import type { ReactNode } from 'react';

/** How long what was unmounted is kept: StrictMode and route changes mount it again at once. */
export const GRACE_MS = 50;

const Context = createContext<Client | undefined>(undefined);
const users = new WeakMap<Client, number>(); // of clients that we made
let standard: Client | undefined;

export interface ProviderProps {
  /** Yours: created outside, closed by you. */
  client?: Client;
  /** Or: created here once, closed after unmount. */
  options?: ClientOptions;
  children?: ReactNode;
}

const own = (options?: ClientOptions) => {
  // During server rendering there is no location; nothing connects there either.
  const client = createClient({ url: globalThis.location?.origin ?? 'http://localhost', ...options });
  users.set(client, 0);
  return client;
};

export function TidewireProvider({ client, options, children }: ProviderProps): ReactNode {
  const [made] = useState(() => client ?? own(options));
  const value = client ?? made;
  useKeep(value);
  return createElement(Context.Provider, { value }, children);
}

export function useClient(): Client {
  const given = useContext(Context);
  return given ?? (standard ??= own());
}

/** Counts this component as a user of the client, and connects it. */
export function useKeep(client: Client): void {
  useEffect(() => {
    const count = users.get(client);
    if (count === undefined) return;
    users.set(client, count + 1);
    return () => {
      setTimeout(() => {
        const left = users.get(client)! - 1;
        users.set(client, left);
        if (left) return;
        client.close();
        if (client == standard) standard = undefined;
      }, 2 * GRACE_MS);
    };
  }, [client]);
}

export interface ConnectionStatus extends ConnectionChange {
  state: ConnectionChange['current'];
  isConnected: boolean;
  /** It was lost, or never came up yet, and is being tried. */
  isReconnecting: boolean;
  reconnect(): void;
}

/** How the connection is doing. */
export function useConnection(): ConnectionStatus {
  const client = useClient();
  const { connection } = client;
  useKeep(client);
  const last = useSyncExternalStore(
    (listener) => connection.on('change', listener),
    () => connection.last,
    () => initial,
  );
  return {
    ...last,
    state: last.current,
    isConnected: last.current == 'connected',
    isReconnecting: /^(connecting|dis|sus)/.test(last.current),
    reconnect: () => connection.reconnect(),
  };
}
const initial: ConnectionChange = { previous: 'initialized', current: 'initialized', attempt: 0 };
