/* Redis's pub/sub, in RESP2: arrays of bulk strings. */
#include "../load.h"

#include <stdio.h>
#include <string.h>

#define LINE_BYTES 64 /* more than the longest line: a count, or an error's beginning */

static void append_bulk(connection *c, const char *text) {
    char head[32];
    append_output(c, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", strlen(text)));
    append_output(c, text, strlen(text));
    append_output(c, "\r\n", 2);
}

static void greet(connection *c) {
    char text[64];
    if (c->role != READER) {
        append_output(c, "*1\r\n$4\r\nPING\r\n", 14);
        c->awaited = 1;
        return;
    }
    c->awaited = topic_count(c);
    append_output(c, text, (size_t)snprintf(text, sizeof text, "*%d\r\n", 1 + c->awaited));
    append_bulk(c, "SUBSCRIBE");
    for (int i = 0; i < c->awaited; i++) {
        snprintf(text, sizeof text, TOPIC_PREFIX "%d", topic_of(c, i));
        append_bulk(c, text);
    }
}

static void add_publish(template *t, int topic) {
    char name[32], head[128];
    snprintf(name, sizeof name, TOPIC_PREFIX "%d", topic);
    int size = snprintf(head, sizeof head, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%d\r\n", strlen(name), name, asked.payload);
    add(t, head, (size_t)size);
    add_payload(t, topic);
    add(t, "\r\n", 2);
}

static void make(template *t, int topic) { make_each(t, topic, add_publish); }

/* The number of a line such as "$64\r\n", and where the next begins; NULL where it has not come whole. */
static const uint8_t *read_line(const uint8_t *at, const uint8_t *end, long *number) {
    const uint8_t *close = memchr(at, '\n', (size_t)(end - at));
    if (!close) return NULL;
    *number = 0;
    for (at++; at < close && *at >= '0' && *at <= '9'; at++) *number = *number * 10 + (*at - '0');
    return close + 1;
}

/* Known only with the header of the last part, which in a message is the payload: what stands before it is short. */
static size_t measure(const uint8_t *data, size_t size) {
    const uint8_t *end = data + size, *at = data;
    long count, number;
    if (!size || !(at = read_line(at, end, &count))) return 0;
    if (*data != '*') return (size_t)(at - data);
    for (long i = 0; i < count; i++) {
        if (at >= end) return 0;
        bool bulk = *at == '$';
        if (!(at = read_line(at, end, &number))) return 0;
        if (!bulk) continue;
        at += number + 2;
        if (at > end) return i == count - 1 ? (size_t)(at - data) : 0;
    }
    return (size_t)(at - data);
}

static void on_message(connection *c, const uint8_t *data, size_t size) {
    static const char MESSAGE[] = "*3\r\n$7\r\nmessage\r\n";
    if (*data == '-') fail("Redis said to %s: %.*s", who(c), (int)size - 2, data + 1);
    if (c->stage != OPEN) {
        one_answered(c); /* +PONG, or a channel subscribed to */
    } else if (*data == ':') {
        if (asked.acks) acknowledged(c, 1, 1);
    } else if (size > sizeof MESSAGE && !memcmp(data, MESSAGE, sizeof MESSAGE - 1)) {
        check_payload(c, data + size - 2 - asked.payload, (size_t)asked.payload);
    }
}

const dialect REDIS = {
    .name = "redis",
    .help = "Redis, its pub/sub",
    .acks = true,
    .greet = greet,
    .make = make,
    .measure = measure,
    .on_message = on_message,
};
