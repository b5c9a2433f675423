/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/metric.c"

static bool says(const struct buf *b, const char *line)
{
    struct str rest = buf_str(b);
    while (rest.p)
        if (str_is(str_cut(&rest, '\n'), line))
            return true;
    return false;
}

TEST(counters_and_gauges_add_up)
{
    int64_t before = metric_read(M_SESSIONS);
    metric_add(M_SESSIONS, 5);
    metric_add(M_SESSIONS, -2);
    assert_int_equal(metric_read(M_SESSIONS), before + 3);
}

static void *add_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++)
        metric_add(M_MESSAGES_PUBLISHED, 1);
    metric_add(M_CHANNELS, -1); /* opened on another thread */
    return NULL;
}

TEST(threads_add_without_losing_and_stay_counted_when_gone)
{
    pthread_t threads[4];
    int64_t before = metric_read(M_MESSAGES_PUBLISHED), last = before;
    metric_add(M_CHANNELS, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < 1000; i++) { /* reading meanwhile never goes back */
        int64_t now = metric_read(M_MESSAGES_PUBLISHED);
        assert_true(now >= last && now <= before + 40000);
        last = now;
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_read(M_MESSAGES_PUBLISHED), before + 40000);
    assert_int_equal(metric_read(M_CHANNELS), 0);
}

TEST(a_histogram_counts_each_observation_in_all_buckets_above)
{
    struct buf b = {0};
    metric_observe(M_LOOP_LAG, 0);
    metric_observe(M_LOOP_LAG, 50);
    metric_observe(M_LOOP_LAG, 51);
    metric_observe(M_LOOP_LAG, 10000001);
    metric_write_all(&b);
    assert_true(says(&b, "# TYPE tidewire_loop_turn_seconds histogram"));
    assert_true(says(&b, "tidewire_loop_turn_seconds_bucket{le=\"0.000050\"} 2"));
    assert_true(says(&b, "tidewire_loop_turn_seconds_bucket{le=\"0.000100\"} 3"));
    assert_true(says(&b, "tidewire_loop_turn_seconds_bucket{le=\"10.000000\"} 3"));
    assert_true(says(&b, "tidewire_loop_turn_seconds_bucket{le=\"+Inf\"} 4"));
    assert_true(says(&b, "tidewire_loop_turn_seconds_sum 10.000102"));
    assert_true(says(&b, "tidewire_loop_turn_seconds_count 4"));
    assert_int_equal(metric_read(M_LOOP_LAG), 4);
    buf_free(&b);
}

/* Prometheus refuses a page that tells HELP or TYPE of one name twice. */
TEST(each_name_is_introduced_once_and_its_rows_stand_together)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        bool first = m == 0 || strcmp(rows[m].name, rows[m - 1].name) != 0;
        for (int k = 0; k < m; k++) {
            bool same = strcmp(rows[m].name, rows[k].name) == 0;
            if (same && first)
                fail_msg("rows of %s do not stand together", rows[m].name);
            if (same && (strcmp(rows[m].labels, rows[k].labels) == 0 ||
                         strcmp(rows[m].help, rows[k].help) != 0 || rows[m].kind != rows[k].kind))
                fail_msg("rows of %s contradict each other", rows[m].name);
        }
    }
}

TEST(names_follow_the_conventions)
{
    for (int m = 0; m < METRIC_COUNT; m++) {
        struct str name = str_from(rows[m].name);
        assert_true(str_starts(name, STR("tidewire_")));
        for (size_t i = 0; i < name.n; i++)
            assert_true((name.p[i] >= 'a' && name.p[i] <= 'z') || name.p[i] == '_');
        assert_int_equal(str_ends(name, STR("_total")), rows[m].kind == COUNTER);
        if (rows[m].kind == HISTOGRAM)
            assert_true(str_ends(name, STR("_seconds")) || str_ends(name, STR("_bytes")));
    }
}

TEST(labels_are_written_as_they_stand)
{
    struct buf b = {0};
    metric_add(M_CONNECTIONS_WS, 3);
    metric_write_all(&b);
    assert_true(says(&b, "tidewire_connections{transport=\"websocket\"} 3"));
    assert_true(says(&b, "tidewire_connections{transport=\"sse\"} 0"));
    assert_true(says(&b, "# TYPE tidewire_connections gauge"));
    assert_int_equal(b.p[b.n - 1], '\n');
    buf_free(&b);
}
