/* SPDX-License-Identifier: Apache-2.0 */
/* The scenarios: traffic (fan-out, rooms, hot room, echo, all one loop with other numbers),
 * storm (connections that come and go), idle (memory), slow (readers that have stopped).
 * Each prints one line of JSON. */
#include "load.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CONNECT_AT_ONCE = 200, CONNECT_PATIENCE_US = 60000000 };

static unsigned conns_wanted(const struct load_options *o)
{
    return o->rooms * (o->members + (o->dialect->feed ? 1 : 0));
}

/* Words that compress like JSON text does. */
static void fill(struct load *l)
{
    static const char *const words[] = {"name",    "status",   "created", "user",
                                        "price",   "quantity", "title",   "channel",
                                        "updated", "position", "active"};
    uint32_t seed = 1;
    size_t n = 0;
    while (n + 32 < sizeof(l->filler)) {
        seed = seed * 1664525 + 1013904223;
        n += (size_t)snprintf(l->filler + n, 32, "'%s':%u,", words[(seed >> 16) % 11], seed % 9973);
    }
    memset(l->filler + n, '.', sizeof(l->filler) - n);
}

static void prepare(struct load *l)
{
    const struct load_options *o = &l->o;
    l->senders = o->dialect->feed || !o->all_send ? 1 : o->members;
    l->conns_count = conns_wanted(o);
    l->conns = calloc(l->conns_count, sizeof(*l->conns));
    l->sent = calloc((size_t)o->rooms * l->senders, sizeof(*l->sent));
    for (unsigned i = 0; i < l->conns_count; i++) {
        struct conn *c = &l->conns[i];
        c->is_feed = i >= o->rooms * o->members;
        c->dialect = c->is_feed ? load_dialect_find(o->dialect->feed) : o->dialect;
        c->room = c->is_feed ? i - o->rooms * o->members : i / o->members;
        c->member = i % o->members;
        c->next = c->is_feed ? NULL : calloc(l->senders, sizeof(uint32_t));
    }
}

static void pass_ms(struct load *l, unsigned ms)
{
    uint64_t until_us = load_now_us() + ms * 1000u;
    while (load_now_us() < until_us)
        load_turn(l, 10);
}

/* Everybody in, at most CONNECT_AT_ONCE on the way. */
static bool connect_all(struct load *l)
{
    unsigned begun = 0;
    uint64_t until_us = load_now_us() + CONNECT_PATIENCE_US;
    while (l->ready + l->failed < l->conns_count && load_now_us() < until_us) {
        while (begun < l->conns_count && begun - l->ready - l->failed < CONNECT_AT_ONCE)
            if (!conn_open(l, &l->conns[begun++])) {
                fprintf(stderr, "bench: cannot connect: %s\n", strerror(errno));
                return false;
            }
        load_turn(l, 100);
    }
    if (l->ready < l->conns_count)
        fprintf(stderr, "bench: %u of %u clients came in, %u were refused\n", l->ready,
                l->conns_count, l->failed);
    pass_ms(l, 300);
    return l->ready == l->conns_count;
}

/* ---- the line ------------------------------------------------------------------------------ */

static void begin_line(const struct load *l)
{
    const struct load_options *o = &l->o;
    printf("{\"scenario\":\"%s\",\"server\":\"%s\",\"dialect\":\"%s\",\"rooms\":%u,\"members\":%u,"
           "\"window\":%u,\"bytes\":%u",
           o->scenario, o->label, o->dialect->name, o->rooms, o->members, o->window, o->bytes);
}

static int end_line(const struct load *l)
{
    printf(",\"lost\":%llu,\"repeated\":%llu,\"displaced\":%llu,\"strange\":%llu,\"failed\":%u}\n",
           (unsigned long long)l->lost, (unsigned long long)l->repeated,
           (unsigned long long)l->displaced, (unsigned long long)l->strange, l->failed);
    fflush(stdout);
    return load_faults(l) ? 1 : 0;
}

static double per(double what, double count)
{
    return count > 0 ? what / count : 0;
}

/* All members of a room must have seen one order. */
static void compare_orders(struct load *l)
{
    for (unsigned room = 0; room < l->o.rooms; room++) {
        const struct conn *c = &l->conns[(size_t)room * l->o.members];
        for (unsigned i = 1; i < l->o.members; i++)
            if (!c[i].stalled && !c[0].stalled && c[i].digest != c[0].digest)
                l->displaced++;
    }
}

/* ---- traffic ------------------------------------------------------------------------------- */

static void send_for(struct load *l, double seconds)
{
    uint64_t begun_us = load_now_us(), now_us = begun_us, sent = 0;
    while ((double)(now_us - begun_us) < seconds * 1e6) {
        uint64_t due = l->o.rate ? (now_us - begun_us) * l->o.rate / 1000000 : 0;
        if (!l->o.rate)
            load_pump(l);
        for (; sent < due && l->in_flight < LOAD_FLIGHTS / 2; sent++)
            load_publish(l);
        load_turn(l, l->o.rate ? 1 : 100);
        now_us = load_now_us();
    }
    load_drain(l);
}

static int run_traffic(struct load *l)
{
    struct usage before, after;
    if (!connect_all(l))
        return 1;
    send_for(l, l->o.seconds > 1 ? 0.5 : l->o.seconds / 2); /* warm */
    l->deliveries = l->bytes_in = l->reads = 0;
    uint32_t ids = l->ids;
    l->counts = true;
    usage_read(&l->o, &before);
    uint64_t begun_us = load_now_us();
    send_for(l, l->o.seconds);
    usage_read(&l->o, &after);
    compare_orders(l);
    double n = (double)l->deliveries;
    begin_line(l);
    printf(",\"messages\":%u,\"deliveries\":%.0f,\"per_second\":%.0f", l->ids - ids, n,
           per(n * 1e6, (double)(l->last_in_us - begun_us)));
    printf(
        ",\"cpu_us\":%.4f,\"softirq_us\":%.4f,\"user_share\":%.3f",
        per((double)(after.cpu_ns - before.cpu_ns) / 1000, n),
        per((double)(after.softirq_ns - before.softirq_ns) / 1000, n),
        per((double)(after.user_ticks - before.user_ticks), (double)(after.ticks - before.ticks)));
    printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"reads_each\":%.3f,\"bytes_each\":%.1f",
           load_latency_ms(l, 0.5), load_latency_ms(l, 0.99), per((double)l->reads, n),
           per((double)l->bytes_in, n));
    return end_line(l);
}

/* ---- storm --------------------------------------------------------------------------------- */

static unsigned storm_done;

static void on_stormed(struct load *l, struct conn *c)
{
    (void)l;
    conn_close(l, c);
    storm_done++;
}

static int run_storm(struct load *l)
{
    struct usage before, after;
    unsigned begun = 0;
    l->on_ready = on_stormed;
    usage_read(&l->o, &before);
    uint64_t begun_us = load_now_us(), until_us = begun_us + CONNECT_PATIENCE_US;
    while (storm_done + l->failed < l->o.count && load_now_us() < until_us) {
        for (unsigned i = 0; i < l->conns_count && begun < l->o.count; i++)
            if (l->conns[i].state == CONN_CLOSED) {
                begun++;
                if (!conn_open(l, &l->conns[i]))
                    l->failed++;
            }
        load_turn(l, 100);
    }
    double us = (double)(load_now_us() - begun_us);
    pass_ms(l, 100); /* the server's closing is part of it */
    usage_read(&l->o, &after);
    begin_line(l);
    printf(",\"opened\":%u,\"cpu_us\":%.3f,\"softirq_us\":%.3f,\"per_second\":%.0f", storm_done,
           per((double)(after.cpu_ns - before.cpu_ns) / 1000, storm_done),
           per((double)(after.softirq_ns - before.softirq_ns) / 1000, storm_done),
           per(storm_done * 1e6, us));
    return end_line(l);
}

/* ---- idle ---------------------------------------------------------------------------------- */

static int run_idle(struct load *l)
{
    struct usage before, after, later;
    usage_read(&l->o, &before);
    bool all = connect_all(l);
    pass_ms(l, 1500);
    usage_read(&l->o, &after);
    pass_ms(l, 2000);
    usage_read(&l->o, &later);
    double n = l->ready;
    begin_line(l);
    printf(",\"ready\":%u,\"pss_each\":%.1f,\"anon_each\":%.1f,\"pss_base\":%llu,\"cpu_us\":%.3f,"
           "\"idle_ms_per_s\":%.3f",
           l->ready, per((double)after.pss - (double)before.pss, n),
           per((double)after.anon - (double)before.anon, n), (unsigned long long)before.pss,
           per((double)(after.cpu_ns - before.cpu_ns) / 1000, n),
           (double)(later.cpu_ns - after.cpu_ns) / 2e6);
    l->lost += !all;
    return end_line(l);
}

/* ---- slow ---------------------------------------------------------------------------------- */

/* The first room's last members stop reading, o.count messages go by, then they read again. */
static int run_slow(struct load *l)
{
    struct usage before, after;
    struct load_options *o = &l->o;
    struct conn *slow = &l->conns[o->members - o->stalled];
    uint64_t got = 0, holes = 0;
    unsigned gaps = 0, cut = 0;
    for (unsigned i = 0; i < o->stalled; i++)
        slow[i].stalled = true;
    if (!connect_all(l))
        return 1;
    send_for(l, 0.5);
    for (unsigned i = 0; i < o->stalled; i++)
        conn_pause(l, &slow[i], true);
    uint32_t first = l->ids;
    usage_read(o, &before);
    while (l->ids - first < o->count) {
        load_pump(l);
        load_turn(l, 100);
    }
    load_drain(l);
    l->counts = true;
    usage_read(o, &after);
    for (unsigned i = 0; i < o->stalled; i++) {
        if (slow[i].state == CONN_READY)
            conn_pause(l, &slow[i], false);
        slow[i].got = slow[i].holes = 0;
    }
    pass_ms(l, 2000);
    for (unsigned i = 0; i < o->stalled; i++) {
        got += slow[i].got;
        holes += slow[i].holes;
        gaps += slow[i].gaps;
        cut += slow[i].state == CONN_CLOSED;
    }
    l->failed -= cut; /* reported on its own */
    begin_line(l);
    printf(",\"stalled\":%u,\"messages\":%u,\"pss_each\":%.0f,\"tcp_pages\":%lld,\"cut\":%u,"
           "\"got\":%llu,\"missed\":%llu,\"told\":%u",
           o->stalled, l->ids - first, ((double)after.pss - (double)before.pss) / o->stalled,
           (long long)(after.tcp_pages - before.tcp_pages), cut, (unsigned long long)got,
           (unsigned long long)holes, gaps);
    return end_line(l);
}

int load_run(struct load *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    fill(l);
    prepare(l);
    if (!load_need_files(l->conns_count)) {
        fprintf(stderr, "bench: %u connections need more descriptors: ulimit -n\n", l->conns_count);
        return 1;
    }
    if (strcmp(l->o.scenario, "storm") == 0)
        return run_storm(l);
    if (strcmp(l->o.scenario, "idle") == 0)
        return run_idle(l);
    return l->o.stalled ? run_slow(l) : run_traffic(l);
}
