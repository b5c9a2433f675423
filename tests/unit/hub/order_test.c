/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "hub/order.c"
#include <stdio.h>

struct bench {
    struct hub hub;
    struct channel_settings settings;
    struct topic topic;
    struct subscription sub;
    struct order_log *log;
};

static void begin(struct bench *b, size_t history)
{
    memset(b, 0, sizeof(*b));
    b->settings.history_count = history;
    b->topic.hub = &b->hub;
    b->topic.settings = &b->settings;
    b->sub.topic = &b->topic;
    b->log = hub_order_log(&b->sub);
}

static void end(struct bench *b)
{
    order_log_unref(&b->log);
    order_log_unref(&b->topic.order);
}

static void hand_out(struct bench *b, const char *epoch, uint64_t first, uint64_t last)
{
    for (uint64_t offset = first; offset <= last; offset++) {
        struct msg m = {.offset = offset};
        struct msg *list[] = {&m};
        snprintf(m.epoch_text, sizeof(m.epoch_text), "%s", epoch);
        b->topic.pending = list;
        b->topic.pending_count = 1;
        order_note(&b->topic);
    }
    b->topic.pending_count = 0;
}

TEST(a_message_has_the_number_of_its_moment_on_the_loop)
{
    struct bench b;
    uint64_t sequence = 0;
    begin(&b, 100);
    hub_sequence_next(&b.hub); /* something in another channel */
    hand_out(&b, "e", 10, 12);
    hub_sequence_next(&b.hub);
    hand_out(&b, "e", 13, 13);
    assert_true(order_log_sequence(b.log, 12, &sequence));
    assert_int_equal(sequence, 4);
    assert_true(order_log_sequence(b.log, 13, &sequence));
    assert_int_equal(sequence, 6);
    assert_false(order_log_sequence(b.log, 9, &sequence));
    assert_false(order_log_sequence(b.log, 14, &sequence));
    end(&b);
}

TEST(a_number_tells_what_had_been_handed_out)
{
    struct bench b;
    begin(&b, 100);
    hand_out(&b, "e", 1, 3); /* 1 2 3 */
    hub_sequence_next(&b.hub);
    hand_out(&b, "e", 4, 5); /* 5 6 */
    uint64_t offset = 5;
    assert_true(order_log_offset(b.log, 4, &offset));
    assert_int_equal(offset, 3);
    offset = 5;
    assert_true(order_log_offset(b.log, 0, &offset));
    assert_int_equal(offset, 0);
    offset = 5;
    assert_true(order_log_offset(b.log, 6, &offset));
    assert_int_equal(offset, 5);
    offset = 2; /* it never rises: that much was delivered at all */
    assert_true(order_log_offset(b.log, 6, &offset));
    assert_int_equal(offset, 2);
    end(&b);
}

TEST(the_time_before_the_first_message_is_known)
{
    struct bench b;
    uint64_t offset = 7;
    begin(&b, 16);
    for (int i = 0; i < 20; i++)
        hub_sequence_next(&b.hub); /* other channels */
    hand_out(&b, "e", 7, 7);
    assert_true(order_log_offset(b.log, 10, &offset));
    assert_int_equal(offset, 6);
    end(&b);
}

TEST(what_is_too_long_ago_is_said_to_be_unknown)
{
    struct bench b;
    uint64_t offset = 100, sequence;
    begin(&b, 16);
    hand_out(&b, "e", 1, 100);
    assert_false(order_log_offset(b.log, 50, &offset));
    assert_false(order_log_sequence(b.log, 50, &sequence));
    assert_true(order_log_offset(b.log, 84, &offset));
    assert_int_equal(offset, 84);
    offset = 100;
    assert_true(order_log_offset(b.log, 90, &offset));
    assert_int_equal(offset, 90);
    end(&b);
}

TEST(another_epoch_begins_anew)
{
    struct bench b;
    uint64_t offset = 3, sequence;
    begin(&b, 16);
    hand_out(&b, "old", 1, 50);
    hand_out(&b, "new", 1, 3);
    assert_true(order_log_sequence(b.log, 2, &sequence));
    assert_int_equal(sequence, 52);
    assert_false(order_log_offset(b.log, 49, &offset));
    assert_true(order_log_offset(b.log, 50, &offset));
    assert_int_equal(offset, 0);
    end(&b);
}

TEST(a_log_outlives_its_topic)
{
    struct bench b;
    uint64_t sequence;
    begin(&b, 16);
    hand_out(&b, "e", 1, 2);
    order_log_unref(&b.topic.order);
    assert_true(order_log_sequence(b.log, 2, &sequence));
    order_log_unref(&b.log);
}
