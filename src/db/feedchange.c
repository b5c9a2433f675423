/* SPDX-License-Identifier: Apache-2.0 */
/* A row of the change log as the object that supabase-js gets (its field `data`). */
#include "base/json.h"
#include "base/mem.h"
#include "db/feed.h"
#include "db/schema.h"

void feedchange_columns(const struct table *t, struct buf *out)
{
    buf_add_c(out, '[');
    for (size_t i = 0; i < t->columns_count; i++) {
        buf_add_z(out, i ? ",{" : "{");
        json_add_field(out, "name", t->columns[i].name);
        json_add_field(out, "type", str_from(t->columns[i].type.pg));
        buf_add_c(out, '}');
    }
    buf_add_c(out, ']');
}

/* The primary key's members of a row. */
static void put_key(const struct table *t, struct str row, struct buf *out)
{
    struct jsonscan_iter it = jsonscan_iter(row);
    struct jsonscan_member m;
    struct arena arena = {0};
    bool any = false;
    buf_add_c(out, '{');
    while (jsonscan_next(&it, &arena, &m) > 0) {
        const struct column *c = schema_column(t, m.key);
        if (!c || !c->pk)
            continue;
        buf_add_z(out, any ? "," : "");
        json_add_string(out, m.key);
        buf_add_c(out, ':');
        buf_add_str(out, m.value.raw);
        any = true;
    }
    buf_add_c(out, '}');
    arena_free(&arena);
}

/* "..+00:00" -> "..Z", as upstream says it. */
static void put_time(struct str at, struct buf *out)
{
    buf_add_z(out, ",\"commit_timestamp\":\"");
    if (str_ends(at, STR("+00:00"))) {
        buf_add_str(out, str_head(at, at.n - 6));
        buf_add_c(out, 'Z');
    } else
        buf_add_str(out, at);
    buf_add_c(out, '"');
}

struct parts {
    size_t record, record_n, old, old_n;
};

static void put_data(const struct table *t, struct str columns_json,
                     const struct feedchange_row *row, bool full_old, struct buf *b,
                     struct parts *parts)
{
    buf_add_c(b, '{');
    json_add_field(b, "schema", STR("public"));
    json_add_field(b, "table", t->name);
    json_add_field(b, "type",
                   row->op == 'I'   ? STR("INSERT")
                   : row->op == 'U' ? STR("UPDATE")
                                    : STR("DELETE"));
    put_time(row->at, b);
    json_add_raw(b, "columns", columns_json);
    if (row->op != 'D') {
        buf_add_z(b, ",\"record\":");
        parts->record = b->n;
        buf_add_str(b, row->new);
        parts->record_n = b->n - parts->record;
    }
    if (row->op != 'I') {
        buf_add_z(b, ",\"old_record\":");
        parts->old = b->n;
        if (full_old)
            buf_add_str(b, row->old);
        else
            put_key(t, row->old, b);
        parts->old_n = b->n - parts->old;
    }
    if (row->key.n) /* whoever wrote the row knows it by that */
        json_add_field(b, "idempotency_key", row->key);
    buf_add_z(b, ",\"errors\":null}");
}

struct source_change *feedchange_new(const struct table *t, struct str columns_json,
                                     const struct feedchange_row *row, bool full_old)
{
    struct buf b = {0};
    struct parts parts = {0};
    struct source_change *c;
    char *p;
    put_data(t, columns_json, row, full_old, &b, &parts);
    c = b.failed ? NULL : mem_try(sizeof *c + b.n + t->name.n + row->key.n);
    if (c) {
        p = (char *)(c + 1);
        memcpy(p, b.p, b.n);
        memcpy(p + b.n, t->name.p, t->name.n);
        if (row->key.n)
            memcpy(p + b.n + t->name.n, row->key.p, row->key.n);
        *c = (struct source_change){
            .seq = row->seq,
            .time_ms = row->time_ms,
            .event = row->op == 'I'   ? SOURCE_INSERT
                     : row->op == 'U' ? SOURCE_UPDATE
                                      : SOURCE_DELETE,
            .table = str_of(p + b.n, t->name.n),
            .data = str_of(p, b.n),
            .record = str_of(p + parts.record, parts.record_n),
            .old_record = str_of(p + parts.old, parts.old_n),
            .key = str_of(p + b.n + t->name.n, row->key.n),
        };
        ref_init(&c->ref);
    }
    buf_free(&b);
    return c;
}
