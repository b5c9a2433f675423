/* SPDX-License-Identifier: Apache-2.0 */
/* The library as an embedder uses it: a server on threads of its own, publishing from this one,
 * a client of the plain dialect, an end with clients connected. */
#include "test.h"
#include "server/embed_publish.c"
#include <stdlib.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

static tw_server *begin(const char *loops)
{
    static const struct {
        const char *name, *value;
    } settings[] = {
        {"http.listen", "127.0.0.1:0"},
        {"auth.anonymous", "true"},
        {"channels.rules", "[{match: '*', allow: {subscribe: '*', publish: '*'}}]"},
        {"log.level", "error"},
    };
    tw_config *c = tw_config_new();
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        assert_int_equal(tw_config_set(c, settings[i].name, settings[i].value), 0);
    tw_config_set(c, "loops", loops);
    tw_server *s = tw_server_new(c);
    if (!s)
        print_error("%s", tw_config_problems(c));
    tw_config_free(c);
    assert_non_null(s);
    assert_int_equal(tw_server_start(s), 0);
    return s;
}

static void end(tw_server *s)
{
    tw_server_stop(s, 0);
    tw_server_free(s);
}

/* Reads on until a frame of that type. */
static void expect(tw_client *c, const char *type, tw_event *e)
{
    do
        assert_int_equal(tw_client_next(c, 20000, e), 1);
    while (strcmp(e->type, type) != 0);
}

static tw_message message(const char *channel, const char *json)
{
    return (tw_message){.size = sizeof(tw_message),
                        .channel = channel,
                        .content = json,
                        .content_bytes = strlen(json)};
}

static sem_t answered;
static int answer_error;
static uint64_t answer_offset;

static void on_done(int error, uint64_t offset, void *arg)
{
    assert_ptr_equal(arg, &answered);
    answer_error = error;
    answer_offset = offset;
    sem_post(&answered);
}

TEST(what_is_published_inside_arrives_outside)
{
    tw_server *s = begin("2");
    tw_client *c = tw_client_new(tw_server_url(s), NULL);
    tw_event e;
    tw_client_subscribe(c, "room", 0, 0, false);
    expect(c, "subscribed", &e);
    sem_init(&answered, 0, 0);
    tw_message m = message("room", "{\"a\": 1}");
    m.event = "hello";
    m.done = on_done;
    m.arg = &answered;
    assert_int_equal(tw_publish(s, &m), 0);
    expect(c, "message", &e);
    assert_string_equal(e.channel, "room");
    assert_string_equal(e.event, "hello");
    assert_string_equal(e.content, "{\"a\": 1}");
    assert_int_equal(e.offset, 1);
    while (sem_wait(&answered) != 0)
        ;
    assert_int_equal(answer_error, 0);
    assert_int_equal(answer_offset, 1);
    sem_destroy(&answered);
    tw_client_free(c);
    end(s);
}

TEST(binary_content_arrives_as_base64_in_the_words_of_a_text_message)
{
    tw_server *s = begin("1");
    tw_client *c = tw_client_new(tw_server_url(s), NULL);
    tw_event e;
    tw_client_subscribe(c, "room", 0, 0, false);
    expect(c, "subscribed", &e);
    tw_message m = message("room", "\xff\x00\x01");
    m.content_bytes = 3;
    m.binary = true;
    assert_int_equal(tw_publish(s, &m), 0);
    expect(c, "message", &e);
    assert_string_equal(e.content, "\"/wAB\"");
    assert_int_equal(e.offset, 1);
    tw_client_free(c);
    end(s);
}

TEST(what_is_no_message_is_refused_at_once)
{
    tw_server *s = begin("1");
    tw_message m = message("room", "{\"a\": ");
    assert_true(tw_publish(s, &m) < 0);
    m = message("bad\nname", "1");
    assert_true(tw_publish(s, &m) < 0);
    m = message("", "1");
    assert_true(tw_publish(s, &m) < 0);
    m = message("room", "1");
    m.size = 3;
    assert_true(tw_publish(s, &m) < 0);
    char *large = calloc(1, 3 << 20);
    m = message("room", large);
    m.content_bytes = 3 << 20;
    m.binary = true;
    assert_int_equal(tw_publish(s, &m), E_TOO_LARGE);
    free(large);
    end(s);
    m = message("room", "1");
}

#define WRITERS 4
#define EACH 200

static void *write_many(void *arg)
{
    tw_server *s = arg;
    for (int i = 0; i < EACH; i++) {
        char json[32];
        snprintf(json, sizeof(json), "%d", i);
        tw_message m = message("room", json);
        assert_int_equal(tw_publish(s, &m), 0);
    }
    return NULL;
}

TEST(many_threads_publish_and_one_order_comes_of_it)
{
    tw_server *s = begin("3");
    tw_client *c[2];
    tw_event e;
    for (int i = 0; i < 2; i++) {
        c[i] = tw_client_new(tw_server_url(s), NULL);
        tw_client_subscribe(c[i], "room", 0, 0, false);
        expect(c[i], "subscribed", &e);
    }
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_many, s);
    static char order[2][WRITERS * EACH * 8];
    for (int i = 0; i < 2; i++) {
        for (uint64_t n = 1; n <= WRITERS * EACH; n++) {
            expect(c[i], "message", &e);
            assert_int_equal(e.offset, n);
            strncat(order[i], e.content, 6);
        }
    }
    assert_string_equal(order[0], order[1]);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    tw_client_free(c[0]);
    tw_client_free(c[1]);
    end(s);
}

TEST(a_publish_is_answered_and_a_repeat_is_known)
{
    tw_server *s = begin("2");
    tw_client *c = tw_client_new(tw_server_url(s), NULL);
    tw_event e;
    tw_client_subscribe(c, "room", 0, 0, false);
    expect(c, "subscribed", &e);
    assert_int_equal(tw_client_publish(c, "room", "x", "1", "id-1", &e), 0);
    assert_string_equal(e.type, "ack");
    assert_int_equal(e.offset, 1);
    assert_int_equal(tw_client_publish(c, "room", "x", "1", "id-1", &e), 0);
    assert_int_equal(e.offset, 1);
    /* its own message came while the answer was awaited, and is not lost */
    expect(c, "message", &e);
    assert_int_equal(e.offset, 1);
    assert_true(tw_client_publish(c, "room", "x", "no json", NULL, &e) < 0);
    assert_string_equal(tw_client_problem(c), "the content is not JSON");
    tw_client_free(c);
    end(s);
}

TEST(a_server_that_goes_tells_its_clients)
{
    tw_server *s = begin("2");
    tw_client *c = tw_client_new(tw_server_url(s), NULL);
    tw_event e;
    tw_client_subscribe(c, "room", 0, 0, false);
    expect(c, "subscribed", &e);
    tw_server_stop(s, 2000);
    expect(c, "reconnect", &e);
    expect(c, "lost", &e);
    assert_int_equal(e.code, 1012);
    tw_server_free(s);
    tw_client_free(c);
}

TEST(a_server_can_be_stopped_and_another_started)
{
    for (int i = 0; i < 3; i++) {
        tw_server *s = begin("2");
        end(s);
    }
    tw_config *c = tw_config_new();
    tw_server *s = tw_server_new(c);
    assert_non_null(s);
    tw_message m = message("room", "1");
    assert_true(tw_publish(s, &m) < 0); /* not started */
    tw_server_free(s);
    tw_config_set(c, "loops", "1000");
    assert_null(tw_server_new(c));
    assert_string_equal(tw_config_problems(c),
                        "--loops: loops: \"1000\" is too much; the most is 64\n");
    tw_config_free(c);
}

TEST(an_address_that_is_taken_is_told)
{
    tw_server *first = begin("1");
    tw_config *c = tw_config_new();
    char address[64];
    snprintf(address, sizeof(address), "%s", tw_server_url(first) + strlen("http://"));
    tw_config_set(c, "http.listen", address);
    tw_config_set(c, "log.level", "error");
    tw_server *second = tw_server_new(c);
    assert_int_equal(tw_server_start(second), E_UNAVAILABLE);
    assert_non_null(strstr(tw_server_problem(second), "Address already in use"));
    tw_server_free(second);
    tw_config_free(c);
    end(first);
}
