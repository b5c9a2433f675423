/* SPDX-License-Identifier: Apache-2.0 */
/* The whole server while each request for memory fails in turn: once, and from then on. Clients of
 * every plain dialect come, listen, track, publish, lose their connections and come back; a
 * failure may cost them a refusal or a connection, and nothing else: when there is memory again,
 * each has every message that was acknowledged, once and in order, and sees who is here. Nothing
 * crashes, nothing leaks.
 *
 * The number of failures is large and every run of the scenario is another one, so a run of the
 * test takes every STRIDE-th; FAULT_ALL=1 takes them all, FAULT_AT=n that one (with TRACE=1 it says
 * what each client is told). */
#include "test.h"

#include "world.h"

#include "base/log.h"
#include "base/mem.h"
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 200, HEAL_STEPS = 2500, CLIENTS = 6, STRIDE_ONCE = 17, STRIDE_FOREVER = 61 };

struct scene {
    struct loops *ls;
    struct client *clients[CLIENTS];
    struct publisher *publishers[WORLD_CHANNELS];
};

static void step(struct scene *sc, bool may_publish)
{
    sim_run(sc->ls, 10);
    for (unsigned i = 0; i < WORLD_CHANNELS; i++)
        publisher_step(sc->publishers[i], may_publish);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_step(sc->clients[i]);
}

/* The same each time, as far as the clients are concerned. */
static void trouble(struct scene *sc, int at)
{
    struct client *c = sc->clients[at / 10 % CLIENTS];
    struct sim_peer *peer = client_peer(c);
    struct sim_peer *publisher = publisher_peer(sc->publishers[at / 10 % WORLD_CHANNELS]);
    if (at % 10 == 3 && peer)
        sim_peer_cut(peer);
    if (at % 50 == 27 && publisher)
        sim_peer_cut(publisher);
    if (at % 60 == 45 && peer)
        sim_peer_stall(peer, true);
    if (at % 60 == 59)
        for (unsigned i = 0; i < CLIENTS; i++)
            if (client_peer(sc->clients[i]))
                sim_peer_stall(client_peer(sc->clients[i]), false);
    if (at == 150)
        session_drain(loops_at(sc->ls, 0), 2, 100);
}

static void heal(struct scene *sc)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (client_peer(sc->clients[i]))
            sim_peer_stall(client_peer(sc->clients[i]), false);
    for (int i = 0; i < HEAL_STEPS; i++)
        step(sc, i < 20);
}

static void judge(struct scene *sc, long n, int forever)
{
    for (unsigned ch = 0; ch < WORLD_CHANNELS; ch++) {
        bool here[CLIENT_NUMBERS] = {0};
        assert_true(publisher_is_idle(sc->publishers[ch]));
        assert_int_equal(publisher_wrong(sc->publishers[ch]), 0);
        assert_true(publisher_done(sc->publishers[ch]) >= 10);
        for (unsigned i = 0; i < CLIENTS; i++)
            if (client_is_present(sc->clients[i]) && client_listens(sc->clients[i], ch))
                here[client_number(sc->clients[i])] = true;
        for (unsigned i = 0; i < CLIENTS; i++) {
            struct client *c = sc->clients[i];
            const struct heard *h = client_heard(c, ch);
            if (!client_listens(c, ch))
                continue;
            bool fine = !h->twice && !h->holes && !h->gaps &&
                        h->last == publisher_done(sc->publishers[ch]) &&
                        (!client_is_present(c) || client_sees(c, here));
            if (!fine)
                printf("# failure %ld%s: %s: last %llu of %llu, holes %zu, twice %zu, gaps %zu\n",
                       n, forever ? " and on" : "", client_name(c), (unsigned long long)h->last,
                       (unsigned long long)publisher_done(sc->publishers[ch]), h->holes, h->twice,
                       h->gaps);
            assert_true(fine);
        }
    }
}

/* Returns how often memory was asked for. */
static long run(long n, int forever, unsigned loops)
{
    static const enum client_kind kinds[CLIENTS] = {CLIENT_WS,   CLIENT_WS,        CLIENT_SSE,
                                                    CLIENT_POLL, CLIENT_SSE_MULTI, CLIENT_WS};
    struct world_config config = {.loops = loops, .history_count = 10000};
    struct scene sc = {0};
    sim_seed(3);
    sim_net.split_percent = 10;
    sim_net.delay_ms_max = 5;
    sim_net.kernel_bytes_max = 4000;
    sc.ls = world_new(&config);
    for (unsigned i = 0; i < CLIENTS; i++)
        sc.clients[i] = client_new(sc.ls, kinds[i], i % 2);
    for (unsigned i = 0; i < WORLD_CHANNELS; i++)
        sc.publishers[i] = publisher_new(sc.ls, i, i == 1);
    if (n)
        mem_fail_at(n, forever);
    for (int i = 0; i < STEPS; i++) {
        step(&sc, true);
        trouble(&sc, i);
    }
    long tries = mem_tries();
    mem_fail_at(0, 0);
    heal(&sc);
    judge(&sc, n, forever);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_free(&sc.clients[i]);
    for (unsigned i = 0; i < WORLD_CHANNELS; i++)
        publisher_free(&sc.publishers[i]);
    world_free(&sc.ls);
    return tries;
}

static void run_all(int forever, long stride)
{
    const char *all = getenv("FAULT_ALL"), *one = getenv("FAULT_AT");
    log_setup(LOG_ERROR, false);
    mem_fail_at(0, 0);
    if (one) {
        run(atol(one), forever, atol(one) % 4 ? 1 : 3);
        return;
    }
    long total = run(0, 0, 1), ran = 0;
    /* What fails first is what opens connections: each of those, then the strides. */
    for (long n = 1; n <= total; n += all && *all ? 1 : n < 150 ? 3 : stride, ran++)
        run(n, forever, n % 4 ? 1 : 3);
    printf("# %ld of %ld requests for memory failed\n", ran, total);
    assert_true(total > 1000);
}

TEST(each_request_for_memory_may_fail_once)
{
    run_all(0, STRIDE_ONCE);
}

TEST(memory_may_be_gone_from_any_moment_on)
{
    run_all(1, STRIDE_FOREVER);
}
