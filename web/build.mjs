// SPDX-License-Identifier: Apache-2.0
// Writes web/dist/, the folder whose files the server embeds, path by path: the demo (React and the
// packages of clients/, from their sources) and the page without any library. Node.js 18 will do.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const top = fileURLToPath(new URL('../', import.meta.url));
const clients = fileURLToPath(new URL('../clients/', import.meta.url));
const dist = `${here}dist`;

/** './x.ts?raw' is the text of x.ts: what "Show the code" shows is the file that runs. */
const raw = {
  name: 'raw',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\?raw$/ }, ({ path, resolveDir }) => ({
      path: basename(path), // names of chunks must not depend on where this folder is
      namespace: 'raw',
      pluginData: join(resolveDir, path.slice(0, -'?raw'.length)),
    }));
    onLoad({ filter: /./, namespace: 'raw' }, async ({ pluginData: file }) => ({
      contents: (await readFile(file, 'utf8')).replace(/^\/\/ SPDX.*\n/, '').trimEnd(),
      loader: 'text',
    }));
  },
};

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const { dependencies, devDependencies } = JSON.parse(readFileSync(`${here}package.json`, 'utf8'));
const missing = Object.keys({ ...dependencies, ...devDependencies }).filter(
  (name) => !existsSync(`${top}node_modules/${name}`),
);
if (missing.length) {
  // A server without pages is a server; what is made of this folder says so.
  console.error(`web/build.mjs: ${missing.join(', ')} not installed`);
  process.exit(0);
}
const { build } = await import('esbuild');
cpSync(`${here}plain`, dist, { recursive: true });
cpSync(`${here}demo/index.html`, `${dist}/index.html`);
const { metafile } = await build({
  metafile: true,
  absWorkingDir: top,
  entryPoints: { demo: `${here}demo/main.tsx` },
  outdir: dist,
  bundle: true,
  minify: true,
  format: 'esm',
  splitting: true,
  chunkNames: 'demo-[name]-[hash]',
  target: 'es2020',
  jsx: 'automatic',
  legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  alias: {
    '@tidewire/client': `${clients}js/src/index.ts`,
    '@tidewire/client/outbox': `${clients}js/src/outbox.ts`,
    '@tidewire/react': `${clients}react/src/index.ts`,
  },
  plugins: [raw],
  logLevel: 'warning',
});

// What other people wrote goes out with their words: once each, as their packages have them.
const packages = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const found = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input);
  if (found) packages.add(found[0]);
}
const licences = [...packages].sort().map((folder) => {
  const { name, version, license, author } = JSON.parse(
    readFileSync(`${top}${folder}/package.json`, 'utf8'),
  );
  const file = readdirSync(top + folder).find((f) => /^licen[cs]e/i.test(f));
  const text = file ? readFileSync(`${top}${folder}/${file}`, 'utf8').trim() : '';
  return `${name} ${version}: ${license}\n\n${text || `By ${author?.name ?? author ?? name}`}\n`;
});
writeFileSync(`${dist}/licences.txt`, licences.join(`\n${'-'.repeat(72)}\n\n`));
writeFileSync(`${dist}/.built`, ''); // all of it is there
