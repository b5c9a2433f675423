// SPDX-License-Identifier: Apache-2.0
// Writes web/dist/, the folder whose files the server embeds, path by path: the demo (React and the
// packages of clients/, from their sources) and the page without any library.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const clients = fileURLToPath(new URL('../clients/', import.meta.url));
const dist = `${here}dist`;
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
cpSync(`${here}plain`, dist, { recursive: true });
cpSync(`${here}demo/index.html`, `${dist}/index.html`);
await build({
  entryPoints: { demo: `${here}demo/main.tsx` },
  outdir: dist,
  bundle: true,
  minify: true,
  format: 'esm',
  splitting: true,
  target: 'es2020',
  jsx: 'automatic',
  legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  alias: {
    '@tidewire/client': `${clients}js/src/index.ts`,
    '@tidewire/react': `${clients}react/src/index.ts`,
  },
  logLevel: 'warning',
});
