/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotency keys: the answer of an insert is kept under (who, key) in the same transaction, for
 * a day. A repeat finds it and inserts nothing, also when the first answer was lost on the way. The
 * changes of the insert carry the key, so that a client knows its own row in the feed. */
#include "base/digest.h"
#include "db/request.h"
#include "db/sqlite.h"
#include <stdio.h>

/* The user; those without a name share one space by role. */
static struct str owner_of(const struct rest_call *req)
{
    const struct identity *id = req->identity;
    return id && id->sub.n ? id->sub : id ? id->role : STR("");
}

/* What was asked: the same key for something else is a mistake. */
static void digest_of(const struct rest_call *req, char out[65])
{
    struct buf all = {0};
    uint8_t digest[32];
    const struct str parts[] = {req->name, req->query, req->body};
    for (size_t i = 0; i < 3; i++) {
        buf_printf(&all, "%zu:", parts[i].n);
        buf_add_str(&all, parts[i]);
    }
    digest_sha256(buf_str(&all), digest);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    buf_free(&all);
}

static struct str text(sqlite3_stmt *stmt, int i)
{
    const char *p = sqlite3_column_blob(stmt, i);
    return p ? str_of(p, (size_t)sqlite3_column_bytes(stmt, i)) : STR("");
}

static void bind(sqlite3_stmt *stmt, int i, struct str s)
{
    sqlite3_bind_text64(stmt, i, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

static void repeat(sqlite3_stmt *stmt, struct arena *arena, struct rest_answer *res)
{
    struct str type = text(stmt, 3);
    res->status = sqlite3_column_int(stmt, 1);
    buf_add_str(&res->body, text(stmt, 2));
    res->content_type = type.n ? arena_dup(arena, type).p : NULL;
    snprintf(res->content_range, sizeof res->content_range, "%.*s", STR_ARG(text(stmt, 4)));
    buf_add_str(&res->location, text(stmt, 5));
    res->replayed = true;
}

enum once_answer once_begin(struct sqlite *h, const struct rest_call *req, struct arena *arena,
                            struct rest_answer *res, struct fault *fault)
{
    char digest[65];
    enum once_answer answer = ONCE_NEW;
    sqlite3_stmt *stmt = sqlite_prepare(h,
                                        STR("SELECT request, status, body, type, range, location"
                                            " FROM main.tw_keys WHERE owner = ?1 AND key = ?2"),
                                        fault);
    int rc;
    if (!stmt)
        return ONCE_FAULT;
    digest_of(req, digest);
    bind(stmt, 1, owner_of(req));
    bind(stmt, 2, req->key);
    rc = sqlite_step(h, stmt, fault);
    if (rc == SQLITE_ROW && str_is(text(stmt, 0), digest)) {
        repeat(stmt, arena, res);
        answer = ONCE_REPEAT;
    } else if (rc == SQLITE_ROW) {
        fault_set(fault, "PT409", "The idempotency key was used for another request");
        answer = ONCE_FAULT;
    } else if (rc != SQLITE_DONE)
        answer = ONCE_FAULT;
    sqlite_reset(stmt);
    return answer;
}

static bool mark_changes(struct sqlite *h, struct str key, int64_t after, struct fault *fault)
{
    sqlite3_stmt *stmt =
        sqlite_prepare(h, STR("UPDATE main.tw_changes SET key = ?1 WHERE seq > ?2"), fault);
    int rc;
    if (!stmt)
        return false;
    bind(stmt, 1, key);
    sqlite3_bind_int64(stmt, 2, after);
    rc = sqlite_step(h, stmt, fault);
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

bool once_end(struct sqlite *h, const struct rest_call *req, const struct rest_answer *res,
              int64_t changes_before, struct fault *fault)
{
    char digest[65];
    sqlite3_stmt *stmt = sqlite_prepare(
        h,
        STR("INSERT INTO main.tw_keys(owner, key, request, at, status, body, type, range, location)"
            " VALUES (?1, ?2, ?3, strftime('%Y-%m-%dT%H:%M:%S','now'), ?4, ?5, ?6, ?7, ?8)"),
        fault);
    int rc;
    if (!stmt)
        return false;
    digest_of(req, digest);
    bind(stmt, 1, owner_of(req));
    bind(stmt, 2, req->key);
    bind(stmt, 3, str_from(digest));
    sqlite3_bind_int(stmt, 4, res->status);
    bind(stmt, 5, buf_str(&res->body));
    bind(stmt, 6, str_from(res->content_type ? res->content_type : ""));
    bind(stmt, 7, str_from(res->content_range));
    bind(stmt, 8, buf_str(&res->location));
    rc = sqlite_step(h, stmt, fault);
    sqlite_reset(stmt);
    return rc == SQLITE_DONE && mark_changes(h, req->key, changes_before, fault);
}
