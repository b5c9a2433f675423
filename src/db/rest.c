/* SPDX-License-Identifier: Apache-2.0 */
/* db_rest: a data API request on the right thread. Everything it needs is copied, since the HTTP
 * request may vanish while a thread is at work. */
#include "base/mem.h"
#include "base/metric.h"
#include "db/db_priv.h"
#include "db/request.h"

enum { ARENA_BYTES_MAX = 64 << 20 };

struct rest_task {
    struct lanes_task task; /* first */
    struct db_rest *rest;
    struct arena arena;   /* texts of the call */
    struct arena scratch; /* of one run */
    struct identity *identity;
    bool to_writer, writes;
    uint64_t began_us;
};

static struct str keep(struct arena *a, struct str s)
{
    return s.n ? arena_dup(a, s) : STR("");
}

static bool run(struct sqlite *h, struct lanes_task *task, struct fault *fault)
{
    struct rest_task *t = (struct rest_task *)task;
    arena_reset(&t->scratch);
    if (!h->writer && request_writes(h, &t->rest->call)) {
        t->to_writer = true;
        return true;
    }
    return request_run(h, &t->rest->call, &t->scratch, &t->rest->answer, fault);
}

static void reset(struct lanes_task *task)
{
    struct rest_task *t = (struct rest_task *)task;
    request_free_answer(&t->rest->answer);
    t->rest->answer = (struct rest_answer){0};
}

static void give_fault(struct rest_task *t)
{
    struct db_rest *r = t->rest;
    struct fault *f = &t->task.fault;
    bool anonymous = r->call.identity && r->call.identity->anonymous;
    r->failed = true;
    memcpy(r->code, f->code, sizeof r->code);
    r->answer.status = strcmp(f->code, "42501") == 0 && anonymous ? 401 : f->status;
    r->answer.content_type = "application/json; charset=utf-8";
    fault_write(f, &r->answer.body);
}

static void done(struct loop *l, struct lanes_task *task)
{
    struct rest_task *t = (struct rest_task *)task;
    if (t->to_writer && !task->failed) {
        t->to_writer = false;
        t->writes = true;
        lanes_post(task->db->writer, l, task);
        return;
    }
    metric_add(t->writes ? M_DATABASE_WRITES : M_DATABASE_READS, 1);
    metric_observe(M_DATABASE_LAG, loop_now_us(l) - t->began_us);
    if (task->failed) {
        metric_add(M_DATABASE_REFUSED, 1);
        give_fault(t);
    }
    t->rest->done(l, t->rest);
}

void db_rest(struct db *db, struct loop *l, struct db_rest *r)
{
    struct rest_task *t = mem_new(sizeof *t);
    struct rest_call *c = &r->call;
    bool writes = c->method != REST_READ && c->method != REST_CALL && c->method != REST_CALL_READ;
    t->arena.max = t->scratch.max = ARENA_BYTES_MAX;
    t->task.db = db;
    t->task.run = run;
    t->task.reset = reset;
    t->task.done = done;
    t->rest = r;
    t->writes = writes;
    t->began_us = loop_now_us(l);
    r->task = t;
    r->failed = false;
    r->answer = (struct rest_answer){0};
    c->name = keep(&t->arena, c->name);
    c->query = keep(&t->arena, c->query);
    c->body = keep(&t->arena, c->body);
    c->key = keep(&t->arena, c->key);
    t->identity = identity_ref((struct identity *)c->identity);
    if (!c->rows_max)
        c->rows_max = db->config.rows_max;
    if (!c->name.p || !c->query.p || !c->body.p || !c->key.p) {
        fault_set(&t->task.fault, "53200", "out of memory");
        t->task.failed = true;
        done(l, &t->task);
        return;
    }
    lanes_post(writes ? db->writer : db_reader(db, l), l, &t->task);
}

void db_rest_clear(struct db_rest *r)
{
    struct rest_task *t = r->task;
    request_free_answer(&r->answer);
    r->answer = (struct rest_answer){0};
    r->task = NULL;
    if (!t)
        return;
    identity_unref(t->identity);
    arena_free(&t->arena);
    arena_free(&t->scratch);
    mem_free(t);
}
