/* SPDX-License-Identifier: Apache-2.0 */
/* Durable channels (hub/store.h): a message is a row of tw_history, committed with its group
 * before it is spread. All calls go through the writer's lane, reads too: so they are answered in
 * the order they came, and a read sees every append before it. */
#include "base/json.h"
#include "base/mem.h"
#include "db/db_priv.h"
#include "db/schema.h"
#include "hub/msg.h"

enum { TRIM_EVERY = 32, READ_MAX = 10000 };

struct store_task {
    struct lanes_task task; /* first */
    struct store_open *open;
    struct store_append *append;
    struct store_read *read;
    size_t keep; /* messages of the channel */
};

static int err_of(const struct lanes_task *t)
{
    if (!t->failed)
        return 0;
    return strcmp(t->fault.code, "53100") == 0 ? E_STORAGE_FULL : E_UNAVAILABLE;
}

static struct store_task *task_new(struct db *db)
{
    struct store_task *t = mem_new(sizeof *t);
    t->task.db = db;
    return t;
}

static struct str text(sqlite3_stmt *stmt, int i)
{
    const char *p = sqlite3_column_blob(stmt, i);
    return p ? str_of(p, (size_t)sqlite3_column_bytes(stmt, i)) : STR("");
}

/* ---- a row ------------------------------------------------------------------------------ */
static struct str member(struct str head, const char *name, struct arena *arena, int *err)
{
    struct jsonscan_value v = jsonscan_find(head, name);
    struct str out = STR_NONE;
    int result = v.type == JSONSCAN_STRING ? jsonscan_string(v.raw, arena, &out) : 0;
    if (result == E_NO_MEMORY)
        *err = result;
    return result ? STR_NONE : out;
}

/* Columns: offset, time, head, content, attachments. NULL: no memory. */
static struct msg *read_message(sqlite3_stmt *stmt, struct str channel, struct str epoch)
{
    struct arena arena = {0};
    struct str head = text(stmt, 2);
    uint64_t format = 0;
    int err = 0;
    struct msg_fields f = {.channel = channel,
                           .event = member(head, "event", &arena, &err),
                           .content = text(stmt, 3),
                           .attachments = text(stmt, 4),
                           .id = member(head, "id", &arena, &err),
                           .key = member(head, "key", &arena, &err),
                           .sender = member(head, "sender", &arena, &err),
                           .sender_name = member(head, "name", &arena, &err)};
    struct msg *m = NULL;
    jsonscan_u64(jsonscan_find(head, "format").raw, &format);
    f.format = (enum msg_format)format;
    if (!err)
        m = msg_new(&f);
    if (m) {
        m->offset = (uint64_t)sqlite3_column_int64(stmt, 0);
        m->time_ms = (uint64_t)sqlite3_column_int64(stmt, 1);
        if (epoch.n < sizeof m->epoch_text)
            memcpy(m->epoch_text, epoch.p, epoch.n);
        m->epoch = str_from(m->epoch_text);
    }
    arena_free(&arena);
    return m;
}

static void drop_all(struct msg ***msgs, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        msg_unref(&(*msgs)[i]);
    mem_free(*msgs);
    *msgs = NULL;
    *count = 0;
}

/* ---- open ------------------------------------------------------------------------------- */
static void drop_ids(struct lanes_task *task)
{
    struct store_open *o = ((struct store_task *)task)->open;
    drop_all(&o->ids, &o->ids_count);
}

static bool read_ids(struct sqlite *h, struct store_open *o, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(
        h,
        STR("SELECT \"offset\", time, head, '', '' FROM main.tw_history"
            " WHERE channel = ?1 AND \"offset\" > ?2 AND time >= ?3 ORDER BY \"offset\""),
        fault);
    size_t capacity = 0;
    int rc;
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 1, o->channel.p, (int)o->channel.n, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, (int64_t)o->at.offset - (int64_t)o->ids_max);
    sqlite3_bind_int64(stmt, 3, (int64_t)o->ids_since_ms);
    while ((rc = sqlite_step(h, stmt, fault)) == SQLITE_ROW) {
        struct msg *m = read_message(stmt, o->channel, str_from(o->at.epoch));
        if (!m) {
            rc = fault_set(fault, "53200", "out of memory");
            break;
        }
        if (m->id.n) {
            o->ids = mem_grow(o->ids, &capacity, o->ids_count + 1, sizeof(struct msg *));
            o->ids[o->ids_count++] = m;
        } else {
            msg_unref(&m);
        }
    }
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

static bool run_open(struct sqlite *h, struct lanes_task *task, struct fault *fault)
{
    struct store_open *o = ((struct store_task *)task)->open;
    sqlite3_stmt *stmt = sqlite_prepare(
        h, STR("SELECT epoch, \"offset\", evicted FROM main.tw_channels WHERE name = ?1"), fault);
    int rc;
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 1, o->channel.p, (int)o->channel.n, SQLITE_STATIC);
    o->at = (struct position){0};
    o->evicted_offset = 0;
    rc = sqlite_step(h, stmt, fault);
    if (rc == SQLITE_ROW) {
        struct str epoch = text(stmt, 0);
        memcpy(o->at.epoch, epoch.p, epoch.n < sizeof o->at.epoch ? epoch.n : 0);
        o->at.offset = (uint64_t)sqlite3_column_int64(stmt, 1);
        o->evicted_offset = (uint64_t)sqlite3_column_int64(stmt, 2);
    }
    sqlite_reset(stmt);
    return rc == SQLITE_ROW ? !o->ids_max || read_ids(h, o, fault) : rc == SQLITE_DONE;
}

static void done_open(struct loop *l, struct lanes_task *task)
{
    struct store_task *t = (struct store_task *)task;
    struct store_open *o = t->open;
    (void)l;
    o->err = err_of(task);
    mem_free(t);
    o->done(o);
}

static void store_open(void *store, struct store_open *o)
{
    struct store_task *t = task_new(store);
    t->open = o;
    o->ids = NULL;
    o->ids_count = 0;
    t->task.run = run_open;
    t->task.reset = drop_ids;
    t->task.done = done_open;
    lanes_post(t->task.db->writer, o->home, &t->task);
}

/* ---- append ----------------------------------------------------------------------------- */
static void put_head(const struct msg *m, struct buf *b)
{
    buf_add_c(b, '{');
    json_add_field(b, "event", m->event);
    json_add_field(b, "id", m->id);
    json_add_field(b, "key", m->key);
    json_add_field(b, "sender", m->sender);
    json_add_field(b, "name", m->sender_name);
    json_add_u64(b, "format", (uint64_t)m->format);
    buf_add_c(b, '}');
}

static bool put_place(struct sqlite *h, const struct msg *m, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(
        h,
        STR("INSERT INTO main.tw_channels(name, epoch, \"offset\") VALUES (?1, ?2, ?3)"
            " ON CONFLICT (name) DO UPDATE SET \"offset\" = excluded.\"offset\","
            " epoch = excluded.epoch"),
        fault);
    int rc;
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 1, m->channel.p, (int)m->channel.n, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, m->epoch.p, (int)m->epoch.n, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 3, (int64_t)m->offset);
    rc = sqlite_step(h, stmt, fault);
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

static bool put_message(struct sqlite *h, const struct msg *m, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(
        h,
        STR("INSERT INTO main.tw_history(channel, \"offset\", time, head, content, attachments)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
        fault);
    struct buf head = {0};
    int rc;
    if (!stmt)
        return false;
    put_head(m, &head);
    if (head.failed) {
        buf_free(&head);
        return fault_set(fault, "53200", "out of memory");
    }
    sqlite3_bind_text(stmt, 1, m->channel.p, (int)m->channel.n, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, (int64_t)m->offset);
    sqlite3_bind_int64(stmt, 3, (int64_t)m->time_ms);
    sqlite3_bind_text(stmt, 4, head.p, (int)head.n, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 5, m->content.n ? m->content.p : "", m->content.n, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 6, m->attachments.n ? m->attachments.p : "", m->attachments.n,
                        SQLITE_STATIC);
    rc = sqlite_step(h, stmt, fault);
    sqlite_reset(stmt);
    buf_free(&head);
    return rc == SQLITE_DONE;
}

/* Keeps the newest `keep`; notes what went. */
static bool trim(struct sqlite *h, const struct msg *m, size_t keep, struct fault *fault)
{
    static const char *const sql[] = {
        "DELETE FROM main.tw_history WHERE channel = ?1 AND \"offset\" <= ?2",
        "UPDATE main.tw_channels SET evicted = ?2 WHERE name = ?1 AND evicted < ?2"};
    if (m->offset <= keep)
        return true;
    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *stmt = sqlite_prepare(h, str_from(sql[i]), fault);
        int rc;
        if (!stmt)
            return false;
        sqlite3_bind_text(stmt, 1, m->channel.p, (int)m->channel.n, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 2, (int64_t)(m->offset - keep));
        rc = sqlite_step(h, stmt, fault);
        sqlite_reset(stmt);
        if (rc != SQLITE_DONE)
            return false;
    }
    return true;
}

static bool run_append(struct sqlite *h, struct lanes_task *task, struct fault *fault)
{
    struct store_task *t = (struct store_task *)task;
    const struct msg *m = t->append->msg;
    return put_place(h, m, fault) && put_message(h, m, fault) &&
           (m->offset % TRIM_EVERY != 0 || trim(h, m, t->keep, fault));
}

static void done_append(struct loop *l, struct lanes_task *task)
{
    struct store_task *t = (struct store_task *)task;
    struct store_append *a = t->append;
    (void)l;
    a->err = err_of(task);
    mem_free(t);
    a->done(a);
}

static void store_append(void *store, struct store_append *a)
{
    struct store_task *t = task_new(store);
    t->append = a;
    t->keep = hub_settings(hub_of(a->home), a->msg->channel)->history_count;
    t->task.run = run_append;
    t->task.done = done_append;
    lanes_post(t->task.db->writer, a->home, &t->task);
}

/* ---- read ------------------------------------------------------------------------------- */
static void drop_messages(struct lanes_task *task)
{
    struct store_read *r = ((struct store_task *)task)->read;
    drop_all(&r->msgs, &r->msgs_count);
}

/* In the same transaction: what is neither here nor in the rows was removed meanwhile. */
static bool read_evicted(struct sqlite *h, struct store_read *r, struct fault *fault)
{
    sqlite3_stmt *stmt =
        sqlite_prepare(h, STR("SELECT evicted FROM main.tw_channels WHERE name = ?1"), fault);
    int rc;
    r->evicted_offset = 0;
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 1, r->channel.p, (int)r->channel.n, SQLITE_STATIC);
    rc = sqlite_step(h, stmt, fault);
    if (rc == SQLITE_ROW)
        r->evicted_offset = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static bool run_read(struct sqlite *h, struct lanes_task *task, struct fault *fault)
{
    struct store_read *r = ((struct store_task *)task)->read;
    size_t limit = r->limit && r->limit < READ_MAX ? r->limit : READ_MAX;
    sqlite3_stmt *stmt = sqlite_prepare(
        h,
        STR("SELECT m.\"offset\", m.time, m.head, m.content, m.attachments, c.epoch"
            " FROM main.tw_history m JOIN main.tw_channels c ON c.name = m.channel"
            " WHERE m.channel = ?1 AND m.\"offset\" > ?2 ORDER BY m.\"offset\" LIMIT ?3"),
        fault);
    size_t capacity = 0;
    int rc;
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 1, r->channel.p, (int)r->channel.n, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, (int64_t)r->after);
    sqlite3_bind_int64(stmt, 3, (int64_t)limit);
    r->msgs = NULL;
    r->msgs_count = 0;
    while ((rc = sqlite_step(h, stmt, fault)) == SQLITE_ROW) {
        struct msg *m = read_message(stmt, r->channel, text(stmt, 5));
        if (!m) {
            rc = fault_set(fault, "53200", "out of memory");
            break;
        }
        r->msgs = mem_grow(r->msgs, &capacity, r->msgs_count + 1, sizeof(struct msg *));
        r->msgs[r->msgs_count++] = m;
    }
    sqlite_reset(stmt);
    return rc == SQLITE_DONE && read_evicted(h, r, fault);
}

static void done_read(struct loop *l, struct lanes_task *task)
{
    struct store_task *t = (struct store_task *)task;
    struct store_read *r = t->read;
    (void)l;
    r->err = err_of(task);
    mem_free(t);
    r->done(r);
}

static void store_read(void *store, struct store_read *r)
{
    struct store_task *t = task_new(store);
    t->read = r;
    r->msgs = NULL;
    r->msgs_count = 0;
    t->task.run = run_read;
    t->task.reset = drop_messages;
    t->task.done = done_read;
    lanes_post(t->task.db->writer, r->home, &t->task);
}

const struct store_ops db_store_ops = {
    .open = store_open, .append = store_append, .read = store_read};
