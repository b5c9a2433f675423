// SPDX-License-Identifier: Apache-2.0
// Did everybody get everything? Per subscriber and channel: each message exactly once and in
// order, or the hole was declared. The log is what the server acknowledged to publishers; what a
// subscriber says it received is held against it, so an error in the server's own recovery cannot
// hide. Whatever the dialect, a client reports four things:
//
//   const sub = checker.subscriber('sse-3');
//   sub.starts('room', { epoch, offset });  once: everything after it is owed
//   sub.message('room', { epoch, offset, content });   or { id: '<epoch>-<offset>', content }
//   sub.gap('room', from, to);              declared: these cannot be had
//   sub.reset('room', { epoch, offset });   declared: another log, owed from there on (server died)
//
//   checker.acked('room', { epoch, offset }, content); for every publish that was acknowledged
//   checker.verdict() -> { silent, declared, duplicates, disorder, wrong, falseGaps, delivered, problems }

export class Checker {
  constructor() {
    this.logs = new Map(); // channel -> epoch -> offset -> content as JSON
    this.subscribers = [];
  }

  acked(channel, { epoch, offset }, content) {
    if (!this.logs.has(channel)) this.logs.set(channel, new Map());
    const epochs = this.logs.get(channel);
    if (!epochs.has(epoch)) epochs.set(epoch, new Map());
    epochs.get(epoch).set(offset, JSON.stringify(content));
  }

  // How many messages were acknowledged, and the last offset of an epoch.
  last(channel, epoch) {
    return Math.max(0, ...(this.logs.get(channel)?.get(epoch)?.keys() ?? []));
  }

  subscriber(name) {
    const s = new Subscriber(name);
    this.subscribers.push(s);
    return s;
  }

  verdict() {
    const v = {
      silent: 0, declared: 0, duplicates: 0, disorder: 0, wrong: 0, falseGaps: 0, delivered: 0, problems: [],
    };
    for (const s of this.subscribers) {
      v.wrong += s.errors.length;
      v.problems.push(...s.errors);
      for (const [channel, spans] of s.channels) {
        for (const span of spans) this.#judge(v, s, channel, span);
      }
    }
    return v;
  }

  // Throws unless all is exact (declared loss allowed only when `declared` is).
  check({ declared = false } = {}) {
    const v = this.verdict();
    const bad = v.silent + v.duplicates + v.disorder + v.wrong + v.falseGaps + (declared ? 0 : v.declared);
    if (bad) {
      const { problems, ...counts } = v;
      throw new Error(`${JSON.stringify(counts)}\n${problems.slice(0, 20).join('\n')}`);
    }
    return v;
  }

  #judge(v, s, channel, span) {
    const log = this.logs.get(channel)?.get(span.epoch) ?? new Map();
    const say = (kind, text) => {
      v[kind]++;
      v.problems.push(`${kind}: ${s.name} ${channel} ${span.epoch} ${text}`);
    };
    const seen = new Map();
    let before = span.offset;
    for (const [offset, content] of span.messages) {
      v.delivered++;
      if (seen.has(offset)) say('duplicates', offset);
      else if (offset <= span.offset) say('duplicates', `${offset} is before the beginning ${span.offset}`);
      else if (offset < before) say('disorder', `${offset} after ${before}`);
      if (log.has(offset) && log.get(offset) !== content) say('wrong', `${offset}: ${content}`);
      seen.set(offset, content);
      before = Math.max(before, offset);
    }
    const isLost = (offset) => span.gaps.some(([from, to]) => offset >= from && offset <= to);
    for (const [from, to] of span.gaps) {
      for (let n = from; n <= to; n++) if (seen.has(n)) say('falseGaps', `${n} in ${from}-${to}`);
    }
    for (const offset of log.keys()) {
      if (offset <= span.offset || seen.has(offset)) continue;
      // A later span says that this log was lost: what it had left is declared by that.
      if (isLost(offset) || (span.isOver && offset > before)) v.declared++;
      else say('silent', offset);
    }
  }
}

class Subscriber {
  constructor(name) {
    this.name = name;
    this.channels = new Map(); // channel -> spans, one per epoch
    this.errors = []; // things a client saw that cannot be right
  }

  #span(channel) {
    return this.channels.get(channel)?.at(-1);
  }

  starts(channel, { epoch, offset }) {
    if (!this.channels.has(channel)) this.reset(channel, { epoch, offset });
  }

  reset(channel, { epoch, offset }) {
    if (!this.channels.has(channel)) this.channels.set(channel, []);
    const last = this.#span(channel);
    if (last) last.isOver = true;
    this.channels.get(channel).push({ epoch, offset, messages: [], gaps: [], isOver: false });
  }

  message(channel, { epoch, offset, id, content }) {
    const at = id?.lastIndexOf('-');
    const from = epoch ?? id.slice(0, at);
    const n = offset ?? Number(id.slice(at + 1));
    // Another log is begun from its start, and only after a gap has said so.
    if (this.#span(channel)?.epoch !== from && this.#span(channel)?.isDeclared) this.reset(channel, { epoch: from, offset: 0 });
    const span = this.#span(channel);
    if (!span || span.epoch !== from) {
      this.errors.push(`${this.name}: message ${from}-${n} on ${channel}, but the log is ${span?.epoch}`);
      return;
    }
    span.messages.push([n, JSON.stringify(content)]);
    span.isDeclared = false;
  }

  gap(channel, from, to) {
    this.#span(channel).gaps.push([from, to]);
    this.#span(channel).isDeclared = true;
  }

  // The newest position, for clients that name it when they come back.
  position(channel) {
    const span = this.#span(channel);
    if (!span) return undefined;
    const last = [...span.messages.slice(-1).map(([n]) => n), ...span.gaps.slice(-1).map(([, to]) => to)];
    return { epoch: span.epoch, offset: Math.max(span.offset, ...last) };
  }

  has(channel, epoch, offset) {
    return this.position(channel)?.epoch === epoch && this.position(channel).offset >= offset;
  }
}
