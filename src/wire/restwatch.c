/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of a change subscription: see restquery_parse_watch. Supabase's clients build it from
 * `col=op.value`; several conditions are joined by commas. */
#include "wire/restscan.h"

enum { WATCH_IN_MAX = 100 };

/* Up to the next comma outside of quotes and parentheses. */
static struct str cut_condition(struct str *rest)
{
    size_t depth = 0, i = 0;
    bool quoted = false;
    struct str out;
    for (; i < rest->n; i++) {
        char c = rest->p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '(' || c == '{'))
            depth++;
        else if (!quoted && depth && (c == ')' || c == '}'))
            depth--;
        else if (!quoted && !depth && c == ',')
            break;
    }
    if (i > rest->n)
        i = rest->n;
    out = str_head(*rest, i);
    *rest = i < rest->n ? str_skip(*rest, i + 1) : STR_NONE;
    return out;
}

static bool unquote(struct restscan *s, struct rest_filter *f)
{
    struct restscan in = *s;
    if (f->value.n < 2 || f->value.p[0] != '"' || f->op == REST_IN)
        return true;
    in.text = str_skip(f->value, 1);
    in.at = 0;
    in.scratch = NULL;
    return restscan_quoted(&in, &f->value);
}

static bool condition(struct rest_logic *logic, struct restscan *s)
{
    if (!restscan_field(s, &logic->filter.field))
        return false;
    if (!restscan_take(s, '='))
        return restscan_fail(s, "\"=\"");
    if (!restfilter_parse(&logic->filter, s, false) || !unquote(s, &logic->filter))
        return false;
    if (logic->filter.values_count <= WATCH_IN_MAX)
        return true;
    s->error->message = STR("too many values for `in` filter. Maximum 100");
    s->error->code = "PGRST100";
    s->error->status = 400;
    return false;
}

bool restquery_parse_watch(struct rest_logic **out, struct str filter, struct arena *arena,
                           struct rest_error *error)
{
    unsigned items = REST_ITEMS_MAX;
    *out = NULL;
    *error = (struct rest_error){0};
    filter = str_trim(filter);
    while (filter.p && filter.n) {
        struct restscan s = {.text = str_trim(cut_condition(&filter)),
                             .items = &items,
                             .what = "filter",
                             .arena = arena,
                             .error = error};
        struct rest_logic *logic = restscan_new(&s, sizeof *logic);
        if (!logic || !condition(logic, &s))
            return false;
        *out = logic;
        out = &logic->next;
    }
    return true;
}
