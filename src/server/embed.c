/* SPDX-License-Identifier: Apache-2.0 */
/* What the library says about itself: version, build, the catalogue of errors. */
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "loop/clock.h"
#include "server/embed_priv.h"
#include "tidewire.h"
#include <jansson.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <zlib.h>

#ifndef TIDEWIRE_VERSION
#define TIDEWIRE_VERSION "0.0.0"
#endif

const char *tw_version(void)
{
    return TIDEWIRE_VERSION;
}

const char *tw_build(void)
{
    static char text[512];
    snprintf(text, sizeof(text),
             "tidewire %s\ncompiler %s\nopenssl %s\nzlib %s\njansson %s\nsqlite %s\n",
             TIDEWIRE_VERSION, __VERSION__, OpenSSL_version(OPENSSL_VERSION_STRING), zlibVersion(),
             jansson_version_str(), sqlite3_libversion());
    return text;
}

uint64_t tw_now_ms(void)
{
    return clock_wall_ms();
}

const char *tw_error_text(int error)
{
    return error == 0 ? "all is well" : err_info(error)->text;
}

bool tw_error_is_unreachable(int error)
{
    return error == E_UNAVAILABLE || error == E_TIMEOUT || error == E_CLOSED || error == E_DRAINING;
}

/* ---- the catalogue ----------------------------------------------------------------------- */

static const struct err_info *find(const char *code)
{
    int count = 0;
    const struct err_info *all = err_all(&count);
    struct str wanted = str_from(code);
    uint64_t number;
    if (num_u64(wanted, &number) && number < 10000)
        return err_by_number((int)number);
    for (int i = 0; i < count; i++) {
        if (str_eq_nocase(wanted, str_from(all[i].name)))
            return &all[i];
    }
    return NULL;
}

static void add_json(struct buf *out, const struct err_info *e)
{
    buf_add_c(out, '{');
    json_add_u64(out, "code", (uint64_t)e->number);
    json_add_field(out, "name", str_from(e->name));
    json_add_u64(out, "status", (uint64_t)e->status);
    json_add_bool(out, "retryable", e->retryable);
    json_add_field(out, "message", str_from(e->text));
    json_add_field(out, "hint", str_from(e->hint));
    buf_add_c(out, '}');
}

static void add_text(struct buf *out, const struct err_info *e)
{
    buf_printf(out, "%d %s: %s\n", e->number, e->name, e->text);
    buf_printf(out, "  Fix: %s\n", e->hint);
    buf_printf(out, "  HTTP status %d, WebSocket close code %d; %s.\n", e->status, e->number,
               e->retryable ? "the same request may succeed later"
                            : "the same request will not succeed");
}

char *tw_explain(const char *code, bool json)
{
    const struct err_info *e = find(code);
    struct buf out = {0};
    if (!e)
        return NULL;
    if (json) {
        add_json(&out, e);
        buf_add_c(&out, '\n');
    } else {
        add_text(&out, e);
    }
    return embed_give(&out);
}

char *tw_explain_all(bool json)
{
    int count = 0;
    const struct err_info *all = err_all(&count);
    struct buf out = {0};
    for (int i = 0; i < count; i++) {
        if (json)
            add_json(&out, &all[i]);
        else
            buf_printf(&out, "%d  %-20s %s", all[i].number, all[i].name, all[i].text);
        buf_add_c(&out, '\n');
    }
    return embed_give(&out);
}
