// SPDX-License-Identifier: Apache-2.0
// Every snippet of the packages' pages compiles under --strict, and the packages keep to their sizes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { buildPackages } from '../../build.mjs';

const top = fileURLToPath(new URL('../../../', import.meta.url));
const pages = ['docs/packages/client.md', 'docs/packages/sockets.md', 'docs/packages/react.md', 'docs/guide/from-the-guide.md'];

test('the snippets of the docs compile under --strict', () => {
  const folder = fs.mkdtempSync(path.join(top, 'node_modules/.docs-'));
  try {
    let count = 0;
    for (const page of pages) {
      for (const [, kind, text] of fs.readFileSync(path.join(top, page), 'utf8').matchAll(/^```(tsx?)\n([^]*?)^```/gm)) {
        fs.writeFileSync(path.join(folder, `${path.basename(page, '.md')}-${++count}.${kind}`), `${text}\nexport {};\n`);
      }
    }
    assert.ok(count > 15);
    const source = (name, entry) => [path.join(top, `clients/${name}/src/${entry}.ts`)];
    fs.writeFileSync(
      path.join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          target: 'ES2022',
          module: 'ESNext',
          moduleResolution: 'Bundler',
          jsx: 'react-jsx',
          skipLibCheck: true,
          lib: ['ES2022', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
          types: ['react'],
          paths: {
            '@tidewire/client': source('js', 'index'),
            '@tidewire/client/outbox': source('js', 'outbox'),
            '@tidewire/client/shared': source('js', 'shared'),
            '@tidewire/client/delta': source('js', 'delta'),
            '@tidewire/sockets': source('sockets', 'index'),
            '@tidewire/react': source('react', 'index'),
          },
        },
        include: [`${folder}/*.ts`, `${folder}/*.tsx`],
      }),
    );
    const { status, stdout } = spawnSync(process.execPath, [path.join(top, 'node_modules/typescript/bin/tsc'), '-p', folder], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

test('the packages keep to their sizes', async () => {
  const folder = fs.mkdtempSync(path.join(top, 'node_modules/.sizes-'));
  try {
    await buildPackages((name) => path.join(folder, name));
    const most = {
      'js/index': 6.0,
      'js/iterate': 0.5,
      'js/outbox': 1.8,
      'js/shared': 2.5,
      'js/delta': 1.5,
      'js/fallback': 2.2,
      'sockets/index': 2.0,
      'react/index': 3.5,
      'react/table': 1.2,
    };
    const over = Object.entries(most).flatMap(([name, kB]) => {
      const size = gzipSync(fs.readFileSync(path.join(folder, `${name}.js`)), { level: 9 }).length;
      return size > kB * 1000 ? [`${name}: ${size} bytes, ${kB * 1000} are allowed`] : [];
    });
    assert.deepEqual(over, []);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
