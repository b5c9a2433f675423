/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the tests that registered themselves and prints one closing line per file. */
#include "test.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static struct CMUnitTest tests[1000];
static size_t count;

void test_register(const char *name, void (*fn)(void **state))
{
    if (count < sizeof(tests) / sizeof(tests[0]))
        tests[count++] = (struct CMUnitTest){name, fn, NULL, NULL, NULL};
}

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    (void)argc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const char *slash = strrchr(argv[0], '/');
    uv_loop_t warm_up; /* libuv keeps a pipe for the process from its first loop on */
    if (uv_loop_init(&warm_up) == 0)
        uv_loop_close(&warm_up);
    int before = open_descriptors();
    fflush(stdout);
    int failed = _cmocka_run_group_tests(slash ? slash + 1 : argv[0], tests, count, NULL, NULL);
    if (open_descriptors() > before) {
        printf("# descriptors leaked: %d before, %d after\n", before, open_descriptors());
        failed++;
    }
    printf("%s: %zu passed, %d failed\n", slash ? slash + 1 : argv[0], count - (size_t)(failed > (int)count ? (int)count : failed), failed);
    return failed != 0;
}
