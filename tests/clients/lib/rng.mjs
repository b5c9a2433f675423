// SPDX-License-Identifier: Apache-2.0
// Chance that can be had again: the same seed gives the same run. SEED=n names one; a test that
// uses chance prints its seed, so that a failure can be looked at twice.

export class Rng {
  #state;

  constructor(seed = 1) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  // Mixes a counter (Weyl sequence and two multiply-xorshift rounds); 32 bits.
  u32() {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  // A number in [low, high], both included.
  int(low, high) {
    return low + (this.u32() % (high - low + 1));
  }

  chance(probability) {
    return this.u32() < probability * 0x100000000;
  }

  pick(list) {
    return list[this.u32() % list.length];
  }

  bytes(n) {
    const out = Buffer.allocUnsafe(n);
    for (let i = 0; i < n; i++) out[i] = this.u32() & 255;
    return out;
  }

  // A source of its own for a part of the run, so that parts do not depend on each other's order.
  fork(label) {
    let hash = this.seed ^ 0x811c9dc5;
    for (const c of Buffer.from(String(label))) hash = Math.imul(hash ^ c, 0x01000193);
    return new Rng(hash >>> 0);
  }
}

// The seeds of a run: SEED=7 one, SEEDS=20 the first twenty, else the first `count`.
export function seeds(count) {
  if (process.env.SEED) return [Number(process.env.SEED)];
  const n = Number(process.env.SEEDS || count);
  return Array.from({ length: n }, (_, i) => i + 1);
}
