/* SPDX-License-Identifier: Apache-2.0 */
/* Coming back: what a session keeps while it has no connection, and how it is found again.
 *
 * A ticket is a secret that names a group: the sessions of one browser (cookie) or of one
 * client object. Its first two digits are the loop where the group lives, so that a request
 * that arrives elsewhere is handed over. A session is claimed once: claiming attaches it, and
 * an attached session is no longer among those that wait. */
#include "session/session_priv.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

/* ---- the sessions of a ticket: a row that begins in home->tickets --------------------------- */

struct str resume_ticket_of(const void *session)
{
    const struct session *s = session;
    return str_of(s->ticket, SESSION_TICKET_SIZE);
}

struct session *resume_ticket_first(const struct session_home *home, struct str ticket)
{
    return table_get(&home->tickets, ticket);
}

static void ticket_link(struct session *s)
{
    struct session *last = resume_ticket_first(s->home, resume_ticket_of(s));
    s->next = NULL;
    while (last && last->next)
        last = last->next;
    if (last)
        last->next = s;
    else
        table_put(&s->home->tickets, s);
}

bool resume_ticket_unlink(struct session *s)
{
    struct session *before =
        s->has_ticket ? resume_ticket_first(s->home, resume_ticket_of(s)) : NULL;
    if (!before)
        return false;
    if (before == s && s->next)
        table_put(&s->home->tickets, s->next); /* in its place */
    else if (before == s)
        table_remove(&s->home->tickets, resume_ticket_of(s));
    while (before != s && before->next != s)
        before = before->next;
    before->next = s->next;
    s->next = NULL;
    return true;
}

/* ---- going ----------------------------------------------------------------------------------- */

void resume_free_parked(struct session_sub *ss)
{
    mem_free(ss->parked);
    ss->parked = NULL;
}

struct parked_sub *resume_parked_new(struct session_sub *ss, struct str name)
{
    struct parked_sub *p = mem_new(sizeof(*p) + name.n);
    p->name_n = name.n;
    memcpy(p->name, name.p, name.n);
    p->wants_presence = ss->sub.wants_presence;
    p->no_messages = ss->sub.no_messages;
    p->kind = ss->sub.kind;
    return p;
}

/* Before all that the answer holds: what was missed, and a gap. */
static struct position before_answer(const struct hub_subscribed *a)
{
    struct position at = a->at;
    if (a->reset) {
        at = a->since;
        if (!at.epoch[0])
            at.epoch[0] = '?'; /* of no log, but a position */
    } else if (a->gap_to) {
        at.offset = a->gap_from - 1;
    } else if (a->missed_count) {
        at.offset = a->missed[0]->offset - 1;
    }
    return at;
}

void resume_keep_asked(struct session_sub *ss, const struct hub_subscribed *answer)
{
    if (!ss->parked)
        ss->parked = resume_parked_new(ss, session_sub_channel(ss));
    ss->parked->at = before_answer(answer);
}

/* A subscription leaves the hub, its name and position stay. */
static void park(struct session *s, struct session_sub *ss)
{
    if (ss->table) {
        subtable_park(ss);
        return;
    }
    bool is_new = ss->sub.state == SUB_ASKED || ss->sub.state == SUB_NONE;
    uint64_t at = is_new ? 0 : position_of(s, ss, ss->sub.offset);
    /* It was being taken up again, or has not heard yet that its log began anew: as before. */
    if (ss->parked && (is_new || ss->keeps_asked || at == POSITION_RESET)) {
        hub_unsubscribe(hub_of(s->home->loop), &ss->sub);
        return;
    }
    struct parked_sub *p = resume_parked_new(ss, session_sub_channel(ss));
    if (!is_new) {
        memcpy(p->at.epoch, subscription_epoch(&ss->sub), sizeof(p->at.epoch));
        p->delivered = ss->sub.offset;
        p->at.offset = at;
        hub_unsubscribe(hub_of(s->home->loop), &ss->sub);
    } /* else the answer is on its way and says where it begins (resume_learn) */
    mem_free(ss->parked);
    ss->parked = p;
}

void resume_learn(struct session_sub *ss, const struct hub_subscribed *answer)
{
    struct parked_sub *p = ss->parked;
    if (p && !p->at.epoch[0] && !answer->err) {
        p->at = before_answer(answer);
        p->delivered = p->at.offset;
    }
    hub_unsubscribe(hub_of(ss->session->home->loop), &ss->sub);
}

void session_detach(struct session *s, int err)
{
    const struct session_config *config = s->home->config;
    uint64_t now_ms = loop_now_ms(s->home->loop);
    if (s->state != SESSION_OPEN)
        return;
    uint64_t resume_ms = s->resume_ms ? s->resume_ms : config->resume_ms;
    if (!resume_ms) {
        session_end(s, err, false);
        return;
    }
    /* Who fell silent may never have read what its kernel took, and cannot once we reset the
     * connection: there a repeat is the better mistake. */
    if (err != E_TIMEOUT)
        position_fold_acked(s);
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss))
        park(s, ss);
    log_debug("session", "detach", "session=%.*s subs=%zu err=%d", STR_ARG(session_name(s)),
              session_subs_count(s), err);
    session_tell(s, "lost", err);
    limits_leave(s);
    s->outlet = NULL;
    s->state = SESSION_DETACHED;
    struct session_extra *x = session_need(s);
    x->resume_until_ms = now_ms + resume_ms;
    x->lease_until_ms = x->tracked_count ? now_ms + config->presence_lease_ms : 0;
    if (resume_ticket_unlink(s)) /* longest waiting first */
        ticket_link(s);
    session_watch(s);
}

void resume_take_up(struct session *s, struct session_sub *ss)
{
    struct parked_sub *p = ss->parked;
    if (ss->table) {
        subtable_resume(ss);
        return;
    }
    hub_unsubscribe(hub_of(s->home->loop), &ss->sub);
    struct subscribe_options o = {.has_since = p->at.epoch[0] != 0, .since = p->at};
    ss->is_resume = true;
    ss->keeps_asked = false;
    ss->taken_up = true;
    ss->sub.kind = p->kind;
    ss->sub.wants_presence = p->wants_presence;
    ss->sub.no_messages = p->no_messages;
    hub_subscribe(hub_of(s->home->loop), &ss->sub, str_of(p->name, p->name_n), &o);
}

int session_attach(struct session *s, struct outlet *outlet, struct identity *identity)
{
    CHECK(s->state == SESSION_DETACHED);
    if (!str_eq(s->identity->sub, identity->sub))
        return E_ACCESS_DENIED;
    if (!limits_enter(s, outlet, identity))
        return E_TOO_MANY;
    identity_ref(identity);
    identity_unref(s->identity);
    s->identity = identity;
    s->outlet = outlet;
    s->state = SESSION_OPEN;
    s->is_warned = false;
    s->is_asked = false;
    if (s->extra)
        s->extra->ask_ms = 0;
    position_free(s);
    session_watch(s);
    session_tell(s, "back", 0);
    for (struct session_sub *ss = session_sub_first(s), *next; ss; ss = next) {
        next = session_sub_next(s, ss);
        if (ss->trusted) {
            resume_take_up(s, ss);
            continue;
        }
        /* The right to listen is asked again: rules, policy and token may have changed. */
        struct request r = {.type = REQUEST_SUBSCRIBE,
                            .channel = session_sub_channel(ss),
                            .presence = ss->parked->wants_presence,
                            .presence_optional = true,
                            .no_messages = ss->parked->no_messages,
                            .takes_up = true};
        authorize_request(s, &r);
    }
    return 0;
}

void session_set_position(struct session_sub *ss, const struct position *at)
{
    if (ss->parked)
        ss->parked->at = *at;
}

struct position session_sub_position(const struct session_sub *ss)
{
    struct position at = {.offset = ss->sub.offset};
    if (ss->parked && (ss->sub.state == SUB_NONE || ss->sub.state == SUB_ASKED || ss->keeps_asked))
        return ss->parked->at;
    memcpy(at.epoch, subscription_epoch(&ss->sub), sizeof(at.epoch));
    return at;
}

/* ---- tickets ------------------------------------------------------------------------------- */

struct loop *session_ticket_loop(struct loop *l, struct str ticket)
{
    struct loops *ls = loop_siblings(l);
    uint64_t index;
    if (ticket.n != SESSION_TICKET_SIZE || !num_hex64(str_head(ticket, 2), &index) ||
        index >= loops_count(ls))
        return NULL;
    return loops_at(ls, (unsigned)index);
}

void session_ticket_new(struct loop *l, char out[SESSION_TICKET_SIZE + 1])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t chance[18];
    unsigned index = loop_index(l);
    loop_random(l, chance, sizeof(chance));
    out[0] = hex[index >> 4];
    out[1] = hex[index & 15];
    base64url_put(out + 2, chance, sizeof(chance));
    out[SESSION_TICKET_SIZE] = '\0';
}

bool session_ticket_known(struct loop *l, struct str ticket)
{
    const struct session_home *home = session_home_of(l);
    return ticket.n && (resume_ticket_first(home, ticket) || fetch_is_away(home, ticket));
}

void session_ticket_join(struct session *s, struct str ticket)
{
    CHECK(!s->has_ticket && ticket.n == SESSION_TICKET_SIZE);
    s->has_ticket = true;
    memcpy(s->ticket, ticket.p, SESSION_TICKET_SIZE);
    fetch_drop_signpost(s->home, ticket);
    ticket_link(s);
}

struct str session_ticket(const struct session *s)
{
    return s->has_ticket ? resume_ticket_of(s) : STR_NONE;
}

void resume_ticket_leave(struct session *s)
{
    if (!resume_ticket_unlink(s))
        return;
    s->has_ticket = false;
    if (!resume_ticket_first(s->home, resume_ticket_of(s)))
        fetch_tell_gone(s->home->loop, resume_ticket_of(s));
}

static bool is_user(const struct identity *a, const struct identity *b)
{
    return str_eq(a->sub, b->sub);
}

static bool is_named(const struct session *s, struct str name)
{
    return !name.n || str_eq(session_name(s), name);
}

struct session *session_ticket_claim(struct loop *l, struct str ticket, struct str name,
                                     const struct session_ops *ops, const struct identity *identity)
{
    struct session *s = resume_ticket_first(session_home_of(l), ticket);
    for (; s; s = s->next)
        if (s->state == SESSION_DETACHED && s->ops == ops && is_named(s, name) &&
            is_user(s->identity, identity))
            break;
    return s;
}

struct session *session_ticket_find(struct loop *l, struct str ticket,
                                    const struct session_ops *ops, const struct identity *identity,
                                    struct str channel)
{
    struct session *s = resume_ticket_first(session_home_of(l), ticket);
    for (; s; s = s->next)
        if (s->state == SESSION_DETACHED && s->ops == ops &&
            (!s->identity->sub.n || is_user(s->identity, identity)) && session_sub_find(s, channel))
            break;
    return s;
}

void session_retire(struct session *s)
{
    uint64_t now_ms = loop_now_ms(s->home->loop);
    CHECK(s->state == SESSION_DETACHED);
    uint64_t lease_until_ms = s->extra->lease_until_ms; /* it has been detached */
    session_untrack_all(s, lease_until_ms > now_ms ? lease_until_ms - now_ms : 0);
    session_end(s, 0, true);
}

static bool has_outlet(struct session *const *list, size_t count, const struct outlet *o)
{
    for (size_t i = 0; i < count; i++)
        if (list[i]->outlet == o)
            return true;
    return false;
}

size_t session_ticket_attached(struct loop *l, struct str ticket, struct str name,
                               const struct session_ops *ops, struct session **out, size_t max)
{
    struct session *s = resume_ticket_first(session_home_of(l), ticket);
    size_t count = 0;
    for (; s && count < max; s = s->next)
        if (s->state == SESSION_OPEN && s->ops == ops && is_named(s, name) &&
            !has_outlet(out, count, s->outlet))
            out[count++] = s;
    return count;
}
