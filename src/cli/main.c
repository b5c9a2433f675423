/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

static const struct cli_option init_options[] = {
    {"force", 'f', NULL, "replace files that are there"},
    {"dir", 0, "DIR", "where to write (default: here)"},
    {NULL, 0, NULL, NULL},
};
static const struct cli_option pub_options[] = {
    {"id", 0, "ID", "idempotency id: a repeat is one message"},
    {"text", 0, NULL, "the content is text, not JSON"},
    {"count", 'n', "N", "publish so often; {{n}} and {{now}} in the content are filled in"},
    {"every", 0, "DURATION", "... with so long between"},
    CLI_CLIENT_OPTIONS,
    {NULL, 0, NULL, NULL},
};
static const struct cli_option sub_options[] = {
    {"history", 0, "N", "first the newest N that are kept"},
    {"since", 0, "DURATION", "first what was said in that time"},
    {"presence", 0, NULL, "also who comes and goes"},
    {"raw", 0, NULL, "the content alone"},
    {"count", 'n', "N", "end after N messages"},
    CLI_CLIENT_OPTIONS,
    {NULL, 0, NULL, NULL},
};
static const struct cli_option tail_options[] = {
    {"no-sessions", 0, NULL, "messages alone"},
    {"count", 'n', "N", "end after N lines"},
    CLI_CLIENT_OPTIONS,
    {NULL, 0, NULL, NULL},
};
static const struct cli_option health_options[] = {
    CLI_CLIENT_OPTIONS,
    {NULL, 0, NULL, NULL},
};
static const struct cli_option token_options[] = {
    {"sub", 0, "USER", "mint: the user"},
    {"role", 0, "ROLE", "mint: the role"},
    {"ttl", 0, "DURATION", "mint: how long it is good (default 1h; 0 = no exp)"},
    {"claim", 0, "NAME=VALUE", "mint: a further claim; VALUE is JSON, else text (repeatable)"},
    {"claims", 0, "JSON", "mint: an object of claims to begin with"},
    {NULL, 0, NULL, NULL},
};
static const struct cli_option bench_options[] = {
    {"url", 'u', "URL", "the server: http://ADDRESS:PORT"},
    {"remote", 0, NULL, "it may be another machine"},
    {"dialect", 'd', "NAME", "native (default), sse, poll, socketio, phoenix, raw"},
    {"token", 't', "TEXT", "what is added to the path, e.g. ?token=…; Phoenix: the key"},
    {"rooms", 0, "N", "channels"},
    {"members", 'n', "N", "clients in each"},
    {"window", 'w', "N", "messages on their way at once"},
    {"rate", 0, "N", "instead: so many messages a second"},
    {"bytes", 0, "N", "content of a message"},
    {"seconds", 0, "N", "how long (default 2)"},
    {"count", 0, "N", "storm: connections; slow: messages"},
    {"stalled", 0, "N", "slow: members that stop reading"},
    {"deflate", 0, NULL, "with permessage-deflate"},
    {"pid", 0, "PID", "a process of the server, whose clock and memory are read (repeatable)"},
    {"label", 0, "NAME", "the server's name in the result"},
    {NULL, 0, NULL, NULL},
};
static const struct cli_option version_options[] = {
    {"build", 0, NULL, "what it was built with"},
    {NULL, 0, NULL, NULL},
};

const struct cli_verb cli_verbs[] = {
    {"dev", "[FOLDER]",
     "a server for this machine: nothing to configure, everybody may do everything", NULL, true,
     cmd_dev},
    {"serve", "", "the server", NULL, true, cmd_serve},
    {"init", "", "write a commented tidewire.yaml and a .env with a fresh secret", init_options,
     false, cmd_init},
    {"pub", "CHANNEL [EVENT] JSON|-", "publish; - reads one JSON text a line", pub_options, false,
     cmd_pub},
    {"sub", "CHANNEL…", "subscribe and print what comes", sub_options, false, cmd_sub},
    {"tail", "[PATTERN…]", "watch the server: messages and who comes and goes (service key)",
     tail_options, false, cmd_tail},
    {"health", "", "is the server ready? (exit code 0 or 4)", health_options, false, cmd_health},
    {"bench", "[fanout|window|rooms|hot|echo|channels|storm|idle|slow]",
     "put load on a server of this machine, and check and measure it", bench_options, false,
     cmd_bench},
    {"token", "mint|check [TOKEN]", "make a token, or say what is wrong with one", token_options,
     true, cmd_token},
    {"db", "migrate [FOLDER]|backup FILE|policies|shell", "look after the database", NULL, true,
     cmd_db},
    {"config", "check|defaults|env|explain NAME|schema", "look at the configuration", NULL, true,
     cmd_config},
    {"explain", "[CODE]", "what an error number means and what to do", NULL, false, cmd_explain},
    {"version", "", "version, and with --build how it was built", version_options, false,
     cmd_version},
    {"completion", "bash|zsh|fish", "a script for the shell", NULL, false, cmd_completion},
    {"help", "[VERB]", "this, or a verb's options", NULL, false, cmd_help},
    {NULL, NULL, NULL, NULL, false, NULL},
};

const struct cli_verb *cli_verb_find(const char *name)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        if (strcmp(v->name, name) == 0)
            return v;
    }
    return NULL;
}

/* `tidewired` is `tidewire serve`. */
static bool is_daemon_name(const char *program)
{
    const char *slash = strrchr(program, '/');
    return strcmp(slash ? slash + 1 : program, "tidewired") == 0;
}

int main(int argc, char **argv)
{
    static struct cli cli;
    const char *name = argc > 1 ? argv[1] : "help";
    int first = 2;
    if (argc > 0 && is_daemon_name(argv[0])) {
        name = "serve";
        first = 1;
    } else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    cli.verb = cli_verb_find(name);
    if (!cli.verb) {
        fprintf(stderr, "tidewire: there is no verb \"%s\"; `tidewire help` lists them\n", name);
        return CLI_USAGE;
    }
    int err = cli_parse(&cli, argc - first, argv + first);
    if (err)
        return err;
    if (cli_option(&cli, "help")) {
        cli_help(cli.verb);
        return CLI_OK;
    }
    int result = cli.verb->run(&cli);
    if (fflush(stdout) != 0 && result == CLI_OK)
        result = CLI_FAILED;
    return result;
}
