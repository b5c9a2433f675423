/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads and the small writers for answers; chunked bodies are in http1_chunks.c.
 *
 * Two steps, so that each byte is looked at twice at most however the head arrives: `scan` goes
 * over new bytes once (no control characters, CR and LF only as a pair) and finds the next
 * complete line, which is parsed at once into views. What the headers mean together (framing,
 * host, connection) is decided when the empty line is there.
 *
 * Views are made against h->base; when the caller has moved the bytes, `rebase` moves them too. */
#include "wire/http1.h"
#include "base/err.h"
#include "base/num.h"

enum { METHOD_BYTES_MAX = 32, VERSION_BYTES = 8, HEADS_BYTES_CEILING = 1 << 30 };
/* Classes of bytes: of tokens, of request targets (RFC 3986 and what browsers send unescaped;
 * no fragment), of host names, of field values. */
enum { TOKEN = 1, TARGET = 2, HOST = 4, TEXT = 8, ANY = TOKEN | TARGET | TEXT, NAME = ANY | HOST };

static const uint8_t class_of[256] = {
    ['\t'] = TEXT,
    [' '] = TEXT,
    ['!'] = ANY,
    ['"'] = TARGET | TEXT,
    ['#'] = TOKEN | TEXT,
    ['$' ... '\''] = ANY,
    ['(' ... ')'] = TARGET | TEXT,
    ['*' ... '+'] = ANY,
    [','] = TARGET | TEXT,
    ['-' ... '.'] = NAME,
    ['/'] = TARGET | TEXT,
    ['0' ... '9'] = NAME,
    [':' ... '@'] = TARGET | TEXT,
    ['A' ... 'Z'] = NAME,
    ['[' ... ']'] = TARGET | TEXT,
    ['^'] = ANY,
    ['_'] = NAME,
    ['`'] = ANY,
    ['a' ... 'z'] = NAME,
    ['{'] = TARGET | TEXT,
    ['|'] = ANY,
    ['}'] = TARGET | TEXT,
    ['~'] = NAME,
    [0x80 ... 0xff] = TEXT,
};

static bool all_of(struct str s, uint8_t class)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!(class_of[(unsigned char)s.p[i]] & class))
            return false;
    }
    return true;
}

bool http1_token_valid(struct str s)
{
    return s.n > 0 && all_of(s, TOKEN);
}

static int refuse(struct http1_head *h, int err, const char *detail)
{
    h->detail = detail;
    return err;
}

static int bad(struct http1_head *h, const char *detail)
{
    return refuse(h, E_BAD_REQUEST, detail);
}

void http1_head_init(struct http1_head *h, struct http1_header *room, size_t count)
{
    *h = (struct http1_head){.headers = room, .headers_room = count, .content_length = -1};
}

/* ---- lines --------------------------------------------------------------------------- */

static int take_version(struct http1_head *h, struct str s)
{
    if (s.n != VERSION_BYTES || !str_starts(s, STR("HTTP/")) || s.p[6] != '.' || s.p[5] < '0' ||
        s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
        return bad(h, "malformed request line");
    if (s.p[5] != '1')
        return refuse(h, E_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    /* A higher minor version is answered as the highest we know (RFC 9110 section 2.5). */
    h->version_minor = s.p[7] != '0';
    return 0;
}

static int take_request_line(struct http1_head *h, const struct http1_limits *limits,
                             struct str line)
{
    h->method = str_cut(&line, ' ');
    if (h->method.n > METHOD_BYTES_MAX || !http1_token_valid(h->method))
        return bad(h, "malformed method");
    h->target = str_cut(&line, ' ');
    if (h->target.n > limits->target_bytes_max)
        return refuse(h, E_URI_TOO_LONG, "request target too long");
    if (h->target.n == 0 || !all_of(h->target, TARGET))
        return bad(h, "malformed request target");
    return take_version(h, line);
}

static int take_header(struct http1_head *h, const struct http1_limits *limits, struct str line)
{
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return bad(h, "a header line must not be folded");
    ptrdiff_t colon = str_find(line, ':');
    if (colon < 0)
        return bad(h, "header line without a colon");
    struct http1_header header = {str_head(line, (size_t)colon),
                                  str_trim(str_skip(line, (size_t)colon + 1))};
    if (!http1_token_valid(header.name))
        return bad(h, "malformed header name");
    if (h->headers_count >= limits->headers_max || h->headers_count >= h->headers_room)
        return refuse(h, E_HEADERS_TOO_LARGE, "too many header lines");
    h->headers[h->headers_count++] = header;
    return 0;
}

/* Moves the views after the bytes were moved. */
static void rebase(struct http1_head *h, const char *base)
{
    uintptr_t by = (uintptr_t)base - (uintptr_t)h->base;
    struct str *line[] = {&h->method, &h->target};
    for (size_t i = 0; i < 2 && h->base; i++)
        line[i]->p = (const char *)((uintptr_t)line[i]->p + by);
    for (size_t i = 0; i < h->headers_count; i++) {
        struct http1_header *header = &h->headers[i];
        header->name.p = (const char *)((uintptr_t)header->name.p + by);
        header->value.p = (const char *)((uintptr_t)header->value.p + by);
    }
    h->base = base;
}

/* Goes on from h->scanned to the end of the line. 1: there is a line, 0: not yet, < 0. */
static int scan(struct http1_head *h, struct str bytes, struct str *line)
{
    size_t i = h->scanned;
    while (i < bytes.n && class_of[(unsigned char)bytes.p[i]] & TEXT)
        i++;
    h->scanned = i;
    if (i == bytes.n || (bytes.p[i] == '\r' && i + 1 == bytes.n))
        return 0;
    if (bytes.p[i] == '\n')
        return bad(h, "line ends with a bare LF");
    if (bytes.p[i] != '\r')
        return bad(h, "control character in the head");
    if (bytes.p[i + 1] != '\n')
        return bad(h, "CR without LF");
    *line = str_of(bytes.p + h->line, i - h->line);
    h->line = h->scanned = i + 2;
    return 1;
}

/* What can be said about a line that has no end yet. */
static int check_unfinished(struct http1_head *h, const struct http1_limits *limits,
                            struct str bytes)
{
    struct str line = str_of(bytes.p + h->line, h->scanned - h->line);
    if (h->scanned - h->start >= limits->head_bytes_max)
        return h->method.n ? refuse(h, E_HEADERS_TOO_LARGE, "head too large")
                           : refuse(h, E_URI_TOO_LONG, "request line too long");
    if (h->method.n && line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
        return bad(h, "a header line must not be folded");
    if (h->method.n || line.n == 0)
        return 0;
    struct str method = str_head(line, METHOD_BYTES_MAX + 1);
    ptrdiff_t space = str_find(method, ' ');
    if (space < 0 ? line.n > METHOD_BYTES_MAX || !all_of(method, TOKEN)
                  : !http1_token_valid(str_head(method, (size_t)space)))
        return bad(h, "malformed method");
    if (line.n > limits->target_bytes_max + METHOD_BYTES_MAX + VERSION_BYTES + 2)
        return refuse(h, E_URI_TOO_LONG, "request target too long");
    return 0;
}

/* ---- what the headers say together ---------------------------------------------------- */

static bool digits(struct str s, size_t most)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.n <= most;
}

static bool ipv6_valid(struct str s)
{
    size_t colons = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        colons += c == ':';
        if (!(c == ':' || c == '.' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
              (c >= 'A' && c <= 'F')))
            return false;
    }
    return colons >= 2 && s.n <= 45;
}

/* uri-host [ ":" port ], without the escapes and signs that no real host has. */
static bool host_valid(struct str host)
{
    struct str rest = host;
    uint64_t port = 0;
    if (host.n && host.p[0] == '[') {
        ptrdiff_t close = str_find(host, ']');
        if (close < 0 || !ipv6_valid(str_of(host.p + 1, (size_t)close - 1)))
            return false;
        rest = str_skip(host, (size_t)close + 1);
        if (rest.n && rest.p[0] != ':')
            return false;
        rest = str_skip(rest, 1);
    } else {
        struct str name = str_cut(&rest, ':');
        if (name.n == 0 || name.n > 255 || !all_of(name, HOST))
            return false;
    }
    return digits(rest, 5) && (rest.n == 0 || (num_u64(rest, &port) && port <= 65535));
}

static int take_target(struct http1_head *h)
{
    struct str rest = h->target;
    if (str_is(h->method, "CONNECT"))
        return refuse(h, E_METHOD_NOT_ALLOWED, "CONNECT is not for this server");
    if (str_is(rest, "*")) {
        h->form = HTTP1_ASTERISK;
        h->path = rest;
        return str_is(h->method, "OPTIONS") ? 0 : bad(h, "target * is for OPTIONS only");
    }
    if (rest.p[0] != '/') {
        size_t scheme = 7;
        if (str_eq_nocase(str_head(rest, 8), STR("https://")))
            scheme = 8;
        else if (!str_eq_nocase(str_head(rest, 7), STR("http://")))
            return bad(h, "malformed request target");
        rest = str_skip(rest, scheme);
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
            n++;
        struct str authority = str_head(rest, n);
        if (!host_valid(authority) || (h->host.n && !str_eq_nocase(authority, h->host)))
            return bad(h, "target and Host do not agree");
        h->form = HTTP1_ABSOLUTE;
        h->host = authority;
        rest = str_skip(rest, n);
    }
    h->path = str_cut(&rest, '?');
    h->query = rest;
    if (h->path.n == 0)
        h->path = STR("/");
    return 0;
}

static int take_length(struct http1_head *h, struct str value)
{
    uint64_t n = 0;
    if (h->content_length >= 0)
        return bad(h, "more than one Content-Length");
    if (!digits(value, 19) || !num_u64(value, &n) || n > INT64_MAX)
        return bad(h, "malformed Content-Length");
    h->content_length = (int64_t)n;
    return 0;
}

static int take_coding(struct http1_head *h, struct str value)
{
    if (h->version_minor == 0)
        return bad(h, "Transfer-Encoding with HTTP/1.0");
    if (h->chunked)
        return bad(h, "more than one Transfer-Encoding");
    if (!str_eq_nocase(value, STR("chunked")))
        return bad(h, "the only transfer coding taken is chunked");
    h->chunked = true;
    return 0;
}

static int take_host(struct http1_head *h, struct str value)
{
    if (h->host.p)
        return bad(h, "more than one Host");
    if (!host_valid(value) && !(value.n == 0 && h->version_minor == 0))
        return bad(h, "malformed Host");
    h->host = value;
    return 0;
}

static int take_expect(struct http1_head *h, struct str value)
{
    if (h->version_minor == 0)
        return 0;
    if (!str_eq_nocase(value, STR("100-continue")))
        return refuse(h, E_EXPECTATION, "unknown expectation");
    h->expect_continue = true;
    return 0;
}

static int finish(struct http1_head *h)
{
    bool upgrade = false, close = false, keep = false, wants_upgrade = false;
    for (size_t i = 0; i < h->headers_count; i++) {
        struct str name = h->headers[i].name, value = h->headers[i].value;
        int r = 0;
        if (name.n == 4 && str_eq_nocase(name, STR("Host")))
            r = take_host(h, value);
        else if (name.n == 6 && str_eq_nocase(name, STR("Expect")))
            r = take_expect(h, value);
        else if (name.n == 14 && str_eq_nocase(name, STR("Content-Length")))
            r = take_length(h, value);
        else if (name.n == 17 && str_eq_nocase(name, STR("Transfer-Encoding")))
            r = take_coding(h, value);
        else if (name.n == 7 && str_eq_nocase(name, STR("Upgrade")))
            upgrade = true;
        else if (name.n == 10 && str_eq_nocase(name, STR("Connection"))) {
            close = close || http1_list_has(value, "close");
            keep = keep || http1_list_has(value, "keep-alive");
            wants_upgrade = wants_upgrade || http1_list_has(value, "upgrade");
        }
        if (r < 0)
            return r;
    }
    if (h->chunked && h->content_length >= 0)
        return bad(h, "both Transfer-Encoding and Content-Length");
    if (h->version_minor == 1 && !h->host.p)
        return bad(h, "Host is missing");
    h->keep_alive = !close && (h->version_minor == 1 || keep);
    h->upgrade = upgrade && wants_upgrade && h->version_minor == 1;
    return take_target(h);
}

int http1_parse_head(struct str bytes, const struct http1_limits *limits, struct http1_head *h)
{
    struct str line;
    int r;
    if (bytes.n > HEADS_BYTES_CEILING)
        bytes.n = HEADS_BYTES_CEILING; /* the answer is an int; the limits are far below */
    if (h->base != bytes.p)
        rebase(h, bytes.p);
    while ((r = scan(h, bytes, &line)) > 0) {
        if (h->line - h->start > limits->head_bytes_max)
            return h->method.n ? refuse(h, E_HEADERS_TOO_LARGE, "head too large")
                               : refuse(h, E_URI_TOO_LONG, "request line too long");
        if (line.n == 0 && h->method.n) {
            r = finish(h);
            return r < 0 ? r : (int)h->line;
        }
        if (line.n == 0 && h->start == 0)
            h->start = h->line; /* one stray CRLF before a request (RFC 9112 section 2.2) */
        else if (h->method.n == 0)
            r = take_request_line(h, limits, line);
        else
            r = take_header(h, limits, line);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : check_unfinished(h, limits, bytes);
}

/* ---- headers and lists ------------------------------------------------------------------ */

struct str http1_header_get(const struct http1_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(headers[i].name, str_from(name)))
            return headers[i].value;
    }
    return STR_NONE;
}

bool http1_list_has(struct str list, const char *token)
{
    while (list.p) {
        if (str_eq_nocase(str_trim(str_cut(&list, ',')), str_from(token)))
            return true;
    }
    return false;
}

/* "0", "1", "0.5", "0.123" in thousandths; 0 when malformed. */
static int quality(struct str s)
{
    int q = 0, unit = 1000;
    for (size_t i = 0; i < s.n; i++) {
        if (i == 1 && s.p[i] == '.')
            continue;
        if (s.p[i] < '0' || s.p[i] > '9' || i > 4 || i == 1)
            return 0;
        q += (s.p[i] - '0') * unit;
        unit /= 10;
    }
    return q > 1000 ? 0 : q;
}

int http1_accept_q(struct str accept, const char *coding)
{
    int any = 0;
    while (accept.p) {
        struct str params = str_cut(&accept, ',');
        struct str name = str_trim(str_cut(&params, ';'));
        int q = 1000;
        while (params.p) {
            struct str value = str_cut(&params, ';');
            struct str key = str_trim(str_cut(&value, '='));
            if (str_eq_nocase(key, STR("q")))
                q = quality(str_trim(value));
        }
        if (str_eq_nocase(name, str_from(coding)))
            return q;
        if (str_is(name, "*"))
            any = q;
    }
    return any;
}

/* ---- answers ----------------------------------------------------------------------------- */

const char *http1_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status)
            return rows[i].text;
    }
    return "Unknown";
}

void http1_add_status(struct buf *out, int status)
{
    buf_add_str(out, STR("HTTP/1.1 "));
    buf_add_u64(out, (uint64_t)status);
    buf_add_c(out, ' ');
    buf_add_z(out, http1_status_text(status));
    buf_add_str(out, STR("\r\n"));
}

void http1_add_header(struct buf *out, const char *name, struct str value)
{
    buf_add_z(out, name);
    buf_add_str(out, STR(": "));
    if (buf_reserve(out, value.n)) {
        for (size_t i = 0; i < value.n; i++) {
            char c = value.p[i];
            out->p[out->n++] = class_of[(unsigned char)c] & TEXT ? c : ' ';
        }
    }
    buf_add_str(out, STR("\r\n"));
}

void http1_add_date(struct buf *out, int64_t unix_s)
{
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    const int64_t year_10000 = 253402300800;
    int64_t s = unix_s < 0 ? 0 : unix_s >= year_10000 ? year_10000 - 1 : unix_s;
    /* Years that begin in March, in eras of 400: the leap day comes last. */
    int64_t day = s / 86400, z = day + 719468, era = z / 146097;
    int64_t of_era = z % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    int64_t of_month = of_year - (153 * month + 2) / 5 + 1;
    year += era * 400 + (month >= 10);
    buf_printf(out, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + day % 7 * 3, (int)of_month,
               months + month * 3, (int)year, (int)(s / 3600 % 24), (int)(s / 60 % 60),
               (int)(s % 60));
}

void http1_add_chunk_head(struct buf *out, size_t data_bytes)
{
    char text[18];
    size_t at = sizeof(text);
    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = "0123456789abcdef"[data_bytes & 15];
        data_bytes >>= 4;
    } while (data_bytes);
    buf_add(out, text + at, sizeof(text) - at);
}
