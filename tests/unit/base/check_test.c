/* SPDX-License-Identifier: Apache-2.0 */
/* A failed check stops the process and says where, with the last log lines. */
#include "test.h"
#include "base/check.c"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static char said[65536];

static void breach(void)
{
    log_error("test", "before", "n=%d", 1);
    CHECK(1 + 1 == 2);
    CHECK(said[0] == 'x');
}

TEST(a_breach_says_file_line_and_what_came_before)
{
    int ends[2], status;
    size_t n = 0;
    ssize_t got;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        breach();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], said + n, sizeof(said) - 1 - n)) > 0)
        n += (size_t)got;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    char *at = strstr(said, "check_test.c:");
    assert_non_null(at);
    assert_non_null(strstr(at, "check failed: said[0] == 'x'"));
    /* once when it was logged, once more in the record */
    char *first = strstr(said, "test before n=1");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "test before n=1"));
}
