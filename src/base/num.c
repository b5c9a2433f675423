/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers from text. The C library's strtol family takes blanks, signs and the locale;
 * a protocol takes digits. */
#include "base/num.h"

bool num_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 20)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

bool num_i64(struct str s, int64_t *out)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;
    if (!num_u64(minus ? str_skip(s, 1) : s, &v) || v > (uint64_t)INT64_MAX + minus)
        return false;
    *out = (int64_t)(minus ? 0 - v : v);
    return true;
}

bool num_hex64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i], letter = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (letter >= 'a' && letter <= 'f')
            v = v << 4 | (uint64_t)(letter - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

struct unit {
    const char *name;
    int64_t factor;
};

/* Digits, then one of the units (the list ends with a NULL name), or none. */
static bool with_unit(struct str s, const struct unit *units, int64_t *out)
{
    size_t digits = 0;
    uint64_t v;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (!num_u64(str_head(s, digits), &v))
        return false;
    struct str name = str_skip(s, digits);
    while (name.n && units->name && !str_is(name, units->name))
        units++;
    int64_t factor = name.n ? units->factor : 1;
    if (factor == 0 || v > (uint64_t)(INT64_MAX / factor))
        return false;
    *out = (int64_t)v * factor;
    return true;
}

bool num_duration_ms(struct str s, int64_t *out)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    return with_unit(s, units, out);
}

bool num_size(struct str s, int64_t *out)
{
    static const struct unit units[] = {{"B", 1},           {"kB", 1000},       {"MB", 1000000},
                                        {"GB", 1000000000}, {"KiB", 1LL << 10}, {"MiB", 1LL << 20},
                                        {"GiB", 1LL << 30}, {NULL, 0}};
    return with_unit(s, units, out);
}

size_t num_put_u64(char *out, uint64_t v)
{
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}
