// SPDX-License-Identifier: Apache-2.0
// The bar at the bottom: four ways to break your connection, and what came of it.
import { useConnection } from '@tidewire/react';
import { useEffect, useState } from 'react';
import { useStore } from '../../clients/react/src/store.js';
import { useNumbers } from './code/useNumbers.js';
import { NUMBERS, sum } from './numbers.js';
import { me } from './people.js';
import type { Counters } from './people.js';
import { kib } from './ui.js';

const HINTS: Record<keyof Counters, string> = {
  messages: 'Messages that came over your connection',
  recovered: 'Messages you missed while away and got afterwards',
  gaps: 'Times something could not be had any more',
  duplicates: 'Messages that came twice',
  renewed: 'Tokens replaced on the open connection',
};

/** What happened, newest last: the last line is shown, and read out. */
function useStory() {
  const [line, setLine] = useState('');
  useEffect(() => {
    let down = 0;
    let before = me.counters.value;
    const off = me.client.connection.on('change', ({ current, recovered, error }) => {
      if (current == 'connected') {
        const away = down && ((Date.now() - down) / 1000).toFixed(1);
        setLine(down ? `Back after ${away} s${recovered ? ', the session was kept' : ''}.` : '');
        down = 0;
      } else if (current == 'failed') setLine(`Refused: ${error?.message}`);
      else if (!down) {
        down = Date.now();
        setLine('The connection is gone. It is tried again by itself.');
      }
    });
    const offCounters = me.counters.subscribe(() => {
      const now = me.counters.value;
      if (now.renewed > before.renewed) {
        setLine('The token was about to end: a fresh one went up the open connection.');
      }
      before = now;
    });
    return () => (off(), offCounters());
  }, []);
  return [line, setLine] as const;
}

function useRtt(isConnected: boolean) {
  const [rtt, setRtt] = useState<number>();
  useEffect(() => {
    if (!isConnected) return setRtt(undefined);
    const ask = () => me.client.connection.ping().then(setRtt, () => {});
    ask();
    const timer = setInterval(ask, 5000);
    return () => clearInterval(timer);
  }, [isConnected]);
  return rtt;
}

export function Bar() {
  const { state, transport, isConnected, reconnect } = useConnection();
  const weather = useStore(me.network.weather);
  const counters = useStore(me.counters);
  const { bytes } = useStore(me.network.traffic);
  const server = useNumbers(NUMBERS).at(-1)?.all ?? {};
  const [story, tell] = useStory();
  const [open, setOpen] = useState(false);
  const rtt = useRtt(isConnected);
  const set = (to: 'cut' | 'offline') => me.network.set(weather == to ? 'up' : to);
  const expire = () => {
    tell('This token ends in five seconds.');
    me.expire().catch((error: Error) => tell(error.message));
  };
  const wire = sum(server, 'bytes_sent_total');
  const whole = wire + sum(server, 'compressed_bytes_saved_total');
  return (
    <footer className={`bar ${open ? 'open' : ''}`} aria-label="Your network">
      <div className="line">
        <span className={`dot ${isConnected && weather == 'up' ? 'ok' : 'bad'}`} data-state={state}>
          {weather == 'offline' && isConnected ? 'silent' : isConnected ? transport : state}
          {rtt !== undefined && isConnected && <small> {rtt} ms</small>}
        </span>
        <p className="story" role="status">
          {story}
        </p>
        <button
          className="more"
          aria-expanded={open}
          aria-controls="breakers"
          onClick={() => setOpen(!open)}
        >
          Break it
        </button>
      </div>
      <div className="row breakers" id="breakers" role="group" aria-label="Break your connection">
        <button aria-pressed={weather == 'cut'} onClick={() => set('cut')}>
          {weather == 'cut' ? 'Mend the network' : 'Cut the network'}
        </button>
        <button aria-pressed={weather == 'offline'} onClick={() => set('offline')}>
          {weather == 'offline' ? 'Go online' : 'Go offline'}
        </button>
        <button onClick={reconnect}>Restart the connection</button>
        <button onClick={expire}>Expire the token</button>
      </div>
      <dl>
        {Object.entries(counters).map(([name, n]) => (
          <div key={name} title={HINTS[name as keyof Counters]}>
            <dt>{name}</dt>
            <dd data-n={name}>{n}</dd>
          </div>
        ))}
        <div title="Bytes of the frames on your connection, unpacked">
          <dt>received</dt>
          <dd data-n="bytes">{kib(bytes)}</dd>
        </div>
        {whole > 0 && (
          <div title="What this server has sent to everybody, and what it would be uncompressed">
            <dt>server sent</dt>
            <dd>
              <span data-n="wire">{kib(wire)}</span> <small>of</small>{' '}
              <span data-n="whole">{kib(whole)}</span>
            </dd>
          </div>
        )}
      </dl>
    </footer>
  );
}
