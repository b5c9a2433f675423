/* SPDX-License-Identifier: Apache-2.0 */
/* Positions as text. The packed list is a version byte, then for each place: length and bytes of
 * the channel, length and bytes of the epoch, the offset as a varint (low 7 bits first). */
#include "wire/cursor.h"
#include "base/base64.h"
#include "base/err.h"
#include "base/num.h"
#include "base/utf8.h"

enum { PACKED_VERSION = 1, CHANNEL_BYTES_MAX = 255 };

bool cursor_epoch_valid(struct str epoch)
{
    for (size_t i = 0; i < epoch.n; i++) {
        char c = epoch.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return epoch.n >= 1 && epoch.n <= CURSOR_EPOCH_MAX;
}

void cursor_add_id(struct buf *out, struct str epoch, uint64_t offset)
{
    buf_add_str(out, epoch);
    buf_add_c(out, '-');
    buf_add_u64(out, offset);
}

bool cursor_parse_id(struct str text, struct str *epoch, uint64_t *offset)
{
    struct str head = str_cut(&text, '-');
    if (!cursor_epoch_valid(head) || !num_u64(text, offset) || (text.n > 1 && text.p[0] == '0'))
        return false;
    *epoch = head;
    return true;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* Takes back what was written since `before` when it broke a limit. */
static int finish(struct buf *out, size_t before)
{
    if (out->failed)
        return E_NO_MEMORY;
    if (out->n - before <= CURSOR_BYTES_MAX)
        return 0;
    out->n = before;
    return E_TOO_LARGE;
}

int cursor_add_list(struct buf *out, const struct cursor_place *places, size_t count)
{
    size_t before = out->n;
    if (count > CURSOR_PLACES_MAX)
        return E_TOO_LARGE;
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_c(out, '~');
        if (places[i].epoch.n)
            cursor_add_id(out, places[i].epoch, places[i].offset);
    }
    return finish(out, before);
}

static void pack_text(struct buf *b, struct str s)
{
    buf_add_c(b, (char)s.n);
    buf_add_str(b, s);
}

static void pack_number(struct buf *b, uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        buf_add_c(b, (char)(0x80 | (v & 0x7f)));
    buf_add_c(b, (char)v);
}

int cursor_add_named(struct buf *out, const struct cursor_place *places, size_t count)
{
    struct buf packed = {0};
    size_t before = out->n;
    for (size_t i = 0; i < count; i++) {
        if (i == CURSOR_PLACES_MAX || places[i].channel.n > CHANNEL_BYTES_MAX ||
            places[i].epoch.n > CURSOR_EPOCH_MAX)
            return E_TOO_LARGE;
    }
    buf_add_c(&packed, PACKED_VERSION);
    for (size_t i = 0; i < count; i++) {
        pack_text(&packed, places[i].channel);
        pack_text(&packed, places[i].epoch);
        pack_number(&packed, places[i].offset);
    }
    buf_add_c(out, '.');
    base64url_encode(out, buf_str(&packed));
    out->failed = out->failed || packed.failed;
    buf_free(&packed);
    return finish(out, before);
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool take_text(struct str *s, struct str *out)
{
    size_t n = s->n ? (unsigned char)s->p[0] : 0;
    if (s->n < 1 + n)
        return false;
    *out = str_of(s->p + 1, n);
    *s = str_skip(*s, 1 + n);
    return true;
}

static bool take_number(struct str *s, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; s->n && shift < 64; shift += 7) {
        uint64_t byte = (unsigned char)s->p[0];
        *s = str_skip(*s, 1);
        if (shift == 63 && byte > 1)
            return false; /* past 64 bits */
        *out |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return byte || shift == 0; /* no other form of the same number */
    }
    return false;
}

static bool take_place(struct str *s, struct cursor_place *p)
{
    return take_text(s, &p->channel) && take_text(s, &p->epoch) && take_number(s, &p->offset) &&
           p->channel.n > 0 && utf8_valid(p->channel) &&
           (p->epoch.n == 0 ? p->offset == 0 : cursor_epoch_valid(p->epoch));
}

static int decode_named(struct str text, struct arena *a, struct cursor_place *room,
                        size_t room_count, size_t *count)
{
    struct buf packed = {0};
    if (!base64url_decode(&packed, text)) {
        int r = packed.failed ? E_NO_MEMORY : E_BAD_REQUEST;
        buf_free(&packed);
        return r;
    }
    struct str bytes = arena_dup(a, buf_str(&packed));
    buf_free(&packed);
    if (!bytes.p)
        return E_NO_MEMORY;
    if (bytes.n < 2 || bytes.p[0] != PACKED_VERSION)
        return E_BAD_REQUEST;
    for (bytes = str_skip(bytes, 1); bytes.n; (*count)++) {
        if (*count == room_count || *count == CURSOR_PLACES_MAX)
            return E_TOO_LARGE;
        if (!take_place(&bytes, &room[*count]))
            return E_BAD_REQUEST;
    }
    return 0;
}

int cursor_decode(struct str text, struct arena *a, struct cursor_place *room, size_t room_count,
                  size_t *count)
{
    *count = 0;
    if (text.n > CURSOR_BYTES_MAX)
        return E_TOO_LARGE;
    if (text.n && text.p[0] == '.')
        return decode_named(str_skip(text, 1), a, room, room_count, count);
    if (!text.p)
        text = STR("");
    for (; text.p; (*count)++) {
        struct str id = str_cut(&text, '~');
        if (*count == room_count || *count == CURSOR_PLACES_MAX)
            return E_TOO_LARGE;
        room[*count] = (struct cursor_place){.channel = STR_NONE};
        if (id.n && !cursor_parse_id(id, &room[*count].epoch, &room[*count].offset))
            return E_BAD_REQUEST;
    }
    return 0;
}
