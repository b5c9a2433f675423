/* SPDX-License-Identifier: Apache-2.0 */
/* The life of sessions; see the drawing in session.h. One timer a session stands for whatever
 * is due next: the notice before its token expires, the expiry, the end of the lease of its
 * presence and of the wait for its client. */
#include "session/session_priv.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

struct session_home *session_home_of(struct loop *l)
{
    return loop_slot(l, LOOP_SLOT_SESSION);
}

static struct str id_of(const void *session)
{
    const struct session *s = session;
    return str_of((const char *)&s->id, sizeof(s->id));
}

void session_setup(struct loops *ls, const struct session_config *config, struct keyring *keys,
                   struct rules *rules, struct policy *policy)
{
    struct tally *users = NULL;
    if (config->connections_per_identity_max || config->identity_messages_per_second)
        users = tally_new();
    hub_set_subscription_ops(&deliver_ops);
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct session_home *home = mem_new(sizeof(*home));
        home->loop = loops_at(ls, i);
        home->config = config;
        home->auth = auth_new(keys);
        home->rules = rules_ref(rules);
        home->policy = policy;
        home->users = users;
        home->by_id.key_of = id_of;
        home->tickets.key_of = resume_ticket_of;
        loop_slot_set(home->loop, LOOP_SLOT_SESSION, home);
    }
}

static void free_dead(struct loop *l, struct turn_task *task)
{
    (void)l;
    struct session_home *home = LIST_OF(task, struct session_home, free_task);
    struct session *s;
    struct session_sub *ss;
    while ((s = home->graveyard)) {
        home->graveyard = s->next;
        mem_free(s->extra);
        mem_free(s);
    }
    while ((ss = home->graveyard_subs)) {
        home->graveyard_subs = ss->next;
        mem_free(ss);
    }
}

static void free_soon(struct session_home *home)
{
    home->free_task.run = free_dead;
    loop_at_turn_end(home->loop, TURN_FREE, &home->free_task);
}

void session_teardown(struct loops *ls)
{
    struct tally *users = session_home_of(loops_at(ls, 0))->users;
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct session_home *home = session_home_of(loops_at(ls, i));
        home->is_over = true;
        struct session *s;
        for (size_t at = 0; (s = table_next(&home->by_id, &at));)
            session_end(s, E_DRAINING, true);
        CHECK(!home->by_id.count);
        loop_turn_task_drop(&home->free_task);
        free_dead(home->loop, &home->free_task);
        fetch_signposts_free(home);
        auth_free(&home->auth);
        rules_unref(home->rules);
        table_free(&home->by_id);
        table_free(&home->tickets);
        buf_free(&home->scratch);
        loop_slot_set(home->loop, LOOP_SLOT_SESSION, NULL);
        mem_free(home);
    }
    tally_free(&users);
}

void session_reload(struct loop *l, struct keyring *keys, struct rules *rules)
{
    struct session_home *home = session_home_of(l);
    auth_set_keyring(home->auth, keys);
    rules_unref(home->rules);
    home->rules = rules_ref(rules);
}

const struct session_config *session_config_of(struct loop *l)
{
    return session_home_of(l)->config;
}

struct auth *session_auth(struct loop *l)
{
    return session_home_of(l)->auth;
}

int session_verify(struct loop *l, struct str token, struct identity **out,
                   struct auth_verdict *verdict)
{
    int err = auth_verify(session_home_of(l)->auth, token, loop_wall_ms(l), out, verdict);
    if (err)
        metric_add(M_AUTH_FAILURES, 1);
    return err;
}

/* ---- open and end --------------------------------------------------------------------- */

struct session_extra *session_need(struct session *s)
{
    if (!s->extra) {
        s->extra = mem_new(sizeof(*s->extra));
        s->extra->session = s;
        list_init(&s->extra->tracked);
    }
    return s->extra;
}

static void name_session(struct session *s)
{
    uint8_t chance[12];
    loop_random(s->home->loop, chance, sizeof(chance));
    chance[7] = (uint8_t)loop_index(s->home->loop);
    chance[0] |= 1;                        /* 0 is nobody */
    memcpy(&s->id, chance, sizeof(s->id)); /* so a name tells the id: session_find_name */
    base64url_put(s->name, chance, sizeof(chance));
}

struct session *session_open(struct loop *l, const struct session_open *o)
{
    struct session_home *home = session_home_of(l);
    size_t max = home->config->sessions_max / loops_count(loop_siblings(l));
    if (home->by_id.count >= max)
        return NULL;
    struct session *s = mem_new(sizeof(*s));
    s->home = home;
    s->ops = o->ops;
    if (!limits_enter(s, o->outlet, o->identity)) {
        mem_free(s->extra);
        mem_free(s);
        return NULL;
    }
    s->outlet = o->outlet;
    s->user = o->user;
    s->identity = identity_ref(o->identity);
    s->keeps_positions = o->keeps_positions;
    s->exact_frames = o->exact_frames;
    s->names_place = o->names_place;
    s->needs_token = o->needs_token;
    if (o->needs_token)
        session_need(s)->token_until_ms = loop_now_ms(l) + home->config->token_ms;
    s->resume_ms = o->resume_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)o->resume_ms;
    if (o->echo_as)
        session_need(s)->echo_as = o->echo_as;
    s->state = SESSION_OPEN;
    name_session(s);
    session_enlist(home, s);
    metric_add(M_SESSIONS, 1);
    session_watch(s);
    session_tell(s, "open", 0);
    return s;
}

void session_enlist(struct session_home *home, struct session *s)
{
    s->home = home;
    table_put(&home->by_id, s);
}

void session_delist(struct session *s)
{
    if (s->extra)
        timer_stop(&s->extra->timer);
    table_remove(&s->home->by_id, id_of(s));
}

void session_end(struct session *s, int err, bool leave_now)
{
    struct session_home *home = s->home;
    if (s->state == SESSION_ENDED)
        return;
    log_debug("session", "end", "session=%.*s err=%d", STR_ARG(session_name(s)), err);
    session_tell(s, "end", err);
    s->state = SESSION_ENDED;
    session_untrack_all(s, leave_now ? 0 : home->config->presence_grace_ms);
    position_free(s); /* first: no subscription need be looked for in it */
    while (s->last_sub)
        session_sub_drop(s, session_sub_first(s));
    resume_ticket_leave(s);
    limits_leave(s);
    session_delist(s);
    metric_add(M_SESSIONS, -1);
    if (s->ops->ended)
        s->ops->ended(s, err);
    identity_unref(s->identity);
    s->identity = NULL;
    s->outlet = NULL;
    s->next = home->graveyard;
    home->graveyard = s;
    free_soon(home);
}

/* ---- time ------------------------------------------------------------------------------ */

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return !a || (b && b < a) ? b : a;
}

static void expire(struct session *s)
{
    if (s->ops->expired && s->ops->expired(s))
        return;
    if (s->state == SESSION_DETACHED)
        session_end(s, E_TOKEN_EXPIRED, true);
    else if (s->state == SESSION_OPEN && s->outlet)
        outlet_close(s->outlet, E_TOKEN_EXPIRED, STR_NONE);
}

static void on_timer(struct loop *l, struct timer *timer)
{
    struct session_extra *x = LIST_OF(timer, struct session_extra, timer);
    struct session *s = x->session;
    uint64_t now_ms = loop_now_ms(l), wall_ms = loop_wall_ms(l);
    uint64_t expires_ms =
        s->state == SESSION_DETACHED && s->ops->place ? 0 : s->identity->expires_ms;
    if (s->state == SESSION_DETACHED && x->lease_until_ms && x->lease_until_ms <= now_ms) {
        x->lease_until_ms = 0;
        session_untrack_all(s, 0);
    }
    if (s->state == SESSION_DETACHED && x->resume_until_ms <= now_ms) {
        session_end(s, E_TIMEOUT, true);
        return;
    }
    if (x->ask_ms && x->ask_ms <= now_ms && s->state == SESSION_OPEN) {
        x->ask_ms = 0;
        s->is_asked = true;
        s->outlet->ops->ask(s->outlet);
    }
    if (x->look_ms && x->look_ms <= now_ms) {
        x->look_ms = 0;
        session_drained(s);
    }
    if (s->needs_token && x->token_until_ms <= now_ms && s->state == SESSION_OPEN) {
        outlet_close(s->outlet, E_TOKEN_REQUIRED, STR_NONE);
        return;
    }
    if (expires_ms && expires_ms <= wall_ms) {
        expire(s);
        if (s->state == SESSION_OPEN && s->identity->expires_ms <= wall_ms)
            return; /* it said so; a fresh token sets the timer again */
    } else if (expires_ms && !s->is_warned && s->state == SESSION_OPEN &&
               expires_ms - wall_ms <= s->home->config->expiring_ms) {
        s->is_warned = true;
        if (s->ops->expiring)
            s->ops->expiring(s, expires_ms - wall_ms);
    }
    if (s->state != SESSION_ENDED)
        session_watch(s);
}

void session_watch(struct session *s)
{
    struct loop *l = s->home->loop;
    struct session_extra *x = s->extra;
    uint64_t now_ms = loop_now_ms(l), wall_ms = loop_wall_ms(l), due_ms = 0;
    uint64_t expires_ms = s->identity->expires_ms, notice_ms = s->home->config->expiring_ms;
    if (s->state == SESSION_DETACHED && s->ops->place)
        expires_ms = 0; /* who takes it up brings a token that is good then */
    if (expires_ms > wall_ms) {
        uint64_t left_ms = expires_ms - wall_ms;
        due_ms = now_ms + (s->is_warned || left_ms <= notice_ms ? left_ms : left_ms - notice_ms);
        if (!s->is_warned && left_ms <= notice_ms && s->state == SESSION_OPEN)
            due_ms = now_ms; /* say it at once */
    } else if (expires_ms) {
        due_ms = now_ms;
    }
    if (s->needs_token && s->state == SESSION_OPEN)
        due_ms = sooner(due_ms, x->token_until_ms);
    if (s->state == SESSION_DETACHED)
        due_ms = sooner(due_ms, sooner(x->lease_until_ms, x->resume_until_ms));
    else if (x)
        due_ms = sooner(due_ms, sooner(x->look_ms, x->ask_ms));
    if (due_ms)
        timer_set(l, &session_need(s)->timer, due_ms > now_ms ? due_ms - now_ms : 1, on_timer);
    else if (x)
        timer_stop(&x->timer);
}

int session_authenticate(struct session *s, struct str token, struct auth_verdict *verdict)
{
    struct identity *id = NULL;
    int err = session_verify(s->home->loop, token, &id, verdict);
    if (err)
        return err;
    if (s->identity->sub.n && !str_eq(s->identity->sub, id->sub)) {
        identity_unref(id);
        return E_ACCESS_DENIED;
    }
    if (!limits_enter(s, s->outlet, id)) {
        identity_unref(id);
        return E_TOO_MANY;
    }
    session_set_identity(s, id);
    identity_unref(id);
    return 0;
}

void session_set_identity(struct session *s, struct identity *identity)
{
    struct identity *old = s->identity;
    s->identity = identity_ref(identity);
    identity_unref(old);
    s->is_warned = s->needs_token = false;
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss))
        if (ss->table)
            subtable_identify(ss);
    session_watch(s);
}

enum { NS_EACH_MS = 1000000, NS_EACH_S = 1000000000 };

/* A message costs the time in which the rate allows one; what is paid for reaches into the future
 * by at most the burst's worth before input waits. */
static uint64_t price_ns(const struct session_config *config)
{
    return NS_EACH_S / config->messages_per_second;
}

void session_charge(struct session *s)
{
    const struct session_config *config = s->home->config;
    uint64_t now_ns = loop_now_ms(s->home->loop) * NS_EACH_MS;
    limits_spend(s);
    if (!config->messages_per_second)
        return;
    if (s->paid_until_ns < now_ns)
        s->paid_until_ns = now_ns;
    s->paid_until_ns += price_ns(config);
}

uint64_t session_hold_ms(struct session *s)
{
    const struct session_config *config = s->home->config;
    uint64_t user_ms = limits_hold_ms(s), own_ms = 0;
    if (config->messages_per_second) {
        uint64_t now_ns = loop_now_ms(s->home->loop) * NS_EACH_MS;
        uint64_t free_ns = now_ns + config->messages_burst * price_ns(config);
        if (s->paid_until_ns > free_ns)
            own_ms = (s->paid_until_ns - free_ns) / NS_EACH_MS + 1;
    }
    return own_ms > user_ms ? own_ms : user_ms;
}

/* ---- subscriptions ---------------------------------------------------------------------- */

static void sub_link(struct session *s, struct session_sub *ss)
{
    ss->next = s->last_sub ? s->last_sub->next : ss;
    if (s->last_sub)
        s->last_sub->next = ss;
    s->last_sub = ss;
}

/* The one before it is looked for from the last one on: the first goes quickly. */
static void sub_unlink(struct session *s, struct session_sub *ss)
{
    struct session_sub *before = s->last_sub;
    while (before->next != ss)
        before = before->next;
    before->next = ss->next;
    if (s->last_sub == ss)
        s->last_sub = before == ss ? NULL : before;
}

struct session_sub *session_sub_new(struct session *s)
{
    struct session_sub *ss = mem_new(sizeof(*ss));
    ss->session = s;
    ss->sub.session = session_echo(s);
    sub_link(s, ss);
    return ss;
}

void session_sub_to_end(struct session *s, struct session_sub *ss)
{
    sub_unlink(s, ss);
    sub_link(s, ss);
}

void session_sub_drop(struct session *s, struct session_sub *ss)
{
    if (s->ops->unsubscribed)
        s->ops->unsubscribed(s, ss);
    position_forget(s, ss);
    hub_unsubscribe(hub_of(s->home->loop), &ss->sub);
    if (ss->table)
        subtable_free(ss);
    resume_free_parked(ss);
    place_forget(ss);
    mem_free(ss->ref);
    ss->ref = NULL;
    sub_unlink(s, ss);
    ss->next = s->home->graveyard_subs; /* not freed yet: a fan-out may be at it */
    s->home->graveyard_subs = ss;
    free_soon(s->home);
}

void session_unsubscribe(struct session *s, struct session_sub *ss)
{
    session_sub_drop(s, ss);
}

struct str session_sub_channel(const struct session_sub *ss)
{
    if (ss->sub.topic)
        return subscription_channel(&ss->sub);
    return ss->parked ? str_of(ss->parked->name, ss->parked->name_n) : STR_NONE;
}

struct session_sub *session_sub_first(struct session *s)
{
    return s->last_sub ? s->last_sub->next : NULL;
}

struct session_sub *session_sub_next(struct session *s, struct session_sub *ss)
{
    return ss == s->last_sub ? NULL : ss->next;
}

struct session_sub *session_sub_last(struct session *s)
{
    return s->last_sub;
}

struct session_sub *session_sub_find(struct session *s, struct str channel)
{
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss))
        if (str_eq(session_sub_channel(ss), channel))
            return ss;
    return NULL;
}

enum encoding_kind session_sub_kind(const struct session_sub *ss)
{
    return (enum encoding_kind)(ss->parked ? ss->parked->kind : ss->sub.kind);
}

void session_set_kind(struct session *s, struct session_sub *ss, enum encoding_kind kind)
{
    if (ss->parked)
        ss->parked->kind = (uint8_t)kind;
    hub_set_kind(hub_of(s->home->loop), &ss->sub, kind);
}

void session_confirm(struct session *s, uint64_t position)
{
    position_fold(s, position);
    s->is_asked = false;
    position_ask(s);
}

void session_ask_in(struct session *s, uint64_t ms)
{
    uint64_t due_ms = loop_now_ms(s->home->loop) + ms;
    if (s->is_asked || s->state != SESSION_OPEN || !s->outlet || !s->outlet->ops->ask)
        return;
    struct session_extra *x = session_need(s);
    if (x->ask_ms && x->ask_ms <= due_ms)
        return;
    x->ask_ms = due_ms;
    session_watch(s);
}

/* ---- all of a loop ----------------------------------------------------------------------- */

size_t session_drain(struct loop *l, size_t most, uint64_t within_ms)
{
    struct session_home *home = session_home_of(l);
    size_t left = 0;
    struct session *s;
    for (size_t at = 0; (s = table_next(&home->by_id, &at));) {
        if (s->state != SESSION_OPEN || !s->ops->reconnect || !s->outlet || s->is_told)
            continue;
        if (most == 0) {
            left++;
            continue;
        }
        most--;
        s->is_told = true;
        s->ops->reconnect(s, within_ms ? loop_random_u64(l) % within_ms : 0);
    }
    return left;
}

void session_each(struct loop *l, void (*fn)(struct session *s, void *arg), void *arg)
{
    struct session_home *home = session_home_of(l);
    struct session *s;
    for (size_t at = 0; (s = table_next(&home->by_id, &at));)
        fn(s, arg);
}

void session_set_monitor(struct loop *l,
                         void (*fn)(const struct session *s, const char *what, int err))
{
    session_home_of(l)->monitor = fn;
}

size_t session_count(struct loop *l)
{
    return session_home_of(l)->by_id.count;
}

struct session *session_find(struct loop *l, uint64_t id)
{
    return table_get(&session_home_of(l)->by_id, str_of((char *)&id, sizeof(id)));
}

uint64_t session_id(const struct session *s)
{
    return s->id;
}

uint64_t session_echo(const struct session *s)
{
    return s->extra && s->extra->echo_as ? s->extra->echo_as : s->id;
}

struct str session_name(const struct session *s)
{
    return str_of(s->name, sizeof(s->name));
}

struct loop *session_loop(const struct session *s)
{
    return s->home->loop;
}

struct identity *session_identity(const struct session *s)
{
    return s->identity;
}

struct outlet *session_outlet(const struct session *s)
{
    return s->outlet;
}

const struct session_ops *session_dialect(const struct session *s)
{
    return s->ops;
}

void *session_user(const struct session *s)
{
    return s->user;
}

void session_set_user(struct session *s, void *user)
{
    s->user = user;
}

void session_set_outlet(struct session *s, struct outlet *outlet)
{
    CHECK(s->state == SESSION_OPEN && outlet);
    limits_leave(s);
    s->outlet = outlet;
    (void)limits_enter(s, outlet, s->identity); /* it has just given up a place */
}

struct session *session_find_name(struct loop *l, struct str name)
{
    uint64_t id;
    struct buf b = {0};
    struct session *s = NULL;
    if (name.n >= 16 && base64url_decode(&b, str_head(name, 16)) && b.n == 12) {
        memcpy(&id, b.p, sizeof(id));
        s = session_find(l, id);
    }
    buf_free(&b);
    return s && str_eq(session_name(s), str_head(name, 16)) ? s : NULL;
}

bool session_is_open(const struct session *s)
{
    return s->state == SESSION_OPEN;
}

bool session_is_detached(const struct session *s)
{
    return s->state == SESSION_DETACHED;
}

size_t session_subs_count(const struct session *s)
{
    size_t count = 0;
    for (struct session_sub *ss = s->last_sub; ss; ss = ss->next == s->last_sub ? NULL : ss->next)
        count++;
    return count;
}
