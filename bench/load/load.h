/* The nouns of the load tool, and which file does what with them. */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE /* so this header comes first in each file */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"

#define TOPIC_PREFIX "bench."
#define CREDIT_TOPIC "credit.bench" /* not in bench.* */
#define MAX_TOPICS 100000
#define MIN_PAYLOAD 32 /* the stamp and the number of a message take 28 bytes */

/* ---- options.c: what was asked for ---- */

typedef enum { MODE_WIRE, MODE_RAW } mode;
typedef enum { WINDOW_READER, WINDOW_ACK, WINDOW_CREDIT } window;

typedef struct {
    const char *host;
    int port;
    mode mode;
    int readers, publishers, idle, slow;
    int topics, payload, batch, in_flight;
    double rate; /* messages a second of all publishers; 0 is a closed loop */
    window window;
    bool acks;
    double duration, warmup; /* seconds */
    uint64_t total_bytes, expect;
    pid_t server_pid;
    bool json;
} options;

extern options asked;

void read_options(int argc, char **argv);

/* ---- connection.c: a WebSocket that never blocks ---- */

typedef enum { READER, PUBLISHER, CREDITOR } role;

typedef struct {
    int fd, number;
    role role;
    bool slow;           /* will stop reading */
    bool reading;        /* is in the epoll set for reading */
    bool waits_to_write; /* is in it for writing */
    bool upgraded, welcomed, subscribed, marked;

    uint8_t *tail; /* a message of which only the beginning has come */
    size_t tail_size, tail_room;
    uint8_t *out; /* what is still to be sent: [out_start, out_end) */
    size_t out_start, out_end, out_room;

    uint64_t *next;         /* wire: the next offset of each topic; raw: the next number of each publisher */
    uint64_t received, gaps, lost;
    uint64_t sent_ids, acknowledged_ids; /* of a publisher */
} connection;

void set_reading(connection *c, bool reading);
void receive(connection *c);
void reserve_output(connection *c, size_t size);
void append_message(connection *c, const void *data, size_t size);
void flush_output(connection *c);
void say_goodbye(connection *c);
const char *who(const connection *c);
void watch_with(int epoll);
void watch(connection *c);

/* ---- opening.c ---- */

connection *open_connection(role role, int number);

/* ---- messages.c: what the server says ---- */

void on_message(connection *c, const uint8_t *data, size_t size);
void append_hello(connection *c);
void append_subscribe(connection *c, const char *pattern);

/* ---- publisher.c: what the publishers say ---- */

void prepare_publishers(connection **publishers);
void publish(void);
void start_pacing(void);

/* ---- window.c: a stretch of time and what happened in it ---- */

typedef struct {
    uint64_t deliveries, published;
    uint64_t start_ns, end_ns;
    double own_cpu, server_cpu; /* seconds; readings at the start until the window is closed */
    double own_wait, server_wait; /* seconds in which it could have run, and another process had its core */
    uint64_t rss_start, rss_max;
    histogram latency;
} measurement;

typedef struct {
    bool publishing;
    uint64_t published;   /* messages, since the beginning */
    uint64_t returned;    /* of those, how many are no longer in flight */
    uint64_t read_ns;     /* when the bytes being looked at were read */
    measurement *current; /* where deliveries are counted now */
} state;

extern state now;

void open_window(measurement *m);
void close_window(measurement *m);
void sample_memory(measurement *m);
uint64_t server_rss(void);
uint64_t clock_ns(void);

/* ---- report.c ---- */

void report(const measurement *live, const measurement *stalled, connection **readers);
void report_idle(int connections);

/* Ends the run: a sentence, and no figures. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
