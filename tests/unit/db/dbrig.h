/* SPDX-License-Identifier: Apache-2.0 */
/* A whole database room on running loops; the test's thread asks and waits. */
#ifndef TEST_DB_DBRIG_H
#define TEST_DB_DBRIG_H

#include "../loop/rig.h"
#include "db/db.h"
#include "base/json.h"
#include <time.h>

#define USER(name)                                                                                 \
    {                                                                                              \
        .ref = {1000000}, .sub = {name, sizeof(name) - 1}, .role = {"authenticated", 13},          \
        .text = {                                                                                  \
            "{\"role\":\"authenticated\",\"sub\":\"" name "\",\"org\":\"o-" name "\"}",            \
            sizeof("{\"role\":\"authenticated\",\"sub\":\"" name "\",\"org\":\"o-" name "\"}") - 1 \
        }                                                                                          \
    }
static __attribute__((unused)) struct identity ann = USER("ann");
static __attribute__((unused)) struct identity bob = USER("bob");
static __attribute__((unused)) struct identity anon = {.ref = {1000000},
                                                       .sub = {"", 0},
                                                       .role = {"anon", 4},
                                                       .text = {"{\"role\":\"anon\"}", 15},
                                                       .anonymous = true};
static __attribute__((unused)) struct identity service = {
    .ref = {1000000}, .role = {"service_role", 12}, .text = {"{}", 2}, .service = true};

struct dbrig {
    struct rig rig;
    struct db *db;
    char folder[64], path[96];
    const char *sql;
    struct db_config config;
};

static __attribute__((unused)) void wait_for(sem_t *sem)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60; /* only so that a failure does not hang */
    while (sem_timedwait(sem, &until) != 0)
        if (errno != EINTR)
            fail_msg("nothing came");
}

static void dbrig_start(struct dbrig *d)
{
    char err[800] = "";
    rig_begin(&d->rig, 2);
    d->config.path = d->path;
    d->config.builtin = d->sql;
    d->db = db_open(d->rig.ls, &d->config, err, sizeof err);
    if (!d->db)
        fail_msg("%s", err);
    source_set(&db_source_ops, d->db);
    rig_run(&d->rig);
}

static __attribute__((unused)) void dbrig_stop(struct dbrig *d)
{
    rig_join(&d->rig);
    db_close(&d->db);
    rig_end(&d->rig);
}

static __attribute__((unused)) void dbrig_open(struct dbrig *d, const char *sql)
{
    *d = (struct dbrig){.sql = sql};
    snprintf(d->folder, sizeof d->folder, "/tmp/tw-db-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    snprintf(d->path, sizeof d->path, "%s/db.sqlite", d->folder);
    dbrig_start(d);
}

static __attribute__((unused)) void dbrig_close(struct dbrig *d)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    dbrig_stop(d);
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", d->path, ends[i]);
        unlink(path);
    }
    rmdir(d->folder);
}

/* ---- requests --------------------------------------------------------------------------- */
struct dbask {
    struct db_rest rest; /* first */
    struct dbrig *d;
    sem_t done;
};

static void dbask_done(struct loop *l, struct db_rest *r)
{
    (void)l;
    sem_post(&((struct dbask *)r)->done);
}

static void dbask_go(struct loop *l, void *arg)
{
    struct dbask *a = arg;
    db_rest(a->d->db, l, &a->rest);
}

/* "POST /t" with a body: "201 ..." */
static __attribute__((unused)) void dbrig_rest(struct dbrig *d, struct identity *as,
                                               const char *line, const char *body, const char *want)
{
    struct dbask a = {.d = d, .rest = {.done = dbask_done}};
    static const char *const words[] = {"GET /", "POST /", "PATCH /", "DELETE /", "POST /rpc/"};
    struct buf got = {0};
    const char *target = line, *mark;
    for (int i = 0; i < 5; i++) {
        if (strncmp(line, words[i], strlen(words[i])) == 0) {
            a.rest.call.method = (enum rest_method)i;
            target = line + strlen(words[i]);
        }
    }
    mark = strchr(target, '?');
    a.rest.call.name = str_of(target, mark ? (size_t)(mark - target) : strlen(target));
    a.rest.call.query = mark ? str_from(mark + 1) : STR("");
    a.rest.call.body = str_from(body ? body : "");
    a.rest.call.identity = as;
    sem_init(&a.done, 0, 0);
    rig_on_loop(&d->rig, 0, dbask_go, &a);
    wait_for(&a.done);
    sem_destroy(&a.done);
    buf_printf(&got, "%d %.*s", a.rest.answer.status, STR_ARG(buf_str(&a.rest.answer.body)));
    buf_add_c(&got, 0);
    db_rest_clear(&a.rest);
    if (want && strcmp(got.p, want) != 0)
        fail_msg("%s\n got: %s\nwant: %s", line, got.p, want);
    buf_free(&got);
}

/* ---- watches ---------------------------------------------------------------------------- */
struct listener {
    struct source_watch watch; /* first */
    struct dbrig *d;
    unsigned loop;
    struct source_options options;
    struct source_binding bindings[4];
    struct buf log; /* its loop writes, the test reads after a sem */
    struct source_opened opened;
    sem_t is_open, came;
    struct identity *next;
};

static void listener_opened(struct source_watch *w, const struct source_opened *o)
{
    struct listener *l = (struct listener *)w;
    l->opened = *o;
    if (o->err)
        buf_printf(&l->log, "error %d %s;", o->err, o->message);
    if (o->gap)
        buf_add_z(&l->log, "gap;");
    sem_post(&l->is_open);
}

static void listener_changed(struct source_watch *w, struct source_change *c, uint64_t fits)
{
    static const char letters[] = "?IUD";
    struct listener *l = (struct listener *)w;
    struct str row = c->event == SOURCE_DELETE ? c->old_record : c->record;
    buf_printf(&l->log, "%c%llx %.*s", letters[c->event], (unsigned long long)fits, STR_ARG(row));
    if (c->event == SOURCE_UPDATE)
        buf_printf(&l->log, " was %.*s", STR_ARG(c->old_record));
    buf_add_c(&l->log, ';');
    sem_post(&l->came);
}

static void listener_lost(struct source_watch *w)
{
    struct listener *l = (struct listener *)w;
    buf_add_z(&l->log, "lost;");
    sem_post(&l->came);
}

static void listener_go(struct loop *loop, void *arg)
{
    struct listener *l = arg;
    source_watch_open(loop, &l->watch, &l->options);
}

static __attribute__((unused)) void listen_to(struct dbrig *d, struct listener *l, unsigned loop,
                                              struct identity *as, const char *table,
                                              const char *filter)
{
    struct source_options options = l->options; /* since, when set before */
    struct source_binding more[3] = {l->bindings[1], l->bindings[2], l->bindings[3]};
    *l = (struct listener){.d = d, .loop = loop, .options = options};
    memcpy(&l->bindings[1], more, sizeof more);
    l->watch.identity = as;
    l->watch.opened = listener_opened;
    l->watch.changed = listener_changed;
    l->watch.lost = listener_lost;
    l->bindings[0].table = str_from(table);
    l->bindings[0].filter = str_from(filter);
    l->options.bindings = l->bindings;
    if (!l->options.bindings_count)
        l->options.bindings_count = 1;
    sem_init(&l->is_open, 0, 0);
    sem_init(&l->came, 0, 0);
    rig_on_loop(&d->rig, loop, listener_go, l);
    wait_for(&l->is_open);
}

static void listener_end(struct loop *loop, void *arg)
{
    source_watch_close(loop, &((struct listener *)arg)->watch);
}

/* Waits for n changes more, then compares all that came since the last time. */
static __attribute__((unused)) void heard(struct listener *l, unsigned n, const char *want)
{
    for (unsigned i = 0; i < n; i++)
        wait_for(&l->came);
    buf_add_c(&l->log, 0);
    if (strcmp(l->log.p, want) != 0)
        fail_msg("\n got: %s\nwant: %s", l->log.p, want);
    buf_clear(&l->log);
}

static __attribute__((unused)) void listener_stop(struct listener *l)
{
    rig_on_loop(&l->d->rig, l->loop, listener_end, l);
    buf_free(&l->log);
    sem_destroy(&l->is_open);
    sem_destroy(&l->came);
    l->options = (struct source_options){0};
    memset(l->bindings, 0, sizeof l->bindings);
}

#endif
