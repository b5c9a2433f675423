// SPDX-License-Identifier: Apache-2.0
// The packages as they are shipped, built into a folder of this test's own.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildPackages } from '../../../clients/build.mjs';

const modules = fileURLToPath(new URL('../../../node_modules/', import.meta.url));
export const folder = fs.mkdtempSync(path.join(modules, '.sdk-'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
await buildPackages((name) => path.join(folder, name));

export const sdk = (name, entry = 'index') => import(pathToFileURL(path.join(folder, name, `${entry}.js`)));
