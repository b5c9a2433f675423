// SPDX-License-Identifier: Apache-2.0
// A little colour for the code on show: comments, texts, words of the language. Nothing is parsed.
const WORDS =
  'import export from function const let return new if else for of async await type interface ' +
  'try catch true false null undefined create table policy on select insert to using with check ' +
  'as and exists where language sql stable security definer returns boolean not text primary key';
const isWord = new Set(WORDS.split(' '));
const COMMENT = /\/\*[^]*?\*\/|\/\/[^\n]*|--[^\n]*/.source;
const TEXT = /'(?:[^'\\\n]|\\.)*'|"[^"\n]*"|`[^`]*`/.source;
const PIECES = new RegExp(`(${COMMENT})|(${TEXT})|([A-Za-z_$][\\w$]*)`, 'g');

export type Piece = { kind?: 'comment' | 'text' | 'word' | 'call'; text: string };

export function piecesOf(code: string): Piece[] {
  const out: Piece[] = [];
  let at = 0;
  for (const m of code.matchAll(PIECES)) {
    const [text, comment, quoted, name] = m;
    const end = m.index! + text.length;
    const kind = comment
      ? 'comment'
      : quoted
        ? 'text'
        : isWord.has(name!)
          ? 'word'
          : code[end] == '('
            ? 'call'
            : undefined;
    if (!kind) continue;
    if (m.index! > at) out.push({ text: code.slice(at, m.index) });
    out.push({ kind, text });
    at = end;
  }
  out.push({ text: code.slice(at) });
  return out;
}
