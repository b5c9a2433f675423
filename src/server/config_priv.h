/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the config_*.c files: the rows as data, the tree that a file becomes, the draft. */
#ifndef SERVER_CONFIG_PRIV_H
#define SERVER_CONFIG_PRIV_H

#include "server/config.h"

struct config_row {
    const char *name;
    enum config_type type;
    int64_t min, max;
    const char *def;
    const char *unit;
    bool reload;
    const char *text;
    size_t offset; /* in its struct */
};
/* Rows that make one struct: the root, or the record of a table. */
struct config_rows {
    const struct config_row *rows;
    size_t count;
    size_t size; /* of the struct */
};
struct config_table {
    const char *name;
    size_t max;
    bool reload;
    const char *text;
    const struct config_rows *record;
    size_t offset; /* of the pointer in struct config */
    size_t count_offset;
};

/* config_schema.c */
extern const struct config_rows config_root;
extern const struct config_table config_tables[];
extern const size_t config_tables_count;
/* Index or -1. */
ptrdiff_t config_row_find(const struct config_rows *rows, struct str name);
ptrdiff_t config_table_find(struct str name);
/* True when some row (for the root also: table) is named `name.…`. */
bool config_is_section(const struct config_rows *rows, struct str name);
/* The nearest name, or NULL when none is near. */
const char *config_suggest(const struct config_rows *rows, struct str name);
/* "http.listen" -> "TIDEWIRE_HTTP_LISTEN"; out must have room for CONFIG_NAME_MAX. */
#define CONFIG_NAME_MAX 96
/* The nearest variable name into out; false when none is near. */
bool config_suggest_env(struct str variable, char out[CONFIG_NAME_MAX]);
void config_env_name(const char *name, char out[CONFIG_NAME_MAX]);
const char *config_type_name(enum config_type type);

/* config_yaml.c: a file as a tree, in an arena. */
enum config_node_kind { CONFIG_NODE_SCALAR, CONFIG_NODE_LIST, CONFIG_NODE_MAP };
struct config_node {
    enum config_node_kind kind;
    bool is_null;  /* an empty, ~ or null scalar without quotes */
    int line, col; /* from 1; 0 = not from a file */
    struct str text;
    struct str key; /* in a map */
    int key_line, key_col;
    struct config_node *first, *last, *next;
    size_t count;
};

/* Where something was said. */
struct config_place {
    const char *label; /* file, variable or flag */
    int line, col;
};

struct config_slot {
    struct config_node *node; /* NULL = not said */
    enum config_origin origin;
    struct config_place place;
};
struct config_problem {
    struct str text;
    int line, col;
};
#define CONFIG_PROBLEMS_MAX 50
struct config_draft {
    struct arena arena;
    struct config_slot *slots;       /* one per root row */
    struct config_slot *table_slots; /* one per table */
    char *file;
    struct config_problem problems[CONFIG_PROBLEMS_MAX];
    size_t problems_count;
    size_t reading_problems; /* those before the last finish, whose own go with the next one */
    bool finished;
    bool develop;
    struct buf text, warnings;
};

/* Writes a problem; place.line 0 leaves line and column away. */
void config_problem(struct config_draft *d, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Parses; problems go to d. NULL when the text is not usable. expand: ${NAME} from env. */
struct config_node *config_yaml_parse(struct config_draft *d, const char *label, struct str text,
                                      bool expand, char *const *env);
struct str config_env_get(char *const *env, struct str name);

/* Drops what the last finish complained about; the next one says it again. */
void config_forget_finish(struct config_draft *d);
/* config.c: puts one item of a table into the slots of its record; false = it is a list. */
bool config_record_take(struct config_draft *d, const struct config_rows *rows,
                        struct config_slot *slots, struct config_node *item,
                        struct config_place place);

/* config_value.c: node to typed value at `out`; false after a problem. text lives in arena. */
bool config_value_read(struct config_draft *d, const struct config_row *row, const char *name,
                       const struct config_node *node, struct config_place place,
                       struct arena *arena, void *out);
/* Value to text, as one would write it. */
void config_value_write(struct buf *out, const struct config_row *row, const void *value);

#endif
