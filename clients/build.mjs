// SPDX-License-Identifier: Apache-2.0
// Builds the packages: esbuild for the code, terser for its last bytes, tsc for the types (left out with --fast).
//   node clients/build.mjs [--fast]        into each package's dist/
//   import { buildPackages }               into any folder, for tests
// Members that begin with _ are private to an entry and get short names; the few that another entry of
// the same package uses have fixed ones.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

// Without it all works the same, in some bytes more (the tests say so).
const terser = await import('terser').catch(() => undefined);
const here = fileURLToPath(new URL('.', import.meta.url));
export const packages = {
  js: ['index', 'iterate', 'fallback', 'outbox', 'shared', 'delta'],
  sockets: ['index'],
  react: ['index', 'table'],
};

const options = {
  bundle: true,
  format: 'esm',
  target: 'es2020',
  minify: true,
  sourcemap: 'external',
  legalComments: 'none',
  jsx: 'automatic',
  logLevel: 'warning',
  mangleProps: /^_[a-z]/,
  mangleCache: { _ask: '$a', _send: '$s', _link: '$l', _standing: '$t', _frame: '$f', _up: '$u', _down: '$d', _restored: '$r' },
};

/** out(package) names the folder for its files. */
export async function buildPackages(out = (name) => `${here}${name}/dist`) {
  for (const [name, entries] of Object.entries(packages)) {
    for (const entry of entries) {
      const outfile = `${out(name)}/${entry}.js`;
      const { outputFiles } = await build({
        ...options,
        write: false,
        entryPoints: [`${here}${name}/src/${entry}.ts`],
        outfile,
        // Another entry of the same package, and other packages, are imported and not copied.
        external: ['react', 'react/*', '@tidewire/*', ...(entry === 'index' ? ['./fallback.js', './iterate.js', './table.js'] : ['./index.js'])],
      });
      const [map, bundle] = outputFiles;
      const small = await terser?.minify(bundle.text, {
        module: true,
        ecma: 2020,
        compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true, pure_getters: true },
        sourceMap: { content: map.text, filename: `${entry}.js`, includeSources: true },
      });
      mkdirSync(dirname(outfile), { recursive: true });
      writeFileSync(outfile, small?.code ?? bundle.text);
      writeFileSync(`${outfile}.map`, small?.map ?? map.text);
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of Object.keys(packages)) {
    rmSync(`${here}${name}/dist`, { recursive: true, force: true });
    copyFileSync(`${here}../LICENSE`, `${here}${name}/LICENSE`);
    copyFileSync(`${here}../docs/packages/${name === 'js' ? 'client' : name}.md`, `${here}${name}/README.md`);
  }
  await buildPackages();
  if (!process.argv.includes('--fast')) {
    const tsc = createRequire(import.meta.url)
      .resolve('typescript/package.json')
      .replace('package.json', 'bin/tsc');
    for (const name of Object.keys(packages)) {
      const { status } = spawnSync(process.execPath, [tsc, '-p', here + name], { stdio: 'inherit' });
      if (status) process.exit(status);
    }
  }
}
