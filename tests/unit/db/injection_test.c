/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that mean something to SQL, in every place of a request where a text can stand: as a value,
 * a name, a path, a cast, an operator, a key of a body. Whatever is answered, it is the data API's
 * own answer: never SQLite's word for bad SQL, never another table's row, never a change that was
 * not asked for. */
#include "test.h"
#include "db/request.c"
#include "base/json.h"
#include "fixture.h"

static const char shop[] =
    "CREATE TABLE rooms(id integer primary key, title text, data jsonb, tags \"text[]\");"
    "CREATE TABLE messages(id integer primary key, room_id bigint references rooms(id), content"
    " text);"
    "CREATE TABLE secrets(id integer primary key, word text);"
    "INSERT INTO rooms VALUES (1,'one','{\"a\":{\"b\":1}}','[\"x\"]'),(2,'two',NULL,NULL);"
    "INSERT INTO messages VALUES (1,1,'hi'),(2,2,'ho');"
    "INSERT INTO secrets VALUES (1,'swordfish');"
    "INSERT INTO tw_tables(name, rls) VALUES ('secrets', 1);";
static const char echo[] = "create function echo(p_text text) returns text language sql stable"
                           " as $$ select p_text $$";

static const char *const evil[] = {
    "'",
    "\"",
    "`",
    "\\",
    "''",
    "\"\"",
    "';DROP TABLE secrets;--",
    "\";DROP TABLE secrets;--",
    "1;DELETE FROM secrets",
    "1 OR 1=1",
    "1) OR (1=1",
    "' OR '1'='1",
    "\" OR \"1\"=\"1",
    "1 UNION SELECT word FROM secrets",
    "' UNION SELECT word FROM secrets--",
    ") UNION SELECT word,1,1,1 FROM secrets--",
    "(SELECT word FROM secrets)",
    "secrets.word",
    "\"secrets\".\"word\"",
    "main.secrets",
    "temp.secrets",
    "sqlite_schema",
    "tw_policies",
    "rowid",
    "/*",
    "*/",
    "--",
    "#",
    "?1",
    "?",
    ":a",
    "@a",
    "$1",
    "%",
    "%%s%n",
    "*",
    "id",
    "NULL",
    "randomblob(1000000000)",
    "load_extension('x')",
    "writefile('/tmp/tw-injected','x')",
    "a\x01z",
    "a\nb",
    "a\tb",
    "a,b",
    "a.b",
    "a(b)",
    "a)b",
    "{a",
    "}",
    "[",
    "]",
    "\xc3\xa9",
    "\xff",
    "\xe2\x80\xa8",
    "->",
    "->>",
    "::text",
    "id::text",
    "id!inner",
    "...rooms",
    "eq.1",
    "not.",
    "is.null",
    "and",
    "x' COLLATE NOCASE --",
    "ATTACH DATABASE '/tmp/tw-injected' AS x",
    "PRAGMA writable_schema=1",
};

/* %s is where the text goes. */
static const char *const slots[] = {
    "GET /%s",
    "GET /rooms?select=%s",
    "GET /rooms?select=id,%s",
    "GET /rooms?select=%s:id",
    "GET /rooms?select=x:%s",
    "GET /rooms?select=id::%s",
    "GET /rooms?select=data->%s",
    "GET /rooms?select=data->>%s",
    "GET /rooms?select=data->%%22%s%%22",
    "GET /rooms?select=%%22%s%%22",
    "GET /rooms?select=%s(id)",
    "GET /rooms?select=messages!%s(id)",
    "GET /rooms?select=messages(%s)",
    "GET /rooms?select=%s:messages(id)",
    "GET /rooms?select=...%s(id)",
    "GET /rooms?select=id.%s()",
    "GET /rooms?%s=eq.1",
    "GET /rooms?%s.id=eq.1",
    "GET /rooms?%%22%s%%22=eq.1",
    "GET /rooms?data->%s=eq.1",
    "GET /rooms?data->>%s=eq.1",
    "GET /rooms?id=%s",
    "GET /rooms?id=%s.1",
    "GET /rooms?id=eq.%s",
    "GET /rooms?title=eq.%s",
    "GET /rooms?title=neq.%s",
    "GET /rooms?title=gt.%s",
    "GET /rooms?title=like.%s",
    "GET /rooms?title=ilike.%s",
    "GET /rooms?title=match.%s",
    "GET /rooms?title=imatch.%s",
    "GET /rooms?title=is.%s",
    "GET /rooms?title=isdistinct.%s",
    "GET /rooms?title=in.(%s)",
    "GET /rooms?title=in.(%%22%s%%22)",
    "GET /rooms?title=like(any).{%s}",
    "GET /rooms?title=fts(%s).x",
    "GET /rooms?tags=cs.{%s}",
    "GET /rooms?tags=ov.{%s}",
    "GET /rooms?data=cs.%s",
    "GET /rooms?data=eq.%s",
    "GET /rooms?or=%s",
    "GET /rooms?or=(%s)",
    "GET /rooms?or=(%s.eq.1)",
    "GET /rooms?or=(title.eq.%s)",
    "GET /rooms?or=(title.eq.%%22%s%%22,id.eq.9)",
    "GET /rooms?or=(title.%s.1)",
    "GET /rooms?and=(id.eq.1,title.in.(%s))",
    "GET /rooms?order=%s",
    "GET /rooms?order=id.%s",
    "GET /rooms?order=%s.desc",
    "GET /rooms?order=%%22%s%%22",
    "GET /rooms?order=data->%s",
    "GET /rooms?order=messages(%s)&select=id,messages(id)",
    "GET /rooms?limit=%s",
    "GET /rooms?offset=%s",
    "GET /rooms?select=id,messages(id)&messages.%s=eq.1",
    "GET /rooms?select=id,messages(id)&messages.content=eq.%s",
    "GET /rooms?select=id,messages(id)&messages.order=%s",
    "GET /rooms?select=id,messages(id)&messages.limit=%s",
    "GET /rooms?select=id,messages!inner(id)&messages.or=(content.eq.%s)",
    "GET /rpc/%s",
    "GET /rpc/echo?p_text=%s",
    "GET /rpc/echo?%s=1",
    "POST /rpc/%s",
    "POST /%s",
    "POST /rooms?columns=%s",
    "POST /rooms?on_conflict=%s",
    "POST /rooms?select=%s",
    "PATCH /rooms?title=eq.%s",
    "PATCH /rooms?%s=eq.x",
    "DELETE /rooms?title=eq.%s",
    "DELETE /rooms?%s=eq.x",
    "PUT /rooms?id=eq.%s",
    "PUT /rooms?%s=eq.1",
};

/* With the text as JSON; the address has none. */
static const char *const bodies[][2] = {
    {"POST /rooms", "{\"title\":%s}"},
    {"POST /rooms", "{%s:\"x\"}"},
    {"POST /rooms", "{\"title\":\"x\",\"data\":%s}"},
    {"POST /rooms", "{\"title\":\"x\",\"data\":{%s:1}}"},
    {"POST /rooms", "{\"title\":\"x\",\"tags\":[%s]}"},
    {"POST /rooms", "{\"id\":%s}"},
    {"POST /rpc/echo", "{\"p_text\":%s}"},
    {"POST /rpc/echo", "{%s:\"x\"}"},
    {"PATCH /rooms?id=eq.99", "{\"title\":%s}"},
    {"PATCH /rooms?id=eq.99", "{%s:\"x\"}"},
    {"PUT /rooms?id=eq.99", "{\"id\":99,\"title\":%s}"},
};

static struct fixture f;

static void percent(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_printf(out, "%%%02X", (unsigned char)*text);
}

static bool is_known(const char *code)
{
    static const char *const ours[] = {"PGRST", "42703", "42704", "42883", "22", "42P10", "42501",
                                       "0A000", "23",    "21000", "42803", "54", "2201B"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strncmp(code, ours[i], strlen(ours[i])) == 0)
            return true;
    return false;
}

static void check(const char *line, const char *body, const char *answer)
{
    int status = atoi(answer);
    bool fine = status < 300 || (status < 500 && is_known(answer + 4));
    if (!fine || strstr(answer, "swordfish"))
        fail_msg("%s\n%s\n%s", line, body ? body : "", answer);
}

/* As a user under policies, and as the service role for whom nothing stands in between. */
static void try(const char *line, const char *body)
{
    const struct identity *who[] = {&ann, &service};
    for (size_t i = 0; i < 2; i++) {
        struct buf got = {0};
        struct fault fault;
        fixture_run(&f, line, (struct ask){.as = who[i], .body = body}, &got, NULL);
        check(line, body, got.p);
        buf_free(&got);
        assert_int_equal(sqlite_integer(f.h, "SELECT count(*) FROM main.secrets", -1), 1);
        assert_int_equal(sqlite_integer(f.h, "SELECT count(*) FROM main.messages", -1), 2);
        assert_true(sqlite_integer(f.h, "SELECT count(*) FROM main.rooms", -1) >= 2);
        sqlite_exec(f.h, "DELETE FROM main.rooms WHERE id > 2", &fault);
    }
}

static void begin(void)
{
    fixture_open(&f, shop);
    fixture_migrate(&f, "echo.sql", echo);
    gives(&f, "GET /rpc/echo?p_text=hi", (struct ask){0}, "200 \"hi\"");
}

TEST(no_text_of_an_address_becomes_sql)
{
    size_t cases = 0;
    begin();
    for (size_t s = 0; s < sizeof slots / sizeof slots[0]; s++) {
        for (size_t e = 0; e < sizeof evil / sizeof evil[0]; e++) {
            bool writes = slots[s][0] == 'P' && strncmp(slots[s], "POST /rpc", 9) != 0;
            struct buf text = {0}, line = {0};
            percent(&text, evil[e]);
            buf_add_c(&text, 0);
            buf_printf(&line, slots[s], text.p);
            buf_add_c(&line, 0);
            try(line.p, writes ? "{\"id\":1,\"title\":\"one\"}" : "{}");
            buf_free(&text);
            buf_free(&line);
            cases++;
        }
    }
    assert_true(cases > 4000);
    assert_int_equal(access("/tmp/tw-injected", F_OK), -1);
    fixture_close(&f);
}

TEST(no_text_of_a_body_becomes_sql)
{
    begin();
    for (size_t s = 0; s < sizeof bodies / sizeof bodies[0]; s++) {
        for (size_t e = 0; e < sizeof evil / sizeof evil[0]; e++) {
            struct buf text = {0}, body = {0};
            json_add_string(&text, str_from(evil[e]));
            buf_add_c(&text, 0);
            buf_printf(&body, bodies[s][1], text.p);
            buf_add_c(&body, 0);
            try(bodies[s][0], body.p);
            buf_free(&text);
            buf_free(&body);
        }
    }
    fixture_close(&f);
}

/* What was a value comes back as it was. */
TEST(every_text_is_stored_as_it_is)
{
    fixture_open(&f, shop);
    for (size_t e = 0; e < sizeof evil / sizeof evil[0]; e++) {
        struct buf text = {0}, body = {0}, line = {0}, want = {0};
        if (strcmp(evil[e], "\xff") == 0) /* no UTF-8, so no JSON */
            continue;
        json_add_string(&text, str_from(evil[e]));
        buf_add_c(&text, 0);
        buf_printf(&body, "{\"id\":5,\"title\":%s}", text.p);
        buf_add_c(&body, 0);
        gives(&f, "PUT /rooms?id=eq.5", (struct ask){.body = body.p}, e ? "204 " : "201 ");
        buf_add_z(&line, "GET /rooms?select=title&id=eq.5&title=eq.");
        percent(&line, evil[e]);
        buf_add_c(&line, 0);
        buf_printf(&want, "200 [{\"title\":%s}]", text.p);
        buf_add_c(&want, 0);
        gives(&f, line.p, (struct ask){0}, want.p);
        buf_free(&text);
        buf_free(&body);
        buf_free(&line);
        buf_free(&want);
    }
    fixture_close(&f);
}
