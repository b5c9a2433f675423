// SPDX-License-Identifier: Apache-2.0
// Cuts a text/event-stream into the data of its events. Only what `frames=1` needs: every event is
// unnamed there and positions stand in the frames, so `event`, `id` and `retry` lines are left out.

/** Feed it text as it comes; it calls `data` once for each complete event. */
export function eventParser(data: (text: string) => void): (chunk: string) => void {
  let rest = '';
  let lines: string[] = [];
  return (chunk) => {
    // A CR at the end may be half of a CRLF: it waits for the next chunk.
    const parts = (rest + chunk).split(/\r\n|\n|\r(?!$)/);
    rest = parts.pop()!;
    for (const line of parts) {
      if (!line) {
        if (lines.length) data(lines.join('\n'));
        lines = [];
      } else if (line.startsWith('data:')) lines.push(line.slice(line[5] == ' ' ? 6 : 5));
    }
  };
}
