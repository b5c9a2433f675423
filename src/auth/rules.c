/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of globs and grants, compiled per operation: for each, a pattern list of only those rows
 * that say something about it, so "the first row that fits and speaks" is one pattern_find. */
#include "auth/expr.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/pattern.h"
#include <stdio.h>

#define ROWS_MAX 10000
#define GRANT_BYTES_MAX 2048
#define PATTERN_BYTES_MAX 255 /* no channel's name is longer */
#define ROLES_MAX 32

struct grant {
    size_t row;
    char *pattern, *text; /* for explaining */
    bool everyone, nobody, authenticated, policy;
    struct str roles[ROLES_MAX]; /* cut from text */
    size_t roles_count;
    struct expr *expr; /* NULL: no condition */
};
/* grants[i] belongs to the i-th pattern of the list; borrowed from rules.all. */
struct op_rules {
    struct pattern_list patterns;
    struct grant **grants;
    size_t capacity;
};
struct rules {
    struct ref ref;
    struct op_rules ops[AUTH_OPS];
    struct grant **all;
    size_t all_count, all_capacity;
};

static const char *const op_names[AUTH_OPS] = {"subscribe", "publish", "presence", "track",
                                               "history"};

const char *auth_op_name(enum auth_op op)
{
    CHECK(op < AUTH_OPS);
    return op_names[op];
}

bool auth_op_parse(struct str name, enum auth_op *out)
{
    for (unsigned op = 0; op < AUTH_OPS; op++) {
        if (str_is(name, op_names[op])) {
            *out = (enum auth_op)op;
            return true;
        }
    }
    return false;
}

/* ---- building ----------------------------------------------------------------------------- */

static bool is_role(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.' || c == ':' || c == '/' || c == '@';
        if (!ok)
            return false;
    }
    return s.n > 0;
}

/* One word of WHO; NULL or what is wrong with it. */
static const char *add_who(struct grant *g, struct str who)
{
    if (!who.n)
        return "a role, *, none, authenticated or policy is expected";
    if (str_is(who, "*"))
        g->everyone = true;
    else if (str_is(who, "none"))
        g->nobody = true;
    else if (str_is(who, "authenticated"))
        g->authenticated = true;
    else if (str_is(who, "policy"))
        g->policy = true;
    else if (!is_role(who))
        return "this is not a role's name";
    else if (g->roles_count == ROLES_MAX)
        return "too many roles; use an expression on a claim";
    else
        g->roles[g->roles_count++] = who;
    return NULL;
}

/* The index of the blank before a word "if" that stands alone, or the text's length. */
static size_t find_if(struct str text)
{
    for (size_t i = 1; i + 1 < text.n; i++) {
        bool before = text.p[i - 1] == ' ' || text.p[i - 1] == '\t';
        bool after = i + 2 == text.n || text.p[i + 2] == ' ' || text.p[i + 2] == '(';
        if (before && after && text.p[i] == 'i' && text.p[i + 1] == 'f')
            return i;
    }
    return text.n;
}

static bool read_grant(struct grant *g, struct str text, size_t *column, const char **fault)
{
    *column = 1;
    *fault = "the grant is too long";
    if (text.n > GRANT_BYTES_MAX)
        return false;
    size_t cut = find_if(text);
    struct str who = str_head(text, cut);
    while (who.p) {
        struct str one = str_trim(str_cut(&who, ','));
        *column = (size_t)(one.p - text.p) + 1;
        *fault = add_who(g, one);
        if (*fault)
            return false;
    }
    *column = 1;
    *fault = "none stands alone";
    if (g->nobody && (g->everyone || g->authenticated || g->policy || g->roles_count))
        return false;
    *fault = NULL;
    if (cut == text.n)
        return true;
    g->expr = expr_new(str_skip(text, cut + 2), column, fault);
    *column += cut + 2;
    return g->expr != NULL;
}

static void free_grant(struct grant *g)
{
    expr_free(g->expr);
    mem_free(g->pattern);
    mem_free(g->text);
    mem_free(g);
}

static int set_error(struct rules_error *error, size_t row, enum auth_op op, size_t column,
                     const char *fault)
{
    *error = (struct rules_error){.row = row, .op = op, .column = column};
    snprintf(error->text, sizeof(error->text), "%s", fault);
    return E_CONFIG;
}

static void say(struct rules *r, enum auth_op op, struct grant *g)
{
    struct op_rules *rules = &r->ops[op];
    size_t at = pattern_add(&rules->patterns, str_from(g->pattern));
    rules->grants = mem_grow(rules->grants, &rules->capacity, at + 1, sizeof(rules->grants[0]));
    rules->grants[at] = g;
}

static int add_row(struct rules *r, const struct rules_row *row, size_t index,
                   struct rules_error *error)
{
    struct grant *said[AUTH_OPS] = {NULL};
    bool nul = row->pattern.n && memchr(row->pattern.p, 0, row->pattern.n);
    if (!row->pattern.n || row->pattern.n > PATTERN_BYTES_MAX || nul)
        return set_error(error, index, AUTH_SUBSCRIBE, 0, "a pattern has 1 to 255 bytes");
    for (unsigned op = 0; op < AUTH_OPS; op++) {
        struct str text = row->grants[op];
        if (!text.n)
            continue;
        size_t column;
        const char *fault;
        struct grant *g = mem_new(sizeof(*g));
        g->row = index;
        g->pattern = str_dup(row->pattern);
        g->text = str_dup(text);
        if (!read_grant(g, str_of(g->text, text.n), &column, &fault)) {
            free_grant(g);
            return set_error(error, index, (enum auth_op)op, column, fault);
        }
        r->all = mem_grow(r->all, &r->all_capacity, r->all_count + 1, sizeof(r->all[0]));
        r->all[r->all_count++] = said[op] = g;
    }
    if (!said[AUTH_PRESENCE])
        said[AUTH_PRESENCE] = said[AUTH_SUBSCRIBE];
    if (!said[AUTH_HISTORY])
        said[AUTH_HISTORY] = said[AUTH_SUBSCRIBE];
    if (!said[AUTH_TRACK])
        said[AUTH_TRACK] = said[AUTH_PUBLISH];
    for (unsigned op = 0; op < AUTH_OPS; op++)
        if (said[op])
            say(r, (enum auth_op)op, said[op]);
    return 0;
}

int rules_new(const struct rules_row *rows, size_t count, struct rules_error *error,
              struct rules **out)
{
    if (count > ROWS_MAX)
        return set_error(error, ROWS_MAX, AUTH_SUBSCRIBE, 0, "more than 10000 rows");
    struct rules *r = mem_new(sizeof(*r));
    ref_init(&r->ref);
    for (size_t at = 0; at < 2 * count; at++) { /* first those that go first */
        size_t i = at % count;
        int err = rows[i].goes_first == (at < count) ? add_row(r, &rows[i], i, error) : 0;
        if (err) {
            rules_unref(r);
            return err;
        }
    }
    *out = r;
    return 0;
}

struct rules *rules_ref(struct rules *r)
{
    ref_take(&r->ref);
    return r;
}

void rules_unref(struct rules *r)
{
    if (!r || !ref_drop(&r->ref))
        return;
    for (size_t i = 0; i < r->all_count; i++)
        free_grant(r->all[i]);
    mem_free(r->all);
    for (unsigned op = 0; op < AUTH_OPS; op++) {
        pattern_free(&r->ops[op].patterns);
        mem_free(r->ops[op].grants);
    }
    mem_free(r);
}

/* ---- deciding ----------------------------------------------------------------------------- */

static bool is_meant(const struct grant *g, const struct identity *id)
{
    if (g->everyone || (g->authenticated && !id->anonymous))
        return true;
    for (size_t i = 0; i < g->roles_count; i++)
        if (str_eq(g->roles[i], id->role))
            return true;
    return false;
}

/* Could somebody with a token be let in where this anonymous is not? */
static bool token_could_help(const struct grant *g)
{
    if (g->nobody)
        return false;
    return !g->everyone || (g->expr && expr_is_personal(g->expr));
}

static const struct grant *find(const struct rules *r, enum auth_op op, struct str channel)
{
    ptrdiff_t at = pattern_find(&r->ops[op].patterns, channel);
    return at < 0 ? NULL : r->ops[op].grants[at];
}

static int decide(const struct grant *g, const struct identity *id, struct str channel)
{
    if (id->service)
        return 0;
    if (!g)
        return E_ACCESS_DENIED;
    bool meant = is_meant(g, id);
    if ((meant || g->policy) && (!g->expr || expr_answer(g->expr, id, channel) == EXPR_YES))
        return meant ? 0 : AUTH_ASK;
    return id->anonymous && token_could_help(g) ? E_TOKEN_REQUIRED : E_ACCESS_DENIED;
}

int auth_allows(const struct rules *r, const struct identity *id, enum auth_op op,
                struct str channel)
{
    CHECK(id && op < AUTH_OPS);
    return decide(find(r, op, channel), id, channel);
}

void auth_allows_explain(const struct rules *r, const struct identity *id, enum auth_op op,
                         struct str channel, struct buf *out)
{
    const struct grant *g = find(r, op, channel);
    int err = decide(g, id, channel);
    buf_printf(out, "%s %s: ", auth_op_name(op),
               err == AUTH_ASK ? "is for the policy to decide"
               : err           ? "is denied"
                               : "is allowed");
    if (id->service)
        buf_add_z(out, "the service passes every rule");
    else if (!g)
        buf_add_z(out, "no row says anything about this channel");
    else
        buf_printf(out, "row %zu, pattern \"%s\", grant \"%s\"", g->row + 1, g->pattern, g->text);
    if (err == E_TOKEN_REQUIRED)
        buf_add_z(out, "; there is no token");
    else if (err == E_ACCESS_DENIED && g)
        buf_printf(out, "; role \"%.*s\" %s", STR_ARG(id->role),
                   is_meant(g, id) || g->policy ? "is meant, but the condition does not hold"
                                                : "is not among those meant");
    buf_add_c(out, '\n');
}
