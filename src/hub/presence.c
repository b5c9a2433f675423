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

/* A meta's JSON, shared by the member and the change that tells of it. */
struct text {
    size_t refs, n;
    char bytes[];
};
struct meta {
    struct list link;    /* member->metas */
    struct list leaving; /* presence->leaving, while in its grace time */
    struct member *member;
    uint64_t session, ref, gone_ms;
    struct text *text;
    uint64_t window; /* in which it joined or was updated last, and the change that says so */
    size_t change;
};
struct member {
    struct list metas;
    size_t count;
    size_t key_n;
    char key[];
};
/* What happened to a key in this window. */
struct touched {
    struct list link;         /* in order of the first touch */
    bool was_here;            /* before the first of its changes */
    size_t first[2], last[2]; /* 1 + index of its leaves and joins; 0 = none */
    size_t key_n;
    char key[];
};
struct change {
    bool is_void; /* taken back */
    bool is_handed;
    uint64_t session, ref, ref_prev;
    struct text *text;
    size_t next; /* 1 + index of the next one of this key and side */
};
enum { LEAVES, JOINS };

static struct text *text_new(struct str s)
{
    struct text *t = mem_try(sizeof(*t) + s.n);
    if (!t)
        return NULL;
    t->refs = 1;
    t->n = s.n;
    if (s.n)
        memcpy(t->bytes, s.p, s.n);
    return t;
}

static void text_unref(struct text *t)
{
    if (t && --t->refs == 0)
        mem_free(t);
}

static struct str text_str(const struct text *t)
{
    return str_of(t->bytes, t->n);
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

/* Without u when there is no memory: a state is as large as its members made it. */
static struct builder builder_new(size_t entries, size_t metas, size_t text)
{
    struct builder b = {0};
    size_t fixed = entries * sizeof(*b.entries) + metas * sizeof(*b.metas);
    b.u = mem_try(sizeof(*b.u) + fixed + text);
    if (!b.u)
        return b;
    memset(b.u, 0, sizeof(*b.u) + fixed);
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

/* The change that tells of this meta, if it is of this window. */
static struct change *own_change(const struct presence *pr, const struct meta *m)
{
    return m->window == pr->window && m->change ? &pr->changes[m->change - 1] : NULL;
}

/* What of this key was here when the window began: members that have not changed since, and what
 * has left. */
static void add_before(const struct presence *pr, struct builder *b, struct str key,
                       const struct member *mb)
{
    struct presence_entry e = {.metas = b->metas, .is_edge = true};
    const struct touched *to = map_get(&pr->touched, key);
    for (struct list *l = mb ? mb->metas.next : NULL; l && l != &mb->metas; l = l->next) {
        struct meta *m = LIST_OF(l, struct meta, link);
        if (own_change(pr, m))
            continue;
        *b->metas++ = (struct presence_meta){
            .session = m->session, .ref = m->ref, .meta = builder_text(b, text_str(m->text))};
    }
    for (size_t at = to ? to->first[LEAVES] : 0; at; at = pr->changes[at - 1].next) {
        const struct change *ch = &pr->changes[at - 1];
        *b->metas++ = (struct presence_meta){
            .session = ch->session, .ref = ch->ref, .meta = builder_text(b, text_str(ch->text))};
    }
    e.metas_count = (size_t)(b->metas - e.metas);
    if (!e.metas_count)
        return;
    e.key = builder_text(b, key);
    *b->entries++ = e;
}

struct presence_update *presence_state(const struct channel *c)
{
    const struct presence *pr = &c->presence;
    struct member *mb;
    size_t text = 0;
    for (size_t at = 0; (mb = map_next(&pr->members, &at));) {
        text += mb->key_n;
        for (struct list *l = mb->metas.next; l != &mb->metas; l = l->next)
            text += LIST_OF(l, struct meta, link)->text->n;
    }
    for (size_t i = 0; i < pr->changes_count; i++)
        text += pr->changes[i].text->n;
    for (struct list *l = pr->touched_order.next; l != &pr->touched_order; l = l->next)
        text += LIST_OF(l, struct touched, link)->key_n;
    struct builder b = builder_new(pr->members.count + pr->touched.count,
                                   pr->metas_count + pr->changes_count, text);
    if (!b.u)
        return NULL;
    b.u->is_state = true;
    b.u->joins = b.entries;
    for (size_t at = 0; (mb = map_next(&pr->members, &at));)
        add_before(pr, &b, str_of(mb->key, mb->key_n), mb);
    for (struct list *l = pr->touched_order.next; l != &pr->touched_order; l = l->next) {
        const struct touched *to = LIST_OF(l, struct touched, link);
        struct str key = str_of(to->key, to->key_n);
        if (!map_get(&pr->members, key))
            add_before(pr, &b, key, NULL);
    }
    b.u->joins_count = (size_t)(b.entries - b.u->joins);
    return b.u;
}

/* The changes of one side, grouped by key. */
static size_t build_side(struct channel *c, struct builder *b, int side)
{
    struct presence *pr = &c->presence;
    struct presence_entry *first = b->entries;
    for (struct list *l = pr->touched_order.next; l != &pr->touched_order; l = l->next) {
        const struct touched *to = LIST_OF(l, struct touched, link);
        struct str key = str_of(to->key, to->key_n);
        struct presence_entry e = {.metas = b->metas};
        for (size_t at = to->first[side]; at; at = pr->changes[at - 1].next) {
            const struct change *ch = &pr->changes[at - 1];
            if (ch->is_void)
                continue;
            *b->metas++ = (struct presence_meta){.session = ch->session,
                                                 .ref = ch->ref,
                                                 .ref_prev = ch->ref_prev,
                                                 .is_handed = ch->is_handed,
                                                 .meta = builder_text(b, text_str(ch->text))};
            e.metas_count++;
        }
        if (!e.metas_count)
            continue;
        e.key = builder_text(b, key);
        e.is_edge = side == JOINS ? !to->was_here : !map_get(&pr->members, key);
        *b->entries++ = e;
    }
    return (size_t)(b->entries - first);
}

static void clear_changes(struct presence *pr)
{
    struct list *link;
    for (size_t i = 0; i < pr->changes_count; i++)
        text_unref(pr->changes[i].text);
    pr->changes_count = pr->changes_live = 0;
    while ((link = list_take(&pr->touched_order)))
        mem_free(LIST_OF(link, struct touched, link));
    map_free(&pr->touched);
    pr->window++;
}

static void wake_in(struct channel *c, uint64_t delay_ms);

static void send_update(struct channel *c)
{
    struct presence *pr = &c->presence;
    struct loops *ls = loop_siblings(c->hub->loop);
    struct str name = channel_name(c);
    size_t text = 0;
    if (!pr->changes_live) { /* come and gone: nobody's business */
        clear_changes(pr);
        return;
    }
    for (size_t i = 0; i < pr->changes_count; i++)
        text += pr->changes[i].text->n;
    for (struct list *l = pr->touched_order.next; l != &pr->touched_order; l = l->next)
        text += 2 * LIST_OF(l, struct touched, link)->key_n;
    struct builder b = builder_new(2 * pr->touched.count, pr->changes_count, text);
    if (!b.u) { /* the window stays open until there is memory */
        wake_in(c, CROWD_MS);
        return;
    }
    b.u->joins = b.entries;
    b.u->joins_count = build_side(c, &b, JOINS);
    b.u->leaves = b.entries;
    b.u->leaves_count = build_side(c, &b, LEAVES);
    clear_changes(pr);
    for (uint64_t left = c->loops; left; left &= left - 1) {
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

void presence_flush(struct channel *c)
{
    if (c->presence.changes_count)
        send_update(c);
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

static struct touched *touch(struct presence *pr, struct str key)
{
    struct touched *to = map_get(&pr->touched, key);
    if (to)
        return to;
    to = mem_new(sizeof(*to) + key.n);
    to->was_here = map_get(&pr->members, key) != NULL;
    to->key_n = key.n;
    memcpy(to->key, key.p, key.n);
    map_put(&pr->touched, str_of(to->key, to->key_n), to);
    list_push(&pr->touched_order, &to->link);
    return to;
}

/* The key was touched before the member's list changed. Returns 1 + index. */
static size_t note(struct channel *c, struct touched *to, int side, const struct meta *m,
                   uint64_t ref_prev)
{
    struct presence *pr = &c->presence;
    if (pr->changes_count == pr->changes_capacity)
        pr->changes = mem_grow(pr->changes, &pr->changes_capacity, pr->changes_count + 1,
                               sizeof(*pr->changes));
    pr->changes[pr->changes_count++] = (struct change){
        .session = m->session, .ref = m->ref, .ref_prev = ref_prev, .text = m->text};
    m->text->refs++;
    pr->changes_live++;
    size_t at = pr->changes_count;
    if (to->last[side])
        pr->changes[to->last[side] - 1].next = at;
    else
        to->first[side] = at;
    to->last[side] = at;
    if (pr->members.count > CROWD) {
        wake_in(c, CROWD_MS);
    } else {
        c->presence_task.run = on_turn;
        loop_at_turn_end(c->hub->loop, TURN_FANOUT, &c->presence_task);
    }
    return at;
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
    text_unref(m->text);
    mem_free(m);
}

static void remove_meta(struct channel *c, struct meta *m)
{
    struct presence *pr = &c->presence;
    struct touched *to = touch(pr, str_of(m->member->key, m->member->key_n));
    struct change *own = own_change(pr, m);
    if (own) { /* it came in this window; if it was an update, the leave is noted already */
        own->is_void = true;
        pr->changes_live--;
    } else {
        note(c, to, LEAVES, m, 0);
    }
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

static uint64_t next_ref(struct channel *c)
{
    return (uint64_t)loop_index(c->hub->loop) << 48 | ++c->hub->presence_ref;
}

static int update_meta(struct channel *c, struct meta *m, const struct hub_track *t)
{
    struct presence *pr = &c->presence;
    uint64_t ref_prev = m->ref;
    bool is_handed = m->session != t->session;
    list_drop(&m->leaving);
    m->session = t->session;
    if (str_eq(text_str(m->text), t->meta)) /* who came back says the same again: no news */
        return 0;
    struct text *text = text_new(t->meta);
    if (!text)
        return E_NO_MEMORY;
    struct touched *to = touch(pr, t->key);
    struct change *own = own_change(pr, m);
    if (!own) {
        size_t at = note(c, to, LEAVES, m, 0); /* which may move the changes */
        pr->changes[at - 1].is_handed = is_handed;
    }
    text_unref(m->text);
    m->text = text;
    m->ref = next_ref(c);
    if (own) { /* of one window only the last word is told */
        text_unref(own->text);
        own->text = text;
        text->refs++;
        own->ref = m->ref;
        own->session = m->session;
        return 0;
    }
    m->change = note(c, to, JOINS, m, ref_prev);
    m->window = pr->window;
    return 0;
}

static struct member *member_new(struct presence *pr, struct str key)
{
    struct member *mb = mem_new(sizeof(*mb) + key.n);
    list_init(&mb->metas);
    mb->key_n = key.n;
    memcpy(mb->key, key.p, key.n);
    map_put(&pr->members, str_of(mb->key, mb->key_n), mb);
    return mb;
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
        int err = update_meta(c, m, t);
        t->ref = m->ref;
        return err;
    }
    if (pr->metas_count >= c->hub->config->presence_members_max)
        return E_TOO_MANY;
    struct text *text = text_new(t->meta);
    if (!text)
        return E_NO_MEMORY;
    struct touched *to = touch(pr, t->key);
    if (!mb)
        mb = member_new(pr, t->key);
    m = mem_new(sizeof(*m));
    m->member = mb;
    m->session = t->session;
    m->ref = t->ref = next_ref(c);
    m->text = text;
    list_push(&mb->metas, &m->link);
    mb->count++;
    pr->metas_count++;
    metric_add(M_PRESENCE_MEMBERS, 1);
    m->change = note(c, to, JOINS, m, 0);
    m->window = pr->window;
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
