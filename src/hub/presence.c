/* SPDX-License-Identifier: Apache-2.0 */
/* Who is here: keys with one or more metas each (one per session that tracks the key).
 *
 * Changes are collected for a turn (for CROWD_MS when the channel is crowded) and go out as one
 * update to each loop; a join and its leave in the same window are nobody's business and
 * vanish. Leaving with a grace time keeps the meta in place: if a session tracks the key again
 * meanwhile, the others see an update instead of going and coming (a page reload).
 *
 * I1  A meta has one owner session; a session has at most one meta per key.
 * I2  The update lists what is true now: applied in order to the state of a subscription's
 *     begin, updates give the owner's state. */
#include "hub/hub_priv.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"

enum { CROWD = 50, CROWD_MS = 50 };

struct meta {
    struct list link;    /* member->metas */
    struct list leaving; /* presence->leaving, while in its grace time */
    struct member *member;
    uint64_t session, ref, gone_ms;
    struct str text; /* owned */
};
struct member {
    struct list metas;
    size_t count;
    size_t key_n;
    char key[];
};
struct change {
    char *key; /* owned */
    size_t key_n;
    bool is_join, was_here; /* was_here: the key, when the window's first change touched it */
    uint64_t session, ref, ref_prev;
    struct str text; /* owned */
};

static struct str copy(struct str s)
{
    return str_of(str_dup(s), s.n);
}

bool presence_is_empty(const struct channel *c)
{
    return !c->presence.members.count && !c->presence.changes_count;
}

/* ---- updates: one block that holds everything ------------------------------------------ */

void presence_update_ref(struct presence_update *u)
{
    ref_take(&u->ref);
}

void presence_update_unref(struct presence_update **u)
{
    struct presence_update *one = *u;
    *u = NULL;
    if (one && ref_drop(&one->ref))
        mem_free(one);
}

struct builder {
    struct presence_update *u;
    struct presence_entry *entries;
    struct presence_meta *metas;
    char *text;
};

static struct builder builder_new(size_t entries, size_t metas, size_t text)
{
    struct builder b;
    b.u = mem_new(sizeof(*b.u) + entries * sizeof(*b.entries) + metas * sizeof(*b.metas) + text);
    ref_init(&b.u->ref);
    b.entries = (struct presence_entry *)(void *)(b.u + 1);
    b.metas = (struct presence_meta *)(void *)(b.entries + entries);
    b.text = (char *)(b.metas + metas);
    return b;
}

static struct str builder_text(struct builder *b, struct str s)
{
    char *p = b->text;
    if (s.n)
        memcpy(p, s.p, s.n);
    b->text += s.n;
    return str_of(p, s.n);
}

struct presence_update *presence_state(const struct channel *c)
{
    const struct presence *pr = &c->presence;
    struct member *mb;
    size_t text = 0;
    for (size_t at = 0; (mb = map_next(&pr->members, &at));) {
        text += mb->key_n;
        for (struct list *l = mb->metas.next; l != &mb->metas; l = l->next)
            text += LIST_OF(l, struct meta, link)->text.n;
    }
    struct builder b = builder_new(pr->members.count, pr->metas_count, text);
    b.u->is_state = true;
    b.u->joins = b.entries;
    b.u->joins_count = pr->members.count;
    for (size_t at = 0; (mb = map_next(&pr->members, &at));) {
        struct presence_entry *e = b.entries++;
        e->key = builder_text(&b, str_of(mb->key, mb->key_n));
        e->metas = b.metas;
        e->metas_count = mb->count;
        e->is_edge = true;
        for (struct list *l = mb->metas.next; l != &mb->metas; l = l->next) {
            struct meta *m = LIST_OF(l, struct meta, link);
            *b.metas++ = (struct presence_meta){
                .session = m->session, .ref = m->ref, .meta = builder_text(&b, m->text)};
        }
    }
    return b.u;
}

/* The changes of one side, grouped by key; quadratic in the keys of one window only. */
static size_t build_side(struct channel *c, struct builder *b, bool joins)
{
    struct presence *pr = &c->presence;
    struct presence_entry *first = b->entries;
    for (size_t i = 0; i < pr->changes_count; i++) {
        struct change *ch = &pr->changes[i];
        if (ch->is_join != joins || !ch->key)
            continue;
        struct str key = str_of(ch->key, ch->key_n);
        struct presence_entry *e = b->entries++;
        e->key = builder_text(b, key);
        e->metas = b->metas;
        e->is_edge = joins ? !ch->was_here : !map_get(&pr->members, key);
        for (size_t j = i; j < pr->changes_count; j++) {
            struct change *same = &pr->changes[j];
            if (same->is_join != joins || !same->key ||
                !str_eq(str_of(same->key, same->key_n), key))
                continue;
            *b->metas++ = (struct presence_meta){.session = same->session,
                                                 .ref = same->ref,
                                                 .ref_prev = same->ref_prev,
                                                 .meta = builder_text(b, same->text)};
            e->metas_count++;
            if (same != ch) {
                mem_free(same->key);
                same->key = NULL;
            }
        }
        mem_free(ch->key);
        ch->key = NULL;
    }
    return (size_t)(b->entries - first);
}

static void clear_changes(struct presence *pr)
{
    for (size_t i = 0; i < pr->changes_count; i++) {
        mem_free(pr->changes[i].key);
        mem_free((char *)pr->changes[i].text.p);
    }
    pr->changes_count = 0;
}

static void send_update(struct channel *c)
{
    struct presence *pr = &c->presence;
    struct loops *ls = loop_siblings(c->hub->loop);
    size_t text = 0;
    if (!pr->changes_count)
        return;
    for (size_t i = 0; i < pr->changes_count; i++)
        text += pr->changes[i].key_n + pr->changes[i].text.n;
    struct builder b = builder_new(pr->changes_count, pr->changes_count, text);
    b.u->joins = b.entries;
    b.u->joins_count = build_side(c, &b, true);
    b.u->leaves = b.entries;
    b.u->leaves_count = build_side(c, &b, false);
    clear_changes(pr);
    for (uint64_t left = c->loops; left; left &= left - 1) {
        struct str name = channel_name(c);
        struct mail_presence *mp = mem_new(sizeof(*mp) + name.n);
        mp->mail.deliver = subscription_on_presence;
        mp->update = b.u;
        presence_update_ref(b.u);
        mp->name_n = name.n;
        memcpy(mp->name, name.p, name.n);
        loop_post(loops_at(ls, (unsigned)__builtin_ctzll(left)), &mp->mail);
    }
    presence_update_unref(&b.u);
}

static void on_turn(struct loop *l, struct turn_task *task)
{
    (void)l;
    send_update(LIST_OF(task, struct channel, presence_task));
}

static void remove_meta(struct channel *c, struct meta *m);

static void on_timer(struct loop *l, struct timer *timer)
{
    struct channel *c = LIST_OF(timer, struct channel, presence_timer);
    struct presence *pr = &c->presence;
    uint64_t now_ms = loop_now_ms(l), next_ms = 0;
    for (struct list *at = pr->leaving.next, *next; at != &pr->leaving; at = next) {
        next = at->next;
        struct meta *m = LIST_OF(at, struct meta, leaving);
        if (m->gone_ms <= now_ms)
            remove_meta(c, m);
        else if (!next_ms || m->gone_ms < next_ms)
            next_ms = m->gone_ms;
    }
    send_update(c);
    if (next_ms)
        timer_set(l, timer, next_ms - now_ms, on_timer);
}

static void wake_in(struct channel *c, uint64_t delay_ms)
{
    struct loop *l = c->hub->loop;
    struct timer *t = &c->presence_timer;
    if (!timer_is_set(t) || t->due_ms > loop_now_ms(l) + delay_ms)
        timer_set(l, t, delay_ms, on_timer);
}

/* ---- changes --------------------------------------------------------------------------- */

static bool was_here(const struct presence *pr, struct str key)
{
    for (size_t i = 0; i < pr->changes_count; i++)
        if (str_eq(str_of(pr->changes[i].key, pr->changes[i].key_n), key))
            return pr->changes[i].was_here;
    return map_get(&pr->members, key) != NULL;
}

/* A leave of a meta that joined in this window takes the join back. */
static bool take_back(struct presence *pr, uint64_t ref)
{
    for (size_t i = 0; i < pr->changes_count; i++) {
        struct change *ch = &pr->changes[i];
        if (!ch->is_join || ch->ref != ref || ch->ref_prev)
            continue;
        mem_free(ch->key);
        mem_free((char *)ch->text.p);
        memmove(ch, ch + 1, (pr->changes_count - i - 1) * sizeof(*ch));
        pr->changes_count--;
        return true;
    }
    return false;
}

static void note(struct channel *c, bool is_join, bool here, const struct meta *m,
                 uint64_t ref_prev)
{
    struct presence *pr = &c->presence;
    if (pr->changes_count == pr->changes_capacity)
        pr->changes = mem_grow(pr->changes, &pr->changes_capacity, pr->changes_count + 1,
                               sizeof(*pr->changes));
    struct str key = str_of(m->member->key, m->member->key_n);
    pr->changes[pr->changes_count++] = (struct change){.key = str_dup(key),
                                                       .key_n = key.n,
                                                       .is_join = is_join,
                                                       .was_here = here,
                                                       .session = m->session,
                                                       .ref = m->ref,
                                                       .ref_prev = ref_prev,
                                                       .text = copy(m->text)};
    if (pr->members.count > CROWD) {
        wake_in(c, CROWD_MS);
    } else {
        c->presence_task.run = on_turn;
        loop_at_turn_end(c->hub->loop, TURN_FANOUT, &c->presence_task);
    }
}

static void free_meta(struct presence *pr, struct meta *m)
{
    struct member *mb = m->member;
    list_drop(&m->link);
    list_drop(&m->leaving);
    pr->metas_count--;
    metric_add(M_PRESENCE_MEMBERS, -1);
    if (--mb->count == 0) {
        map_remove(&pr->members, str_of(mb->key, mb->key_n));
        mem_free(mb);
    }
    mem_free((char *)m->text.p);
    mem_free(m);
}

static void remove_meta(struct channel *c, struct meta *m)
{
    struct presence *pr = &c->presence;
    bool here = was_here(pr, str_of(m->member->key, m->member->key_n));
    if (!take_back(pr, m->ref))
        note(c, false, here, m, 0);
    free_meta(pr, m);
}

static struct meta *find(struct member *mb, uint64_t session)
{
    for (struct list *l = mb->metas.next; l != &mb->metas; l = l->next) {
        struct meta *m = LIST_OF(l, struct meta, link);
        if (m->session == session)
            return m;
    }
    return NULL;
}

/* Somebody's meta under this key that is only waiting for its grace to end. */
static struct meta *find_leaving(struct member *mb)
{
    for (struct list *l = mb->metas.next; l != &mb->metas; l = l->next) {
        struct meta *m = LIST_OF(l, struct meta, link);
        if (list_linked(&m->leaving))
            return m;
    }
    return NULL;
}

static void update_meta(struct channel *c, struct meta *m, const struct hub_track *t)
{
    struct presence *pr = &c->presence;
    bool same = str_eq(m->text, t->meta);
    list_drop(&m->leaving);
    if (same) { /* who came back within the lease or grace says the same again: no news */
        m->session = t->session;
        return;
    }
    uint64_t ref_prev = m->ref;
    bool here = was_here(pr, t->key);
    bool fresh = take_back(pr, m->ref);
    if (!fresh)
        note(c, false, here, m, 0);
    mem_free((char *)m->text.p);
    m->text = copy(t->meta);
    m->session = t->session;
    m->ref = (uint64_t)loop_index(c->hub->loop) << 48 | ++c->hub->presence_ref;
    note(c, true, here, m, fresh ? 0 : ref_prev);
}

static int track(struct channel *c, struct hub_track *t)
{
    struct presence *pr = &c->presence;
    if (!c->settings->presence)
        return E_UNSUPPORTED;
    struct member *mb = map_get(&pr->members, t->key);
    struct meta *m = mb ? find(mb, t->session) : NULL;
    if (!m && mb)
        m = find_leaving(mb);
    if (m) {
        update_meta(c, m, t);
        t->ref = m->ref;
        return 0;
    }
    if (pr->metas_count >= c->hub->config->presence_members_max)
        return E_TOO_MANY;
    bool here = was_here(pr, t->key);
    if (!mb) {
        mb = mem_new(sizeof(*mb) + t->key.n);
        list_init(&mb->metas);
        mb->key_n = t->key.n;
        memcpy(mb->key, t->key.p, t->key.n);
        map_put(&pr->members, str_of(mb->key, mb->key_n), mb);
    }
    m = mem_new(sizeof(*m));
    m->member = mb;
    m->session = t->session;
    m->ref = t->ref = (uint64_t)loop_index(c->hub->loop) << 48 | ++c->hub->presence_ref;
    m->text = copy(t->meta);
    list_push(&mb->metas, &m->link);
    mb->count++;
    pr->metas_count++;
    metric_add(M_PRESENCE_MEMBERS, 1);
    note(c, true, here, m, 0);
    return 0;
}

static void leave(struct channel *c, struct meta *m, uint64_t grace_ms)
{
    if (!grace_ms) {
        remove_meta(c, m);
        return;
    }
    m->gone_ms = loop_now_ms(c->hub->loop) + grace_ms;
    list_drop(&m->leaving);
    list_push(&c->presence.leaving, &m->leaving);
    wake_in(c, grace_ms);
}

int presence_apply(struct channel *c, struct hub_track *t)
{
    CHECK(t->session);
    if (!t->is_untrack)
        return track(c, t);
    struct member *mb = map_get(&c->presence.members, t->key);
    struct meta *m = mb ? find(mb, t->session) : NULL;
    if (m)
        leave(c, m, t->grace_ms);
    return 0;
}

void presence_free(struct channel *c)
{
    struct presence *pr = &c->presence;
    struct member *mb;
    for (size_t at = 0; (mb = map_next(&pr->members, &at));) {
        size_t left = mb->count; /* freeing the last one frees the member */
        while (left--)
            free_meta(pr, LIST_OF(mb->metas.next, struct meta, link));
    }
    clear_changes(pr);
    mem_free(pr->changes);
    map_free(&pr->members);
}
