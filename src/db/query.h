/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree of a request (wire/restquery.h) and the schema to one SQL statement.
 *
 * Every value is a bound parameter (query_bind), every identifier is a struct column or table of
 * the schema (query_column, rls_source): no byte of a request becomes SQL text. Parameters are
 * numbered, so pieces may be written in any order.
 *
 *   read    SELECT tw_row(spec, col, (SELECT tw_row(..) FROM users tw_1 WHERE ..), ..)
 *             FROM temp."messages" AS "messages" WHERE .. ORDER BY .. LIMIT ? OFFSET ?
 *   write   INSERT INTO main."messages" .. RETURNING <check>, tw_row(..)
 *
 * An embed is a correlated sub-select, so the same select list serves SELECT and RETURNING. The
 * outermost table's alias is its own name: policies speak of it by that. Others are tw_1, tw_2. */
#ifndef DB_QUERY_H
#define DB_QUERY_H

#include "db/schema.h"
#include "wire/restquery.h"

enum query_format { QUERY_JSON, QUERY_JSON_STRIPPED, QUERY_CSV };

struct query {
    struct sqlite *h;
    const struct schema *schema;
    const struct identity *identity;
    struct arena *arena;
    struct fault *fault;
    enum query_format format;
    struct buf text;
    struct cell *cells;
    size_t cells_count, cells_capacity;
    unsigned aliases;
    unsigned depth;
    struct buf csv_header;
    struct str source; /* what the outermost table is read from, when it is no table */
};

void query_init(struct query *q, struct sqlite *h, const struct identity *id, struct arena *arena,
                struct fault *fault);
void query_free(struct query *q);
/* Writes "?N" to `to` and notes the value. */
void query_bind(struct query *q, struct buf *to, struct cell c);
/* alias."column" */
void query_column(struct buf *to, struct str alias, const struct column *c);
struct str query_alias(struct query *q);
/* The text prepared, the values bound. NULL + fault. */
sqlite3_stmt *query_prepare(struct query *q);

/* 42703, PGRST205. Return false / NULL. */
bool query_no_column(struct query *q, const struct table *t, struct str name);
/* The table of that name if the data API may see it. */
struct table *query_table(const struct schema *s, struct str name, struct fault *fault);

/* ---- select.c ------------------------------------------------------------------------- */
/* tw_row(...) of one node's items over alias. */
bool select_row(struct query *q, const struct rest_node *node, const struct table *t,
                struct str alias, struct buf *to);
/* The whole read. limit_max: rows at most; 0 = no limit. */
bool select_read(struct query *q, const struct rest_node *node, const struct table *t,
                 int64_t limit_max);
/* SELECT count(*) with the same rows, without limit. */
bool select_count(struct query *q, const struct rest_node *node, const struct table *t);
/* " ORDER BY ..." */
bool select_order(struct query *q, const struct rest_node *node, const struct table *t,
                  struct str alias, struct buf *to);
bool select_has_aggregate(const struct rest_node *node, const struct table *t);

/* ---- where.c -------------------------------------------------------------------------- */
/* " AND (...)" for each condition of the node and for its inner embeds. */
bool where_add(struct query *q, const struct rest_node *node, const struct table *t,
               struct str alias, struct buf *to);
/* SQL of a field, and what type it has (JSON paths change it). for_filter: -> gives SQL values. */
bool where_field(struct query *q, const struct rest_field *f, const struct table *t,
                 struct str alias, bool for_filter, struct buf *to, struct type *type);

/* ---- relation.c ----------------------------------------------------------------------- */
enum relation_kind { RELATION_TO_ONE, RELATION_TO_MANY, RELATION_JUNCTION };
struct relation {
    enum relation_kind kind;
    struct table *target;
    const struct foreign_key *fk;  /* JUNCTION: from the junction to the parent */
    const struct foreign_key *far; /* JUNCTION: from the junction to the target */
    bool reverse;                  /* the foreign key stands in the target */
};
/* PGRST200, PGRST201 on failure. */
bool relation_find(struct query *q, const struct table *parent, const struct rest_node *embed,
                   struct relation *out);
/* The condition that ties child to parent. */
void relation_join(struct query *q, const struct relation *r, struct str parent, struct str child,
                   struct buf *to);
/* EXISTS (SELECT 1 FROM embed WHERE join AND its filters) */
bool relation_exists(struct query *q, const struct rest_node *embed, const struct table *parent,
                     struct str parent_alias, struct buf *to);
/* The embed of that name in the node, or NULL. */
const struct rest_node *relation_named(const struct rest_node *node, struct str name);

#endif
