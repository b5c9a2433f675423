/* SPDX-License-Identifier: Apache-2.0 */
/* The secret carries a mark (CONFIG_DEV_SECRET) by which everything but `dev` refuses it, so a
 * setting that was copied from a laptop cannot open a public server. The keys are tokens with
 * fixed times, so that they do not change from start to start. */
#include "server/dev.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "loop/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_BYTES 32
#define ISSUED 1767225600ULL  /* 2026-01-01 */
#define EXPIRES 2082758400ULL /* 2036-01-01 */

static const char origins[] = "http://localhost,http://localhost:*,http://127.0.0.1,"
                              "http://127.0.0.1:*,http://[::1]:*,https://localhost:*,"
                              "https://127.0.0.1:*";
static const char rules[] = "[{match: '*', allow: {subscribe: '*', publish: '*', presence: '*', "
                            "track: '*', history: '*'}}]";

/* The guide's chat. */
static const char events[] =
    "[{on: join-room, join: '$args[0]', emit: user-joined, to: '$args[0]', once: true, "
    "data: '{\"userId\": $sub, \"userName\": $claims.name}'}, "
    "{on: leave-room, leave: '$args[0]'}, "
    "{on: send-message, emit: new-message, to: '$args[0].roomId', "
    "data: '{\"userId\": $sub, \"userName\": $claims.name, \"message\": $args[0].message, "
    "\"timestamp\": $now}'}, "
    "{on: typing-start, emit: user-typing, to: '$args[0]', until: typing-stop, ttl_ms: 10s, "
    "data: '{\"userId\": $sub}'}, "
    "{on: typing-stop, emit: user-stopped-typing, to: '$args[0]', data: '{\"userId\": $sub}'}]";

static char *path_in(struct str folder, const char *name)
{
    struct buf path = {0};
    buf_add_str(&path, folder);
    if (folder.n == 0 || folder.p[folder.n - 1] != '/')
        buf_add_c(&path, '/');
    buf_add_z(&path, name);
    char *z = str_dup(buf_str(&path));
    buf_free(&path);
    return z;
}

static void make_secret(struct buf *out)
{
    uint8_t bytes[SECRET_BYTES];
    clock_random_bytes(bytes, sizeof(bytes));
    buf_add_z(out, CONFIG_DEV_SECRET);
    base64url_encode(out, str_of((const char *)bytes, sizeof(bytes)));
}

/* All of bytes into a new file with mode 0600; errno on failure. */
static bool write_private(const char *path, int flags, struct str bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0)
        return false;
    bool good = fchmod(fd, 0600) == 0;
    while (good && bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        good = n > 0 || (n < 0 && errno == EINTR);
        bytes = str_skip(bytes, n > 0 ? (size_t)n : 0);
    }
    int kept = errno;
    good = close(fd) == 0 && good;
    errno = kept;
    return good;
}

static bool read_secret(const char *path, struct buf *out)
{
    char text[128];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n > 0)
        buf_add_str(out, str_trim(str_of(text, (size_t)(text[n - 1] == '\n' ? n - 1 : n))));
    errno = EINVAL;
    return str_starts(buf_str(out), STR(CONFIG_DEV_SECRET));
}

/* The stored secret, made now if there is none. */
static bool keep_secret(const char *path, struct buf *out)
{
    if (read_secret(path, out))
        return true;
    if (errno != ENOENT)
        return false;
    make_secret(out);
    buf_add_c(out, '\n');
    bool good = write_private(path, O_EXCL, buf_str(out));
    out->n--;
    return good;
}

static int fault(struct config_draft *d, const char *path, const char *why)
{
    struct buf text = {0};
    buf_printf(&text, "%s: %s. Choose another folder with --data", path, why);
    buf_add_c(&text, 0);
    config_draft_complain(d, "data", text.p ? text.p : path);
    buf_free(&text);
    return -1;
}

int dev_prepare(struct config_draft *d)
{
    config_draft_develop(d);
    config_draft_set(d, CONFIG_FROM_DEV, "data", STR("./tidewire-data"));
    char *data = str_dup(config_draft_said(d, "data"));
    char *path = path_in(str_from(data), "dev.secret");
    struct buf secret = {0};
    int result = 0;
    if (mkdir(data, 0700) != 0 && errno != EEXIST) {
        result = fault(d, data, strerror(errno));
    } else if (!keep_secret(path, &secret)) {
        result = fault(d, path,
                       errno == EINVAL ? "does not hold a development secret (remove it and a "
                                         "new one is made)"
                                       : strerror(errno));
    } else {
        config_draft_set(d, CONFIG_FROM_DEV, "auth.jwt_secret", buf_str(&secret));
        config_draft_set(d, CONFIG_FROM_DEV, "auth.anonymous", STR("true"));
        config_draft_set(d, CONFIG_FROM_DEV, "http.origins", STR(origins));
        config_draft_set(d, CONFIG_FROM_DEV, "channels.rules", STR(rules));
        config_draft_set(d, CONFIG_FROM_DEV, "socketio.events", STR(events));
        config_draft_set(d, CONFIG_FROM_DEV, "drain.timeout", STR("1s"));
        config_draft_set(d, CONFIG_FROM_DEV, "database.file", STR("tidewire.db"));
        config_draft_set(d, CONFIG_FROM_DEV, "database.demo", STR("true"));
    }
    buf_free(&secret);
    mem_free(path);
    mem_free(data);
    return result;
}

/* ---- keys -------------------------------------------------------------------------------- */

/* The role at the end of a dotted path: a.b -> "a":{"b":role} */
static void add_role(struct buf *claims, struct str path, struct str role)
{
    size_t depth = 0;
    for (; path.p; depth++) {
        struct str name = str_cut(&path, '.');
        buf_add_c(claims, depth ? '{' : ',');
        json_add_string(claims, name);
        buf_add_c(claims, ':');
    }
    json_add_string(claims, role);
    while (depth-- > 1)
        buf_add_c(claims, '}');
}

int dev_mint(const struct config *c, const struct keyring *keys, const struct dev_user *user,
             struct buf *out)
{
    struct buf claims = {0};
    buf_add_c(&claims, '{');
    json_add_field(&claims, "iss", STR("tidewire"));
    if (user->id.n) {
        json_add_field(&claims, "sub", user->id);
        json_add_field(&claims, "name", user->name);
    }
    add_role(&claims, c->auth_role_claim, user->role);
    json_add_u64(&claims, "iat", user->issued);
    json_add_u64(&claims, "exp", user->expires);
    buf_add_c(&claims, '}');
    int err = keyring_mint(keys, buf_str(&claims), out);
    buf_free(&claims);
    return err;
}

int dev_keys(const struct config *c, const struct keyring *keys, struct buf *anon,
             struct buf *service)
{
    struct dev_user user = {.role = c->auth_anonymous_role, .issued = ISSUED, .expires = EXPIRES};
    int err = dev_mint(c, keys, &user, anon);
    user.role = c->auth_service_role;
    return err ? err : dev_mint(c, keys, &user, service);
}

static struct str first_secret(const struct config *c)
{
    struct str secret = c->auth_jwt_secret.hidden;
    for (size_t i = 0; secret.n == 0 && i < c->auth_keys_count; i++)
        secret = c->auth_keys[i].secret.hidden;
    return secret;
}

int dev_write_env(const struct config *c, const struct keyring *keys, struct str url,
                  struct buf *why)
{
    struct buf text = {0}, anon = {0}, service = {0};
    buf_printf(&text, "TIDEWIRE_URL=%.*s\n", STR_ARG(url));
    if (dev_keys(c, keys, &anon, &service) == 0) {
        buf_printf(&text, "TIDEWIRE_ANON_KEY=%.*s\n", STR_ARG(buf_str(&anon)));
        buf_printf(&text, "TIDEWIRE_SERVICE_KEY=%.*s\n", STR_ARG(buf_str(&service)));
        buf_printf(&text, "TIDEWIRE_JWT_SECRET=%.*s\n", STR_ARG(first_secret(c)));
    }
    char *path = path_in(c->data, "dev.env"), *fresh = path_in(c->data, "dev.env.new");
    /* Whoever waits for the file finds all of it or none. */
    bool good = write_private(fresh, O_TRUNC, buf_str(&text)) && rename(fresh, path) == 0;
    if (!good)
        buf_printf(why, "cannot write \"%s\": %s", path, strerror(errno));
    mem_free(path);
    mem_free(fresh);
    buf_free(&text);
    buf_free(&anon);
    buf_free(&service);
    return good ? 0 : E_UNAVAILABLE;
}
