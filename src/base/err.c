/* SPDX-License-Identifier: Apache-2.0 */
/* The error table as data. */
#include "base/err.h"
#include "base/check.h"
#include <stddef.h>

static const struct err_info rows[] = {
#define ERR(name, number, status, retryable, text, hint)                                           \
    {E_##name, number, #name, status, retryable, text, hint},
#include "base/err.def"
#undef ERR
};

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))

const struct err_info *err_by_number(int number)
{
    for (size_t i = 0; i < ROWS_COUNT; i++)
        if (rows[i].number == number)
            return &rows[i];
    return NULL;
}

const struct err_info *err_info(int value)
{
    for (size_t i = 0; i < ROWS_COUNT; i++)
        if (rows[i].value == value)
            return &rows[i];
    CHECK(value != E_INTERNAL);
    return err_info(E_INTERNAL);
}

const struct err_info *err_all(int *count)
{
    *count = (int)ROWS_COUNT;
    return rows;
}
