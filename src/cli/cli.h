/* SPDX-License-Identifier: Apache-2.0 */
/* The program: a table of verbs over include/tidewire.h, and nothing else of the library.
 *
 * Conventions: results go to stdout, talk to stderr; --json where there is something to read by
 * machine; no colour when NO_COLOR is set or the stream is no terminal; no question is ever
 * asked. Exit codes: the enum below. To add a verb: write cmd_x, give it a row in main.c. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "tidewire.h"
#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_CONFIG = 3,
    CLI_UNREACHABLE = 4, /* cannot bind, or the server is not there */
    CLI_INTERRUPTED = 130,
};

struct cli_option {
    const char *name;
    char letter;       /* 0 = none */
    const char *value; /* what its value is called; NULL = a flag */
    const char *text;
};

struct cli;
struct cli_verb {
    const char *name;
    const char *args; /* for the help */
    const char *text;
    const struct cli_option *options; /* ended by a NULL name; may be NULL */
    bool settings;                    /* takes --<setting>=… and -c */
    int (*run)(struct cli *cli);
};

enum { CLI_ARGS_MAX = 256 };
struct cli_given {
    const char *name;
    const char *value; /* "" for a flag */
};
struct cli {
    const struct cli_verb *verb;
    const char *args[CLI_ARGS_MAX]; /* what is no option */
    int args_count;
    struct cli_given options[CLI_ARGS_MAX];
    int options_count;
    struct cli_given settings[CLI_ARGS_MAX];
    int settings_count;
    bool json, quiet, verbose;
    bool color; /* stderr is a terminal that likes colour */
};

extern const struct cli_verb cli_verbs[]; /* ended by a NULL name */
const struct cli_verb *cli_verb_find(const char *name);
extern const struct cli_option cli_common_options[];
extern const struct cli_option cli_setting_options[];

/* Reads argv behind the verb. 0, or CLI_USAGE after saying what is wrong. */
int cli_parse(struct cli *cli, int argc, char **argv);
/* Last value of an option, "" for a given flag, NULL when it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
/* The index-th value of a repeatable option, or NULL. */
const char *cli_option_at(const struct cli *cli, const char *name, int index);
/* Says it on stderr, with a pointer to the help. Returns CLI_USAGE. */
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says it on stderr: "tidewire: …". Returns CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Talk: stderr, unless --quiet. */
void cli_say(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_help(const struct cli_verb *verb);
void cli_help_all(void);

/* "250ms" "5s" "2m" "1h" "7d" or milliseconds; false when it is none. */
bool cli_duration(const char *text, unsigned long long *ms);
/* All of a stream, or NULL past `max` bytes. Caller frees. */
char *cli_read_all(int fd, size_t max);
/* A JSON string with quotes. */
void cli_put_json(FILE *f, const char *text, size_t n);
void cli_put_json_z(const char *text); /* to stdout */

/* A client for --url and --token (else TIDEWIRE_URL, TIDEWIRE_TOKEN, else what a `tidewire dev`
 * in this folder has written). NULL after saying what is wrong with an option. */
tw_client *cli_client(struct cli *cli);
/* Says that the client failed; returns the exit code. */
int cli_client_failed(tw_client *c, int error);
#define CLI_CLIENT_OPTIONS                                                                         \
    {"url", 'u', "URL", "the server (else $TIDEWIRE_URL, else a `tidewire dev` of this folder)"},  \
        {"token", 't', "TOKEN", "a token or key (else $TIDEWIRE_TOKEN)"},                          \
    {                                                                                              \
        "timeout", 0, "DURATION", "how long to wait for the server (default 10s)"                  \
    }

/* A configuration from file, environment and flags. Warnings are said; with `check`, problems
 * too, and then NULL is returned. Caller frees. */
tw_config *cli_config(const struct cli *cli, bool check);
/* Prints problems; returns CLI_CONFIG. */
int cli_config_problems(tw_config *c);

int cmd_dev(struct cli *cli);
int cmd_serve(struct cli *cli);
int cmd_init(struct cli *cli);
int cmd_config(struct cli *cli);
int cmd_pub(struct cli *cli);
int cmd_sub(struct cli *cli);
int cmd_tail(struct cli *cli);
int cmd_health(struct cli *cli);
int cmd_token(struct cli *cli);
int cmd_db(struct cli *cli);
int cmd_explain(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_completion(struct cli *cli);
int cmd_help(struct cli *cli);
int cmd_bench(struct cli *cli); /* bench/load */

#endif
