/* SPDX-License-Identifier: Apache-2.0 */
/* What the measured server has used: its processes' CPU clocks (all threads, nanoseconds), the
 * kernel threads that finish its packets, its memory (PSS), the kernel's TCP pages. */
#include "load.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t load_now_us(void)
{
    return clock_ns(CLOCK_MONOTONIC) / 1000;
}

static uint64_t cpu_of(pid_t pid)
{
    clockid_t id;
    return clock_getcpuclockid(pid, &id) == 0 ? clock_ns(id) : 0;
}

static bool read_file(char *text, size_t size, const char *format, long n)
{
    char path[64];
    snprintf(path, sizeof(path), format, n);
    FILE *f = fopen(path, "re");
    size_t got = f ? fread(text, 1, size - 1, f) : 0;
    if (f)
        fclose(f);
    text[got] = 0;
    return got > 0;
}

static uint64_t number_after(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    return p ? strtoull(p + strlen(key), NULL, 10) : 0;
}

static void add_process(pid_t pid, struct usage *u)
{
    char text[4096];
    u->cpu_ns += cpu_of(pid);
    if (read_file(text, sizeof(text), "/proc/%ld/stat", pid)) {
        char *p = strrchr(text, ')');
        for (int i = 0; p && i < 12; i++)
            p = strchr(p + 1, ' ');
        if (p) {
            uint64_t user = strtoull(p, &p, 10), kernel = strtoull(p, NULL, 10);
            u->user_ticks += user;
            u->ticks += user + kernel;
        }
    }
    if (read_file(text, sizeof(text), "/proc/%ld/smaps_rollup", pid)) {
        u->pss += 1024 * number_after(text, "\nPss:");
        u->anon += 1024 * number_after(text, "\nAnonymous:");
    }
}

static pid_t softirqd[256];
static size_t softirqd_count;

static void find_softirqd(void)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    while (d && (e = readdir(d)) && softirqd_count < 256) {
        char text[64];
        long pid = strtol(e->d_name, NULL, 10);
        if (pid > 0 && read_file(text, sizeof(text), "/proc/%ld/comm", pid) &&
            strncmp(text, "ksoftirqd/", 10) == 0)
            softirqd[softirqd_count++] = (pid_t)pid;
    }
    if (d)
        closedir(d);
}

void usage_read(const struct load_options *o, struct usage *u)
{
    char text[4096];
    *u = (struct usage){0};
    if (!softirqd_count)
        find_softirqd();
    for (size_t i = 0; i < o->pids_count; i++)
        add_process(o->pids[i], u);
    for (size_t i = 0; i < softirqd_count; i++)
        u->softirq_ns += cpu_of(softirqd[i]);
    if (read_file(text, sizeof(text), "/proc/net/sockstat%.0ld", 0)) {
        const char *tcp = strstr(text, "TCP: ");
        u->tcp_pages = tcp ? number_after(tcp, " mem ") : 0;
    }
}

bool load_need_files(unsigned count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return count + 32 <= limit.rlim_cur;
}
