// SPDX-License-Identifier: Apache-2.0
// For unit tests: import one source file, with what it imports, as it stands.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

export async function load(path) {
  const folder = mkdtempSync(fileURLToPath(new URL('../node_modules/.load-', import.meta.url)));
  const outfile = join(folder, 'module.mjs');
  try {
    buildSync({
      entryPoints: [fileURLToPath(new URL(path, import.meta.url))],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      external: ['react', 'react/*', '@tidewire/*', './fallback.js'],
      logLevel: 'error',
    });
    return await import(pathToFileURL(outfile));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
