/* SPDX-License-Identifier: Apache-2.0 */
/* See timestamp.h. Days are counted by the civil-calendar arithmetic of the proleptic Gregorian
 * calendar, years 1 to 9999. */
#include "db/timestamp.h"
#include <stdio.h>

struct moment {
    int year, month, day, hour, minute, second;
    int micros;
    int offset_minutes;
    bool has_time, has_zone;
};

static bool digits(struct str *s, unsigned count, int *out)
{
    int v = 0;
    if (s->n < count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        char c = s->p[i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *s = str_skip(*s, count);
    *out = v;
    return true;
}

static bool take(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_skip(*s, 1);
    return true;
}

static bool fraction(struct str *s, int *micros)
{
    int scale = 100000;
    size_t n = 0;
    *micros = 0;
    if (!take(s, '.') && !take(s, ','))
        return true;
    while (s->n && s->p[0] >= '0' && s->p[0] <= '9') {
        *micros += (s->p[0] - '0') * scale;
        scale /= 10;
        *s = str_skip(*s, 1);
        n++;
    }
    return n > 0;
}

static bool clock_part(struct str *s, struct moment *m)
{
    m->has_time = true;
    if (!digits(s, 2, &m->hour) || !take(s, ':') || !digits(s, 2, &m->minute))
        return false;
    if (take(s, ':') && (!digits(s, 2, &m->second) || !fraction(s, &m->micros)))
        return false;
    return m->hour <= 23 && m->minute <= 59 && m->second <= 59;
}

static bool zone_part(struct str *s, struct moment *m)
{
    int hours, minutes = 0, sign;
    while (take(s, ' '))
        ;
    if (s->n == 0)
        return true;
    m->has_zone = true;
    if (take(s, 'Z') || take(s, 'z'))
        return true;
    if (str_eq_nocase(*s, STR("utc"))) {
        *s = str_skip(*s, 3);
        return true;
    }
    sign = take(s, '-') ? -1 : take(s, '+') ? 1 : 0;
    if (sign == 0 || !digits(s, 2, &hours))
        return false;
    take(s, ':');
    if (s->n && !digits(s, 2, &minutes))
        return false;
    m->offset_minutes = sign * (hours * 60 + minutes);
    return hours <= 15 && minutes <= 59;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool date_part(struct str *s, struct moment *m)
{
    if (!digits(s, 4, &m->year) || !take(s, '-') || !digits(s, 2, &m->month) || !take(s, '-') ||
        !digits(s, 2, &m->day))
        return false;
    return m->year >= 1 && m->month >= 1 && m->month <= 12 && m->day >= 1 &&
           m->day <= month_days(m->year, m->month);
}

static void shift_day(struct moment *m, int by)
{
    m->day += by;
    if (m->day < 1) {
        if (--m->month < 1) {
            m->month = 12;
            m->year--;
        }
        m->day = m->year >= 1 ? month_days(m->year, m->month) : 31;
    } else if (m->day > month_days(m->year, m->month)) {
        m->day = 1;
        if (++m->month > 12) {
            m->month = 1;
            m->year++;
        }
    }
}

static void to_utc(struct moment *m)
{
    int minutes = m->hour * 60 + m->minute - m->offset_minutes;
    if (minutes < 0) {
        minutes += 1440;
        shift_day(m, -1);
    } else if (minutes >= 1440) {
        minutes -= 1440;
        shift_day(m, 1);
    }
    m->hour = minutes / 60;
    m->minute = minutes % 60;
}

static size_t put_fraction(char *out, int micros)
{
    int n;
    if (micros == 0)
        return 0;
    n = snprintf(out, 8, ".%06d", micros);
    while (n > 0 && out[n - 1] == '0')
        n--;
    return (size_t)n;
}

struct str timestamp_canonical(struct str text, char kind, struct arena *arena)
{
    struct moment m = {0};
    struct str s = str_trim(text);
    char out[64];
    size_t n = 0;
    if (kind != 'H' && !date_part(&s, &m))
        return STR_NONE;
    if (kind == 'H' && !clock_part(&s, &m))
        return STR_NONE;
    if (kind != 'H' && s.n && (take(&s, 'T') || take(&s, 't') || take(&s, ' ')) &&
        !clock_part(&s, &m))
        return STR_NONE;
    if (!zone_part(&s, &m) || s.n)
        return STR_NONE;
    if (kind == 'Z')
        to_utc(&m);
    if (kind != 'H' && (m.year < 1 || m.year > 9999))
        return STR_NONE;
    if (kind != 'H')
        n = (size_t)snprintf(out, sizeof out, "%04d-%02d-%02d", m.year, m.month, m.day);
    if (kind != 'D') {
        if (kind != 'H')
            out[n++] = 'T';
        n +=
            (size_t)snprintf(out + n, sizeof out - n, "%02d:%02d:%02d", m.hour, m.minute, m.second);
        n += put_fraction(out + n, m.micros);
    }
    if (kind == 'Z')
        n += (size_t)snprintf(out + n, sizeof out - n, "+00:00");
    return arena_dup(arena, str_of(out, n));
}
