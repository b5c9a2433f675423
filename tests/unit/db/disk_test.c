/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails: SQLite's files go through a VFS of ours that counts, fails and knows what has
 * been synced. An answer stands behind an fsync; a write that fails at any place is refused and
 * loses nothing that was answered; it goes on by itself when there is room again. */
#include "test.h"
#include "db/rest.c"
#include "dbrig.h"
#include "db/sqlite.h"
#include <limits.h>
#include <stdatomic.h>

/* ---- the disk ----------------------------------------------------------------------------- */
static sqlite3_vfs *real;
static sqlite3_vfs ours;
static atomic_bool is_unsynced; /* bytes of the log that a power cut would take */
static atomic_long writes, fail_from, fail_until;
static atomic_int fail_with;
static struct sqlite3_io_methods log_methods;
static const struct sqlite3_io_methods *real_methods;

static bool fails(void)
{
    long n = atomic_fetch_add(&writes, 1);
    return n >= atomic_load(&fail_from) && n < atomic_load(&fail_until);
}

static int on_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    if (fails())
        return atomic_load(&fail_with);
    atomic_store(&is_unsynced, true);
    return real_methods->xWrite(file, bytes, n, at);
}

static int on_sync(sqlite3_file *file, int flags)
{
    int rc = fails() ? SQLITE_IOERR_FSYNC : real_methods->xSync(file, flags);
    if (rc == SQLITE_OK)
        atomic_store(&is_unsynced, false);
    return rc;
}

static int on_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
    int rc = real->xOpen(real, name, file, flags, out);
    (void)vfs;
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_WAL)) {
        real_methods = file->pMethods;
        log_methods = *real_methods;
        log_methods.xWrite = on_write;
        log_methods.xSync = on_sync;
        file->pMethods = &log_methods;
    }
    return rc;
}

static void disk_begin(void)
{
    real = sqlite3_vfs_find(NULL);
    ours = *real;
    ours.zName = "failing";
    ours.xOpen = on_open;
    atomic_store(&writes, 0);
    atomic_store(&fail_from, LONG_MAX);
    atomic_store(&fail_until, LONG_MAX);
    atomic_store(&is_unsynced, false);
    assert_int_equal(sqlite3_vfs_register(&ours, 1), SQLITE_OK);
}

static void disk_end(void)
{
    assert_int_equal(sqlite3_vfs_unregister(&ours), SQLITE_OK);
    assert_int_equal(sqlite3_vfs_register(real, 1), SQLITE_OK);
}

/* ---- asking ------------------------------------------------------------------------------- */
static const char schema[] = "create table t (id integer primary key, word text);"
                             "alter publication supabase_realtime add table t;";

struct insert {
    struct db_rest rest; /* first */
    struct dbrig *d;
    sem_t done;
    bool was_unsynced;
};

static void insert_done(struct loop *l, struct db_rest *r)
{
    struct insert *a = (struct insert *)r;
    (void)l;
    a->was_unsynced = atomic_load(&is_unsynced);
    sem_post(&a->done);
}

static void insert_go(struct loop *l, void *arg)
{
    struct insert *a = arg;
    db_rest(a->d->db, l, &a->rest);
}

/* The status of one insert that nothing else runs beside. */
static int insert(struct dbrig *d, int id, bool *was_unsynced)
{
    struct insert a = {.d = d, .rest = {.done = insert_done}};
    char body[80];
    int status;
    snprintf(body, sizeof body, "{\"id\":%d,\"word\":\"word %d\"}", id, id);
    a.rest.call = (struct rest_call){.method = REST_INSERT,
                                     .name = STR("t"),
                                     .query = STR(""),
                                     .body = str_from(body),
                                     .identity = &service};
    sem_init(&a.done, 0, 0);
    rig_on_loop(&d->rig, 0, insert_go, &a);
    wait_for(&a.done);
    status = a.rest.answer.status;
    *was_unsynced = a.was_unsynced;
    db_rest_clear(&a.rest);
    sem_destroy(&a.done);
    return status;
}

TEST(what_was_answered_had_been_synced)
{
    struct dbrig d;
    bool unsynced;
    disk_begin();
    dbrig_open(&d, schema);
    for (int id = 1; id <= 60; id++) {
        assert_int_equal(insert(&d, id, &unsynced), 201);
        assert_false(unsynced);
    }
    assert_true(atomic_load(&writes) > 60); /* the disk was ours */
    dbrig_close(&d);
    disk_end();
}

/* `count` writes and syncs fail from the n-th on, while inserts go on. */
static void one_failure(int code, long n, long count)
{
    struct dbrig d;
    struct sqlite *h;
    struct sqlite_options o = {0};
    struct fault fault;
    bool acked[40] = {0}, unsynced;
    char sql[80];
    int refused = 0;
    dbrig_open(&d, schema);
    atomic_store(&fail_with, code);
    atomic_store(&fail_from, atomic_load(&writes) + n);
    atomic_store(&fail_until, atomic_load(&fail_from) + count);
    for (int id = 1; id < 40; id++) {
        int status = insert(&d, id, &unsynced);
        acked[id] = status == 201;
        refused += status != 201;
        if (status != 201)
            assert_true(status == 507 || status == 503 || status == 500);
    }
    if (!acked[39]) /* it goes on by itself */
        fail_msg("code %d at %ld: %d refused, and it does not go on", code, n, refused);
    atomic_store(&fail_from, LONG_MAX);
    dbrig_stop(&d);
    h = sqlite_open(d.path, &o, &fault);
    assert_non_null(h);
    for (int id = 1; id < 40; id++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE id = %d", id);
        if (acked[id] && sqlite_integer(h, sql, 0) != 1)
            fail_msg("code %d at %ld: row %d was answered and is gone", code, n, id);
    }
    assert_int_equal(
        sqlite_integer(h, "SELECT integrity_check = 'ok' FROM pragma_integrity_check", 0), 1);
    /* Rows and the log of changes agree. */
    assert_int_equal(sqlite_integer(h,
                                    "SELECT (SELECT count(*) FROM t) = (SELECT count(*) FROM"
                                    " tw_changes WHERE \"table\" = 't')",
                                    0),
                     1);
    sqlite_close(&h);
    dbrig_start(&d);
    dbrig_close(&d);
    assert_true(refused > 0);
}

TEST(a_write_that_fails_at_any_place_loses_nothing_that_was_answered)
{
    disk_begin();
    for (long n = 0; n < 14; n++)
        one_failure(SQLITE_FULL, n, 1);
    one_failure(SQLITE_FULL, 5, 12);
    one_failure(SQLITE_IOERR_WRITE, 3, 2);
    one_failure(SQLITE_IOERR_WRITE, 4, 10);
    disk_end();
}
