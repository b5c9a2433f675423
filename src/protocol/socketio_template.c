/* SPDX-License-Identifier: Apache-2.0 */
/* Templates are cut once into pieces: fixed text, and values with their path. Values:
 *   $args[0].roomId   an argument of the event, or something in it ($args: all, as an array)
 *   $claims.name      a claim of the sender's token     $sub  $role   short for two of them
 *   $sid              the sender's socket id            $now   milliseconds since 1970
 * To add one: a row in enum value_kind, its name in kinds[], a case in add_value. */
#include "protocol/socketio_template.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"

enum { STEPS_MAX = 8, PIECES_MAX = 64 };

enum value_kind {
    VALUE_TEXT,
    VALUE_ARGS,
    VALUE_CLAIMS,
    VALUE_SUB,
    VALUE_ROLE,
    VALUE_SID,
    VALUE_NOW
};
static const char *const kinds[] = {"", "args", "claims", "sub", "role", "sid", "now"};

struct step {
    struct str key; /* empty: the index */
    uint64_t index;
};
struct piece {
    enum value_kind kind;
    struct str text; /* fixed text, or the path of claims */
    struct step steps[STEPS_MAX];
    size_t steps_count;
};
struct template
{
    bool is_list; /* the arguments are in parentheses: several */
    size_t count;
    struct piece pieces[];
};

/* ---- reading ------------------------------------------------------------------------------ */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static struct str take_word(struct str *rest)
{
    size_t n = 0;
    while (n < rest->n && is_word(rest->p[n]))
        n++;
    struct str word = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    return word;
}

static const char *take_step(struct str *rest, struct piece *p)
{
    struct step *step = &p->steps[p->steps_count++];
    bool is_index = rest->p[0] == '[';
    *rest = str_skip(*rest, 1);
    step->key = take_word(rest);
    if (!step->key.n)
        return is_index ? "an index is a number: $args[0]" : "a name must follow the dot";
    if (!is_index)
        return NULL;
    if (!num_u64(step->key, &step->index) || !rest->n || rest->p[0] != ']')
        return "an index is a number: $args[0]";
    step->key = STR_NONE;
    *rest = str_skip(*rest, 1);
    return NULL;
}

static const char *take_value(struct str *rest, struct piece *p)
{
    struct str word = take_word(rest), path = *rest;
    for (size_t i = 1; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_is(word, kinds[i]))
            p->kind = (enum value_kind)i;
    if (p->kind == VALUE_TEXT)
        return "unknown value; there are $args, $claims, $sub, $role, $sid and $now";
    while (rest->n > 1 && (rest->p[0] == '[' || (rest->p[0] == '.' && is_word(rest->p[1])))) {
        if (p->steps_count == STEPS_MAX)
            return "too deep";
        const char *fault = take_step(rest, p);
        if (fault)
            return fault;
    }
    p->text = str_head(path, path.n - rest->n);
    if (p->kind == VALUE_CLAIMS)
        p->text = p->text.n && p->text.p[0] == '.' ? str_skip(p->text, 1) : STR_NONE;
    if (p->kind == VALUE_CLAIMS && !p->text.n)
        return "which claim? $claims.name";
    if (p->kind > VALUE_CLAIMS && p->steps_count)
        return "this value has no parts";
    return NULL;
}

/* The text with each value as null must be JSON. */
static bool is_json_text(const struct template *t)
{
    struct buf b = {0};
    buf_add_c(&b, '[');
    for (size_t i = 0; i < t->count; i++)
        if (t->pieces[i].kind == VALUE_TEXT)
            buf_add_str(&b, t->pieces[i].text);
        else
            buf_add_z(&b, "null");
    buf_add_c(&b, ']');
    bool good = jsonscan_check(buf_str(&b), 32, NULL) == 0;
    buf_free(&b);
    return good;
}

struct template *template_new(struct arena *a, struct str text, bool is_json, size_t *column,
                              const char **fault)
{
    struct template *t = arena_zero(a, sizeof(*t) + PIECES_MAX * sizeof(t->pieces[0]));
    struct str whole = arena_dup(a, str_trim(text)), rest = whole;
    bool in_text = false;
    *column = 0;
    *fault = "out of memory";
    if (!t || !whole.p)
        return NULL;
    if (is_json && rest.n > 1 && rest.p[0] == '(' && rest.p[rest.n - 1] == ')') {
        t->is_list = true;
        rest = str_of(rest.p + 1, rest.n - 2);
    }
    while (rest.n) {
        size_t n = 0;
        for (; n < rest.n && (rest.p[n] != '$' || in_text); n++)
            if (is_json && rest.p[n] == '"' && (n == 0 || rest.p[n - 1] != '\\'))
                in_text = !in_text;
        *column = (size_t)(rest.p - whole.p) + n + 1;
        *fault = "too many values";
        if (t->count + 2 > PIECES_MAX)
            return NULL;
        if (n)
            t->pieces[t->count++] = (struct piece){.text = str_head(rest, n)};
        rest = str_skip(rest, n);
        if (!rest.n)
            break;
        rest = str_skip(rest, 1);
        *fault = take_value(&rest, &t->pieces[t->count++]);
        if (*fault)
            return NULL;
    }
    *column = 0;
    *fault = "not JSON; values stand outside of quotes: {\"room\": $args[0]}";
    return is_json && !is_json_text(t) ? NULL : t;
}

/* ---- filling in --------------------------------------------------------------------------- */

static struct jsonscan_value item_at(struct str raw, uint64_t index)
{
    struct jsonscan_iter it = jsonscan_iter(raw);
    struct jsonscan_member m;
    if (!raw.n || raw.p[0] != '[')
        return (struct jsonscan_value){0};
    for (uint64_t i = 0; jsonscan_next(&it, NULL, &m) > 0; i++)
        if (i == index)
            return m.value;
    return (struct jsonscan_value){0};
}

static struct str find_arg(const struct piece *p, const struct socketio_event *ev)
{
    struct jsonscan_value v = {.raw = ev->args, .type = JSONSCAN_ARRAY};
    char key[128];
    for (size_t i = 0; i < p->steps_count && v.type != JSONSCAN_NONE; i++) {
        const struct step *step = &p->steps[i];
        if (!step->key.n) {
            v = item_at(v.raw, step->index);
            continue;
        }
        if (step->key.n >= sizeof(key))
            return STR_NONE;
        memcpy(key, step->key.p, step->key.n);
        key[step->key.n] = '\0';
        v = v.type == JSONSCAN_OBJECT ? jsonscan_find(v.raw, key) : (struct jsonscan_value){0};
    }
    return v.type == JSONSCAN_NONE ? STR_NONE : v.raw;
}

/* Raw JSON; nothing when it is missing. */
static void add_value(const struct piece *p, const struct socketio_socket *s,
                      const struct socketio_event *ev, struct buf *out)
{
    const struct identity *id = socketio_identity(s);
    char sid[21];
    switch (p->kind) {
    case VALUE_TEXT:
        buf_add_str(out, p->text);
        break;
    case VALUE_ARGS:
        buf_add_str(out, find_arg(p, ev));
        break;
    case VALUE_CLAIMS:
        (void)identity_claim_json(id, p->text, out);
        break;
    case VALUE_SUB:
        if (id->sub.n)
            json_add_string(out, id->sub);
        break;
    case VALUE_ROLE:
        json_add_string(out, id->role);
        break;
    case VALUE_SID:
        json_add_string(out, socketio_sid(s, sid));
        break;
    case VALUE_NOW:
        buf_add_u64(out, loop_wall_ms(socketio_loop(s)));
        break;
    }
}

/* Text and numbers as the text of a name. */
static bool add_plain(struct str raw, struct arena *a, struct buf *out)
{
    struct str text = raw;
    if (!raw.n)
        return false;
    if (raw.p[0] == '"' && jsonscan_string(raw, a, &text) < 0)
        return false;
    if (raw.p[0] != '"' && raw.p[0] != '-' && (raw.p[0] < '0' || raw.p[0] > '9'))
        return false;
    buf_add_str(out, text);
    return true;
}

bool template_name(const struct template *t, const struct socketio_socket *s,
                   const struct socketio_event *ev, struct buf *out)
{
    struct arena *a = loop_turn(socketio_loop(s));
    struct buf value = {0};
    bool good = true;
    for (size_t i = 0; good && i < t->count; i++) {
        const struct piece *p = &t->pieces[i];
        if (p->kind == VALUE_TEXT) {
            buf_add_str(out, p->text);
            continue;
        }
        buf_clear(&value);
        add_value(p, s, ev, &value);
        good = add_plain(buf_str(&value), a, out);
    }
    buf_free(&value);
    return good && !out->failed;
}

void template_args(const struct template *t, const struct socketio_socket *s,
                   const struct socketio_event *ev, struct buf *out)
{
    buf_add_c(out, '[');
    for (size_t i = 0; i < t->count; i++) {
        size_t before = out->n;
        add_value(&t->pieces[i], s, ev, out);
        if (out->n == before)
            buf_add_z(out, "null");
    }
    buf_add_c(out, ']');
}
