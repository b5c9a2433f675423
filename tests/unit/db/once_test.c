/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "db/once.c"
#include "fixture.h"

static struct fixture f;
#define REP .prefer = "return=representation"

TEST(a_repeated_insert_is_one_row_and_gets_the_first_answer)
{
    struct ask a = {.as = &ann, REP, .body = "{\"word\":\"x\"}", .key = "k1"};
    struct ask other;
    fixture_open(&f, "");
    fixture_migrate(&f, "1",
                    "create table t(id integer primary key autoincrement, word text,"
                    " at timestamptz default now());"
                    "alter publication supabase_realtime add table t;");
    gives(&f, "POST /t?select=id,word", a, "201 [{\"id\":1,\"word\":\"x\"}]");
    gives(&f, "POST /t?select=id,word", a, "201 [{\"id\":1,\"word\":\"x\"}]");
    assert_int_equal(sqlite_integer(f.h, "SELECT count(*) FROM t", 9), 1);
    assert_int_equal(sqlite_integer(f.h, "SELECT count(*) FROM tw_changes WHERE key = 'k1'", 9), 1);
    other = a;
    other.as = &bob; /* a key is its owner's */
    gives(&f, "POST /t?select=id,word", other, "201 [{\"id\":2,\"word\":\"x\"}]");
    other = a;
    other.body = "{\"word\":\"y\"}";
    gives(&f, "POST /t?select=id,word", other,
          "409 PT409 The idempotency key was used for another request");
    other = a;
    other.key = "k2";
    other.body = "{\"word\":[}";
    gives(&f, "POST /t?select=id,word", other, "400 PGRST102 Empty or invalid json");
    other.body = "{\"word\":\"ok\"}"; /* what failed was not done: the key is free */
    gives(&f, "POST /t?select=id,word", other, "201 [{\"id\":3,\"word\":\"ok\"}]");
    fixture_close(&f);
}
