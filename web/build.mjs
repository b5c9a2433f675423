// SPDX-License-Identifier: Apache-2.0
// Writes web/dist/, the folder whose files the server embeds, path by path.
import { cpSync, mkdirSync, rmSync } from 'node:fs';

const here = new URL('.', import.meta.url);
const dist = new URL('dist/', here);
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
cpSync(new URL('plain/', here), dist, { recursive: true });
