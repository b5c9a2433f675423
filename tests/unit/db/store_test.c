/* SPDX-License-Identifier: Apache-2.0 */
/* Durable channels in the database, and private channels by its policies. */
#include "dbrig.h"
#include "db/store.c"

static struct dbrig d;
static const struct channel_settings settings[] = {{.pattern = {"*", 1}, .history_count = 40}};
static const struct hub_config hub = {.channels = settings,
                                      .channels_count = 1,
                                      .history_bytes_max = 1 << 20,
                                      .channels_max = 100,
                                      .channel_idle_ms = 60000};

static void begin(const char *sql)
{
    char err[800] = "";
    d = (struct dbrig){.sql = sql};
    snprintf(d.folder, sizeof d.folder, "/tmp/tw-db-XXXXXX");
    assert_non_null(mkdtemp(d.folder));
    snprintf(d.path, sizeof d.path, "%s/db.sqlite", d.folder);
    rig_begin(&d.rig, 1);
    hub_setup(d.rig.ls, &hub);
    d.config = (struct db_config){.path = d.path, .builtin = sql};
    d.db = db_open(d.rig.ls, &d.config, err, sizeof err);
    if (!d.db)
        fail_msg("%s", err);
    rig_run(&d.rig);
}

static void end(void)
{
    char line[128];
    rig_join(&d.rig);
    db_close(&d.db);
    hub_teardown(d.rig.ls);
    rig_end(&d.rig);
    snprintf(line, sizeof line, "rm -r %s", d.folder);
    assert_int_equal(system(line), 0);
}

/* ---- durable channels -------------------------------------------------------------------- */
static sem_t done;
static unsigned answers, errors;
static struct store_open opening;
static struct store_read reading;

static void on_appended(struct store_append *a)
{
    answers++;
    errors += a->err != 0;
    msg_unref(&a->msg);
    mem_free(a);
    sem_post(&done);
}

static void append_all(struct loop *l, void *arg)
{
    const unsigned *range = arg;
    for (unsigned i = range[0]; i <= range[1]; i++) {
        struct store_append *a = mem_new(sizeof *a);
        char text[40];
        struct msg_fields f = {
            .channel = STR("room"), .event = STR("say"), .key = STR("k"), .sender = STR("ann")};
        snprintf(text, sizeof text, "{\"n\":%u}", i);
        f.content = str_from(text);
        f.id = i % 2 ? STR_NONE : STR("even");
        a->home = l;
        a->done = on_appended;
        a->msg = msg_new(&f);
        a->msg->offset = i;
        a->msg->time_ms = 1000 + i;
        snprintf(a->msg->epoch_text, sizeof a->msg->epoch_text, "e1");
        a->msg->epoch = str_from(a->msg->epoch_text);
        db_store_ops.append(d.db, a);
    }
}

static void on_opened(struct store_open *o)
{
    (void)o;
    sem_post(&done);
}

static void open_it(struct loop *l, void *arg)
{
    opening = (struct store_open){.home = l,
                                  .done = on_opened,
                                  .channel = str_from(arg),
                                  .ids_since_ms = 1066,
                                  .ids_max = 20};
    db_store_ops.open(d.db, &opening);
}

static void on_read(struct store_read *r)
{
    (void)r;
    sem_post(&done);
}

static void read_it(struct loop *l, void *arg)
{
    const unsigned *what = arg;
    reading = (struct store_read){
        .home = l, .done = on_read, .channel = STR("room"), .after = what[0], .limit = what[1]};
    db_store_ops.read(d.db, &reading);
}

static void on_loop(void (*fn)(struct loop *l, void *arg), const void *arg, unsigned count)
{
    rig_on_loop(&d.rig, 0, fn, (void *)(uintptr_t)arg);
    for (unsigned i = 0; i < count; i++)
        wait_for(&done);
}

TEST(durable_messages_are_kept_read_and_trimmed)
{
    const unsigned all[] = {1, 70}, some[] = {66, 3};
    begin("");
    sem_init(&done, 0, 0);
    answers = errors = 0;
    on_loop(open_it, "room", 1);
    assert_int_equal(opening.err, 0);
    assert_string_equal(opening.at.epoch, "");
    on_loop(append_all, all, 70);
    assert_int_equal(answers, 70);
    assert_int_equal(errors, 0);
    on_loop(open_it, "room", 1);
    assert_string_equal(opening.at.epoch, "e1");
    assert_int_equal(opening.at.offset, 70);
    assert_int_equal(opening.evicted_offset, 24); /* at 64 the newest 40 were kept */
    assert_int_equal(opening.ids_count, 3);       /* 66, 68 and 70: the even ones have an id */
    for (unsigned i = 0; i < 3; i++) {
        struct msg *m = opening.ids[i];
        assert_int_equal(m->offset, 66 + 2 * i);
        assert_int_equal(m->time_ms, 1066 + 2 * i);
        assert_true(str_is(m->id, "even") && str_is(m->sender, "ann") && !m->content.n);
        msg_unref(&opening.ids[i]);
    }
    mem_free(opening.ids);
    on_loop(read_it, some, 1);
    assert_int_equal(reading.err, 0);
    assert_int_equal(reading.msgs_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct msg *m = reading.msgs[i];
        char want[40];
        snprintf(want, sizeof want, "{\"n\":%u}", 67 + i);
        assert_int_equal(m->offset, 67 + i);
        assert_int_equal(m->time_ms, 1067 + i);
        assert_true(str_is(m->content, want) && str_is(m->event, "say") && str_is(m->key, "k") &&
                    str_is(m->sender, "ann") && str_is(m->epoch, "e1"));
        msg_unref(&reading.msgs[i]);
    }
    mem_free(reading.msgs);
    end();
}

/* ---- private channels -------------------------------------------------------------------- */
static struct policy_question question;

static void on_judged(struct policy_question *q, int err)
{
    q->work = NULL;
    errors = (unsigned)-err;
    sem_post(&done);
}

static void judge(struct loop *l, void *arg)
{
    (void)arg;
    question.home = l;
    question.done = on_judged;
    policy_ask(db_policy(d.db), &question);
}

static void allows(struct identity *id, enum auth_op op, const char *channel, int want)
{
    question = (struct policy_question){.identity = id, .op = op, .channel = str_from(channel)};
    on_loop(judge, NULL, 1);
    if ((int)errors != -want)
        fail_msg("%.*s %d %s: %d", STR_ARG(id->sub), op, channel, -(int)errors);
}

TEST(private_channels_follow_the_policies_of_realtime_messages)
{
    begin(
        "create table members(room text, who text);"
        "insert into members values ('den','ann'),('den','bob');"
        "create policy hear on realtime.messages for select to authenticated using ("
        " extension = 'broadcast' and exists (select 1 from members where room ="
        " realtime.topic() and who = auth.uid()));"
        "create policy say on realtime.messages for insert with check ("
        " realtime.topic() = 'den' and auth.uid() = 'ann');"
        "create policy broken on realtime.messages for select to anon using (json('x') = topic);");
    sem_init(&done, 0, 0);
    allows(&ann, AUTH_SUBSCRIBE, "den", 0);
    allows(&bob, AUTH_SUBSCRIBE, "private:den", 0);
    allows(&ann, AUTH_SUBSCRIBE, "attic", E_ACCESS_DENIED);
    allows(&ann, AUTH_PRESENCE, "den", E_ACCESS_DENIED);
    allows(&ann, AUTH_PUBLISH, "den", 0);
    allows(&bob, AUTH_PUBLISH, "den", E_ACCESS_DENIED);
    allows(&bob, AUTH_TRACK, "den", E_ACCESS_DENIED);
    allows(&anon, AUTH_SUBSCRIBE, "den", E_ACCESS_DENIED);
    allows(&service, AUTH_PUBLISH, "attic", 0);
    end();
}

/* ---- broadcasts from the database --------------------------------------------------------- */
static struct subscription listening;
static char heard_text[200];

static bool on_subscribed(struct subscription *sub, const struct hub_subscribed *a)
{
    (void)sub;
    errors = (unsigned)-a->err;
    sem_post(&done);
    return true;
}

static bool on_delivered(struct subscription *sub, const struct delivery *dl)
{
    (void)sub;
    snprintf(heard_text, sizeof heard_text, "%.*s %.*s %.*s", STR_ARG(dl->msgs[0]->channel),
             STR_ARG(dl->msgs[0]->event), STR_ARG(dl->msgs[0]->content));
    sem_post(&done);
    return true;
}

static const struct subscription_ops listening_ops = {.subscribed = on_subscribed,
                                                      .deliver = on_delivered};

static void listen_on(struct loop *l, void *arg)
{
    struct subscribe_options o = {0};
    listening = (struct subscription){.kind = ENC_NONE};
    hub_subscribe(hub_of(l), &listening, str_from(arg), &o);
}

static void leave(struct loop *l, void *arg)
{
    (void)arg;
    hub_unsubscribe(hub_of(l), &listening);
}

TEST(rows_of_realtime_messages_are_sent_to_their_topic)
{
    begin("create table scores(id integer primary key, points integer);"
          "create trigger tell after insert on scores begin insert into realtime_messages(topic,"
          " extension, event, payload) values ('game', 'broadcast', 'score',"
          " json_object('points', new.points)); end;");
    sem_init(&done, 0, 0);
    hub_set_subscription_ops(&listening_ops);
    on_loop(listen_on, "private:game", 1);
    assert_int_equal(errors, 0);
    dbrig_rest(&d, &anon, "POST /scores", "{\"points\":7}", "201 ");
    wait_for(&done);
    assert_string_equal(heard_text, "private:game score {\"points\":7}");
    on_loop(leave, NULL, 0);
    end();
}

/* As Supabase has it: from a trigger, and by an rpc that the project defines. */
TEST(realtime_send_is_a_broadcast_to_a_topic)
{
    begin("create table scores(id integer primary key, points integer);"
          "create trigger tell after insert on scores when new.points > 5 begin"
          " select realtime.send(json_object('points', new.points), 'score', 'game', true); end;"
          "create function cheer(p_room text, p_word text) returns void language sql"
          " security definer as $$ select realtime.send(json_object('word', p_word), 'cheer',"
          " p_room) $$;"
          "create function sneak(p_room text) returns void language sql"
          " as $$ select realtime.send(json_object('word', 'x'), 'cheer', p_room, true) $$;");
    sem_init(&done, 0, 0);
    hub_set_subscription_ops(&listening_ops);
    on_loop(listen_on, "private:game", 1);
    assert_int_equal(errors, 0);
    dbrig_rest(&d, &anon, "POST /scores", "{\"points\":3}", "201 ");
    dbrig_rest(&d, &anon, "POST /scores", "{\"points\":7}", "201 ");
    wait_for(&done);
    assert_string_equal(heard_text, "private:game score {\"points\":7}");
    dbrig_rest(&d, &anon, "POST /rpc/sneak", "{\"p_room\":\"game\"}",
               "401 {\"code\":\"42501\",\"details\":null,\"hint\":null,\"message\":\"cannot modify"
               " realtime_messages because it is a view\"}");
    dbrig_rest(&d, &anon, "POST /rpc/cheer", "{\"p_room\":\"game\",\"p_word\":\"ho\"}", "204 ");
    wait_for(&done);
    assert_string_equal(heard_text, "private:game cheer {\"word\":\"ho\"}");
    on_loop(leave, NULL, 0);
    end();
}
