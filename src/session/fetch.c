/* SPDX-License-Identifier: Apache-2.0 */
/* A session follows its client to another loop. The kernel gives a new connection to any loop, so
 * a client that comes back with its ticket is usually elsewhere than its session:
 *
 *   home --fetch--> the ticket's loop --(when it is away)--> where it lives --session--> home
 *
 * The ticket's first digits name the loop that always knows where the session is; that loop's
 * ticket group stays as a signpost while the session is away. A detached session has no tie to
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
    struct mail mail;
    struct loop *at; /* NULL: it has ended */
    char ticket[SESSION_TICKET_SIZE];
};

static void on_signpost(struct loop *l, struct mail *mail)
{
    struct signpost *sp = (struct signpost *)(void *)mail;
    struct session_home *home = session_home_of(l);
    struct ticket_group *g =
        home ? map_get(&home->tickets, str_of(sp->ticket, SESSION_TICKET_SIZE)) : NULL;
    if (g && !g->count && sp->at) /* no home: mail of the teardown itself */
        g->away = sp->at;
    else if (g && !g->count)
        resume_group_free(home, g);
    mem_free(sp);
}

static void post_signpost(struct loop *l, struct str ticket, struct loop *at)
{
    struct loop *to = session_ticket_loop(l, ticket);
    if (!to || to == l)
        return;
    struct signpost *sp = mem_new(sizeof(*sp));
    sp->mail.deliver = on_signpost;
    sp->at = at;
    memcpy(sp->ticket, ticket.p, SESSION_TICKET_SIZE);
    loop_post(to, &sp->mail);
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
    struct ticket_group *g = s->group;
    struct str ticket = str_of(g->ticket, SESSION_TICKET_SIZE);
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss)) {
        hub_unsubscribe(hub_of(l), &ss->sub);
        place_forget(ss);
    }
    position_free(s);
    post_signpost(l, ticket, to);
    s->group = NULL;
    list_drop(&s->group_link);
    g->count--;
    if (session_ticket_loop(l, ticket) == l)
        g->away = to;
    else
        resume_group_free(s->home, g);
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
        log_debug("session", "taken-over", "session=%s", s->name);
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
    struct ticket_group *g = map_get(&session_home_of(l)->tickets, f->ticket);
    if (g && g->away && !g->count) {
        f->mail.deliver = on_fetch;
        loop_post(g->away, &f->mail);
        return;
    }
    struct session *s =
        g && g->count == 1 ? LIST_OF(g->sessions.next, struct session, group_link) : NULL;
    if (s && may_take(s, f))
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
