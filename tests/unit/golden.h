/* SPDX-License-Identifier: Apache-2.0 */
/* Golden packets: tests/wire/<codec>.txt, lines of
 *
 *   [section]      which of the codec's functions
 *   in TEXT        what it gets; \xHH is that byte
 *   out TEXT       what it gives, as the test renders it, or
 *   error NAME     the row of err.def
 *
 * with blank lines and # comments between. The test gives one function for all sections. */
#ifndef UNIT_GOLDEN_H
#define UNIT_GOLDEN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

/* Appends what the codec makes of `in`; returns 0 or E_*. */
typedef int (*golden_fn)(const char *section, struct str in, struct buf *out);

static inline int golden_hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline void golden_text(struct buf *out, struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        bool is_byte = i + 3 < line.n && line.p[i] == '\\' && line.p[i + 1] == 'x' &&
                       golden_hex(line.p[i + 2]) >= 0 && golden_hex(line.p[i + 3]) >= 0;
        if (is_byte) {
            buf_add_c(out, (char)(golden_hex(line.p[i + 2]) << 4 | golden_hex(line.p[i + 3])));
            i += 3;
        } else {
            buf_add_c(out, line.p[i]);
        }
    }
}

static inline struct str golden_file(const char *path, struct buf *text)
{
    FILE *f = fopen(path, "rb");
    char part[4096];
    size_t n;
    if (!f)
        fail_msg("%s: cannot be opened (run from the top folder)", path);
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        buf_add(text, part, n);
    fclose(f);
    return buf_str(text);
}

/* Runs a whole file; prints each difference, then fails once. */
static inline void golden_run(const char *path, golden_fn fn)
{
    struct buf text = {0}, in = {0}, want = {0}, got = {0};
    struct str rest = golden_file(path, &text);
    char section[64] = "";
    int faults = 0, cases = 0, err = 0;
    for (int at = 1; rest.n; at++) {
        struct str line = str_cut(&rest, '\n');
        if (line.n > 2 && line.p[0] == '[' && line.n < sizeof(section)) {
            memcpy(section, line.p + 1, line.n - 2);
            section[line.n - 2] = '\0';
        } else if (str_starts(line, STR("in ")) || str_is(line, "in")) {
            buf_clear(&in);
            buf_clear(&got);
            golden_text(&in, str_skip(line, 3));
            /* A block of its own of just that size, so that ASan sees every step outside. */
            char *exact = malloc(in.n ? in.n : 1);
            if (in.n)
                memcpy(exact, in.p, in.n);
            err = fn(section, str_of(exact, in.n), &got);
            free(exact);
        } else if (str_starts(line, STR("out ")) || str_starts(line, STR("error "))) {
            bool is_error = line.p[0] == 'e';
            buf_clear(&want);
            golden_text(&want, str_skip(line, is_error ? 6 : 4));
            if (err < 0) {
                buf_clear(&got);
                buf_add_z(&got, err_info(err)->name);
            }
            cases++;
            if (is_error != (err < 0) || !str_eq(buf_str(&want), buf_str(&got))) {
                printf("# %s:%d: got %s%.*s\n", path, at, err < 0 ? "error " : "out ",
                       STR_ARG(buf_str(&got)));
                faults++;
            }
        } else if (line.n && line.p[0] != '#') {
            printf("# %s:%d: not understood\n", path, at);
            faults++;
        }
    }
    buf_free(&text);
    buf_free(&in);
    buf_free(&want);
    buf_free(&got);
    assert_true(cases > 0);
    assert_int_equal(faults, 0);
}

#endif
