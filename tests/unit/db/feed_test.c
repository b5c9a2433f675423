/* SPDX-License-Identifier: Apache-2.0 */
/* Changes reach those who watch and may see, once, in order. */
#include "dbrig.h"
#include "db/feed.c"
#include "db/migrate.h"
#include "db/sqlite.h"
#include <sqlite3.h>

static const char chat[] =
    "create table members(room_id bigint, who text, primary key (room_id, who));"
    "create table messages(id integer primary key, room_id bigint, who text, content text);"
    "create table open(id integer primary key, word text, flag boolean, n numeric, data jsonb);"
    "create table quiet(id integer primary key);"
    "insert into members values (1,'ann'),(1,'bob'),(2,'bob');"
    "alter table messages enable row level security;"
    "create policy see on messages for select to authenticated using (exists (select 1 from members"
    " m where m.room_id = messages.room_id and m.who = auth.uid()));"
    "create policy post on messages for insert with check (who = auth.uid());"
    "alter publication supabase_realtime add table messages, open;";

static struct dbrig d;

TEST(changes_come_as_rows_with_old_keys)
{
    struct listener l = {0};
    dbrig_open(&d, chat);
    listen_to(&d, &l, 1, &anon, "open", "");
    dbrig_rest(&d, &anon, "POST /open",
               "{\"word\":\"a\",\"flag\":true,\"n\":1.5,\"data\":{\"x\":[1, null]}}", "201 ");
    dbrig_rest(&d, &anon, "PATCH /open?id=eq.1", "{\"word\":\"b\",\"flag\":null}", "204 ");
    dbrig_rest(&d, &anon, "POST /quiet", "{}", "201 ");
    dbrig_rest(&d, &anon, "DELETE /open?id=eq.1", NULL, "204 ");
    heard(&l, 3,
          "I1 {\"id\":1,\"word\":\"a\",\"flag\":true,\"n\":1.5,\"data\":{\"x\":[1,null]}};"
          "U1 {\"id\":1,\"word\":\"b\",\"flag\":null,\"n\":1.5,\"data\":{\"x\":[1,null]}} was "
          "{\"id\":1};"
          "D1 {\"id\":1};");
    listener_stop(&l);
    dbrig_close(&d);
}

TEST(policies_decide_on_the_logged_row)
{
    struct listener a = {0}, b = {0}, n = {0}, s = {0};
    dbrig_open(&d, chat);
    listen_to(&d, &a, 0, &ann, "messages", "");
    listen_to(&d, &b, 1, &bob, "messages", "");
    listen_to(&d, &n, 1, &anon, "messages", "");
    listen_to(&d, &s, 1, &service, "messages", "");
    dbrig_rest(&d, &service, "POST /messages",
               "[{\"id\":1,\"room_id\":1},{\"id\":2,\"room_id\":2},{\"id\":3,\"room_id\":3}]",
               "201 ");
    dbrig_rest(&d, &service, "PATCH /messages?id=eq.1", "{\"room_id\":2}", "204 ");
    dbrig_rest(&d, &service, "DELETE /messages?id=lte.3", NULL, "204 ");
    dbrig_rest(&d, &service, "POST /messages", "{\"id\":4,\"room_id\":1}", "201 ");
#define ROW(id, room) "{\"id\":" #id ",\"room_id\":" #room ",\"who\":null,\"content\":null}"
    heard(&a, 2, "I1 " ROW(1, 1) ";I1 " ROW(4, 1) ";");
    heard(&b, 6,
          "I1 " ROW(1, 1) ";I1 " ROW(2, 2) ";U1 " ROW(1, 2) " was {\"id\":1};D1 {\"id\":1};D1 "
                                                            "{\"id\":2};I1 " ROW(4, 1) ";");
    heard(&s, 8,
          "I1 " ROW(1, 1) ";I1 " ROW(2, 2) ";I1 " ROW(3, 3) ";U1 " ROW(
              1, 2) " was {\"id\":1};"
                    "D1 {\"id\":1};D1 {\"id\":2};D1 {\"id\":3};I1 " ROW(4, 1) ";");
    heard(&n, 0, "");
    listener_stop(&a);
    listener_stop(&b);
    listener_stop(&n);
    listener_stop(&s);
    dbrig_close(&d);
}

TEST(filters_and_events_choose)
{
    struct listener l = {0};
    dbrig_open(&d, chat);
    l.bindings[1] = (struct source_binding){.table = STR("open"), .filter = STR("id=in.(2,4)")};
    l.bindings[2] = (struct source_binding){.table = STR("*"), .event = SOURCE_DELETE};
    l.bindings[3] = (struct source_binding){
        .table = STR("open"), .event = SOURCE_INSERT, .filter = STR("word=like.x*,flag=is.true")};
    l.options.bindings_count = 4;
    listen_to(&d, &l, 1, &anon, "open", "id=eq.1");
    dbrig_rest(&d, &anon, "POST /open?columns=id,word,flag",
               "[{\"id\":1,\"word\":\"a\"},{\"id\":2,\"word\":\"xa\",\"flag\":true},{\"id\":3},"
               "{\"id\":4,\"word\":\"x\"}]",
               "201 ");
    dbrig_rest(&d, &anon, "DELETE /open?id=gte.2", NULL, "204 ");
#define OPEN(id, word, flag)                                                                       \
    "{\"id\":" #id ",\"word\":" word ",\"flag\":" flag ",\"n\":null,\"data\":null}"
    heard(&l, 6,
          "I1 " OPEN(1, "\"a\"", "null") ";Ia " OPEN(2, "\"xa\"", "true") ";I2 " OPEN(
              4, "\"x\"", "null") ";D6 {\"id\":2};D4 {\"id\":3};D6 {\"id\":4};");
    listener_stop(&l);
    dbrig_close(&d);
}

TEST(asks_that_cannot_be_are_refused)
{
    static const struct {
        const char *table, *filter, *want;
    } rows[] = {
        {"quiet", "", "error -4400 table quiet is not published;"},
        {"nope", "", "error -4400 table nope is not published;"},
        {"tw_meta", "", "error -4400 table tw_meta is not published;"},
        {"open", "nope=eq.1", "error -4400 invalid column for filter nope;"},
        {"open", "id=eq.x", "error -4400 invalid input syntax for type bigint: \"x\";"},
        {"open", "id",
         "error -4400 Error parsing `filter` params: \"failed to parse filter (id)\" "
         "(line 1, column 3);"},
        {"open", "word=is.true", "error -4400 invalid value for filter on column word;"},
        {"*", "id=eq.1", "error -4400 a filter needs a table;"},
    };
    dbrig_open(&d, chat);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct listener l = {0};
        listen_to(&d, &l, 0, &anon, rows[i].table, rows[i].filter);
        heard(&l, 0, rows[i].want);
        listener_stop(&l);
    }
    dbrig_close(&d);
}

TEST(who_comes_back_gets_what_was_missed)
{
    struct listener l = {0};
    uint64_t at;
    char epoch[SOURCE_EPOCH_MAX];
    dbrig_open(&d, chat);
    listen_to(&d, &l, 1, &ann, "messages", "");
    dbrig_rest(&d, &service, "POST /messages", "{\"id\":1,\"room_id\":1}", "201 ");
    heard(&l, 1, "I1 " ROW(1, 1) ";");
    at = l.opened.seq + 1;
    memcpy(epoch, l.opened.epoch, sizeof epoch);
    listener_stop(&l);
    dbrig_rest(&d, &service, "POST /messages",
               "[{\"id\":2,\"room_id\":1},{\"id\":3,\"room_id\":2},{\"id\":4,\"room_id\":1}]",
               "201 ");
    dbrig_stop(&d); /* the server too */
    dbrig_start(&d);
    l.options.has_since = true;
    l.options.since = at;
    l.options.epoch = str_from(epoch);
    listen_to(&d, &l, 0, &ann, "messages", "");
    dbrig_rest(&d, &service, "POST /messages", "{\"id\":5,\"room_id\":1}", "201 ");
    heard(&l, 3, "I1 " ROW(2, 1) ";I1 " ROW(4, 1) ";I1 " ROW(5, 1) ";");
    listener_stop(&l);
    l.options.has_since = true;
    l.options.since = 1;
    l.options.epoch = STR("another");
    listen_to(&d, &l, 0, &ann, "messages", "");
    heard(&l, 0, "gap;");
    listener_stop(&l);
    dbrig_close(&d);
}

TEST(writes_of_other_processes_come_too)
{
    struct listener l = {0};
    sqlite3 *other;
    dbrig_open(&d, chat);
    listen_to(&d, &l, 1, &anon, "open", "");
    assert_int_equal(sqlite3_open(d.path, &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 5000);
    assert_int_equal(sqlite3_exec(other, "INSERT INTO open(word) VALUES ('from outside')", 0, 0, 0),
                     SQLITE_OK);
    sqlite3_close(other);
    heard(&l, 1, "I1 " OPEN(1, "\"from outside\"", "null") ";");
    listener_stop(&l);
    dbrig_close(&d);
}

static void become(struct loop *l, void *arg)
{
    struct listener *who = arg;
    source_watch_identify(l, &who->watch, who->next);
}

TEST(a_fresh_identity_and_a_changed_policy_hold_at_once)
{
    struct listener l = {0};
    sqlite3 *other;
    dbrig_open(&d, chat);
    listen_to(&d, &l, 1, &ann, "messages", "");
    dbrig_rest(&d, &service, "POST /messages", "{\"id\":1,\"room_id\":2}", "201 ");
    l.next = &bob;
    rig_on_loop(&d.rig, 1, become, &l);
    dbrig_rest(&d, &service, "POST /messages", "{\"id\":2,\"room_id\":2}", "201 ");
    heard(&l, 1, "I1 " ROW(2, 2) ";");
    dbrig_rest(&d, &service, "DELETE /members?who=eq.bob", NULL, "204 ");
    dbrig_rest(&d, &service, "POST /messages", "{\"id\":3,\"room_id\":2}", "201 ");
    assert_int_equal(sqlite3_open(d.path, &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 5000);
    assert_int_equal(sqlite3_exec(other, "UPDATE tw_policies SET using_expr = '1'", 0, 0, 0),
                     SQLITE_OK);
    sqlite3_close(other);
    dbrig_rest(&d, &service, "POST /messages", "{\"id\":4,\"room_id\":2}", "201 ");
    heard(&l, 1, "I1 " ROW(4, 2) ";");
    listener_stop(&l);
    dbrig_close(&d);
}

TEST(a_policy_that_fails_hides_from_its_class_only)
{
    struct listener a = {0}, b = {0};
    dbrig_open(&d, "create table t(id integer primary key, n text);"
                   "alter table t enable row level security;"
                   "create policy p on t using (auth.uid() = 'bob' or json(n) is not null);"
                   "alter publication supabase_realtime add table t;");
    listen_to(&d, &a, 0, &ann, "t", "");
    listen_to(&d, &b, 0, &bob, "t", "");
    dbrig_rest(&d, &service, "POST /t", "[{\"id\":1,\"n\":\"no json\"},{\"id\":2,\"n\":\"5\"}]",
               "201 ");
    heard(&b, 2, "I1 {\"id\":1,\"n\":\"no json\"};I1 {\"id\":2,\"n\":\"5\"};");
    heard(&a, 1, "I1 {\"id\":2,\"n\":\"5\"};");
    listener_stop(&a);
    listener_stop(&b);
    dbrig_close(&d);
}

TEST(a_whole_old_row_is_told_to_those_who_could_see_it)
{
    struct listener a = {0}, b = {0};
    dbrig_open(&d, "create table t(id integer primary key, who text);"
                   "alter table t enable row level security; alter table t replica identity full;"
                   "create policy p on t using (who = auth.uid());"
                   "alter publication supabase_realtime add table t;");
    listen_to(&d, &a, 0, &ann, "t", "");
    listen_to(&d, &b, 0, &service, "t", "");
    dbrig_rest(&d, &service, "POST /t", "{\"id\":1,\"who\":\"bob\"}", "201 ");
    dbrig_rest(&d, &service, "PATCH /t?id=eq.1", "{\"who\":\"ann\"}", "204 ");
    dbrig_rest(&d, &service, "PATCH /t?id=eq.1", "{\"id\":2}", "204 ");
    dbrig_rest(&d, &service, "DELETE /t?id=eq.2", NULL, "204 ");
    heard(
        &a, 3,
        "U1 {\"id\":1,\"who\":\"ann\"} was {\"id\":1};U1 {\"id\":2,\"who\":\"ann\"} was {\"id\":1,"
        "\"who\":\"ann\"};D1 {\"id\":2,\"who\":\"ann\"};");
    heard(
        &b, 4,
        "I1 {\"id\":1,\"who\":\"bob\"};U1 {\"id\":1,\"who\":\"ann\"} was {\"id\":1,\"who\":\"bob\"}"
        ";U1 {\"id\":2,\"who\":\"ann\"} was {\"id\":1,\"who\":\"ann\"};D1 {\"id\":2,\"who\":"
        "\"ann\"};");
    listener_stop(&a);
    listener_stop(&b);
    dbrig_close(&d);
}

/* Who may see changes while the changes come: members, the policy itself, tokens. Whatever order
 * the threads take, nobody hears a row that he was never allowed to see. */
struct look {
    struct listener *l;
    const char *never, *until;
    bool is_foreign, is_over;
};

static void look(struct loop *l, void *arg) /* on the listener's loop */
{
    struct look *k = arg;
    (void)l;
    buf_add_c(&k->l->log, 0);
    k->is_foreign |= strstr(k->l->log.p, k->never) != NULL;
    k->is_over |= strstr(k->l->log.p, k->until) != NULL;
    buf_clear(&k->l->log);
}

/* Reads on until that row; with `until` empty, what there is. */
static void hears_no(struct listener *l, const char *never, const char *until)
{
    struct look k = {.l = l, .never = never, .until = until};
    for (;;) {
        rig_on_loop(&d.rig, l->loop, look, &k);
        if (k.is_foreign)
            fail_msg("heard of %s", never);
        if (k.is_over)
            return;
        wait_for(&l->came);
    }
}

static void must(struct sqlite *h, const char *sql)
{
    struct fault fault = {0};
    if (!sqlite_exec(h, sql, &fault))
        fail_msg("%s: %s\n%s", fault.code, fault.message, sql);
}

static void migrate(struct sqlite *h, const char *name, const char *sql)
{
    struct fault fault = {0};
    bool applied;
    if (!migrate_apply(h, name, str_from(sql), &applied, &fault))
        fail_msg("%s: %s\n%s", fault.code, fault.message, sql);
}

static const char notes_policy[] =
    "create policy p on notes for select using (exists (select 1 from members m where m.room ="
    " notes.room and m.who = auth.uid()));";
static const char notes[] = "create table members (room text, who text, primary key (room, who));"
                            "create table notes (id integer primary key, room text, word text);"
                            "alter table notes enable row level security;"
                            "insert into members values ('ours', 'ann'), ('his', 'bob');"
                            "alter publication supabase_realtime add table notes;";

/* A dozen rows in one transaction, half of them for each room. */
static void write_rows(struct sqlite *h)
{
    must(h, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12)"
            " INSERT INTO main.notes(room, word) SELECT CASE i % 2 WHEN 0 THEN 'ours' ELSE 'his'"
            " END, CASE i % 2 WHEN 0 THEN 'for ann' ELSE 'for bob' END FROM n");
}

TEST(nobody_hears_a_foreign_row_while_rights_change)
{
    struct listener of_ann = {0}, of_bob = {0}, of_late = {0}, of_nobody = {0};
    struct identity late = ann;
    struct sqlite_options o = {.writer = true};
    struct fault fault = {0};
    struct sqlite *h;
    struct buf sql = {0};
    buf_printf(&sql, "%s%s", notes, notes_policy);
    buf_add_c(&sql, 0);
    dbrig_open(&d, sql.p);
    late.expires_ms = 1000; /* in 1970 */
    listen_to(&d, &of_ann, 0, &ann, "notes", "");
    listen_to(&d, &of_bob, 1, &bob, "notes", "");
    listen_to(&d, &of_late, 1, &late, "notes", "");
    listen_to(&d, &of_nobody, 0, &anon, "notes", "room=in.(ours,his)");
    h = sqlite_open(d.path, &o, &fault); /* another process */
    assert_non_null(h);
    for (int i = 0; i < 120; i++) {
        char name[24];
        write_rows(h);
        snprintf(name, sizeof name, "m%d", i);
        if (i % 10 == 0)
            migrate(h, name, "drop policy p on notes");
        if (i % 10 == 1)
            migrate(h, name, notes_policy);
        if (i % 3 == 0)
            must(h, "DELETE FROM main.members WHERE who = 'ann'");
        if (i % 3 == 1)
            must(h, "INSERT OR IGNORE INTO main.members VALUES ('ours','ann')");
        dbrig_rest(&d, &anon, "GET /notes?limit=1", NULL, "200 []");
    }
    must(h, "INSERT OR IGNORE INTO main.members VALUES ('ours','ann')");
    must(h, "INSERT INTO main.notes(room, word) VALUES ('ours','the end'),('his','the end')");
    sqlite_close(&h);
    hears_no(&of_ann, "for bob", "the end");
    hears_no(&of_bob, "for ann", "the end");
    hears_no(&of_late, "for", "");
    hears_no(&of_nobody, "for", "");
    assert_int_equal(of_late.log.n + of_nobody.log.n, 0);
    listener_stop(&of_ann);
    listener_stop(&of_bob);
    listener_stop(&of_late);
    listener_stop(&of_nobody);
    dbrig_close(&d);
    buf_free(&sql);
}
