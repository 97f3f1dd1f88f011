/* A stretch of time and what happened in it: messages, and the CPU and memory of both processes. */
#include "load.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

state now;

uint64_t clock_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
           + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Seconds in which it polled and nothing came. */
static double idle(void) {
    return (double)(now.idle_ns + (now.idle_from ? clock_ns() - now.idle_from : 0)) / 1e9;
}

static size_t read_proc(pid_t process, const char *name, char *text, size_t room) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", process, name);
    FILE *file = fopen(path, "r");
    if (!file) fail("there is no %s: is --server-pid the process of the server?", path);
    size_t size = fread(text, 1, room - 1, file);
    fclose(file);
    text[size] = 0;
    return size;
}

static double wait_of(pid_t process) {
    char text[256];
    unsigned long long ran, waited;
    if (!process) return 0;
    read_proc(process, "schedstat", text, sizeof text);
    return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? (double)waited / 1e9 : 0;
}

static double server_cpu(void) {
    char text[1024];
    unsigned long user, system;
    if (!asked.server_pid) return 0;
    read_proc(asked.server_pid, "stat", text, sizeof text);
    const char *after_name = strrchr(text, ')'); /* the name may hold spaces and parentheses */
    if (!after_name || sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail("cannot read the CPU time in /proc/%d/stat", asked.server_pid);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

uint64_t server_rss(void) {
    char text[4096];
    unsigned long kibibytes = 0;
    if (!asked.server_pid) return 0;
    read_proc(asked.server_pid, "status", text, sizeof text);
    const char *line = strstr(text, "VmRSS:");
    if (!line || sscanf(line, "VmRSS: %lu", &kibibytes) != 1) fail("the server (process %d) has ended", asked.server_pid);
    return (uint64_t)kibibytes << 10;
}

void sample_memory(measurement *m) {
    uint64_t rss = server_rss();
    if (rss > m->rss_max) m->rss_max = rss;
}

void open_window(measurement *m) {
    memset(m, 0, sizeof *m);
    m->rss_start = m->rss_max = server_rss();
    m->own_cpu = own_cpu();
    m->idle = idle();
    m->server_cpu = server_cpu();
    m->own_wait = wait_of(getpid());
    m->server_wait = wait_of(asked.server_pid);
    m->start_ns = clock_ns();
    now.current = m;
}

void close_window(measurement *m) {
    m->end_ns = clock_ns();
    m->own_cpu = own_cpu() - m->own_cpu;
    m->idle = idle() - m->idle;
    double busy = (double)(m->end_ns - m->start_ns) / 1e9 - m->idle;
    if (now.polls && m->own_cpu > busy) m->own_cpu = busy; /* without what it polled for nothing */
    m->server_cpu = server_cpu() - m->server_cpu;
    m->own_wait = wait_of(getpid()) - m->own_wait;
    m->server_wait = wait_of(asked.server_pid) - m->server_wait;
    sample_memory(m);
}
