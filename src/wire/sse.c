/* SPDX-License-Identifier: Apache-2.0 */
/* text/event-stream. A line ends at LF, CR or CRLF, so data is split at each of them: what was
 * one CR or CRLF arrives as LF (the format cannot say more). */
#include "wire/sse.h"
#include "base/err.h"

/* Cuts the first line off *rest; false when there is none left. */
static bool next_line(struct str *rest, struct str *line)
{
    size_t n = 0;
    if (!rest->p)
        return false;
    while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r')
        n++;
    *line = str_head(*rest, n);
    if (n == rest->n)
        *rest = STR_NONE;
    else
        *rest = str_skip(
            *rest, rest->p[n] == '\r' && n + 1 < rest->n && rest->p[n + 1] == '\n' ? n + 2 : n + 1);
    return true;
}

static void add_lines(struct buf *out, struct str name, struct str text)
{
    struct str line;
    if (!text.p)
        text = STR("");
    while (next_line(&text, &line)) {
        buf_add_str(out, name);
        buf_add_str(out, line);
        buf_add_c(out, '\n');
    }
}

static bool one_line(struct str s)
{
    return str_find(s, '\n') < 0 && str_find(s, '\r') < 0 && str_find(s, '\0') < 0;
}

int sse_add_event(struct buf *out, struct str event, struct str id, struct str data)
{
    if (!one_line(event) || !one_line(id))
        return E_BAD_REQUEST;
    if (event.n)
        add_lines(out, STR("event: "), event);
    if (id.n)
        add_lines(out, STR("id: "), id);
    add_lines(out, STR("data: "), data);
    buf_add_c(out, '\n');
    return 0;
}

int sse_add_id(struct buf *out, struct str id)
{
    if (id.n == 0 || !one_line(id))
        return E_BAD_REQUEST;
    add_lines(out, STR("id: "), id);
    buf_add_c(out, '\n');
    return 0;
}

void sse_add_comment(struct buf *out, struct str text)
{
    add_lines(out, STR(": "), text);
    buf_add_c(out, '\n');
}

void sse_add_retry(struct buf *out, uint64_t ms)
{
    buf_add_z(out, "retry: ");
    buf_add_u64(out, ms);
    buf_add_z(out, "\n\n");
}
