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
