/* SPDX-License-Identifier: Apache-2.0 */
/* See fault.h. */
#include "db/fault.h"
#include "base/json.h"
#include <stdio.h>

static const struct {
    const char *prefix;
    int status;
} statuses[] = {
    {"PGRST000", 503}, {"PGRST001", 503}, {"PGRST002", 503}, {"PGRST003", 504}, {"PGRST101", 405},
    {"PGRST103", 416}, {"PGRST105", 405}, {"PGRST106", 406}, {"PGRST107", 406}, {"PGRST116", 406},
    {"PGRST117", 405}, {"PGRST125", 404}, {"PGRST126", 404}, {"PGRST201", 300}, {"PGRST202", 404},
    {"PGRST203", 300}, {"PGRST205", 404}, {"PGRST300", 500}, {"PGRST301", 401}, {"PGRST302", 401},
    {"PGRST303", 401}, {"PGRST", 400},    {"23505", 409},    {"23503", 409},    {"42501", 403},
    {"42P01", 404},    {"42883", 404},    {"42P17", 500},    {"25006", 405},    {"53100", 507},
    {"08", 503},       {"53", 503},       {"55P03", 503},    {"28", 403},       {"0L", 403},
    {"0P", 403},       {"21000", 400},    {"P0001", 400},    {"P0", 500},       {"09", 500},
    {"25", 500},       {"2D", 500},       {"38", 500},       {"39", 500},       {"3B", 500},
    {"40", 500},       {"54", 500},       {"55", 500},       {"57", 500},       {"58", 500},
    {"F0", 500},       {"HV", 500},       {"XX", 500},
};

int fault_status(const char *code)
{
    if (code[0] == 'P' && code[1] == 'T' && strlen(code) == 5) /* PT409: that HTTP status */
        return (code[2] - '0') * 100 + (code[3] - '0') * 10 + code[4] - '0';
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (strncmp(code, statuses[i].prefix, strlen(statuses[i].prefix)) == 0)
            return statuses[i].status;
    return 400;
}

bool fault_set(struct fault *f, const char *code, const char *message, ...)
{
    va_list ap;
    *f = (struct fault){.status = fault_status(code)};
    snprintf(f->code, sizeof f->code, "%s", code);
    va_start(ap, message);
    vsnprintf(f->message, sizeof f->message, message, ap);
    va_end(ap);
    return false;
}

void fault_details(struct fault *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->details, sizeof f->details, format, ap);
    va_end(ap);
}

void fault_hint(struct fault *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->hint, sizeof f->hint, format, ap);
    va_end(ap);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
    if (text[0])
        json_add_field(out, name, str_from(text));
    else
        json_add_raw(out, name, STR("null"));
}

void fault_write(const struct fault *f, struct buf *out)
{
    buf_add_c(out, '{');
    json_add_field(out, "code", str_from(f->code));
    if (strcmp(f->code, "PGRST201") == 0 && f->details[0] == '[')
        json_add_raw(out, "details", str_from(f->details)); /* a list of candidates */
    else
        add_text(out, "details", f->details);
    add_text(out, "hint", f->hint);
    json_add_field(out, "message", str_from(f->message));
    buf_add_c(out, '}');
}
