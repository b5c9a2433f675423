/* SPDX-License-Identifier: Apache-2.0 */
/* What happens when a check fails: say where, show the last log lines, stop. Nothing here
 * allocates or takes a lock that the failing code may hold. */
#include "base/check.h"
#include "base/log.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *file, int line, const char *what)
{
    static atomic_flag failing = ATOMIC_FLAG_INIT;
    dprintf(STDERR_FILENO, "%s:%d: check failed: %s\n", file, line, what);
    if (!atomic_flag_test_and_set(&failing))
        log_dump_recent(STDERR_FILENO);
    abort();
}
