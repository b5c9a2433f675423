/* SPDX-License-Identifier: Apache-2.0 */
/* Reads over the whole grammar, with the body each gives. */
#include "test.h"
#include "db/select.c"
#include "fixture.h"

static const char shop[] =
    "CREATE TABLE users(id integer primary key, name text not null, email text unique,"
    " admin boolean not null default 0, data jsonb, score double precision, created_at timestamptz,"
    " tags \"text[]\");"
    "CREATE TABLE rooms(id integer primary key, title varchar(20) not null);"
    "CREATE TABLE messages(id integer primary key, room_id bigint not null references rooms(id),"
    " user_id bigint references users(id), content text not null, reply_to bigint"
    " references messages(id));"
    "CREATE TABLE members(room_id bigint references rooms(id), user_id bigint references users(id),"
    " primary key (room_id, user_id));"
    "CREATE TABLE profiles(user_id bigint primary key references users(id), bio text);"
    "CREATE VIEW loud AS SELECT id, upper(content) AS content FROM messages;"
    "INSERT INTO users VALUES"
    " (1,'Ann','ann@x',1,'{\"a\":{\"b\":[1,2]},\"n\":5,\"s\":\"five\",\"t\":true}',1.5,"
    "  '2026-01-01T10:00:00+00:00','[\"x\",\"y\"]'),"
    " (2,'Bob','bob@x',0,'{\"n\":7}',0.1,'2026-01-02T10:00:00.25+00:00','[\"y\"]'),"
    " (3,'Çelik',NULL,0,NULL,NULL,NULL,NULL);"
    "INSERT INTO rooms VALUES (1,'one'),(2,'two'),(3,'empty');"
    "INSERT INTO messages VALUES (1,1,1,'hello',NULL),(2,1,2,'hi \"you\"',1),(3,2,1,'50% "
    "off',NULL),"
    " (4,2,NULL,'nobody',3);"
    "INSERT INTO members VALUES (1,1),(1,2),(2,1);"
    "INSERT INTO profiles VALUES (1,'likes C'),(2,NULL);";

static struct fixture f;
static void get(const char *target, const char *want)
{
    char line[600];
    snprintf(line, sizeof line, "GET /%s", target);
    gives(&f, line, (struct ask){0}, want);
}

TEST(columns_aliases_casts_and_paths)
{
    fixture_open(&f, shop);
    get("rooms", "200 [{\"id\":1,\"title\":\"one\"},{\"id\":2,\"title\":\"two\"},{\"id\":3,"
                 "\"title\":\"empty\"}]");
    get("rooms?select=*", "200 [{\"id\":1,\"title\":\"one\"},{\"id\":2,\"title\":\"two\"},"
                          "{\"id\":3,\"title\":\"empty\"}]");
    get("rooms?select=", "200 [{},{},{}]");
    get("rooms?select=title&id=eq.1", "200 [{\"title\":\"one\"}]");
    get("rooms?select=name:title&id=eq.1", "200 [{\"name\":\"one\"}]");
    get("rooms?select=id::text&id=eq.1", "200 [{\"id\":\"1\"}]");
    get("rooms?select=n:id::float8&id=eq.1", "200 [{\"n\":1}]");
    get("users?select=admin::text,score::text,created_at::date&id=eq.1",
        "200 [{\"admin\":\"true\",\"score\":\"1.5\",\"created_at\":\"2026-01-01\"}]");
    get("users?select=data->a->b,data->>n,data->n,data->>s&id=eq.1",
        "200 [{\"b\":[1,2],\"n\":\"5\",\"n\":5,\"s\":\"five\"}]");
    get("users?select=x:data->a->b->1,y:data->a->b->-2,z:data->>t&id=eq.1",
        "200 [{\"x\":2,\"y\":1,\"z\":\"true\"}]");
    get("users?select=data->nothing&id=eq.1", "200 [{\"nothing\":null}]");
    get("users?id=eq.1",
        "200 "
        "[{\"id\":1,\"name\":\"Ann\",\"email\":\"ann@x\",\"admin\":true,\"data\":{\"a\":{\"b\":["
        "1,2]},\"n\":5,\"s\":\"five\",\"t\":true},\"score\":1.5,\"created_at\":\"2026-01-01T10:00:"
        "00+00:00\",\"tags\":[\"x\",\"y\"]}]");
    get("users?select=data,score,tags&id=eq.3", "200 [{\"data\":null,\"score\":null,\"tags\":null}"
                                                "]");
    get("loud?id=eq.1", "200 [{\"id\":1,\"content\":\"HELLO\"}]");
    get("users?select=a:name,b:name&id=eq.2", "200 [{\"a\":\"Bob\",\"b\":\"Bob\"}]");
    fixture_close(&f);
}

TEST(what_does_not_exist_is_said)
{
    fixture_open(&f, shop);
    get("nothing", "404 PGRST205 Could not find the table 'public.nothing' in the schema cache");
    get("tw_meta", "404 PGRST205 Could not find the table 'public.tw_meta' in the schema cache");
    get("sqlite_schema",
        "404 PGRST205 Could not find the table 'public.sqlite_schema' in the schema cache");
    get("realtime_messages",
        "404 PGRST205 Could not find the table 'public.realtime_messages' in the schema cache");
    get("rooms?select=nope", "400 42703 column rooms.nope does not exist");
    get("rooms?nope=eq.1", "400 42703 column rooms.nope does not exist");
    get("rooms?order=nope", "400 42703 column rooms.nope does not exist");
    get("rooms?select=rowid", "400 42703 column rooms.rowid does not exist");
    get("rooms?select=id::nope", "400 42704 type \"nope\" does not exist");
    get("rooms?select=title->a", "404 42883 operator does not exist: character varying -> unknown");
    get("rooms?select=nope(*)",
        "400 PGRST200 Could not find a relationship between 'rooms' and 'nope' in the schema cache "
        "(Searched for a foreign key relationship between 'rooms' and 'nope' in the schema "
        "'public', but no matches were found.)");
    fixture_close(&f);
}

TEST(filters_compare_by_type)
{
    fixture_open(&f, shop);
    get("users?select=id&id=eq.2", "200 [{\"id\":2}]");
    get("users?select=id&id=neq.2", "200 [{\"id\":1},{\"id\":3}]");
    get("users?select=id&id=gt.1&id=lte.3", "200 [{\"id\":2},{\"id\":3}]");
    get("users?select=id&id=gte.3", "200 [{\"id\":3}]");
    get("users?select=id&id=lt.2", "200 [{\"id\":1}]");
    get("users?select=id&id=not.eq.2", "200 [{\"id\":1},{\"id\":3}]");
    get("users?select=id&admin=eq.true", "200 [{\"id\":1}]");
    get("users?select=id&admin=eq.f", "200 [{\"id\":2},{\"id\":3}]");
    get("users?select=id&admin=is.true", "200 [{\"id\":1}]");
    get("users?select=id&admin=not.is.true", "200 [{\"id\":2},{\"id\":3}]");
    get("users?select=id&email=is.null", "200 [{\"id\":3}]");
    get("users?select=id&email=not.is.null", "200 [{\"id\":1},{\"id\":2}]");
    get("users?select=id&email=is.not_null", "200 [{\"id\":1},{\"id\":2}]");
    get("users?select=id&score=eq.0.1", "200 [{\"id\":2}]");
    get("users?select=id&score=gt.1", "200 [{\"id\":1}]");
    get("users?select=id&created_at=gt.2026-01-01T11:00:00Z", "200 [{\"id\":2}]");
    get("users?select=id&created_at=eq.2026-01-01+12:00:00%2B02", "200 [{\"id\":1}]");
    get("users?select=id&email=isdistinct.ann@x", "200 [{\"id\":2},{\"id\":3}]");
    get("users?select=id&id=in.(1,3)", "200 [{\"id\":1},{\"id\":3}]");
    get("users?select=id&name=in.(Ann,\"Bob\")", "200 [{\"id\":1},{\"id\":2}]");
    get("users?select=id&id=not.in.(1,3)", "200 [{\"id\":2}]");
    get("users?select=id&id=in.()", "200 []");
    get("users?select=id&id=not.in.()", "200 [{\"id\":1},{\"id\":2},{\"id\":3}]");
    get("users?select=id&admin=in.(true)", "200 [{\"id\":1}]");
    get("users?select=id&id=eq(any).{1,2}", "200 [{\"id\":1},{\"id\":2}]");
    get("users?select=id&id=gt(all).{1,2}", "200 [{\"id\":3}]");
    fixture_close(&f);
}

TEST(filters_refuse_values_of_the_wrong_type)
{
    fixture_open(&f, shop);
    get("users?id=eq.x", "400 22P02 invalid input syntax for type bigint: \"x\"");
    get("users?id=eq.1.5", "400 22P02 invalid input syntax for type bigint: \"1.5\"");
    get("users?id=eq.99999999999999999999",
        "400 22003 value \"99999999999999999999\" is out of range for type bigint");
    get("users?admin=eq.maybe", "400 22P02 invalid input syntax for type boolean: \"maybe\"");
    get("users?score=eq.1x", "400 22P02 invalid input syntax for type double precision: \"1x\"");
    get("users?created_at=eq.today",
        "400 22007 invalid input syntax for type timestamp with time zone: \"today\"");
    get("users?id=in.(1,x)", "400 22P02 invalid input syntax for type bigint: \"x\"");
    get("users?id=like.1*", "404 42883 operator does not exist: bigint ~~ unknown");
    get("users?id=is.true", "400 42804 argument of IS TRUE must be type boolean, not type bigint");
    get("users?name=cs.{a}", "404 42883 operator does not exist: text @> unknown");
    get("users?name=fts.a", "400 0A000 range and full-text operators are not supported on SQLite");
    get("users?name=match.(", "400 2201B invalid regular expression: parentheses () not balanced");
    fixture_close(&f);
}

TEST(patterns_match)
{
    fixture_open(&f, shop);
    get("users?select=id&name=like.A*", "200 [{\"id\":1}]");
    get("users?select=id&name=like.a*", "200 []");
    get("users?select=id&name=ilike.a*", "200 [{\"id\":1}]");
    get("users?select=id&name=ilike.*N*", "200 [{\"id\":1}]");
    get("users?select=id&name=like._ob", "200 [{\"id\":2}]");
    get("users?select=id&name=ilike.%C3%A7ELIK", "200 [{\"id\":3}]");
    get("users?select=id&name=like._elik", "200 [{\"id\":3}]");
    get("messages?select=id&content=like.*%5C%25*", "200 [{\"id\":3}]");
    get("users?select=id&name=like(any).{A*,B*}", "200 [{\"id\":1},{\"id\":2}]");
    get("users?select=id&name=ilike(all).{*n*,a*}", "200 [{\"id\":1}]");
    get("users?select=id&name=match.%5EA", "200 [{\"id\":1}]");
    get("users?select=id&name=imatch.%5E(a|b)", "200 [{\"id\":1},{\"id\":2}]");
    get("messages?select=id&content=match.%5Cd%2B", "200 [{\"id\":3}]");
    fixture_close(&f);
}

TEST(json_and_arrays_are_searched)
{
    fixture_open(&f, shop);
    get("users?select=id&data->>n=eq.5", "200 [{\"id\":1}]");
    get("users?select=id&data->n=gt.5", "200 [{\"id\":2}]");
    get("users?select=id&data->>s=eq.five", "200 [{\"id\":1}]");
    get("users?select=id&data->a->b->>0=eq.1", "200 [{\"id\":1}]");
    get("users?select=id&data->>t=eq.true", "200 [{\"id\":1}]");
    get("users?select=id&data->>n=in.(5,7)", "200 [{\"id\":1},{\"id\":2}]");
    get("users?select=id&data->>n=is.null", "200 [{\"id\":3}]");
    get("users?select=id&data=eq.{%22n%22:7}", "200 [{\"id\":2}]");
    get("users?select=id&data=cs.{%22n%22:5}", "200 [{\"id\":1}]");
    get("users?select=id&data=cs.{%22a%22:{%22b%22:[2]}}", "200 [{\"id\":1}]");
    get("users?select=id&data=cd.{%22n%22:7,%22m%22:1}", "200 [{\"id\":2}]");
    get("users?select=id&tags=cs.{y}", "200 [{\"id\":1},{\"id\":2}]");
    get("users?select=id&tags=cs.{x,y}", "200 [{\"id\":1}]");
    get("users?select=id&tags=cd.{y,z}", "200 [{\"id\":2}]");
    get("users?select=id&tags=ov.{x,z}", "200 [{\"id\":1}]");
    get("users?select=id&tags=eq.{y}", "200 [{\"id\":2}]");
    get("users?select=id&tags=cs.[%22x%22]", "200 [{\"id\":1}]");
    get("users?data=cs.{x}", "400 22P02 invalid input syntax for type json: \"{x}\"");
    fixture_close(&f);
}

TEST(trees_combine)
{
    fixture_open(&f, shop);
    get("users?select=id&or=(id.eq.1,name.eq.Bob)", "200 [{\"id\":1},{\"id\":2}]");
    get("users?select=id&not.or=(id.eq.1,name.eq.Bob)", "200 [{\"id\":3}]");
    get("users?select=id&and=(id.gt.1,id.lt.3)", "200 [{\"id\":2}]");
    get("users?select=id&or=(id.eq.3,and(admin.is.true,name.like.A*))",
        "200 [{\"id\":1},{\"id\":3}]");
    get("users?select=id&or=(id.in.(1,2),name.eq.x)&id=gt.1", "200 [{\"id\":2}]");
    get("users?select=id&or=(data->>n.eq.5,email.is.null)", "200 [{\"id\":1},{\"id\":3}]");
    fixture_close(&f);
}

TEST(order_puts_null_where_postgres_does)
{
    fixture_open(&f, shop);
    get("users?select=id&order=score", "200 [{\"id\":2},{\"id\":1},{\"id\":3}]");
    get("users?select=id&order=score.desc", "200 [{\"id\":3},{\"id\":1},{\"id\":2}]");
    get("users?select=id&order=score.desc.nullslast", "200 [{\"id\":1},{\"id\":2},{\"id\":3}]");
    get("users?select=id&order=score.nullsfirst", "200 [{\"id\":3},{\"id\":2},{\"id\":1}]");
    get("users?select=id&order=admin.desc,id.desc", "200 [{\"id\":1},{\"id\":3},{\"id\":2}]");
    get("users?select=id&order=data->n.desc.nullslast", "200 [{\"id\":2},{\"id\":1},{\"id\":3}]");
    get("users?select=id&order=id&limit=1&offset=1", "200 [{\"id\":2}]");
    get("users?select=id&limit=0", "200 []");
    get("messages?select=id,users(name)&order=users(name).desc.nullslast,id&user_id=not.is.null",
        "200 [{\"id\":2,\"users\":{\"name\":\"Bob\"}},{\"id\":1,\"users\":{\"name\":\"Ann\"}},"
        "{\"id\":3,\"users\":{\"name\":\"Ann\"}}]");
    get("users?order=messages(id)&select=id,messages(id)",
        "400 PGRST118 A related order on 'messages' is not possible ('users' and 'messages' do not "
        "form a many-to-one or one-to-one relationship)");
    get("users?order=rooms(id)",
        "400 PGRST108 'rooms' is not an embedded resource in this request");
    fixture_close(&f);
}

TEST(embeds_follow_foreign_keys)
{
    fixture_open(&f, shop);
    get("messages?select=id,users(name)&id=in.(1,4)",
        "200 [{\"id\":1,\"users\":{\"name\":\"Ann\"}},{\"id\":4,\"users\":null}]");
    get("messages?select=id,author:users(name)&id=eq.1",
        "200 [{\"id\":1,\"author\":{\"name\":\"Ann\"}}]");
    get("messages?select=id,user_id(name)&id=eq.1",
        "200 [{\"id\":1,\"user_id\":{\"name\":\"Ann\"}}]");
    get("messages?select=id,users!messages_user_id_fkey(name)&id=eq.1",
        "200 [{\"id\":1,\"users\":{\"name\":\"Ann\"}}]");
    get("rooms?select=title,messages(id)&order=id",
        "200 [{\"title\":\"one\",\"messages\":[{\"id\":1},{\"id\":2}]},{\"title\":\"two\","
        "\"messages\":[{\"id\":3},{\"id\":4}]},{\"title\":\"empty\",\"messages\":[]}]");
    get("rooms?select=id,messages(id)&messages.order=id.desc&messages.limit=1&id=eq.1",
        "200 [{\"id\":1,\"messages\":[{\"id\":2}]}]");
    get("rooms?select=id,messages(id)&messages.content=eq.hello",
        "200 [{\"id\":1,\"messages\":[{\"id\":1}]},{\"id\":2,\"messages\":[]},{\"id\":3,"
        "\"messages\":[]}]");
    get("rooms?select=id,messages!inner(id)&messages.content=eq.hello",
        "200 [{\"id\":1,\"messages\":[{\"id\":1}]}]");
    get("rooms?select=id,messages(id,users(name))&id=eq.1",
        "200 [{\"id\":1,\"messages\":[{\"id\":1,\"users\":{\"name\":\"Ann\"}},{\"id\":2,\"users\":"
        "{\"name\":\"Bob\"}}]}]");
    get("rooms?select=id,messages!inner(users!inner(name))&messages.users.name=eq.Bob",
        "200 [{\"id\":1,\"messages\":[{\"users\":{\"name\":\"Bob\"}}]}]");
    get("rooms?select=id,messages(id)&messages.or=(id.eq.1,id.eq.4)&id=lt.3",
        "200 [{\"id\":1,\"messages\":[{\"id\":1}]},{\"id\":2,\"messages\":[{\"id\":4}]}]");
    get("users?select=name,profiles(bio)&order=id",
        "200 [{\"name\":\"Ann\",\"profiles\":{\"bio\":\"likes C\"}},{\"name\":\"Bob\",\"profiles\":"
        "{\"bio\":null}},{\"name\":\"Çelik\",\"profiles\":null}]");
    get("rooms?select=id,messages()&messages=is.null", "200 [{\"id\":3}]");
    get("rooms?select=id,messages()&messages=not.is.null", "200 [{\"id\":1},{\"id\":2}]");
    get("rooms?select=id,messages()&messages=eq.1",
        "400 PGRST120 Bad operator on the 'messages' embedded resource");
    get("messages?select=id,...users(name)&id=eq.1", "200 [{\"id\":1,\"name\":\"Ann\"}]");
    get("messages?select=id,...users(who:name,...profiles(bio))&id=eq.1",
        "200 [{\"id\":1,\"who\":\"Ann\",\"bio\":\"likes C\"}]");
    get("rooms?select=...messages(id)",
        "400 PGRST119 A spread operation on 'messages' is not possible ('rooms' and 'messages' do "
        "not form a many-to-one or one-to-one relationship)");
    fixture_close(&f);
}

TEST(embeds_go_through_junctions)
{
    fixture_open(&f, shop);
    get("rooms?select=id,users!members(name)&order=id",
        "200 [{\"id\":1,\"users\":[{\"name\":\"Ann\"},{\"name\":\"Bob\"}]},{\"id\":2,\"users\":[{"
        "\"name\":\"Ann\"}]},{\"id\":3,\"users\":[]}]");
    get("rooms?select=id,users(name)&id=eq.2", "200 [{\"id\":2,\"users\":[{\"name\":\"Ann\"}]}]");
    get("rooms?select=id,users!inner(name)&users.name=eq.Bob",
        "200 [{\"id\":1,\"users\":[{\"name\":\"Bob\"}]}]");
    get("users?select=id,rooms(title)&id=eq.1&rooms.order=title.desc",
        "200 [{\"id\":1,\"rooms\":[{\"title\":\"two\"},{\"title\":\"one\"}]}]");
    fixture_close(&f);
}

TEST(ambiguous_embeds_are_listed)
{
    fixture_open(&f, shop);
    get("messages?select=id,messages(id)",
        "300 PGRST201 Could not embed because more than one relationship was found for 'messages' "
        "and 'messages' ([{\"cardinality\":\"many-to-one\",\"embedding\":\"messages with "
        "messages\",\"relationship\":\"messages_reply_to_fkey using messages(reply_to) and "
        "messages(id)\"},{\"cardinality\":\"one-to-many\",\"embedding\":\"messages with messages\","
        "\"relationship\":\"messages_reply_to_fkey using messages(id) and messages(reply_to)\"}])");
    get("messages?select=id,reply_to(content)&id=eq.2",
        "200 [{\"id\":2,\"reply_to\":{\"content\":\"hello\"}}]");
    fixture_close(&f);
}

TEST(aggregates_group)
{
    fixture_open(&f, shop);
    get("messages?select=count()", "200 [{\"count\":4}]");
    get("messages?select=count", "200 [{\"count\":4}]");
    get("messages?select=room_id,count()&order=room_id",
        "200 [{\"room_id\":1,\"count\":2},{\"room_id\":2,\"count\":2}]");
    get("users?select=score.sum(),m:score.max(),score.avg()",
        "200 [{\"sum\":1.6,\"m\":1.5,\"avg\":0.8}]");
    get("rooms?select=id,messages(count)&order=id",
        "200 [{\"id\":1,\"messages\":[{\"count\":2}]},{\"id\":2,\"messages\":[{\"count\":2}]},"
        "{\"id\":3,\"messages\":[{\"count\":0}]}]");
    fixture_close(&f);
}

TEST(media_types_shape_the_answer)
{
    fixture_open(&f, shop);
    struct ask object = {.accept = "application/vnd.pgrst.object+json"};
    struct ask csv = {.accept = "text/csv"};
    struct ask stripped = {.accept = "application/vnd.pgrst.array+json;nulls=stripped"};
    gives(&f, "GET /rooms?id=eq.1", object, "200 {\"id\":1,\"title\":\"one\"}");
    gives(&f, "GET /rooms?id=eq.9", object,
          "406 PGRST116 Cannot coerce the result to a single JSON object (The result contains 0 "
          "rows)");
    gives(&f, "GET /rooms", object,
          "406 PGRST116 Cannot coerce the result to a single JSON object (The result contains 3 "
          "rows)");
    gives(&f, "GET /messages?select=id,content,user_id,users(name)&id=gte.2&order=id", csv,
          "200 id,content,user_id,users\n2,\"hi \"\"you\"\"\",2,\"{\"\"name\"\":\"\"Bob\"\"}\"\n"
          "3,50% off,1,\"{\"\"name\"\":\"\"Ann\"\"}\"\n4,nobody,,");
    gives(&f, "GET /users?select=admin,email&id=eq.3", csv, "200 admin,email\nf,");
    gives(&f, "GET /users?select=id,email&id=eq.3", stripped, "200 [{\"id\":3}]");
    fixture_close(&f);
}

static void range(const char *line, const char *prefer, int status, const char *want)
{
    struct buf b = {0};
    struct rest_answer res = {0};
    fixture_run(&f, line, (struct ask){.prefer = prefer}, &b, &res);
    if (strcmp(res.content_range, want) != 0 || res.status != status)
        fail_msg("%s: %d %s, not %d %s", line, res.status, res.content_range, status, want);
    request_free_answer(&res);
    buf_free(&b);
}

TEST(counts_stand_in_content_range)
{
    fixture_open(&f, shop);
    range("GET /users", NULL, 200, "0-2/*");
    range("GET /users", "count=exact", 200, "0-2/3");
    range("GET /users?limit=2", "count=exact", 206, "0-1/3");
    range("GET /users?limit=2&offset=2", "count=planned", 206, "2-2/3");
    range("GET /users?id=eq.9", "count=exact", 200, "*/0");
    range("GET /users?id=eq.9", NULL, 200, "*/*");
    range("GET /rooms?select=id,messages!inner(id)", "count=exact", 200, "0-1/2");
    gives(&f, "GET /users?offset=7", (struct ask){.prefer = "count=exact"},
          "416 PGRST103 Requested range not satisfiable (An offset of 7 was requested, but there "
          "are only 3 rows.)");
    fixture_close(&f);
}

TEST(nothing_of_a_request_becomes_sql)
{
    static const char *const evil[] = {"') OR 1=1 --", "\" OR \"1\"=\"1", "1; DROP TABLE users",
                                       "'||(SELECT 1)||'", "x\"; DELETE FROM users; --"};
    fixture_open(&f, shop);
    for (size_t i = 0; i < sizeof evil / sizeof evil[0]; i++) {
        static const char *const slots[] = {"users?name=eq.%s",
                                            "users?name=like.%s",
                                            "users?name=in.(%s)",
                                            "users?select=%s",
                                            "users?order=%s",
                                            "users?%s=eq.1",
                                            "users?or=(name.eq.\"%s\")",
                                            "users?select=data->>%s",
                                            "users?select=id::%s",
                                            "users?limit=%s",
                                            "users?select=\"%s\":id",
                                            "%s",
                                            "users?select=rooms!%s(id)",
                                            "users?data->>\"%s\"=eq.1",
                                            "users?select=...%s(id)"};
        for (size_t s = 0; s < sizeof slots / sizeof slots[0]; s++) {
            char line[300] = "GET /", part[200];
            struct buf b = {0};
            snprintf(part, sizeof part, slots[s], evil[i]);
            strncat(line, part, sizeof line - 6);
            fixture_run(&f, line, (struct ask){0}, &b, NULL);
            if (strstr(b.p, "syntax error") || strstr(b.p, "Ann"))
                fail_msg("%s: %s", line, b.p);
            buf_free(&b);
        }
    }
    get("users?select=id", "200 [{\"id\":1},{\"id\":2},{\"id\":3}]");
    fixture_close(&f);
}
