/* SPDX-License-Identifier: Apache-2.0 */
/* The log of changes: what is written into it, by whomever, and what is removed. */
#include "test.h"
#include "db/changelog.c"
#include "fixture.h"

static struct fixture f;

static void begin(void)
{
    fixture_open(&f, "");
    fixture_migrate(&f, "1",
                    "create table t (id integer primary key, word text, flag boolean, at"
                    " timestamptz, data jsonb);"
                    "create table quiet (id integer primary key);"
                    "alter publication supabase_realtime add table t;");
}

static int64_t count(const char *where)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM main.tw_changes WHERE %s", where);
    return sqlite_integer(f.h, sql, -1);
}

TEST(each_changed_row_of_a_published_table_is_logged_as_the_data_api_writes_it)
{
    begin();
    fixture_sql(&f, "INSERT INTO t VALUES (1,'a',1,'2026-01-01T10:00:00+00:00','{\"a\":[1]}'),"
                    " (2,'it''s',0,NULL,NULL);"
                    "UPDATE t SET word = 'b' WHERE id = 1;"
                    "DELETE FROM t WHERE id = 2;"
                    "INSERT INTO quiet VALUES (1)");
    assert_int_equal(count("1"), 4);
    assert_int_equal(count("op = 'I' AND old IS NULL AND new = '{\"id\":1,\"word\":\"a\",\"flag\":"
                           "true,\"at\":\"2026-01-01T10:00:00+00:00\",\"data\":{\"a\":[1]}}'"),
                     1);
    assert_int_equal(count("op = 'U' AND old ->> 'word' = 'a' AND new ->> 'word' = 'b'"), 1);
    assert_int_equal(count("op = 'D' AND new IS NULL AND old ->> 'word' = 'it''s'"), 1);
    fixture_close(&f);
}

TEST(what_is_rolled_back_is_not_logged)
{
    begin();
    fixture_sql(&f, "BEGIN; INSERT INTO t(id) VALUES (1); ROLLBACK; INSERT INTO t(id) VALUES (2)");
    assert_int_equal(count("1"), 1);
    assert_int_equal(count("new ->> 'id' = 2"), 1);
    fixture_close(&f);
}

TEST(the_oldest_go_by_number_and_by_age)
{
    struct fault fault = {0};
    begin();
    for (int i = 0; i < 20; i++)
        fixture_sql(&f, "INSERT INTO t(word) VALUES ('x')");
    assert_int_equal(changelog_trim(f.h, "-1 day", 100, &fault), 0);
    assert_int_equal(changelog_trim(f.h, "-1 day", 8, &fault), 12);
    assert_int_equal(count("seq > 12"), 8);
    fixture_sql(&f, "UPDATE main.tw_changes SET at = '2020-01-01T00:00:00' WHERE seq <= 15");
    assert_int_equal(changelog_trim(f.h, "-1 day", 100, &fault), 3);
    assert_int_equal(count("seq > 15"), 5);
    /* Numbers go on: who comes back with an old place is behind, not ahead. */
    assert_int_equal(changelog_trim(f.h, "+1 day", 100, &fault), 5);
    fixture_sql(&f, "INSERT INTO t(word) VALUES ('x')");
    assert_int_equal(sqlite_integer(f.h, "SELECT min(seq) FROM main.tw_changes", -1), 21);
    assert_int_equal(changelog_trim(f.h, "no age", 100, &fault), 0); /* keeps rather than guesses */
    fixture_close(&f);
}
