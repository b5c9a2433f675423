/* SPDX-License-Identifier: Apache-2.0 */
/* db: the database file without a server (backup also while one runs). The file is that of the
 * configuration, else the one that `tidewire dev` made in the data folder here. */
#include "cli/cli.h"
#include <string.h>
#include <unistd.h>

static int shell(const char *path)
{
    execlp("sqlite3", "sqlite3", path, (char *)NULL);
    return cli_fail("sqlite3 is not installed; the file is %s", path);
}

int cmd_db(struct cli *cli)
{
    const char *verb = cli->args_count > 0 ? cli->args[0] : "";
    const char *arg = cli->args_count > 1 ? cli->args[1] : NULL;
    bool is_shell = strcmp(verb, "shell") == 0;
    char *report = NULL;
    int err;
    tw_config *c;
    if (!is_shell && strcmp(verb, "migrate") != 0 && strcmp(verb, "backup") != 0 &&
        strcmp(verb, "policies") != 0)
        return cli_usage(cli, "db takes migrate, backup, policies or shell");
    if (cli->args_count > 2 || (strcmp(verb, "backup") == 0 && !arg))
        return cli_usage(cli, "db %s takes %s", verb,
                         strcmp(verb, "backup") == 0 ? "a file to write" : "one folder at most");
    c = cli_config(cli, false);
    err = tw_db(c, is_shell ? "path" : verb, arg, &report);
    if (is_shell && err == 0)
        err = shell(report);
    else
        fputs(report, err ? stderr : stdout);
    tw_free(report);
    tw_config_free(c);
    return err ? CLI_FAILED : CLI_OK;
}
