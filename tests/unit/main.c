/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the tests that registered themselves and prints one closing line per file. A descriptor
 * that is open at the end and was not at the start is a failure of its own. */
#include "test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define TESTS_MAX 1000

static struct CMUnitTest tests[TESTS_MAX];
static size_t count;

void test_register(const char *name, void (*fn)(void **state))
{
    if (count == TESTS_MAX)
        abort(); /* a test that is silently left out would be worse */
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
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : "unit";
    uv_loop_t warm_up; /* libuv keeps a pipe for the process from its first loop on */
    if (uv_loop_init(&warm_up) == 0)
        uv_loop_close(&warm_up);
    int before = open_descriptors();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    int after = open_descriptors();
    int passed = (int)count - failed;
    if (after > before) {
        printf("# descriptors leaked: %d before, %d after\n", before, after);
        failed++;
    }
    printf("%s: %d passed, %d failed\n", name, passed, failed);
    return failed != 0;
}
