/* SPDX-License-Identifier: Apache-2.0 */
/* One value: from text to its type with range check, and back. A complaint names the setting,
 * shows what was read (never of a secret) and says how to write it. */
#include "server/config_priv.h"
#include "base/num.h"
#include "base/utf8.h"
#include <inttypes.h>

struct reading {
    struct config_draft *draft;
    const struct config_row *row;
    const char *name;
    struct config_place place;
    struct arena *arena;
};

#define SHOWN 80 /* bytes of a value in a message */

static bool refuse(const struct reading *r, struct str text, const char *why)
{
    config_problem(r->draft, r->place, "%s: \"%.*s%s\" %s", r->name, STR_ARG(str_head(text, SHOWN)),
                   text.n > SHOWN ? "…" : "", why);
    return false;
}

static void write_number(struct buf *out, enum config_type type, int64_t v)
{
    static const struct {
        int64_t each;
        const char *unit;
    } durations[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}},
      sizes[] = {{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}};
    if (v == 0 || (type != CONFIG_DURATION && type != CONFIG_SIZE)) {
        buf_add_i64(out, v);
        return;
    }
    for (size_t i = 0; i < 5; i++) {
        if (type == CONFIG_SIZE && i == 3)
            break;
        int64_t each = type == CONFIG_SIZE ? sizes[i].each : durations[i].each;
        if (v % each == 0) {
            buf_add_i64(out, v / each);
            buf_add_z(out, type == CONFIG_SIZE ? sizes[i].unit : durations[i].unit);
            return;
        }
    }
    buf_add_i64(out, v);
}

static bool read_number(const struct reading *r, struct str text, int64_t *out)
{
    const struct config_row *row = r->row;
    bool good = row->type == CONFIG_DURATION ? num_duration_ms(text, out)
                : row->type == CONFIG_SIZE   ? num_size(text, out)
                                             : num_i64(text, out);
    if (!good) {
        return refuse(r, text,
                      row->type == CONFIG_DURATION
                          ? "is not a duration; write 250ms, 5s, 2m, 1h, 7d or plain milliseconds"
                      : row->type == CONFIG_SIZE
                          ? "is not a size; write 64KiB, 1MiB, 10MB or plain bytes"
                          : "is not a whole number");
    }
    if (*out >= row->min && *out <= row->max)
        return true;
    struct buf why = {0};
    buf_add_z(&why, *out < row->min ? "is too small; the least is " : "is too much; the most is ");
    write_number(&why, row->type, *out < row->min ? row->min : row->max);
    buf_add_c(&why, 0);
    refuse(r, text, why.p ? why.p : "is out of range");
    buf_free(&why);
    return false;
}

static bool read_bool(const struct reading *r, struct str text, bool *out)
{
    *out = str_is(text, "true");
    return *out || str_is(text, "false") || refuse(r, text, "is neither true nor false");
}

static bool read_enum(const struct reading *r, struct str text, int *out)
{
    struct str words = str_from(r->row->unit);
    for (*out = 0; words.p; (*out)++) {
        if (str_eq(str_cut(&words, '|'), text))
            return true;
    }
    struct buf why = {0};
    buf_add_z(&why, "is none of ");
    words = str_from(r->row->unit);
    while (words.p) {
        buf_add_str(&why, str_cut(&words, '|'));
        if (words.p)
            buf_add_z(&why, ", ");
    }
    buf_add_c(&why, 0);
    refuse(r, text, why.p ? why.p : "is not one of the words");
    buf_free(&why);
    return false;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    }
    return false;
}

static bool read_string(const struct reading *r, struct str text, struct str *out)
{
    const struct config_row *row = r->row;
    if (!utf8_valid(text) || has_control(text)) {
        config_problem(r->draft, r->place, "%s: the text has control characters or is not UTF-8",
                       r->name);
        return false;
    }
    if ((int64_t)text.n < row->min || (int64_t)text.n > row->max) {
        config_problem(r->draft, r->place, "%s: %zu bytes; it takes %" PRId64 " to %" PRId64,
                       r->name, text.n, row->min, row->max);
        return false;
    }
    *out = arena_dup(r->arena, text);
    return true;
}

/* Empty = not set; else the length must fit. The text itself is never shown. */
static bool read_secret(const struct reading *r, struct str text, struct secret *out)
{
    if (text.n != 0 && ((int64_t)text.n < r->row->min || (int64_t)text.n > r->row->max)) {
        config_problem(r->draft, r->place,
                       "%s: the secret has %zu bytes; it takes %" PRId64 " to %" PRId64, r->name,
                       text.n, r->row->min, r->row->max);
        return false;
    }
    out->hidden = text.n ? arena_dup(r->arena, text) : STR_NONE;
    return true;
}

static bool is_octal_mode(struct str s)
{
    if (s.n != 4 || s.p[0] != '0')
        return false;
    for (size_t i = 1; i < 4; i++) {
        if (s.p[i] < '0' || s.p[i] > '7')
            return false;
    }
    return true;
}

static const char *address_fault(struct str text)
{
    if (str_starts(text, STR("unix:"))) {
        struct str path = str_skip(text, 5), mode = path;
        path = str_cut(&mode, '|');
        if (path.n == 0 || path.n > 107)
            return "needs a path of 1 to 107 bytes after unix:";
        if (mode.p && !is_octal_mode(mode))
            return "needs a mode like 0660 after the |";
        return NULL;
    }
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    uint64_t port = 0;
    if (colon == 0 || !num_u64(str_skip(text, colon), &port) || port > 65535)
        return "is not an address; write host:port, :port, [v6]:port or unix:/path";
    struct str host = str_head(text, colon - 1);
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (!bracketed && (str_find(host, ':') >= 0 || str_find(host, ' ') >= 0))
        return "has an IPv6 host; write it in brackets: [::1]:8787";
    return NULL;
}

static bool read_address(const struct reading *r, struct str text, struct str *out)
{
    const char *fault = text.n ? address_fault(text) : NULL;
    if (fault)
        return refuse(r, text, fault);
    if (has_control(text) || !utf8_valid(text))
        return refuse(r, STR("…"), "has control characters or is not UTF-8");
    *out = arena_dup(r->arena, text);
    return true;
}

static bool read_item(const struct reading *r, struct str text, struct str *out)
{
    if (text.n == 0 || text.n > 1024 || has_control(text) || !utf8_valid(text))
        return refuse(r, str_head(text, 0), "has an entry that is empty, too long or not text");
    if (r->row->type == CONFIG_ADDRESSES)
        return read_address(r, text, out);
    *out = arena_dup(r->arena, text);
    return true;
}

static size_t comma_count(struct str text)
{
    size_t n = text.n ? 1 : 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',';
    return n;
}

/* A sequence of scalars, or one scalar with commas. */
static bool read_list(const struct reading *r, const struct config_node *node, struct str_list *out)
{
    bool one = node->kind == CONFIG_NODE_SCALAR;
    struct str rest = node->text;
    size_t count = one ? comma_count(rest) : node->count;
    *out = (struct str_list){0};
    if ((int64_t)count < r->row->min || (int64_t)count > r->row->max) {
        config_problem(r->draft, r->place, "%s: %zu entries; it takes %" PRId64 " to %" PRId64,
                       r->name, count, r->row->min, r->row->max);
        return false;
    }
    if (count == 0)
        return true;
    out->items = arena_zero(r->arena, count * sizeof(*out->items));
    const struct config_node *item = node->first;
    struct reading at = *r;
    while (out->items && out->count < count) {
        struct str text = one ? str_trim(str_cut(&rest, ',')) : item->text;
        if (!one && item->kind != CONFIG_NODE_SCALAR) {
            at.place.line = item->line;
            at.place.col = item->col;
            config_problem(r->draft, at.place, "%s: an entry must be plain text", r->name);
            return false;
        }
        if (!one && item->line) {
            at.place.line = item->line;
            at.place.col = item->col;
        }
        if (!read_item(&at, text, &out->items[out->count++]))
            return false;
        if (!one)
            item = item->next;
    }
    return out->items != NULL;
}

bool config_value_read(struct config_draft *d, const struct config_row *row, const char *name,
                       const struct config_node *node, struct config_place place,
                       struct arena *arena, void *out)
{
    struct reading r = {d, row, name, place, arena};
    bool list = row->type == CONFIG_LIST || row->type == CONFIG_ADDRESSES;
    if (node->kind == CONFIG_NODE_MAP || (node->kind == CONFIG_NODE_LIST && !list)) {
        config_problem(d, place, "%s: takes a %s, not a %s", name,
                       list ? "list" : config_type_name(row->type),
                       node->kind == CONFIG_NODE_MAP ? "mapping" : "list");
        return false;
    }
    switch (row->type) {
    case CONFIG_BOOL:
        return read_bool(&r, node->text, out);
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return read_number(&r, node->text, out);
    case CONFIG_STRING:
        return read_string(&r, node->text, out);
    case CONFIG_SECRET:
        return read_secret(&r, node->text, out);
    case CONFIG_ADDRESS:
        return read_address(&r, node->text, out);
    case CONFIG_ADDRESSES:
    case CONFIG_LIST:
        return read_list(&r, node, out);
    case CONFIG_ENUM:
        return read_enum(&r, node->text, out);
    }
    return false;
}

struct str config_word(const char *unit, int index)
{
    struct str words = str_from(unit), word = STR_NONE;
    for (int i = 0; i <= index && words.p; i++)
        word = str_cut(&words, '|');
    return word;
}

static void write_list(struct buf *out, const struct str_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_add_c(out, ',');
        buf_add_str(out, list->items[i]);
    }
}

void config_value_write(struct buf *out, const struct config_row *row, const void *value)
{
    switch (row->type) {
    case CONFIG_BOOL:
        buf_add_z(out, *(const bool *)value ? "true" : "false");
        return;
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        write_number(out, row->type, *(const int64_t *)value);
        return;
    case CONFIG_STRING:
    case CONFIG_ADDRESS:
        buf_add_str(out, *(const struct str *)value);
        return;
    case CONFIG_SECRET:
        if (((const struct secret *)value)->hidden.n)
            buf_add_z(out, "(set)");
        return;
    case CONFIG_ADDRESSES:
    case CONFIG_LIST:
        write_list(out, value);
        return;
    case CONFIG_ENUM:
        buf_add_str(out, config_word(row->unit, *(const int *)value));
        return;
    }
}
