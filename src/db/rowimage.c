/* SPDX-License-Identifier: Apache-2.0 */
/* See rowimage.h. */
#include "db/rowimage.h"
#include "base/mem.h"
#include "db/schema.h"
#include "db/sqlite.h"

struct row_image {
    struct arena arena;
    struct cell *cells;
    size_t count;
};
struct image_table {
    sqlite3_vtab base;
    struct sqlite *h;
};
struct image_cursor {
    sqlite3_vtab_cursor base;
    bool done;
};

void rowimage_name(const struct table *t, struct buf *out)
{
    struct buf plain = {0};
    buf_add_z(&plain, "tw_image_");
    buf_add_str(&plain, t->name);
    sqlite_quote(out, buf_str(&plain));
    buf_free(&plain);
}

static int connect_table(sqlite3 *db, void *arg, int argc, const char *const *argv,
                         sqlite3_vtab **out, char **error)
{
    struct sqlite *h = arg;
    struct buf b = {0};
    struct str name = str_from(argv[2]);
    const struct table *t = schema_table(h->schema, str_skip(name, 9));
    struct image_table *image;
    int rc;
    (void)argc;
    if (!t) {
        *error = sqlite3_mprintf("no such table");
        return SQLITE_ERROR;
    }
    buf_add_z(&b, "CREATE TABLE x(");
    for (size_t i = 0; i < t->columns_count; i++) {
        const struct column *c = &t->columns[i];
        buf_add_z(&b, i ? ", " : "");
        sqlite_quote(&b, c->name);
        buf_printf(&b, " %s COLLATE %s", c->affinity, c->collation);
    }
    buf_add_z(&b, ")");
    buf_add_c(&b, 0);
    rc = b.failed ? SQLITE_NOMEM : sqlite3_declare_vtab(db, b.p);
    buf_free(&b);
    if (rc != SQLITE_OK)
        return rc;
    image = mem_new(sizeof *image);
    image->h = h;
    *out = &image->base;
    return SQLITE_OK;
}

static int disconnect_table(sqlite3_vtab *v)
{
    mem_free(v);
    return SQLITE_OK;
}

static int best_index(sqlite3_vtab *v, sqlite3_index_info *info)
{
    (void)v;
    info->estimatedCost = 1;
    info->estimatedRows = 1;
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *v, sqlite3_vtab_cursor **out)
{
    struct image_cursor *c = mem_new(sizeof *c);
    (void)v;
    *out = &c->base;
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *c)
{
    mem_free(c);
    return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *c, int n, const char *s, int argc, sqlite3_value **argv)
{
    (void)n, (void)s, (void)argc, (void)argv;
    ((struct image_cursor *)c)->done = false;
    return SQLITE_OK;
}

static int next_row(sqlite3_vtab_cursor *c)
{
    ((struct image_cursor *)c)->done = true;
    return SQLITE_OK;
}

static int is_end(sqlite3_vtab_cursor *c)
{
    return ((struct image_cursor *)c)->done;
}

static int give_column(sqlite3_vtab_cursor *c, sqlite3_context *context, int i)
{
    const struct cell *cell = rowimage_cell(((struct image_table *)c->pVtab)->h, (size_t)i);
    if (!cell)
        return SQLITE_OK;
    switch (cell->kind) {
    case CELL_NULL:
        break;
    case CELL_INT:
        sqlite3_result_int64(context, cell->i);
        break;
    case CELL_REAL:
        sqlite3_result_double(context, cell->r);
        break;
    case CELL_TEXT:
        sqlite3_result_text64(context, cell->s.p ? cell->s.p : "", cell->s.n, SQLITE_STATIC,
                              SQLITE_UTF8);
        break;
    case CELL_BLOB:
        sqlite3_result_blob64(context, cell->s.p ? cell->s.p : "", cell->s.n, SQLITE_STATIC);
        break;
    }
    return SQLITE_OK;
}

static int give_rowid(sqlite3_vtab_cursor *c, sqlite3_int64 *out)
{
    (void)c;
    *out = 1;
    return SQLITE_OK;
}

bool rowimage_register(struct sqlite *h, struct fault *fault)
{
    static const sqlite3_module module = {
        .xCreate = connect_table,
        .xConnect = connect_table,
        .xBestIndex = best_index,
        .xDisconnect = disconnect_table,
        .xDestroy = disconnect_table,
        .xOpen = open_cursor,
        .xClose = close_cursor,
        .xFilter = filter,
        .xNext = next_row,
        .xEof = is_end,
        .xColumn = give_column,
        .xRowid = give_rowid,
    };
    int rc = sqlite3_create_module(h->db, "tw_image", &module, h);
    return rc == SQLITE_OK ? true : sqlite_fault(h, rc, fault);
}

void rowimage_free(struct row_image **ip)
{
    struct row_image *image = *ip;
    if (!image)
        return;
    *ip = NULL;
    arena_free(&image->arena);
    mem_free(image);
}

bool rowimage_ensure(struct sqlite *h, const struct table *t, struct fault *fault)
{
    struct buf b = {0};
    bool ok;
    buf_add_z(&b, "DROP TABLE IF EXISTS temp."); /* its columns may be others now */
    rowimage_name(t, &b);
    buf_add_z(&b, "; CREATE VIRTUAL TABLE temp.");
    rowimage_name(t, &b);
    buf_add_z(&b, " USING tw_image");
    ok = sqlite_exec_made(h, &b, fault);
    buf_free(&b);
    return ok;
}

/* Texts that look like numbers become numbers in a column of numeric affinity: so did the value
 * when it was stored. */
static void apply_affinity(const struct column *col, struct cell *c)
{
    bool numeric = strcmp(col->affinity, "NUMERIC") == 0 || strcmp(col->affinity, "INTEGER") == 0 ||
                   strcmp(col->affinity, "REAL") == 0;
    struct fault ignored;
    struct type type;
    struct cell number;
    if (c->kind != CELL_TEXT || !numeric)
        return;
    type_parse(&type, STR("numeric"));
    if (type_from_text(&type, c->s, NULL, &number, &ignored))
        *c = number;
}

/* The log writes rows as JSON by column type; back to what the table stores. */
static bool cell_of(const struct column *col, const struct jsonscan_value *v, struct arena *arena,
                    struct cell *out)
{
    struct fault ignored;
    struct type any = {.kind = TYPE_ANY, .name = "text"};
    bool ok;
    if (v->type == JSONSCAN_STRING && col->type.kind == TYPE_BYTES)
        return type_from_json(&col->type, v, arena, out, &ignored);
    if (v->type == JSONSCAN_STRING && col->type.kind == TYPE_JSON) {
        *out = cell_text(v->raw);
        return true;
    }
    ok = type_from_json(&any, v, arena, out, &ignored);
    if (ok)
        apply_affinity(col, out);
    return ok;
}

bool rowimage_set(struct sqlite *h, const struct table *t, struct str json, struct fault *fault)
{
    struct jsonscan_iter it;
    struct jsonscan_member m;
    struct row_image *image = h->image;
    int got;
    if (!image)
        image = h->image = mem_new(sizeof *image);
    arena_reset(&image->arena);
    image->count = t->columns_count;
    image->cells = arena_zero(&image->arena, (t->columns_count + 1) * sizeof *image->cells);
    json = arena_dup(&image->arena, json); /* values point into it */
    if (!image->cells || !json.p || jsonscan_check(json, JSONSCAN_DEPTH_MAX, NULL) != 0)
        return fault_set(fault, "XX001", "a row of the change log cannot be read");
    it = jsonscan_iter(json);
    while ((got = jsonscan_next(&it, &image->arena, &m)) > 0) {
        struct column *c = schema_column(t, m.key);
        if (c && !cell_of(c, &m.value, &image->arena, &image->cells[c - t->columns]))
            return fault_set(fault, "XX001", "a row of the change log cannot be read");
    }
    return got == 0 ? true : fault_set(fault, "XX001", "a row of the change log cannot be read");
}

const struct cell *rowimage_cell(const struct sqlite *h, size_t column)
{
    return h->image && column < h->image->count ? &h->image->cells[column] : NULL;
}
