/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a migration: statements are found, policies and functions parsed, the rest
 * translated; no crash, and what is bad says why. An expression that comes out of a policy is
 * balanced: it cannot close the parentheses it will stand in. */
#include "base/check.h"
#include "wire/sqlstatement.h"
#include "wire/sqltranslate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void balanced(struct str sql)
{
    struct sqltext s = {sql};
    long depth = 0;
    for (;;) {
        struct sqltext_token t = sqltext_next(&s);
        CHECK(t.kind != SQLTEXT_BAD);
        if (t.kind == SQLTEXT_END)
            break;
        depth += sqltext_is(&t, "(") ? 1 : sqltext_is(&t, ")") ? -1 : 0;
        CHECK(depth >= 0);
    }
    CHECK(depth == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size), statement;
    bool bad;
    if (size > 8192)
        return 0;
    while (sqltext_statement(&rest, &statement, &bad)) {
        struct sqlstatement s;
        struct buf out = {0};
        sqlstatement_parse(&s, statement);
        if (s.kind == SQLSTATEMENT_BAD)
            CHECK(s.why[0]);
        if (s.kind == SQLSTATEMENT_CREATE_POLICY) {
            balanced(buf_str(&s.using_expr));
            balanced(buf_str(&s.check_expr));
        }
        sqltranslate_statement(statement, &out);
        buf_free(&out);
        sqlstatement_free(&s);
    }
    return 0;
}
