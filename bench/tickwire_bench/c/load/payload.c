/* What a message is: the msgpack map {"t": stamp, "n": number, "x": filling}, so that any client can decode it. The number is
 * publisher << 40 | how many that publisher sent in this topic before; the last four bytes are the topic's number. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msgpack.h"
#include "payload.h"

static uint8_t *filling; /* what --filling holds, as often as it takes to have some of it for each message */
static size_t filling_size, filled;

void add(template *t, const void *data, size_t size) {
    if (t->size + size > t->room) t->data = realloc(t->data, t->room = 2 * (t->size + size));
    if (!t->data) fail("out of memory");
    if (data) memcpy(t->data + t->size, data, size);
    else memset(t->data + t->size, 0, size);
    t->size += size;
}

void make_each(template *t, int topic, void (*publish)(template *, int)) {
    for (int i = 0; i < asked.batch; i++) {
        size_t before = t->size;
        publish(t, topic);
        t->stride = t->size - before;
    }
}

void add_payload(template *t, int topic) {
    if (!t->first) t->first = t->size;
    size_t size = (size_t)asked.payload, rest = size - FILLING_AT;
    uint8_t head[FILLING_AT] = {0x83, 0xa1, 't', 0xcf, [12] = 0xa1, 'n', 0xcf, [23] = 0xa1, 'x', 0xc5}, last[4];
    if (rest <= 0xffff) {
        put_u16(head + 26, rest);
        add(t, head, FILLING_AT);
    } else { /* bin 32 takes two bytes more */
        uint8_t length[4];
        head[25] = 0xc6;
        put_u32(length, rest -= 2);
        add(t, head, 26);
        add(t, length, 4);
    }
    add(t, NULL, rest - sizeof last);
    put_u32(last, (uint64_t)topic);
    add(t, last, sizeof last);
}

void read_filling(void) {
    if (!asked.filling) return;
    FILE *file = fopen(asked.filling, "rb");
    if (!file) contradiction("--filling names no file that can be read");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    filling_size = size > 0 ? (size_t)size : 0;
    filling = malloc(filling_size + (size_t)asked.payload);
    if (!filling || filling_size < (size_t)asked.payload || fread(filling, 1, filling_size, file) != filling_size)
        contradiction("--filling names a file with less than one payload in it");
    memcpy(filling + filling_size, filling, (size_t)asked.payload);
    fclose(file);
}

void fill(uint8_t *payload) {
    size_t size = (size_t)asked.payload - FILLING_AT - 2 - 4;
    if (!filling || (int)size <= 0) return;
    memcpy(payload + FILLING_AT + 2, filling + filled, size);
    filled = (filled + size) % filling_size;
}

/* ---- what came ---- */

void count(connection *c, size_t messages) {
    c->received += messages;
    now.had += messages;
    if (!c->slow && now.current) now.current->deliveries += messages;
    if (c->number == 0 && asked.window == WINDOW_READER) now.returned += messages;
}

void acknowledged(connection *c, uint64_t ids, uint64_t messages) {
    c->acknowledged_ids += ids;
    if (c->acknowledged_ids > c->sent_ids) fail("an acknowledgment of what %s has not published", who(c));
    if (asked.window == WINDOW_ACK) now.returned += messages;
}

void sample_latency(const connection *c, const uint8_t *payload) {
    uint64_t stamp = get_u64(payload + STAMP_AT);
    if (c->slow || !now.current) return;
    histogram_add(&now.current->latency, now.read_ns > stamp ? now.read_ns - stamp : 0);
}

void check_size(size_t size) {
    if (size != (size_t)asked.payload) fail("a payload of %zu bytes where %d were published", size, asked.payload);
}

/* A message that came by itself: whole, of a publisher of ours, in a topic that is read, and the next one there. */
void check_payload(connection *c, const uint8_t *data, size_t size) {
    check_size(size);
    uint64_t number = get_u64(data + NUMBER_AT), publisher = number >> 40, topic = big_endian(data + size - 4, 4);
    number &= NUMBERS;
    if (publisher >= (uint64_t)asked.publishers) fail("a message of an unknown publisher");
    if (topic >= (uint64_t)asked.topics) fail("a message of an unknown topic");
    uint64_t *next = &c->next[publisher * (uint64_t)asked.topics + topic];
    if (number != *next)
        fail("reader %d: message %llu of publisher %llu in topic %llu, expected %llu", c->number, (unsigned long long)number,
             (unsigned long long)publisher, (unsigned long long)topic, (unsigned long long)*next);
    ++*next;
    sample_latency(c, data);
    count(c, 1);
}
