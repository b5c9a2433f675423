/* SPDX-License-Identifier: Apache-2.0 */
/* See query.h. */
#include "db/query.h"
#include "base/mem.h"
#include "db/sqlite.h"
#include <stdio.h>

void query_init(struct query *q, struct sqlite *h, const struct identity *id, struct arena *arena,
                struct fault *fault)
{
    *q = (struct query){.h = h,
                        .schema = h->schema,
                        .identity = id,
                        .arena = arena,
                        .fault = fault,
                        .text = {.max = 1 << 20}};
}

void query_free(struct query *q)
{
    buf_free(&q->text);
    buf_free(&q->csv_header);
    mem_free(q->cells);
    q->cells = NULL;
}

void query_bind(struct query *q, struct buf *to, struct cell c)
{
    if (q->cells_count == q->cells_capacity)
        q->cells = mem_grow(q->cells, &q->cells_capacity, q->cells_count + 1, sizeof *q->cells);
    q->cells[q->cells_count++] = c;
    buf_printf(to, "?%zu", q->cells_count);
}

void query_column(struct buf *to, struct str alias, const struct column *c)
{
    sqlite_quote(to, alias);
    buf_add_c(to, '.');
    sqlite_quote(to, c->name);
}

struct str query_alias(struct query *q)
{
    char text[24];
    int n = snprintf(text, sizeof text, "tw_%u", ++q->aliases);
    return arena_dup(q->arena, str_of(text, (size_t)n));
}

sqlite3_stmt *query_prepare(struct query *q)
{
    sqlite3_stmt *stmt;
    if (q->text.failed) {
        fault_set(q->fault, "54000", "the statement is too large");
        return NULL;
    }
    stmt = sqlite_prepare(q->h, buf_str(&q->text), q->fault);
    for (size_t i = 0; stmt && i < q->cells_count; i++)
        cell_bind(stmt, (int)i + 1, &q->cells[i]);
    return stmt;
}

bool query_no_column(struct query *q, const struct table *t, struct str name)
{
    return fault_set(q->fault, "42703", "column %.*s.%.*s does not exist", STR_ARG(t->name),
                     STR_ARG(str_head(name, 100)));
}

struct table *query_table(const struct schema *s, struct str name, struct fault *fault)
{
    struct table *t = schema_table(s, name);
    if (t && !t->internal)
        return t;
    fault_set(fault, "PGRST205", "Could not find the table 'public.%.*s' in the schema cache",
              STR_ARG(str_head(name, 100)));
    for (size_t i = 0; i < s->tables_count && name.n >= 3; i++) {
        const struct table *near = &s->tables[i];
        if (!near->internal && (str_starts(near->name, str_head(name, 4)) ||
                                str_starts(name, str_head(near->name, 4)))) {
            fault_hint(fault, "Perhaps you meant the table 'public.%.*s'", STR_ARG(near->name));
            break;
        }
    }
    return NULL;
}
