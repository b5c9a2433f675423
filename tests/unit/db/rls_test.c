/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL's rules of row-level security, one by one. */
#include "test.h"
#include "db/rls.c"
#include "fixture.h"

static const char rooms[] =
    "CREATE TABLE rooms(id integer primary key, title text, open boolean not null default 0);"
    "CREATE TABLE members(room_id bigint references rooms(id), user_id text, primary key (room_id,"
    " user_id));"
    "CREATE TABLE messages(id integer primary key, room_id bigint references rooms(id), user_id"
    " text, content text);"
    "CREATE TABLE notes(id integer primary key, owner text, text text);"
    "CREATE TABLE secrets(id integer primary key, word text);"
    "CREATE TABLE loose(id integer primary key);"
    "INSERT INTO rooms VALUES (1,'ann and bob',0),(2,'only bob',0),(3,'open',1);"
    "INSERT INTO members VALUES (1,'ann'),(1,'bob'),(2,'bob');"
    "INSERT INTO messages VALUES (1,1,'ann','a1'),(2,1,'bob','b1'),(3,2,'bob','b2');"
    "INSERT INTO notes VALUES (1,'ann','mine'),(2,'bob','his');"
    "INSERT INTO secrets VALUES (1,'x'); INSERT INTO loose VALUES (1);"
    "INSERT INTO tw_tables(name, rls) VALUES ('rooms',1),('members',1),('messages',1),('notes',1),"
    " ('secrets',1);"
    "INSERT INTO tw_policies VALUES"
    " ('rooms','see','select',0,'','open OR EXISTS (SELECT 1 FROM members m WHERE m.room_id ="
    "  rooms.id)',''),"
    " ('members','own','select',0,'authenticated','user_id = auth_uid()',''),"
    " ('messages','read','select',0,'authenticated','EXISTS (SELECT 1 FROM members m WHERE"
    "  m.room_id = messages.room_id AND m.user_id = auth_uid())',''),"
    " ('messages','write','insert',0,'authenticated','','user_id = auth_uid() AND EXISTS (SELECT 1"
    "  FROM members m WHERE m.room_id = messages.room_id)'),"
    " ('messages','edit','update',0,'authenticated','user_id = auth_uid()',''),"
    " ('messages','drop','delete',0,'authenticated','user_id = auth_uid()',''),"
    " ('notes','own','all',0,'','owner = auth_uid()',''),"
    " ('notes','short','all',1,'authenticated','length(text) < 10','');";

static struct fixture f;
#define REP .prefer = "return=representation"

TEST(reads_see_what_the_policies_allow)
{
    fixture_open(&f, rooms);
    gives(&f, "GET /messages?select=id", (struct ask){.as = &ann}, "200 [{\"id\":1},{\"id\":2}]");
    gives(&f, "GET /messages?select=id", (struct ask){.as = &bob},
          "200 [{\"id\":1},{\"id\":2},{\"id\":3}]");
    gives(&f, "GET /messages?select=id", (struct ask){.as = &anon}, "200 []");
    gives(&f, "GET /messages?select=id", (struct ask){0}, "200 [{\"id\":1},{\"id\":2},{\"id\":3}]");
    gives(&f, "GET /secrets", (struct ask){.as = &ann}, "200 []");
    gives(&f, "GET /secrets", (struct ask){0}, "200 [{\"id\":1,\"word\":\"x\"}]");
    gives(&f, "GET /loose", (struct ask){.as = &anon}, "200 [{\"id\":1}]");
    gives(&f, "GET /messages?id=eq.3", (struct ask){.as = &ann}, "200 []");
    gives(&f, "GET /messages?select=count", (struct ask){.as = &ann}, "200 [{\"count\":2}]");
    fixture_close(&f);
}

TEST(policies_read_other_tables_through_their_policies)
{
    fixture_open(&f, rooms);
    gives(&f, "GET /rooms?select=id", (struct ask){.as = &ann}, "200 [{\"id\":1},{\"id\":3}]");
    gives(&f, "GET /rooms?select=id", (struct ask){.as = &bob},
          "200 [{\"id\":1},{\"id\":2},{\"id\":3}]");
    gives(&f, "GET /rooms?select=id", (struct ask){.as = &anon}, "200 [{\"id\":3}]");
    fixture_close(&f);
}

TEST(embeds_are_guarded)
{
    fixture_open(&f, rooms);
    gives(&f, "GET /rooms?select=id,messages(id),members(user_id)", (struct ask){.as = &ann},
          "200 [{\"id\":1,\"messages\":[{\"id\":1},{\"id\":2}],\"members\":[{\"user_id\":\"ann\"}]"
          "},{\"id\":3,\"messages\":[],\"members\":[]}]");
    gives(&f, "GET /loose?select=id,secrets(*)", (struct ask){.as = &ann},
          "400 PGRST200 Could not find a relationship between 'loose' and 'secrets' in the schema "
          "cache (Searched for a foreign key relationship between 'loose' and 'secrets' in the "
          "schema 'public', but no matches were found.)");
    gives(&f, "GET /rooms?select=id&messages=not.is.null", (struct ask){.as = &ann},
          "400 42703 column rooms.messages does not exist");
    gives(&f, "GET /rooms?select=id,messages!inner(id)&messages.content=eq.b2",
          (struct ask){.as = &ann}, "200 []");
    fixture_close(&f);
}

#define INSERT_REFUSED "403 42501 new row violates row-level security policy for table \"messages\""

TEST(inserts_are_checked)
{
    fixture_open(&f, rooms);
    gives(&f, "POST /messages",
          (struct ask){.as = &ann, .body = "{\"room_id\":1,\"user_id\":\"ann\"}"}, "201 ");
    gives(&f, "POST /messages",
          (struct ask){.as = &ann, .body = "{\"room_id\":1,\"user_id\":\"bob\"}"}, INSERT_REFUSED);
    gives(&f, "POST /messages",
          (struct ask){.as = &ann, .body = "{\"room_id\":2,\"user_id\":\"ann\"}"}, INSERT_REFUSED);
    gives(&f, "POST /messages",
          (struct ask){.as = &anon, .body = "{\"room_id\":1,\"user_id\":null}"}, INSERT_REFUSED);
    gives(&f, "POST /messages",
          (struct ask){.as = &ann,
                       .body = "[{\"room_id\":1,\"user_id\":\"ann\"},{\"room_id\":1,\"user_id\":"
                               "\"bob\"}]"},
          INSERT_REFUSED);
    gives(&f, "GET /messages?select=count", (struct ask){0}, "200 [{\"count\":4}]");
    gives(&f, "POST /messages", (struct ask){.body = "{\"room_id\":2,\"user_id\":\"anyone\"}"},
          "201 ");
    gives(&f, "POST /secrets", (struct ask){.as = &ann, .body = "{\"word\":\"y\"}"},
          "403 42501 new row violates row-level security policy for table \"secrets\"");
    fixture_close(&f);
}

TEST(a_returned_row_must_be_visible)
{
    fixture_open(&f, rooms);
    fixture_sql(&f, "INSERT INTO tw_policies VALUES ('secrets','post','insert',0,'','','1')");
    gives(&f, "POST /secrets", (struct ask){.as = &ann, .body = "{\"word\":\"y\"}"}, "201 ");
    gives(&f, "POST /secrets", (struct ask){.as = &ann, REP, .body = "{\"word\":\"y\"}"},
          "403 42501 new row violates row-level security policy for table \"secrets\"");
    gives(&f, "POST /messages?select=id",
          (struct ask){.as = &ann, REP, .body = "{\"room_id\":1,\"user_id\":\"ann\"}"},
          "201 [{\"id\":4}]");
    fixture_close(&f);
}

TEST(updates_and_deletes_reach_only_allowed_rows)
{
    fixture_open(&f, rooms);
    gives(&f, "PATCH /messages?id=lt.9&select=id",
          (struct ask){.as = &ann, REP, .body = "{\"content\":\"new\"}"}, "200 [{\"id\":1}]");
    gives(&f, "PATCH /messages?id=eq.2", (struct ask){.as = &ann, .body = "{\"content\":\"x\"}"},
          "204 ");
    gives(&f, "PATCH /messages?id=eq.1", (struct ask){.as = &ann, .body = "{\"user_id\":\"bob\"}"},
          INSERT_REFUSED);
    gives(&f, "PATCH /messages?id=eq.1", (struct ask){.as = &ann, .body = "{\"room_id\":2}"},
          INSERT_REFUSED); /* it would leave sight */
    gives(&f, "DELETE /messages?id=gte.1&select=id", (struct ask){.as = &ann, REP},
          "200 [{\"id\":1}]");
    gives(&f, "GET /messages?select=id,content", (struct ask){0},
          "200 [{\"id\":2,\"content\":\"b1\"},{\"id\":3,\"content\":\"b2\"}]");
    gives(&f, "DELETE /messages?id=eq.2", (struct ask){.as = &anon}, "204 ");
    gives(&f, "DELETE /messages?id=eq.2&select=id", (struct ask){REP}, "200 [{\"id\":2}]");
    fixture_close(&f);
}

TEST(upserts_need_the_rights_of_both)
{
    static const char merge[] = "resolution=merge-duplicates";
    fixture_open(&f, rooms);
    gives(&f, "POST /messages",
          (struct ask){.as = &ann,
                       .prefer = merge,
                       .body = "{\"id\":1,\"room_id\":1,\"user_id\":\"ann\",\"content\":\"up\"}"},
          "200 ");
    gives(&f, "POST /messages",
          (struct ask){.as = &ann,
                       .prefer = merge,
                       .body = "{\"id\":2,\"room_id\":1,\"user_id\":\"ann\",\"content\":\"up\"}"},
          "403 42501 new row violates row-level security policy (USING expression) for table "
          "\"messages\"");
    gives(&f, "POST /messages",
          (struct ask){.as = &ann,
                       .prefer = merge,
                       .body = "{\"id\":3,\"room_id\":1,\"user_id\":\"ann\",\"content\":\"up\"}"},
          "403 42501 new row violates row-level security policy (USING expression) for table "
          "\"messages\"");
    gives(&f, "POST /messages",
          (struct ask){.as = &ann,
                       .prefer = merge,
                       .body = "{\"id\":9,\"room_id\":2,\"user_id\":\"ann\",\"content\":\"up\"}"},
          INSERT_REFUSED);
    gives(&f, "GET /messages?select=content", (struct ask){0},
          "200 [{\"content\":\"up\"},{\"content\":\"b1\"},{\"content\":\"b2\"}]");
    fixture_close(&f);
}

TEST(restrictive_policies_bind_their_roles)
{
    fixture_open(&f, rooms);
    gives(&f, "POST /notes",
          (struct ask){.as = &ann,
                       .body = "{\"owner\":\"ann\",\"text\":"
                               "\"0123456789\"}"},
          "403 42501 new row violates row-level security policy for table \"notes\"");
    gives(&f, "POST /notes",
          (struct ask){.as = &ann, REP, .body = "{\"owner\":\"ann\",\"text\":\"ok\"}"},
          "201 [{\"id\":3,\"owner\":\"ann\",\"text\":\"ok\"}]");
    fixture_sql(&f, "INSERT INTO main.notes VALUES (7,'ann','a very long text')");
    gives(&f, "GET /notes?select=id", (struct ask){.as = &ann}, "200 [{\"id\":1},{\"id\":3}]");
    fixture_sql(&f, "DELETE FROM tw_policies WHERE name = 'own' AND \"table\" = 'notes'");
    gives(&f, "GET /notes?select=id", (struct ask){.as = &ann}, "200 []");
    fixture_close(&f);
}

TEST(permissive_policies_add_up)
{
    fixture_open(&f, rooms);
    fixture_sql(&f, "INSERT INTO tw_policies VALUES ('notes','bobs','select',0,'authenticated',"
                    "'owner = ''bob''','')");
    gives(&f, "GET /notes?select=id", (struct ask){.as = &ann}, "200 [{\"id\":1},{\"id\":2}]");
    gives(&f, "PATCH /notes?id=eq.2&select=id",
          (struct ask){.as = &ann,
                       REP,
                       .body = "{\"text\":"
                               "\"x\"}"},
          "200 []");
    fixture_close(&f);
}

TEST(a_policy_that_needs_itself_is_refused)
{
    struct buf b = {0};
    fixture_open(&f, rooms);
    fixture_sql(&f, "UPDATE tw_policies SET using_expr = 'EXISTS (SELECT 1 FROM members m2 WHERE"
                    " m2.user_id = auth_uid())' WHERE \"table\" = 'members'");
    fixture_run(&f, "GET /members", (struct ask){.as = &ann}, &b, NULL);
    assert_non_null(strstr(b.p, "500 42P17 infinite recursion detected in policy"));
    buf_free(&b);
    fixture_close(&f);
}

TEST(a_broken_policy_shows_nothing)
{
    struct buf b = {0};
    fixture_open(&f, rooms);
    fixture_sql(&f, "UPDATE tw_policies SET using_expr = 'gone = 1' WHERE \"table\" = 'members'");
    fixture_run(&f, "GET /members", (struct ask){.as = &ann}, &b, NULL);
    assert_non_null(strstr(b.p, "42703"));
    buf_free(&b);
    fixture_close(&f);
}

TEST(policy_changes_hold_at_once)
{
    fixture_open(&f, rooms);
    gives(&f, "GET /secrets?select=id", (struct ask){.as = &ann}, "200 []");
    fixture_sql(&f,
                "INSERT INTO tw_policies VALUES ('secrets','all','all',0,'authenticated','1','')");
    gives(&f, "GET /secrets?select=id", (struct ask){.as = &ann}, "200 [{\"id\":1}]");
    fixture_sql(&f, "UPDATE tw_tables SET rls = 0 WHERE name = 'messages'");
    gives(&f, "GET /messages?select=count", (struct ask){.as = &anon}, "200 [{\"count\":3}]");
    fixture_close(&f);
}

TEST(claims_are_readable)
{
    fixture_open(&f, rooms);
    fixture_sql(&f, "INSERT INTO tw_policies VALUES ('secrets','org','select',0,'',"
                    "'auth_jwt() ->> ''org'' = ''o-bob''','')");
    gives(&f, "GET /secrets?select=id", (struct ask){.as = &ann}, "200 []");
    gives(&f, "GET /secrets?select=id", (struct ask){.as = &bob}, "200 [{\"id\":1}]");
    fixture_close(&f);
}

TEST(expressions_cannot_smuggle)
{
    static const char *const bad[] = {"1) FROM messages; DELETE FROM messages; --",
                                      "(SELECT value FROM tw_meta)",
                                      "(SELECT name FROM sqlite_schema)",
                                      "1, 2",
                                      "load_extension('x')",
                                      "nope = 1",
                                      "(DELETE FROM messages)",
                                      "(SELECT * FROM pragma_table_info('x'))",
                                      ""};
    struct fault fault;
    fixture_open(&f, rooms);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (rls_check_expression(f.h, STR("messages"), str_from(bad[i]), &fault))
            fail_msg("%s", bad[i]);
    assert_true(rls_check_expression(f.h, STR("messages"),
                                     STR("user_id = auth_uid() AND EXISTS (SELECT 1 FROM members m "
                                         "WHERE m.room_id = messages.room_id)"),
                                     &fault));
    fixture_close(&f);
}

TEST(a_policy_that_is_no_sql_hides_its_table_only)
{
    fixture_open(&f, rooms);
    fixture_sql(&f, "UPDATE tw_policies SET using_expr = 'what ever (' WHERE \"table\" = 'notes'");
    gives(&f, "GET /notes?select=id", (struct ask){.as = &ann}, "200 []");
    gives(&f, "GET /messages?select=count", (struct ask){.as = &ann}, "200 [{\"count\":2}]");
    fixture_close(&f);
}
