// SPDX-License-Identifier: Apache-2.0
// An event stream read by fetch, event by event, as its bytes say (the `eventsource` package hides
// comments, retry and the moment an id is set).
import { Queue, within } from './wait.mjs';

// Text -> events: feed() returns those that became complete. { event, data, id, retry, comment }
export class SseParser {
  #rest = '';
  #event = {};

  feed(text) {
    const out = [];
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (Object.keys(this.#event).length) out.push(this.#event);
        this.#event = {};
        continue;
      }
      const at = line.indexOf(':');
      const name = at < 0 ? line : line.slice(0, at);
      const value = at < 0 ? '' : line.slice(at + 1).replace(/^ /, '');
      if (at === 0) this.#event.comment = value;
      else if (name === 'data' && this.#event.data !== undefined) this.#event.data += `\n${value}`;
      else this.#event[name] = value;
    }
    return out;
  }
}

export class EventStream {
  constructor(answer, abort) {
    this.answer = answer;
    this.abort = abort;
    this.events = new Queue();
    this.over = this.#run().catch((error) => error).then((error) => {
      this.events.finish(error ?? new Error('the stream ended'));
      return error;
    });
  }

  static async open(url, { headers = {} } = {}) {
    const control = new AbortController();
    const answer = await within(fetch(url, { headers, signal: control.signal }), 'the head of the stream');
    return new EventStream(answer, control);
  }

  async #run() {
    const parser = new SseParser();
    const decoder = new TextDecoder();
    for await (const bytes of this.answer.body) {
      for (const event of parser.feed(decoder.decode(bytes, { stream: true }))) this.events.push(event);
    }
  }

  next(what = 'an event', ms) {
    return this.events.next(what, ms);
  }

  // The next event with data; comments, lone ids and retries before it are dropped.
  data(ms) {
    return this.events.find((e) => e.data !== undefined, 'an event with data', ms);
  }

  async json(ms) {
    return JSON.parse((await this.data(ms)).data);
  }

  close() {
    this.abort.abort();
    return within(this.over, 'the end of the stream');
  }
}
