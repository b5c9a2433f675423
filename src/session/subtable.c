/* SPDX-License-Identifier: Apache-2.0 */
/* Channels `table:<name>?<filter>` of the plain dialect: a subscription whose messages are the
 * changes of a table (hub/source.h) and not what is published. It stands among the session's
 * others and is never in the hub: its state there stays SUB_NONE, its name and its place stand in
 * `parked`, and each change becomes a message that goes to this client alone, for the policies have
 * judged it for this one.
 *
 *   subtable_open --watch--> on_opened: the answer --> on_changed: messages
 *   slow reader, or no memory: the watch is closed; subtable_drained opens it again from its place
 *   subtable_park (connection lost): the same; subtable_resume opens it again and answers
 *
 * The change log is its history: what is no longer there is a gap, and said. */
#include "session/session_priv.h"

#include "base/mem.h"
#include "base/metric.h"
#include "hub/source.h"

struct subtable {
    struct source_watch watch;
    struct session_sub *ss;
    struct position since; /* asked for; epoch "" = from now on */
    bool is_told;          /* the subscribe was answered: opening again is a catch-up */
    bool lags;             /* closed until there is room */
    bool is_parked;        /* closed: there is no connection */
};

static const char prefix[] = "table:";

bool subtable_is_meant(const struct request *r)
{
    return r->tables && str_starts(r->channel, str_from(prefix));
}

static struct subtable *subtable_of(struct source_watch *w)
{
    return LIST_OF(w, struct subtable, watch);
}

static void open_watch(struct subtable *f)
{
    struct session *s = f->ss->session;
    struct str filter = session_sub_channel(f->ss), table;
    str_cut(&filter, ':');
    table = str_cut(&filter, '?');
    struct source_binding binding = {.table = table, .filter = filter};
    struct source_options o = {.bindings = &binding,
                               .bindings_count = 1,
                               .has_since = f->since.epoch[0] != 0,
                               .since = f->since.offset,
                               .epoch = str_from(f->since.epoch)};
    f->lags = false;
    f->watch.identity = s->identity;
    source_watch_open(s->home->loop, &f->watch, &o);
}

/* Later, from the place it has. */
static void lag(struct subtable *f)
{
    source_watch_close(f->ss->session->home->loop, &f->watch);
    f->lags = true;
    f->since = f->ss->parked->at;
}

/* A gap arrives like a message: what stands before it is where the client is until then. */
static void note_gap(struct session_sub *ss, uint64_t from)
{
    struct session *s = ss->session;
    (void)position_note(s, ss, position_stream(s), from);
}

/* What follows is after this place. False: of another log, or no longer all there. */
static bool find_place(struct subtable *f, const struct source_opened *o, struct position *at)
{
    bool same = strcmp(f->since.epoch, o->epoch) == 0;
    *at = (struct position){.offset = same && !o->gap ? f->since.offset : o->seq};
    memcpy(at->epoch, o->epoch, sizeof(o->epoch));
    return same && !o->gap;
}

static void refuse(struct subtable *f, const struct source_opened *o)
{
    struct session_sub *ss = f->ss;
    struct session *s = ss->session;
    if (f->is_told && err_info(o->err)->retryable) {
        f->lags = true;
        deliver_look_again(s);
        return;
    }
    struct answer a = {.type = REQUEST_SUBSCRIBE,
                       .err = source_is_set() ? o->err : E_UNSUPPORTED,
                       .detail = o->message,
                       .channel = session_sub_channel(ss),
                       .ref = sub_ref(ss),
                       .is_resume = ss->is_resume};
    s->ops->answer(s, &a);
    if (ss->table == f) /* it did not go inside of the answer */
        session_sub_drop(s, ss);
}

static void answer(struct subtable *f, const struct source_opened *o)
{
    struct session_sub *ss = f->ss;
    struct session *s = ss->session;
    struct hub_subscribed told = {.since = f->since};
    bool asked = f->since.epoch[0] != 0, whole = find_place(f, o, &told.at);
    told.recovered = asked && whole;
    told.reset = asked && strcmp(f->since.epoch, o->epoch) != 0;
    if (asked && !whole) {
        told.gap_from = f->since.offset + 1;
        told.gap_to = o->seq > told.gap_from ? o->seq : told.gap_from;
    }
    struct answer a = {.type = REQUEST_SUBSCRIBE,
                       .channel = session_sub_channel(ss),
                       .ref = sub_ref(ss),
                       .sub = ss,
                       .subscribed = &told,
                       .is_resume = ss->is_resume};
    ss->parked->at = told.at;
    f->is_told = true;
    s->ops->answer(s, &a);
    if (told.gap_to && !told.reset && ss->table == f)
        note_gap(ss, told.gap_from);
}

static void catch_up(struct subtable *f, const struct source_opened *o)
{
    struct session_sub *ss = f->ss;
    struct session *s = ss->session;
    uint64_t from = f->since.offset + 1;
    if (find_place(f, o, &ss->parked->at))
        return;
    if (s->ops->gap)
        s->ops->gap(s, ss, from, o->seq > from ? o->seq : from);
    if (ss->table == f)
        note_gap(ss, from);
}

static void on_opened(struct source_watch *w, const struct source_opened *o)
{
    struct subtable *f = subtable_of(w);
    if (o->err)
        refuse(f, o);
    else if (f->is_told)
        catch_up(f, o);
    else
        answer(f, o);
}

static const char *name_of(enum source_event event)
{
    return event == SOURCE_INSERT ? "INSERT" : event == SOURCE_UPDATE ? "UPDATE" : "DELETE";
}

static struct msg *message_of(const struct subtable *f, const struct source_change *change)
{
    struct msg *m = msg_new(&(struct msg_fields){.channel = session_sub_channel(f->ss),
                                                 .event = str_from(name_of(change->event)),
                                                 .content = change->data});
    if (!m)
        return NULL;
    m->offset = change->seq;
    m->time_ms = change->time_ms;
    memcpy(m->epoch_text, f->ss->parked->at.epoch, sizeof(m->epoch_text));
    m->epoch = str_from(m->epoch_text);
    return m;
}

static void on_changed(struct source_watch *w, struct source_change *change, uint64_t fits)
{
    struct subtable *f = subtable_of(w);
    struct session_sub *ss = f->ss;
    (void)fits;
    if (change->seq <= ss->parked->at.offset) /* before the gap that was told */
        return;
    struct msg *m = message_of(f, change);
    bool taken = m && deliver_message(ss->session, ss, m);
    if (!m)
        deliver_look_again(ss->session);
    msg_unref(&m);
    if (ss->table != f) /* it went inside */
        return;
    if (taken) {
        ss->parked->at.offset = change->seq;
    } else {
        metric_add(M_SLOW_CONSUMERS, 1);
        lag(f);
    }
}

static void on_lost(struct source_watch *w)
{
    struct subtable *f = subtable_of(w);
    lag(f);
    deliver_look_again(f->ss->session);
}

/* ---- of a subscription ----------------------------------------------------------------------- */

void subtable_open(struct session_sub *ss, const struct request *r)
{
    struct subtable *f = mem_new(sizeof(*f));
    f->ss = ss;
    f->watch.opened = on_opened;
    f->watch.changed = on_changed;
    f->watch.lost = on_lost;
    if (r->since.has_since)
        f->since = r->since.since;
    ss->table = f;
    ss->sub.wants_presence = false;
    ss->parked = resume_parked_new(ss, r->channel);
    ss->parked->at = f->since;
    metric_add(M_SUBSCRIPTIONS, 1);
    open_watch(f);
}

void subtable_drained(struct session_sub *ss)
{
    if (ss->table->lags)
        open_watch(ss->table);
}

void subtable_identify(struct session_sub *ss)
{
    struct session *s = ss->session;
    source_watch_identify(s->home->loop, &ss->table->watch, s->identity);
}

void subtable_park(struct session_sub *ss)
{
    struct subtable *f = ss->table;
    source_watch_close(ss->session->home->loop, &f->watch);
    if (f->is_told)
        ss->parked->at.offset = position_of(ss->session, ss, ss->parked->at.offset);
    f->since = ss->parked->at;
    f->is_told = f->lags = false;
    f->is_parked = true;
    metric_add(M_SUBSCRIPTIONS, -1);
}

void subtable_resume(struct session_sub *ss)
{
    ss->is_resume = ss->taken_up = true;
    ss->table->since = ss->parked->at;
    ss->table->is_parked = false;
    metric_add(M_SUBSCRIPTIONS, 1);
    open_watch(ss->table);
}

void subtable_free(struct session_sub *ss)
{
    struct session *s = ss->session;
    source_watch_close(s->home->loop, &ss->table->watch);
    if (!ss->table->is_parked)
        metric_add(M_SUBSCRIPTIONS, -1);
    mem_free(ss->table);
    ss->table = NULL;
}
