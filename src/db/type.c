/* SPDX-License-Identifier: Apache-2.0 */
/* See type.h. */
#include "db/type.h"
#include "base/json.h"
#include "base/num.h"
#include "db/timestamp.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *word; /* lower case, without length */
    enum type_kind kind;
    const char *pg;
    const char *name;
} rows[] = {
    {"text", TYPE_TEXT, "text", "text"},
    {"citext", TYPE_TEXT, "citext", "citext"},
    {"clob", TYPE_TEXT, "text", "text"},
    {"varchar", TYPE_TEXT, "varchar", "character varying"},
    {"character varying", TYPE_TEXT, "varchar", "character varying"},
    {"char", TYPE_TEXT, "bpchar", "character"},
    {"character", TYPE_TEXT, "bpchar", "character"},
    {"bpchar", TYPE_TEXT, "bpchar", "character"},
    {"name", TYPE_TEXT, "name", "name"},
    {"bool", TYPE_BOOL, "bool", "boolean"},
    {"boolean", TYPE_BOOL, "bool", "boolean"},
    {"smallint", TYPE_INT, "int2", "smallint"},
    {"int2", TYPE_INT, "int2", "smallint"},
    {"smallserial", TYPE_INT, "int2", "smallint"},
    {"int", TYPE_INT, "int4", "integer"},
    {"int4", TYPE_INT, "int4", "integer"},
    {"integer", TYPE_INT, "int4", "integer"},
    {"serial", TYPE_INT, "int4", "integer"},
    {"bigint", TYPE_INT, "int8", "bigint"},
    {"int8", TYPE_INT, "int8", "bigint"},
    {"bigserial", TYPE_INT, "int8", "bigint"},
    {"real", TYPE_REAL, "float8", "double precision"},
    {"float", TYPE_REAL, "float8", "double precision"},
    {"double", TYPE_REAL, "float8", "double precision"},
    {"double precision", TYPE_REAL, "float8", "double precision"},
    {"float8", TYPE_REAL, "float8", "double precision"},
    {"float4", TYPE_REAL, "float4", "real"},
    {"numeric", TYPE_NUMERIC, "numeric", "numeric"},
    {"decimal", TYPE_NUMERIC, "numeric", "numeric"},
    {"json", TYPE_JSON, "json", "json"},
    {"jsonb", TYPE_JSON, "jsonb", "jsonb"},
    {"timestamptz", TYPE_TIMESTAMPTZ, "timestamptz", "timestamp with time zone"},
    {"timestamp with time zone", TYPE_TIMESTAMPTZ, "timestamptz", "timestamp with time zone"},
    {"timestamp", TYPE_TIMESTAMP, "timestamp", "timestamp without time zone"},
    {"timestamp without time zone", TYPE_TIMESTAMP, "timestamp", "timestamp without time zone"},
    {"datetime", TYPE_TIMESTAMP, "timestamp", "timestamp without time zone"},
    {"date", TYPE_DATE, "date", "date"},
    {"time", TYPE_TIME, "time", "time without time zone"},
    {"uuid", TYPE_UUID, "uuid", "uuid"},
    {"bytea", TYPE_BYTES, "bytea", "bytea"},
    {"blob", TYPE_BYTES, "bytea", "bytea"},
    {"any", TYPE_ANY, "text", "text"},
    {"", TYPE_ANY, "text", "text"},
};

/* Lower case, single blanks, without "(...)" and "[]"; notes the length. */
static void simplify(struct str declared, char *out, size_t size, unsigned *length, bool *array)
{
    size_t n = 0;
    uint64_t number = 0;
    for (size_t i = 0; i < declared.n && n + 1 < size; i++) {
        char c = declared.p[i];
        if (c == '(') {
            struct str in = str_skip(declared, i + 1);
            ptrdiff_t close = str_find(in, ')');
            if (close < 0)
                break;
            if (num_u64(str_trim(str_head(in, (size_t)close)), &number) && number <= 10485760)
                *length = (unsigned)number;
            i += (size_t)close + 1;
            continue;
        }
        if (c == '[' || c == '"') {
            *array |= c == '[';
            continue;
        }
        if (c == ']')
            continue;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c == ' ' && (n == 0 || out[n - 1] == ' '))
            continue;
        out[n++] = c;
    }
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = 0;
}

static bool find(struct type *t, struct str declared)
{
    char word[64];
    bool array = false;
    *t = (struct type){.kind = TYPE_ANY, .name = "text"};
    simplify(declared, word, sizeof word, &t->length, &array);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(word, rows[i].word) != 0)
            continue;
        t->kind = rows[i].kind;
        t->name = rows[i].name;
        snprintf(t->pg, sizeof t->pg, "%s%s", array ? "_" : "", rows[i].pg);
        if (array) {
            t->element = t->kind;
            t->kind = TYPE_ARRAY;
        }
        if (t->kind != TYPE_TEXT)
            t->length = 0;
        return true;
    }
    snprintf(t->pg, sizeof t->pg, "%.23s", word);
    return false;
}

void type_parse(struct type *t, struct str declared)
{
    if (!find(t, declared)) /* an enum, a domain: text with a name of its own */
        t->kind = TYPE_ANY;
}

bool type_parse_cast(struct type *t, struct str name)
{
    return find(t, name) && t->kind != TYPE_ANY;
}

void cell_bind(sqlite3_stmt *stmt, int index, const struct cell *c)
{
    switch (c->kind) {
    case CELL_NULL:
        sqlite3_bind_null(stmt, index);
        break;
    case CELL_INT:
        sqlite3_bind_int64(stmt, index, c->i);
        break;
    case CELL_REAL:
        sqlite3_bind_double(stmt, index, c->r);
        break;
    case CELL_TEXT:
        sqlite3_bind_text64(stmt, index, c->s.p ? c->s.p : "", c->s.n, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case CELL_BLOB:
        sqlite3_bind_blob64(stmt, index, c->s.p ? c->s.p : "", c->s.n, SQLITE_STATIC);
        break;
    }
}

static bool invalid(const struct type *t, struct str text, struct fault *fault)
{
    bool when = t->kind == TYPE_TIMESTAMPTZ || t->kind == TYPE_TIMESTAMP || t->kind == TYPE_DATE ||
                t->kind == TYPE_TIME;
    return fault_set(fault, when ? "22007" : "22P02", "invalid input syntax for type %s: \"%.*s\"",
                     t->name, STR_ARG(str_head(text, 200)));
}

static bool no_memory(struct fault *fault)
{
    return fault_set(fault, "53200", "out of memory");
}

/* PostgreSQL's words for booleans, or an unambiguous beginning of one. */
static bool bool_of(struct str text, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "t", "y"};
    static const char *const no[] = {"false", "no", "off", "0", "f", "n"};
    text = str_trim(text);
    for (size_t i = 0; i < 6; i++) {
        if (str_eq_nocase(text, str_from(yes[i])) || str_eq_nocase(text, str_from(no[i]))) {
            *out = str_eq_nocase(text, str_from(yes[i]));
            return true;
        }
    }
    return false;
}

static bool double_of(struct str text, double *out)
{
    char z[64];
    char *end;
    text = str_trim(text);
    if (text.n == 0 || text.n >= sizeof z)
        return false;
    for (size_t i = 0; i < text.n; i++) /* no hex, no locale, no trailing words */
        if (!strchr("0123456789+-.eE", text.p[i]))
            return false;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    *out = strtod(z, &end);
    return *end == 0 && isfinite(*out);
}

static bool int_of(const struct type *t, struct str text, struct cell *out, struct fault *fault)
{
    struct str digits = str_trim(text);
    double r;
    if (str_starts(digits, STR("+")))
        digits = str_skip(digits, 1);
    if (num_i64(digits, &out->i)) {
        out->kind = CELL_INT;
        return true;
    }
    if (double_of(digits, &r) && str_find(digits, '.') < 0 && str_find(digits, 'e') < 0 &&
        str_find(digits, 'E') < 0)
        return fault_set(fault, "22003", "value \"%.*s\" is out of range for type %s",
                         STR_ARG(str_head(text, 100)), t->name);
    return invalid(t, text, fault);
}

static bool uuid_of(struct str text, struct arena *arena, struct cell *out)
{
    char hex[32];
    size_t n = 0;
    char *p;
    text = str_trim(text);
    if (text.n >= 2 && text.p[0] == '{' && text.p[text.n - 1] == '}')
        text = str_of(text.p + 1, text.n - 2);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '-')
            continue;
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        if (n == 32 || !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        hex[n++] = c;
    }
    if (n != 32 || !(p = arena_alloc(arena, 37)))
        return false;
    snprintf(p, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    *out = cell_text(str_of(p, 36));
    return true;
}

static bool bytes_of(struct str text, struct arena *arena, struct cell *out)
{
    char *p;
    uint64_t byte;
    if (!str_starts(text, STR("\\x"))) { /* PostgreSQL's escape format, without escapes */
        *out = (struct cell){.kind = CELL_BLOB, .s = text};
        return str_find(text, '\\') < 0;
    }
    text = str_skip(text, 2);
    if (text.n % 2 || !(p = arena_alloc(arena, text.n / 2 + 1)))
        return false;
    for (size_t i = 0; i < text.n; i += 2) {
        if (!num_hex64(str_of(text.p + i, 2), &byte))
            return false;
        p[i / 2] = (char)byte;
    }
    *out = (struct cell){.kind = CELL_BLOB, .s = str_of(p, text.n / 2)};
    return true;
}

/* {a,"b c",NULL} -> ["a","b c",null]; elements of numbers and booleans bare. One dimension. */
static bool array_of(const struct type *t, struct str text, struct arena *arena, struct cell *out)
{
    struct buf b = {0};
    struct str kept;
    size_t i = 1;
    bool bare_ok = t->element == TYPE_INT || t->element == TYPE_REAL || t->element == TYPE_NUMERIC;
    text = str_trim(text);
    if (text.n < 2 || text.p[0] != '{' || text.p[text.n - 1] != '}')
        return false;
    buf_add_c(&b, '[');
    while (i + 1 < text.n) {
        struct buf one = {0};
        bool quoted = text.p[i] == '"', closed = !quoted;
        if (quoted)
            i++;
        while (i + 1 < text.n) {
            char c = text.p[i];
            if (quoted ? c == '"' : c == ',')
                break;
            if (c == '\\' && i + 2 < text.n)
                c = text.p[++i];
            buf_add_c(&one, c);
            i++;
        }
        if (quoted && i + 1 < text.n) {
            closed = true;
            i++;
        }
        if (b.n > 1)
            buf_add_c(&b, ',');
        double r;
        bool flag;
        if (!quoted && str_eq_nocase(buf_str(&one), STR("null")))
            buf_add_z(&b, "null");
        else if (bare_ok && double_of(buf_str(&one), &r))
            buf_add_buf(&b, &one);
        else if (t->element == TYPE_BOOL && bool_of(buf_str(&one), &flag))
            buf_add_z(&b, flag ? "true" : "false");
        else if (bare_ok || t->element == TYPE_BOOL)
            closed = false;
        else
            json_add_string(&b, buf_str(&one));
        buf_free(&one);
        if (!closed || (i + 1 < text.n && text.p[i] != ',')) {
            buf_free(&b);
            return false;
        }
        i++;
    }
    buf_add_c(&b, ']');
    kept = b.failed ? STR_NONE : arena_dup(arena, buf_str(&b));
    buf_free(&b);
    *out = cell_text(kept);
    return kept.p != NULL;
}

static size_t characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static bool text_of(const struct type *t, struct str text, struct cell *out, struct fault *fault)
{
    if (memchr(text.p ? text.p : "", 0, text.n))
        return fault_set(fault, "22P05", "unsupported Unicode escape sequence");
    if (t->length && characters(text) > t->length)
        return fault_set(fault, "22001", "value too long for type %s(%u)", t->name, t->length);
    *out = cell_text(text);
    return true;
}

bool type_from_text(const struct type *t, struct str text, struct arena *arena, struct cell *out,
                    struct fault *fault)
{
    bool flag;
    *out = (struct cell){0};
    switch (t->kind) {
    case TYPE_TEXT:
    case TYPE_ANY:
        return text_of(t, text, out, fault);
    case TYPE_BOOL:
        if (!bool_of(text, &flag))
            return invalid(t, text, fault);
        *out = cell_int(flag);
        return true;
    case TYPE_INT:
        return int_of(t, text, out, fault);
    case TYPE_REAL:
    case TYPE_NUMERIC:
        if (num_i64(str_trim(text), &out->i) && t->kind == TYPE_NUMERIC) {
            out->kind = CELL_INT;
            return true;
        }
        out->kind = CELL_REAL;
        return double_of(text, &out->r) ? true : invalid(t, text, fault);
    case TYPE_JSON:
        *out = cell_text(text);
        if (jsonscan_check(text, JSONSCAN_DEPTH, NULL) == 0)
            return true;
        return invalid(t, text, fault);
    case TYPE_ARRAY:
        if (array_of(t, text, arena, out))
            return true;
        fault_set(fault, "22P02", "malformed array literal: \"%.*s\"",
                  STR_ARG(str_head(text, 200)));
        fault_details(fault, "Array value must start with \"{\" or dimension information.");
        return false;
    case TYPE_TIMESTAMPTZ:
    case TYPE_TIMESTAMP:
    case TYPE_DATE:
    case TYPE_TIME:
        *out = cell_text(timestamp_canonical(text, (char)t->kind, arena));
        return out->s.p ? true : invalid(t, text, fault);
    case TYPE_UUID:
        return uuid_of(text, arena, out) ? true : invalid(t, text, fault);
    case TYPE_BYTES:
        return bytes_of(text, arena, out) ? true : invalid(t, text, fault);
    }
    return invalid(t, text, fault);
}

/* JSON without blanks between tokens, so that equal values are equal text more often. */
static bool compact(struct str raw, struct arena *arena, struct str *out)
{
    char *p = arena_alloc(arena, raw.n + 1);
    size_t n = 0;
    bool in_string = false;
    if (!p)
        return false;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (in_string && c == '\\' && i + 1 < raw.n)
            p[n++] = raw.p[i++], c = raw.p[i];
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == ' ' || c == '\n' || c == '\t' || c == '\r'))
            continue;
        p[n++] = c;
    }
    *out = str_of(p, n);
    return true;
}

static bool json_compact(const struct jsonscan_value *v, struct arena *arena, struct cell *out,
                         struct fault *fault)
{
    *out = (struct cell){.kind = CELL_TEXT};
    return compact(v->raw, arena, &out->s) ? true : no_memory(fault);
}

bool type_from_json(const struct type *t, const struct jsonscan_value *v, struct arena *arena,
                    struct cell *out, struct fault *fault)
{
    struct str text = v->raw;
    *out = (struct cell){0};
    if (t->kind == TYPE_JSON && v->type != JSONSCAN_NULL)
        return json_compact(v, arena, out, fault);
    switch (v->type) {
    case JSONSCAN_NONE:
    case JSONSCAN_NULL:
        return true;
    case JSONSCAN_BOOL:
        if (t->kind == TYPE_BOOL || t->kind == TYPE_ANY) {
            *out = cell_int(text.p[0] == 't');
            return true;
        }
        break;
    case JSONSCAN_NUMBER:
        if (t->kind == TYPE_ANY) {
            if (jsonscan_i64(text, &out->i))
                out->kind = CELL_INT;
            else {
                out->kind = CELL_REAL;
                if (!jsonscan_double(text, &out->r))
                    return invalid(t, text, fault);
            }
            return true;
        }
        break;
    case JSONSCAN_STRING:
        if (jsonscan_string(v->raw, arena, &text) != 0)
            return fault_set(fault, "22P05", "unsupported Unicode escape sequence");
        break;
    case JSONSCAN_ARRAY:
        if (t->kind == TYPE_ARRAY)
            return json_compact(v, arena, out, fault);
        __attribute__((fallthrough));
    case JSONSCAN_OBJECT:
        if (t->kind == TYPE_TEXT || t->kind == TYPE_ANY) {
            if (!compact(v->raw, arena, &text))
                return no_memory(fault);
        } else
            return invalid(t, text, fault);
        break;
    }
    return type_from_text(t, text, arena, out, fault);
}

void type_write_real(struct buf *out, double r)
{
    char z[40];
    if (isnan(r) || isinf(r)) {
        buf_add_z(out, isnan(r) ? "\"NaN\"" : r > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(z, sizeof z, "%.*g", digits, r);
        if (strtod(z, NULL) == r)
            break;
    }
    buf_add_z(out, z);
}

static void write_hex(struct buf *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    buf_add_z(out, "\"\\\\x");
    for (size_t i = 0; i < n; i++) {
        buf_add_c(out, digits[p[i] >> 4]);
        buf_add_c(out, digits[p[i] & 15]);
    }
    buf_add_c(out, '"');
}

static struct str text_of_value(sqlite3_value *v)
{
    const char *p = (const char *)sqlite3_value_text(v);
    return str_of(p ? p : "", p ? (size_t)sqlite3_value_bytes(v) : 0);
}

/* Values whose type says nothing more than what is stored. */
static void write_stored(struct buf *out, sqlite3_value *v, int stored)
{
    if (stored == SQLITE_INTEGER)
        buf_add_i64(out, sqlite3_value_int64(v));
    else if (stored == SQLITE_FLOAT)
        type_write_real(out, sqlite3_value_double(v));
    else if (stored == SQLITE_BLOB)
        write_hex(out, sqlite3_value_blob(v), (size_t)sqlite3_value_bytes(v));
    else
        json_add_string(out, text_of_value(v));
}

static void write_as_text(struct buf *out, sqlite3_value *v, int stored)
{
    if (stored == SQLITE_FLOAT) {
        struct buf b = {0};
        type_write_real(&b, sqlite3_value_double(v));
        if (b.n && b.p[0] == '"')
            buf_add_buf(out, &b);
        else
            json_add_string(out, buf_str(&b));
        buf_free(&b);
    } else if (stored == SQLITE_BLOB)
        write_hex(out, sqlite3_value_blob(v), (size_t)sqlite3_value_bytes(v));
    else
        json_add_string(out, text_of_value(v));
}

void type_write(struct buf *out, char spec, sqlite3_value *v)
{
    int stored = sqlite3_value_type(v);
    if (stored == SQLITE_NULL) {
        buf_add_z(out, "null");
        return;
    }
    switch (spec) {
    case 'r':
        buf_add_str(out, text_of_value(v));
        return;
    case TYPE_JSON:
    case TYPE_ARRAY: {
        struct str text = text_of_value(v);
        if (stored != SQLITE_BLOB && jsonscan_check(text, JSONSCAN_DEPTH_MAX, NULL) == 0)
            buf_add_str(out, text);
        else /* somebody else wrote what is no JSON: still an answer that parses */
            write_stored(out, v, stored);
        return;
    }
    case TYPE_BOOL:
        if (stored == SQLITE_INTEGER)
            buf_add_z(out, sqlite3_value_int64(v) ? "true" : "false");
        else
            write_stored(out, v, stored);
        return;
    case 's':
    case TYPE_TEXT:
    case TYPE_UUID:
    case TYPE_TIMESTAMPTZ:
    case TYPE_TIMESTAMP:
    case TYPE_DATE:
    case TYPE_TIME: /* an id of digits in a uuid column became a number: still text to the client */
        write_as_text(out, v, stored);
        return;
    default:
        write_stored(out, v, stored);
    }
}
