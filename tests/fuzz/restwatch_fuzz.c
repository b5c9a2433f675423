/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the filter of a change subscription: parsed and compiled for a table, then asked
 * about a row; no crash, and what is refused says why. */
#include "base/check.h"
#include "db/rowfilter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct column columns[] = {
        {.name = {"id", 2}}, {.name = {"word", 4}}, {.name = {"flag", 4}}, {.name = {"at", 2}}};
    static struct table t = {.name = {"t", 1}, .columns = columns, .columns_count = 4};
    static const struct cell row[] = {{.kind = CELL_INT, .i = 5},
                                      {.kind = CELL_TEXT, .s = {"hello", 5}},
                                      {.kind = CELL_NULL},
                                      {.kind = CELL_REAL, .r = 1e300}};
    struct rowfilter f;
    struct fault fault = {0};
    type_parse(&columns[0].type, STR("bigint"));
    type_parse(&columns[1].type, STR("text"));
    type_parse(&columns[2].type, STR("boolean"));
    type_parse(&columns[3].type, STR("timestamptz"));
    if (size > 4096)
        return 0;
    if (!rowfilter_compile(&f, &t, str_of((const char *)data, size), &fault)) {
        CHECK(fault.code[0] && fault.message[0]);
        return 0;
    }
    (void)rowfilter_fits(&f, row);
    rowfilter_free(&f);
    return 0;
}
