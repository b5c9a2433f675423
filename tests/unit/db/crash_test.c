/* SPDX-License-Identifier: Apache-2.0 */
/* What was answered is there after SIGKILL, and who follows the changes gets each once, in order,
 * over all deaths of the server. Disk full, damaged files and torn logs lose nothing more. */
#include "dbrig.h"
#include "db/db.c"
#include "db/sqlite.h"
#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 12, IN_FLIGHT = 16, ROWS_MAX = 20000 };

static const char schema[] = "create table t(id integer primary key, word text);"
                             "alter publication supabase_realtime add table t;";

/* ---- the server: a child that inserts as fast as it can and says what was answered ---------- */
struct child {
    struct db *db;
    struct loop *loop;
    int out;
    int64_t next;
    struct source_watch watch;
    struct asked {
        struct db_rest rest; /* first */
        char body[64];
        int64_t id;
    } asked[IN_FLIGHT];
};
static struct child *the_child;

static void say(const char *format, long long a, long long b)
{
    char line[64];
    int n = snprintf(line, sizeof line, format, a, b);
    if (write(the_child->out, line, (size_t)n) != n) /* shorter than PIPE_BUF: whole or not */
        _exit(1);
}

static void ask(struct asked *a);
static void answered(struct loop *l, struct db_rest *r)
{
    struct asked *a = (struct asked *)r;
    (void)l;
    if (r->failed || r->answer.status != 201)
        _exit(3);
    say("A %lld\n", a->id, 0);
    db_rest_clear(r);
    ask(a);
}

static void ask(struct asked *a)
{
    struct child *c = the_child;
    a->id = c->next++;
    snprintf(a->body, sizeof a->body, "{\"id\":%lld,\"word\":\"w\"}", (long long)a->id);
    a->rest.done = answered;
    a->rest.call = (struct rest_call){.method = REST_INSERT,
                                      .name = STR("t"),
                                      .query = STR(""),
                                      .body = str_from(a->body),
                                      .identity = &service};
    db_rest(c->db, c->loop, &a->rest);
}

static void on_open(struct source_watch *w, const struct source_opened *o)
{
    (void)w;
    if (o->err || o->gap)
        _exit(4);
    for (int i = 0; i < IN_FLIGHT; i++)
        ask(&the_child->asked[i]);
}

static void on_change(struct source_watch *w, struct source_change *c, uint64_t fits)
{
    long long id = strtoll(c->record.p + 6, NULL, 10);
    (void)w, (void)fits;
    say("C %lld %lld\n", (long long)c->seq, id);
}

static void on_lost(struct source_watch *w)
{
    (void)w;
    _exit(5);
}

struct start {
    struct mail mail;
    uint64_t since;
    char epoch[SOURCE_EPOCH_MAX];
};

static void start(struct loop *l, struct mail *mail)
{
    struct start *s = (struct start *)mail;
    struct source_binding b = {.table = STR("t")};
    struct source_options o = {.bindings = &b,
                               .bindings_count = 1,
                               .has_since = true,
                               .since = s->since,
                               .epoch = str_from(s->epoch)};
    struct child *c = the_child;
    c->loop = l;
    c->watch.identity = &service;
    c->watch.opened = on_open;
    c->watch.changed = on_change;
    c->watch.lost = on_lost;
    source_watch_open(l, &c->watch, &o);
}

static void run_child(const char *path, int out, uint64_t since, int64_t next)
{
    struct db_config config = {.path = path, .builtin = schema};
    struct loops *ls = loops_new(1);
    struct start s = {.mail.deliver = start, .since = since};
    char err[800];
    struct fault fault;
    struct sqlite_options options = {.writer = true};
    struct sqlite *h;
    sqlite3_stmt *stmt;
    the_child = mem_new(sizeof *the_child);
    the_child->out = out;
    the_child->next = next;
    the_child->db = db_open(ls, &config, err, sizeof err);
    if (!the_child->db)
        _exit(2);
    h = sqlite_open(path, &options, &fault);
    stmt = sqlite_prepare(h, STR("SELECT value FROM tw_meta WHERE name = 'epoch'"), &fault);
    sqlite3_step(stmt);
    snprintf(s.epoch, sizeof s.epoch, "%s", (const char *)sqlite3_column_text(stmt, 0));
    sqlite_close(&h);
    source_set(&db_source_ops, the_child->db);
    loop_post(loops_at(ls, 0), &s.mail);
    loops_run(ls);
}

/* ---- the parent ------------------------------------------------------------------------- */
struct witness {
    bool acked[ROWS_MAX];
    int64_t highest;
    int64_t seen[ROWS_MAX]; /* ids in the order they came */
    size_t seen_count;
    uint64_t seq;
};

static void note(struct witness *w, const char *line)
{
    long long a = 0, b = 0;
    if (sscanf(line, "A %lld", &a) == 1) {
        assert_in_range(a, 1, ROWS_MAX - 1);
        w->acked[a] = true;
        w->highest = a > w->highest ? a : w->highest;
    } else if (sscanf(line, "C %lld %lld", &a, &b) == 2) {
        assert_true((uint64_t)a > w->seq); /* in order, none twice */
        w->seq = (uint64_t)a;
        assert_true(w->seen_count < ROWS_MAX);
        w->seen[w->seen_count++] = b;
        w->highest = b > w->highest ? b : w->highest;
    } else
        fail_msg("%s", line);
}

/* Kills it after that many lines; then what it had said by then still counts. */
static void one_life(struct witness *w, const char *path, int lines)
{
    int pipes[2];
    char line[64];
    FILE *in;
    int status;
    pid_t pid;
    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        run_child(path, pipes[1], w->seq, w->highest + IN_FLIGHT * 2);
        _exit(6);
    }
    close(pipes[1]);
    in = fdopen(pipes[0], "r");
    while (fgets(line, sizeof line, in)) {
        if (!strchr(line, '\n'))
            break;
        note(w, line);
        if (--lines == 0)
            kill(pid, SIGKILL);
    }
    fclose(in);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static struct sqlite *look(const char *path)
{
    struct fault fault;
    struct sqlite_options o = {.writer = true};
    struct sqlite *h = sqlite_open(path, &o, &fault);
    if (!h)
        fail_msg("%s", fault.message);
    return h;
}

static int64_t is_sound(struct sqlite *h)
{
    return sqlite_integer(h, "SELECT integrity_check = 'ok' FROM pragma_integrity_check", 0);
}

static void make_folder(struct dbrig *d)
{
    *d = (struct dbrig){0};
    snprintf(d->folder, sizeof d->folder, "/tmp/tw-db-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    snprintf(d->path, sizeof d->path, "%s/db.sqlite", d->folder);
}

static void remove_folder(struct dbrig *d)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", d->path, ends[i]);
        unlink(path);
    }
    rmdir(d->folder);
}

TEST(what_was_answered_survives_sigkill_and_each_change_comes_once)
{
    struct dbrig d;
    struct witness *w = mem_new(sizeof *w);
    struct sqlite *h;
    char sql[100];
    make_folder(&d);
    for (int i = 0; i < ROUNDS; i++)
        one_life(w, d.path, 7 + i * 41);
    h = look(d.path);
    assert_int_equal(is_sound(h), 1);
    for (int64_t id = 1; id <= w->highest; id++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE id = %lld", (long long)id);
        if (w->acked[id] && sqlite_integer(h, sql, 0) != 1)
            fail_msg("row %lld was answered and is gone", (long long)id);
    }
    /* What the follower saw is the log up to its place, row for row. */
    snprintf(sql, sizeof sql, "SELECT count(*) FROM tw_changes WHERE seq <= %llu",
             (unsigned long long)w->seq);
    assert_int_equal(sqlite_integer(h, sql, 0), w->seen_count);
    assert_int_equal(sqlite_integer(h,
                                    "SELECT count(*) FROM t WHERE id NOT IN (SELECT new ->> 'id'"
                                    " FROM tw_changes)",
                                    9),
                     0);
    sqlite_close(&h);
    remove_folder(&d);
    mem_free(w);
}

TEST(a_torn_log_loses_only_its_end)
{
    struct dbrig d;
    struct sqlite *h, *copy;
    struct fault fault;
    char from[128], to[160], path[140];
    make_folder(&d);
    h = look(d.path);
    assert_true(sqlite_exec(h, "CREATE TABLE t(id INTEGER PRIMARY KEY, pad TEXT)", &fault));
    for (int i = 0; i < 40; i++)
        assert_true(sqlite_exec(h, "INSERT INTO t(pad) VALUES (hex(randomblob(300)))", &fault));
    for (int cut = 1; cut < 20; cut++) { /* as a power cut may leave it */
        char line[800];
        snprintf(path, sizeof path, "%s/copy", d.folder);
        snprintf(from, sizeof from, "%s-wal", d.path);
        snprintf(to, sizeof to, "%s-wal", path);
        snprintf(line, sizeof line, "cp %s %s && cp %s %s && truncate -s -%d %s", d.path, path,
                 from, to, cut * 1777, to);
        assert_int_equal(system(line), 0);
        copy = look(path);
        assert_int_equal(is_sound(copy), 1);
        int64_t rows = sqlite_integer(copy, "SELECT count(*) FROM t", -1);
        assert_in_range(rows, 0, 40);
        assert_int_equal(sqlite_integer(copy, "SELECT coalesce(max(id), 0) FROM t", -1), rows);
        sqlite_close(&copy);
        snprintf(line, sizeof line, "rm -f %s %s-wal %s-shm", path, path, path);
        assert_int_equal(system(line), 0);
    }
    sqlite_close(&h);
    remove_folder(&d);
}

TEST(a_full_disk_refuses_writes_and_nothing_else)
{
    struct dbrig d;
    char body[3000], want[64];
    make_folder(&d);
    d.sql = schema;
    d.config.pages_max = 90;
    dbrig_start(&d);
    memset(body, 'x', sizeof body);
    snprintf(body, sizeof body, "{\"id\":1,\"word\":\"%2900s\"}", "");
    dbrig_rest(&d, &service, "POST /t", "{\"id\":1000,\"word\":\"first\"}", "201 ");
    for (int id = 1;; id++) {
        struct dbask a = {.d = &d, .rest = {.done = dbask_done}};
        int status;
        assert_true(id < 200);
        snprintf(body, sizeof body, "{\"id\":%d,\"word\":\"%2900s\"}", id, "");
        a.rest.call = (struct rest_call){.method = REST_INSERT,
                                         .name = STR("t"),
                                         .query = STR(""),
                                         .body = str_from(body),
                                         .identity = &service};
        sem_init(&a.done, 0, 0);
        rig_on_loop(&d.rig, 0, dbask_go, &a);
        wait_for(&a.done);
        status = a.rest.answer.status;
        if (status != 201)
            assert_string_equal(a.rest.code, "53100");
        db_rest_clear(&a.rest);
        sem_destroy(&a.done);
        if (status != 201) {
            assert_int_equal(status, 507);
            snprintf(want, sizeof want, "200 [{\"count\":%d}]", id);
            dbrig_rest(&d, &service, "GET /t?select=count", NULL, want);
            break;
        }
    }
    /* It goes on by itself when there is room again. */
    dbrig_rest(&d, &service, "DELETE /t?id=lt.20", NULL, "204 ");
    dbrig_rest(&d, &service, "POST /t", "{\"id\":2000,\"word\":\"again\"}", "201 ");
    dbrig_rest(&d, &service, "GET /t?id=gte.1000&select=word", NULL,
               "200 [{\"word\":\"first\"},{\"word\":\"again\"}]");
    dbrig_stop(&d);
    remove_folder(&d);
}

TEST(what_is_no_database_is_refused_with_its_name)
{
    struct dbrig d;
    struct loops *ls;
    struct db_config config = {0};
    char err[800] = "";
    FILE *f;
    make_folder(&d);
    f = fopen(d.path, "w");
    for (int i = 0; i < 5000; i++)
        fputs("this is no database ", f);
    fclose(f);
    ls = loops_new(1);
    config.path = d.path;
    assert_null(db_open(ls, &config, err, sizeof err));
    assert_non_null(strstr(err, d.path));
    assert_non_null(strstr(err, "the file is not a database"));
    config.path = "/nowhere/at/all.db";
    assert_null(db_open(ls, &config, err, sizeof err));
    assert_non_null(strstr(err, "could not open the database file"));
    config.path = d.path;
    loops_free(&ls);
    remove_folder(&d);
}
