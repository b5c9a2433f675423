/* SPDX-License-Identifier: Apache-2.0 */
/* Writes: what is answered, and what is in the table afterwards. */
#include "test.h"
#include "db/write.c"
#include "fixture.h"

static const char shop[] =
    "CREATE TABLE users(id integer primary key, name text not null, email text unique,"
    " admin boolean not null default 0, data jsonb, score double precision, at timestamptz,"
    " tags \"text[]\", ref uuid, code varchar(5), n numeric, raw bytea, nick text default 'none',"
    " loud text generated always as (upper(name)));"
    "CREATE TABLE rooms(id integer primary key, title text not null check (length(title) > 1));"
    "CREATE TABLE messages(id integer primary key, room_id bigint not null references rooms(id),"
    " content text);"
    "CREATE TABLE members(room_id bigint, user_id text, level integer, primary key (room_id,"
    " user_id));"
    "INSERT INTO rooms VALUES (1,'one'),(2,'two');";

static struct fixture f;
#define REP .prefer = "return=representation"
#define OBJ .accept = "application/vnd.pgrst.object+json"

TEST(an_insert_answers_as_asked)
{
    fixture_open(&f, shop);
    gives(&f, "POST /rooms", (struct ask){.body = "{\"title\":\"xx\"}"}, "201 ");
    gives(&f, "POST /rooms?select=*", (struct ask){REP, OBJ, .body = "{\"title\":\"yy\"}"},
          "201 {\"id\":4,\"title\":\"yy\"}");
    gives(&f, "POST /rooms?select=title", (struct ask){REP, .body = "{\"title\":\"zz\"}"},
          "201 [{\"title\":\"zz\"}]");
    gives(&f, "POST /rooms?columns=\"id\",\"title\"",
          (struct ask){REP, .body = "[{\"id\":10,\"title\":\"aa\"},{\"title\":\"bb\"}]"},
          "201 [{\"id\":10,\"title\":\"aa\"},{\"id\":11,\"title\":\"bb\"}]");
    gives(&f, "POST /rooms", (struct ask){REP, .body = "[]"}, "201 []");
    gives(&f, "POST /messages?select=id,rooms(title)",
          (struct ask){REP, .body = "{\"room_id\":1,\"content\":\"hi\"}"},
          "201 [{\"id\":1,\"rooms\":{\"title\":\"one\"}}]");
    gives(&f, "POST /members",
          (struct ask){REP, .accept = "text/csv", .body = "{\"room_id\":1,\"user_id\":\"a\"}"},
          "201 room_id,user_id,level\n1,a,");
    fixture_close(&f);
}

static void location(const char *line, const char *body, const char *want)
{
    struct buf b = {0};
    struct rest_answer res = {0};
    fixture_run(&f, line, (struct ask){.prefer = "return=headers-only", .body = body}, &b, &res);
    if (!str_eq(buf_str(&res.location), str_from(want)))
        fail_msg("%s: %.*s, not %s", line, STR_ARG(buf_str(&res.location)), want);
    assert_string_equal(b.p, "201 ");
    request_free_answer(&res);
    buf_free(&b);
}

TEST(headers_only_names_the_new_row)
{
    fixture_open(&f, shop);
    location("POST /rooms", "{\"title\":\"xx\"}", "/rooms?id=eq.3");
    location("POST /members", "{\"room_id\":1,\"user_id\":\"a\\n&b\"}",
             "/members?room_id=eq.1&user_id=eq.a%0A%26b");
    fixture_close(&f);
}

TEST(values_are_read_by_declared_type)
{
    fixture_open(&f, shop);
    gives(
        &f, "POST /users",
        (struct ask){REP, OBJ,
                     .body = "{\"id\":\"7\",\"name\":\"Ann\",\"admin\":true,\"data\":{\"a\": "
                             "[1, 2]},\"score\":0.1,\"at\":\"2026-01-01T12:00:00.500+02:00\","
                             "\"tags\":[\"a\",\"b\"],\"ref\":\"A0EEBC99-9C0B-4EF8-BB6D-"
                             "6BB9BD380A11\",\"code\":\"abc\",\"n\":12,\"raw\":\"\\\\x00ff\"}"},
        "201 {\"id\":7,\"name\":\"Ann\",\"email\":null,\"admin\":true,\"data\":{\"a\":[1,2]},"
        "\"score\":0.1,\"at\":\"2026-01-01T10:00:00.5+00:00\",\"tags\":[\"a\",\"b\"],\"ref\":"
        "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\",\"code\":\"abc\",\"n\":12,\"raw\":\"\\\\x00ff\","
        "\"nick\":\"none\",\"loud\":\"ANN\"}");
    gives(&f, "POST /users?select=name,data,score,n,tags,admin",
          (struct ask){REP, OBJ,
                       .body = "{\"name\":5,\"data\":\"text\",\"score\":\"1e3\",\"n\":1.25,"
                               "\"tags\":\"{1,\\\"x y\\\",NULL}\",\"admin\":\"no\"}"},
          "201 {\"name\":\"5\",\"data\":\"text\",\"score\":1000,\"n\":1.25,\"tags\":[\"1\",\"x y\","
          "null],\"admin\":false}");
    gives(&f, "POST /users?select=id,name",
          (struct ask){REP, OBJ, .body = "{\"id\":9007199254740993,\"name\":\"big\"}"},
          "201 {\"id\":9007199254740993,\"name\":\"big\"}");
    gives(&f, "POST /users?select=name,nick",
          (struct ask){REP, OBJ, .body = "{\"name\":{\"a\":1},\"nick\":null}"},
          "201 {\"name\":\"{\\\"a\\\":1}\",\"nick\":null}");
    fixture_close(&f);
}

TEST(values_of_the_wrong_type_are_refused)
{
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"{\"name\":\"x\",\"id\":1.5}", "400 22P02 invalid input syntax for type bigint: \"1.5\""},
        {"{\"name\":\"x\",\"id\":true}",
         "400 22P02 invalid input syntax for type bigint: \"true\""},
        {"{\"name\":\"x\",\"id\":{}}", "400 22P02 invalid input syntax for type bigint: \"{}\""},
        {"{\"name\":\"x\",\"admin\":7}", "400 22P02 invalid input syntax for type boolean: \"7\""},
        {"{\"name\":\"x\",\"at\":\"soon\"}",
         "400 22007 invalid input syntax for type timestamp with time zone: \"soon\""},
        {"{\"name\":\"x\",\"at\":\"2026-02-30\"}",
         "400 22007 invalid input syntax for type timestamp with time zone: \"2026-02-30\""},
        {"{\"name\":\"x\",\"ref\":\"zz\"}", "400 22P02 invalid input syntax for type uuid: \"zz\""},
        {"{\"name\":\"x\",\"code\":\"abcdef\"}",
         "400 22001 value too long for type character varying(5)"},
        {"{\"name\":\"x\",\"tags\":\"no\"}", "400 22P02 malformed array literal: \"no\" (Array "
                                             "value must start with \"{\" or dimension "
                                             "information.)"},
        {"{\"name\":\"x\",\"score\":\"NaN\"}",
         "400 22P02 invalid input syntax for type double precision: \"NaN\""},
        {"{\"name\":null}",
         "400 23502 null value in column \"name\" of relation \"users\" violates "
         "not-null constraint"},
        {"{\"nope\":1}",
         "400 PGRST204 Could not find the 'nope' column of 'users' in the schema cache"},
        {"{\"loud\":\"x\"}", "400 428C9 cannot insert a non-DEFAULT value into column \"loud\" "
                             "(Column \"loud\" is a generated column.)"},
        {"{\"rowid\":1}",
         "400 PGRST204 Could not find the 'rowid' column of 'users' in the schema cache"},
        {"[{\"name\":\"a\"},{\"nick\":\"b\"}]", "400 PGRST102 All object keys must match"},
        {"[1]", "400 PGRST102 All array items must be objects"},
        {"{", "400 PGRST102 Empty or invalid json"},
        {"", "400 PGRST102 Empty or invalid json"},
        {"5", "400 PGRST102 Empty or invalid json"},
        {"{\"name\":\"a\\u0000b\"}", "400 22P05 unsupported Unicode escape sequence"},
    };
    fixture_open(&f, shop);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        gives(&f, "POST /users", (struct ask){.body = rows[i].body}, rows[i].want);
    gives(&f, "GET /users?select=count", (struct ask){0}, "200 [{\"count\":0}]");
    fixture_close(&f);
}

TEST(constraints_have_postgres_codes)
{
    fixture_open(&f, shop);
    gives(&f, "POST /users", (struct ask){.body = "{\"id\":1,\"name\":\"a\",\"email\":\"e\"}"},
          "201 ");
    gives(&f, "POST /users", (struct ask){.body = "{\"id\":1,\"name\":\"a\"}"},
          "409 23505 duplicate key value violates unique constraint \"users_pkey\" (Key (id) "
          "already exists.)");
    gives(&f, "POST /users", (struct ask){.body = "{\"name\":\"a\",\"email\":\"e\"}"},
          "409 23505 duplicate key value violates unique constraint \"users_email_key\" (Key "
          "(email) already exists.)");
    gives(&f, "POST /rooms", (struct ask){.body = "{\"title\":\"x\"}"},
          "400 23514 new row violates check constraint \"length(title) > 1\"");
    gives(&f, "POST /messages", (struct ask){.body = "{\"room_id\":99}"},
          "409 23503 insert, update or delete violates a foreign key constraint");
    gives(&f, "POST /rooms", (struct ask){.body = "[{\"title\":\"good\"},{\"title\":\"x\"}]"},
          "400 23514 new row violates check constraint \"length(title) > 1\"");
    gives(&f, "GET /rooms?select=count", (struct ask){0}, "200 [{\"count\":2}]");
    fixture_close(&f);
}

TEST(missing_members_are_null_or_default_as_asked)
{
    fixture_open(&f, shop);
    gives(&f, "POST /users?columns=name,nick&select=nick",
          (struct ask){REP, .body = "[{\"name\":\"a\"}]"}, "201 [{\"nick\":null}]");
    gives(&f, "POST /users?columns=name,nick&select=nick",
          (struct ask){.prefer = "return=representation, missing=default",
                       .body = "[{\"name\":\"a\"},{\"name\":\"b\",\"nick\":\"B\",\"x\":1}]"},
          "201 [{\"nick\":\"none\"},{\"nick\":\"B\"}]");
    gives(&f, "POST /messages", (struct ask){.body = "{}"},
          "400 23502 null value in column \"room_id\" of relation \"messages\" violates not-null "
          "constraint");
    fixture_close(&f);
}

TEST(upserts_merge_or_ignore)
{
    static const struct ask merge = {.prefer = "resolution=merge-duplicates,return=representation"};
    struct ask a = merge;
    fixture_open(&f, shop);
    a.body = "{\"room_id\":1,\"user_id\":\"a\",\"level\":1}";
    gives(&f, "POST /members", a, "201 [{\"room_id\":1,\"user_id\":\"a\",\"level\":1}]");
    a.body = "{\"room_id\":1,\"user_id\":\"a\",\"level\":2}";
    gives(&f, "POST /members", a, "200 [{\"room_id\":1,\"user_id\":\"a\",\"level\":2}]");
    a.body = "[{\"room_id\":1,\"user_id\":\"a\",\"level\":3},{\"room_id\":1,\"user_id\":\"b\","
             "\"level\":4}]";
    gives(&f, "POST /members?on_conflict=room_id,user_id&select=level", a,
          "201 [{\"level\":3},{\"level\":4}]");
    a.body = "{\"name\":\"x\",\"email\":\"e\"}";
    gives(&f, "POST /users?on_conflict=email&select=id,name", a, "201 [{\"id\":1,\"name\":\"x\"}]");
    a.body = "{\"name\":\"y\",\"email\":\"e\"}";
    gives(&f, "POST /users?on_conflict=email&select=id,name", a, "200 [{\"id\":1,\"name\":\"y\"}]");
    a.body = "{\"id\":5,\"name\":\"z\",\"email\":\"e\"}";
    gives(&f, "POST /users", a,
          "409 23505 duplicate key value violates unique constraint \"users_email_key\" (Key "
          "(email) already exists.)");
    gives(&f, "POST /users?on_conflict=name", a,
          "400 42P10 there is no unique or exclusion constraint matching the ON CONFLICT "
          "specification");
    gives(&f, "POST /users?on_conflict=nope", a, "400 42703 column users.nope does not exist");
    a = (struct ask){.prefer = "resolution=ignore-duplicates,return=representation",
                     .body = "[{\"room_id\":1,\"user_id\":\"a\",\"level\":9},{\"room_id\":2,"
                             "\"user_id\":\"a\",\"level\":9}]"};
    gives(&f, "POST /members?select=room_id", a, "201 [{\"room_id\":2}]");
    gives(&f, "GET /members?select=level&order=room_id,user_id", (struct ask){0},
          "200 [{\"level\":3},{\"level\":4},{\"level\":9}]");
    fixture_close(&f);
}

TEST(updates_and_deletes_touch_what_the_filter_says)
{
    fixture_open(&f, shop);
    gives(&f, "PATCH /rooms?id=eq.1", (struct ask){.body = "{\"title\":\"uno\"}"}, "204 ");
    gives(&f, "PATCH /rooms?id=eq.1&select=title", (struct ask){REP, .body = "{\"title\":\"ein\"}"},
          "200 [{\"title\":\"ein\"}]");
    gives(&f, "PATCH /rooms?id=eq.9", (struct ask){REP, .body = "{\"title\":\"xx\"}"}, "200 []");
    gives(&f, "PATCH /rooms?id=eq.9", (struct ask){REP, OBJ, .body = "{\"title\":\"xx\"}"},
          "406 PGRST116 Cannot coerce the result to a single JSON object (The result contains 0 "
          "rows)");
    gives(&f, "PATCH /rooms", (struct ask){.body = "{\"title\":\"xx\"}"},
          "400 21000 UPDATE requires a WHERE clause");
    gives(&f, "PATCH /rooms?id=eq.1", (struct ask){.body = "[]"},
          "400 PGRST102 The body of an update must be a JSON object");
    gives(&f, "PATCH /rooms?id=eq.1", (struct ask){.body = "{\"nope\":1}"},
          "400 PGRST204 Could not find the 'nope' column of 'rooms' in the schema cache");
    gives(&f, "PATCH /rooms?id=eq.1", (struct ask){REP, .body = "{}"}, "200 []");
    gives(&f, "PATCH /rooms?id=gte.1", (struct ask){REP, OBJ, .body = "{\"title\":\"all\"}"},
          "406 PGRST116 Cannot coerce the result to a single JSON object (The result contains 2 "
          "rows)");
    gives(&f, "PATCH /rooms?id=gte.1",
          (struct ask){.prefer = "handling=strict,max-affected=1", .body = "{\"title\":\"all\"}"},
          "400 PGRST124 Query result exceeds max-affected preference constraint (The query affects "
          "2 rows)");
    gives(&f, "GET /rooms?select=title", (struct ask){0},
          "200 [{\"title\":\"ein\"},{\"title\":\"two\"}]");
    gives(&f, "DELETE /rooms", (struct ask){0}, "400 21000 DELETE requires a WHERE clause");
    gives(&f, "DELETE /rooms?id=eq.1", (struct ask){REP}, "200 [{\"id\":1,\"title\":\"ein\"}]");
    gives(&f, "DELETE /rooms?id=eq.1", (struct ask){0}, "204 ");
    gives(&f, "POST /messages", (struct ask){.body = "{\"room_id\":2,\"content\":\"hi\"}"}, "201 ");
    gives(&f, "DELETE /rooms?id=eq.2", (struct ask){0},
          "409 23503 insert, update or delete violates a foreign key constraint");
    gives(&f, "PATCH /messages?select=content,rooms(title)&rooms.title=eq.two&id=eq.1",
          (struct ask){REP, .body = "{\"content\":\"ho\"}"},
          "200 [{\"content\":\"ho\",\"rooms\":{\"title\":\"two\"}}]");
    gives(&f, "DELETE /messages?or=(id.eq.1,id.eq.2)", (struct ask){.prefer = "count=exact"},
          "204 ");
    fixture_close(&f);
}

TEST(unknown_preferences_matter_only_when_strict)
{
    fixture_open(&f, shop);
    gives(&f, "GET /rooms?select=id", (struct ask){.prefer = "anything=x"},
          "200 [{\"id\":1},{\"id\":2}]");
    gives(&f, "GET /rooms?select=id", (struct ask){.prefer = "handling=strict, anything=x"},
          "400 PGRST122 Invalid preferences given with handling=strict (Invalid preferences: "
          "anything=x)");
    fixture_close(&f);
}

TEST(put_makes_or_replaces_the_row_that_its_address_names)
{
    fixture_open(&f, shop);
    gives(&f, "PUT /rooms?id=eq.7", (struct ask){REP, .body = "{\"id\":7,\"title\":\"new\"}"},
          "201 [{\"id\":7,\"title\":\"new\"}]");
    gives(&f, "PUT /rooms?id=eq.7",
          (struct ask){REP, OBJ, .body = "[{\"id\":7,\"title\":\"newer\"}]"},
          "200 {\"id\":7,\"title\":\"newer\"}");
    gives(&f, "PUT /rooms?id=eq.7", (struct ask){.body = "{\"id\":7,\"title\":\"last\"}"}, "204 ");
    gives(&f, "PUT /rooms?id=eq.8", (struct ask){.body = "{\"id\":8,\"title\":\"eight\"}"}, "201 ");
    gives(&f, "PUT /members?user_id=eq.a%26b&room_id=eq.1",
          (struct ask){REP, .body = "{\"room_id\":1,\"user_id\":\"a&b\",\"level\":3}"},
          "201 [{\"room_id\":1,\"user_id\":\"a&b\",\"level\":3}]");
    gives(&f, "GET /rooms?id=gte.7", (struct ask){0},
          "200 [{\"id\":7,\"title\":\"last\"},{\"id\":8,\"title\":\"eight\"}]");
    fixture_close(&f);
}

TEST(put_refuses_an_address_that_is_not_one_row)
{
    static const char key[] = "405 PGRST105 Filters must include all and only primary key columns "
                              "with 'eq' operators";
    static const char other[] =
        "400 PGRST115 Payload values do not match URL in primary key column(s)";
    static const char *const bad[] = {"PUT /rooms",
                                      "PUT /rooms?title=eq.new",
                                      "PUT /rooms?id=gt.7",
                                      "PUT /rooms?id=not.eq.7",
                                      "PUT /rooms?id=eq(any).{7}",
                                      "PUT /rooms?id=eq.7&title=eq.new",
                                      "PUT /rooms?id=eq.7&id=eq.7",
                                      "PUT /rooms?or=(id.eq.7)",
                                      "PUT /rooms?and=(id.eq.7)"};
    fixture_open(&f, shop);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        gives(&f, bad[i], (struct ask){.body = "{\"id\":7,\"title\":\"new\"}"}, key);
    gives(&f, "PUT /members?room_id=eq.1",
          (struct ask){.body = "{\"room_id\":1,\"user_id\":\"a\"}"}, key);
    gives(&f, "PUT /rooms?id=eq.7&limit=1", (struct ask){.body = "{\"id\":7,\"title\":\"new\"}"},
          "400 PGRST114 limit/offset querystring parameters are not allowed for PUT");
    gives(&f, "PUT /rooms?id=eq.7", (struct ask){.body = "{\"id\":8,\"title\":\"new\"}"}, other);
    gives(&f, "PUT /rooms?id=eq.7", (struct ask){.body = "{\"title\":\"new\"}"}, other);
    gives(&f, "PUT /rooms?id=eq.7", (struct ask){.body = "[]"}, other);
    gives(&f, "PUT /rooms?id=eq.7",
          (struct ask){.body = "[{\"id\":7,\"title\":\"a1\"},{\"id\":7,\"title\":\"a2\"}]"}, other);
    gives(&f, "PUT /rooms?id=eq.x", (struct ask){.body = "{\"id\":7,\"title\":\"new\"}"},
          "400 22P02 invalid input syntax for type bigint: \"x\"");
    gives(&f, "GET /rooms?select=id", (struct ask){0}, "200 [{\"id\":1},{\"id\":2}]");
    fixture_close(&f);
}
