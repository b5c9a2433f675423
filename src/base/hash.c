/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-1-3: one round per eight bytes, three to finish. Enough to hide the key from someone
 * who sees only time; a map needs no more. */
#include "base/hash.h"
#include <endian.h>

struct sip {
    uint64_t a, b, c, d;
};

static uint64_t process_key[2] = {0x646e756f72472074, 0x6f6f466c6c416e4f};

void hash_seed(uint64_t k0, uint64_t k1)
{
    process_key[0] = k0;
    process_key[1] = k1;
}

static inline uint64_t turn(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->b = turn(s->b, 13) ^ s->a;
    s->a = turn(s->a, 32);
    s->c += s->d;
    s->d = turn(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = turn(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = turn(s->b, 17) ^ s->c;
    s->c = turn(s->c, 32);
}

/* n (at most 8) bytes, the first one lowest. */
static inline uint64_t load(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return le64toh(v);
}

uint64_t hash_bytes(const void *bytes, size_t n, uint64_t k0, uint64_t k1)
{
    const unsigned char *p = bytes;
    struct sip s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                    k1 ^ 0x7465646279746573};
    size_t whole = n & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = load(p + i, 8);
        s.d ^= word;
        sip_round(&s);
        s.a ^= word;
    }
    uint64_t last = (uint64_t)n << 56 | (n > whole ? load(p + whole, n - whole) : 0);
    s.d ^= last;
    sip_round(&s);
    s.a ^= last;
    s.c ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t hash_str(struct str s)
{
    return hash_bytes(s.p, s.n, process_key[0], process_key[1]);
}
