/* SPDX-License-Identifier: Apache-2.0 */
/* token mint, token check. Without a configured secret, the one that `tidewire dev` made in the
 * data folder here is used. */
#include "cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text {
    char *p;
    size_t n;
    FILE *f;
};

/* Good enough to tell a JSON value from a word; the library reads it strictly. */
static bool looks_like_json(const char *value)
{
    return strchr("{[\"-0123456789", value[0])
               ? value[0] != 0
               : strcmp(value, "true") == 0 || strcmp(value, "false") == 0 ||
                     strcmp(value, "null") == 0;
}

static void put_member(FILE *f, bool *first, const char *name, const char *value, bool json)
{
    if (!*first)
        fputc(',', f);
    *first = false;
    cli_put_json(f, name, strlen(name));
    fputc(':', f);
    if (json)
        fputs(value, f);
    else
        cli_put_json(f, value, strlen(value));
}

/* The claims as JSON; NULL after saying what is wrong. Caller frees. */
static char *build_claims(struct cli *cli)
{
    struct text t = {0};
    const char *base = cli_option(cli, "claims"), *claim;
    bool first = true;
    t.f = open_memstream(&t.p, &t.n);
    if (!t.f)
        return NULL;
    fputc('{', t.f);
    if (base) { /* the members of the object: what stands between its braces */
        const char *open = strchr(base, '{'), *close = strrchr(base, '}');
        size_t blank = open ? strspn(open + 1, " \t\n") : 0;
        if (!open || !close || close < open) {
            cli_usage(cli, "--claims takes a JSON object");
            fclose(t.f);
            free(t.p);
            return NULL;
        }
        fprintf(t.f, "%.*s", (int)(close - open - 1), open + 1);
        first = open + 1 + blank >= close;
    }
    if (cli_option(cli, "sub"))
        put_member(t.f, &first, "sub", cli_option(cli, "sub"), false);
    if (cli_option(cli, "role"))
        put_member(t.f, &first, "role", cli_option(cli, "role"), false);
    for (int i = 0; (claim = cli_option_at(cli, "claim", i)); i++) {
        const char *equals = strchr(claim, '=');
        char name[128];
        if (!equals || equals == claim || equals - claim >= (long)sizeof(name)) {
            cli_usage(cli, "--claim takes NAME=VALUE, not \"%s\"", claim);
            fclose(t.f);
            free(t.p);
            return NULL;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(equals - claim), claim);
        put_member(t.f, &first, name, equals + 1, looks_like_json(equals + 1));
    }
    fputc('}', t.f);
    fclose(t.f);
    return t.p;
}

/* True when some key is configured. */
static bool has_key(tw_config *c)
{
    char *secret = tw_config_get(c, "auth.jwt_secret");
    bool has = secret && *secret;
    tw_free(secret);
    return has || tw_config_has(c, "auth.keys");
}

static tw_config *config_with_secret(struct cli *cli)
{
    tw_config *c = cli_config(cli, false);
    char *data = NULL, path[4200];
    const char *given = tw_config_has(c, "data") ? (data = tw_config_get(c, "data")) : NULL;
    snprintf(path, sizeof(path), "%s/dev.secret", given ? given : "./tidewire-data");
    if (!has_key(c) && access(path, R_OK) == 0) {
        tw_config_develop(c);
        cli_say(cli, "using the development secret %s\n", path);
    }
    tw_free(data);
    if (tw_config_check(c) == 0)
        return c;
    cli_config_problems(c);
    tw_config_free(c);
    return NULL;
}

static int mint(struct cli *cli)
{
    unsigned long long ttl_ms = 3600000;
    const char *ttl = cli_option(cli, "ttl");
    if (cli->args_count > 1)
        return cli_usage(cli, "token mint takes options only");
    if (ttl && !cli_duration(ttl, &ttl_ms))
        return cli_usage(cli, "--ttl: \"%s\" is not a duration; write 250ms, 5s, 2m, 1h, 7d", ttl);
    char *claims = build_claims(cli), *token = NULL;
    if (!claims)
        return CLI_USAGE;
    tw_config *c = config_with_secret(cli);
    if (!c) {
        free(claims);
        return CLI_CONFIG;
    }
    int err = tw_token_mint(c, claims, ttl_ms, &token);
    int result = CLI_OK;
    if (err)
        result = cli_fail("cannot mint: %s", tw_token_problem(c));
    else if (cli->json)
        printf("{\"token\":\"%s\"}\n", token);
    else
        printf("%s\n", token);
    tw_free(token);
    tw_config_free(c);
    free(claims);
    return result;
}

static int check(struct cli *cli)
{
    char *from_stdin = NULL, *report = NULL;
    const char *token = cli->args_count == 2 ? cli->args[1] : NULL;
    if (cli->args_count > 2 || (!token && isatty(0)))
        return cli_usage(cli, "token check takes one token, or - to read it from stdin");
    if (!token || strcmp(token, "-") == 0) {
        token = from_stdin = cli_read_all(0, 1 << 20);
        if (!token)
            return cli_fail("that is no token");
        from_stdin[strcspn(from_stdin, "\r\n \t")] = 0;
    }
    tw_config *c = config_with_secret(cli);
    int result = CLI_CONFIG;
    if (c) {
        int err = tw_token_check(c, token, &report);
        result = err ? CLI_FAILED : CLI_OK;
        if (cli->json) {
            printf("{\"ok\":%s,\"error\":", err ? "false" : "true");
            cli_put_json_z(err ? tw_error_text(err) : "");
            fputs(",\"report\":", stdout);
            cli_put_json_z(report ? report : tw_token_problem(c));
            puts("}");
        } else {
            fputs(report ? report : tw_token_problem(c), stdout);
        }
    }
    tw_free(report);
    tw_config_free(c);
    free(from_stdin);
    return result;
}

int cmd_token(struct cli *cli)
{
    const char *what = cli->args_count > 0 ? cli->args[0] : "";
    if (strcmp(what, "mint") == 0)
        return mint(cli);
    if (strcmp(what, "check") == 0)
        return check(cli);
    return cli_usage(cli, "token takes mint or check");
}
