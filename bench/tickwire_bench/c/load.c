/* A load generator for Tickwire: one thread, one core. This file is the run: open, warm up, measure, drain, report. */
#include "load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <errno.h>
#include <string.h>

#define OPEN_NS 10000000000ull  /* how long nothing may happen while connections open */
#define AT_ONCE 16              /* connections that open */
#define DRAIN_NS 10000000000u   /* how long nothing may come of what is on its way */
#define RESUME_NS 1000000000u   /* how long a reader that was slow must go on live */
#define SAMPLE_NS 100000000u    /* between looks at the server's memory */
#define EVENTS 256

static connection **readers, **publishers;
static int epoll_fd;
static measurement live, stalled;

static void raise_limit_on_files(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* What came, at most so late. Who polls instead of sleeping needs no waking, and is idle while nothing comes. */
static int wait_for_events(struct epoll_event *events, int timeout_ms) {
    uint64_t before = now.polls ? clock_ns() : 0;
    int count = epoll_wait(epoll_fd, events, EVENTS, now.polls ? 0 : timeout_ms);
    if (!now.polls) return count;
    if (count <= 0 && !now.idle_from) now.idle_from = before;
    else if (count > 0 && now.idle_from) now.idle_ns += before - now.idle_from, now.idle_from = 0;
    return count;
}

/* One turn: what came, and right after reader 0 had something, what may go. */
static void turn(int timeout_ms) {
    struct epoll_event events[EVENTS];
    int count = wait_for_events(events, timeout_ms);
    for (int i = 0; i < count; i++) {
        connection *c = events[i].data.ptr;
        if (c->stage != OPEN) {
            go_on_opening(c);
            continue;
        }
        uint64_t returned = now.returned, had = now.had;
        if (events[i].events & EPOLLOUT) flush_output(c);
        if (events[i].events & (EPOLLHUP | EPOLLERR) || (c->reading && events[i].events & EPOLLIN)) receive(c);
        if (now.returned != returned || (asked.each && now.had != had)) publish();
    }
    publish();
}

static int count_open(connection **all, int count) {
    int open = 0;
    for (int i = 0; i < count; i++) open += all[i]->stage == OPEN;
    return open;
}

/* Waits until all of them are open. */
static void wait_for(connection **all, int count) {
    uint64_t heard = clock_ns();
    for (int open = 0, before = 0; (open = count_open(all, count)) < count; before = open) {
        if (open > before) heard = clock_ns();
        if (clock_ns() > heard + OPEN_NS)
            for (int i = 0; i < count; i++)
                if (all[i]->stage != OPEN)
                    fail("the server did not answer %s within %llu s of opening", who(all[i]), OPEN_NS / 1000000000u);
        turn(20);
    }
}

/* So many at once that none of them waits for the other's way, and so few that no backlog is full. */
static connection **open_all(role role, int count, int at_once) {
    connection **all = calloc((size_t)count + 1, sizeof *all);
    if (!all) fail("out of memory");
    for (int done = 0; done < count; done += at_once) {
        int these = count - done < at_once ? count - done : at_once;
        for (int i = done; i < done + these; i++) all[i] = start_opening(role, i);
        wait_for(all + done, these);
    }
    return all;
}

static void close_all(connection **all, int count) {
    for (int i = 0; i < count; i++) say_goodbye(all[i]);
}

/* `messages`, or what was published where that is 0. */
static bool everybody_has(uint64_t messages) {
    for (int i = 0; i < asked.readers; i++)
        if (readers[i]->received + readers[i]->lost < (messages ? messages : due_to(readers[i]))) return false;
    for (int i = 0; i < asked.publishers; i++)
        if (publishers[i]->acknowledged_ids < publishers[i]->sent_ids || publishers[i]->waits_to_write) return false;
    return true;
}

static void run_for(double seconds, const measurement *m, uint64_t bytes) {
    uint64_t start = clock_ns(), end = start + (uint64_t)(seconds * 1e9), sampled = start, time;
    while ((time = clock_ns()) < end) {
        if (bytes && m->published * (uint64_t)asked.payload >= bytes) return;
        if (asked.expect && everybody_has(asked.expect)) return;
        if (asked.slow && m && time > sampled + SAMPLE_NS) {
            sample_memory(now.current);
            sampled = time;
        }
        uint64_t left_ms = (end - time) / 1000000;
        /* Whole milliseconds: a sleep below that would spin, and steal from the server what it is to be measured with. */
        turn(asked.rate ? 1 : left_ms < 20 ? (int)left_ms + 1 : 20);
    }
}

static void drain(void) {
    uint64_t deadline = clock_ns() + DRAIN_NS, had = now.had;
    now.publishing = false;
    while (!everybody_has(0)) {
        if (now.had != had) had = now.had, deadline = clock_ns() + DRAIN_NS;
        if (clock_ns() > deadline) break;
        turn(20);
    }
    for (int i = 0; i < asked.readers; i++) {
        uint64_t had = readers[i]->received + readers[i]->lost;
        if (had != due_to(readers[i]))
            fail("reader %d had %llu of %llu messages %llu s after the last", i, (unsigned long long)had,
                 (unsigned long long)due_to(readers[i]), (unsigned long long)(DRAIN_NS / 1000000000u));
    }
    if (!everybody_has(0)) fail("not every publish was acknowledged");
}

static void set_slow_reading(bool reading) {
    for (int i = asked.readers - asked.slow; i < asked.readers; i++) set_reading(readers[i], reading);
}

static bool slow_are_level(void) {
    for (int i = asked.readers - asked.slow; i < asked.readers; i++)
        if (!readers[i]->marked) return false;
    return true;
}

static void measure_stalled(void) {
    set_slow_reading(false);
    open_window(&stalled);
    run_for(86400, &stalled, asked.total_bytes);
    close_window(&stalled);
    now.current = NULL;
    set_slow_reading(true);
    for (uint64_t deadline = clock_ns() + DRAIN_NS; !slow_are_level();) {
        if (clock_ns() > deadline) fail("a reader that was slow was not told that it is level again");
        turn(20);
    }
    run_for((double)RESUME_NS / 1e9, NULL, 0);
}

static void measure(void) {
    readers = open_all(READER, asked.readers, AT_ONCE);
    if (asked.window == WINDOW_CREDIT) open_all(CREDITOR, 1, 1);
    publishers = open_all(PUBLISHER, asked.publishers, AT_ONCE);
    for (int i = asked.readers - asked.slow; i < asked.readers; i++) readers[i]->slow = true;
    prepare_publishers(publishers);
    if (!asked.publishers) fprintf(stderr, "load: readers waiting for messages: %d\n", asked.readers);
    now.publishing = asked.publishers > 0;
    now.polls = asked.poll;
    start_pacing();
    publish();
    run_for(asked.warmup, NULL, 0);
    open_window(&live);
    run_for(asked.duration, &live, asked.slow ? 0 : asked.total_bytes);
    close_window(&live);
    now.current = NULL;
    if (asked.expect && !everybody_has(asked.expect)) fail("not every reader had %llu messages in time", (unsigned long long)asked.expect);
    if (asked.slow) measure_stalled();
    if (asked.publishers) drain();
    report(&live, &stalled, readers);
    close_all(publishers, asked.publishers);
    close_all(readers, asked.readers);
}

static void hold_idle(void) {
    asked.topics = 1;
    connection **idle = open_all(READER, asked.idle, AT_ONCE);
    report_idle(asked.idle);
    uint64_t end = clock_ns() + (uint64_t)(asked.duration * 1e9);
    while (clock_ns() < end) turn(100);
    close_all(idle, asked.idle);
}

/* Everybody is gone at once, and back at once: what a broker meets that was restarted. */
static void storm(void) {
    static measurement back;
    asked.topics = 1;
    uint64_t began = clock_ns();
    connection **all = open_all(READER, asked.storm, AT_ONCE);
    uint64_t opened = clock_ns();
    for (int i = 0; i < asked.storm; i++) cut_off(all[i]);
    free(all);
    open_window(&back);
    all = open_all(READER, asked.storm, asked.storm);
    close_window(&back);
    report_storm(asked.storm, (double)(opened - began) / 1e9, &back);
    close_all(all, asked.storm);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    raise_limit_on_files();
    epoll_fd = epoll_create1(0);
    if (epoll_fd < 0) fail("epoll: %s", strerror(errno));
    watch_with(epoll_fd);
    if (asked.storm) storm();
    else if (asked.idle) hold_idle();
    else measure();
    return 0;
}
