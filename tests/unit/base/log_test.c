/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: one event is one line, whatever the values are. */
#include "test.h"
#include "base/log.c"
#include "base/buf.h"
#include <stdlib.h>

static uint64_t now_ms = 1700000000123;

static uint64_t clock_of_the_test(void)
{
    return now_ms;
}

static char text[LINE_BYTES * 30];

static int begin(FILE **file)
{
    *file = tmpfile();
    assert_non_null(*file);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(*file), STDERR_FILENO);
    log_clock = clock_of_the_test;
    now_ms += 1000; /* a new second: a new share */
    return saved;
}

static const char *end(FILE *file, int saved)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    char *blank = strchr(text, 'Z'); /* the time is not what is asked here */
    return blank ? blank + 1 : text;
}

#define SAID(json, ...)                                                                            \
    __extension__({                                                                                \
        FILE *file_;                                                                               \
        int saved_ = begin(&file_);                                                                \
        log_setup(LOG_INFO, json);                                                                 \
        log_info("test", "said", __VA_ARGS__);                                                     \
        end(file_, saved_);                                                                        \
    })

TEST(pairs_are_written_as_text_or_as_json)
{
    assert_string_equal(SAID(false, "sid=%s code=%d sent=%zu", "a1", -5, (size_t)7),
                        " info  test said sid=a1 code=-5 sent=7\n");
    assert_string_equal(SAID(true, "sid=%s code=%d rate=%.1f", "12", -5, 1.5),
                        "\",\"level\":\"info\",\"area\":\"test\",\"event\":\"said\","
                        "\"sid\":\"12\",\"code\":-5,\"rate\":\"1.5\"}\n");
}

TEST(a_value_with_blanks_is_quoted_and_an_empty_one_is_visible)
{
    assert_string_equal(SAID(false, "why=%s peer=%s:%d none=%s", "gone away", "::1", 80, ""),
                        " info  test said why=\"gone away\" peer=::1:80 none=\"\"\n");
    assert_string_equal(SAID(false, "why=%s", "a=b"), " info  test said why=\"a=b\"\n");
    assert_string_equal(SAID(false, "p=%.*s q=%5d r=%d%%", 3, "abcdef", 7, 50),
                        " info  test said p=abc q=\"    7\" r=50%\n");
}

TEST(no_value_can_end_the_line_or_start_a_pair)
{
    assert_string_equal(SAID(false, "name=%s", "x\n2024 error test forged a=1"),
                        " info  test said name=\"x\\n2024 error test forged a=1\"\n");
    assert_string_equal(SAID(false, "name=%s", "\r\x1b[31m\x7f\b"),
                        " info  test said name=\"\\u000d\\u001b[31m\\u007f\\u0008\"\n");
    /* C1 controls, a right-to-left override, a line separator, a zero-width space, a BOM */
    assert_string_equal(
        SAID(false, "name=%s", "\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\xe2\x80\x8b\xef\xbb\xbf"),
        " info  test said name=\"\\u009b\\u202e\\u2028\\u200b\\ufeff\"\n");
    assert_string_equal(SAID(false, "name=%s", "a\"b\\c"),
                        " info  test said name=\"a\\\"b\\\\c\"\n");
    assert_string_equal(SAID(false, "name=%s", "\xff\xe2\x82"),
                        " info  test said name=\"\\xff\\xe2\\x82\"\n");
    assert_string_equal(SAID(false, "name=%s", "gr\xc3\xbc\xc3\x9f"),
                        " info  test said name=\"gr\xc3\xbc\xc3\x9f\"\n");
}

TEST(json_lines_stay_json)
{
    const char *rest =
        strstr(SAID(true, "name=%s n=%llu s=%s", "a\"\n\xff\xe2\x80\xae", 5ULL, "7"), "\"name\"");
    assert_non_null(rest);
    assert_string_equal(rest, "\"name\":\"a\\\"\\n\\ufffd\\u202e\",\"n\":5,\"s\":\"7\"}\n");
}

static const char *volatile nothing; /* where the compiler does not see it */

TEST(all_number_forms_are_read_with_their_width)
{
    assert_string_equal(
        SAID(false, "a=%ld b=%lld c=%zu d=%jd e=%hhu f=%hd g=%04x h=%#lx i=%c j=%.2f k=%*d l=%s",
             -1L, -2LL, (size_t)3, (intmax_t)-4, (unsigned char)5, (short)6, 0xab, 0xcdUL, 'z', 2.5,
             3, 9, nothing),
        " info  test said a=-1 b=-2 c=3 d=-4 e=5 f=6 g=00ab h=0xcd i=z j=2.50 k=\"  9\" "
        "l=(null)\n");
    assert_string_equal(SAID(false, "a=%lu b=%ld c=%d", UINT64_MAX, INT64_MIN, INT32_MIN),
                        " info  test said a=18446744073709551615 b=-9223372036854775808 "
                        "c=-2147483648\n");
}

TEST(a_long_value_is_cut_at_256_bytes_and_at_a_character)
{
    char value[2000];
    memset(value, 'x', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    const char *line = SAID(false, "v=%s after=%d", value, 1);
    const char *at = strstr(line, "v=");
    assert_int_equal(strspn(at + 2, "x"), 256);
    assert_string_equal(at + 2 + 256, "... after=1\n");
    memcpy(value + 255, "\xe2\x82\xac", 3); /* would end in the middle of the euro sign */
    at = strstr(SAID(false, "v=%s", value), "v=");
    assert_int_equal(strspn(at + 2, "x"), 255);
    assert_string_equal(at + 2 + 255, "...\n");
}

TEST(a_line_has_a_limit_and_stays_whole)
{
    char value[300];
    memset(value, '\x01', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    const char *line = SAID(true, "a=%s b=%s c=%s d=%s e=%s", value, value, value, value, value);
    size_t n = strlen(line);
    assert_true(n < LINE_BYTES);
    assert_string_equal(line + n - 3, "\"}\n");
    assert_non_null(strstr(line, "\"b\":"));
    assert_null(strstr(line, "\"e\":"));
}

TEST(words_without_a_key_are_kept)
{
    assert_string_equal(SAID(false, "%s", "free text"), " info  test said text=\"free text\"\n");
    assert_string_equal(SAID(false, "why=no such file n=%d", 1),
                        " info  test said why=\"no such file\" n=1\n");
    assert_string_equal(SAID(false, ""), " info  test said\n");
}

TEST(a_site_says_twenty_lines_a_second_and_tells_what_it_swallowed)
{
    FILE *file;
    struct log_site site = {0};
    int saved = begin(&file);
    for (int i = 0; i < 25; i++)
        log_write(&site, LOG_WARN, "test", "flood", "i=%d", i);
    now_ms += 1000;
    log_write(&site, LOG_WARN, "test", "flood", "i=%d", 25);
    log_write(&site, LOG_WARN, "test", "flood", "i=%d", 26);
    const char *out = end(file, saved);
    assert_non_null(strstr(out, "i=19\n"));
    assert_null(strstr(out, "i=20\n"));
    assert_non_null(strstr(out, "i=25 swallowed=5\n"));
    assert_non_null(strstr(out, "i=26\n"));
}

TEST(a_level_that_is_not_asked_is_not_written)
{
    FILE *file;
    int saved = begin(&file);
    log_setup(LOG_WARN, false);
    log_info("test", "quiet", "%d", 1);
    log_warn("test", "loud", "%d", 1);
    const char *out = end(file, saved);
    assert_null(strstr(out, "quiet"));
    assert_non_null(strstr(out, "loud"));
}

TEST(the_time_is_utc_with_milliseconds)
{
    FILE *file;
    struct log_site site = {0};
    int saved = begin(&file);
    now_ms = 1709164799999; /* the last moment before a leap day */
    log_setup(LOG_INFO, false);
    log_write(&site, LOG_INFO, "test", "now", "");
    end(file, saved);
    assert_memory_equal(text, "2024-02-28T23:59:59.999Z info  test now\n", 41);
}

TEST(the_record_holds_the_last_lines_oldest_first)
{
    FILE *file;
    int saved = begin(&file);
    for (int i = 0; i < 100; i++) {
        struct log_site site = {0};
        log_write(&site, LOG_INFO, "test", "record", "i=%d", i);
    }
    end(file, saved);
    file = tmpfile();
    assert_non_null(file);
    log_dump_recent(fileno(file));
    const char *out = end(file, dup(STDERR_FILENO));
    const char *at = strstr(out, "i=36\n"); /* 64 lines */
    assert_null(strstr(out, "i=35\n"));
    assert_non_null(at);
    assert_non_null(strstr(at, "i=99\n"));
}

TEST(levels_are_read_by_name)
{
    enum log_level level;
    assert_true(log_level_parse(STR("error"), &level) && level == LOG_ERROR);
    assert_true(log_level_parse(STR("trace"), &level) && level == LOG_TRACE);
    assert_false(log_level_parse(STR("Error"), &level));
    assert_false(log_level_parse(STR(""), &level));
}

static void *say_lines(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++)
        log_info("test", "thread", "i=%d value=%s", i, "0123456789");
    return NULL;
}

TEST(lines_of_threads_do_not_mix)
{
    FILE *file;
    pthread_t threads[4];
    int lines = 0, saved = begin(&file);
    log_setup(LOG_INFO, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, say_lines, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (const char *at = end(file, saved); (at = strchr(at, '\n')); at++) {
        lines++;
        assert_true(lines > 80 || strncmp(at - 10, "0123456789", 10) == 0);
    }
    assert_int_equal(lines, 80); /* each thread has its own site */
}
