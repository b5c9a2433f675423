/* SPDX-License-Identifier: Apache-2.0 */
/* init: the two files a server of one's own begins with. */
#include "cli/cli.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char settings[] =
    "# Tidewire. `tidewire config defaults` shows every setting, `tidewire config check` checks\n"
    "# this file. Secrets stand in .env beside it.\n"
    "http:\n"
    "  # Local only: put a proxy with TLS in front, or set tls.cert_file and tls.key_file and\n"
    "  # listen on :443.\n"
    "  listen: 127.0.0.1:8787\n"
    "  # Pages of other origins that may connect:\n"
    "  origins: []\n"
    "\n"
    "auth:\n"
    "  # The secret of your tokens (HS256) is TIDEWIRE_AUTH_JWT_SECRET of .env; `tidewire dev`\n"
    "  # has one of its own.\n"
    "  # Clients without a token? They get the role anon.\n"
    "  anonymous: false\n"
    "\n"
    "channels:\n"
    "  # Who may do what. The first row that says something decides; without one, nobody may.\n"
    "  rules:\n"
    "    - match: \"private:*\"          # private:<user> is for that user alone\n"
    "      allow:\n"
    "        subscribe: authenticated if segment(2) == sub\n"
    "        publish: authenticated if segment(2) == sub\n"
    "    - match: \"cursor:*\"           # many small messages of which the newest matters\n"
    "      history: {count: 0}\n"
    "      slow: latest-by-key\n"
    "      throttle_ms: 50ms\n"
    "      allow: {subscribe: authenticated, publish: authenticated}\n"
    "    - match: \"*\"\n"
    "      allow: {subscribe: authenticated, publish: authenticated}\n";

static int write_file(struct cli *cli, const char *folder, const char *name, mode_t mode,
                      const char *text)
{
    char path[4096];
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (cli_option(cli, "force") ? O_TRUNC : O_EXCL);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, flags, mode);
    if (fd < 0)
        return cli_fail("%s: %s%s", path, strerror(errno),
                        errno == EEXIST ? "; --force replaces it" : "");
    size_t n = strlen(text);
    bool good = fchmod(fd, mode) == 0 && write(fd, text, n) == (ssize_t)n;
    int kept = errno;
    good = close(fd) == 0 && good;
    if (!good)
        return cli_fail("%s: %s", path, strerror(kept));
    cli_say(cli, "wrote %s\n", path);
    return CLI_OK;
}

int cmd_init(struct cli *cli)
{
    const char *folder = cli_option(cli, "dir");
    char env[256];
    if (cli->args_count > 0)
        return cli_usage(cli, "init takes no argument; --dir names the folder");
    if (!folder)
        folder = ".";
    char *secret = tw_secret();
    snprintf(env, sizeof(env), "TIDEWIRE_AUTH_JWT_SECRET=%s\n", secret);
    tw_free(secret);
    int result = write_file(cli, folder, "tidewire.yaml", 0644, settings);
    if (result == CLI_OK)
        result = write_file(cli, folder, ".env", 0600, env);
    memset(env, 0, sizeof(env));
    if (result == CLI_OK)
        cli_say(cli, "next: set -a; . %s/.env; set +a; tidewire serve -c %s/tidewire.yaml\n",
                folder, folder);
    return result;
}
