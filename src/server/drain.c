/* SPDX-License-Identifier: Apache-2.0 */
/* The end in good order. Accepting stops first. Then each loop tells its clients, one after the
 * other and each in its own dialect, to come back: spread evenly over the time there is, so that
 * the next server is not run over, but no slower than one in STEP_MS, so that a few clients do not
 * wait for nothing. When nobody is left, or the time is over, the loops stop.
 * The listeners belong to their loops, so each loop closes its own. */
#include "server/server_priv.h"
#include "base/log.h"
#include "base/metric.h"

#define STEP_MS 20
#define WITHIN_MS 500 /* a told client's own delay on top */

static int64_t connections(void)
{
    return metric_read(M_CONNECTIONS_WS) + metric_read(M_CONNECTIONS_SSE) +
           metric_read(M_CONNECTIONS_POLL) + metric_read(M_CONNECTIONS_HTTP);
}

static void look_for_end(struct loop *l, struct timer *t)
{
    struct tw_server *s = server_of(l);
    if (loop_now_ms(l) >= s->end_ms || connections() == 0) {
        log_info("server", "drained", "left=%lld", (long long)connections());
        loops_stop(s->loops);
        return;
    }
    timer_set(l, t, STEP_MS, look_for_end);
}

/* As many as are due at this point of the spread; who connects meanwhile is told at its end. */
static void tell_some(struct loop *l, struct timer *t)
{
    struct server_loop *home = loop_slot(l, LOOP_SLOT_SERVER);
    uint64_t passed = loop_now_ms(l) - home->drain_began_ms, spread = home->drain_spread_ms;
    size_t left = session_drain(l, 0, 0), all = left + home->drain_told;
    size_t due = passed >= spread ? all : (size_t)(all * passed / spread);
    if (due > home->drain_told) {
        session_drain(l, due - home->drain_told, WITHIN_MS < spread ? WITHIN_MS : spread);
        home->drain_told = due;
    }
    timer_set(l, t, STEP_MS, tell_some);
}

static void drain_loop(struct loop *l, struct tw_server *s)
{
    struct server_loop *home = loop_slot(l, LOOP_SLOT_SERVER);
    unsigned loops = loops_count(s->loops);
    uint64_t enough_ms = session_drain(l, 0, 0) * STEP_MS;
    /* listeners_open went address by address, loop by loop */
    for (size_t i = loop_index(l); i < s->listeners_count; i += loops)
        sock_listener_close(&s->listeners[i]);
    api_set_ready(l, false);
    http_server_drain(s->http, l);
    transport_drain(l);
    home->drain_began_ms = loop_now_ms(l);
    home->drain_spread_ms = enough_ms < s->spread_ms ? enough_ms : s->spread_ms;
    tell_some(l, &home->drain);
}

void drain_begin(struct tw_server *s, uint64_t drain_ms)
{
    struct loop *l = loops_at(s->loops, 0);
    if (s->state == SERVER_DRAINING) {
        log_warn("server", "quit", "left=%lld", (long long)connections());
        loops_stop(s->loops);
        return;
    }
    s->state = SERVER_DRAINING;
    log_info("server", "draining", "ms=%llu connections=%lld", (unsigned long long)drain_ms,
             (long long)connections());
    notify_send("STOPPING=1");
    s->spread_ms = drain_ms - drain_ms / 5; /* the rest is for the last ones to go */
    s->end_ms = loop_now_ms(l) + drain_ms;
    server_each_loop(s, drain_loop);
    timer_set(l, &s->end_timer, STEP_MS, look_for_end);
}
