/* SPDX-License-Identifier: Apache-2.0 */
/* A database in a temporary folder, identities, and "this request gives that answer". */
#ifndef TEST_DB_FIXTURE_H
#define TEST_DB_FIXTURE_H

#include "base/mem.h"
#include "db/migrate.h"
#include "db/request.h"
#include "db/sqlite.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static __attribute__((unused)) struct identity anon = {
    .sub = {"", 0}, .role = {"anon", 4}, .text = {"{\"role\":\"anon\"}", 15}, .anonymous = true};
static __attribute__((unused)) struct identity service = {
    .role = {"service_role", 12}, .text = {"{\"role\":\"service_role\"}", 23}, .service = true};
#define USER(name)                                                                                 \
    {                                                                                              \
        .sub = {name, sizeof(name) - 1}, .role = {"authenticated", 13}, .text = {                  \
            "{\"role\":\"authenticated\",\"sub\":\"" name "\",\"org\":\"o-" name "\"}",            \
            sizeof("{\"role\":\"authenticated\",\"sub\":\"" name "\",\"org\":\"o-" name "\"}") - 1 \
        }                                                                                          \
    }
static __attribute__((unused)) struct identity ann = USER("ann");
static __attribute__((unused)) struct identity bob = USER("bob");

struct fixture {
    char folder[64];
    char path[96];
    struct sqlite *h;
};

static inline void fixture_sql(struct fixture *f, const char *sql)
{
    struct fault fault = {0};
    if (!sqlite_exec(f->h, sql, &fault))
        fail_msg("%s: %s\n%s", fault.code, fault.message, sql);
}

static inline void fixture_open(struct fixture *f, const char *sql)
{
    struct fault fault = {0};
    struct sqlite_options o = {.writer = true};
    snprintf(f->folder, sizeof f->folder, "/tmp/tw-db-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/db.sqlite", f->folder);
    f->h = sqlite_open(f->path, &o, &fault);
    if (!f->h)
        fail_msg("%s: %s", fault.code, fault.message);
    if (!migrate_prepare(f->h, &fault))
        fail_msg("%s: %s", fault.code, fault.message);
    fixture_sql(f, sql);
}

static inline __attribute__((unused)) void fixture_migrate(struct fixture *f, const char *name,
                                                           const char *sql)
{
    struct fault fault = {0};
    bool applied;
    if (!migrate_apply(f->h, name, str_from(sql), &applied, &fault) || !applied)
        fail_msg("%s: %s (%s)", fault.code, fault.message, fault.details);
}

static inline __attribute__((unused)) void fixture_refused(struct fixture *f, const char *sql,
                                                           const char *want)
{
    struct fault fault = {0};
    char text[1700];
    bool applied;
    assert_false(migrate_apply(f->h, "bad.sql", str_from(sql), &applied, &fault));
    snprintf(text, sizeof text, "%s %s (%s)", fault.code, fault.message, fault.details);
    assert_string_equal(text, want);
}

static inline void fixture_close(struct fixture *f)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    sqlite_close(&f->h);
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", f->path, ends[i]);
        unlink(path);
    }
    rmdir(f->folder);
}

struct ask {
    const struct identity *as; /* NULL: service */
    const char *prefer, *accept, *body, *key;
};

static inline enum rest_method fixture_method(const char **target)
{
    static const struct {
        const char *word;
        enum rest_method method;
    } words[] = {{"GET /rpc/", REST_CALL_READ},
                 {"POST /rpc/", REST_CALL},
                 {"GET /", REST_READ},
                 {"POST /", REST_INSERT},
                 {"PATCH /", REST_UPDATE},
                 {"DELETE /", REST_DELETE},
                 {"PUT /", REST_PUT}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strncmp(*target, words[i].word, strlen(words[i].word)) == 0) {
            *target += strlen(words[i].word);
            return words[i].method;
        }
    }
    fail_msg("method? %s", *target);
    return REST_READ;
}

/* Runs "GET /messages?id=eq.5"; the answer as "200 [..]" or "409 23505 message". */
static inline void fixture_run(struct fixture *f, const char *line, struct ask a, struct buf *out,
                               struct rest_answer *kept)
{
    struct arena arena = {0};
    struct rest_answer res;
    struct fault fault;
    const char *target = line, *mark;
    struct rest_call req = {.method = fixture_method(&target)};
    mark = strchr(target, '?');
    req.name = str_of(target, mark ? (size_t)(mark - target) : strlen(target));
    req.query = mark ? str_from(mark + 1) : STR("");
    req.body = str_from(a.body ? a.body : "");
    req.identity = a.as ? a.as : &service;
    req.key = str_from(a.key ? a.key : "");
    if (a.prefer)
        restprefer_parse(&req.prefer, str_from(a.prefer));
    assert_true(restaccept_parse(str_from(a.accept ? a.accept : ""), &req.accept));
    if (request_run_alone(f->h, &req, &arena, &res, &fault)) {
        buf_printf(out, "%d %.*s", res.status, STR_ARG(buf_str(&res.body)));
        if (kept)
            *kept = res;
        else
            request_free_answer(&res);
    } else {
        buf_printf(out, "%d %s %s", fault.status, fault.code, fault.message);
        if (fault.details[0])
            buf_printf(out, " (%s)", fault.details);
    }
    buf_add_c(out, 0);
    arena_free(&arena);
}

static inline void gives(struct fixture *f, const char *line, struct ask a, const char *want)
{
    struct buf b = {0};
    fixture_run(f, line, a, &b, NULL);
    if (strcmp(b.p, want) != 0) {
        print_error("%s\n got: %s\nwant: %s\n", line, b.p, want);
        buf_free(&b);
        fixture_close(f);
        fail();
    }
    buf_free(&b);
}

#endif
