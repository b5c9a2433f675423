/* SPDX-License-Identifier: Apache-2.0 */
/* pub, sub, health: a client of a running server. */
#include "cli/cli.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX (64u << 20)

/* The value of NAME= in the dev.env of this folder, in `out`; NULL when there is none. */
static const char *from_dev_env(const char *name, char *out, size_t n)
{
    FILE *f = fopen("tidewire-data/dev.env", "re");
    const char *found = NULL;
    size_t name_n = strlen(name);
    while (f && !found && fgets(out, (int)n, f)) {
        out[strcspn(out, "\n")] = 0;
        if (strncmp(out, name, name_n) == 0 && out[name_n] == '=')
            found = out + name_n + 1;
    }
    if (f)
        fclose(f);
    return found;
}

static tw_client *client_with(struct cli *cli, const char *key)
{
    char line[4096];
    unsigned long long timeout_ms = 10000;
    const char *url = cli_option(cli, "url"), *token = cli_option(cli, "token");
    const char *timeout = cli_option(cli, "timeout");
    if (timeout && !cli_duration(timeout, &timeout_ms)) {
        cli_usage(cli, "--timeout: \"%s\" is not a duration; write 250ms, 5s, 2m", timeout);
        return NULL;
    }
    if (!url && !getenv("TIDEWIRE_URL"))
        url = from_dev_env("TIDEWIRE_URL", line, sizeof(line));
    if (!token)
        token = key ? key : getenv("TIDEWIRE_TOKEN");
    tw_client *c = tw_client_new(url, token);
    tw_client_set_timeout(c, timeout_ms);
    return c;
}

tw_client *cli_client(struct cli *cli)
{
    return client_with(cli, NULL);
}

int cli_client_failed(tw_client *c, int error)
{
    const char *why = tw_client_problem(c);
    cli_fail("%s", *why ? why : tw_error_text(error));
    return tw_error_is_unreachable(error) ? CLI_UNREACHABLE : CLI_FAILED;
}

static bool number_option(struct cli *cli, const char *name, unsigned *out)
{
    const char *text = cli_option(cli, name), *p = text;
    unsigned v = 0;
    if (!text)
        return true;
    for (; *p >= '0' && *p <= '9' && v < 100000000; p++)
        v = v * 10 + (unsigned)(*p - '0');
    if (p == text || *p) {
        cli_usage(cli, "--%s: \"%s\" is not a number", name, text);
        return false;
    }
    *out = v;
    return true;
}

/* ---- pub --------------------------------------------------------------------------------- */

/* The content with {{n}} and {{now}} filled in, as a JSON string with --text. Caller frees. */
static char *fill_in(struct cli *cli, const char *content, unsigned n)
{
    char *text = NULL;
    size_t text_n = 0;
    FILE *f = open_memstream(&text, &text_n);
    for (const char *p = content; f && *p;) {
        if (strncmp(p, "{{n}}", 5) == 0) {
            fprintf(f, "%u", n);
            p += 5;
        } else if (strncmp(p, "{{now}}", 7) == 0) {
            fprintf(f, "%llu", (unsigned long long)tw_now_ms());
            p += 7;
        } else {
            fputc(*p++, f);
        }
    }
    if (!f || fclose(f) != 0)
        return NULL;
    if (!cli_option(cli, "text"))
        return text;
    char *quoted = NULL;
    size_t quoted_n = 0;
    f = open_memstream(&quoted, &quoted_n);
    if (f) {
        cli_put_json(f, text, text_n);
        fclose(f);
    }
    free(text);
    return quoted;
}

struct publishing {
    struct cli *cli;
    tw_client *client;
    const char *channel, *event;
};

static int publish_one(const struct publishing *p, const char *content, unsigned n)
{
    tw_event answer;
    const char *id = cli_option(p->cli, "id");
    char *text = fill_in(p->cli, content, n);
    if (!text)
        return cli_fail("out of memory");
    int err = tw_client_publish(p->client, p->channel, p->event, text, id, &answer);
    free(text);
    if (err)
        return cli_client_failed(p->client, err);
    if (p->cli->json)
        printf("%s\n", answer.json);
    else if (!p->cli->quiet)
        printf("%s %llu\n", answer.channel, (unsigned long long)answer.offset);
    return CLI_OK;
}

static int publish_lines(const struct publishing *p)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    int result = CLI_OK;
    for (unsigned count = 1; result == CLI_OK && (n = getline(&line, &capacity, stdin)) > 0;
         count++) {
        line[strcspn(line, "\r\n")] = 0;
        if (*line)
            result = publish_one(p, line, count);
    }
    free(line);
    return result;
}

static bool looks_like_content(const char *text)
{
    return strchr("{[\"", text[0]) != NULL && text[0];
}

static int publish_all(struct cli *cli, struct publishing *p)
{
    unsigned long long every_ms = 0;
    unsigned count = 1;
    const char *every = cli_option(cli, "every");
    const char *content = cli->args_count == 3 ? cli->args[2] : "null";
    p->channel = cli->args[0];
    p->event = cli->args_count > 1 ? cli->args[1] : NULL;
    if (cli->args_count == 2 && (looks_like_content(p->event) || strcmp(p->event, "-") == 0)) {
        content = p->event;
        p->event = NULL;
    }
    if (!number_option(cli, "count", &count))
        return CLI_USAGE;
    if (every && !cli_duration(every, &every_ms))
        return cli_usage(cli, "--every: \"%s\" is not a duration", every);
    if (strcmp(content, "-") == 0)
        return publish_lines(p);
    int result = CLI_OK;
    for (unsigned n = 1; result == CLI_OK && n <= count; n++) {
        if (n > 1 && every_ms)
            poll(NULL, 0, every_ms > 86400000 ? 86400000 : (int)every_ms);
        result = publish_one(p, content, n);
    }
    return result;
}

int cmd_pub(struct cli *cli)
{
    struct publishing p = {.cli = cli};
    if (cli->args_count < 1 || cli->args_count > 3)
        return cli_usage(cli, "pub takes a channel, an event, and JSON");
    p.client = cli_client(cli);
    if (!p.client)
        return CLI_USAGE;
    int result = publish_all(cli, &p);
    tw_client_free(p.client);
    return result;
}

/* ---- sub --------------------------------------------------------------------------------- */

static void print_time(uint64_t ms)
{
    unsigned long long day = ms % 86400000;
    printf("%02llu:%02llu:%02llu.%03llu ", day / 3600000, day / 60000 % 60, day / 1000 % 60,
           day % 1000);
}

/* What a client said may be anything: a terminal must not obey it. Control characters (also the
 * C1 ones and those that turn the direction of writing) become '?'. */
static void print_safe(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;
        bool bidi = p[0] == 0xe2 && ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
                                     (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
        putchar(*p < 0x20 || *p == 0x7f || c1 || bidi ? '?' : *p);
        p += bidi ? 2 : c1 ? 1 : 0;
    }
}

static void print_message(struct cli *cli, const tw_event *e)
{
    if (cli->json) {
        printf("%s\n", e->json);
    } else if (cli_option(cli, "raw")) {
        printf("%s\n", e->content);
    } else {
        print_time(e->time_ms);
        print_safe(e->channel);
        printf(" #%llu ", (unsigned long long)e->offset);
        print_safe(e->event);
        putchar(' ');
        print_safe(e->content);
        putchar('\n');
    }
}

static void print_other(struct cli *cli, const tw_event *e)
{
    if (cli->json && *e->json) {
        printf("%s\n", e->json);
    } else if (strcmp(e->type, "lost") == 0) {
        cli_say(cli, "lost the connection (%s); coming back\n", e->message);
    } else if (strcmp(e->type, "back") == 0) {
        cli_say(cli, "back\n");
    } else if (strcmp(e->type, "gap") == 0) {
        cli_say(cli, "gap: %s\n", e->json);
    } else if (strcmp(e->type, "presence") == 0) {
        print_safe(e->channel);
        fputs(" presence ", stdout);
        print_safe(e->json);
        putchar('\n');
    } else if (strcmp(e->type, "subscribed") == 0 && cli->verbose) {
        cli_say(cli, "subscribed to %s at %llu\n", e->channel, (unsigned long long)e->offset);
    }
}

static int print_all(struct cli *cli, tw_client *c, unsigned count)
{
    tw_event e;
    for (unsigned seen = 0; count == 0 || seen < count;) {
        int got = tw_client_next(c, 60000, &e);
        if (got < 0)
            return cli_client_failed(c, got);
        if (got == 0)
            continue;
        if (strcmp(e.type, "error") == 0)
            return cli_fail("%s%s%s (%d)", e.message, *e.hint ? ". " : "", e.hint, e.code);
        if (strcmp(e.type, "message") == 0) {
            print_message(cli, &e);
            seen++;
        } else {
            print_other(cli, &e);
        }
        if (fflush(stdout) != 0)
            return CLI_FAILED; /* the reader of our output has gone */
    }
    return CLI_OK;
}

int cmd_sub(struct cli *cli)
{
    unsigned count = 0, history = 0;
    unsigned long long since_ms = 0;
    const char *since = cli_option(cli, "since");
    if (cli->args_count == 0)
        return cli_usage(cli, "sub takes channels");
    if (!number_option(cli, "count", &count) || !number_option(cli, "history", &history))
        return CLI_USAGE;
    if (since && !cli_duration(since, &since_ms))
        return cli_usage(cli, "--since: \"%s\" is not a duration; write 30s, 5m, 1h", since);
    tw_client *c = cli_client(cli);
    if (!c)
        return CLI_USAGE;
    if (since && !history)
        history = 1000;
    for (int i = 0; i < cli->args_count; i++)
        tw_client_subscribe(c, cli->args[i], history, since_ms, cli_option(cli, "presence"));
    int result = print_all(cli, c, count);
    tw_client_free(c);
    return result;
}

/* ---- tail -------------------------------------------------------------------------------- */

static void put_query(FILE *f, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9'))
            fputc(*p, f);
        else
            fprintf(f, "%%%02X", *p);
    }
}

/* Caller frees. */
static char *tail_path(struct cli *cli)
{
    char *path = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&path, &n);
    if (!f)
        return NULL;
    fprintf(f, "/api/tail?sessions=%d", cli_option(cli, "no-sessions") ? 0 : 1);
    for (int i = 0; i < cli->args_count; i++) {
        fputs("&channel=", f);
        put_query(f, cli->args[i]);
    }
    fclose(f);
    return path;
}

static void print_line(struct cli *cli, const tw_event *e)
{
    if (cli->json) {
        printf("%s\n", e->json);
    } else if (strcmp(e->type, "message") == 0) {
        print_message(cli, e);
    } else if (strcmp(e->type, "session") == 0) {
        print_time(e->time_ms);
        printf("%s %s ", e->event, e->id);
        print_safe(e->message);
        putchar('\n');
    } else if (strcmp(e->type, "dropped") == 0) {
        printf("%s\n", e->json);
    }
}

static int tail_all(struct cli *cli, tw_client *c, unsigned count)
{
    tw_event e;
    for (unsigned seen = 0; count == 0 || seen < count;) {
        int got = tw_client_next_line(c, 60000, &e);
        if (got < 0)
            return cli_client_failed(c, got);
        if (got == 0)
            continue;
        print_line(cli, &e);
        if (strcmp(e.type, "watching") == 0)
            cli_say(cli, "watching; Ctrl-C ends\n");
        else
            seen++;
        if (fflush(stdout) != 0)
            return CLI_FAILED;
    }
    return CLI_OK;
}

int cmd_tail(struct cli *cli)
{
    unsigned count = 0;
    char line[4096];
    const char *key = NULL;
    if (!number_option(cli, "count", &count))
        return CLI_USAGE;
    if (!cli_option(cli, "token") && !getenv("TIDEWIRE_TOKEN"))
        key = getenv("TIDEWIRE_SERVICE_KEY")
                  ? getenv("TIDEWIRE_SERVICE_KEY")
                  : from_dev_env("TIDEWIRE_SERVICE_KEY", line, sizeof(line));
    tw_client *c = client_with(cli, key);
    char *path = tail_path(cli);
    if (!c || !path) {
        tw_client_free(c);
        free(path);
        return CLI_USAGE;
    }
    int err = tw_client_watch(c, path);
    int result = err ? cli_client_failed(c, err) : tail_all(cli, c, count);
    free(path);
    tw_client_free(c);
    return result;
}

/* ---- health ------------------------------------------------------------------------------ */

int cmd_health(struct cli *cli)
{
    char *answer = NULL;
    if (cli->args_count > 0)
        return cli_usage(cli, "health takes no argument; --url names the server");
    tw_client *c = cli_client(cli);
    if (!c)
        return CLI_USAGE;
    int status = tw_client_http(c, "GET", "/health/ready", NULL, &answer);
    bool ready = status == 200;
    if (cli->json)
        printf("{\"ready\":%s,\"status\":%d}\n", ready ? "true" : "false", status > 0 ? status : 0);
    else if (ready)
        printf("ready\n");
    else if (status > 0)
        printf("not ready: %s\n", answer);
    else
        cli_client_failed(c, status);
    tw_free(answer);
    tw_client_free(c);
    return ready ? CLI_OK : CLI_UNREACHABLE;
}
