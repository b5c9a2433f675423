/* SPDX-License-Identifier: Apache-2.0 */
/* The lane's side of the feed (feed.h): follow the log, judge each row, give it out. */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "db/feedindex.h"
#include "db/rls.h"
#include "db/rowimage.h"
#include <stdio.h>

enum { BATCH_ROWS = 500, MAIL_MAX = 8192, REPLAY_MAX = 20000, PREPARE_EACH = 32 };

struct feedlane {
    struct db *db;
    struct sqlite *h;
    struct feedindex ix;
    uint64_t seq; /* I1 */
    char epoch[SOURCE_EPOCH_MAX];
    /* Of the change at hand: */
    const struct feedchange_row *row;
    struct feed_watch *only; /* a replay: nobody else */
    struct feed_watch **hits;
    size_t hits_count, hits_capacity;
    sqlite3_stmt *judge; /* the table's policy, prepared */
    size_t judged;
    struct source_change *whole, *reduced;
    struct feed_deliveries *out; /* per loop */
    struct feed_deliveries *replay;
};

struct feedlane *feedlane_new(struct db *db, struct sqlite *h, struct fault *fault)
{
    struct feedlane *f = mem_new(sizeof *f);
    sqlite3_stmt *stmt;
    f->db = db;
    f->h = h;
    h->images = true;
    f->out = mem_new(loops_count(db->loops) * sizeof *f->out);
    f->seq = (uint64_t)sqlite_integer(
        h, "SELECT seq FROM main.sqlite_sequence WHERE name = 'tw_changes'", 0);
    stmt = sqlite_prepare(h, STR("SELECT value FROM main.tw_meta WHERE name = 'epoch'"), fault);
    if (!stmt || sqlite_step(h, stmt, fault) != SQLITE_ROW) {
        feedlane_free(&f);
        return NULL;
    }
    snprintf(f->epoch, sizeof f->epoch, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite_reset(stmt);
    return f;
}

void feedlane_free(struct feedlane **fp)
{
    struct feedlane *f = *fp;
    *fp = NULL;
    feedindex_free(&f->ix);
    mem_free(f->hits);
    for (unsigned i = 0; i < loops_count(f->db->loops); i++)
        feed_drop(&f->out[i]);
    mem_free(f->out);
    mem_free(f);
}

/* A snapshot in which the index fits the schema. */
static bool begin(struct feedlane *f)
{
    struct fault fault = {0};
    if (!schema_begin(f->h, false, &fault)) {
        log_error("db", "feed", "code=%s text=%s", fault.code, fault.message);
        return false;
    }
    if (f->ix.schema != f->h->schema)
        feedindex_build(&f->ix, f->h->schema);
    return true;
}

static void end(struct feedlane *f)
{
    struct fault ignored;
    sqlite_run(f->h, "COMMIT", &ignored);
}

/* ---- judging ---------------------------------------------------------------------------- */
static bool is_visible(struct feedlane *f, struct feed_table *ft, const struct feed_class *c)
{
    struct fault fault = {0};
    bool visible = false;
    /* The policy's functions prepare too, and what is long unused goes: asked for again in time. */
    if (f->judged++ % PREPARE_EACH == 0 || !f->judge)
        f->judge = sqlite_prepare_made(f->h, &ft->visibility, &fault);
    if (f->judge) {
        sqlite_begin(f->h, c->identity);
        visible = sqlite_step(f->h, f->judge, &fault) == SQLITE_ROW;
        sqlite_end(f->h);
        sqlite3_reset(f->judge);
    }
    if (fault.code[0]) /* I2 */
        log_warn("db", "policy_failed", "table=%.*s role=%.*s code=%s text=%s",
                 STR_ARG(ft->t->name), STR_ARG(c->identity->role), fault.code, fault.message);
    return visible;
}

/* The row that decides: the new one, or the one that went. It is set in the image. */
static enum feed_verdict judge(struct feedlane *f, struct feed_table *ft, struct feed_class *c)
{
    const struct feedchange_row *row = f->row;
    struct fault fault;
    if (!c)
        return FEED_VISIBLE_WHOLE;
    if (c->seq == row->seq && !f->only) /* later, what the policy reads may be other */
        return c->verdict;
    c->seq = row->seq;
    c->verdict = is_visible(f, ft, c) ? FEED_VISIBLE : FEED_HIDDEN;
    if (c->verdict == FEED_VISIBLE && row->op == 'D')
        c->verdict = FEED_VISIBLE_WHOLE;
    else if (c->verdict == FEED_VISIBLE && row->op == 'U' && ft->t->full_identity) {
        if (rowimage_set(f->h, ft->t, row->old, &fault) && is_visible(f, ft, c))
            c->verdict = FEED_VISIBLE_WHOLE;
        if (!rowimage_set(f->h, ft->t, row->new, &fault))
            c->verdict = FEED_HIDDEN;
    }
    return c->verdict;
}

static bool event_fits(enum source_event event, char op)
{
    return event == SOURCE_ANY || (event == SOURCE_INSERT && op == 'I') ||
           (event == SOURCE_UPDATE && op == 'U') || (event == SOURCE_DELETE && op == 'D');
}

/* First pass: filters only, since judging moves the image. */
static void consider(struct feed_binding *b, void *arg)
{
    struct feedlane *f = arg;
    struct feed_watch *w = b->watch;
    const struct cell *cells = rowimage_cell(f->h, 0);
    if ((f->only && w != f->only) || !event_fits(b->event, f->row->op) ||
        !rowfilter_fits(&b->filter, cells))
        return;
    if (w->seq != f->row->seq) {
        w->seq = f->row->seq;
        w->fits = 0;
        f->hits = mem_grow(f->hits, &f->hits_capacity, f->hits_count + 1, sizeof *f->hits);
        f->hits[f->hits_count++] = w;
    }
    w->fits |= (uint64_t)1 << b->bit;
}

static struct feed_class *class_of(const struct feed_watch *w, const struct feed_table *ft)
{
    for (size_t i = 0; i < w->bindings_count; i++)
        if (w->bindings[i].table == ft)
            return w->bindings[i].class;
    CHECK(!"a hit has a binding on the table");
    return NULL;
}

/* ---- giving out ------------------------------------------------------------------------- */
static struct source_change *change_for(struct feedlane *f, struct feed_table *ft, bool whole)
{
    struct source_change **c = whole ? &f->whole : &f->reduced;
    if (!*c)
        *c = feedchange_new(ft->t, buf_str(&ft->columns), f->row, whole);
    return *c;
}

static void deliver(struct feedlane *f, struct feed_watch *w, struct source_change *change)
{
    struct feed_deliveries *d = f->replay ? f->replay : &f->out[loop_index(w->home)];
    d->list = mem_grow(d->list, &d->capacity, d->count + 1, sizeof *d->list);
    d->list[d->count++] = (struct feed_delivery){w->id, w->fits, change};
    metric_add(M_DATABASE_CHANGES_SENT, 1);
    source_change_ref(change);
    if (!f->replay && d->count >= MAIL_MAX)
        feed_mail(w->home, d);
}

static void dispatch(struct feedlane *f, const struct feedchange_row *row, struct str table)
{
    struct feed_table *ft = feedindex_table(&f->ix, table);
    struct fault fault;
    if (row->op == 'I' && !f->only && str_is(table, "realtime_messages"))
        feedsend_row(loops_at(f->db->loops, 0), row->new);
    if (!ft || (!ft->linear.count && !ft->indexed_count)) /* nobody watches it */
        return;
    if (!rowimage_set(f->h, ft->t, row->op == 'D' ? row->old : row->new, &fault)) {
        log_error("db", "feed", "seq=%llu code=%s", (unsigned long long)row->seq, fault.code);
        return;
    }
    metric_add(M_DATABASE_CHANGES, f->only ? 0 : 1);
    f->row = row;
    f->judge = NULL;
    f->hits_count = 0;
    if (ft->t->columns_count)
        feedindex_candidates(ft, rowimage_cell(f->h, 0), consider, f);
    for (size_t i = 0; i < f->hits_count; i++) {
        struct feed_watch *w = f->hits[i];
        enum feed_verdict verdict = judge(f, ft, class_of(w, ft));
        struct source_change *change;
        if (verdict == FEED_HIDDEN)
            continue;
        change = change_for(f, ft, ft->t->full_identity && verdict == FEED_VISIBLE_WHOLE);
        if (change)
            deliver(f, w, change);
    }
    for (size_t i = 0; i < f->hits_count; i++)
        f->hits[i]->seq = 0; /* a replay may meet the same change again */
    source_change_unref(&f->whole);
    source_change_unref(&f->reduced);
}

/* ---- following -------------------------------------------------------------------------- */
static struct str column(sqlite3_stmt *stmt, int i)
{
    const char *p = (const char *)sqlite3_column_text(stmt, i);
    return p ? str_of(p, (size_t)sqlite3_column_bytes(stmt, i)) : STR_NONE;
}

static sqlite3_stmt *open_log(struct feedlane *f, uint64_t after, uint64_t last, int64_t limit)
{
    struct fault fault;
    sqlite3_stmt *stmt = sqlite_prepare(
        f->h,
        STR("SELECT seq, at, CAST((julianday(at) - 2440587.5) * 86400000 + 0.5 AS INTEGER),"
            " \"table\", op, old, new, key FROM main.tw_changes WHERE seq > ?1 AND seq <= ?2"
            " ORDER BY seq LIMIT ?3"),
        &fault);
    if (!stmt) {
        log_error("db", "feed", "code=%s text=%s", fault.code, fault.message);
        return NULL;
    }
    sqlite3_bind_int64(stmt, 1, (int64_t)after);
    sqlite3_bind_int64(stmt, 2, (int64_t)last);
    sqlite3_bind_int64(stmt, 3, limit);
    return stmt;
}

/* One row into dispatch; 0 at the end. */
static uint64_t next_row(struct feedlane *f, sqlite3_stmt *stmt)
{
    struct feedchange_row row;
    if (sqlite3_step(stmt) != SQLITE_ROW)
        return 0;
    row = (struct feedchange_row){
        .seq = (uint64_t)sqlite3_column_int64(stmt, 0),
        .at = column(stmt, 1),
        .time_ms = (uint64_t)sqlite3_column_int64(stmt, 2),
        .op = column(stmt, 4).n ? column(stmt, 4).p[0] : 'I',
        .old = column(stmt, 5),
        .new = column(stmt, 6),
        .key = column(stmt, 7),
    };
    dispatch(f, &row, column(stmt, 3));
    return row.seq;
}

static void tell_lost(struct feedlane *f)
{
    struct feed_watch *w;
    size_t at = 0;
    log_error("db", "feed_lost", "after=%llu hint=%s", (unsigned long long)f->seq,
              "the change log was trimmed faster than it was followed");
    while ((w = map_next(&f->ix.watches, &at)) != NULL) {
        struct feed_deliveries *d = &f->out[loop_index(w->home)];
        d->list = mem_grow(d->list, &d->capacity, d->count + 1, sizeof *d->list);
        d->list[d->count++] = (struct feed_delivery){w->id, 0, NULL};
    }
}

static size_t follow(struct feedlane *f)
{
    sqlite3_stmt *stmt = open_log(f, f->seq, INT64_MAX, BATCH_ROWS);
    size_t n = 0;
    uint64_t first = (uint64_t)sqlite_integer(f->h, "SELECT min(seq) FROM main.tw_changes", 0);
    uint64_t seq;
    if (first > f->seq + 1)
        tell_lost(f);
    while (stmt && (seq = next_row(f, stmt)) > 0) {
        CHECK(seq > f->seq);
        f->seq = seq;
        n++;
    }
    if (stmt)
        sqlite_reset(stmt);
    return n;
}

static void flush(struct feedlane *f)
{
    for (unsigned i = 0; i < loops_count(f->db->loops); i++)
        if (f->out[i].count)
            feed_mail(loops_at(f->db->loops, i), &f->out[i]);
}

void feedlane_poll(struct feedlane *f)
{
    size_t n = BATCH_ROWS;
    while (n == BATCH_ROWS && begin(f)) {
        n = follow(f);
        end(f);
        flush(f);
    }
}

/* ---- watching --------------------------------------------------------------------------- */
/* What is after `since` and not after f->seq, for one watch. */
static void replay(struct feedlane *f, struct feedlane_opening *o)
{
    sqlite3_stmt *stmt;
    uint64_t first = (uint64_t)sqlite_integer(f->h, "SELECT min(seq) FROM main.tw_changes", 0);
    if (strcmp(o->since_epoch, f->epoch) != 0 || o->since > f->seq ||
        (o->since < f->seq && (first == 0 || first > o->since + 1)))
        o->gap = true;
    if (strcmp(o->since_epoch, f->epoch) != 0 || o->since >= f->seq)
        return;
    stmt = open_log(f, o->since, f->seq, INT64_MAX);
    f->only = feedindex_watch(&f->ix, o->id);
    f->replay = &o->replay;
    while (stmt && next_row(f, stmt) > 0) {
        if (o->replay.count <= REPLAY_MAX)
            continue;
        o->gap = true; /* too much: what is newest matters least when something is missing */
        feed_drop(&o->replay);
        break;
    }
    if (stmt)
        sqlite_reset(stmt);
    f->only = NULL;
    f->replay = NULL;
}

void feedlane_watch(struct feedlane *f, struct feedlane_opening *o)
{
    struct fault fault = {0};
    feedlane_poll(f); /* what is committed by now is not live for it */
    if (!begin(f)) {
        o->err = E_UNAVAILABLE;
        snprintf(o->message, sizeof o->message, "The database cannot be read");
        return;
    }
    o->seq = f->seq;
    memcpy(o->epoch, f->epoch, sizeof o->epoch);
    if (!feedindex_add(&f->ix, o->id, o->home, o->identity, &o->asks, &fault)) {
        o->err = E_BAD_REQUEST;
        snprintf(o->message, sizeof o->message, "%.255s", fault.message);
    } else if (o->has_since)
        replay(f, o);
    end(f);
}

void feedlane_unwatch(struct feedlane *f, uint64_t id)
{
    feedindex_remove(&f->ix, id);
}

void feedlane_identify(struct feedlane *f, uint64_t id, struct identity *identity)
{
    feedindex_identify(&f->ix, id, identity);
}
