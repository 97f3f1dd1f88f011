/* NATS, over TCP and over a WebSocket: lines, and payloads behind those that announce them. */
#include "../load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 8192 /* more than the longest line: INFO */

static void greet(connection *c) {
    char line[200];
    /* With verbose the server says +OK to each publish: an acknowledgment that it was taken. */
    int size = snprintf(line, sizeof line, "CONNECT {\"verbose\":%s,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\",\"protocol\":1}\r\n",
                        asked.acks && c->role == PUBLISHER ? "true" : "false");
    append_output(c, line, (size_t)size);
    for (int i = 0; c->role == READER && i < (c->topics ? asked.each : 1); i++) {
        size = c->topics || asked.topics == 1 ? snprintf(line, sizeof line, "SUB " TOPIC_PREFIX "%d %d\r\n", topic_of(c, i), i + 1)
                                              : snprintf(line, sizeof line, "SUB " TOPIC_PREFIX "* 1\r\n");
        append_output(c, line, (size_t)size);
    }
    append_output(c, "PING\r\n", 6);
    c->awaited = 1; /* the PONG */
}

static void greet_over_websocket(connection *c) {
    connection said = {.role = c->role, .number = c->number, .topics = c->topics};
    greet(&said);
    c->awaited = said.awaited;
    append_frame(c, BINARY, said.out, said.out_end);
    free(said.out);
}

static void add_publish(template *t, int topic) {
    char line[64];
    int size = snprintf(line, sizeof line, "PUB " TOPIC_PREFIX "%d %d\r\n", topic, asked.payload);
    add(t, line, (size_t)size);
    add_payload(t, topic);
    add(t, "\r\n", 2);
}

static void make(template *t, int topic) { make_each(t, topic, add_publish); }

static void make_for_websocket(template *t, int topic) {
    template stream = {0};
    make(&stream, topic);
    add_frame_header(t, BINARY, stream.size);
    t->first = t->size + stream.first, t->stride = stream.stride;
    add(t, stream.data, stream.size);
    free(stream.data);
}

/* "MSG subject sid size": the number behind the last space. */
static size_t size_of_payload(const uint8_t *line, const uint8_t *end) {
    const uint8_t *at = end;
    while (at > line && at[-1] != ' ') at--;
    size_t size = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) size = size * 10 + (size_t)(*at - '0');
    return size;
}

static size_t measure(const uint8_t *data, size_t size) {
    const uint8_t *end = memchr(data, '\r', size < LINE_BYTES ? size : LINE_BYTES);
    if (!end) return 0;
    size_t line = (size_t)(end - data) + 2;
    return memcmp(data, "MSG ", 4) ? line : line + size_of_payload(data, end) + 2;
}

static void on_message(connection *c, const uint8_t *data, size_t size) {
    if (!memcmp(data, "MSG ", 4)) {
        size_t line = (size_t)((const uint8_t *)memchr(data, '\r', size) - data) + 2;
        check_payload(c, data + line, size - line - 2);
    } else if (!memcmp(data, "+OK", 3)) {
        if (c->stage == OPEN) acknowledged(c, 1, 1);
    } else if (!memcmp(data, "PONG", 4)) {
        one_answered(c);
    } else if (!memcmp(data, "PING", 4)) {
        if (asked.dialect->websocket) append_frame(c, BINARY, "PONG\r\n", 6);
        else append_output(c, "PONG\r\n", 6);
        flush_output(c);
    } else if (memcmp(data, "INFO", 4)) {
        fail("NATS said to %s: %.*s", who(c), (int)size - 2, data);
    }
}

const dialect NATS = {
    .name = "nats",
    .help = "nats-server, over TCP",
    .acks = true,
    .greet = greet,
    .make = make,
    .measure = measure,
    .on_message = on_message,
};

const dialect NATS_WEBSOCKET = {
    .name = "nats-websocket",
    .help = "nats-server, over a WebSocket",
    .websocket = true,
    .acks = true,
    .greet = greet_over_websocket,
    .make = make_for_websocket,
    .measure = measure,
    .on_message = on_message,
};
