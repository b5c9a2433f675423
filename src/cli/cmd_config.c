/* SPDX-License-Identifier: Apache-2.0 */
/* config, explain, version: what the library tells about itself. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

static int print_and_free(char *text)
{
    fputs(text, stdout);
    tw_free(text);
    return CLI_OK;
}

static void put_lines_as_json(const char *key, const char *text)
{
    printf("\"%s\":[", key);
    for (const char *mark = ""; *text; mark = ",") {
        size_t n = strcspn(text, "\n");
        fputs(mark, stdout);
        cli_put_json(stdout, text, n);
        text += n + (text[n] == '\n');
    }
    putchar(']');
}

static int config_check(struct cli *cli)
{
    tw_config *c = cli_config(cli, false);
    int result = tw_config_check(c) == 0 ? CLI_OK : CLI_CONFIG;
    const char *file = tw_config_file(c);
    if (cli->json) {
        printf("{\"ok\":%s,\"file\":", result == CLI_OK ? "true" : "false");
        cli_put_json_z(file);
        putchar(',');
        put_lines_as_json("problems", tw_config_problems(c));
        putchar(',');
        put_lines_as_json("warnings", tw_config_warnings(c));
        puts("}");
    } else if (result != CLI_OK) {
        cli_config_problems(c);
    } else {
        printf("%s: good\n", *file ? file : "no file, defaults and environment");
    }
    tw_config_free(c);
    return result;
}

static int config_explain(struct cli *cli)
{
    bool found = false;
    if (cli->args_count != 2)
        return cli_usage(cli, "config explain takes the name of a setting or section");
    tw_config *c = cli_config(cli, false);
    char *text = tw_config_explain(c, cli->args[1], &found);
    fputs(text, found ? stdout : stderr);
    tw_free(text);
    tw_config_free(c);
    return found ? CLI_OK : CLI_FAILED;
}

int cmd_config(struct cli *cli)
{
    const char *what = cli->args_count > 0 ? cli->args[0] : "";
    if (strcmp(what, "explain") == 0)
        return config_explain(cli);
    if (cli->args_count > 1)
        return cli_usage(cli, "config %s takes no argument; a file is named with -c", what);
    if (strcmp(what, "check") == 0)
        return config_check(cli);
    if (strcmp(what, "defaults") == 0)
        return print_and_free(tw_config_defaults());
    if (strcmp(what, "env") == 0)
        return print_and_free(tw_config_environment());
    if (strcmp(what, "schema") == 0)
        return print_and_free(tw_config_schema());
    return cli_usage(cli, "config takes check, defaults, env, explain or schema");
}

int cmd_explain(struct cli *cli)
{
    if (cli->args_count == 0)
        return print_and_free(tw_explain_all(cli->json));
    if (cli->args_count > 1)
        return cli_usage(cli, "explain takes one number or name");
    char *text = tw_explain(cli->args[0], cli->json);
    if (!text)
        return cli_fail("there is no error \"%s\"; `tidewire explain` lists all", cli->args[0]);
    return print_and_free(text);
}

int cmd_version(struct cli *cli)
{
    if (!cli_option(cli, "build")) {
        if (cli->json)
            printf("{\"version\":\"%s\"}\n", tw_version());
        else
            printf("tidewire %s\n", tw_version());
        return CLI_OK;
    }
    const char *text = tw_build();
    if (!cli->json) {
        fputs(text, stdout);
        return CLI_OK;
    }
    for (const char *mark = "{"; *text; mark = ",") { /* "name value" lines */
        size_t n = strcspn(text, "\n"), name = strcspn(text, " ");
        printf("%s\"%.*s\":", mark, (int)name, text);
        cli_put_json(stdout, text + name + 1, n - name - 1);
        text += n + (text[n] == '\n');
    }
    puts("}");
    return CLI_OK;
}
