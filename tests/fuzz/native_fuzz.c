/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a text frame, a binary frame, a body to publish and a cursor. What was accepted
 * must keep what wire/native.h promises, and what is said back must be JSON. */
#include "base/check.h"
#include "base/err.h"
#include "wire/jsonscan.h"
#include "wire/native.h"

enum { DEPTH = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_json(struct buf *b)
{
    CHECK(jsonscan_check(buf_str(b), DEPTH + 8, NULL) == 0);
    buf_clear(b);
}

static void check_raw(struct str raw)
{
    CHECK(raw.n == 0 || jsonscan_check(raw, DEPTH, NULL) == 0);
}

static void check_position(const struct native_position *p)
{
    CHECK(p->epoch.n == 0 || (p->given && cursor_epoch_valid(p->epoch)));
}

static void check_request(const struct native_request *q)
{
    CHECK(q->channels_count <= NATIVE_CHANNELS_MAX && !q->detail);
    for (size_t i = 0; i < q->channels_count; i++) {
        CHECK(native_name_valid(q->channels[i].name, NATIVE_CHANNEL_MAX));
        check_position(&q->channels[i].since);
    }
    check_position(&q->since);
    CHECK(native_name_valid(q->event, NATIVE_EVENT_MAX));
    CHECK(q->id.n == 0 || native_name_valid(q->id, NATIVE_ID_MAX));
    CHECK(q->key.n == 0 || native_name_valid(q->key, NATIVE_KEY_MAX));
    CHECK(q->limit <= NATIVE_HISTORY_MAX && q->ref.n <= NATIVE_REF_MAX);
    CHECK(q->type != NATIVE_MESSAGE || q->binary || q->content.n);
    if (!q->binary)
        check_raw(q->content);
    check_raw(q->ref);
    check_raw(q->meta);
    check_raw(q->data);
}

/* As if the message went back to its sender. */
static void say_back(const struct native_request *q, struct buf *b)
{
    struct str channel = q->channels_count ? q->channels[0].name : STR("main");
    struct native_message m = {.channel = channel,
                               .event = q->event,
                               .content = q->content,
                               .epoch = STR("k3"),
                               .key = q->key,
                               .sender_sub = q->id,
                               .offset = 7,
                               .binary = q->binary};
    struct native_request again;
    struct arena a = {0};
    if (q->type == NATIVE_MESSAGE) {
        native_add_message(b, &m);
        if (!q->binary) {
            CHECK(native_decode(buf_str(b), DEPTH + 1, &a, &again) == 0);
            CHECK(str_eq(again.content, q->content) && str_eq(again.event, q->event));
        }
        check_json(b);
        native_add_binary(b, &m);
        CHECK(native_decode_binary(buf_str(b), &a, &again) == 0);
        CHECK(str_eq(again.channels[0].name, channel) && str_eq(again.event, q->event));
        CHECK(again.content.n == q->content.n + 8);
        buf_clear(b);
    }
    native_add_subscribed(b, channel, STR("k3"), 1, true, q->ref);
    check_json(b);
    native_add_pong(b, q->data, q->ref);
    check_json(b);
    arena_free(&a);
}

static void fuzz_cursor(struct str text, struct buf *b)
{
    struct cursor_place places[CURSOR_PLACES_MAX], again[CURSOR_PLACES_MAX];
    struct arena a = {0};
    size_t count, same;
    if (cursor_decode(text, &a, places, CURSOR_PLACES_MAX, &count) == 0) {
        bool named = places[0].channel.n > 0;
        CHECK(count >= 1 && (text.n && text.p[0] == '.') == named);
        CHECK((named ? cursor_add_named : cursor_add_list)(b, places, count) == 0);
        CHECK(str_eq(buf_str(b), text)); /* there is one way only to write a cursor */
        CHECK(cursor_decode(buf_str(b), &a, again, CURSOR_PLACES_MAX, &same) == 0);
        CHECK(same == count);
    }
    buf_clear(b);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct arena a = {0};
    struct buf b = {0};
    struct native_request q;
    struct str text = str_of((const char *)bytes, n);
    int answers[3] = {native_decode(text, DEPTH, &a, &q), 0, 0};
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            answers[i] = native_decode_binary(text, &a, &q);
        if (i == 2)
            answers[i] = native_decode_publish(text, DEPTH, &a, &q);
        if (answers[i] == 0) {
            check_request(&q);
            say_back(&q, &b);
        } else {
            CHECK(answers[i] < 0 && q.detail);
            native_add_error(&b, answers[i], q.detail, STR_NONE, q.ref);
            check_json(&b);
        }
    }
    fuzz_cursor(text, &b);
    buf_free(&b);
    arena_free(&a);
    return 0;
}
