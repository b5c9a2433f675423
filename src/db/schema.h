/* SPDX-License-Identifier: Apache-2.0 */
/* What the database holds, as last read by one connection: tables with columns, keys and foreign
 * keys, policies, functions. Every identifier in generated SQL comes from here, never from a
 * request. Read again when the file's schema version or our own generation has moved. */
#ifndef DB_SCHEMA_H
#define DB_SCHEMA_H

#include "base/map.h"
#include "db/type.h"

struct sqlite;
struct table;

struct column {
    struct str name;
    struct str declared;
    struct type type;
    const char *affinity; /* as a declarable word */
    const char *collation;
    bool not_null;
    bool has_default; /* or is filled by SQLite (rowid, generated) */
    bool generated;
    int pk; /* place in the primary key, from 1; 0 = not in it */
};
/* Primary key or unique. */
struct unique_key {
    struct str name;
    size_t *columns;
    size_t count;
    bool primary;
};
struct foreign_key {
    struct str name;
    struct table *from, *to;
    size_t *from_columns, *to_columns;
    size_t count;
    bool one_to_one; /* the from columns are unique */
};

enum policy_command { POLICY_ALL, POLICY_SELECT, POLICY_INSERT, POLICY_UPDATE, POLICY_DELETE };
struct policy_row {
    struct str name;
    enum policy_command command;
    bool restrictive;
    struct str *roles; /* none = public */
    size_t roles_count;
    struct str using_expr; /* empty = none */
    struct str check_expr;
    struct policy_row *next;
};

struct table {
    struct str name;
    bool view;
    bool internal; /* not for the data API: tw_*, realtime_messages */
    bool published;
    bool full_identity; /* UPDATE tells the whole old row */
    bool rls;
    struct column *columns;
    size_t columns_count;
    struct unique_key *keys;
    size_t keys_count;
    struct policy_row *policies;
};

struct function_arg {
    struct str name;
    struct type type;
    bool has_default;
    struct str default_sql;
};
/* A stored SQL template: POST /rpc/name. */
struct function {
    struct str name;
    struct function_arg *args;
    size_t args_count;
    struct str body;    /* one statement or several; arguments are :name */
    struct str returns; /* "void", "setof", "table", or a type */
    struct type type;   /* of a scalar */
    bool returns_set;
    bool returns_void;
    bool returns_row; /* a record: setof table, table(...) */
    bool writes;      /* not STABLE or IMMUTABLE */
    bool definer;
};

struct schema {
    struct arena arena;
    int64_t version;
    int64_t generation;
    struct map by_name;
    struct table *tables;
    size_t tables_count;
    struct foreign_key *foreigns;
    size_t foreigns_count;
    struct map functions_by_name;
    struct function *functions;
    size_t functions_count;
};

/* Opens a transaction (immediate: for writing) in which h->schema is what the file holds. When
 * the schema has changed it is read again first, with the views that carry its policies: outside
 * of the transaction, since a rollback would take temporary views back too. */
bool schema_begin(struct sqlite *h, bool immediate, struct fault *fault);
/* Reads it without its views, as migrations see the tables. */
bool schema_load(struct sqlite *h, struct fault *fault);
void schema_free(struct schema **s);

struct table *schema_table(const struct schema *s, struct str name);
struct column *schema_column(const struct table *t, struct str name);
struct function *schema_function(const struct schema *s, struct str name);
const struct unique_key *schema_primary(const struct table *t);
/* "messages_pkey", "users_email_key" or the index's own name, for "a, b" of that table. */
void schema_constraint_name(const struct schema *s, struct str table, struct str columns, char *out,
                            size_t size);

#endif
