/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "auth/rules.c"
#include "auth/policy.h"

static struct identity *nobody, *user, *admin, *server;

static void people(void)
{
    if (nobody)
        return;
    nobody = identity_new_anonymous(STR_NONE);
    server = identity_new_service();
    assert_int_equal(identity_new(STR("{\"sub\":\"u1\",\"org\":\"acme\"}"), STR_NONE, 0, &user), 0);
    assert_int_equal(identity_new(STR("{\"sub\":\"a1\",\"role\":\"admin\"}"), STR_NONE, 0, &admin),
                     0);
}

static struct rules *made(const struct rules_row *rows, size_t count)
{
    struct rules *r = NULL;
    struct rules_error error;
    people();
    if (rules_new(rows, count, &error, &r))
        fail_msg("row %zu %s column %zu: %s", error.row, auth_op_name(error.op), error.column,
                 error.text);
    return r;
}

/* Answers of nobody, user, admin as letters: y yes, n denied, t token required, p policy. */
static const char *answers(const struct rules *r, enum auth_op op, const char *channel)
{
    static char text[4];
    struct identity *who[] = {nobody, user, admin};
    for (int i = 0; i < 3; i++) {
        int err = auth_allows(r, who[i], op, str_from(channel));
        text[i] = err == 0                  ? 'y'
                  : err == AUTH_ASK         ? 'p'
                  : err == E_ACCESS_DENIED  ? 'n'
                  : err == E_TOKEN_REQUIRED ? 't'
                                            : '?';
    }
    assert_int_equal(auth_allows(r, server, op, str_from(channel)), 0);
    return text;
}

TEST(without_a_rule_the_answer_is_no)
{
    struct rules *r = made(NULL, 0);
    for (unsigned op = 0; op < AUTH_OPS; op++)
        assert_string_equal(answers(r, (enum auth_op)op, "x"), "nnn");
    rules_unref(r);
}

TEST(each_word_means_who_it_says)
{
    static const struct {
        const char *grant, *answers;
    } table[] = {
        {"*", "yyy"},
        {"none", "nnn"},
        {"authenticated", "tyy"},
        {"admin", "tny"},
        {"admin, mod", "tny"},
        {"anon", "ynn"},
        {"mod,admin , anon", "yny"},
        {"policy", "ppp"},
        {"admin, policy", "ppy"},
        {"authenticated, policy", "pyy"},
        {"* if segment(1) == 'x'", "nnn"},
        {"* if segment(1) == 'c'", "yyy"},
        {"* if sub == 'u1'", "tyn"},
        {"* if claims.org == 'acme'", "tyn"},
        {"authenticated if claims.org == 'acme'", "tyn"},
        {"authenticated if not claims.banned", "tnn"},
        {"policy if segment(1) == 'c'", "ppp"},
        {"policy if segment(1) == 'x'", "tnn"},
        {"admin, policy if sub != null", "tpy"},
        {"authenticated if(true)", "tyy"},
        {"* if  role == 'if'", "tnn"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct rules_row row = {STR("c*"), {[AUTH_PUBLISH] = str_from(table[i].grant)}};
        struct rules *r = made(&row, 1);
        if (strcmp(answers(r, AUTH_PUBLISH, "c"), table[i].answers) != 0)
            fail_msg("%s: %s", table[i].grant, answers(r, AUTH_PUBLISH, "c"));
        assert_string_equal(answers(r, AUTH_PUBLISH, "d"), "nnn");
        rules_unref(r);
    }
}

TEST(the_first_row_that_fits_and_speaks_decides)
{
    const struct rules_row rows[] = {
        {STR("news"), {[AUTH_PUBLISH] = STR("admin")}},
        {STR("user:*"), {[AUTH_SUBSCRIBE] = STR("authenticated if segment(2) == sub")}},
        {STR("secret"), {[AUTH_SUBSCRIBE] = STR("none"), [AUTH_PUBLISH] = STR("none")}},
        {STR("*"),
         {[AUTH_SUBSCRIBE] = STR("*"),
          [AUTH_PUBLISH] = STR("authenticated"),
          [AUTH_HISTORY] = STR("authenticated")}},
    };
    struct rules *r = made(rows, 4);
    assert_string_equal(answers(r, AUTH_PUBLISH, "news"), "tny");
    assert_string_equal(answers(r, AUTH_TRACK, "news"), "tny"); /* falls back to publish */
    assert_string_equal(answers(r, AUTH_SUBSCRIBE, "news"), "yyy");
    assert_string_equal(answers(r, AUTH_HISTORY, "news"), "tyy");
    assert_string_equal(answers(r, AUTH_PRESENCE, "news"), "yyy");
    assert_string_equal(answers(r, AUTH_SUBSCRIBE, "user:u1"), "tyn");
    assert_string_equal(answers(r, AUTH_PRESENCE, "user:a1"), "tny");
    assert_string_equal(answers(r, AUTH_HISTORY, "user:a1"), "tny");
    assert_string_equal(answers(r, AUTH_PUBLISH, "user:a1"), "tyy");
    assert_string_equal(answers(r, AUTH_SUBSCRIBE, "secret"), "nnn");
    assert_string_equal(answers(r, AUTH_TRACK, "secret"), "nnn");
    assert_string_equal(answers(r, AUTH_SUBSCRIBE, "secret2"), "yyy");
    rules_unref(rules_ref(r));
    assert_string_equal(answers(r, AUTH_SUBSCRIBE, "any"), "yyy");
    rules_unref(r);
}

TEST(a_fault_names_row_operation_and_column)
{
    static const struct {
        const char *grant;
        size_t column;
        const char *says;
    } table[] = {
        {"admin,", 7, "is expected"},       {",admin", 1, "is expected"},
        {"admin mod", 1, "not a role"},     {"a\"b", 1, "not a role"},
        {"none, admin", 1, "none stands"},  {"* if", 5, "too early"},
        {"* if sub = 1", 10, "comparison"}, {"* if foo", 6, "value is expected"},
        {"if true", 1, "not a role"},       {" ", 2, "is expected"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct rules_row rows[] = {
            {STR("a"), {[AUTH_SUBSCRIBE] = STR("*")}},
            {STR("b"), {[AUTH_SUBSCRIBE] = STR("*"), [AUTH_TRACK] = str_from(table[i].grant)}}};
        struct rules *r = NULL;
        struct rules_error error;
        assert_int_equal(rules_new(rows, 2, &error, &r), E_CONFIG);
        if (error.row != 1 || error.op != AUTH_TRACK || error.column != table[i].column ||
            !strstr(error.text, table[i].says))
            fail_msg("%s: column %zu: %s", table[i].grant, error.column, error.text);
    }
}

TEST(patterns_and_grants_have_limits)
{
    char text[3000];
    struct rules *r = NULL;
    struct rules_error error;
    memset(text, 'a', sizeof(text));
    struct rules_row row = {STR(""), {[AUTH_SUBSCRIBE] = STR("*")}};
    assert_int_equal(rules_new(&row, 1, &error, &r), E_CONFIG);
    assert_int_equal(error.column, 0);
    row.pattern = str_of(text, 256);
    assert_int_equal(rules_new(&row, 1, &error, &r), E_CONFIG);
    row.pattern = STR("a\0b");
    assert_int_equal(rules_new(&row, 1, &error, &r), E_CONFIG);
    row.pattern = STR("a");
    row.grants[0] = str_of(text, sizeof(text));
    assert_int_equal(rules_new(&row, 1, &error, &r), E_CONFIG);
    row.grants[0] = STR("*\0none");
    assert_int_equal(rules_new(&row, 1, &error, &r), E_CONFIG);
    row.grants[0] = STR("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,1,2,3,4,5,6,7");
    assert_int_equal(rules_new(&row, 1, &error, &r), E_CONFIG);
    assert_true(strstr(error.text, "too many roles") != NULL);
    assert_int_equal(rules_new(&row, ROWS_MAX + 1, &error, &r), E_CONFIG);
}

TEST(deciding_asks_for_no_memory)
{
    const struct rules_row rows[] = {
        {STR("r:*"), {[AUTH_SUBSCRIBE] = STR("* if sub in ['x', claims.y] or sub == 'u1'")}},
        {STR("*"), {[AUTH_SUBSCRIBE] = STR("authenticated")}}};
    struct rules *r = made(rows, 2);
    mem_fail_at(0, 0);
    assert_string_equal(answers(r, AUTH_SUBSCRIBE, "r:1"), "tyn");
    assert_string_equal(answers(r, AUTH_SUBSCRIBE, "s"), "tyy");
    assert_int_equal(mem_tries(), 0);
    rules_unref(r);
}

static int asked(const char *grant, const char *claims, const char *channel)
{
    struct rules_row row = {STR("*"), {[AUTH_SUBSCRIBE] = str_from(grant)}};
    struct rules *r = made(&row, 1);
    struct identity *id = NULL;
    assert_int_equal(identity_new(str_from(claims), STR_NONE, 0, &id), 0);
    int err = auth_allows(r, id, AUTH_SUBSCRIBE, str_from(channel));
    identity_unref(id);
    rules_unref(r);
    return err;
}

TEST(the_examples_of_the_guide_do_what_it_says)
{
    static const struct {
        const char *grant, *claims, *yes, *no;
    } table[] = {
        {"authenticated if segment(2) == sub", "{\"sub\":\"u1\"}", "user:u1", "user:u2"},
        {"* if claims.org == segment(1) and claims.verified",
         "{\"org\":\"acme\",\"verified\":true}", "acme/orders", "other/orders"},
        {"authenticated if channel in claims.rooms", "{\"rooms\":[\"a\",\"b\"]}", "a", "c"},
        {"authenticated if channel in claims.rooms", "{\"rooms\":{\"a\":\"rw\"}}", "a", "b"},
        {"authenticated if channel matches claims.channels",
         "{\"channels\":[\"team-7:*\",\"lobby\"]}", "team-7:x", "team-8:x"},
        {"authenticated if after(\"room-\") in claims.rooms", "{\"rooms\":[42]}", "room-42",
         "room-43"},
        {"member if claims.level >= 3 or role in [\"owner\", \"host\"]",
         "{\"role\":\"member\",\"level\":3}", "x", NULL},
        {"* if \"write\" in claims.scope", "{\"scope\":\"read write\"}", "x", NULL},
        {"* if claims.banned == null or not claims.banned", "{}", "x", NULL},
        {"* if claims.plan != \"free\"", "{}", NULL, "x"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].yes)
            assert_int_equal(asked(table[i].grant, table[i].claims, table[i].yes), 0);
        if (table[i].no)
            assert_int_equal(asked(table[i].grant, table[i].claims, table[i].no), E_ACCESS_DENIED);
    }
}

static void explained(const struct rules *r, struct identity *id, const char *channel,
                      const char *expect)
{
    struct buf out = {0};
    auth_allows_explain(r, id, AUTH_SUBSCRIBE, str_from(channel), &out);
    buf_add_c(&out, 0);
    assert_string_equal(out.p, expect);
    buf_free(&out);
}

TEST(an_explanation_names_the_row)
{
    const struct rules_row rows[] = {
        {STR("room-*"), {[AUTH_SUBSCRIBE] = STR("member if claims.org == 'x'")}},
        {STR("p"), {[AUTH_SUBSCRIBE] = STR("policy")}},
        {STR("q"), {[AUTH_SUBSCRIBE] = STR("* if claims.org == 'x'")}}};
    struct rules *r = made(rows, 3);
    explained(r, user, "room-1",
              "subscribe is denied: row 1, pattern \"room-*\", grant \"member if claims.org == "
              "'x'\"; role \"authenticated\" is not among those meant\n");
    explained(r, nobody, "room-1",
              "subscribe is denied: row 1, pattern \"room-*\", grant \"member if claims.org == "
              "'x'\"; there is no token\n");
    explained(r, server, "room-1", "subscribe is allowed: the service passes every rule\n");
    explained(r, user, "p",
              "subscribe is for the policy to decide: row 2, pattern \"p\", grant \"policy\"\n");
    explained(r, user, "q",
              "subscribe is denied: row 3, pattern \"q\", grant \"* if claims.org == 'x'\"; role "
              "\"authenticated\" is meant, but the condition does not hold\n");
    explained(r, user, "z", "subscribe is denied: no row says anything about this channel\n");
    rules_unref(r);
}

TEST(operations_have_names)
{
    enum auth_op op;
    for (unsigned i = 0; i < AUTH_OPS; i++) {
        assert_true(auth_op_parse(str_from(auth_op_name((enum auth_op)i)), &op));
        assert_int_equal(op, i);
    }
    assert_false(auth_op_parse(STR("Subscribe"), &op));
    assert_false(auth_op_parse(STR_NONE, &op));
}

static int told;
static void on_told(struct policy_question *q, int err)
{
    (void)q;
    told = err;
}

TEST(without_a_policy_the_answer_is_no)
{
    struct policy_question q = {.op = AUTH_SUBSCRIBE, .done = on_told};
    told = 0;
    policy_ask(NULL, &q);
    assert_int_equal(told, E_ACCESS_DENIED);
}
