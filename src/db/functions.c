/* SPDX-License-Identifier: Apache-2.0 */
/* See functions.h. */
#include "db/functions.h"
#include "base/json.h"
#include "base/mem.h"
#include "db/sqlite.h"
#include "wire/regex.h"
#include "wire/url.h"

enum { ROW_BYTES_MAX = 64 << 20 };

static struct str text_arg(sqlite3_value *v)
{
    const char *p = (const char *)sqlite3_value_text(v);
    return p ? str_of(p, (size_t)sqlite3_value_bytes(v)) : STR_NONE;
}

static void give_text(sqlite3_context *c, struct str s)
{
    if (s.n == 0)
        sqlite3_result_null(c);
    else
        sqlite3_result_text64(c, s.p, s.n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/* Takes the buffer. */
static void give_buf(sqlite3_context *c, struct buf *b)
{
    if (b->failed) {
        buf_free(b);
        sqlite3_result_error_toobig(c);
        return;
    }
    sqlite3_result_text64(c, b->p ? b->p : "", b->n, b->p ? mem_free : SQLITE_STATIC, SQLITE_UTF8);
}

/* ---- identity --------------------------------------------------------------------------- */
static void auth_uid(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct sqlite *h = sqlite3_user_data(c);
    (void)n, (void)v;
    give_text(c, h->identity ? h->identity->sub : STR_NONE);
}

static void auth_role(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct sqlite *h = sqlite3_user_data(c);
    (void)n, (void)v;
    give_text(c, h->identity ? h->identity->role : STR_NONE);
}

static void auth_jwt(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct sqlite *h = sqlite3_user_data(c);
    (void)n, (void)v;
    give_text(c, h->identity && h->identity->text.n ? h->identity->text : STR("{}"));
}

static void auth_email(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct sqlite *h = sqlite3_user_data(c);
    struct jsonscan_value email = {0};
    struct arena arena = {0};
    struct str text = STR_NONE;
    (void)n, (void)v;
    if (h->identity && h->identity->text.n)
        email = jsonscan_find(h->identity->text, "email");
    if (email.type == JSONSCAN_STRING && jsonscan_string(email.raw, &arena, &text) != 0)
        text = STR_NONE;
    give_text(c, text);
    arena_free(&arena);
}

static void auth_is(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct sqlite *h = sqlite3_user_data(c);
    (void)n;
    sqlite3_result_int(c, h->identity && str_eq(h->identity->role, text_arg(v[0])));
}

static void realtime_topic(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct sqlite *h = sqlite3_user_data(c);
    (void)n, (void)v;
    give_text(c, h->topic);
}

static void realtime_extension(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct sqlite *h = sqlite3_user_data(c);
    (void)n, (void)v;
    give_text(c, h->extension);
}

/* ---- rows ------------------------------------------------------------------------------- */
void functions_spec_begin(struct buf *spec, bool strip_nulls)
{
    buf_add_c(spec, strip_nulls ? 'S' : 'A');
}

void functions_spec_add(struct buf *spec, char kind, struct str key)
{
    buf_add_c(spec, kind);
    json_add_string(spec, key); /* escapes line feeds: they end an entry */
    buf_add_z(spec, ":\n");
}

static void tw_row(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct buf b = {.max = ROW_BYTES_MAX};
    struct str spec = text_arg(v[0]);
    bool strip = spec.n && spec.p[0] == 'S';
    spec = str_skip(spec, 1);
    buf_add_c(&b, '{');
    for (int i = 1; i < n && spec.n; i++) {
        struct str entry = str_cut(&spec, '\n');
        if (strip && sqlite3_value_type(v[i]) == SQLITE_NULL)
            continue;
        if (b.n > 1)
            buf_add_c(&b, ',');
        buf_add_str(&b, str_skip(entry, 1));
        type_write(&b, entry.p[0], v[i]);
    }
    buf_add_c(&b, '}');
    give_buf(c, &b);
}

static void csv_text(struct buf *b, struct str s)
{
    bool quote = s.n == 0;
    for (size_t i = 0; i < s.n && !quote; i++)
        quote = strchr(",\"\r\n", s.p[i]) != NULL;
    if (!quote) {
        buf_add_str(b, s);
        return;
    }
    buf_add_c(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_add_c(b, '"');
        buf_add_c(b, s.p[i]);
    }
    buf_add_c(b, '"');
}

static void tw_csv(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct buf b = {.max = ROW_BYTES_MAX};
    struct str spec = str_skip(text_arg(v[0]), 1);
    for (int i = 1; i < n && spec.n; i++) {
        struct str entry = str_cut(&spec, '\n');
        int stored = sqlite3_value_type(v[i]);
        if (i > 1)
            buf_add_c(&b, ',');
        if (stored == SQLITE_NULL)
            continue;
        if (stored == SQLITE_TEXT)
            csv_text(&b, text_arg(v[i]));
        else if (entry.p[0] == TYPE_BOOL && stored == SQLITE_INTEGER)
            buf_add_c(&b, sqlite3_value_int(v[i]) ? 't' : 'f');
        else {
            struct buf one = {0};
            struct str text;
            type_write(&one, TYPE_ANY, v[i]);
            text = buf_str(&one);
            if (text.n > 2 && text.p[0] == '"') /* \\x.. of a blob */
                text = str_of(text.p + 2, text.n - 3);
            csv_text(&b, text);
            buf_free(&one);
        }
    }
    give_buf(c, &b);
}

static void array_step(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct buf *b = sqlite3_aggregate_context(c, sizeof *b);
    (void)n;
    if (!b || sqlite3_value_type(v[0]) == SQLITE_NULL)
        return;
    if (b->n == 0) {
        b->max = ROW_BYTES_MAX;
        buf_add_c(b, '[');
    } else
        buf_add_c(b, ',');
    buf_add_str(b, text_arg(v[0]));
}

static void array_final(sqlite3_context *c)
{
    struct buf *b = sqlite3_aggregate_context(c, 0);
    if (!b || b->n == 0) {
        sqlite3_result_text(c, "[]", 2, SQLITE_STATIC);
        return;
    }
    buf_add_c(b, ']');
    give_buf(c, b);
}

/* ---- JSON and text ---------------------------------------------------------------------- */
static void tw_text(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct str raw = text_arg(v[0]), text;
    struct arena arena = {0};
    (void)n;
    if (!raw.p || str_is(raw, "null")) {
        sqlite3_result_null(c);
        return;
    }
    if (raw.n >= 2 && raw.p[0] == '"' && jsonscan_string(raw, &arena, &text) == 0)
        raw = text;
    sqlite3_result_text64(c, raw.p ? raw.p : "", raw.n, SQLITE_TRANSIENT, SQLITE_UTF8);
    arena_free(&arena);
}

static void tw_url(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct buf b = {0};
    (void)n;
    url_encode(&b, text_arg(v[0]));
    give_buf(c, &b);
}

static bool any_null(sqlite3_context *c, sqlite3_value **v)
{
    if (sqlite3_value_type(v[0]) != SQLITE_NULL && sqlite3_value_type(v[1]) != SQLITE_NULL)
        return false;
    sqlite3_result_null(c);
    return true;
}

static void tw_like(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    if (!any_null(c, v))
        sqlite3_result_int(
            c, textmatch_like(text_arg(v[0]), text_arg(v[1]), sqlite3_value_int(v[2]) != 0));
}

static void free_regex(void *p)
{
    struct regex *r = p;
    regex_free(&r);
}

static void match_regex(sqlite3_context *c, sqlite3_value **v, bool fold)
{
    struct regex *r = sqlite3_get_auxdata(c, 0);
    const char *why = NULL;
    bool fresh = !r, hit;
    if (any_null(c, v))
        return;
    if (fresh)
        r = regex_compile(text_arg(v[0]), fold, &why);
    if (!r) {
        sqlite3_result_error(c, why, -1);
        return;
    }
    hit = regex_matches(r, text_arg(v[1]));
    sqlite3_result_int(c, hit);
    if (fresh) /* last: SQLite may free it at once */
        sqlite3_set_auxdata(c, 0, r, free_regex);
}

static void tw_match(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    match_regex(c, v, sqlite3_value_int(v[2]) != 0);
}

static void tw_contains(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    if (!any_null(c, v))
        sqlite3_result_int(c, jsoncontain_contains(text_arg(v[0]), text_arg(v[1])));
}

static void tw_overlaps(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    if (!any_null(c, v))
        sqlite3_result_int(c, jsoncontain_overlaps(text_arg(v[0]), text_arg(v[1])));
}

/* a MATCH b is match(b, a): what ilike becomes in policies and functions. */
static void match(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    if (!any_null(c, v))
        sqlite3_result_int(c, textmatch_like(text_arg(v[0]), text_arg(v[1]), true));
}

/* a REGEXP b is regexp(b, a): what ~ becomes. */
static void regexp(sqlite3_context *c, int n, sqlite3_value **v)
{
    match_regex(c, v, false);
    (void)n;
}

bool functions_register(struct sqlite *h, struct fault *fault)
{
    static const struct {
        const char *name;
        int args;
        void (*fn)(sqlite3_context *, int, sqlite3_value **);
    } list[] = {
        {"auth_uid", 0, auth_uid},
        {"auth_role", 0, auth_role},
        {"auth_jwt", 0, auth_jwt},
        {"auth_email", 0, auth_email},
        {"auth_is", 1, auth_is},
        {"realtime_topic", 0, realtime_topic},
        {"realtime_extension", 0, realtime_extension},
        {"tw_row", -1, tw_row},
        {"tw_csv", -1, tw_csv},
        {"tw_text", 1, tw_text},
        {"tw_url", 1, tw_url},
        {"tw_like", 3, tw_like},
        {"tw_match", 3, tw_match},
        {"tw_contains", 2, tw_contains},
        {"tw_overlaps", 2, tw_overlaps},
        {"match", 2, match},
        {"regexp", 2, regexp},
    };
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    int rc = sqlite3_create_function(h->db, "tw_array", 1, SQLITE_UTF8 | SQLITE_INNOCUOUS, h, NULL,
                                     array_step, array_final);
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof list / sizeof list[0]; i++)
        rc = sqlite3_create_function(h->db, list[i].name, list[i].args, flags, h, list[i].fn, NULL,
                                     NULL);
    return rc == SQLITE_OK ? true : sqlite_fault(h, rc, fault);
}
