/* SPDX-License-Identifier: Apache-2.0 */
/* What one user may have and do over all loops: connections, and messages a second. Counted by
 * `sub` in a tally that all loops share; the server's own identity and nobody in particular are
 * not counted. A connection that carries several sessions is one: the count hangs on the outlet. */
#include "session/session_priv.h"

#include "base/metric.h"

static bool is_counted_user(const struct session_home *home, const struct identity *id)
{
    return home->users && id->sub.n && !id->service;
}

bool limits_enter(struct session *s, struct outlet *o, struct identity *id)
{
    const struct session_config *config = s->home->config;
    size_t max = config->connections_per_identity_max;
    if (!o || (s->extra && s->extra->counted_on) || !is_counted_user(s->home, id))
        return true;
    if (!o->counted) {
        if (!tally_take(s->home->users, id->sub, max ? max : SIZE_MAX)) {
            metric_add(M_REFUSED_IDENTITY, 1);
            return false;
        }
        o->counted = identity_ref(id);
    }
    o->counted_sessions++;
    session_need(s)->counted_on = o;
    return true;
}

void limits_leave(struct session *s)
{
    struct outlet *o = s->extra ? s->extra->counted_on : NULL;
    if (!o)
        return;
    s->extra->counted_on = NULL;
    if (--o->counted_sessions > 0)
        return;
    tally_give(s->home->users, o->counted->sub);
    identity_unref(o->counted);
    o->counted = NULL;
}

void limits_spend(struct session *s)
{
    const struct session_config *config = s->home->config;
    unsigned rate = config->identity_messages_per_second;
    if (!rate || !is_counted_user(s->home, s->identity))
        return;
    uint64_t now_ms = loop_now_ms(s->home->loop);
    uint64_t wait_ms =
        tally_spend(s->home->users, s->identity->sub, now_ms, rate, config->messages_burst);
    if (wait_ms || s->extra)
        session_need(s)->identity_until_ms = wait_ms ? now_ms + wait_ms : 0;
}

uint64_t limits_hold_ms(const struct session *s)
{
    uint64_t now_ms = loop_now_ms(s->home->loop);
    uint64_t until_ms = s->extra ? s->extra->identity_until_ms : 0;
    return until_ms > now_ms ? until_ms - now_ms : 0;
}
