/* SPDX-License-Identifier: Apache-2.0 */
/* Time and chance: the only place that asks the kernel for either, so that the simulated twin
 * can give both from a seed. Timers and leases live on the monotonic clock (a wall clock that
 * jumps disconnects nobody); the wall clock is for timestamps and token claims. */
#include "loop/loop_priv.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "loop/clock.h"
#include <errno.h>
#include <pthread.h>
#include <sys/random.h>
#include <time.h>

uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void clock_refresh(struct loop *l)
{
    l->now_ms = clock_us() / 1000;
}

void clock_random_bytes(void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0) {
            CHECK(errno == EINTR);
            continue;
        }
        p += got;
        n -= (size_t)got;
    }
}

static void boot(void)
{
    uint64_t key[2];
    clock_random_bytes(key, sizeof(key));
    hash_seed(key[0], key[1]);
    log_clock = clock_wall_ms;
}

void clock_boot(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, boot);
}

uint64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}

uint64_t loop_wall_ms(const struct loop *l)
{
    (void)l;
    return clock_wall_ms();
}

uint64_t loop_now_us(const struct loop *l)
{
    (void)l;
    return clock_us();
}

/* Bytes given out are wiped, so a later reader of the buffer learns nothing about them. */
void loop_random(struct loop *l, void *out, size_t n)
{
    if (n > sizeof(l->random)) {
        clock_random_bytes(out, n);
        return;
    }
    if (l->random_left < n) {
        clock_random_bytes(l->random, sizeof(l->random));
        l->random_left = sizeof(l->random);
    }
    l->random_left -= n;
    memcpy(out, l->random + l->random_left, n);
    memset(l->random + l->random_left, 0, n);
}

uint64_t loop_random_u64(struct loop *l)
{
    uint64_t v;
    loop_random(l, &v, sizeof(v));
    return v;
}
