/* SPDX-License-Identifier: Apache-2.0 */
/* A session follows its client to another loop. The kernel gives a new connection to any loop, so
 * a client that comes back with its ticket is usually elsewhere than its session:
 *
 *   home --fetch--> the ticket's loop --(when it is away)--> where it lives --session--> home
 *
 * The ticket's first digits name the loop that always knows where the session is: it keeps a
 * signpost while the session is away. A detached session has no tie to
 * its loop but tables and a timer, so the struct itself travels, with its subscriptions (names
 * and positions), what it tracks and the protocol's record.
 *
 * I1  A session is in the tables of at most one loop; while it travels, of none.
 * I2  A signpost goes when the session has ended (fetch_tell_gone), at the latest at teardown. */
#include "session/session_priv.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- signposts ------------------------------------------------------------------------------ */

struct signpost {
    struct loop *at;
    char ticket[SESSION_TICKET_SIZE];
};

static struct signpost *signpost_of(const struct session_home *home, struct str ticket)
{
    return map_get(&home->signposts, ticket);
}

bool fetch_is_away(const struct session_home *home, struct str ticket)
{
    return signpost_of(home, ticket) != NULL;
}

static void put_signpost(struct session_home *home, struct str ticket, struct loop *at)
{
    struct signpost *sp = signpost_of(home, ticket);
    if (!sp) {
        sp = mem_new(sizeof(*sp));
        memcpy(sp->ticket, ticket.p, SESSION_TICKET_SIZE);
        map_put(&home->signposts, str_of(sp->ticket, SESSION_TICKET_SIZE), sp);
    }
    sp->at = at;
}

void fetch_drop_signpost(struct session_home *home, struct str ticket)
{
    mem_free(map_remove(&home->signposts, ticket));
}

void fetch_signposts_free(struct session_home *home)
{
    struct signpost *sp;
    for (size_t at = 0; (sp = map_next(&home->signposts, &at));)
        mem_free(sp);
    map_free(&home->signposts);
}

struct mail_signpost {
    struct mail mail;
    struct loop *at; /* NULL: it has ended */
    char ticket[SESSION_TICKET_SIZE];
};

static void on_signpost(struct loop *l, struct mail *mail)
{
    struct mail_signpost *ms = (struct mail_signpost *)(void *)mail;
    struct session_home *home = session_home_of(l);
    struct str ticket = str_of(ms->ticket, SESSION_TICKET_SIZE);
    if (!home || !fetch_is_away(home, ticket))
        ; /* mail of the teardown itself, or it is here again */
    else if (ms->at)
        put_signpost(home, ticket, ms->at);
    else
        fetch_drop_signpost(home, ticket);
    mem_free(ms);
}

static void post_signpost(struct loop *l, struct str ticket, struct loop *at)
{
    struct loop *to = session_ticket_loop(l, ticket);
    if (!to || to == l)
        return;
    struct mail_signpost *ms = mem_new(sizeof(*ms));
    ms->mail.deliver = on_signpost;
    ms->at = at;
    memcpy(ms->ticket, ticket.p, SESSION_TICKET_SIZE);
    loop_post(to, &ms->mail);
}

void fetch_tell_gone(struct loop *l, struct str ticket)
{
    post_signpost(l, ticket, NULL);
}

/* ---- the session ---------------------------------------------------------------------------- */

static void on_home(struct loop *l, struct mail *mail)
{
    struct session_fetch *f = (struct session_fetch *)(void *)mail;
    struct session *s = f->session;
    if (s) {
        session_enlist(session_home_of(l), s);
        session_ticket_join(s, f->ticket);
        session_watch(s);
    }
    f->done(f);
}

static void answer(struct loop *l, struct session_fetch *f)
{
    if (l == f->home) {
        f->done(f);
        return;
    }
    f->mail.deliver = on_home;
    loop_post(f->home, &f->mail);
}

/* Takes the session out of this loop. Its ticket's loop keeps, or gets, the signpost. */
static void leave(struct session *s, struct loop *to)
{
    struct loop *l = s->home->loop;
    struct str ticket = session_ticket(s);
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss)) {
        hub_unsubscribe(hub_of(l), &ss->sub);
        place_forget(ss);
    }
    position_free(s);
    post_signpost(l, ticket, to);
    resume_ticket_unlink(s);
    s->has_ticket = false; /* until it is home */
    if (session_ticket_loop(l, ticket) == l)
        put_signpost(s->home, ticket, to);
    session_delist(s);
}

static bool may_take(struct session *s, const struct session_fetch *f)
{
    return s->ops == f->ops && str_eq(s->identity->sub, f->identity->sub);
}

static void take(struct loop *l, struct session *s, struct session_fetch *f)
{
    struct outlet *old = s->outlet;
    if (s->state == SESSION_OPEN && old) { /* its connection is dead and does not know it */
        log_debug("session", "taken-over", "session=%.*s", STR_ARG(session_name(s)));
        session_detach(s, E_CLOSED);
        outlet_close(old, E_CONFLICT, STR("taken over"));
    }
    if (s->state != SESSION_DETACHED || (s->ops->place && !s->ops->place(s, f->place)))
        return;
    f->session = s;
    if (f->home != l)
        leave(s, f->home);
}

static void on_fetch(struct loop *l, struct mail *mail)
{
    struct session_fetch *f = (struct session_fetch *)(void *)mail;
    const struct session_home *home = session_home_of(l);
    const struct signpost *away = signpost_of(home, f->ticket);
    if (away) {
        f->mail.deliver = on_fetch;
        loop_post(away->at, &f->mail);
        return;
    }
    struct session *s = resume_ticket_first(home, f->ticket);
    if (s && !s->next && may_take(s, f))
        take(l, s, f);
    answer(l, f);
}

void session_fetch(struct loop *l, struct session_fetch *f)
{
    struct loop *to = session_ticket_loop(l, f->ticket);
    f->home = l;
    f->session = NULL;
    if (!to) {
        f->done(f);
        return;
    }
    if (to == l) {
        on_fetch(l, &f->mail);
        return;
    }
    f->mail.deliver = on_fetch;
    loop_post(to, &f->mail);
}
