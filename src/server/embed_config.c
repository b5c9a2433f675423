/* SPDX-License-Identifier: Apache-2.0 */
/* tw_config: the draft behind the public header, and the steps that made it. */
#include "server/embed_priv.h"
#include "base/mem.h"
#include "loop/clock.h"
#include "server/assemble.h"
#include "server/dev.h"
#include "tidewire.h"
#include <unistd.h>

/* ---- text --------------------------------------------------------------------------------- */

const char *embed_text(struct buf *b)
{
    buf_add_c(b, 0);
    if (b->n && b->p[b->n - 1] == 0)
        b->n--;
    return b->p && !b->failed ? b->p : "";
}

char *embed_give(struct buf *b)
{
    char *text = str_dup(b->n ? buf_str(b) : STR(""));
    buf_free(b);
    *b = (struct buf){0};
    return text;
}

void tw_free(void *text)
{
    mem_free(text);
}

/* ---- steps -------------------------------------------------------------------------------- */

tw_config *tw_config_new(void)
{
    clock_boot(); /* rules are compiled into maps before there is a loop */
    struct tw_config *c = mem_new(sizeof(*c));
    c->draft = config_draft_new();
    return c;
}

void tw_config_free(tw_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->steps_count; i++) {
        mem_free(c->steps[i].name);
        mem_free(c->steps[i].value);
    }
    mem_free(c->steps);
    config_draft_free(&c->draft);
    buf_free(&c->text);
    buf_free(&c->token);
    mem_free(c);
}

static int do_step(struct tw_config *c, const struct embed_step *step)
{
    switch (step->kind) {
    case EMBED_LOAD:
        return config_draft_load(c->draft, step->name, environ) ? E_CONFIG : 0;
    case EMBED_ENVIRONMENT:
        return config_draft_env(c->draft, environ) ? E_CONFIG : 0;
    case EMBED_SET:
        return config_draft_set(c->draft, CONFIG_FROM_FLAG, step->name, str_from(step->value))
                   ? E_CONFIG
                   : 0;
    case EMBED_DEVELOP:
        c->develop = true;
        return dev_prepare(c->draft) ? E_CONFIG : 0;
    }
    return E_CONFIG;
}

static int add_step(struct tw_config *c, enum embed_step_kind kind, const char *name,
                    const char *value)
{
    c->steps = mem_grow(c->steps, &c->steps_capacity, c->steps_count + 1, sizeof(*c->steps));
    struct embed_step *step = &c->steps[c->steps_count++];
    *step = (struct embed_step){kind, name ? str_dup(str_from(name)) : NULL,
                                value ? str_dup(str_from(value)) : NULL};
    return do_step(c, step);
}

struct tw_config *embed_config_again(const struct tw_config *c)
{
    struct tw_config *again = tw_config_new();
    for (size_t i = 0; i < c->steps_count; i++)
        add_step(again, c->steps[i].kind, c->steps[i].name, c->steps[i].value);
    return again;
}

int tw_config_load(tw_config *c, const char *path)
{
    return add_step(c, EMBED_LOAD, path, NULL);
}

int tw_config_load_environment(tw_config *c)
{
    return add_step(c, EMBED_ENVIRONMENT, NULL, NULL);
}

int tw_config_set(tw_config *c, const char *name, const char *value)
{
    return add_step(c, EMBED_SET, name, value);
}

int tw_config_develop(tw_config *c)
{
    return add_step(c, EMBED_DEVELOP, NULL, NULL);
}

/* ---- checking ----------------------------------------------------------------------------- */

static void keyring_fault(struct config_draft *d, struct buf *why)
{
    /* The room names the row at the beginning of its sentence when it knows it. */
    struct str text = buf_str(why), number = STR("auth.keys[");
    size_t row = 0;
    if (str_starts(text, number)) {
        for (size_t i = number.n; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++)
            row = row * 10 + (size_t)(text.p[i] - '0');
    }
    config_draft_fault(d, "auth.keys", row, "", embed_text(why));
}

static void rules_fault(struct config_draft *d, const struct rules_error *e)
{
    struct buf text = {0};
    buf_add_z(&text, e->text);
    if (e->column)
        buf_printf(&text, " (character %zu)", e->column);
    config_draft_fault(d, "channels.rules", e->row,
                       e->column ? assemble_grant_name(e->op) : "match", embed_text(&text));
    buf_free(&text);
}

static void events_fault(struct config_draft *d, const struct socketio_rules_error *e)
{
    config_draft_fault(d, "socketio.events", e->row, e->member, e->text);
}

int embed_config_finish(struct tw_config *c, struct config **config, struct keyring **keys,
                        struct rules **rules)
{
    struct config *made = config_draft_finish(c->draft);
    struct keyring *k = NULL;
    struct rules *r = NULL;
    struct rules_error error = {0};
    struct buf why = {0};
    int err = made ? 0 : E_CONFIG;
    if (!err && (err = assemble_keyring(made, &why, &k)) != 0)
        keyring_fault(c->draft, &why);
    int rules_err = made ? assemble_rules(made, &error, &r) : 0;
    if (rules_err) {
        rules_fault(c->draft, &error);
        err = rules_err;
    }
    struct socketio_rules_error wrong = {0};
    struct socketio_rules *events = NULL;
    int events_err = made ? assemble_events(made, &wrong, &events) : 0;
    if (events_err) {
        events_fault(c->draft, &wrong);
        err = events_err;
    }
    socketio_rules_free(&events);
    buf_free(&why);
    if (!err && keys)
        *keys = keyring_ref(k);
    if (!err && rules)
        *rules = rules_ref(r);
    if (!err && config)
        *config = config_ref(made);
    keyring_unref(k);
    rules_unref(r);
    config_unref(&made);
    return err;
}

int tw_config_check(tw_config *c)
{
    return embed_config_finish(c, NULL, NULL, NULL);
}

const char *tw_config_problems(tw_config *c)
{
    buf_clear(&c->text);
    buf_add_str(&c->text, config_draft_problems(c->draft));
    return embed_text(&c->text);
}

const char *tw_config_warnings(tw_config *c)
{
    buf_clear(&c->text);
    buf_add_str(&c->text, config_draft_warnings(c->draft));
    return embed_text(&c->text);
}

const char *tw_config_file(const tw_config *c)
{
    return config_draft_file(c->draft);
}

/* ---- telling ------------------------------------------------------------------------------ */

bool tw_config_knows(const char *name, bool *is_bool)
{
    if (is_bool)
        *is_bool = config_draft_is_bool(name);
    return config_draft_knows(name);
}

bool tw_config_has(const tw_config *c, const char *name)
{
    return config_draft_has(c->draft, name);
}

char *tw_config_get(tw_config *c, const char *name)
{
    struct config *made = config_draft_finish(c->draft);
    struct buf out = {0};
    bool known = made && config_write_value(&out, made, name);
    config_unref(&made);
    if (!known) {
        buf_free(&out);
        return NULL;
    }
    return embed_give(&out);
}

char *tw_config_explain(tw_config *c, const char *name, bool *found)
{
    struct buf out = {0};
    bool known = config_write_explain(&out, name, c ? c->draft : NULL);
    if (found)
        *found = known;
    return embed_give(&out);
}

char *tw_config_defaults(void)
{
    struct buf out = {0};
    config_write_defaults(&out);
    return embed_give(&out);
}

char *tw_config_environment(void)
{
    struct buf out = {0};
    config_write_env(&out);
    return embed_give(&out);
}

char *tw_config_schema(void)
{
    struct buf out = {0};
    config_write_schema(&out);
    return embed_give(&out);
}
