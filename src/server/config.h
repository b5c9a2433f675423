/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration. config.def is the table of all settings; this file gives its rows their shape
 * in C and says what can be done with them.
 *
 * Two things with two lives:
 *   config_draft  what has been said so far and by whom (default, dev, file, environment, flag),
 *                 as text. The highest voice wins, whatever the order in which they speak.
 *   config        the result: typed, complete, checked, immutable, counted. Sessions and loops
 *                 hold a reference; a reload makes a new one and leaves the old to its readers.
 *
 * Every complaint goes into the draft's list of problems with its place (file:line:col, variable
 * or flag) and says what to do; config_draft_finish gives a config only when there is none.
 * Secrets are struct secret, which nothing here prints. */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ref.h"

struct secret {
    struct str hidden; /* empty = none */
};
struct str_list {
    struct str *items;
    size_t count;
};

enum config_type {
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_DURATION, /* milliseconds */
    CONFIG_SIZE,     /* bytes */
    CONFIG_STRING,
    CONFIG_SECRET,
    CONFIG_ADDRESS,   /* host:port, :port, [v6]:port, unix:/path or unix:/path|0660 */
    CONFIG_ADDRESSES, /* a list of them */
    CONFIG_LIST,      /* of strings; in one text separated by commas */
    CONFIG_ENUM,      /* index into the words of the unit column */
};

/* The C type of each. */
#define CFG_BOOL bool
#define CFG_INT int64_t
#define CFG_DURATION int64_t
#define CFG_SIZE int64_t
#define CFG_STRING struct str
#define CFG_SECRET struct secret
#define CFG_ADDRESS struct str
#define CFG_ADDRESSES struct str_list
#define CFG_LIST struct str_list
#define CFG_ENUM int

/* In the order of the words in config.def. */
enum config_slow { CONFIG_SLOW_RESUME, CONFIG_SLOW_LATEST_BY_KEY, CONFIG_SLOW_CLOSE };
enum config_log_format { CONFIG_LOG_AUTO, CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config_channel {
#define CFG_CHANNEL(field, name, type, min, max, def, unit, reload, text) CFG_##type field;
#include "server/config.def"
};
struct config_key {
#define CFG_KEY(field, name, type, min, max, def, unit, reload, text) CFG_##type field;
#include "server/config.def"
};
struct config_api_key {
#define CFG_API_KEY(field, name, type, min, max, def, unit, reload, text) CFG_##type field;
#include "server/config.def"
};
struct config_event {
#define CFG_EVENT(field, name, type, min, max, def, unit, reload, text) CFG_##type field;
#include "server/config.def"
};
struct config_namespace {
#define CFG_NAMESPACE(field, name, type, min, max, def, unit, reload, text) CFG_##type field;
#include "server/config.def"
};

struct config {
    struct ref refs;
    struct arena arena; /* all text below */
#define CFG(field, name, type, min, max, def, unit, reload, text) CFG_##type field;
#define CFG_TABLE(field, name, record, max, reload, text)                                          \
    struct record *field;                                                                          \
    size_t field##_count;
#include "server/config.def"
};

struct config *config_ref(struct config *c);
/* Drops a reference; *c becomes NULL. */
void config_unref(struct config **c);
/* The words of an ENUM by index ("HS256"), as the unit column has them. */
struct str config_word(const char *unit, int index);
/* The unit column of a setting, or of a member of a table ("auth.keys", "alg"). */
const char *config_unit(const char *name, const char *member);

/* Low to high. */
enum config_origin {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_DEV,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENV,
    CONFIG_FROM_FLAG,
};

struct config_draft;
struct config_draft *config_draft_new(void);
void config_draft_free(struct config_draft **d);

/* Takes the settings of a file (YAML or JSON); path NULL looks at $TIDEWIRE_CONFIG in env,
 * ./tidewire.yaml, /etc/tidewire/tidewire.yaml, and finding none is no error. env (NAME=value,
 * NULL at the end) serves ${NAME} in values; may be NULL. 0 or E_CONFIG (problems has more). */
int config_draft_load(struct config_draft *d, const char *path, char *const *env);
/* The same from text; `label` stands for the file name. */
int config_draft_load_text(struct config_draft *d, const char *label, struct str text,
                           char *const *env);
/* TIDEWIRE_… variables. Unknown ones are a warning: others may use the prefix. */
int config_draft_env(struct config_draft *d, char *const *env);
/* One setting by name; also `<secret>_file`; a table takes YAML flow text. */
int config_draft_set(struct config_draft *d, enum config_origin origin, const char *name,
                     struct str value);
/* True when the name is a setting (or a secret's _file). */
bool config_draft_knows(const char *name);
/* True for a setting that is true when given as a flag without value. */
bool config_draft_is_bool(const char *name);

/* Development (`tidewire dev`): loopback addresses only, secrets of development allowed. */
void config_draft_develop(struct config_draft *d);
/* A secret with this prefix was made by `tidewire dev` and is refused elsewhere. */
#define CONFIG_DEV_SECRET "tw_dev_"
/* The text that the highest voice has given, else the default; "" for lists. */
struct str config_draft_said(struct config_draft *d, const char *name);
/* True when somebody has said something of that setting or table. */
bool config_draft_has(struct config_draft *d, const char *name);
/* Adds a problem of a setting. Goes with the next finish. */
void config_draft_complain(struct config_draft *d, const char *name, const char *text);
/* Adds a problem that only somebody else could find, at the place of a member ("" = the entry)
 * of an entry of a table. Goes with the next finish. */
void config_draft_fault(struct config_draft *d, const char *table, size_t index, const char *member,
                        const char *text);

/* Checks all; NULL when there are problems. Caller owns a reference. May be called again. */
struct config *config_draft_finish(struct config_draft *d);
/* Problems, one a line, in order of their place; valid until the next call on the draft. */
struct str config_draft_problems(struct config_draft *d);
struct str config_draft_warnings(struct config_draft *d);
/* The file that was read, or "" */
const char *config_draft_file(const struct config_draft *d);

/* Settings that differ between two configs and need a restart: names appended, ", " between. */
void config_fixed_differences(const struct config *a, const struct config *b, struct buf *out);

/* ---- what the table can tell (config_text.c) ----------------------------------------- */
void config_write_defaults(struct buf *out); /* commented YAML; loads again without change */
void config_write_env(struct buf *out);      /* variable, default, text */
void config_write_schema(struct buf *out);   /* JSON Schema 2020-12 */
/* One setting, or all below a section; d (may be NULL) adds the value in force and its source.
 * False when there is no such name (then a suggestion is written). */
bool config_write_explain(struct buf *out, const char *name, struct config_draft *d);
/* The effective value as text ("" for secrets: "(set)"); false when unknown. */
bool config_write_value(struct buf *out, const struct config *c, const char *name);

#endif
