/* What the publishers say: frames are made once per topic, and only their stamps and numbers are written anew. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

#define UNSENT_BYTES (1u << 20) /* per publisher; with more waiting, the server is what is slow */
#define LATE_NS 2000000u        /* two ticks of the pacing */
#define NO_ID ((size_t)-1)

/* A payload is the msgpack map {"t": stamp, "n": publisher << 40 | number, "x": padding}, so that any client can decode it. */
enum { STAMP_AT = 4, NUMBER_AT = 15, PADDING_AT = 28 };

typedef struct {
    uint8_t *data;
    size_t size, room;
    size_t id, first, stride; /* where the id and the first payload are, and how far apart the payloads */
} template;

static template *templates;
static connection **all;
static uint64_t *numbers;   /* the next number of each publisher */
static int turn, next_topic; /* whose turn it is, and which topic's */
static uint64_t paced, paced_from;

/* ---- the frames ---- */

static void add(template *t, const void *data, size_t size) {
    if (t->size + size > t->room) t->data = realloc(t->data, t->room = 2 * (t->size + size));
    if (!t->data) fail("out of memory");
    if (data) memcpy(t->data + t->size, data, size);
    else memset(t->data + t->size, 0, size);
    t->size += size;
}

static void add_payload(template *t) {
    size_t size = (size_t)asked.payload;
    uint8_t head[PADDING_AT] = {0x83, 0xa1, 't', 0xcf, [12] = 0xa1, 'n', 0xcf, [23] = 0xa1, 'x', 0xc5};
    size_t padding = size - PADDING_AT;
    if (padding <= 0xffff) {
        put_u16(head + 26, padding);
        add(t, head, PADDING_AT);
    } else { /* bin 32 takes two bytes more */
        uint8_t length[4];
        head[25] = 0xc6;
        put_u32(length, padding - 2);
        add(t, head, 26);
        add(t, length, 4);
        padding -= 2;
    }
    add(t, NULL, padding);
}

static void add_payload_header(template *t) {
    uint8_t head[5] = {0xc4, (uint8_t)asked.payload};
    if (asked.payload > 0xff) head[0] = 0xc5, put_u16(head + 1, (uint64_t)asked.payload);
    if (asked.payload > 0xffff) head[0] = 0xc6, put_u32(head + 1, (uint64_t)asked.payload);
    add(t, head, asked.payload > 0xffff ? 5 : asked.payload > 0xff ? 3 : 2);
}

/* [4, id or nil, [[topic, [payload, ...]]]] */
static void add_publish_header(template *t, int topic) {
    static const uint8_t acked[] = {0x93, 4, 0xce, 0, 0, 0, 0, 0x91, 0x92}, silent[] = {0x93, 4, 0xc0, 0x91, 0x92};
    char name[32];
    int length = snprintf(name + 1, sizeof name - 1, TOPIC_PREFIX "%d", topic);
    uint8_t array[3] = {0xdc};
    name[0] = (char)(0xa0 | length);
    put_u16(array + 1, (uint64_t)asked.batch);
    t->id = asked.acks ? t->size + 3 : NO_ID;
    if (asked.acks) add(t, acked, sizeof acked);
    else add(t, silent, sizeof silent);
    add(t, name, (size_t)length + 1);
    add(t, array, sizeof array);
}

/* RFC 6455 asks for a mask, and that it cannot be foreseen, so that pages cannot make a proxy see HTTP. Nobody is fooled on
 * loopback: a key of four zeros is legal to send and saves the tool the work; the server undoes it like any other. */
static void add_websocket_header(template *t, size_t size) {
    uint8_t head[14] = {0x82};
    size_t length = size < 126 ? 2 : size < 65536 ? 4 : 10;
    head[1] = (uint8_t)(0x80 | (size < 126 ? size : size < 65536 ? 126 : 127));
    if (length == 4) put_u16(head + 2, size);
    if (length == 10) put_u64(head + 2, size);
    add(t, head, length + 4);
}

static void make_template(template *t, int topic) {
    template body = {.id = NO_ID};
    if (asked.mode == MODE_WIRE) add_publish_header(&body, topic);
    for (int i = 0; i < asked.batch; i++) {
        size_t before = body.size;
        if (asked.mode == MODE_WIRE) add_payload_header(&body);
        if (i == 0) body.first = body.size;
        add_payload(&body);
        body.stride = body.size - before;
    }
    *t = (template){.stride = body.stride};
    add_websocket_header(t, body.size);
    t->first = t->size + body.first;
    t->id = body.id == NO_ID ? NO_ID : t->size + body.id;
    add(t, body.data, body.size);
    free(body.data);
}

void prepare_publishers(connection **publishers) {
    all = publishers;
    numbers = calloc((size_t)asked.publishers + 1, sizeof *numbers);
    templates = calloc((size_t)asked.topics, sizeof *templates);
    if (!numbers || !templates) fail("out of memory");
    for (int topic = 0; topic < asked.topics; topic++) make_template(&templates[topic], topic);
}

/* ---- sending them ---- */

static void append_publish(connection *c, uint64_t stamp) {
    const template *t = &templates[next_topic];
    if (++next_topic == asked.topics) next_topic = 0;
    reserve_output(c, t->size);
    uint8_t *frame = c->out + c->out_end;
    memcpy(frame, t->data, t->size);
    if (t->id != NO_ID) put_u32(frame + t->id, c->sent_ids++);
    uint8_t *payload = frame + t->first;
    for (int i = 0; i < asked.batch; i++, payload += t->stride) {
        put_u64(payload + STAMP_AT, stamp);
        put_u64(payload + NUMBER_AT, (uint64_t)c->number << 40 | numbers[c->number]++);
    }
    c->out_end += t->size;
    now.published += (uint64_t)asked.batch;
    if (now.current) now.current->published += (uint64_t)asked.batch;
}

/* The next publisher that can take a frame, or NULL where the server has not taken what was sent. */
static connection *next_publisher(void) {
    for (int tries = 0; tries < asked.publishers; tries++) {
        connection *c = all[turn];
        turn = (turn + 1) % asked.publishers;
        if (c->out_end - c->out_start < UNSENT_BYTES) return c;
    }
    return NULL;
}

static uint64_t messages_due(uint64_t time) {
    if (asked.rate) return (uint64_t)((double)(time - paced_from) / 1e9 * asked.rate) - paced;
    uint64_t window = (uint64_t)asked.in_flight * (uint64_t)asked.publishers, flying = now.published - now.returned;
    return window > flying ? window - flying : 0;
}

void publish(void) {
    if (!now.publishing) return;
    uint64_t batch = (uint64_t)asked.batch, time = clock_ns(), due = messages_due(time), sent = 0;
    for (connection *c; due >= sent + batch && (c = next_publisher()); sent += batch) {
        uint64_t stamp = time;
        if (asked.rate) { /* a message that is late because the server held it up is as old as when it was due */
            uint64_t due_at = paced_from + (uint64_t)((double)(paced + sent + batch) / asked.rate * 1e9);
            if (time > due_at + LATE_NS) stamp = due_at;
        }
        append_publish(c, stamp);
    }
    if (!sent) return;
    if (asked.rate) paced += sent;
    for (int i = 0; i < asked.publishers; i++)
        if (!all[i]->waits_to_write) flush_output(all[i]);
}

void start_pacing(void) {
    paced_from = clock_ns();
    paced = 0;
}
