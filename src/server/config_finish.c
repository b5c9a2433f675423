/* SPDX-License-Identifier: Apache-2.0 */
/* From the draft to the typed, complete configuration: each row's value or default, then what
 * only several settings together can get wrong. */
#include "server/config_priv.h"
#include "base/mem.h"
#include <stdio.h>

/* ---- counting -------------------------------------------------------------------------- */

struct config *config_ref(struct config *c)
{
    ref_take(&c->refs);
    return c;
}

void config_unref(struct config **c)
{
    if (*c && ref_drop(&(*c)->refs)) {
        arena_free(&(*c)->arena);
        mem_free(*c);
    }
    *c = NULL;
}

/* ---- rows ------------------------------------------------------------------------------ */

static size_t type_size(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return sizeof(int64_t);
    case CONFIG_STRING:
    case CONFIG_ADDRESS:
        return sizeof(struct str);
    case CONFIG_SECRET:
        return sizeof(struct secret);
    case CONFIG_ADDRESSES:
    case CONFIG_LIST:
        return sizeof(struct str_list);
    case CONFIG_ENUM:
        return sizeof(int);
    }
    return 0;
}

struct filling {
    struct config_draft *draft;
    struct config *config;
    const struct config_rows *rows;
    const struct config_slot *slots;
    char *base;                /* of the struct that is filled */
    const char *name;          /* "channels.rules[3]." or "" */
    struct config_place place; /* of the record, for what is missing */
};

static void full_name(const struct filling *f, const struct config_row *row, char *out, size_t n)
{
    snprintf(out, n, "%s%s", f->name, row->name);
}

/* The row's default; NULL when it is as another setting. */
static const char *standard_of(const struct filling *f, const struct config_row *row)
{
    static const char *const plans[][4] = {
#define PLAN(name, free, pro, team) {name, free, pro, team},
#include "server/config.def"
    };
    size_t plan = (size_t)f->config->realtime_plan; /* its row stands before those it is for */
    for (size_t i = 0; plan && f->rows == &config_root && i < sizeof(plans) / sizeof(plans[0]); i++)
        if (strcmp(row->name, plans[i][0]) == 0)
            return plans[i][plan];
    return row->def[0] == '@' ? NULL : row->def;
}

static void fill_said_or_default(const struct filling *f, size_t i)
{
    const struct config_row *row = &f->rows->rows[i];
    const struct config_slot *slot = &f->slots[i];
    const char *text = standard_of(f, row);
    struct config_node standard = {.text = str_from(text ? text : "")};
    char name[128];
    full_name(f, row, name, sizeof(name));
    if (!slot->node && row->type == CONFIG_STRING && row->min > 0 && row->def[0] == 0) {
        config_problem(f->draft, f->place, "%s is missing", name);
        return;
    }
    config_value_read(f->draft, row, name, slot->node ? slot->node : &standard, slot->place,
                      &f->config->arena, f->base + row->offset);
}

/* A default "@name": the value of that member of the same record, else of that setting. */
static void fill_from_other(const struct filling *f, size_t i)
{
    const struct config_row *row = &f->rows->rows[i];
    struct str other = str_from(row->def + 1);
    ptrdiff_t at = config_row_find(f->rows, other);
    if (at >= 0 && at != (ptrdiff_t)i) {
        memcpy(f->base + row->offset, f->base + f->rows->rows[at].offset, type_size(row->type));
        return;
    }
    at = config_row_find(&config_root, other);
    memcpy(f->base + row->offset, (char *)f->config + config_root.rows[at].offset,
           type_size(row->type));
}

static void fill_rows(const struct filling *f)
{
    for (size_t i = 0; i < f->rows->count; i++) {
        if (f->slots[i].node || standard_of(f, &f->rows->rows[i]))
            fill_said_or_default(f, i);
    }
    for (size_t i = 0; i < f->rows->count; i++) {
        if (!f->slots[i].node && !standard_of(f, &f->rows->rows[i]))
            fill_from_other(f, i);
    }
}

static void fill_record(struct config_draft *d, struct config *c, const struct config_table *table,
                        size_t index, struct config_node *item, const char *label, char *record)
{
    struct config_slot *slots = mem_new(table->record->count * sizeof(*slots));
    struct config_place place = {label, item->key_line ? item->key_line : item->line,
                                 item->key_line ? item->key_col : item->col};
    char name[64];
    snprintf(name, sizeof(name), "%s[%zu].", table->name, index);
    struct filling f = {d, c, table->record, slots, record, name, place};
    if (config_record_take(d, table->record, slots, item, place))
        fill_rows(&f);
    else
        config_problem(d, place, "%s: an entry is a mapping, not a list", table->name);
    mem_free(slots);
}

static void fill_table(struct config_draft *d, struct config *c, size_t at)
{
    const struct config_table *table = &config_tables[at];
    const struct config_slot *slot = &d->table_slots[at];
    struct config_node *node = slot->node;
    if (!node || (node->kind == CONFIG_NODE_SCALAR && node->text.n == 0))
        return;
    if (node->kind == CONFIG_NODE_SCALAR) {
        config_problem(d, slot->place, "%s: takes a list or a mapping, not \"%.*s\"", table->name,
                       STR_ARG(str_head(node->text, 80)));
        return;
    }
    if (node->count > table->max) {
        config_problem(d, slot->place, "%s: %zu entries; the most is %zu", table->name, node->count,
                       table->max);
        return;
    }
    char *records = node->count ? arena_zero(&c->arena, node->count * table->record->size) : NULL;
    size_t count = 0;
    for (struct config_node *item = node->first; records && item; item = item->next) {
        fill_record(d, c, table, count, item, slot->place.label,
                    records + count * table->record->size);
        count++;
    }
    memcpy((char *)c + table->offset, &records, sizeof(records));
    memcpy((char *)c + table->count_offset, &count, sizeof(count));
}

/* ---- what only several settings together can get wrong ---------------------------------- */

static struct config_place place_of(const struct config_draft *d, const char *name)
{
    ptrdiff_t at = config_row_find(&config_root, str_from(name));
    if (at >= 0)
        return d->slots[at].place;
    return d->table_slots[config_table_find(str_from(name))].place;
}

static void check_keys(struct config_draft *d, const struct config *c)
{
    struct config_place place = place_of(d, "auth.keys");
    for (size_t i = 0; i < c->auth_keys_count; i++) {
        const struct config_key *k = &c->auth_keys[i];
        int sources = (k->secret.hidden.n > 0) + (k->pem_file.n > 0) + (k->jwks_file.n > 0);
        struct str alg = config_word(config_unit("auth.keys", "alg"), k->alg);
        if (sources != 1)
            config_problem(d, place,
                           "auth.keys[%zu]: give exactly one of secret (or secret_file), pem_file "
                           "and jwks_file",
                           i);
        else if (k->secret.hidden.n && k->alg != 0 && !str_starts(alg, STR("HS")))
            config_problem(d, place, "auth.keys[%zu]: %.*s needs a pem_file, not a secret", i,
                           STR_ARG(alg));
        else if (k->pem_file.n && str_starts(alg, STR("HS")))
            config_problem(d, place, "auth.keys[%zu]: %.*s needs a secret, not a pem_file", i,
                           STR_ARG(alg));
    }
    for (size_t i = 0; i < c->auth_api_keys_count; i++) {
        if (c->auth_api_keys[i].key.hidden.n == 0)
            config_problem(d, place_of(d, "auth.api_keys"), "auth.api_keys[%zu].key is missing", i);
    }
}

static void check_socketio(struct config_draft *d, const struct config *c)
{
    for (size_t i = 0; i < c->socketio_transports.count; i++) {
        struct str word = c->socketio_transports.items[i];
        if (!str_is(word, "polling") && !str_is(word, "websocket"))
            config_problem(d, place_of(d, "socketio.transports"),
                           "socketio.transports: \"%.*s\" is neither polling nor websocket",
                           STR_ARG(word));
    }
    if (c->socketio_path.n && c->socketio_path.p[0] != '/')
        config_problem(d, place_of(d, "socketio.path"), "socketio.path: must begin with /");
    for (size_t i = 0; i < c->socketio_namespaces_count; i++) {
        struct str match = c->socketio_namespaces[i].match;
        if (match.n && match.p[0] != '/')
            config_problem(d, place_of(d, "socketio.namespaces"),
                           "socketio.namespaces[%zu]: must begin with /", i);
    }
}

static bool is_loopback(struct str address)
{
    return str_starts(address, STR("127.")) || str_starts(address, STR("localhost:")) ||
           str_starts(address, STR("[::1]:")) || str_starts(address, STR("unix:"));
}

static void check_loopback(struct config_draft *d, const char *name, struct str address)
{
    if (!is_loopback(address))
        config_problem(d, place_of(d, name),
                       "%s: \"%.*s\" is not a loopback address; `tidewire dev` lets everybody in, "
                       "so it stays on this machine (`tidewire serve` may listen anywhere)",
                       name, STR_ARG(address));
}

static void refuse_dev_secret(struct config_draft *d, const char *name, struct secret secret)
{
    if (str_starts(secret.hidden, STR(CONFIG_DEV_SECRET)))
        config_problem(d, place_of(d, name),
                       "%s: this secret was made by `tidewire dev` and may be known; make one "
                       "with `tidewire init`",
                       name);
}

/* What development may is refused elsewhere, and the other way round. */
static void check_stage(struct config_draft *d, const struct config *c)
{
    for (size_t i = 0; d->develop && i < c->http_listen.count; i++)
        check_loopback(d, "http.listen", c->http_listen.items[i]);
    if (d->develop && c->metrics_listen.n)
        check_loopback(d, "metrics.listen", c->metrics_listen);
    if (d->develop)
        return;
    if (c->conformance)
        config_problem(d, place_of(d, "conformance"),
                       "conformance: /echo is for `tidewire dev` alone");
    refuse_dev_secret(d, "auth.jwt_secret", c->auth_jwt_secret);
    for (size_t i = 0; i < c->auth_keys_count; i++)
        refuse_dev_secret(d, "auth.keys", c->auth_keys[i].secret);
}

static void check_together(struct config_draft *d, const struct config *c)
{
    if ((c->tls_cert_file.n > 0) != (c->tls_key_file.n > 0))
        config_problem(d, place_of(d, c->tls_cert_file.n ? "tls.cert_file" : "tls.key_file"),
                       "tls.cert_file and tls.key_file belong together; one of them is empty");
    if (c->ws_message_bytes_max < c->limits_payload_bytes)
        config_problem(d, place_of(d, "ws.message_bytes_max"),
                       "ws.message_bytes_max: is smaller than limits.payload_bytes, so the largest "
                       "payload could not arrive");
    if (c->history_bytes > c->history_process_bytes)
        config_problem(d, place_of(d, "history.bytes"),
                       "history.bytes: is more than history.process_bytes");
    for (size_t i = 0; c->database_file.n == 0 && i < c->channel_rules_count; i++) {
        if (c->channel_rules[i].durable)
            config_draft_fault(d, "channels.rules", i, "durable",
                               "needs a database; name its file: database.file");
    }
    check_keys(d, c);
    check_socketio(d, c);
    check_stage(d, c);
}

struct config *config_draft_finish(struct config_draft *d)
{
    config_forget_finish(d);
    d->reading_problems = d->problems_count;
    d->finished = true;
    struct config *c = mem_new(sizeof(*c));
    ref_init(&c->refs);
    struct filling root = {d, c, &config_root, d->slots, (char *)c, "", {0}};
    fill_rows(&root);
    for (size_t i = 0; i < config_tables_count; i++)
        fill_table(d, c, i);
    if (d->problems_count == 0)
        check_together(d, c);
    if (d->problems_count > 0)
        config_unref(&c);
    return c;
}

void config_draft_complain(struct config_draft *d, const char *name, const char *text)
{
    config_problem(d, place_of(d, name), "%s: %s", name, text);
}

/* The node of a dotted name below a mapping, or NULL. */
static const struct config_node *find_below(const struct config_node *map, struct str name)
{
    for (const struct config_node *n = map ? map->first : NULL; n; n = n->next) {
        if (str_eq(n->key, name))
            return n;
        if (str_starts(name, n->key) && name.n > n->key.n && name.p[n->key.n] == '.')
            return find_below(n, str_skip(name, n->key.n + 1));
    }
    return NULL;
}

void config_draft_fault(struct config_draft *d, const char *table, size_t index, const char *member,
                        const char *text)
{
    ptrdiff_t at = config_table_find(str_from(table));
    struct config_place place = d->table_slots[at].place;
    const struct config_node *list = d->table_slots[at].node;
    const struct config_node *item = list ? list->first : NULL;
    for (size_t i = 0; item && i < index; i++)
        item = item->next;
    const struct config_node *node = find_below(item, str_from(member));
    if (!node)
        node = item;
    if (node && node->line) {
        place.line = node->line;
        place.col = node->col;
    }
    config_problem(d, place, "%s[%zu]%s%s: %s", table, index, *member ? "." : "", member, text);
}

/* ---- reload ---------------------------------------------------------------------------- */

static void add_name(struct buf *out, const char *name)
{
    if (out->n)
        buf_add_z(out, ", ");
    buf_add_z(out, name);
}

static bool row_differs(const struct config_row *row, const char *a, const char *b)
{
    if (row->type == CONFIG_SECRET)
        return !str_eq(((const struct secret *)(const void *)(a + row->offset))->hidden,
                       ((const struct secret *)(const void *)(b + row->offset))->hidden);
    struct buf left = {0}, right = {0};
    config_value_write(&left, row, a + row->offset);
    config_value_write(&right, row, b + row->offset);
    bool differs = !str_eq(buf_str(&left), buf_str(&right));
    buf_free(&left);
    buf_free(&right);
    return differs;
}

static bool has_fixed_rows(const struct config_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (!rows->rows[i].reload)
            return true;
    }
    return false;
}

static bool table_differs(const struct config_table *t, const struct config *a,
                          const struct config *b)
{
    const char *left = *(char *const *)(const void *)((const char *)a + t->offset);
    const char *right = *(char *const *)(const void *)((const char *)b + t->offset);
    size_t left_count = *(const size_t *)(const void *)((const char *)a + t->count_offset);
    size_t right_count = *(const size_t *)(const void *)((const char *)b + t->count_offset);
    if (!has_fixed_rows(t->record))
        return false;
    if (left_count != right_count)
        return true;
    for (size_t i = 0; i < left_count * t->record->count; i++) {
        const struct config_row *row = &t->record->rows[i % t->record->count];
        size_t at = i / t->record->count * t->record->size;
        /* a FIXED member belongs to its first, the pattern */
        if ((!row->reload || row == t->record->rows) && row_differs(row, left + at, right + at))
            return true;
    }
    return false;
}

void config_fixed_differences(const struct config *a, const struct config *b, struct buf *out)
{
    for (size_t i = 0; i < config_root.count; i++) {
        const struct config_row *row = &config_root.rows[i];
        if (!row->reload && row_differs(row, (const char *)a, (const char *)b))
            add_name(out, row->name);
    }
    for (size_t i = 0; i < config_tables_count; i++) {
        if (table_differs(&config_tables[i], a, b))
            add_name(out, config_tables[i].name);
    }
}
