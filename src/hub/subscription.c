/* SPDX-License-Identifier: Apache-2.0 */
/* The listening side: topics of this loop and their members.
 *
 *   NONE --hub_subscribe--> ASKED --on_subscribed--> LIVE
 *   LIVE --deliver says full--> LAGGING --hub_catch_up--> CATCHING_UP --on_subscribed--> LIVE
 *   on_subscribed, full again --> LAGGING;   any --hub_unsubscribe--> NONE
 *
 * What holds: in ASKED and CATCHING_UP the subscription stands in hub->subscriptions under its
 * id, so that an answer finds it or finds that it is gone. In all but NONE it is a member of
 * its topic. sub->offset never falls: a message at or below it is never delivered. */
#include "hub/hub_priv.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"

static struct str id_key(const struct subscription *sub)
{
    return str_of((const char *)&sub->id, sizeof(sub->id));
}

struct topic *topic_find(struct hub *h, struct str name)
{
    return map_get(&h->topics, name);
}

static struct topic *topic_get(struct hub *h, struct str name)
{
    struct topic *t = topic_find(h, name);
    if (t)
        return t;
    t = mem_new(sizeof(*t) + name.n);
    t->hub = h;
    t->name_n = name.n;
    memcpy(t->name, name.p, name.n);
    t->settings = hub_settings(h, name);
    map_put(&h->topics, str_of(t->name, t->name_n), t);
    return t;
}

void topic_free(struct topic *t)
{
    loop_turn_task_drop(&t->task);
    timer_stop(&t->batch_timer);
    for (uint32_t i = 0; i < t->pending_count; i++)
        msg_unref(&t->pending[i]);
    order_log_unref(&t->order);
    mem_free(t->pending);
    bases_free(t);
    mem_free(t->members);
    mem_free(t);
}

void topic_hold(struct topic *t)
{
    t->holds++;
}

void topic_let_go(struct topic *t)
{
    if (--t->holds == 0 && t->is_over)
        topic_free(t);
}

static void send_unsubscribe(struct topic *t)
{
    struct hub *h = t->hub;
    struct str name = str_of(t->name, t->name_n);
    struct mail_unsubscribe *mu = mem_new(sizeof(*mu) + name.n);
    mu->mail.deliver = channel_on_unsubscribe;
    mu->from = loop_index(h->loop);
    mu->name_n = name.n;
    memcpy(mu->name, name.p, name.n);
    loop_post(hub_owner(h, name), &mu->mail);
}

static void member_add(struct topic *t, struct subscription *sub)
{
    if (t->members_count == t->members_capacity) {
        uint32_t capacity = t->members_capacity ? t->members_capacity * 2 : 2;
        t->members = mem_resize(t->members, capacity * sizeof(struct subscription *));
        t->members_capacity = capacity;
    }
    sub->topic = t;
    sub->index = t->members_count;
    t->members[t->members_count++] = sub;
    t->kinds[sub->kind]++;
    metric_add(M_SUBSCRIPTIONS, 1);
}

static void member_drop(struct subscription *sub)
{
    struct topic *t = sub->topic;
    CHECK(t->members[sub->index] == sub);
    t->members[sub->index] = t->members[--t->members_count];
    t->members[sub->index]->index = sub->index;
    t->kinds[sub->kind]--;
    sub->topic = NULL;
    metric_add(M_SUBSCRIPTIONS, -1);
    if (t->members_count)
        return;
    send_unsubscribe(t);
    map_remove(&t->hub->topics, str_of(t->name, t->name_n));
    if (t->holds)
        t->is_over = true;
    else
        topic_free(t);
}

static void ask(struct hub *h, struct subscription *sub, const struct subscribe_options *options,
                bool is_catch_up)
{
    struct topic *t = sub->topic;
    struct str name = str_of(t->name, t->name_n);
    struct mail_subscribe *ms = mem_new(sizeof(*ms) + name.n);
    ms->mail.deliver = channel_on_subscribe;
    ms->from = loop_index(h->loop);
    ms->sub_id = sub->id;
    ms->options = *options;
    ms->is_catch_up = is_catch_up;
    ms->wants_presence = sub->wants_presence && !is_catch_up;
    ms->name_n = name.n;
    memcpy(ms->name, name.p, name.n);
    map_put(&h->subscriptions, id_key(sub), sub);
    loop_post(hub_owner(h, name), &ms->mail);
}

void hub_subscribe(struct hub *h, struct subscription *sub, struct str channel,
                   const struct subscribe_options *options)
{
    CHECK(sub->state == SUB_NONE);
    sub->id = ++h->subscription_id;
    sub->state = SUB_ASKED;
    sub->offset = 0;
    member_add(topic_get(h, channel), sub);
    ask(h, sub, options, false);
}

void hub_unsubscribe(struct hub *h, struct subscription *sub)
{
    if (sub->state == SUB_NONE)
        return;
    if (sub->state == SUB_ASKED || sub->state == SUB_CATCHING_UP)
        map_remove(&h->subscriptions, id_key(sub));
    sub->state = SUB_NONE;
    member_drop(sub);
}

void hub_catch_up(struct hub *h, struct subscription *sub)
{
    if (sub->state != SUB_LAGGING)
        return;
    struct subscribe_options options = {.has_since = true};
    memcpy(options.since.epoch, sub->topic->epoch, sizeof(options.since.epoch));
    options.since.offset = sub->offset;
    sub->state = SUB_CATCHING_UP;
    ask(h, sub, &options, true);
}

void hub_set_kind(struct hub *h, struct subscription *sub, enum encoding_kind kind)
{
    (void)h;
    if (sub->state != SUB_NONE)
        fanout_run(sub->topic); /* what waits was promised to the old kind */
    if (sub->state != SUB_NONE) {
        sub->topic->kinds[sub->kind]--;
        sub->topic->kinds[kind]++;
    }
    sub->kind = (uint8_t)kind;
}

struct str subscription_channel(const struct subscription *sub)
{
    return sub->topic ? str_of(sub->topic->name, sub->topic->name_n) : STR_NONE;
}

const char *subscription_epoch(const struct subscription *sub)
{
    return sub->topic ? sub->topic->epoch : "";
}

const struct channel_settings *subscription_settings(const struct subscription *sub)
{
    return sub->topic->settings;
}

size_t hub_local_count(struct hub *h, struct str channel)
{
    struct topic *t = topic_find(h, channel);
    return t ? t->members_count : 0;
}

struct subscription *hub_local_at(struct hub *h, struct str channel, size_t index)
{
    struct topic *t = topic_find(h, channel);
    return t && index < t->members_count ? t->members[index] : NULL;
}

/* ---- mail from owners ---------------------------------------------------------------- */

/* Takes out what this subscription is not meant to see; returns the new count. */
static size_t keep_wanted(const struct subscription *sub, struct msg **msgs, size_t count)
{
    const struct subscription_ops *ops = hub_subscription_ops();
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct msg *m = msgs[i];
        bool own = m->no_echo && m->sender_session == sub->session;
        bool wanted = !own && !((m->except.n || m->with.n) && ops->wants && !ops->wants(sub, m));
        if (!wanted) {
            msg_unref(&m);
            continue;
        }
        msgs[kept++] = m;
    }
    return kept;
}

static void settle(struct subscription *sub, struct hub_subscribed *answer)
{
    struct topic *t = sub->topic;
    if (answer->err) { /* the callee unsubscribes */
        hub_subscription_ops()->subscribed(sub, answer);
        return;
    }
    memcpy(t->epoch, answer->at.epoch, sizeof(t->epoch));
    answer->missed_count = keep_wanted(sub, answer->missed, answer->missed_count);
    sub->state = SUB_LIVE;
    uint64_t id = sub->id;
    if (answer->gap_to && !answer->reset)
        sub->offset = answer->gap_from - 1; /* until it was told */
    else if (!answer->missed_count)
        sub->offset = answer->at.offset;
    else if (answer->missed[0]->offset)
        sub->offset = answer->missed[0]->offset - 1;
    bool all = hub_subscription_ops()->subscribed(sub, answer);
    if (sub->id != id || sub->state != SUB_LIVE)
        return; /* unsubscribed inside the callback */
    sub->live_since = answer->at.offset;
    if (all)
        sub->offset = answer->at.offset;
    else
        sub->state = SUB_LAGGING;
}

void subscription_on_subscribed(struct loop *l, struct mail *mail)
{
    struct mail_subscribed *ms = (struct mail_subscribed *)(void *)mail;
    struct hub *h = hub_of(l);
    struct subscription *sub =
        map_remove(&h->subscriptions, str_of((const char *)&ms->sub_id, sizeof(ms->sub_id)));
    if (sub)
        settle(sub, &ms->answer);
    for (size_t i = 0; i < ms->answer.missed_count; i++)
        msg_unref(&ms->answer.missed[i]);
    mem_free(ms->answer.missed);
    presence_update_unref(&ms->answer.presence);
    mem_free(ms);
}

void subscription_on_deliver(struct loop *l, struct mail *mail)
{
    struct mail_deliver *md = (struct mail_deliver *)(void *)mail;
    struct topic *t = topic_find(hub_of(l), md->msg->channel);
    if (t)
        fanout_add(t, md->msg);
    msg_unref(&md->msg);
    mem_free(md);
}

void subscription_on_presence(struct loop *l, struct mail *mail)
{
    struct mail_presence *mp = (struct mail_presence *)(void *)mail;
    struct topic *t = topic_find(hub_of(l), str_of(mp->name, mp->name_n));
    if (t)
        fanout_presence(t, mp->update);
    presence_update_unref(&mp->update);
    mem_free(mp);
}
