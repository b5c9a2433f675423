/* SPDX-License-Identifier: Apache-2.0 */
/* A server with a database while each n-th write, sync, read or request for memory of its workers
 * fails. What was answered 200 or 201 is there, now and after a restart, once and in order; what
 * was not is answered with an error and can be tried again; and when the fault has passed, all
 * goes on. A round is one message in a durable channel and one row. */
#include "test.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "tidewire.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- what fails ----------------------------------------------------------------------------- */

enum call {
    CALL_WRITE = 1 << 0,
    CALL_SYNC = 1 << 1,
    CALL_READ = 1 << 2,
    CALL_MEMORY = 1 << 3,
    CALL_OWN = 1 << 4
};

static atomic_uint failing; /* enum call */
static atomic_long calls, fail_at, fail_count;
static atomic_int fail_with;
static _Thread_local bool is_client;

/* Only on the threads of the workers. */
static bool fails(enum call call)
{
    if (!(atomic_load(&failing) & call) || is_client || loop_current())
        return false;
    long now = atomic_fetch_add(&calls, 1) + 1, at = atomic_load(&fail_at);
    errno = atomic_load(&fail_with);
    return now >= at && now < at + atomic_load(&fail_count);
}

#define REAL(type, name, parameters)                                                               \
    static type(*real) parameters;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, name)

#pragma GCC visibility push(default) /* for the libraries, too */
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    REAL(ssize_t, "pwrite64", (int, const void *, size_t, off64_t));
    return fails(CALL_WRITE) ? -1 : real(fd, p, n, at);
}
ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
    REAL(ssize_t, "pread64", (int, void *, size_t, off64_t));
    return fails(CALL_READ) ? -1 : real(fd, p, n, at);
}
int fdatasync(int fd)
{
    REAL(int, "fdatasync", (int));
    return fails(CALL_SYNC) ? -1 : real(fd);
}
int fsync(int fd)
{
    REAL(int, "fsync", (int));
    return fails(CALL_SYNC) ? -1 : real(fd);
}
int ftruncate64(int fd, off64_t n)
{
    REAL(int, "ftruncate64", (int, off64_t));
    return fails(CALL_WRITE) ? -1 : real(fd, n);
}
#pragma GCC visibility pop

static sqlite3_mem_methods memory;
static void *try_malloc(int n)
{
    return fails(CALL_MEMORY) ? NULL : memory.xMalloc(n);
}
static void *try_realloc(void *p, int n)
{
    return fails(CALL_MEMORY) ? NULL : memory.xRealloc(p, n);
}

/* SQLite's allocator is chosen before its first use. */
static void watch_memory(void)
{
    static bool is_done;
    if (is_done)
        return;
    is_done = true;
    CHECK(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory) == SQLITE_OK);
    sqlite3_mem_methods mine = memory;
    mine.xMalloc = try_malloc;
    mine.xRealloc = try_realloc;
    CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &mine) == SQLITE_OK);
}

/* ---- the server and its client -------------------------------------------------------------- */

enum { PATIENCE_MS = 30000 };

struct scene {
    tw_config *config;
    tw_server *server;
    char folder[64], migrations[80], *token;
    unsigned port;
    size_t messages, rows; /* acknowledged */
    unsigned refused;
};

static void start(struct scene *sc)
{
    static const char *const settings[][2] = {
        {"http.listen", "127.0.0.1:0"},
        {"loops", "1"},
        {"auth.anonymous", "true"},
        {"auth.exp_optional", "true"},
        {"auth.jwt_secret", "thirty-two-bytes-of-no-secret-at-all"},
        {"channels.rules", "[{match: '*', allow: {subscribe: '*', publish: '*'}, durable: true,"
                           " history: {count: 100000, bytes: 100MiB}}]"},
        {"database.file", "x.db"},
        {"log.level", "error"}};
    sc->config = tw_config_new();
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        assert_int_equal(tw_config_set(sc->config, settings[i][0], settings[i][1]), 0);
    tw_config_set(sc->config, "data", sc->folder);
    tw_config_set(sc->config, "database.migrations", sc->migrations);
    sc->server = tw_server_new(sc->config);
    if (!sc->server)
        print_error("%s", tw_config_problems(sc->config));
    assert_non_null(sc->server);
    int err = tw_server_start(sc->server);
    if (err)
        print_error("%s", tw_server_problem(sc->server));
    assert_int_equal(err, 0);
    sc->port = (unsigned)atoi(strrchr(tw_server_url(sc->server), ':') + 1);
    assert_int_equal(tw_token_mint(sc->config, "{\"role\":\"service_role\"}", 0, &sc->token), 0);
}

static void stop(struct scene *sc)
{
    tw_server_stop(sc->server, 0);
    tw_server_free(sc->server);
    tw_config_free(sc->config);
    tw_free(sc->token);
}

static void begin(struct scene *sc)
{
    static const char sql[] = "create table t(id integer primary key, word text);";
    char path[120];
    is_client = true;
    watch_memory();
    *sc = (struct scene){0};
    snprintf(sc->folder, sizeof(sc->folder), "/tmp/tidewire-fault-XXXXXX");
    assert_non_null(mkdtemp(sc->folder));
    snprintf(sc->migrations, sizeof(sc->migrations), "%s/sql", sc->folder);
    assert_int_equal(mkdir(sc->migrations, 0700), 0);
    snprintf(path, sizeof(path), "%s/1.sql", sc->migrations);
    FILE *f = fopen(path, "w");
    assert_true(f && fwrite(sql, sizeof(sql) - 1, 1, f) == 1 && fclose(f) == 0);
    start(sc);
}

static void end(struct scene *sc)
{
    static const char *const names[] = {"x.db", "x.db-wal", "x.db-shm", "sql/1.sql"};
    char path[120];
    stop(sc);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", sc->folder, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(sc->migrations), 0);
    assert_int_equal(rmdir(sc->folder), 0);
}

/* The status (0: the connection broke); the body is shown until the next question. The client's
 * memory is not the program's. */
static int ask(struct scene *sc, const char *method, const char *target, const char *body,
               struct str *out)
{
    static char text[4 << 20];
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)sc->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    int size =
        snprintf(text, sizeof(text),
                 "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "
                 "%s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 method, target, sc->token, strlen(body), body);
    assert_int_equal(send(fd, text, (size_t)size, MSG_NOSIGNAL), size);
    ssize_t n;
    size_t have = 0;
    while ((n = recv(fd, text + have, sizeof(text) - have, 0)) > 0)
        have += (size_t)n;
    close(fd);
    ptrdiff_t head = str_find_str(str_of(text, have), STR("\r\n\r\n"));
    bool is_whole = n == 0 && head > 0;
    *out = is_whole ? str_of(text + head + 4, have - (size_t)head - 4) : STR_NONE;
    return is_whole ? atoi(text + 9) : 0;
}

/* CALL_OWN is what the program asks of base/mem.h, on all its threads. */
static void arm(unsigned which, int error, long n, long count)
{
    atomic_store(&calls, 0);
    atomic_store(&fail_with, error);
    atomic_store(&fail_at, n);
    atomic_store(&fail_count, count);
    atomic_store(&failing, which);
    if (which & CALL_OWN)
        mem_fail_at(n, count > 1);
}

/* Returns how many calls there were. */
static long disarm(void)
{
    long own = atomic_exchange(&failing, 0) & CALL_OWN ? mem_tries() : 0;
    mem_fail_at(0, 0);
    return own ? own : atomic_load(&calls);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool is_refusal(int status)
{
    return status == 0 || status == 500 || status == 503 || status == 507;
}

/* Until it is there; the first time something fails. */
static long insist(struct scene *sc, const char *target, const char *body, int good, int there)
{
    uint64_t give_up_ms = now_ms() + PATIENCE_MS;
    struct str answer;
    int status = ask(sc, "POST", target, body, &answer);
    long n = disarm();
    while (is_refusal(status) && now_ms() < give_up_ms) {
        sc->refused++;
        status = ask(sc, "POST", target, body, &answer);
    }
    if (status != good && status != there)
        print_error("%d %.*s\n", status, STR_ARG(answer));
    assert_true(status == good || status == there);
    return n;
}

static long say(struct scene *sc)
{
    char body[200];
    snprintf(body, sizeof(body),
             "{\"channel\":\"d\",\"event\":\"said\",\"content\":%zu,\"id\":\"m%zu\"}",
             sc->messages + 1, sc->messages + 1);
    sc->messages++;
    return insist(sc, "/api/publish", body, 200, 200);
}

/* Large, so that the log is folded into the file now and then. */
static long insert(struct scene *sc)
{
    char body[20100];
    snprintf(body, sizeof(body), "{\"id\":%zu,\"word\":\"%020000d\"}", ++sc->rows, 7);
    return insist(sc, "/rest/v1/t", body, 201, 409); /* 409: it was there, though not said */
}

/* All rows and all messages, each once and in order. */
static void look(struct scene *sc)
{
    struct str rest;
    char target[100];
    size_t row = 0, message = 0;
    while (row < sc->rows) {
        snprintf(target, sizeof(target), "/rest/v1/t?select=id&order=id&id=gt.%zu", row);
        assert_int_equal(ask(sc, "GET", target, "", &rest), 200);
        size_t before = row;
        for (ptrdiff_t at; (at = str_find_str(rest, STR("\"id\":"))) >= 0;) {
            rest = str_skip(rest, (size_t)at + 5);
            assert_int_equal(atoi(rest.p), ++row);
        }
        assert_true(row > before);
    }
    assert_int_equal(row, sc->rows);
    while (message < sc->messages) {
        snprintf(target, sizeof(target), "/api/channels/d?after=%zu&limit=100", message);
        assert_int_equal(ask(sc, "GET", target, "", &rest), 200);
        size_t before = message;
        for (ptrdiff_t at; (at = str_find_str(rest, STR("\"said\",\"content\":"))) >= 0;) {
            rest = str_skip(rest, (size_t)at + 17);
            assert_int_equal(atoi(rest.p), ++message);
        }
        assert_true(message > before);
    }
    assert_int_equal(message, sc->messages);
}

/* Each n-th call fails, and `count - 1` after it; first of a message, then of a row. */
static void try_all(unsigned which, int error, long count, unsigned sweeps)
{
    struct scene sc;
    long failures = 0;
    begin(&sc);
    for (unsigned sweep = 0; sweep < sweeps; sweep++) {
        for (int is_row = 0; is_row < 2; is_row++) {
            bool reached = true;
            for (long n = 1; reached; n++) {
                arm(which, error, n, count);
                reached = (is_row ? insert(&sc) : say(&sc)) >= n;
                failures += reached;
            }
        }
    }
    look(&sc);
    stop(&sc);
    start(&sc);
    look(&sc);
    say(&sc);
    insert(&sc);
    end(&sc);
    printf("# %s: %ld calls failed, %u refusals\n", strerrorname_np(error), failures, sc.refused);
    assert_true(failures > 0);
}

TEST(a_write_that_fails_loses_nothing_that_was_answered)
{
    try_all(CALL_WRITE, EIO, 1, 2);
    try_all(CALL_WRITE, ENOSPC, 1, 2);
    try_all(CALL_WRITE, ENOSPC, 1000, 2);
}

TEST(a_sync_that_fails_loses_nothing_that_was_answered)
{
    try_all(CALL_SYNC, EIO, 1, 20);
}

/* Each time with a cold cache. */
TEST(a_read_that_fails_is_said)
{
    struct scene sc;
    struct str b;
    long failures = 0;
    begin(&sc);
    for (int i = 0; i < 20; i++)
        insert(&sc);
    bool reached = true;
    for (long n = 1; reached; n += 5) {
        stop(&sc);
        start(&sc);
        arm(CALL_READ, EIO, n, 1);
        int status = ask(&sc, "GET", "/rest/v1/t?select=id,word&order=id", "", &b);
        reached = disarm() >= n;
        failures += reached;
        sc.refused += status != 200;
        assert_true(is_refusal(status) || (status == 200 && b.n > sc.rows * 20000));
        look(&sc);
    }
    end(&sc);
    printf("# EIO: %ld reads failed, %u refusals\n", failures, sc.refused);
    assert_true(failures > 10 && sc.refused > 0);
}

TEST(memory_that_the_database_does_not_get_costs_one_request)
{
    try_all(CALL_MEMORY, ENOMEM, 1, 3);
    try_all(CALL_MEMORY, ENOMEM, 1000, 1);
}

TEST(memory_that_the_program_does_not_get_costs_one_request)
{
    try_all(CALL_OWN, ENOMEM, 1, 3);
    try_all(CALL_OWN, ENOMEM, 1000, 1);
}
