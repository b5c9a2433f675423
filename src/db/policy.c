/* SPDX-License-Identifier: Apache-2.0 */
/* Private channels by policies of realtime_messages (auth/policy.h), as Supabase has them: a
 * message that is not in the table is judged, with the channel as its topic and "broadcast" or
 * "presence" as its extension. Who may see it may listen, who may insert it may send. */
#include "base/json.h"
#include "base/mem.h"
#include "db/db_priv.h"
#include "db/rls.h"
#include "db/rowimage.h"

struct db_policy {
    struct policy base; /* first */
    struct db *db;
};
struct policy_task {
    struct lanes_task task; /* first */
    struct policy_question *question;
    bool allowed;
};

static bool is_write(enum auth_op op)
{
    return op == AUTH_PUBLISH || op == AUTH_TRACK;
}

static struct str extension_of(enum auth_op op)
{
    return op == AUTH_PRESENCE || op == AUTH_TRACK ? STR("presence") : STR("broadcast");
}

/* "private:room-1" of the dialects is the topic room-1. */
static struct str topic_of(struct str channel)
{
    return str_starts(channel, STR("private:")) ? str_skip(channel, 8) : channel;
}

static bool set_image(struct sqlite *h, const struct table *t, const struct policy_question *q,
                      struct fault *fault)
{
    struct buf row = {0};
    bool ok;
    buf_add_c(&row, '{');
    json_add_field(&row, "topic", topic_of(q->channel));
    json_add_field(&row, "extension", extension_of(q->op));
    buf_add_z(&row, ",\"private\":true}");
    ok = rowimage_set(h, t, buf_str(&row), fault);
    buf_free(&row);
    return ok;
}

static bool run(struct sqlite *h, struct lanes_task *task, struct fault *fault)
{
    struct policy_task *p = (struct policy_task *)task;
    const struct policy_question *q = p->question;
    const struct table *t = schema_table(h->schema, STR("realtime_messages"));
    struct buf sql = {0};
    sqlite3_stmt *stmt;
    int rc = SQLITE_ERROR;
    if (!t || !rls_applies(t, q->identity)) {
        p->allowed = t && q->identity && q->identity->service;
        return true;
    }
    if (!set_image(h, t, q, fault))
        return false;
    buf_add_z(&sql, "SELECT 1 FROM temp.");
    rowimage_name(t, &sql);
    buf_add_z(&sql, " AS realtime_messages WHERE ");
    if (is_write(q->op))
        rls_condition(t, POLICY_INSERT, RLS_CHECK, &sql);
    else
        rls_condition(t, POLICY_SELECT, RLS_USING, &sql);
    stmt = sqlite_prepare_made(h, &sql, fault);
    buf_free(&sql);
    if (!stmt)
        return false;
    sqlite_begin(h, q->identity);
    h->topic = topic_of(q->channel);
    h->extension = extension_of(q->op);
    rc = sqlite_step(h, stmt, fault);
    p->allowed = rc == SQLITE_ROW;
    sqlite_end(h);
    sqlite_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static void done(struct loop *l, struct lanes_task *task)
{
    struct policy_task *p = (struct policy_task *)task;
    struct policy_question *q = p->question;
    int err = task->failed ? E_UNAVAILABLE : p->allowed ? 0 : E_ACCESS_DENIED;
    (void)l;
    if (task->failed && task->fault.status != 503) /* the policy is at fault: no */
        err = E_ACCESS_DENIED;
    mem_free(p);
    q->done(q, err);
}

static void ask(struct policy *policy, struct policy_question *q)
{
    struct db *db = ((struct db_policy *)policy)->db;
    struct policy_task *p = mem_new(sizeof *p);
    p->task.db = db;
    p->task.run = run;
    p->task.done = done;
    p->question = q;
    lanes_post(db_reader(db, q->home), q->home, &p->task);
}

static const struct policy_ops ops = {.name = "database", .ask = ask};

struct policy *policy_open(struct db *db)
{
    struct db_policy *p = mem_new(sizeof *p);
    p->base.ops = &ops;
    p->db = db;
    return &p->base;
}

void policy_close(struct policy **p)
{
    mem_free(*p);
    *p = NULL;
}
