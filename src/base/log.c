/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log lines. The format of the pairs is read here, not by printf, because a blank or
 * a '=' that comes out of a value must not look like the start of the next pair: the pairs are
 * split in the format, each value is expanded and escaped by itself.
 *   "sid=%s code=%d why=gone away"   three pairs; a word without '=' belongs to the value before
 * A line is built on the stack (logging must work without memory) and written in one call. */
#include "base/log.h"
#include "base/utf8.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 4096
#define VALUE_BYTES_MAX 256
#define LINES_A_SECOND 20
#define RECENT_COUNT 64
#define RECENT_BYTES 512

_Atomic enum log_level log_level_now = LOG_INFO;
uint64_t (*log_clock)(void);
static atomic_bool as_json;

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

struct line {
    char p[LINE_BYTES];
    size_t n;
    bool json;
};

struct value {
    char p[VALUE_BYTES_MAX + 1];
    size_t n;
    bool cut;
    bool number; /* exactly one number: JSON needs no quotes */
};

/* A walker over the format with its arguments (an array type cannot be passed on by address,
 * a struct member can). */
struct walk {
    const char *at;
    va_list args;
};

static struct {
    pthread_mutex_t lock;
    size_t next;
    char lines[RECENT_COUNT][RECENT_BYTES];
    uint16_t n[RECENT_COUNT];
} recent = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_setup(enum log_level level, bool json)
{
    log_level_now = level;
    as_json = json;
}

bool log_level_parse(struct str s, enum log_level *out)
{
    for (int i = LOG_ERROR; i <= LOG_TRACE; i++) {
        if (str_is(s, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* ---- the line -------------------------------------------------------------------------- */

/* One byte always stays free for the newline. */
static void add(struct line *line, const char *p, size_t n)
{
    size_t room = LINE_BYTES - 1 - line->n;
    n = n < room ? n : room;
    memcpy(line->p + line->n, p, n);
    line->n += n;
}

static void add_z(struct line *line, const char *z)
{
    add(line, z, strlen(z));
}

/* Characters that could end the line, drive a terminal or turn the reading direction. */
static bool is_unsafe(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x61c ||
           (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
           (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff;
}

/* The character at s, or UINT32_MAX for a byte that begins none. */
static uint32_t character(struct str s, size_t *n)
{
    uint32_t state = 0, cp = 0;
    unsigned char first = (unsigned char)s.p[0];
    cp = first < 0x80   ? first
         : first < 0xe0 ? first & 0x1f
         : first < 0xf0 ? first & 0xf
                        : first & 7;
    for (size_t i = 0; i < s.n && utf8_feed(&state, str_of(s.p + i, 1)); i++) {
        if (i)
            cp = cp << 6 | ((unsigned char)s.p[i] & 0x3f);
        *n = i + 1;
        if (state == 0)
            return cp;
    }
    *n = 1;
    return UINT32_MAX;
}

static void add_escaped(struct line *line, struct str s)
{
    char code[16];
    size_t n;
    for (; s.n; s = str_skip(s, n)) {
        uint32_t cp = character(s, &n);
        if (cp == '"' || cp == '\\')
            snprintf(code, sizeof(code), "\\%c", (int)cp);
        else if (cp == '\n')
            snprintf(code, sizeof(code), "\\n");
        else if (cp == UINT32_MAX)
            snprintf(code, sizeof(code), line->json ? "\\ufffd" : "\\x%02x", (unsigned char)s.p[0]);
        else if (is_unsafe(cp))
            snprintf(code, sizeof(code), "\\u%04x", cp);
        else {
            add(line, s.p, n);
            continue;
        }
        add_z(line, code);
    }
}

/* Text needs quotes when a reader could not tell where the value ends. */
static bool needs_quotes(const struct line *line, const struct value *v)
{
    if (line->json)
        return !v->number;
    for (size_t i = 0; i < v->n; i++) {
        unsigned char c = (unsigned char)v->p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return true;
    }
    return v->n == 0;
}

static void add_pair(struct line *line, struct str key, const struct value *v)
{
    bool quotes = needs_quotes(line, v);
    /* A pair that might not fit is left out: half of one would not be JSON. Six bytes are the
     * most that one byte becomes. */
    if (line->n + key.n + 6 * v->n + 16 > LINE_BYTES)
        return;
    add_z(line, line->json ? ",\"" : " ");
    add(line, key.p, key.n);
    add_z(line, line->json ? "\":" : "=");
    if (quotes)
        add_z(line, "\"");
    add_escaped(line, str_of(v->p, v->n));
    if (v->cut)
        add_z(line, "...");
    if (quotes)
        add_z(line, "\"");
}

/* ---- the format ------------------------------------------------------------------------ */

static void value_add(struct value *v, const char *p, size_t n)
{
    size_t room = VALUE_BYTES_MAX - v->n;
    if (n > room) {
        /* not in the middle of a character */
        for (n = room; n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80; n--)
            ;
        v->cut = true;
    }
    if (n)
        memcpy(v->p + v->n, p, n);
    v->n += n;
}

static void add_number(struct value *v, struct walk *w, char *spec, size_t n, char conversion)
{
    char text[VALUE_BYTES_MAX];
    bool is_signed = conversion == 'd' || conversion == 'i';
    int longs = 0;
    bool wide = false;
    for (size_t i = 0; i < n; i++) {
        longs += spec[i] == 'l';
        wide = wide || strchr("zjt", spec[i]);
    }
    while (n && strchr("hlzjt", spec[n - 1])) /* the value is widened: so is its length mark */
        n--;
    snprintf(spec + n, 4, "j%c", conversion);
    if (is_signed) {
        intmax_t i = wide         ? va_arg(w->args, intmax_t)
                     : longs == 2 ? va_arg(w->args, long long)
                     : longs == 1 ? va_arg(w->args, long)
                                  : va_arg(w->args, int);
        snprintf(text, sizeof(text), spec, i);
    } else {
        uintmax_t u = wide         ? va_arg(w->args, uintmax_t)
                      : longs == 2 ? va_arg(w->args, unsigned long long)
                      : longs == 1 ? va_arg(w->args, unsigned long)
                                   : va_arg(w->args, unsigned);
        snprintf(text, sizeof(text), spec, u);
    }
    v->number =
        v->n == 0 && (is_signed || conversion == 'u') && strspn(spec, "%ljdiu") == strlen(spec);
    value_add(v, text, strlen(text));
}

static void add_text(struct value *v, struct walk *w, int precision)
{
    const char *z = va_arg(w->args, const char *);
    z = z ? z : "(null)";
    value_add(v, z, precision < 0 ? strlen(z) : strnlen(z, (size_t)precision));
}

static void add_other(struct value *v, struct walk *w, char *spec, size_t n, char conversion)
{
    char text[VALUE_BYTES_MAX];
    spec[n] = conversion;
    spec[n + 1] = '\0';
    if (conversion == 'c')
        snprintf(text, sizeof(text), "%c", va_arg(w->args, int));
    else if (conversion == 'p')
        snprintf(text, sizeof(text), "%p", va_arg(w->args, void *));
    else
        snprintf(text, sizeof(text), spec, va_arg(w->args, double));
    value_add(v, text, strlen(text));
}

static int digits(const char *p)
{
    int v = 0;
    for (; *p >= '0' && *p <= '9' && v < 100000; p++)
        v = v * 10 + (*p - '0');
    return v;
}

/* w->at stands on '%'; leaves it behind the conversion. */
static void add_conversion(struct value *v, struct walk *w)
{
    char spec[40] = "%";
    size_t n = 1;
    int precision = -1;
    const char *at = w->at + 1;
    for (; *at && strchr("-+ #0123456789.*hlzjt", *at) && n < 24; at++) {
        int number = *at == '*' ? va_arg(w->args, int) : 0;
        if (*at == '*')
            n += (size_t)snprintf(spec + n, 12, "%d", number < 0 ? 0 : number);
        else
            spec[n++] = *at;
        if (*at == '*' && at[-1] == '.')
            precision = number;
        else if (*at == '.' && at[1] != '*')
            precision = digits(at + 1);
    }
    v->number = false;
    w->at = *at ? at + 1 : at;
    if (*at == '%')
        value_add(v, "%", 1);
    else if (*at == 's')
        add_text(v, w, precision);
    else if (*at && strchr("diuxXo", *at))
        add_number(v, w, spec, n, *at);
    else if (*at && strchr("cpfFgGeE", *at))
        add_other(v, w, spec, n, *at);
    else
        w->at = ""; /* a conversion nobody knows: its argument cannot be skipped either */
}

/* Expands up to the blank before the next pair. */
static void expand(struct value *v, struct walk *w)
{
    while (*w->at) {
        if (*w->at == ' ') {
            const char *word = w->at + 1;
            size_t n = strcspn(word, " =%");
            if (word[n] == '=' && n > 0)
                return;
        }
        if (*w->at == '%') {
            add_conversion(v, w);
        } else {
            v->number = false;
            value_add(v, w->at++, 1);
        }
    }
}

static void add_pairs(struct line *line, struct walk *w)
{
    while (*w->at) {
        struct str key = STR("text");
        struct value v = {.n = 0};
        w->at += strspn(w->at, " ");
        size_t n = strcspn(w->at, " =%");
        if (n && w->at[n] == '=') {
            key = str_of(w->at, n);
            w->at += n + 1;
        }
        if (*w->at || key.p == w->at)
            expand(&v, w);
        add_pair(line, key, &v);
    }
}

/* ---- writing --------------------------------------------------------------------------- */

static void add_head(struct line *line, uint64_t now_ms, enum log_level level, const char *area,
                     const char *event)
{
    char at[32], head[200];
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned ms = (unsigned)(now_ms % 1000);
    snprintf(head, sizeof(head),
             line->json ? "{\"time\":\"%s.%03uZ\",\"level\":\"%s\",\"area\":\"%s\",\"event\":\"%s\""
                        : "%s.%03uZ %-5s %s %s",
             at, ms, level_names[level], area, event);
    add_z(line, head);
}

static void keep(const struct line *line)
{
    size_t n = line->n < RECENT_BYTES ? line->n : RECENT_BYTES;
    pthread_mutex_lock(&recent.lock);
    size_t i = recent.next++ % RECENT_COUNT;
    memcpy(recent.lines[i], line->p, n);
    recent.lines[i][n - 1] = '\n';
    recent.n[i] = (uint16_t)n;
    pthread_mutex_unlock(&recent.lock);
}

static void write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t wrote = write(fd, p, n);
        if (wrote <= 0)
            return; /* nobody is left to tell */
        p += wrote;
        n -= (size_t)wrote;
    }
}

/* False when this site has had its share of this second. Without a clock there is no limit. */
static bool may_speak(struct log_site *site, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;
    if (!log_clock)
        return true;
    if (site->second != second) {
        site->second = second;
        site->lines = 0;
    }
    if (site->lines >= LINES_A_SECOND) {
        site->swallowed++;
        return false;
    }
    site->lines++;
    return true;
}

void log_write(struct log_site *site, enum log_level level, const char *area, const char *event,
               const char *pairs, ...)
{
    struct line line;
    struct walk walk = {.at = pairs};
    uint64_t now_ms = log_clock ? log_clock() : 0;
    if (!may_speak(site, now_ms))
        return;
    line.n = 0;
    line.json = as_json;
    add_head(&line, now_ms, level, area, event);
    va_start(walk.args, pairs);
    add_pairs(&line, &walk);
    va_end(walk.args);
    if (site->swallowed) {
        struct value v = {.number = true};
        v.n = (size_t)snprintf(v.p, sizeof(v.p), "%u", site->swallowed);
        add_pair(&line, STR("swallowed"), &v);
        site->swallowed = 0;
    }
    if (line.json)
        add_z(&line, "}");
    line.p[line.n++] = '\n';
    write_all(STDERR_FILENO, line.p, line.n);
    keep(&line);
}

void log_dump_recent(int fd)
{
    /* The lock may be held by the thread that failed: then read without it. */
    bool locked = pthread_mutex_trylock(&recent.lock) == 0;
    size_t count = recent.next < RECENT_COUNT ? recent.next : RECENT_COUNT;
    for (size_t i = recent.next - count; i < recent.next; i++)
        write_all(fd, recent.lines[i % RECENT_COUNT], recent.n[i % RECENT_COUNT]);
    if (locked)
        pthread_mutex_unlock(&recent.lock);
}
