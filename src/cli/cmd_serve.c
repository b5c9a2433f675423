/* SPDX-License-Identifier: Apache-2.0 */
/* dev, serve: the server in the foreground. They differ in the configuration alone: dev makes
 * what is missing and stays on this machine, serve takes what it is given and refuses dev's. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct running {
    struct cli *cli;
    bool develop;
};

/* Runs on a thread of the server, before it has told anybody else. */
static void on_ready(tw_server *s, void *arg)
{
    const struct running *r = arg;
    if (r->develop && tw_server_write_dev_env(s) != 0)
        cli_fail("%s", tw_server_problem(s));
    if (!isatty(2) || r->cli->quiet)
        return;
    char *banner = tw_server_banner(s, r->cli->color);
    fputs(banner, stderr);
    tw_free(banner);
}

static int run(struct cli *cli, tw_config *c, bool develop)
{
    struct running r = {cli, develop};
    if (tw_config_check(c) != 0) {
        int result = cli_config_problems(c);
        tw_config_free(c);
        return result;
    }
    tw_server *s = tw_server_new(c);
    tw_config_free(c);
    if (!s)
        return CLI_CONFIG;
    tw_server_on_ready(s, on_ready, &r);
    int err = tw_server_run(s);
    if (err)
        cli_fail("%s", tw_server_problem(s));
    tw_server_free(s);
    return err ? CLI_UNREACHABLE : CLI_OK;
}

int cmd_serve(struct cli *cli)
{
    if (cli->args_count > 0)
        return cli_usage(cli, "serve takes no argument; a file is named with -c");
    tw_config *c = cli_config(cli, true);
    return c ? run(cli, c, false) : CLI_CONFIG;
}

int cmd_dev(struct cli *cli)
{
    if (cli->args_count > 1)
        return cli_usage(cli, "dev takes at most one folder, whose files it serves");
    tw_config *c = cli_config(cli, false);
    if (cli->args_count == 1)
        tw_config_set(c, "http.folder", cli->args[0]);
    tw_config_develop(c);
    return run(cli, c, true);
}
