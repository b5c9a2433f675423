/* SPDX-License-Identifier: Apache-2.0 */
/* Grants of rules: "grant NEWLINE channel". A fault lies within the text; an answer is the same
 * twice; an expression and its opposite are never both yes; the service always passes. */
#include "auth/expr.h"
#include "base/check.h"

#define CLAIMS                                                                                     \
    "{\"sub\":\"u1\",\"role\":\"member\",\"a\":{\"b\":[1,\"x\",null,true]},\"n\":2.5,"             \
    "\"scope\":\"read write\",\"t\":true,\"rooms\":{\"room\":1}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_rules(struct str grant, struct str channel, struct identity *const *who)
{
    struct rules_row row = {STR("*"), {[AUTH_PUBLISH] = grant}};
    struct rules_error error;
    struct rules *r = NULL;
    int err = rules_new(&row, 1, &error, &r);
    CHECK(err == 0 || (err == E_CONFIG && error.text[0] && error.op == AUTH_PUBLISH));
    CHECK(err == 0 || (error.column >= 1 && error.column <= grant.n + 1));
    if (err)
        return;
    for (int i = 0; i < 3; i++) {
        int answer = auth_allows(r, who[i], AUTH_PUBLISH, channel);
        CHECK(answer == auth_allows(r, who[i], AUTH_PUBLISH, channel));
        CHECK(answer == 0 || answer == AUTH_ASK || answer == E_ACCESS_DENIED ||
              (who[i]->anonymous && answer == E_TOKEN_REQUIRED));
        CHECK(answer == 0 || !who[i]->service);
        CHECK(auth_allows(r, who[i], AUTH_TRACK, channel) == answer);
        CHECK(auth_allows(r, who[i], AUTH_SUBSCRIBE, channel) == E_ACCESS_DENIED ||
              who[i]->service);
        struct buf words = {0};
        auth_allows_explain(r, who[i], AUTH_PUBLISH, channel, &words);
        CHECK(words.n);
        buf_free(&words);
    }
    rules_unref(r);
}

static void try_opposite(struct str text, struct str channel, const struct identity *id)
{
    size_t column;
    const char *fault;
    struct buf opposite = {0};
    buf_add_z(&opposite, "not (");
    buf_add_str(&opposite, text);
    buf_add_z(&opposite, ")");
    struct expr *yes = expr_new(text, &column, &fault);
    struct expr *no = yes ? expr_new(buf_str(&opposite), &column, &fault) : NULL;
    if (no) { /* two levels deeper: at the limit it may be refused */
        enum expr_answer a = expr_answer(yes, id, channel), b = expr_answer(no, id, channel);
        CHECK((a == EXPR_UNKNOWN) == (b == EXPR_UNKNOWN));
        CHECK(a == EXPR_UNKNOWN || a != b);
    }
    expr_free(yes);
    expr_free(no);
    buf_free(&opposite);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct identity *who[3];
    if (!who[0]) {
        who[0] = identity_new_anonymous(STR_NONE);
        who[1] = identity_new_service();
        CHECK(identity_new(STR(CLAIMS), STR_NONE, 0, &who[2]) == 0);
    }
    struct str channel = str_of((const char *)data, size);
    struct str grant = str_cut(&channel, '\n');
    if (!grant.n)
        return 0;
    try_rules(grant, channel, who);
    ptrdiff_t at = str_find_str(grant, STR(" if "));
    struct str expr = at < 0 ? grant : str_skip(grant, (size_t)at + 4);
    try_opposite(expr, channel, who[2]);
    try_opposite(expr, channel, who[0]);
    return 0;
}
