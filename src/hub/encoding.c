/* SPDX-License-Identifier: Apache-2.0 */
/* Holds the table that transport fills; see encoding.h. */
#include "hub/encoding.h"

static const struct encoding_table *table_now;

void encoding_set(const struct encoding_table *table)
{
    table_now = table;
}

const struct encoding_table *encoding_get(void)
{
    return table_now;
}
