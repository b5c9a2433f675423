/* SPDX-License-Identifier: Apache-2.0 */
/* The end in good order. Accepting stops first; each client is told in its own dialect to come
 * back after a time of its own, spread evenly, so that the next server is not run over; whoever
 * is gone is gone, and when nobody is left, or the time is over, the loops stop.
 * The listeners belong to their loops, so each loop closes its own. */
#include "server/server_priv.h"
#include "base/log.h"
#include "base/metric.h"

#define LOOK_MS 20

static int64_t connections(void)
{
    return metric_read(M_CONNECTIONS_WS) + metric_read(M_CONNECTIONS_SSE) +
           metric_read(M_CONNECTIONS_POLL) + metric_read(M_CONNECTIONS_HTTP);
}

static void on_look(struct loop *l, struct timer *t)
{
    struct tw_server *s = loop_slot(l, LOOP_SLOT_SERVER);
    bool over = loop_now_ms(l) >= s->drain_until_ms;
    if (over || connections() == 0) {
        log_info("server", "drained", "left=%lld", (long long)connections());
        loops_stop(s->loops);
        return;
    }
    timer_set(l, t, LOOK_MS, on_look);
}

static void drain_loop(struct loop *l, struct tw_server *s)
{
    unsigned loops = loops_count(s->loops);
    /* listeners_open went address by address, loop by loop */
    for (size_t i = loop_index(l); i < s->listeners_count; i += loops)
        sock_listener_close(&s->listeners[i]);
    api_set_ready(l, false);
    http_server_drain(s->http, l);
    transport_drain(l);
    session_drain(l, s->spread_ms);
}

void drain_begin(struct tw_server *s, uint64_t spread_ms)
{
    struct loop *l = loops_at(s->loops, 0);
    if (s->state == SERVER_DRAINING) {
        log_warn("server", "quit", "left=%lld", (long long)connections());
        loops_stop(s->loops);
        return;
    }
    s->state = SERVER_DRAINING;
    log_info("server", "draining", "spread_ms=%llu connections=%lld", (unsigned long long)spread_ms,
             (long long)connections());
    notify_send("STOPPING=1");
    /* The last fifth is for those who were told last. */
    s->spread_ms = spread_ms - spread_ms / 5;
    s->drain_until_ms = loop_now_ms(l) + spread_ms;
    server_each_loop(s, drain_loop);
    timer_set(l, &s->drain_timer, LOOK_MS, on_look);
}
