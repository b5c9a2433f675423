// SPDX-License-Identifier: Apache-2.0
// One room through the three plain transports, with nothing but what a browser brings: WebSocket,
// EventSource and fetch. Each pane is one connection that can be cut; its position brings it back.
// To add a transport: a function that takes a pane and returns { open, cut }.
const $ = (selector, root = document) => root.querySelector(selector);
const CUT_MS = 5000;
const room = new URLSearchParams(location.search).get('room') || 'lobby';
const token = new URLSearchParams(location.search).get('token');
$('#room').textContent = room;

/** An address of the server, with the room's query and the token if the page was given one. */
function address(path, query = {}) {
  const url = new URL(path, location.href);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') url.searchParams.set(name, value);
  }
  if (token) url.searchParams.set('token', token);
  return url;
}

function problem(text) {
  $('#problem').textContent = text;
  $('#problem').hidden = !text;
}

/** The picture of one connection: state, numbers, and the messages in the order they came. */
class Pane {
  constructor(name, code, transport) {
    const node = $('#pane').content.cloneNode(true).firstElementChild;
    this.node = node;
    this.list = $('ol', node);
    this.log = $('.log', node);
    this.badge = $('.badge', node);
    this.counts = { received: 0, recovered: 0, gaps: 0, twice: 0 };
    this.last = 0;
    this.catchUp = 0; // messages published up to here while this pane was cut
    node.dataset.transport = name;
    $('h2', node).textContent = name;
    $('.code code', node).textContent = code;
    this.log.setAttribute('aria-label', `Messages by ${name}`);
    $('#panes').append(node);
    this.button = $('.cut', node);
    this.button.addEventListener('click', () => this.cut());
    this.transport = transport(this);
    this.transport.open();
  }

  state(state, text = state) {
    this.badge.dataset.state = state;
    this.badge.textContent = text;
  }

  show(name, value) {
    $(`[data-n=${name}]`, this.node).textContent = value;
  }

  add(line) {
    const stick = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 40;
    this.list.append(line);
    while (this.list.children.length > 300) this.list.firstChild.remove();
    if (stick) this.log.scrollTop = this.log.scrollHeight;
  }

  note(text, bad = false) {
    const line = document.createElement('li');
    line.className = bad ? 'note bad' : 'note';
    line.textContent = text;
    this.add(line);
  }

  message(offset, content) {
    if (offset <= this.last) {
      this.show('twice', ++this.counts.twice);
      return;
    }
    this.last = offset;
    this.show('offset', offset);
    this.show('received', ++this.counts.received);
    const again = offset <= this.catchUp;
    if (again) this.show('recovered', ++this.counts.recovered);
    const line = document.createElement('li');
    if (again) line.className = 'again';
    const number = document.createElement('span');
    number.textContent = offset;
    const text = document.createElement('p');
    const from = document.createElement('b');
    from.textContent = content?.from ?? 'someone';
    text.append(from, ` ${content?.text ?? JSON.stringify(content)}`);
    line.append(number, text);
    this.add(line);
    Pane.newest = Math.max(Pane.newest, offset);
  }

  gap(from, to) {
    this.show('gaps', ++this.counts.gaps);
    this.note(`Messages ${from} to ${to} are no longer kept`, true);
    this.last = Math.max(this.last, to);
  }

  /** Cut the connection, wait, come back. What was published meanwhile is marked as recovered. */
  async cut() {
    this.button.disabled = true;
    this.transport.cut();
    this.note('Connection cut');
    for (let left = CUT_MS / 1000; left > 0; left--) {
      this.state('cut', `back in ${left} s`);
      await new Promise((done) => setTimeout(done, 1000));
    }
    this.catchUp = Pane.newest;
    this.state('connecting');
    this.transport.open();
    this.button.disabled = false;
  }
}
Pane.newest = 0;

/** WebSocket: subscribes, says who we are, and asks for what came after the last offset it saw. */
function byWebSocket(pane) {
  let socket,
    position,
    attempt = 0,
    timer;
  const api = {
    open() {
      clearTimeout(timer);
      socket = new WebSocket(
        Object.assign(address('/socket'), {
          protocol: location.protocol === 'https:' ? 'wss:' : 'ws:',
        }),
      );
      const mine = socket;
      const subscribe = () => {
        const since = position;
        socket.send(
          JSON.stringify({
            type: 'subscribe',
            channel: room,
            presence: true,
            ...(since ? { since } : { history: 20 }),
          }),
        );
      };
      socket.onmessage = ({ data }) => {
        const m = JSON.parse(data);
        if (m.type === 'connected') {
          attempt = 0;
          // Our session waited: what we missed comes by itself, from where the server knows us.
          if (!m.recovered) subscribe();
          api.track();
        } else if (m.type === 'subscribed') {
          pane.state('connected');
          problem('');
          position ??= { epoch: m.epoch, offset: m.offset };
          if (position.epoch !== m.epoch) {
            pane.last = 0;
            position = { epoch: m.epoch, offset: m.offset };
          }
        } else if (m.type === 'message' && m.channel === room) {
          pane.message(m.offset, m.content);
          position = { epoch: m.id.slice(0, m.id.lastIndexOf('-')), offset: m.offset };
        } else if (m.type === 'presence' && m.channel === room) people(m);
        else if (m.type === 'gap') pane.gap(m.from, m.to);
        else if (m.type === 'error') pane.note(`${m.message}. ${m.hint ?? ''}`, true);
      };
      socket.onclose = () => {
        if (mine !== socket) return;
        pane.state('connecting', 'reconnecting');
        timer = setTimeout(api.open, Math.random() * Math.min(500 * 2 ** attempt++, 15000));
      };
    },
    cut() {
      const old = socket;
      socket = undefined;
      clearTimeout(timer);
      old.close(4000, 'cut'); // not 1000: the session waits to be taken up again
    },
    send(frame) {
      if (socket?.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify({ type: 'message', channel: room, ...frame }));
      return true;
    },
    track() {
      if (socket?.readyState === WebSocket.OPEN) {
        socket.send(
          JSON.stringify({
            type: 'track',
            channel: room,
            key: me,
            meta: { name: $('#name').value },
          }),
        );
      }
    },
  };
  return api;
}

/** SSE: the browser repeats the last id by itself; after our own cut we say it in the address. */
function byEvents(pane) {
  let source, since;
  const api = {
    open() {
      source = new EventSource(
        address('/api/events', { channel: room, ...(since ? { since } : { history: 20 }) }),
      );
      source.onopen = () => pane.state('connected');
      source.onerror = () => pane.state('connecting', 'reconnecting');
      source.onmessage = (event) => {
        const content = JSON.parse(event.data);
        if (event.lastEventId) since = event.lastEventId;
        if (content?.type === 'connected' && !('text' in content)) return;
        pane.message(
          Number(event.lastEventId.slice(event.lastEventId.lastIndexOf('-') + 1)),
          content,
        );
      };
      source.addEventListener('gap', (event) => {
        const { from, to } = JSON.parse(event.data);
        pane.gap(from, to);
      });
    },
    cut: () => source.close(),
  };
  return api;
}

/** Long poll: each answer holds the cursor for the next question. */
function byPoll(pane) {
  let running, cursor;
  return {
    async open() {
      const mine = (running = new AbortController());
      while (!mine.signal.aborted) {
        try {
          const url = address('/api/poll', {
            channel: room,
            batch: 1,
            ...(cursor ? { cursor } : { history: 20 }),
          });
          // The first answer may be parked until something happens: we are listening from now on.
          const parked = setTimeout(() => pane.state('connected'), 300);
          const answer = await fetch(url, { signal: mine.signal }).finally(() =>
            clearTimeout(parked),
          );
          if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
          const { messages, cursor: next } = await answer.json();
          cursor = next;
          pane.state('connected');
          for (const m of messages) {
            if (m.type === 'message') pane.message(m.offset, m.content);
            else if (m.type === 'gap') pane.gap(m.from, m.to);
          }
        } catch {
          if (mine.signal.aborted) return;
          pane.state('connecting', 'reconnecting');
          await new Promise((done) => setTimeout(done, 500 + Math.random() * 1500));
        }
      }
    },
    cut: () => running.abort(),
  };
}

// Who is here.
const here = new Map();
function people({ state, joins = [], leaves = [] }) {
  if (state) here.clear();
  for (const { key, metas } of state ?? joins) here.set(key, metas);
  for (const { key, metas } of leaves) {
    if (!joins.some((j) => j.key === key) && !metas?.stays) here.delete(key);
  }
  const names = [...here].map(([key, metas]) => metas?.at(-1)?.name ?? key).sort();
  $('#people').replaceChildren(
    ...names.map((name) => Object.assign(document.createElement('li'), { textContent: name })),
  );
  $('#count').textContent = names.length;
}

// Me: one key per tab, so that two tabs are two people; the name lasts.
const me = (sessionStorage.tidewireKey ??= crypto.randomUUID?.() ?? String(Math.random()).slice(2));
const guests = ['Ada', 'Bo', 'Cleo', 'Dov', 'Edda', 'Finn', 'Gia', 'Hal', 'Ines', 'Juno'];
$('#name').value = localStorage.tidewireName ?? guests[Math.floor(Math.random() * guests.length)];
$('#name').addEventListener('change', () => {
  localStorage.tidewireName = $('#name').value;
  socket.transport.track();
});

const socket = new Pane('WebSocket', 'new WebSocket("/socket")', byWebSocket);
new Pane(
  'Server-Sent Events',
  `new EventSource("/api/events?channel=${encodeURIComponent(room)}")`,
  byEvents,
);
new Pane('Long poll', `fetch("/api/poll?channel=${encodeURIComponent(room)}&cursor=…")`, byPoll);

async function send(text) {
  const frame = { content: { from: $('#name').value, text } };
  const via = new FormData($('#send')).get('via');
  if (via === 'websocket' && socket.transport.send(frame)) return;
  try {
    const answer = await fetch(address('/api/publish'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ channel: room, ...frame }),
    });
    const body = await answer.json();
    problem(answer.ok ? '' : `Not sent: ${body.message}. ${body.hint ?? ''}`);
  } catch {
    problem('Not sent: the server cannot be reached.');
  }
}

$('#send').addEventListener('submit', (event) => {
  event.preventDefault();
  send($('#text').value);
  $('#text').value = '';
  $('#text').focus();
});
$('#burst').addEventListener('click', async () => {
  for (let i = 1; i <= 20; i++) await send(`message ${i} of 20`);
});
