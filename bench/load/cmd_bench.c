/* SPDX-License-Identifier: Apache-2.0 */
/* `tidewire bench`: options, and what each scenario means in numbers. bench/run calls it once
 * for each server and scenario, and prints the table. */
#include "cli/cli.h"
#include "load.h"
#include <stdlib.h>
#include <string.h>

struct preset {
    const char *name;
    unsigned rooms, members, window, stalled, bytes, count;
    bool all_send;
};
static const struct preset presets[] = {
    {"fanout", 1, 1000, 1, 0, 128, 0, false},   {"window", 1, 1000, 8, 0, 128, 0, false},
    {"rooms", 100, 10, 50, 0, 128, 0, true},    {"hot", 1, 200, 100, 0, 128, 0, true},
    {"echo", 100, 1, 100, 0, 128, 0, true},     {"channels", 1000, 1, 50, 0, 128, 0, true},
    {"storm", 1, 200, 1, 0, 128, 6000, false},  {"idle", 1, 10000, 1, 0, 128, 0, false},
    {"slow", 1, 220, 8, 20, 1024, 4000, false}, {NULL, 0, 0, 0, 0, 0, 0, false},
};

static bool number(struct cli *cli, const char *name, unsigned *out)
{
    const char *text = cli_option(cli, name);
    char *end;
    if (!text)
        return true;
    unsigned long v = strtoul(text, &end, 10);
    if (end == text || *end || v > 100000000) {
        cli_usage(cli, "--%s: \"%s\" is not a number", name, text);
        return false;
    }
    *out = (unsigned)v;
    return true;
}

/* http://host:port; hosts other than this machine only with --remote. */
static bool take_url(struct cli *cli, struct load_options *o)
{
    const char *url = cli_option(cli, "url");
    static char host[64];
    if (!url)
        url = getenv("TIDEWIRE_URL");
    if (!url)
        url = "http://127.0.0.1:8787";
    const char *at = strstr(url, "://");
    at = at ? at + 3 : url;
    size_t n = strcspn(at, ":/");
    const char *port = at[n] == ':' ? at + n + 1 : "80";
    if (n == 0 || n >= sizeof(host) || strcspn(port, "/") >= sizeof(o->port)) {
        cli_usage(cli, "--url: \"%s\" is not http://ADDRESS:PORT", url);
        return false;
    }
    snprintf(host, sizeof(host), "%.*s", (int)n, at);
    if (strcmp(host, "localhost") == 0)
        snprintf(host, sizeof(host), "127.0.0.1");
    snprintf(o->port, sizeof(o->port), "%.*s", (int)strcspn(port, "/"), port);
    o->host = host;
    if (strncmp(host, "127.", 4) != 0 && !cli_option(cli, "remote")) {
        cli_usage(cli, "%s is another machine, which this would flood; --remote means it", host);
        return false;
    }
    return true;
}

static bool take_pids(struct cli *cli, struct load_options *o)
{
    const char *text;
    for (int i = 0; (text = cli_option_at(cli, "pid", i)) && o->pids_count < LOAD_PIDS_MAX; i++)
        o->pids[o->pids_count++] = (pid_t)strtol(text, NULL, 10);
    return true;
}

static bool take_numbers(struct cli *cli, struct load_options *o)
{
    const char *seconds = cli_option(cli, "seconds");
    o->seconds = seconds ? strtod(seconds, NULL) : 2;
    return number(cli, "rooms", &o->rooms) && number(cli, "members", &o->members) &&
           number(cli, "window", &o->window) && number(cli, "bytes", &o->bytes) &&
           number(cli, "rate", &o->rate) && number(cli, "count", &o->count) &&
           number(cli, "stalled", &o->stalled);
}

static bool is_sane(const struct load_options *o)
{
    return o->rooms && o->members && o->window && o->window <= LOAD_FLIGHTS / 2 &&
           o->bytes >= LOAD_MARK_BYTES && o->bytes <= 60000 && o->members > o->stalled &&
           (unsigned long long)o->rooms * o->members <= 1000000 && o->seconds > 0 &&
           (!o->all_send || o->members <= 65535);
}

int cmd_bench(struct cli *cli)
{
    static struct load load;
    struct load_options *o = &load.o;
    const char *dialect = cli_option(cli, "dialect");
    const struct preset *p = presets;
    const char *name = cli->args_count ? cli->args[0] : "fanout";
    while (p->name && strcmp(p->name, name) != 0)
        p++;
    if (!p->name || cli->args_count > 1)
        return cli_usage(cli, "the scenario is one of fanout, window, rooms, hot, echo, channels, "
                              "storm, idle, slow");
    *o = (struct load_options){.scenario = name,
                               .rooms = p->rooms,
                               .members = p->members,
                               .window = p->window,
                               .stalled = p->stalled,
                               .bytes = p->bytes,
                               .count = p->count,
                               .all_send = p->all_send,
                               .token = cli_option(cli, "token"),
                               .label = cli_option(cli, "label"),
                               .deflate = cli_option(cli, "deflate") != NULL,
                               .dialect = load_dialect_find(dialect ? dialect : "native")};
    if (!o->dialect)
        return cli_usage(cli, "--dialect: native, sse, poll, socketio, phoenix or raw");
    if (!o->token)
        o->token = "";
    if (!o->label)
        o->label = "server";
    if (!take_url(cli, o) || !take_pids(cli, o) || !take_numbers(cli, o))
        return CLI_USAGE;
    if (!is_sane(o))
        return cli_usage(cli, "these numbers make no load");
    return load_run(&load) ? CLI_FAILED : CLI_OK;
}
