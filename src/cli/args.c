/* SPDX-License-Identifier: Apache-2.0 */
/* Options: those of the verb, those of all verbs, and where the verb takes them every setting of
 * the configuration under its own name. getopt_long cannot ask the library what is a setting. */
#include "cli/cli.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct cli_option cli_common_options[] = {
    {"json", 0, NULL, "results as JSON"},
    {"quiet", 'q', NULL, "say less"},
    {"verbose", 'v', NULL, "say more"},
    {"help", 'h', NULL, "this"},
    {NULL, 0, NULL, NULL},
};
const struct cli_option cli_setting_options[] = {
    {"config", 'c', "FILE", "configuration file (else $TIDEWIRE_CONFIG, ./tidewire.yaml, …)"},
    {"listen", 'l', "ADDRESS", "short for --http.listen"},
    {NULL, 0, NULL, NULL},
};

/* ---- talking ---------------------------------------------------------------------------- */

static void complain(const char *format, va_list args)
{
    fputs("tidewire: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
    fprintf(stderr, "Try `tidewire help %s`.\n", cli->verb->name);
    return CLI_USAGE;
}

int cli_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
    return CLI_FAILED;
}

void cli_say(const struct cli *cli, const char *format, ...)
{
    va_list args;
    if (cli->quiet)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
}

/* ---- reading argv ------------------------------------------------------------------------ */

static const struct cli_option *find_in(const struct cli_option *options, const char *name,
                                        size_t n, char letter)
{
    for (const struct cli_option *o = options; o && o->name; o++) {
        if (letter ? o->letter == letter : strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    }
    return NULL;
}

static const struct cli_option *find_option(const struct cli *cli, const char *name, size_t n,
                                            char letter)
{
    const struct cli_option *o = find_in(cli->verb->options, name, n, letter);
    if (!o && cli->verb->settings)
        o = find_in(cli_setting_options, name, n, letter);
    return o ? o : find_in(cli_common_options, name, n, letter);
}

static void give(struct cli_given *list, int *count, const char *name, const char *value)
{
    if (*count < CLI_ARGS_MAX)
        list[(*count)++] = (struct cli_given){name, value};
}

/* "--name=value", "--name value" or a flag; *at moves over a value that stands by itself. */
static int take_long(struct cli *cli, int argc, char **argv, int *at)
{
    char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *o = find_option(cli, name, n, 0);
    bool is_flag = o && !o->value;
    if (!o) {
        bool is_bool = false;
        if (equals)
            *equals = 0;
        if (!cli->verb->settings || !tw_config_knows(name, &is_bool)) {
            if (cli->verb->settings && strchr(name, '.')) {
                char *text = tw_config_explain(NULL, name, NULL); /* has a suggestion */
                text[strcspn(text, "\n")] = 0;
                cli_usage(cli, "%s", text);
                tw_free(text);
                return CLI_USAGE;
            }
            return cli_usage(cli, "%s takes no --%s", cli->verb->name, name);
        }
        if (is_bool && !equals) {
            give(cli->settings, &cli->settings_count, name, "true");
            return 0;
        }
    }
    if (is_flag && equals)
        return cli_usage(cli, "--%s takes no value", o->name);
    const char *value = is_flag ? "" : equals ? equals + 1 : NULL;
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value)
        return cli_usage(cli, "--%s needs a value", name);
    if (o)
        give(cli->options, &cli->options_count, o->name, value);
    else
        give(cli->settings, &cli->settings_count, name, value);
    return 0;
}

/* "-q", "-c value" or "-cvalue". */
static int take_short(struct cli *cli, int argc, char **argv, int *at)
{
    for (const char *p = argv[*at] + 1; *p; p++) {
        const struct cli_option *o = find_option(cli, "", 0, *p);
        if (!o)
            return cli_usage(cli, "%s takes no -%c", cli->verb->name, *p);
        if (!o->value) {
            give(cli->options, &cli->options_count, o->name, "");
            continue;
        }
        const char *value = p[1] ? p + 1 : *at + 1 < argc ? argv[++*at] : NULL;
        if (!value)
            return cli_usage(cli, "-%c needs a value", *p);
        give(cli->options, &cli->options_count, o->name, value);
        break;
    }
    return 0;
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
    bool only_args = false;
    if (argc > CLI_ARGS_MAX)
        return cli_usage(cli, "more than %d arguments", CLI_ARGS_MAX);
    for (int at = 0; at < argc; at++) {
        int err = 0;
        if (only_args || argv[at][0] != '-' || argv[at][1] == 0)
            cli->args[cli->args_count++] = argv[at];
        else if (strcmp(argv[at], "--") == 0)
            only_args = true;
        else
            err = argv[at][1] == '-' ? take_long(cli, argc, argv, &at)
                                     : take_short(cli, argc, argv, &at);
        if (err)
            return err;
    }
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    cli->json = cli_option(cli, "json") != NULL;
    cli->quiet = cli_option(cli, "quiet") != NULL;
    cli->verbose = cli_option(cli, "verbose") != NULL;
    cli->color = isatty(2) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
    return 0;
}

const char *cli_option(const struct cli *cli, const char *name)
{
    for (int i = cli->options_count; i-- > 0;) {
        if (strcmp(cli->options[i].name, name) == 0)
            return cli->options[i].value;
    }
    return NULL;
}

const char *cli_option_at(const struct cli *cli, const char *name, int index)
{
    for (int i = 0; i < cli->options_count; i++) {
        if (strcmp(cli->options[i].name, name) == 0 && index-- == 0)
            return cli->options[i].value;
    }
    return NULL;
}

/* ---- small helps ------------------------------------------------------------------------- */

bool cli_duration(const char *text, unsigned long long *ms)
{
    static const struct {
        const char *unit;
        unsigned long long each;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"", 1}};
    unsigned long long v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && v < 1000000000000ULL; p++)
        v = v * 10 + (unsigned long long)(*p - '0');
    for (size_t i = 0; p > text && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(p, units[i].unit) == 0) {
            *ms = v * units[i].each;
            return true;
        }
    }
    return false;
}

char *cli_read_all(int fd, size_t max)
{
    char *text = NULL, piece[4096];
    size_t n = 0;
    ssize_t got = 1;
    FILE *f = open_memstream(&text, &n);
    while (f && got > 0 && (size_t)ftell(f) <= max) {
        got = read(fd, piece, sizeof(piece));
        if (got > 0)
            fwrite(piece, 1, (size_t)got, f);
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    if (!f || fclose(f) != 0 || n > max) {
        free(text);
        return NULL;
    }
    return text;
}

void cli_put_json(FILE *f, const char *text, size_t n)
{
    fputc('"', f);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", f);
        else if (c < 0x20)
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

void cli_put_json_z(const char *text)
{
    cli_put_json(stdout, text, strlen(text));
}

/* ---- configuration ----------------------------------------------------------------------- */

int cli_config_problems(tw_config *c)
{
    const char *text = tw_config_problems(c);
    fputs(*text ? text : "tidewire: the configuration has a problem\n", stderr);
    return CLI_CONFIG;
}

tw_config *cli_config(const struct cli *cli, bool check)
{
    tw_config *c = tw_config_new();
    tw_config_load(c, cli_option(cli, "config"));
    tw_config_load_environment(c);
    if (cli_option(cli, "listen"))
        tw_config_set(c, "http.listen", cli_option(cli, "listen"));
    for (int i = 0; i < cli->settings_count; i++)
        tw_config_set(c, cli->settings[i].name, cli->settings[i].value);
    cli_say(cli, "%s", tw_config_warnings(c));
    if (check && tw_config_check(c) != 0) {
        cli_config_problems(c);
        tw_config_free(c);
        return NULL;
    }
    return c;
}
