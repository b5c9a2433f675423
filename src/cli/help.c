/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs' tables say: help, and completion scripts for shells. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

static void print_options(const struct cli_option *options)
{
    char left[64];
    for (const struct cli_option *o = options; o && o->name; o++) {
        if (o->letter)
            snprintf(left, sizeof(left), "-%c, --%s%s%s", o->letter, o->name, o->value ? " " : "",
                     o->value ? o->value : "");
        else
            snprintf(left, sizeof(left), "    --%s%s%s", o->name, o->value ? " " : "",
                     o->value ? o->value : "");
        printf("  %-26s %s\n", left, o->text);
    }
}

void cli_help(const struct cli_verb *verb)
{
    printf("tidewire %s %s\n  %s\n\n", verb->name, verb->args, verb->text);
    print_options(verb->options);
    if (verb->settings) {
        print_options(cli_setting_options);
        printf("  %-26s %s\n", "    --SECTION.NAME=VALUE",
               "any setting; `tidewire config defaults` lists them");
    }
    print_options(cli_common_options);
}

void cli_help_all(void)
{
    printf("tidewire %s: a real-time server for the web clients you already have\n\n"
           "  tidewire VERB [options]\n\n",
           tw_version());
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        printf("  %-11s %s\n", v->name, v->text);
    printf(
        "\n`tidewire help VERB` has a verb's options. Exit codes: 0 well, 1 failed, 2 wrong usage,"
        "\n3 configuration, 4 cannot listen or reach, 130 interrupted.\n");
}

int cmd_help(struct cli *cli)
{
    if (cli->args_count == 0) {
        cli_help_all();
        return CLI_OK;
    }
    const struct cli_verb *verb = cli_verb_find(cli->args[0]);
    if (!verb)
        return cli_usage(cli, "there is no verb \"%s\"", cli->args[0]);
    cli_help(verb);
    return CLI_OK;
}

/* ---- completion -------------------------------------------------------------------------- */

static void print_words(void)
{
    for (const struct cli_verb *v = cli_verbs; v->name; v++)
        printf("%s%s", v == cli_verbs ? "" : " ", v->name);
}

static void print_option_words(const struct cli_option *options)
{
    for (const struct cli_option *o = options; o && o->name; o++)
        printf(" --%s", o->name);
}

/* zsh reads it through bashcompinit. */
static void print_bash(void)
{
    puts("_tidewire() {\n  local cur=${COMP_WORDS[COMP_CWORD]} words\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then");
    fputs("    words=\"", stdout);
    print_words();
    puts("\"\n  else\n    case ${COMP_WORDS[1]} in");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        printf("    %s) words=\"", v->name);
        for (const char *p = v->args; *p >= 'a' && *p <= 'z'; p++) { /* mint|check … */
            size_t n = strcspn(p, "| [");
            printf("%.*s ", (int)n, p);
            p += n;
            if (*p == ' ') /* the argument of a word */
                p += strcspn(p, "|");
            if (*p != '|')
                break;
        }
        print_option_words(v->options);
        if (v->settings)
            print_option_words(cli_setting_options);
        print_option_words(cli_common_options);
        puts("\" ;;");
    }
    puts("    esac\n  fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n}\n"
         "complete -F _tidewire tidewire");
}

static void print_fish(void)
{
    puts("complete -c tidewire -f");
    for (const struct cli_verb *v = cli_verbs; v->name; v++) {
        printf("complete -c tidewire -n __fish_use_subcommand -a %s -d \"%s\"\n", v->name, v->text);
        for (const struct cli_option *o = v->options; o && o->name; o++)
            printf("complete -c tidewire -n '__fish_seen_subcommand_from %s' -l %s%s -d \"%s\"\n",
                   v->name, o->name, o->value ? " -r" : "", o->text);
    }
    for (const struct cli_option *o = cli_common_options; o->name; o++)
        printf("complete -c tidewire -l %s -d \"%s\"\n", o->name, o->text);
}

int cmd_completion(struct cli *cli)
{
    const char *shell = cli->args_count == 1 ? cli->args[0] : "";
    if (strcmp(shell, "zsh") == 0)
        puts("autoload -U +X bashcompinit && bashcompinit");
    if (strcmp(shell, "bash") == 0 || strcmp(shell, "zsh") == 0)
        print_bash();
    else if (strcmp(shell, "fish") == 0)
        print_fish();
    else
        return cli_usage(cli, "completion takes bash, zsh or fish");
    return CLI_OK;
}
