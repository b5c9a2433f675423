// SPDX-License-Identifier: Apache-2.0
// Frames over HTTP: down by SSE (read with fetch, so that a token can stand in a header and Node can
// do it) or by long poll; up by POST and GET. The stream is opened for what the client stands for at
// that moment (`standing()`, with positions), so a change of subscriptions is just another opening.
import { TidewireError } from './index.js';
import { eventParser } from './sse.js';
import type { Frame, Link, LinkContext, Position, Transport } from './types.js';

const TIMEOUT = 4408;
const UNAVAILABLE = 4503;

const POLL_MS = 25000;

const refused = async (answer: Response) => {
  const {
    code = answer.status < 500 ? 4400 + (answer.status % 100) : UNAVAILABLE,
    message = `HTTP ${answer.status}`,
    hint,
    retryable,
  } = await answer.json().catch(() => ({}));
  return new TidewireError(code, message, hint, retryable);
};

/** One binary message, its bytes as they are. */
export async function post(
  send: typeof fetch,
  base: string,
  token: string | undefined,
  query: Record<string, string>,
  bytes: Uint8Array,
  id?: string,
): Promise<Frame> {
  const answer = await send(`${base}/api/publish?${new URLSearchParams(query)}`, {
    method: 'POST',
    body: bytes as Uint8Array<ArrayBuffer>,
    headers: {
      'content-type': 'application/octet-stream',
      ...(id && { 'idempotency-key': id }),
      ...(token && { authorization: `Bearer ${token}` }),
    },
  });
  if (!answer.ok) throw await refused(answer);
  return answer.json();
}

function open(context: LinkContext, poll: boolean): Link {
  const { base, fetch } = context;
  let { token } = context;
  let over = false;
  let told = false; // connected
  let stream: AbortController | undefined;
  let turn = 0; // of the stream; an older one's words are not heard
  let waiting = false;
  const asked = new Set<AbortController>();
  const epochs = new Map<string, string>(); // poll: of channels that were told where they stand
  let places = new Map<string, Position | undefined>(); // what the last address asked for, in its order
  let line: Frame[] = []; // messages to go, one POST at a time
  let posting = false;

  const end = (code: number, error?: Error) => {
    if (over) return;
    over = true;
    stream?.abort();
    asked.forEach((a) => a.abort());
    context.closed(code, error);
  };
  const headers = (more?: Record<string, string>) => ({ ...more, ...(token && { authorization: `Bearer ${token}` }) });

  const hear = (frame: Frame, raw?: string) => {
    if (frame.type == 'connected') told = true;
    context.frame(frame, raw);
  };

  /** The address that says everything: channels, positions, presence. */
  const address = () => {
    const query = new URLSearchParams({ frames: '1' });
    const since: string[] = [];
    places = new Map();
    for (const frame of context.standing()) {
      if (frame.type == 'track') {
        query.append('track', JSON.stringify(frame));
        continue;
      }
      for (const channel of frame.channels) {
        const position = frame.since?.[channel];
        places.set(channel, position);
        query.append('channel', channel);
        since.push(position ? `${position.epoch}-${position.offset}` : '');
      }
      if (frame.presence) query.set('presence', '1');
      if (frame.history) query.set('history', frame.history);
    }
    if (since.some(Boolean)) query.set(poll ? 'cursor' : 'since', since.join('~'));
    if (poll) {
      query.set('batch', '1');
      // The first answer shall come at once: it tells that the way is free.
      query.set('timeout', String(told ? POLL_MS : 0));
    }
    return `${base}/api/${poll ? 'poll' : 'events'}?${query}`;
  };

  const run = async (mine: number) => {
    const { signal } = (stream = new AbortController());
    const answer = await fetch(address(), {
      signal,
      cache: 'no-store',
      headers: headers(poll ? {} : { accept: 'text/event-stream' }),
    });
    if (!answer.ok) {
      const error = await refused(answer);
      return mine == turn && end(error.code, error);
    }
    context.alive();
    if (poll) {
      const { messages, cursor } = (await answer.json()) as { messages: Frame[]; cursor: string };
      if (mine != turn) return;
      if (!told) hear({ type: 'connected', ping: POLL_MS });
      // A poll from a position is not told where it stands, nor that the log began anew: its cursor is.
      const ends = cursor.split('~');
      for (const [channel, position] of places) {
        const [, epoch, offset] = /^(.*)-(\d+)$/.exec(ends.shift()!) ?? [];
        if (!epoch || epochs.get(channel) == epoch) continue;
        epochs.set(channel, epoch);
        const about = messages.filter((m) => m.channel == channel);
        if (about.some((m) => /^(subscribed|error)$/.test(m.type))) continue;
        const recovered = position?.epoch == epoch && !about.some((m) => m.type == 'gap');
        hear({ type: 'subscribed', channel, epoch, offset: recovered ? position.offset : +offset!, recovered });
      }
      for (const frame of messages) hear(frame);
      if (mine == turn && !over) start();
      return;
    }
    const reader = answer.body!.getReader();
    const decoder = new TextDecoder();
    const parse = eventParser((data) => mine == turn && !over && hear(JSON.parse(data), data));
    for (;;) {
      const { done, value } = await reader.read();
      if (mine != turn) return reader.cancel().catch(() => {});
      if (done) return end(1006);
      context.alive();
      parse(decoder.decode(value, { stream: true }));
    }
  };
  const start = () => {
    waiting = false;
    const mine = ++turn;
    stream?.abort();
    run(mine).catch((error) => mine == turn && end(1006, error));
  };
  /** Once per turn of the event loop, however many frames asked for it. */
  const restart = () => {
    if (!waiting) ((waiting = true), setTimeout(() => over || start()));
  };

  const ask = async (path: string, init: RequestInit, limit = 10000) => {
    const control = new AbortController();
    asked.add(control);
    const timer = setTimeout(() => control.abort(), limit);
    try {
      const answer = await fetch(base + path, {
        ...init,
        signal: control.signal,
        headers: headers(init.headers as Record<string, string>),
      });
      if (!answer.ok) throw await refused(answer);
      return await answer.json().catch(() => ({}));
    } catch (error) {
      throw error instanceof TidewireError
        ? error
        : new TidewireError(control.signal.aborted ? TIMEOUT : UNAVAILABLE, String(error));
    } finally {
      clearTimeout(timer);
      asked.delete(control);
    }
  };
  const answers = async (frame: Frame, make: () => Promise<Partial<Frame>>) => {
    try {
      const answer = await make();
      if (!over) context.frame({ type: 'ack', ref: frame.ref, ...answer });
    } catch (error) {
      const { code, message, hint, retryable } = error as TidewireError;
      if (!over) context.frame({ type: 'error', code, message, hint, retryable, ref: frame.ref, channel: frame.channel });
    }
  };

  const tell = (frame: Frame) => over || frame.ref === undefined || context.frame(frame);
  /** What waits goes together. When it did not get through, nothing behind it may overtake it. */
  const publish = async () => {
    posting = true;
    while (line.length && !over) {
      const batch = line.splice(0, 64);
      const body = JSON.stringify(batch.map(({ type: _, ref: __, ...message }) => message));
      try {
        const all = await ask('/api/publish', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
        batch.forEach(({ ref, channel }, i) => tell({ ...all[i], type: all[i].code ? 'error' : 'ack', ref, channel }));
      } catch (error) {
        const { code, message, hint, retryable } = error as TidewireError;
        for (const { ref, channel } of [...batch, ...line.splice(0)])
          tell({ type: 'error', code, message, hint, retryable, ref, channel });
      }
    }
    posting = false;
  };

  setTimeout(() => over || start());
  return {
    standing: true,
    send(frame) {
      const { type, channel } = frame;
      if (type == 'unsubscribe') epochs.delete(channel);
      if (type == 'subscribe' || type == 'unsubscribe') restart();
      else if (type == 'track' || type == 'untrack') {
        restart();
        answers(frame, async () => ({ channel }));
      } else if (type == 'message') {
        line.push(frame);
        if (!posting) publish();
      } else if (type == 'auth') {
        token = frame.token;
        restart();
        answers(frame, async () => ({ type: 'authenticated' }));
      } else if (type == 'ping') answers(frame, async () => (await ask('/health/live', {}), context.alive(), { type: 'pong' }));
      else {
        // history, presence
        const query = new URLSearchParams();
        for (const name of ['limit', 'before', 'after']) if (frame[name] != null) query.set(name, frame[name]);
        if (type == 'presence') query.set('limit', '0');
        answers(frame, async () => {
          const { presence, messages, epoch, more } = await ask(`/api/channels/${encodeURIComponent(channel)}?${query}`, {});
          return { type, channel, epoch, ...(type == 'presence' ? { state: presence ?? [] } : { messages, more }) };
        });
      }
    },
    close() {
      over = true;
      turn++;
      stream?.abort();
      asked.forEach((a) => a.abort());
    },
  };
}

export const sse: Transport = { name: 'sse', open: (context) => open(context, false) };
export const polling: Transport = { name: 'polling', open: (context) => open(context, true) };
