/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a folder (`http.folder`, `tidewire dev DIR`), for a page that stands beside the server.
 * They are read by a worker, whole, when they are asked for: enough for development and small
 * sites; a busy one has a web server in front.
 *
 * What may be seen is decided by where the opened file really lies (/proc/self/fd), not by its
 * name: below the folder, with no part that begins with a dot, and not in the data folder, which
 * holds secrets and may well stand beside the page. */
#include "api/api_priv.h"

#include "base/mem.h"
#include "loop/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 << 20, WAITING_MAX = 1024, PATH_BYTES_MAX = 4096 };

struct folder {
    struct worker_lane *lane;
    char *root;    /* real path, without a slash at the end */
    char *secrets; /* real path of the data folder; NULL = none */
};

struct reading {
    struct worker_job job;
    const struct folder *folder;
    struct http_request *req; /* NULL: the client has gone */
    int err;
    struct buf body;
    char etag[64];
    const char *type;
    char path[]; /* decoded, begins with a slash */
};

static const struct {
    const char *end, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".htm", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".wasm", "application/wasm"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/plain; charset=utf-8"},
};

static const char *type_of(struct str path)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (str_ends(path, str_from(types[i].end)))
            return types[i].type;
    }
    return "application/octet-stream";
}

/* ---- on the worker ----------------------------------------------------------------------- */

static bool is_inside(struct str path, const char *root)
{
    size_t n = strlen(root);
    return str_starts(path, str_from(root)) && (path.n == n || path.p[n] == '/' || n == 1);
}

static bool has_hidden_part(struct str path)
{
    return str_find_str(path, STR("/.")) >= 0;
}

/* Where an open file really lies: may it be seen? */
static bool may_be_seen(const struct folder *f, int fd)
{
    char link[64], real[PATH_BYTES_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, real, sizeof(real));
    if (n <= 0 || n == sizeof(real))
        return false;
    struct str path = str_of(real, (size_t)n);
    return is_inside(path, f->root) && !has_hidden_part(str_skip(path, strlen(f->root))) &&
           !(f->secrets && is_inside(path, f->secrets));
}

static int open_below(const struct folder *f, const char *path)
{
    char full[PATH_BYTES_MAX];
    int n = snprintf(full, sizeof(full), "%s%s", f->root, path);
    if (n < 0 || (size_t)n >= sizeof(full))
        return -1;
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && !may_be_seen(f, fd)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int read_all(int fd, const struct stat *st, struct buf *out)
{
    if (st->st_size > FILE_BYTES_MAX)
        return E_TOO_LARGE;
    if (!buf_reserve(out, (size_t)st->st_size))
        return E_NO_MEMORY;
    while (out->n < (size_t)st->st_size) {
        ssize_t n = read(fd, out->p + out->n, (size_t)st->st_size - out->n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* it has become shorter */
        out->n += (size_t)n;
    }
    return 0;
}

static int read_path(struct reading *r, const char *path)
{
    struct stat st;
    int fd = open_below(r->folder, path);
    if (fd < 0)
        return E_NOT_FOUND;
    int err = fstat(fd, &st) != 0 ? E_NOT_FOUND : 0;
    if (!err && S_ISREG(st.st_mode)) {
        snprintf(r->etag, sizeof(r->etag), "\"%llx-%llx%08lx\"", (unsigned long long)st.st_size,
                 (unsigned long long)st.st_mtim.tv_sec, (unsigned long)st.st_mtim.tv_nsec);
        r->type = type_of(str_from(path));
        err = read_all(fd, &st, &r->body);
    } else if (!err) {
        err = S_ISDIR(st.st_mode) ? E_UNSUPPORTED : E_NOT_FOUND;
    }
    close(fd);
    return err;
}

static void work(struct worker_job *job)
{
    struct reading *r = (struct reading *)job;
    char index[PATH_BYTES_MAX];
    size_t n = strlen(r->path);
    r->err = read_path(r, r->path);
    if (r->err != E_UNSUPPORTED)
        return;
    r->err = E_NOT_FOUND; /* a folder: its page, when the name ends in a slash */
    if (r->path[n - 1] == '/' &&
        (size_t)snprintf(index, sizeof(index), "%sindex.html", r->path) < sizeof(index))
        r->err = read_path(r, index);
    if (r->err == E_UNSUPPORTED)
        r->err = E_NOT_FOUND;
}

/* ---- on the loop ------------------------------------------------------------------------- */

static void answer(struct reading *r)
{
    struct http_request *req = r->req;
    req->on_abort = NULL;
    if (r->err) {
        http_reply_error(req, r->err, NULL);
        return;
    }
    http_add_header(req, "ETag", str_from(r->etag));
    http_add_header(req, "Cache-Control", STR("no-cache"));
    if (str_is(http_header(req, "If-None-Match"), r->etag)) {
        http_reply(req, 304, NULL, STR_NONE);
        return;
    }
    http_add_header(req, "X-Content-Type-Options", STR("nosniff"));
    http_reply(req, 200, r->type, r->body.n ? buf_str(&r->body) : STR(""));
}

static void done(struct loop *l, struct worker_job *job)
{
    struct reading *r = (struct reading *)job;
    (void)l;
    if (r->req)
        answer(r);
    buf_free(&r->body);
    mem_free(r);
}

static void on_abort(struct http_request *req)
{
    ((struct reading *)req->state)->req = NULL;
}

void folder_on_request(struct http_request *req)
{
    struct folder *f = req->route_arg;
    struct str path = req->path;
    if (path.n == 0 || path.n >= PATH_BYTES_MAX || memchr(path.p, 0, path.n)) {
        http_reply_error(req, E_NOT_FOUND, NULL);
        return;
    }
    struct reading *r = mem_new(sizeof(*r) + path.n + 1);
    memcpy(r->path, path.p, path.n);
    r->folder = f;
    r->req = req;
    r->job.work = work;
    r->job.done = done;
    if (!worker_post(f->lane, req->loop, &r->job)) {
        mem_free(r);
        http_reply_error(req, E_UNAVAILABLE, NULL);
        return;
    }
    req->state = r;
    req->on_abort = on_abort;
}

struct folder *folder_open(const char *path, const char *secrets)
{
    char *root = realpath(path, NULL), *hidden = realpath(secrets, NULL);
    struct folder *f = NULL;
    if (root) {
        f = mem_new(sizeof(*f));
        f->root = str_dup(str_from(root));
        f->secrets = hidden ? str_dup(str_from(hidden)) : NULL;
        f->lane = worker_lane_new(2, WAITING_MAX);
    }
    free(root); /* the C library's */
    free(hidden);
    return f;
}

void folder_close(struct folder **folder)
{
    struct folder *f = *folder;
    *folder = NULL;
    if (!f)
        return;
    worker_lane_close(&f->lane);
    mem_free(f->root);
    mem_free(f->secrets);
    mem_free(f);
}
