/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotent publishing: the ids of the last minutes and the place each was given, per channel
 * and sender, so that a retry gets the first answer. Bounded by age and count; while an entry
 * waits for the store its retry is told to come again, since nothing is promised yet. Of durable
 * channels the store tells the ids when they are opened: a crash between commit and answer must
 * not make two messages of one. */
#include "hub/hub_priv.h"

#include "base/mem.h"

struct remembered {
    struct list link;
    uint64_t offset, time_ms;
    bool pending;
    size_t key_n;
    char key[];
};

/* Sender and id, with a byte between that cannot stand in either. Not the session: a retry may come
 * by another transport, or to another life of the server. */
static struct str make_key(const struct msg *m, char *out, size_t size)
{
    struct str who = m->sender;
    size_t n = who.n + 1 + m->id.n;
    if (n > size)
        return STR_NONE;
    memcpy(out, who.p, who.n);
    out[who.n] = '\0';
    memcpy(out + who.n + 1, m->id.p, m->id.n);
    return str_of(out, n);
}

static void drop(struct channel *c, struct remembered *r)
{
    map_remove(&c->remembered, str_of(r->key, r->key_n));
    list_drop(&r->link);
    mem_free(r);
}

void remember_trim(struct channel *c, uint64_t now_ms)
{
    const struct hub_config *config = c->hub->config;
    while (!list_is_empty(&c->remembered_order)) {
        struct remembered *r = LIST_OF(c->remembered_order.next, struct remembered, link);
        bool old = r->time_ms + config->idempotency_ms <= now_ms;
        if (!old && c->remembered.count <= config->idempotency_max)
            break;
        drop(c, r);
    }
}

enum remember_state remember_find(struct channel *c, struct hub_publish *p)
{
    char space[1024];
    struct str key = make_key(p->msg, space, sizeof(space));
    remember_trim(c, loop_wall_ms(c->hub->loop));
    struct remembered *r = key.p ? map_get(&c->remembered, key) : NULL;
    if (!r)
        return REMEMBER_NEW;
    if (r->pending)
        return REMEMBER_PENDING;
    p->offset = r->offset;
    p->time_ms = r->time_ms;
    p->duplicate = true;
    memcpy(p->epoch, c->epoch, sizeof(p->epoch));
    return REMEMBER_DONE;
}

void remember_add(struct channel *c, const struct msg *m)
{
    char space[1024];
    struct str key = m->id.n ? make_key(m, space, sizeof(space)) : STR_NONE;
    if (!key.p)
        return;
    struct remembered *r = mem_new(sizeof(*r) + key.n);
    r->offset = m->offset;
    r->time_ms = m->time_ms;
    r->pending = true;
    r->key_n = key.n;
    memcpy(r->key, key.p, key.n);
    map_put(&c->remembered, str_of(r->key, r->key_n), r);
    list_push(&c->remembered_order, &r->link);
}

void remember_settle(struct channel *c, const struct msg *m, bool kept)
{
    char space[1024];
    struct str key = m->id.n ? make_key(m, space, sizeof(space)) : STR_NONE;
    struct remembered *r = key.p ? map_get(&c->remembered, key) : NULL;
    if (!r)
        return;
    if (kept)
        r->pending = false;
    else
        drop(c, r);
}

void remember_stored(struct channel *c, const struct msg *m)
{
    remember_add(c, m);
    remember_settle(c, m, true);
}

void remember_free(struct channel *c)
{
    while (!list_is_empty(&c->remembered_order))
        drop(c, LIST_OF(c->remembered_order.next, struct remembered, link));
    map_free(&c->remembered);
}
