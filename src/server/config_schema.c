/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of config.def as data, and how a name is found among them or guessed. */
#include "server/config_priv.h"
#include "base/check.h"

#define RELOAD true
#define FIXED false
#define ROW(record, field, name, type, min, max, def, unit, reload, text)                          \
    {name, CONFIG_##type, min, max, def, unit, reload, text, offsetof(struct record, field)},
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct config_row root_rows[] = {
#define CFG(...) ROW(config, __VA_ARGS__)
#include "server/config.def"
};
static const struct config_row channel_rows[] = {
#define CFG_CHANNEL(...) ROW(config_channel, __VA_ARGS__)
#include "server/config.def"
};
static const struct config_row key_rows[] = {
#define CFG_KEY(...) ROW(config_key, __VA_ARGS__)
#include "server/config.def"
};
static const struct config_row api_key_rows[] = {
#define CFG_API_KEY(...) ROW(config_api_key, __VA_ARGS__)
#include "server/config.def"
};
static const struct config_row event_rows[] = {
#define CFG_EVENT(...) ROW(config_event, __VA_ARGS__)
#include "server/config.def"
};
static const struct config_row namespace_rows[] = {
#define CFG_NAMESPACE(...) ROW(config_namespace, __VA_ARGS__)
#include "server/config.def"
};

#define RECORD(rows, record)                                                                       \
    {                                                                                              \
        rows, COUNT(rows), sizeof(struct record)                                                   \
    }
const struct config_rows config_root = RECORD(root_rows, config);
static const struct config_rows config_channel = RECORD(channel_rows, config_channel);
static const struct config_rows config_key = RECORD(key_rows, config_key);
static const struct config_rows config_api_key = RECORD(api_key_rows, config_api_key);
static const struct config_rows config_event = RECORD(event_rows, config_event);
static const struct config_rows config_namespace = RECORD(namespace_rows, config_namespace);

const struct config_table config_tables[] = {
#define CFG_TABLE(field, name, record, max, reload, text)                                          \
    {name,                                                                                         \
     max,                                                                                          \
     reload,                                                                                       \
     text,                                                                                         \
     &record,                                                                                      \
     offsetof(struct config, field),                                                               \
     offsetof(struct config, field##_count)},
#include "server/config.def"
};
const size_t config_tables_count = COUNT(config_tables);

ptrdiff_t config_row_find(const struct config_rows *rows, struct str name)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (str_is(name, rows->rows[i].name))
            return (ptrdiff_t)i;
    }
    return -1;
}

ptrdiff_t config_table_find(struct str name)
{
    for (size_t i = 0; i < config_tables_count; i++) {
        if (str_is(name, config_tables[i].name))
            return (ptrdiff_t)i;
    }
    return -1;
}

const char *config_unit(const char *name, const char *member)
{
    const struct config_rows *rows = &config_root;
    ptrdiff_t at;
    if (member) {
        at = config_table_find(str_from(name));
        CHECK(at >= 0);
        rows = config_tables[at].record;
        name = member;
    }
    at = config_row_find(rows, str_from(name));
    CHECK(at >= 0);
    return rows->rows[at].unit;
}

static bool is_below(const char *row, struct str section)
{
    struct str name = str_from(row);
    return name.n > section.n && str_starts(name, section) && row[section.n] == '.';
}

bool config_is_section(const struct config_rows *rows, struct str name)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (is_below(rows->rows[i].name, name))
            return true;
    }
    for (size_t i = 0; rows == &config_root && i < config_tables_count; i++) {
        if (is_below(config_tables[i].name, name))
            return true;
    }
    return false;
}

#define LONGEST 64

/* Edits between two names: insert, delete, replace, swap of neighbours. */
static unsigned distance(struct str a, struct str b)
{
    unsigned row[3][LONGEST + 1];
    if (a.n > LONGEST || b.n > LONGEST)
        return LONGEST;
    for (unsigned j = 0; j <= b.n; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned best = before[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                earlier[j - 2] + 1 < best)
                best = earlier[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[a.n % 3][b.n];
}

static struct str last_part(struct str name)
{
    for (size_t i = name.n; i > 0; i--) {
        if (name.p[i - 1] == '.')
            return str_skip(name, i);
    }
    return name;
}

struct guess {
    struct str wanted;
    const char *best;
    unsigned edits;
};

static void guess_consider(struct guess *g, const char *name)
{
    struct str candidate = str_from(name);
    unsigned edits = distance(g->wanted, candidate);
    /* The right word in the wrong section is as near as a slip of two letters. */
    if (edits > 2 && str_eq(last_part(g->wanted), last_part(candidate)))
        edits = 2;
    if (edits < g->edits) {
        g->edits = edits;
        g->best = name;
    }
}

const char *config_suggest(const struct config_rows *rows, struct str name)
{
    struct guess g = {name, NULL, (unsigned)(name.n < 6 ? 3 : 3 + name.n / 8)};
    for (size_t i = 0; i < rows->count; i++)
        guess_consider(&g, rows->rows[i].name);
    for (size_t i = 0; rows == &config_root && i < config_tables_count; i++)
        guess_consider(&g, config_tables[i].name);
    return g.best;
}

bool config_suggest_env(struct str variable, char out[CONFIG_NAME_MAX])
{
    char name[CONFIG_NAME_MAX];
    struct guess g = {variable, NULL, (unsigned)(3 + variable.n / 12)};
    for (size_t i = 0; i < config_root.count; i++) {
        config_env_name(config_root.rows[i].name, name);
        unsigned edits = distance(variable, str_from(name));
        if (edits < g.edits) {
            g.edits = edits;
            memcpy(out, name, sizeof(name));
            g.best = out;
        }
    }
    return g.best != NULL;
}

void config_env_name(const char *name, char out[CONFIG_NAME_MAX])
{
    size_t n = 0;
    for (const char *p = "TIDEWIRE_"; *p; p++)
        out[n++] = *p;
    for (; *name && n < CONFIG_NAME_MAX - 1; name++) {
        char c = *name;
        out[n++] = c == '.' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    out[n] = 0;
}

const char *config_type_name(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_INT:
        return "number";
    case CONFIG_DURATION:
        return "duration";
    case CONFIG_SIZE:
        return "size";
    case CONFIG_STRING:
        return "text";
    case CONFIG_SECRET:
        return "secret";
    case CONFIG_ADDRESS:
        return "address";
    case CONFIG_ADDRESSES:
        return "addresses";
    case CONFIG_LIST:
        return "list";
    case CONFIG_ENUM:
        return "word";
    }
    return "";
}
