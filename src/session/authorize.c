/* SPDX-License-Identifier: Apache-2.0 */
/* The asking half of the gate: which operations a request is made of, what the rules say of
 * each, and, where a rule wants it, the policy's answer. While a policy thinks the request is
 * parked as a copy; the session may end meanwhile, so it is found again by id. Fail closed. */
#include "session/session_priv.h"

#include "base/mem.h"
#include "base/metric.h"

enum { OPS_MAX = 3 };

struct ops {
    enum auth_op list[OPS_MAX];
    size_t count;
};

static struct ops ops_of(const struct request *r)
{
    struct ops ops = {0};
    switch (r->type) {
    case REQUEST_SUBSCRIBE:
        if (!r->no_messages)
            ops.list[ops.count++] = AUTH_SUBSCRIBE;
        if (r->since.history || (r->since.has_since && !r->resumes))
            ops.list[ops.count++] = AUTH_HISTORY;
        if (r->presence)
            ops.list[ops.count++] = AUTH_PRESENCE;
        break;
    case REQUEST_PUBLISH:
        ops.list[ops.count++] = AUTH_PUBLISH;
        break;
    case REQUEST_TRACK:
        ops.list[ops.count++] = AUTH_TRACK;
        break;
    case REQUEST_PRESENCE:
        ops.list[ops.count++] = AUTH_PRESENCE;
        break;
    case REQUEST_HISTORY:
        ops.list[ops.count++] = AUTH_HISTORY;
        break;
    case REQUEST_UNSUBSCRIBE:
    case REQUEST_UNTRACK:
        break;
    }
    return ops;
}

struct parked_request {
    struct policy_question question;
    struct request request;
    struct arena arena;
    struct session_home *home;
    uint64_t session_id;
    size_t next; /* op to be decided after this one */
};

static void decide(struct session *s, const struct request *r, size_t from,
                   struct parked_request *parked);

static void unpark(struct parked_request *p)
{
    identity_unref(p->question.identity);
    arena_free(&p->arena);
    mem_free(p);
}

/* True when the request may go on without this op. */
static bool is_optional(struct request *r, enum auth_op op)
{
    if (op != AUTH_PRESENCE || r->type != REQUEST_SUBSCRIBE || !r->presence_optional)
        return false;
    r->presence = false;
    return true;
}

static void on_policy(struct policy_question *q, int err)
{
    struct parked_request *p = (struct parked_request *)(void *)q;
    struct session *s = session_find(p->home->loop, p->session_id);
    if (!s || s->state != SESSION_OPEN) {
        unpark(p);
        return;
    }
    if (q->identity != s->identity) { /* it was asked for somebody who is no more: from the start */
        decide(s, &p->request, 0, p);
        return;
    }
    if (err && !is_optional(&p->request, q->op)) {
        request_refuse(s, &p->request, err, NULL);
        unpark(p);
        return;
    }
    decide(s, &p->request, p->next, p);
}

/* NULL when there is no memory for the copy. */
static struct parked_request *park(struct session *s, const struct request *r)
{
    struct parked_request *p = mem_new(sizeof(*p));
    struct arena *a = &p->arena;
    p->home = s->home;
    p->session_id = s->id;
    p->request = *r;
    struct request *c = &p->request;
    struct str *texts[] = {&c->channel,
                           &c->ref,
                           &c->key,
                           &c->meta,
                           &c->message.event,
                           &c->message.content,
                           &c->message.attachments,
                           &c->message.id,
                           &c->message.key,
                           &c->message.except,
                           &c->message.with};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!texts[i]->n)
            continue;
        *texts[i] = arena_dup(a, *texts[i]);
        if (!texts[i]->p) {
            unpark(p);
            return NULL;
        }
    }
    return p;
}

static void ask(struct session *s, struct parked_request *p, enum auth_op op, size_t next)
{
    identity_unref(p->question.identity);
    p->next = next;
    p->question = (struct policy_question){.identity = identity_ref(s->identity),
                                           .op = op,
                                           .channel = p->request.channel,
                                           .home = s->home->loop,
                                           .done = on_policy};
    policy_ask(s->home->policy, &p->question);
}

static void decide(struct session *s, const struct request *r, size_t from,
                   struct parked_request *parked)
{
    struct ops ops = ops_of(r);
    struct request own = *r;
    for (size_t i = from; i < ops.count; i++) {
        int err = auth_allows(s->home->rules, s->identity, ops.list[i], own.channel);
        if (err == AUTH_ASK) {
            struct parked_request *p = parked ? parked : park(s, &own);
            if (!p) {
                request_refuse(s, &own, E_NO_MEMORY, NULL);
                return;
            }
            p->request.presence = own.presence;
            ask(s, p, ops.list[i], i + 1);
            return;
        }
        if (err && !is_optional(&own, ops.list[i])) {
            metric_add(M_ACCESS_DENIED, 1);
            request_refuse(s, &own, err, NULL);
            if (parked)
                unpark(parked);
            return;
        }
    }
    request_perform(s, &own);
    if (parked)
        unpark(parked);
}

void authorize_request(struct session *s, const struct request *r)
{
    decide(s, r, 0, NULL);
}
