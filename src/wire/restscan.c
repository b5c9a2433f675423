/* SPDX-License-Identifier: Apache-2.0 */
/* See restscan.h. Every loop here moves `at` forward or returns, so time is linear. */
#include "wire/restscan.h"
#include "base/buf.h"
#include "base/num.h"
#include <stdio.h>

bool restscan_is_end(const struct restscan *s)
{
    return s->at >= s->text.n;
}

char restscan_peek(const struct restscan *s)
{
    return s->at < s->text.n ? s->text.p[s->at] : 0;
}

static char peek_next(const struct restscan *s)
{
    return s->at + 1 < s->text.n ? s->text.p[s->at + 1] : 0;
}

bool restscan_take(struct restscan *s, char c)
{
    if (s->at >= s->text.n || s->text.p[s->at] != c)
        return false;
    s->at++;
    return true;
}

bool restscan_take_word(struct restscan *s, const char *word)
{
    struct str w = str_from(word);
    if (!str_starts(str_skip(s->text, s->at), w))
        return false;
    s->at += w.n;
    return true;
}

void *restscan_new(struct restscan *s, size_t size)
{
    void *p = arena_zero(s->arena, size);
    if (!p) {
        s->error->code = "PGRST100";
        s->error->status = 400;
        s->error->message = STR("the query is too large");
    }
    return p;
}

static struct str print(struct restscan *s, const char *format, const char *a, struct str b,
                        size_t n)
{
    char line[512];
    int len = snprintf(line, sizeof line, format, a, STR_ARG(str_head(b, 200)), n);
    if (len < 0)
        return STR_NONE;
    return arena_dup(s->arena,
                     str_of(line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1));
}

bool restscan_fail_at(struct restscan *s, size_t at, const char *expecting)
{
    struct str found = str_head(str_skip(s->text, at), 1);
    s->error->code = "PGRST100";
    s->error->status = 400;
    s->error->hint = STR_NONE;
    s->error->message =
        print(s, "\"failed to parse %s (%.*s)\" (line 1, column %zu)", s->what, s->text, at + 1);
    if (found.n == 0)
        s->error->details =
            print(s, "unexpected end of input expecting %s%.*s", expecting, STR_NONE, 0);
    else {
        char line[256];
        int len = snprintf(line, sizeof line, "unexpected \"%.*s\" expecting %s", STR_ARG(found),
                           expecting);
        s->error->details = arena_dup(s->arena, str_of(line, len > 0 ? (size_t)len : 0));
    }
    return false;
}

bool restscan_fail(struct restscan *s, const char *expecting)
{
    return restscan_fail_at(s, s->at, expecting);
}

bool restscan_count(struct restscan *s)
{
    if (*s->items == 0)
        return restscan_fail(s, "fewer elements in one request");
    --*s->items;
    return true;
}

char *restscan_scratch(struct restscan *s)
{
    if (!s->scratch)
        s->scratch = restscan_new(s, s->text.n + 1);
    return s->scratch ? s->scratch + s->at : NULL;
}

bool restscan_quoted(struct restscan *s, struct str *out)
{
    size_t start = s->at;
    char *to = restscan_scratch(s);
    size_t n = 0;
    if (!to)
        return false;
    while (!restscan_is_end(s)) {
        char c = s->text.p[s->at++];
        if (c == '"') {
            *out = str_of(to, n);
            return true;
        }
        if (c == '\\' && !restscan_is_end(s))
            c = s->text.p[s->at++];
        to[n++] = c;
    }
    return restscan_fail_at(s, start, "a closing \"");
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c == ' ' || (unsigned char)c >= 0x80;
}

bool restscan_name(struct restscan *s, struct str *out)
{
    size_t start;
    while (restscan_peek(s) == ' ')
        s->at++;
    if (restscan_take(s, '"'))
        return restscan_quoted(s, out);
    start = s->at;
    while (!restscan_is_end(s)) {
        char c = s->text.p[s->at];
        bool dash = c == '-' && s->at > start && peek_next(s) != '>' && is_name_byte(peek_next(s));
        if (!is_name_byte(c) && !dash)
            break;
        s->at++;
    }
    *out = str_trim(str_of(s->text.p + start, s->at - start));
    if (out->n == 0)
        return restscan_fail_at(s, start, "field name (* or [a..z0..9_$])");
    return true;
}

static bool read_step(struct restscan *s, struct rest_step *step)
{
    size_t start = s->at;
    bool all_digits = true;
    step->as_text = restscan_take(s, '>');
    if (restscan_take(s, '"'))
        return restscan_quoted(s, &step->key);
    start = s->at;
    restscan_take(s, '-');
    while (!restscan_is_end(s)) {
        char c = s->text.p[s->at];
        if (!is_name_byte(c) && !(c == '-' && peek_next(s) != '>'))
            break;
        if (c < '0' || c > '9')
            all_digits = false;
        s->at++;
    }
    step->key = str_of(s->text.p + start, s->at - start);
    if (step->key.n == 0 || str_is(step->key, "-"))
        return restscan_fail(s, "digit, letter or quoted key after the JSON arrow");
    if (all_digits && step->key.n <= 10)
        step->is_index = num_i64(step->key, &step->index);
    return true;
}

bool restscan_steps(struct restscan *s, struct rest_field *out)
{
    struct rest_step steps[REST_STEPS_MAX];
    size_t n = 0;
    out->steps = NULL;
    out->steps_count = 0;
    while (restscan_peek(s) == '-' && peek_next(s) == '>') {
        if (n == REST_STEPS_MAX)
            return restscan_fail(s, "a shorter JSON path");
        s->at += 2;
        steps[n] = (struct rest_step){0};
        if (!read_step(s, &steps[n]))
            return false;
        n++;
    }
    if (n == 0)
        return true;
    out->steps = restscan_new(s, n * sizeof *steps);
    if (!out->steps)
        return false;
    memcpy(out->steps, steps, n * sizeof *steps);
    out->steps_count = n;
    return true;
}

bool restscan_field(struct restscan *s, struct rest_field *out)
{
    return restscan_name(s, &out->name) && restscan_steps(s, out);
}
