/* SPDX-License-Identifier: Apache-2.0 */
#include "hubrig.h"

#include "hub/hub_priv.h"

static struct seat *watcher(const char *first)
{
    struct seat *seat = seat_new(0);
    seat->sub.wants_presence = true;
    seat_ask(seat, "room", NULL);
    seat_heard(seat, first);
    return seat;
}

TEST(who_comes_and_goes_is_told_and_the_state_to_a_newcomer)
{
    rig_begin(1);
    struct seat *a = watcher("S0 =");
    assert_int_equal(rig_track(1, "ann", "{}"), 0);
    assert_int_equal(rig_track(2, "bob", "{}"), 0);
    seat_heard(a, "++ann ++bob");
    struct seat *b = watcher("S0 =ann.bob");
    rig_track(1, "ann", NULL);
    seat_heard(a, "--ann");
    seat_heard(b, "--ann");
    seat_free(a);
    seat_free(b);
    rig_end();
}

TEST(several_sessions_of_one_key_are_one_coming_and_one_going)
{
    rig_begin(1);
    struct seat *a = watcher("S0 =");
    rig_track(1, "ann", "{}");
    rig_track(2, "ann", "{}");
    seat_heard(a, "++ann +ann");
    rig_track(1, "ann", NULL);
    seat_heard(a, "-ann");
    rig_track(2, "ann", NULL);
    seat_heard(a, "--ann");
    seat_free(a);
    rig_end();
}

TEST(a_session_can_only_take_back_its_own)
{
    rig_begin(1);
    rig_track(1, "ann", "{}");
    rig_track(2, "ann", NULL);
    rig_track(1, "bob", NULL);
    struct seat *a = watcher("S0 =ann");
    seat_free(a);
    rig_end();
}

TEST(an_update_is_a_leave_and_a_join_that_name_each_other)
{
    rig_begin(1);
    struct seat *a = watcher("S0 =");
    rig_track(1, "ann", "{\"v\":1}");
    seat_heard(a, "++ann:{\"v\":1}");
    rig_track(1, "ann", "{\"v\":2}");
    seat_heard(a, "+ann:{\"v\":2} -ann");
    rig_track(1, "ann", "{\"v\":2}"); /* the same again is no news */
    seat_heard(a, "");
    seat_free(a);
    rig_end();
}

/* Posts without letting a turn pass between: loop 1's mail reaches the owner together. */
static void quietly(uint64_t session, const char *key, const char *meta)
{
    rig_track_on(1, "room", session, key, meta, 0);
}

static void crowd(void)
{
    for (unsigned i = 0; i < 60; i++) {
        char key[24];
        snprintf(key, sizeof(key), "k%02u", i);
        quietly(100 + i, key, "{}");
    }
    sim_run(rig.ls, 100);
}

TEST(what_comes_and_goes_within_one_window_is_nobodys_business)
{
    rig_begin(2);
    crowd();
    struct seat *a = seat_new(0);
    a->sub.wants_presence = true;
    seat_ask(a, "room", NULL);
    sim_settle(rig.ls);
    buf_clear(&a->log);
    quietly(1, "ann", "{}");
    quietly(1, "ann", NULL);
    sim_run(rig.ls, 200);
    seat_heard(a, "");
    quietly(100, "k00", "{\"v\":1}"); /* many updates, then a leave: it was there, now it is not */
    quietly(100, "k00", "{\"v\":2}");
    quietly(100, "k00", NULL);
    sim_run(rig.ls, 200);
    seat_heard(a, "--k00");
    quietly(101, "k01", NULL); /* gone and back: its key was there all the time */
    quietly(101, "k01", "{}");
    sim_run(rig.ls, 200);
    seat_heard(a, "+k01 -k01");
    seat_free(a);
    rig_end();
}

TEST(a_flood_of_updates_in_a_crowd_is_told_once_and_kept_small)
{
    rig_begin(2);
    crowd();
    struct seat *a = seat_new(0);
    a->sub.wants_presence = true;
    seat_ask(a, "room", NULL);
    sim_settle(rig.ls);
    buf_clear(&a->log);
    for (unsigned i = 0; i < 5000; i++) {
        char meta[32];
        snprintf(meta, sizeof(meta), "{\"v\":%u}", i);
        quietly(100, "k00", meta);
    }
    sim_settle(rig.ls);
    struct channel *c = channel_find(hub_of(hub_owner(rig_hub(0), STR("room"))), STR("room"));
    assert_true(c->presence.changes_count <= 2);
    sim_run(rig.ls, 200);
    seat_heard(a, "+k00:{\"v\":4999} -k00");
    seat_free(a);
    rig_end();
}

TEST(a_crowd_that_comes_at_once_is_no_quadratic_work)
{
    rig_begin(2);
    rig.config.presence_members_max = 20000;
    for (unsigned i = 0; i < 20000; i++) {
        char key[12];
        snprintf(key, sizeof(key), "key-%05u", i);
        quietly(1 + i, key, "{}");
    }
    sim_run(rig.ls, 200);
    struct channel *c = channel_find(hub_of(hub_owner(rig_hub(0), STR("room"))), STR("room"));
    assert_int_equal(c->presence.metas_count, 20000);
    assert_int_equal(c->presence.changes_count, 0);
    for (unsigned i = 0; i < 20000; i++) {
        char key[12];
        snprintf(key, sizeof(key), "key-%05u", i);
        quietly(1 + i, key, NULL);
    }
    sim_run(rig.ls, 200);
    assert_true(presence_is_empty(c));
    rig_end();
}

TEST(who_comes_back_within_the_grace_never_left)
{
    rig_begin(1);
    struct seat *a = watcher("S0 =");
    rig_track(1, "ann", "{}");
    seat_heard(a, "++ann");
    rig_track_on(0, "room", 1, "ann", NULL, 3000);
    sim_run(rig.ls, 2900);
    seat_heard(a, "");
    rig_track(2, "ann", "{}"); /* a new session of the reloaded page */
    sim_run(rig.ls, 10000);
    seat_heard(a, "");
    rig_track_on(0, "room", 1, "ann", NULL, 0); /* the old one has nothing there any more */
    seat_heard(a, "");
    rig_track_on(0, "room", 2, "ann", NULL, 3000);
    sim_run(rig.ls, 3001);
    seat_heard(a, "--ann");
    seat_free(a);
    rig_end();
}

TEST(who_goes_on_for_another_session_and_says_something_new_is_marked_so)
{
    rig_begin(1);
    struct seat *a = watcher("S0 =");
    rig_track(1, "ann", "{\"v\":1}");
    rig_track_on(0, "room", 1, "ann", NULL, 3000);
    seat_heard(a, "++ann:{\"v\":1}");
    rig_track(2, "ann", "{\"v\":2}");
    seat_heard(a, "+ann:{\"v\":2} ~ann");
    rig_track(2, "ann", "{\"v\":3}");
    seat_heard(a, "+ann:{\"v\":3} -ann");
    seat_free(a);
    rig_end();
}

TEST(a_whole_crowd_that_is_updated_in_one_window)
{
    rig_begin(2);
    crowd();
    struct seat *a = seat_new(0);
    a->sub.wants_presence = true;
    seat_ask(a, "room", NULL);
    sim_settle(rig.ls);
    buf_clear(&a->log);
    for (unsigned i = 0; i < 60; i++) { /* each is two changes: their list grows in between */
        char key[24];
        snprintf(key, sizeof(key), "k%02u", i);
        quietly(100 + i, key, "{\"v\":1}");
    }
    sim_run(rig.ls, 200);
    size_t joins = 0;
    for (size_t i = 0; i < a->log.n; i++)
        joins += a->log.p[i] == '+';
    assert_int_equal(joins, 60);
    seat_free(a);
    rig_end();
}

TEST(graces_of_several_lengths_end_in_their_own_time)
{
    rig_begin(1);
    struct seat *a = watcher("S0 =");
    rig_track(1, "ann", "{}");
    rig_track(2, "bob", "{}");
    rig_track(3, "cid", "{}");
    seat_heard(a, "++ann ++bob ++cid");
    rig_track_on(0, "room", 1, "ann", NULL, 9000);
    rig_track_on(0, "room", 2, "bob", NULL, 1000);
    rig_track_on(0, "room", 3, "cid", NULL, 4000);
    sim_run(rig.ls, 1001);
    seat_heard(a, "--bob");
    sim_run(rig.ls, 3000);
    seat_heard(a, "--cid");
    sim_run(rig.ls, 5000);
    seat_heard(a, "--ann");
    seat_free(a);
    rig_end();
}

TEST(presence_has_limits_and_can_be_off)
{
    rig_begin(1);
    rig.config.presence_members_max = 2;
    assert_int_equal(rig_track(1, "ann", "{}"), 0);
    assert_int_equal(rig_track(2, "ann", "{}"), 0);
    assert_int_equal(rig_track(3, "cid", "{}"), E_TOO_MANY);
    assert_int_equal(rig_track(2, "ann", NULL), 0);
    assert_int_equal(rig_track(3, "cid", "{}"), 0);
    rig.settings.presence = false;
    assert_int_equal(rig_track(4, "dan", "{}"), E_UNSUPPORTED);
    assert_int_equal(rig_track(3, "cid", NULL), 0);
    rig_end();
}

TEST(leaving_a_channel_that_is_not_there_does_not_make_it)
{
    rig_begin(1);
    assert_int_equal(rig_track(1, "ann", NULL), 0);
    assert_int_equal(rig_hub(0)->channels.count, 0);
    rig_end();
}

TEST(without_memory_a_member_is_refused_and_a_change_is_told_later)
{
    rig_begin(1);
    struct seat *a = watcher("S0 =");
    mem_fail_at(1, 1);
    assert_int_equal(rig_track(1, "ann", "{}"), E_NO_MEMORY);
    mem_fail_at(2, 1); /* it is taken, the update cannot be built */
    assert_int_equal(rig_track(1, "ann", "{}"), 0);
    sim_run(rig.ls, 500);
    mem_fail_at(0, 0);
    seat_heard(a, "");
    sim_run(rig.ls, 500);
    seat_heard(a, "++ann");
    seat_free(a);
    rig_end();
}

/* Whatever happens, a listener that applies the updates to its first state has the owner's. */
TEST(updates_applied_in_order_give_the_owners_state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        rig_begin(3);
        sim_seed(seed);
        struct seat *seats[6];
        int here[6][80] = {{0}};
        for (unsigned i = 0; i < 6; i++) {
            seats[i] = seat_new(i % 3);
            seats[i]->sub.wants_presence = true;
        }
        for (unsigned i = 0, asked = 0; i < 300; i++) {
            uint64_t session = 1 + sim_chance(90);
            char key[8], meta[24];
            snprintf(key, sizeof(key), "k%02llu", (unsigned long long)sim_chance(80));
            snprintf(meta, sizeof(meta), "{\"v\":%u}", (unsigned)sim_chance(3));
            rig_track_on(1 + (unsigned)(session % 2), "room", session, key,
                         sim_chance(3) ? meta : NULL, sim_chance(2) ? 0 : 40);
            if (asked < 6 && sim_chance(20) == 0)
                seat_ask(seats[asked++], "room", NULL);
            if (sim_chance(4) == 0)
                sim_run(rig.ls, sim_chance(30));
        }
        sim_run(rig.ls, 5000);
        struct hub *owner = hub_of(hub_owner(rig_hub(0), STR("room")));
        struct channel *c = channel_find(owner, STR("room"));
        for (unsigned i = 0; i < 6; i++) {
            struct seat *s = seats[i];
            if (s->sub.state == SUB_NONE) {
                seat_free(s);
                continue;
            }
            buf_add_c(&s->log, '\0');
            for (char *word = strtok(s->log.p, " "); word; word = strtok(NULL, " ")) {
                if (word[0] == '=')
                    for (char *k = word; (k = strchr(k, 'k')); k++)
                        here[i][atoi(k + 1)] = 1;
                if (strncmp(word, "++k", 3) == 0) {
                    assert_int_equal(here[i][atoi(word + 3)], 0);
                    here[i][atoi(word + 3)] = 1;
                }
                if (strncmp(word, "--k", 3) == 0) {
                    assert_int_equal(here[i][atoi(word + 3)], 1);
                    here[i][atoi(word + 3)] = 0;
                }
            }
            for (int k = 0; k < 80; k++) {
                char key[24];
                snprintf(key, sizeof(key), "k%02d", k);
                assert_int_equal(here[i][k], map_get(&c->presence.members, str_from(key)) != NULL);
            }
            seat_free(s);
        }
        rig_end();
    }
}
