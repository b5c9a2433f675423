/* SPDX-License-Identifier: Apache-2.0 */
/* The draft: who said what, and the file, environment and flags that say it. Each setting has
 * one slot; a lower voice never replaces a higher one. Types are read only at the end
 * (config_finish.c), so the order in which sources are given does not matter. */
#include "server/config_priv.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdio.h>

#define FILE_BYTES_MAX (1 << 20)

struct config_draft *config_draft_new(void)
{
    struct config_draft *d = mem_new(sizeof(*d));
    d->slots = mem_new(config_root.count * sizeof(*d->slots));
    d->table_slots = mem_new(config_tables_count * sizeof(*d->table_slots));
    return d;
}

void config_draft_free(struct config_draft **draft)
{
    struct config_draft *d = *draft;
    if (!d)
        return;
    arena_free(&d->arena);
    buf_free(&d->text);
    buf_free(&d->warnings);
    mem_free(d->slots);
    mem_free(d->table_slots);
    mem_free(d->file);
    mem_free(d);
    *draft = NULL;
}

/* ---- problems ------------------------------------------------------------------------- */

/* What was read may be anything; a terminal must not obey it. */
static void add_printable(struct buf *out, struct str text)
{
    bool utf8 = utf8_valid(text);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        buf_add_c(out, c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : (char)c);
    }
}

static void add_line(struct buf *out, struct config_place place, const char *format, va_list args)
{
    char text[1024];
    int n = vsnprintf(text, sizeof(text), format, args);
    if (place.label) {
        add_printable(out, str_from(place.label));
        if (place.line)
            buf_printf(out, ":%d:%d", place.line, place.col);
        buf_add_z(out, ": ");
    }
    add_printable(out, str_of(text, n < 0                      ? 0
                                    : (size_t)n < sizeof(text) ? (size_t)n
                                                               : sizeof(text) - 1));
}

void config_problem(struct config_draft *d, struct config_place place, const char *format, ...)
{
    if (d->problems_count == CONFIG_PROBLEMS_MAX)
        return;
    struct buf line = {0};
    va_list args;
    va_start(args, format);
    add_line(&line, place, format, args);
    va_end(args);
    d->problems[d->problems_count++] =
        (struct config_problem){arena_dup(&d->arena, buf_str(&line)), place.line, place.col};
    buf_free(&line);
}

__attribute__((format(printf, 3, 4))) static void
warn(struct config_draft *d, struct config_place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(&d->warnings, place, format, args);
    va_end(args);
    buf_add_c(&d->warnings, '\n');
}

static bool stands_before(const struct config_problem *a, const struct config_problem *b)
{
    if (!a->line || !b->line)
        return a->line && !b->line;
    return a->line != b->line ? a->line < b->line : a->col < b->col;
}

struct str config_draft_problems(struct config_draft *d)
{
    struct config_problem sorted[CONFIG_PROBLEMS_MAX];
    for (size_t i = 0; i < d->problems_count; i++) {
        size_t at = i;
        for (; at > 0 && stands_before(&d->problems[i], &sorted[at - 1]); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = d->problems[i];
    }
    buf_clear(&d->text);
    for (size_t i = 0; i < d->problems_count; i++) {
        buf_add_str(&d->text, sorted[i].text);
        buf_add_c(&d->text, '\n');
    }
    if (d->problems_count == CONFIG_PROBLEMS_MAX)
        buf_add_z(&d->text, "… and perhaps more\n");
    return buf_str(&d->text);
}

struct str config_draft_warnings(struct config_draft *d)
{
    return buf_str(&d->warnings);
}

const char *config_draft_file(const struct config_draft *d)
{
    return d->file ? d->file : "";
}

/* ---- slots ---------------------------------------------------------------------------- */

static void fill_slot(struct config_draft *d, struct config_slot *slot, struct config_node *node,
                      enum config_origin origin, struct config_place place, struct str name)
{
    if (node->is_null || origin < slot->origin)
        return;
    if (slot->node && slot->origin == origin && origin == CONFIG_FROM_FILE) {
        config_problem(d, place, "\"%.*s\" stands twice (first in line %d); keep one of them",
                       STR_ARG(name), slot->place.line);
        return;
    }
    *slot = (struct config_slot){node, origin, place};
}

static struct config_node *text_node(struct config_draft *d, struct str text)
{
    struct config_node *node = arena_zero(&d->arena, sizeof(*node));
    if (!node)
        return NULL;
    node->kind = CONFIG_NODE_SCALAR;
    node->text = arena_dup(&d->arena, text);
    return node;
}

/* The whole of a file; errno tells of a failure. Caller frees out. */
static bool read_file(const char *path, size_t max, struct buf *out)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0 && out->n <= max)
        buf_add(out, piece, n);
    bool good = !ferror(f);
    int kept = errno;
    fclose(f);
    errno = good ? EFBIG : kept;
    return good && out->n <= max && !out->failed;
}

/* The content of the file that `path` names, as the value of a secret. */
static struct config_node *secret_from_file(struct config_draft *d, struct str path,
                                            struct config_place place, const char *name)
{
    char *z = str_dup(path);
    struct buf content = {0};
    struct config_node *node = NULL;
    if (read_file(z, 65536, &content)) {
        if (content.n && content.p[content.n - 1] == '\n')
            content.n--;
        node = text_node(d, buf_str(&content));
    } else {
        config_problem(d, place, "%s: cannot read the file \"%s\": %s", name, z, strerror(errno));
    }
    buf_free(&content);
    mem_free(z);
    return node;
}

/* Index of the SECRET row whose name and "_file" make this name, or -1. */
static ptrdiff_t secret_file_find(const struct config_rows *rows, struct str name)
{
    if (!str_ends(name, STR("_file")))
        return -1;
    ptrdiff_t at = config_row_find(rows, str_head(name, name.n - 5));
    return at >= 0 && rows->rows[at].type == CONFIG_SECRET ? at : -1;
}

/* Where a mapping's keys go: the root, or one record. */
struct target {
    const struct config_rows *rows;
    struct config_slot *slots;
    enum config_origin origin;
    const char *label;
};

static void unknown_key(struct config_draft *d, const struct target *t, struct str full,
                        struct config_place place)
{
    const char *near = config_suggest(t->rows, full);
    config_problem(d, place, "unknown key \"%.*s\"%s%s%s", STR_ARG(str_head(full, 128)),
                   near ? " — did you mean \"" : "; `tidewire config defaults` lists all",
                   near ? near : "", near ? "\"?" : "");
}

static void take_map(struct config_draft *d, const struct target *t, struct str prefix,
                     const struct config_node *map);

static void take_child(struct config_draft *d, const struct target *t, struct str full,
                       struct config_node *child)
{
    struct config_place key = {t->label, child->key_line, child->key_col};
    struct config_place value = {t->label, child->line, child->col};
    ptrdiff_t at = config_row_find(t->rows, full);
    if (at >= 0) {
        fill_slot(d, &t->slots[at], child, t->origin, value, full);
        return;
    }
    if (t->rows == &config_root && (at = config_table_find(full)) >= 0) {
        fill_slot(d, &d->table_slots[at], child, t->origin, value, full);
        return;
    }
    if ((at = secret_file_find(t->rows, full)) >= 0 && child->kind == CONFIG_NODE_SCALAR) {
        struct config_node *node =
            child->is_null ? NULL : secret_from_file(d, child->text, value, t->rows->rows[at].name);
        if (node)
            fill_slot(d, &t->slots[at], node, t->origin, value, full);
        return;
    }
    if (!config_is_section(t->rows, full))
        unknown_key(d, t, full, key);
    else if (child->kind == CONFIG_NODE_MAP)
        take_map(d, t, full, child);
    else if (!child->is_null)
        config_problem(d, value, "%.*s: is a section; write its settings below it, indented",
                       STR_ARG(full));
}

static void take_map(struct config_draft *d, const struct target *t, struct str prefix,
                     const struct config_node *map)
{
    for (struct config_node *child = map->first; child; child = child->next) {
        if (!prefix.n) {
            take_child(d, t, child->key, child);
            continue;
        }
        struct buf full = {0};
        buf_add_str(&full, prefix);
        buf_add_c(&full, '.');
        buf_add_str(&full, child->key);
        take_child(d, t, buf_str(&full), child);
        buf_free(&full);
    }
}

bool config_record_take(struct config_draft *d, const struct config_rows *rows,
                        struct config_slot *slots, struct config_node *item,
                        struct config_place place)
{
    struct target t = {rows, slots, CONFIG_FROM_FILE, place.label};
    struct config_place here = {place.label, item->line, item->col};
    if (item->key_line || item->key.p) { /* the mapping form: the key is the first member */
        struct config_node *first = text_node(d, item->key);
        struct config_place at = {place.label, item->key_line, item->key_col};
        if (first)
            fill_slot(d, &slots[0], first, CONFIG_FROM_FILE, at, STR_NONE);
        if (item->kind == CONFIG_NODE_SCALAR)
            fill_slot(d, &slots[1], item, CONFIG_FROM_FILE, here, STR_NONE);
    } else if (item->kind == CONFIG_NODE_SCALAR) {
        fill_slot(d, &slots[0], item, CONFIG_FROM_FILE, here, STR_NONE);
    }
    if (item->kind == CONFIG_NODE_MAP)
        take_map(d, &t, STR_NONE, item);
    return item->kind != CONFIG_NODE_LIST;
}

/* ---- sources -------------------------------------------------------------------------- */

void config_forget_finish(struct config_draft *d)
{
    if (d->finished)
        d->problems_count = d->reading_problems;
    d->finished = false;
}

static int problems_or_none(const struct config_draft *d, size_t before)
{
    return d->problems_count > before ? -1 : 0;
}

int config_draft_load_text(struct config_draft *d, const char *label, struct str text,
                           char *const *env)
{
    config_forget_finish(d);
    size_t before = d->problems_count;
    /* Places are read as long as the draft lives. */
    const char *kept = arena_dup(&d->arena, str_from(label)).p;
    struct config_node *root = config_yaml_parse(d, kept ? kept : "", text, true, env);
    struct target t = {&config_root, d->slots, CONFIG_FROM_FILE, kept};
    if (root && root->kind == CONFIG_NODE_MAP)
        take_map(d, &t, STR_NONE, root);
    else if (root && !root->is_null)
        config_problem(d, (struct config_place){kept, root->line, root->col},
                       "a mapping of settings must stand here, for example `loops: 2`");
    return problems_or_none(d, before);
}

int config_draft_load(struct config_draft *d, const char *path, char *const *env)
{
    static const char *const places[] = {"tidewire.yaml", "/etc/tidewire/tidewire.yaml"};
    struct str named = config_env_get(env, STR("TIDEWIRE_CONFIG"));
    bool wanted = path || named.n;
    config_forget_finish(d);
    if (!path && named.n)
        path = named.p;
    struct buf text = {0};
    for (size_t i = 0; i < (wanted ? 1 : sizeof(places) / sizeof(places[0])); i++) {
        const char *tried = wanted ? path : places[i];
        buf_clear(&text);
        if (read_file(tried, FILE_BYTES_MAX, &text)) {
            mem_free(d->file);
            d->file = str_dup(str_from(tried));
            int result = config_draft_load_text(d, tried, buf_str(&text), env);
            buf_free(&text);
            return result;
        }
        if (wanted || (errno != ENOENT && errno != ENOTDIR)) {
            buf_free(&text);
            const char *label = arena_dup(&d->arena, str_from(tried)).p;
            config_problem(d, (struct config_place){label, 0, 0}, "cannot read it: %s",
                           strerror(errno));
            return -1;
        }
    }
    buf_free(&text);
    return 0;
}

/* Finds the setting of a name; *file = it is a secret's `_file`. */
static struct config_slot *slot_of(struct config_draft *d, struct str name, bool *file,
                                   ptrdiff_t *table)
{
    ptrdiff_t at = config_row_find(&config_root, name);
    *file = false;
    *table = -1;
    if (at < 0 && (at = secret_file_find(&config_root, name)) >= 0)
        *file = true;
    if (at >= 0)
        return &d->slots[at];
    *table = config_table_find(name);
    return *table >= 0 ? &d->table_slots[*table] : NULL;
}

static int set_at(struct config_draft *d, enum config_origin origin, struct str name,
                  struct str value, struct config_place place)
{
    config_forget_finish(d);
    size_t before = d->problems_count;
    bool file;
    ptrdiff_t table;
    struct config_slot *slot = slot_of(d, name, &file, &table);
    struct config_node *node;
    if (!slot) {
        struct target t = {&config_root, d->slots, origin, place.label};
        unknown_key(d, &t, name, place);
        return -1;
    }
    if (file)
        node = secret_from_file(d, value, place, place.label);
    else if (table >= 0)
        node = config_yaml_parse(d, place.label, value, false, NULL);
    else
        node = text_node(d, value);
    if (node)
        fill_slot(d, slot, node, origin, place, name);
    return problems_or_none(d, before);
}

int config_draft_set(struct config_draft *d, enum config_origin origin, const char *name,
                     struct str value)
{
    struct buf label = {0};
    if (origin == CONFIG_FROM_FLAG)
        buf_add_z(&label, "--");
    buf_add_z(&label, name);
    struct config_place place = {arena_dup(&d->arena, buf_str(&label)).p, 0, 0};
    buf_free(&label);
    return set_at(d, origin, str_from(name), value, place);
}

struct str config_draft_said(struct config_draft *d, const char *name)
{
    ptrdiff_t at = config_row_find(&config_root, str_from(name));
    CHECK(at >= 0);
    return d->slots[at].node ? d->slots[at].node->text : str_from(config_root.rows[at].def);
}

bool config_draft_has(struct config_draft *d, const char *name)
{
    bool file;
    ptrdiff_t table;
    struct config_slot *slot = slot_of(d, str_from(name), &file, &table);
    return slot && slot->node;
}

void config_draft_develop(struct config_draft *d)
{
    d->develop = true;
}

bool config_draft_knows(const char *name)
{
    struct str s = str_from(name);
    return config_row_find(&config_root, s) >= 0 || config_table_find(s) >= 0 ||
           secret_file_find(&config_root, s) >= 0;
}

bool config_draft_is_bool(const char *name)
{
    ptrdiff_t at = config_row_find(&config_root, str_from(name));
    return at >= 0 && config_root.rows[at].type == CONFIG_BOOL;
}

/* Variables with our prefix that are no settings: read elsewhere, or set by an orchestrator
 * for a service that happens to be called tidewire. */
static bool is_other_variable(struct str name)
{
    static const char *const exact[] = {"CONFIG",      "URL",        "TOKEN", "ANON_KEY",
                                        "SERVICE_KEY", "JWT_SECRET", "FLUSH", "PORT"};
    struct str rest = str_skip(name, 9);
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        if (str_is(rest, exact[i]))
            return true;
    }
    return str_starts(rest, STR("PORT_")) || str_starts(rest, STR("SERVICE_"));
}

static const char *name_of_variable(struct str variable, bool *file)
{
    char env_name[CONFIG_NAME_MAX];
    *file = false;
    for (size_t i = 0; i < config_root.count; i++) {
        const struct config_row *row = &config_root.rows[i];
        config_env_name(row->name, env_name);
        if (str_is(variable, env_name))
            return row->name;
        if (row->type == CONFIG_SECRET && str_ends(variable, STR("_FILE")) &&
            str_is(str_head(variable, variable.n - 5), env_name)) {
            *file = true;
            return row->name;
        }
    }
    for (size_t i = 0; i < config_tables_count; i++) {
        config_env_name(config_tables[i].name, env_name);
        if (str_is(variable, env_name))
            return config_tables[i].name;
    }
    return NULL;
}

int config_draft_env(struct config_draft *d, char *const *env)
{
    int result = 0;
    for (; env && *env; env++) {
        struct str value = str_from(*env), variable = str_cut(&value, '=');
        if (!str_starts(variable, STR("TIDEWIRE_")) || !value.p || is_other_variable(variable))
            continue;
        struct config_place place = {arena_dup(&d->arena, variable).p, 0, 0};
        bool file;
        const char *name = name_of_variable(variable, &file);
        char near[CONFIG_NAME_MAX];
        if (!name) {
            bool found = config_suggest_env(variable, near);
            warn(d, place, "is no setting%s%s%s", found ? " — did you mean " : "; ignored",
                 found ? near : "", found ? "? Ignored" : "");
            continue;
        }
        char full[CONFIG_NAME_MAX];
        snprintf(full, sizeof(full), "%s%s", name, file ? "_file" : "");
        if (set_at(d, CONFIG_FROM_ENV, str_from(full), value, place) < 0)
            result = -1;
    }
    return result;
}
