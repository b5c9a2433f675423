/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded scenarios. Usage: sim [SEED [SEEDS]], or SEED and SEEDS in the environment; a failure
 * prints its seed, which reproduces it. */
#include "world.h"

#include "base/log.h"
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS_MAX = 24, STEPS = 700 };

struct scene {
    struct loops *ls;
    struct client *clients[CLIENTS_MAX];
    size_t clients_count;
    struct publisher *publishers[WORLD_CHANNELS];
    bool tells_gaps; /* history is too short to reach: gaps are expected, silence is not */
};

static void step_all(struct scene *sc, uint64_t ms_max, bool may_publish)
{
    sim_run(sc->ls, sim_chance(ms_max));
    for (unsigned i = 0; i < WORLD_CHANNELS; i++)
        publisher_step(sc->publishers[i], may_publish && sim_chance(2) == 0);
    for (size_t i = 0; i < sc->clients_count; i++)
        client_step(sc->clients[i]);
}

/* Something goes wrong for somebody. */
static void hurt(struct scene *sc)
{
    struct client *c = sc->clients[sim_chance(sc->clients_count)];
    struct sim_peer *peer = client_peer(c);
    struct sim_peer *other = publisher_peer(sc->publishers[sim_chance(WORLD_CHANNELS)]);
    switch (sim_chance(8)) {
    case 0:
    case 1:
    case 2:
        if (peer)
            sim_peer_cut(peer);
        break;
    case 3:
        /* Half-open: the client knows, the server does not. What its kernel had it has read. */
        client_step(c);
        if ((peer = client_peer(c)) != NULL) {
            sim_peer_vanish(peer);
            client_falls_silent(c);
            client_give_up(c);
        }
        break;
    case 4:
        if (peer) {
            client_falls_silent(c);
            sim_peer_stall(peer, true);
        }
        break;
    case 5:
        if (peer)
            sim_peer_stall(peer, false);
        break;
    case 6:
        if (other)
            sim_peer_cut(other);
        break;
    case 7:
        if (other)
            sim_peer_vanish(other);
        break;
    }
}

static void heal(struct scene *sc)
{
    for (size_t i = 0; i < sc->clients_count; i++)
        if (sim_chance(6) == 0)
            client_leave(sc->clients[i]);
    for (size_t i = 0; i < sc->clients_count; i++)
        if (client_peer(sc->clients[i]))
            sim_peer_stall(client_peer(sc->clients[i]), false);
    /* Until a half-open connection is known to be dead (a ping, its deadline) and the lease of who
     * was on it is over. */
    for (uint64_t end_ms = sim_now_ms() + 40000; sim_now_ms() < end_ms;)
        step_all(sc, 30, false);
}

/* Each WebSocket client sees those of its channel, and nobody else. */
static bool judge_presence(struct scene *sc, uint64_t seed)
{
    bool ok = true;
    for (unsigned ch = 0; ch < WORLD_CHANNELS; ch++) {
        bool here[CLIENT_NUMBERS] = {0};
        for (size_t i = 0; i < sc->clients_count; i++)
            if (client_is_present(sc->clients[i]) && client_listens(sc->clients[i], ch))
                here[client_number(sc->clients[i])] = true;
        for (size_t i = 0; i < sc->clients_count; i++) {
            struct client *c = sc->clients[i];
            if (!client_is_present(c) || !client_listens(c, ch) || client_sees(c, here))
                continue;
            printf("# seed %llu: %s channel %u: sees others than are here\n",
                   (unsigned long long)seed, client_name(c), ch);
            ok = false;
        }
    }
    return ok;
}

static bool judge(struct scene *sc, uint64_t seed)
{
    bool ok = true;
    for (unsigned ch = 0; ch < WORLD_CHANNELS; ch++) {
        uint64_t done = publisher_done(sc->publishers[ch]);
        if (publisher_wrong(sc->publishers[ch])) {
            printf("# seed %llu: channel %u: an id was published twice\n", (unsigned long long)seed,
                   ch);
            ok = false;
        }
        for (size_t i = 0; i < sc->clients_count; i++) {
            const struct heard *h = client_heard(sc->clients[i], ch);
            if (!client_listens(sc->clients[i], ch) || client_is_gone(sc->clients[i]))
                continue;
            bool fine = !h->twice && !h->holes && h->has_begun && h->last == done &&
                        (sc->tells_gaps || !h->gaps);
            if (!fine)
                printf("# seed %llu: %s channel %u: last %llu of %llu, holes %zu, twice %zu, "
                       "gaps %zu\n",
                       (unsigned long long)seed, client_name(sc->clients[i]), ch,
                       (unsigned long long)h->last, (unsigned long long)done, h->holes, h->twice,
                       h->gaps);
            ok &= fine;
        }
    }
    return ok && judge_presence(sc, seed);
}

/* The server asks some of its clients to come back, as when it goes down. */
static void drain_some(struct scene *sc)
{
    struct loop *l = loops_at(sc->ls, (unsigned)sim_chance(loops_count(sc->ls)));
    session_drain(l, 1 + sim_chance(4), 200);
}

static bool run(uint64_t seed)
{
    struct scene sc = {0};
    sim_seed(seed);
    sim_net.split_percent = (unsigned)sim_chance(80);
    sim_net.delay_ms_max = (unsigned)sim_chance(40);
    sim_net.kernel_bytes_max = 200 + sim_chance(60000);
    sc.tells_gaps = sim_chance(4) == 0;
    bool drains = sim_chance(3) == 0;
    struct world_config config = {.loops = sim_chance(2) ? 1 : 3,
                                  .history_count = sc.tells_gaps ? 3 : 100000};
    sc.ls = world_new(&config);
    sc.clients_count = 4 + sim_chance(CLIENTS_MAX - 4);
    for (size_t i = 0; i < sc.clients_count; i++)
        sc.clients[i] = client_new(sc.ls, (enum client_kind)sim_chance(CLIENT_KINDS),
                                   (unsigned)sim_chance(WORLD_CHANNELS));
    for (unsigned i = 0; i < WORLD_CHANNELS; i++)
        sc.publishers[i] = publisher_new(sc.ls, i, sim_chance(2) == 0);
    for (int i = 0; i < STEPS; i++) {
        step_all(&sc, 15, i > 20);
        if (sim_chance(100) < 8)
            hurt(&sc);
        if (drains && sim_chance(100) < 3)
            drain_some(&sc);
    }
    heal(&sc);
    bool ok = judge(&sc, seed);
    for (size_t i = 0; i < sc.clients_count; i++)
        client_free(&sc.clients[i]);
    for (unsigned i = 0; i < WORLD_CHANNELS; i++)
        publisher_free(&sc.publishers[i]);
    world_free(&sc.ls);
    return ok;
}

static uint64_t number(const char *text, uint64_t fallback)
{
    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    uint64_t seed = number(argc > 1 ? argv[1] : getenv("SEED"), 1);
    uint64_t seeds = number(argc > 2 ? argv[2] : getenv("SEEDS"), argc > 1 ? 1 : 100);
    unsigned passed = 0, failed = 0;
    log_setup(getenv("TRACE") ? LOG_DEBUG : LOG_ERROR, false);
    for (uint64_t i = 0; i < seeds; i++) {
        if (run(seed + i))
            passed++;
        else
            failed++;
        fflush(stdout);
    }
    printf("sim: %u passed, %u failed\n", passed, failed);
    return failed != 0;
}
