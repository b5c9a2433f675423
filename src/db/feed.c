/* SPDX-License-Identifier: Apache-2.0 */
/* The loops' side of the feed: see feed.h. A watch is a slot of its loop; its id is the slot's
 * number and a generation, so that mail for a watch that has gone finds nobody. */
#include "db/feed.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"

struct feed {
    struct db *db;
    struct lanes_lane *lane;
    struct feedlane *inside; /* the lane's thread only, once the loops run */
};

struct slot {
    struct source_watch *watch; /* NULL = free */
    uint32_t generation;
    uint32_t next_free;
};
struct feed_home {
    struct slot *slots;
    size_t count, capacity;
    uint32_t first_free; /* number + 1; 0 = none */
    size_t open;
};

struct feed *feed_open(struct db *db, struct fault *fault)
{
    struct feed *f = mem_new(sizeof *f);
    struct sqlite_options o = {.steps_max = db->config.steps_max};
    f->db = db;
    f->lane = lanes_open(db, db->path, &o, SIZE_MAX, 1, fault);
    if (f->lane)
        f->inside = feedlane_new(db, lanes_handle(f->lane), fault);
    if (!f->inside)
        feed_close(&f);
    return f;
}

void feed_close(struct feed **fp)
{
    struct feed *f = *fp;
    if (!f)
        return;
    if (f->lane)
        lanes_stop(f->lane); /* its jobs find the feed through *fp until here */
    *fp = NULL;
    if (f->inside)
        feedlane_free(&f->inside);
    lanes_close(&f->lane);
    mem_free(f);
}

struct feed_home *feed_home_new(struct db *db, struct loop *l)
{
    (void)db, (void)l;
    return mem_new(sizeof(struct feed_home));
}

void feed_home_free(struct feed_home **home)
{
    if (*home)
        mem_free((*home)->slots);
    mem_free(*home);
    *home = NULL;
}

void feed_asks_free(struct feed_asks *a)
{
    for (size_t i = 0; i < a->count; i++) {
        mem_free(a->list[i].table);
        mem_free(a->list[i].filter);
    }
    mem_free(a->list);
    *a = (struct feed_asks){0};
}

void feed_drop(struct feed_deliveries *d)
{
    for (size_t i = 0; i < d->count; i++)
        source_change_unref(&d->list[i].change);
    mem_free(d->list);
    *d = (struct feed_deliveries){0};
}

/* ---- slots ------------------------------------------------------------------------------ */
static uint64_t take_slot(struct loop *l, struct feed_home *home, struct source_watch *w)
{
    struct slot *s;
    size_t number;
    if (home->first_free) {
        number = home->first_free - 1;
        home->first_free = home->slots[number].next_free;
    } else {
        home->slots = mem_grow(home->slots, &home->capacity, home->count + 1, sizeof *s);
        number = home->count++;
        home->slots[number] = (struct slot){0};
    }
    s = &home->slots[number];
    s->watch = w;
    s->generation = (s->generation + 1) & 0xFFFFFF;
    home->open++;
    metric_add(M_DATABASE_WATCHES, 1);
    return ((uint64_t)(loop_index(l) + 1) << 56) | ((uint64_t)s->generation << 32) | number;
}

static struct slot *slot_of(struct feed_home *home, uint64_t id)
{
    size_t number = (uint32_t)id;
    struct slot *s = number < home->count ? &home->slots[number] : NULL;
    return s && s->watch && s->generation == ((id >> 32) & 0xFFFFFF) ? s : NULL;
}

static void give_slot(struct feed_home *home, struct slot *s)
{
    s->watch = NULL;
    s->next_free = home->first_free;
    home->first_free = (uint32_t)(s - home->slots) + 1;
    home->open--;
    metric_add(M_DATABASE_WATCHES, -1);
}

/* ---- deliveries ------------------------------------------------------------------------- */
static bool is_current(struct loop *l, const struct source_watch *w)
{
    uint64_t expires = w->identity ? w->identity->expires_ms : 0;
    return !expires || loop_wall_ms(l) < expires;
}

static void give(struct loop *l, struct feed_home *home, const struct feed_deliveries *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct feed_delivery *one = &d->list[i];
        struct slot *s = slot_of(home, one->id);
        if (!s)
            continue;
        if (!one->change)
            s->watch->lost(s->watch);
        else if (is_current(l, s->watch))
            s->watch->changed(s->watch, one->change, one->fits);
    }
}

struct feed_post {
    struct mail mail;
    struct feed_deliveries deliveries;
};

static void arrived(struct loop *l, struct mail *mail)
{
    struct feed_post *p = (struct feed_post *)mail;
    struct db_home *home = loop_slot(l, LOOP_SLOT_DB);
    if (home)
        give(l, home->feed, &p->deliveries);
    feed_drop(&p->deliveries);
    mem_free(p);
}

void feed_mail(struct loop *home, struct feed_deliveries *d)
{
    struct feed_post *p = mem_new(sizeof *p);
    p->mail.deliver = arrived;
    p->deliveries = *d;
    *d = (struct feed_deliveries){0};
    loop_post(home, &p->mail);
}

/* ---- jobs ------------------------------------------------------------------------------- */
enum feed_job_kind { JOB_POLL, JOB_WATCH, JOB_UNWATCH, JOB_IDENTIFY };
struct feed_job {
    struct lanes_task task; /* first */
    enum feed_job_kind kind;
    struct feedlane_opening opening;
};

static void work(struct worker_job *job)
{
    struct feed_job *j = (struct feed_job *)job;
    struct feedlane *inside = j->task.db->feed->inside;
    switch (j->kind) {
    case JOB_POLL:
        feedlane_poll(inside);
        break;
    case JOB_WATCH:
        feedlane_watch(inside, &j->opening);
        break;
    case JOB_UNWATCH:
        feedlane_unwatch(inside, j->opening.id);
        break;
    case JOB_IDENTIFY:
        feedlane_identify(inside, j->opening.id, j->opening.identity);
        break;
    }
}

static void opened(struct loop *l, struct feed_home *home, struct feedlane_opening *o)
{
    struct slot *s = slot_of(home, o->id);
    struct source_opened answer = {
        .err = o->err, .message = o->message, .seq = o->seq, .gap = o->gap};
    struct source_watch *w;
    if (!s)
        return;
    w = s->watch;
    memcpy(answer.epoch, o->epoch, sizeof answer.epoch);
    if (o->err) {
        give_slot(home, s);
        identity_unref(w->identity);
        w->identity = NULL;
        w->id = 0;
    }
    w->opened(w, &answer);
    if (!o->err)
        give(l, home, &o->replay);
}

static void free_job(struct feed_job *j)
{
    feed_asks_free(&j->opening.asks);
    feed_drop(&j->opening.replay);
    identity_unref(j->opening.identity);
    mem_free(j);
}

static void done(struct loop *l, struct lanes_task *t)
{
    struct feed_job *j = (struct feed_job *)t;
    if (j->kind == JOB_WATCH)
        opened(l, db_home_of(t->db, l)->feed, &j->opening);
    free_job(j);
}

static struct feed_job *job_new(struct db *db, enum feed_job_kind kind)
{
    struct feed_job *j = mem_new(sizeof *j);
    j->task.db = db;
    j->task.done = done;
    j->kind = kind;
    return j;
}

static void post(struct db *db, struct loop *home, struct feed_job *j)
{
    /* The lane has no limit: watches_max bounds what can wait. It refuses when it closes. */
    if (!lanes_post_plain(db->feed->lane, home, &j->task, work))
        free_job(j);
}

void feed_wake(struct db *db, struct loop *home)
{
    post(db, home, job_new(db, JOB_POLL));
}

/* ---- the port --------------------------------------------------------------------------- */
static void copy_asks(struct feed_asks *to, const struct source_options *o)
{
    to->list = mem_new((o->bindings_count + 1) * sizeof *to->list);
    to->count = o->bindings_count;
    for (size_t i = 0; i < o->bindings_count; i++) {
        const struct source_binding *b = &o->bindings[i];
        to->list[i].event = b->event;
        if (b->table.n && !str_is(b->table, "*"))
            to->list[i].table = str_dup(b->table);
        to->list[i].filter = str_dup(b->filter);
        to->list[i].filter_n = b->filter.n;
    }
}

static const char *refusal(const struct db *db, const struct feed_home *home,
                           const struct source_options *o, int *err)
{
    *err = E_BAD_REQUEST;
    if (o->bindings_count == 0 || o->bindings_count > SOURCE_BINDINGS_MAX)
        return "1 to 64 bindings";
    for (size_t i = 0; i < o->bindings_count; i++) {
        const struct source_binding *b = &o->bindings[i];
        if (b->schema.n && !str_is(b->schema, "public") && !str_is(b->schema, "*"))
            return "the schema is not exposed";
        if (b->filter.n > 4096 || b->table.n > 255)
            return "filter or table too long";
    }
    *err = E_TOO_MANY;
    if (home->open >= db->config.watches_max / loops_count(db->loops) + 1)
        return "too many subscriptions to tables";
    *err = 0;
    return NULL;
}

static void watch(void *source, struct loop *l, struct source_watch *w,
                  const struct source_options *o)
{
    struct db *db = source;
    struct feed_home *home = db_home_of(db, l)->feed;
    struct feed_job *j;
    struct source_opened answer = {0};
    answer.message = refusal(db, home, o, &answer.err);
    w->id = 0;
    if (answer.err) {
        w->identity = NULL;
        w->opened(w, &answer);
        return;
    }
    j = job_new(db, JOB_WATCH);
    identity_ref(w->identity); /* the watch's own */
    w->id = take_slot(l, home, w);
    j->opening.id = w->id;
    j->opening.home = l;
    j->opening.identity = identity_ref(w->identity);
    j->opening.has_since = o->has_since;
    j->opening.since = o->since;
    if (o->epoch.n < sizeof j->opening.since_epoch && o->epoch.n)
        memcpy(j->opening.since_epoch, o->epoch.p, o->epoch.n);
    copy_asks(&j->opening.asks, o);
    post(db, l, j);
}

static void unwatch(void *source, struct loop *l, struct source_watch *w)
{
    struct db *db = source;
    struct feed_home *home = db_home_of(db, l)->feed;
    struct slot *s = slot_of(home, w->id);
    struct feed_job *j;
    if (!s)
        return;
    CHECK(s->watch == w);
    give_slot(home, s);
    j = job_new(db, JOB_UNWATCH);
    j->opening.id = w->id;
    w->id = 0;
    identity_unref(w->identity);
    w->identity = NULL;
    post(db, l, j);
}

static void identify(void *source, struct loop *l, struct source_watch *w, struct identity *id)
{
    struct db *db = source;
    struct feed_job *j;
    if (!slot_of(db_home_of(db, l)->feed, w->id))
        return;
    identity_ref(id);
    identity_unref(w->identity);
    w->identity = id;
    j = job_new(db, JOB_IDENTIFY);
    j->opening.id = w->id;
    j->opening.identity = identity_ref(id);
    post(db, l, j);
}

const struct source_ops db_source_ops = {.watch = watch, .unwatch = unwatch, .identify = identify};
