/* SPDX-License-Identifier: Apache-2.0 */
/* What deltas are made against: while a topic has members who want deltas, the last message of
 * each key (of each event, where there is no key). A delta is made once per message and shared
 * by all who have its base: those to whom every message since before the base was delivered
 * (sub->live_since < base). Others, and all after a message that was not for everybody, get the
 * whole message. Bounded by count and bytes: past them it begins anew, with whole messages. */
#include "hub/hub_priv.h"

#include "base/mem.h"

enum { KEYS_MAX = 1024, BYTES_MAX = 1 << 20 };

struct bases {
    struct map last; /* key -> msg, whose own text is the map's key */
    size_t bytes;
};

static void clear(struct bases *b)
{
    struct msg *m;
    for (size_t at = 0; (m = map_next(&b->last, &at));)
        msg_unref(&m);
    map_free(&b->last);
    b->bytes = 0;
}

void bases_free(struct topic *t)
{
    if (!t->bases)
        return;
    clear(t->bases);
    mem_free(t->bases);
    t->bases = NULL;
}

static bool is_for_everybody(const struct msg *m)
{
    return !m->no_echo && !m->is_volatile && !m->except.n && !m->with.n;
}

struct msg *bases_replace(struct topic *t, struct msg *m)
{
    if (!t->bases)
        t->bases = mem_new(sizeof(*t->bases));
    struct bases *b = t->bases;
    if (b->last.count >= KEYS_MAX || b->bytes > BYTES_MAX)
        clear(b);
    struct str key = m->key.n ? m->key : m->event;
    struct msg *before = map_remove(&b->last, key);
    msg_ref(m);
    map_put(&b->last, key, m);
    b->bytes += m->size;
    if (!before)
        return NULL;
    b->bytes -= before->size;
    bool usable = is_for_everybody(before) && before->format == MSG_JSON && m->format == MSG_JSON &&
                  str_eq(before->key, m->key) && str_eq(before->event, m->event);
    if (!usable)
        msg_unref(&before);
    return before;
}
