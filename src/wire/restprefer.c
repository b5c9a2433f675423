/* SPDX-License-Identifier: Apache-2.0 */
/* See restprefer.h. */
#include "wire/restprefer.h"
#include "base/num.h"
#include <stdio.h>

static void one(struct restprefer *p, struct str word)
{
    struct str rest = word;
    struct str name = str_trim(str_cut(&rest, '='));
    struct str value = rest.p ? str_trim(rest) : STR_NONE;
    static const char *const returns[] = {"", "minimal", "headers-only", "representation"};
    static const char *const resolutions[] = {"", "merge-duplicates", "ignore-duplicates"};
    static const char *const counts[] = {"", "exact", "planned", "estimated"};
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        value = str_of(value.p + 1, value.n - 2);
    for (int i = 1; i < 4; i++) {
        if (str_is(name, "return") && str_is(value, returns[i])) {
            if (!p->returning)
                p->returning = (enum restprefer_return)i;
            return;
        }
        if (i < 3 && str_is(name, "resolution") && str_is(value, resolutions[i])) {
            if (!p->resolution)
                p->resolution = (enum restprefer_resolution)i;
            return;
        }
        if (str_is(name, "count") && str_is(value, counts[i])) {
            if (!p->count)
                p->count = (enum restprefer_count)i;
            return;
        }
    }
    if (str_is(name, "missing") && (str_is(value, "default") || str_is(value, "null"))) {
        if (!p->missing_given)
            p->missing_default = str_is(value, "default");
        p->missing_given = true;
    } else if (str_is(name, "handling") && (str_is(value, "strict") || str_is(value, "lenient"))) {
        if (!p->handling_given)
            p->strict = str_is(value, "strict");
        p->handling_given = true;
    } else if (str_is(name, "tx") && (str_is(value, "commit") || str_is(value, "rollback"))) {
        if (!p->tx_given)
            p->rollback = str_is(value, "rollback");
        p->tx_given = true;
    } else if (str_is(name, "max-affected") && num_i64(value, &p->max_affected)) {
        p->has_max = true;
    } else if (!str_is(name, "timezone") && name.n) {
        size_t n = strlen(p->unknown);
        snprintf(p->unknown + n, sizeof p->unknown - n, "%s%.*s", n ? ", " : "", STR_ARG(word));
    }
}

void restprefer_parse(struct restprefer *p, struct str header)
{
    while (header.p && header.n)
        one(p, str_trim(str_cut(&header, ',')));
}

static void put(struct buf *out, const char *text)
{
    if (out->n)
        buf_add_z(out, ", ");
    buf_add_z(out, text);
}

void restprefer_write(const struct restprefer *p, struct buf *out)
{
    static const char *const returns[] = {"", "return=minimal", "return=headers-only",
                                          "return=representation"};
    static const char *const resolutions[] = {"", "resolution=merge-duplicates",
                                              "resolution=ignore-duplicates"};
    static const char *const counts[] = {"", "count=exact", "count=planned", "count=estimated"};
    if (p->resolution)
        put(out, resolutions[p->resolution]);
    if (p->missing_given)
        put(out, p->missing_default ? "missing=default" : "missing=null");
    if (p->returning)
        put(out, returns[p->returning]);
    if (p->count)
        put(out, counts[p->count]);
    if (p->handling_given)
        put(out, p->strict ? "handling=strict" : "handling=lenient");
    if (p->has_max && p->strict) {
        put(out, "max-affected=");
        buf_add_i64(out, p->max_affected);
    }
}

static bool media_type(struct str type, struct restaccept_result *out)
{
    struct str rest = type;
    struct str name = str_trim(str_cut(&rest, ';'));
    out->strip_nulls = rest.p && str_find_str(rest, STR("nulls=stripped")) >= 0;
    if (str_eq_nocase(name, STR("application/vnd.pgrst.object+json")) ||
        str_eq_nocase(name, STR("application/vnd.pgrst.object")))
        out->format = ACCEPT_OBJECT;
    else if (str_eq_nocase(name, STR("text/csv")))
        out->format = ACCEPT_CSV;
    else if (str_eq_nocase(name, STR("application/json")) || str_is(name, "*/*") ||
             str_is(name, "application/*") ||
             str_eq_nocase(name, STR("application/vnd.pgrst.array+json")) ||
             str_eq_nocase(name, STR("application/vnd.pgrst.array")))
        out->format = ACCEPT_JSON;
    else
        return false;
    return true;
}

/* "q=0.8" as thousandths; 1000 when there is none. */
static int quality(struct str type)
{
    ptrdiff_t at = str_find_str(type, STR("q="));
    struct str q;
    int value = 0, scale = 1000;
    if (at < 0 || (at > 0 && type.p[at - 1] != ';' && type.p[at - 1] != ' '))
        return 1000;
    q = str_skip(type, (size_t)at + 2);
    for (size_t i = 0; i < q.n && i < 5; i++) {
        if (q.p[i] == '.')
            continue;
        if (q.p[i] < '0' || q.p[i] > '9')
            break;
        value += (q.p[i] - '0') * scale;
        scale /= 10;
    }
    return value;
}

bool restaccept_parse(struct str header, struct restaccept_result *out)
{
    int best = 0;
    *out = (struct restaccept_result){0};
    if (str_trim(header).n == 0)
        return true;
    while (header.p && header.n) {
        struct str type = str_trim(str_cut(&header, ','));
        struct restaccept_result one_type = {0};
        int q = quality(type);
        if (q > best && media_type(type, &one_type)) {
            best = q;
            *out = one_type;
        }
    }
    return best > 0;
}
