// SPDX-License-Identifier: Apache-2.0
declare module '*.css';
/** The text of a file, without its licence line (see build.mjs). */
declare module '*?raw' {
  const text: string;
  export default text;
}
