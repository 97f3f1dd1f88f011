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
#define MIN_PAYLOAD 32 /* stamp, number and topic of a message take all of it */

/* ---- options.c: what was asked for ---- */

typedef struct dialect dialect;
typedef enum { WINDOW_READER, WINDOW_ACK, WINDOW_CREDIT } window;

typedef struct {
    const char *host;
    int port;
    const dialect *dialect;
    int readers, publishers, idle, storm, slow;
    int topics, each, payload, batch, in_flight;
    double rate; /* messages a second of all publishers; 0 is a closed loop */
    window window;
    bool acks, deflate, evenly, poll, tls;
    const char *filling; /* a file: what the payloads are filled with, in place of zeros */
    double duration, warmup; /* seconds */
    uint64_t total_bytes, expect;
    pid_t server_pid;
    bool json;
} options;

extern options asked;

void read_options(int argc, char **argv);
_Noreturn void contradiction(const char *sentence);

/* ---- connection.c: bytes in and out of a socket that never blocks ---- */

typedef enum { READER, PUBLISHER, CREDITOR } role;
typedef enum { CONNECTING, SECURING, UPGRADING, GREETING, OPEN } stage;

typedef struct {
    int fd, number;
    role role;
    stage stage;
    bool slow;           /* will stop reading */
    bool reading;        /* is in the epoll set for reading */
    bool waits_to_write; /* is in it for writing */
    bool marked;
    bool drained; /* the last read had all that there was */
    int awaited; /* answers to what it said first, before it is open */

    uint8_t *tail; /* a message of which only the beginning has come */
    size_t tail_size, tail_room;
    uint8_t *out; /* what is still to be sent: [out_start, out_end) */
    size_t out_start, out_end, out_room;
    uint8_t *inner; /* of a stream inside a WebSocket: what is no whole message yet */
    size_t inner_size, inner_room;
    void *inflater;
    void *tls;

    int *topics;    /* of a reader with --each: what it subscribed to, ascending */
    uint64_t *next; /* wire: the next offset of each topic; others: the next number of each publisher and topic */
    uint64_t received, gaps, lost;
    uint64_t sent_ids, acknowledged_ids; /* of a publisher */
} connection;

void set_reading(connection *c, bool reading);
void receive(connection *c);
void *reserve_output(connection *c, size_t size);
void append_output(connection *c, const void *data, size_t size);
void flush_output(connection *c);
void say_goodbye(connection *c);
void cut_off(connection *c);
const char *who(const connection *c);
void watch_with(int epoll);
void watch(connection *c);

/* ---- websocket.c: RFC 6455 and 7692 from the client's side ---- */

typedef enum { TEXT = 1, BINARY = 2 } opcode;

void append_frame(connection *c, unsigned opcode, const void *data, size_t size);
size_t frame_size(const uint8_t *data, size_t size);
void take_frame(connection *c, const uint8_t *data, size_t size);
void start_inflating(connection *c);
void take_stream(connection *c, const uint8_t *data, size_t size);

/* ---- tls.c ---- */

bool secure(connection *c);
ssize_t read_secured(connection *c, void *data, size_t room);
ssize_t peek_secured(connection *c, void *data, size_t room);
ssize_t write_secured(connection *c, const void *data, size_t size);
void forget_secured(connection *c);

/* ---- opening.c ---- */

connection *start_opening(role role, int number);
void go_on_opening(connection *c);
void is_open(connection *c);
void one_answered(connection *c); /* of those that it awaits */

/* ---- topics.c: who reads what ---- */

void choose_topics(connection *reader);
int topic_count(const connection *reader);
int topic_of(const connection *reader, int index);
int next_topic(void);
uint64_t due_to(const connection *reader);

/* ---- payload.c: what a message is ---- */

void check_payload(connection *c, const uint8_t *data, size_t size);
void check_size(size_t size);
void sample_latency(const connection *c, const uint8_t *payload);
void count(connection *c, size_t messages);
void acknowledged(connection *c, uint64_t ids, uint64_t messages);

/* ---- dialects/: what is said to each kind of server, and what it says ---- */

typedef struct {
    uint8_t *data;
    size_t size, room;
    size_t id, id_size;   /* where the id of the publish is, if it has one */
    size_t first, stride; /* where the first payload is, and how far apart they are */
} template;

void add(template *t, const void *data, size_t size); /* zeros where data is NULL */
void add_payload(template *t, int topic);
/* --batch publishes, one behind the other. */
void make_each(template *t, int topic, void (*publish)(template *, int));
void add_frame_header(template *t, unsigned opcode, size_t size);

struct dialect {
    const char *name, *help;
    bool websocket;
    const char *headers; /* of the upgrade, beside what RFC 6455 asks for */
    bool acks, gaps, credit; /* what it has */
    void (*target)(const connection *, char *text, size_t room); /* of the upgrade */
    void (*greet)(connection *); /* what is said first; NULL where there is nothing to say */
    void (*make)(template *, int topic); /* the bytes of --batch publishes */
    size_t (*measure)(const uint8_t *data, size_t size); /* of a stream: a message's size, or 0 where that has not come */
    void (*on_message)(connection *, const uint8_t *data, size_t size);
    void (*on_text)(connection *, const uint8_t *data, size_t size);
};

extern const dialect WIRE, RAW, NATS, NATS_WEBSOCKET, REDIS, MQTT, SOCKET_IO;

/* ---- publisher.c: what the publishers say ---- */

void prepare_publishers(connection **publishers);
void publish(void);
void start_pacing(void);

/* ---- window.c: a stretch of time and what happened in it ---- */

typedef struct {
    uint64_t deliveries, published, bytes_in;
    uint64_t start_ns, end_ns;
    double own_cpu, server_cpu; /* seconds; readings at the start until the window is closed */
    double idle;                /* seconds in which it polled and nothing came, whoever had its core */
    double own_wait, server_wait; /* seconds in which it could have run, and another process had its core */
    uint64_t rss_start, rss_max;
    histogram latency;
} measurement;

typedef struct {
    bool publishing;
    uint64_t published;   /* messages, since the beginning */
    uint64_t returned;    /* of those, how many are no longer in flight */
    uint64_t owed, had;   /* with --each: deliveries of what was published, and those that came */
    bool polls;           /* instead of sleeping */
    uint64_t idle_ns;     /* how long it polled and nothing came, but for the time since */
    uint64_t idle_from;   /* when it began to do so; 0: it does not */
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
void report_storm(int connections, double opening, const measurement *back);

/* Ends the run: a sentence, and no figures. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
