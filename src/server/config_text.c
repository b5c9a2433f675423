/* SPDX-License-Identifier: Apache-2.0 */
/* What the table can tell about itself: a commented file with all defaults, the environment
 * names, a JSON Schema for editors, and one setting explained. */
#include "server/config_priv.h"
#include "base/json.h"
#include <inttypes.h>
#include <stdio.h>

#define WIDTH 96

/* Words of text in lines of at most WIDTH, each after `lead`. */
static void write_wrapped(struct buf *out, const char *lead, const char *text)
{
    struct str rest = str_from(text), start = str_from(lead);
    size_t column = 0;
    while (rest.p) {
        struct str word = str_cut(&rest, ' ');
        if (column > start.n && column + 1 + word.n > WIDTH) {
            buf_add_c(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buf_add_str(out, start);
            column = start.n;
        } else {
            buf_add_c(out, ' ');
            column++;
        }
        buf_add_str(out, word);
        column += word.n;
    }
    buf_add_c(out, '\n');
}

static struct str section_of(const char *name)
{
    struct str rest = str_from(name), first = str_cut(&rest, '.');
    return rest.p ? first : STR("");
}

static struct str last_of(const char *name)
{
    struct str rest = str_from(name), first = str_cut(&rest, '.');
    return rest.p ? rest : first;
}

static bool is_number(enum config_type t)
{
    return t == CONFIG_INT || t == CONFIG_DURATION || t == CONFIG_SIZE;
}

static bool is_list(enum config_type t)
{
    return t == CONFIG_LIST || t == CONFIG_ADDRESSES;
}

/* "addresses, 1 to 16, needs a restart" */
static void write_kind(struct buf *out, const struct config_row *row)
{
    if (row->type == CONFIG_ENUM) {
        buf_add_z(out, row->unit);
    } else {
        buf_add_z(out, config_type_name(row->type));
        if (row->type == CONFIG_INT && row->unit[0])
            buf_printf(out, " of %s", row->unit);
    }
    if (is_number(row->type)) {
        struct config_row plain = *row;
        buf_add_z(out, ", ");
        config_value_write(out, &plain, &row->min);
        buf_add_z(out, " to ");
        config_value_write(out, &plain, &row->max);
    }
    if (!row->reload)
        buf_add_z(out, ", needs a restart");
}

/* ---- defaults --------------------------------------------------------------------------- */

static void write_yaml_value(struct buf *out, const struct config_row *row)
{
    struct str def = str_from(row->def);
    if (is_list(row->type)) {
        buf_add_c(out, '[');
        for (bool first = true; def.n > 0 || !first; first = false) {
            struct str item = str_cut(&def, ',');
            if (item.n == 0)
                break;
            buf_add_z(out, first ? "" : ", ");
            json_add_string(out, item);
        }
        buf_add_c(out, ']');
    } else if (is_number(row->type) || row->type == CONFIG_BOOL || row->type == CONFIG_ENUM) {
        buf_add_str(out, def);
    } else {
        json_add_string(out, def);
    }
}

static void write_yaml_row(struct buf *out, const struct config_row *row, const char *indent)
{
    char lead[16];
    snprintf(lead, sizeof(lead), "%s# ", indent);
    write_wrapped(out, lead, row->text);
    buf_printf(out, "%s(", lead);
    write_kind(out, row);
    buf_printf(out, ")\n%s", row->def[0] == '@' ? lead : indent);
    buf_add_str(out, last_of(row->name));
    buf_add_z(out, ": ");
    if (row->def[0] == '@')
        buf_printf(out, "# as %s", row->def + 1);
    else
        write_yaml_value(out, row);
    buf_add_c(out, '\n');
}

static void write_yaml_table(struct buf *out, const struct config_table *table)
{
    write_wrapped(out, "  # ", table->text);
    write_wrapped(out, "  # ", "Members of an entry:");
    for (size_t i = 0; i < table->record->count; i++) {
        const struct config_row *row = &table->record->rows[i];
        buf_printf(out, "  #   %s: (", row->name);
        write_kind(out, row);
        buf_printf(out, "; default %s%s)\n", row->def[0] == '@' ? "as " : "",
                   row->def[0] == '@' ? row->def + 1
                   : row->def[0]      ? row->def
                                      : "none");
        write_wrapped(out, "  #     ", row->text);
    }
    buf_add_z(out, "  ");
    buf_add_str(out, last_of(table->name));
    buf_add_z(out, ": []\n");
}

static void write_yaml_tables_of(struct buf *out, struct str section)
{
    for (size_t i = 0; section.n && i < config_tables_count; i++) {
        if (str_eq(section_of(config_tables[i].name), section))
            write_yaml_table(out, &config_tables[i]);
    }
}

void config_write_defaults(struct buf *out)
{
    buf_add_z(out, "# Tidewire settings with their defaults. A flag (--http.listen=…) is stronger "
                   "than the\n# environment (TIDEWIRE_HTTP_LISTEN), that than this file, and that "
                   "than a default. Durations:\n# 250ms 5s 2m 1h 7d; sizes: 64KiB 1MiB 10MB. "
                   "${NAME} and ${NAME:-instead} are filled in from the\n# environment. Secrets "
                   "may stand in a file of their own: <name>_file: /path.\n");
    struct str section = STR("");
    for (size_t i = 0; i < config_root.count; i++) {
        const struct config_row *row = &config_root.rows[i];
        struct str mine = section_of(row->name);
        if (!str_eq(mine, section)) {
            write_yaml_tables_of(out, section);
            section = mine;
            buf_printf(out, "\n%.*s:\n", STR_ARG(section));
        }
        write_yaml_row(out, row, section.n ? "  " : "");
    }
    write_yaml_tables_of(out, section);
}

/* ---- environment -------------------------------------------------------------------------- */

void config_write_env(struct buf *out)
{
    char name[CONFIG_NAME_MAX];
    for (size_t i = 0; i < config_root.count; i++) {
        const struct config_row *row = &config_root.rows[i];
        config_env_name(row->name, name);
        write_wrapped(out, "# ", row->text);
        buf_printf(out, "#%s=%s\n", name, row->def[0] == '@' ? "" : row->def);
        if (row->type == CONFIG_SECRET)
            buf_printf(out, "#%s_FILE=\n", name);
    }
    for (size_t i = 0; i < config_tables_count; i++) {
        config_env_name(config_tables[i].name, name);
        write_wrapped(out, "# ", config_tables[i].text);
        buf_printf(out, "#%s='[{%s: …}]'\n", name, config_tables[i].record->rows[0].name);
    }
}

/* ---- schema ------------------------------------------------------------------------------- */

static void write_schema_words(struct buf *out, const char *unit)
{
    struct str words = str_from(unit);
    buf_add_z(out, ",\"enum\":[");
    for (bool first = true; words.p; first = false) {
        if (!first)
            buf_add_c(out, ',');
        json_add_string(out, str_cut(&words, '|'));
    }
    buf_add_c(out, ']');
}

static void write_schema_row(struct buf *out, const struct config_row *row)
{
    buf_add_c(out, '{');
    json_add_field(out, "description", str_from(row->text));
    switch (row->type) {
    case CONFIG_BOOL:
        buf_add_z(out, ",\"type\":\"boolean\"");
        break;
    case CONFIG_INT:
        buf_printf(out, ",\"type\":\"integer\",\"minimum\":%" PRId64 ",\"maximum\":%" PRId64,
                   row->min, row->max);
        break;
    case CONFIG_DURATION:
        buf_add_z(out, ",\"type\":[\"integer\",\"string\"],\"pattern\":\"^[0-9]+(ms|s|m|h|d)?$\"");
        break;
    case CONFIG_SIZE:
        buf_add_z(out, ",\"type\":[\"integer\",\"string\"],\"pattern\":\"^[0-9]+([kKMG]i?B|B)?$\"");
        break;
    case CONFIG_STRING:
    case CONFIG_SECRET:
    case CONFIG_ADDRESS:
        buf_add_z(out, ",\"type\":\"string\"");
        break;
    case CONFIG_ADDRESSES:
    case CONFIG_LIST:
        buf_add_z(out, ",\"type\":[\"string\",\"array\"],\"items\":{\"type\":\"string\"}");
        break;
    case CONFIG_ENUM:
        write_schema_words(out, row->unit);
        break;
    }
    if (row->def[0] && row->def[0] != '@' && !is_list(row->type)) {
        buf_add_z(out, ",\"default\":");
        if (row->type == CONFIG_BOOL || row->type == CONFIG_INT)
            buf_add_z(out, row->def);
        else
            json_add_string(out, str_from(row->def));
    }
    buf_add_c(out, '}');
}

static void write_property(struct buf *out, struct str name, const struct config_row *row)
{
    if (out->n && out->p[out->n - 1] != '{')
        buf_add_c(out, ',');
    json_add_string(out, name);
    buf_add_c(out, ':');
    write_schema_row(out, row);
    if (row->type == CONFIG_SECRET) {
        buf_printf(out, ",\"%.*s_file\":{\"type\":\"string\",\"description\":\"A file with it.\"}",
                   STR_ARG(name));
    }
}

/* The members of `section` ("" = those without one) as properties. */
static void write_properties(struct buf *out, const struct config_rows *rows, struct str section);

static void write_object(struct buf *out, const struct config_rows *rows, struct str section)
{
    buf_add_z(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    write_properties(out, rows, section);
    buf_add_z(out, "}}");
}

static void write_schema_table(struct buf *out, const struct config_table *table)
{
    if (out->n && out->p[out->n - 1] != '{')
        buf_add_c(out, ',');
    json_add_string(out, last_of(table->name));
    buf_add_z(out, ":{");
    json_add_field(out, "description", str_from(table->text));
    buf_add_z(out, ",\"anyOf\":[{\"type\":\"object\"},{\"type\":\"array\",\"items\":");
    write_object(out, table->record, STR(""));
    buf_add_z(out, "}]}");
}

static void write_properties(struct buf *out, const struct config_rows *rows, struct str section)
{
    struct str last = STR("");
    for (size_t i = 0; i < rows->count; i++) {
        const struct config_row *row = &rows->rows[i];
        struct str mine = section_of(row->name);
        if (str_eq(mine, section)) {
            write_property(out, last_of(row->name), row);
        } else if (section.n == 0 && !str_eq(mine, last)) {
            buf_add_c(out, ',');
            json_add_string(out, mine);
            buf_add_c(out, ':');
            write_object(out, rows, mine);
        }
        last = mine;
    }
    for (size_t i = 0; rows == &config_root && section.n && i < config_tables_count; i++) {
        if (str_eq(section_of(config_tables[i].name), section))
            write_schema_table(out, &config_tables[i]);
    }
}

void config_write_schema(struct buf *out)
{
    buf_add_z(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                   "\"title\":\"Tidewire settings\",\"type\":\"object\","
                   "\"additionalProperties\":false,\"properties\":{");
    write_properties(out, &config_root, STR(""));
    buf_add_z(out, "}}\n");
}

/* ---- one setting -------------------------------------------------------------------------- */

static const char *origin_name(enum config_origin origin)
{
    switch (origin) {
    case CONFIG_FROM_DEFAULT:
        return "default";
    case CONFIG_FROM_DEV:
        return "dev";
    case CONFIG_FROM_FILE:
        return "file";
    case CONFIG_FROM_ENV:
        return "environment";
    case CONFIG_FROM_FLAG:
        return "flag";
    }
    return "";
}

static void write_source(struct buf *out, const struct config_slot *slot)
{
    if (!slot->node) {
        buf_add_z(out, "default");
        return;
    }
    buf_add_z(out, origin_name(slot->origin));
    if (slot->origin != CONFIG_FROM_DEV && slot->place.label)
        buf_printf(out, " %s", slot->place.label);
    if (slot->place.line)
        buf_printf(out, ":%d:%d", slot->place.line, slot->place.col);
}

static void write_row_explained(struct buf *out, size_t i, struct config_draft *d,
                                const struct config *c)
{
    const struct config_row *row = &config_root.rows[i];
    char env_name[CONFIG_NAME_MAX];
    config_env_name(row->name, env_name);
    buf_printf(out, "%s (", row->name);
    write_kind(out, row);
    buf_add_z(out, ")\n");
    write_wrapped(out, "  ", row->text);
    buf_printf(out, "  default  %s%s\n", row->def[0] == '@' ? "as " : "",
               row->def[0] == '@' ? row->def + 1 : row->def);
    buf_printf(out, "  write    --%s=…  or  %s=…\n", row->name, env_name);
    if (c) {
        buf_add_z(out, "  now      ");
        config_value_write(out, row, (const char *)c + row->offset);
        buf_add_z(out, "  (");
        write_source(out, &d->slots[i]);
        buf_add_z(out, ")\n");
    }
}

static void write_table_explained(struct buf *out, const struct config_table *table)
{
    buf_printf(out, "%s (a list of records, at most %zu)\n", table->name, table->max);
    write_wrapped(out, "  ", table->text);
    for (size_t i = 0; i < table->record->count; i++) {
        const struct config_row *row = &table->record->rows[i];
        buf_printf(out, "  %s (", row->name);
        write_kind(out, row);
        buf_add_z(out, ")\n");
        write_wrapped(out, "    ", row->text);
    }
}

/* The name itself or below it. */
static bool is_meant(const char *row, struct str name)
{
    struct str s = str_from(row);
    return str_starts(s, name) && (s.n == name.n || row[name.n] == '.');
}

bool config_write_explain(struct buf *out, const char *name, struct config_draft *d)
{
    struct str wanted = str_from(name);
    struct config *c = d ? config_draft_finish(d) : NULL;
    bool found = false;
    for (size_t i = 0; i < config_root.count; i++) {
        if (is_meant(config_root.rows[i].name, wanted)) {
            buf_add_z(out, found ? "\n" : "");
            write_row_explained(out, i, d, c);
            found = true;
        }
    }
    for (size_t i = 0; i < config_tables_count; i++) {
        if (is_meant(config_tables[i].name, wanted)) {
            buf_add_z(out, found ? "\n" : "");
            write_table_explained(out, &config_tables[i]);
            found = true;
        }
    }
    const char *near = found ? NULL : config_suggest(&config_root, wanted);
    if (!found)
        buf_printf(out, "no setting is called \"%.*s\"%s%s%s\n", STR_ARG(str_head(wanted, 128)),
                   near ? " — did you mean \"" : "; `tidewire config defaults` lists all",
                   near ? near : "", near ? "\"?" : "");
    config_unref(&c);
    return found;
}

bool config_write_value(struct buf *out, const struct config *c, const char *name)
{
    ptrdiff_t at = config_row_find(&config_root, str_from(name));
    if (at < 0)
        return false;
    config_value_write(out, &config_root.rows[at], (const char *)c + config_root.rows[at].offset);
    return true;
}
