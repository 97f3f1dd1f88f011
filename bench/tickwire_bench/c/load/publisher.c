/* What the publishers say: publishes are made once per topic, and only their stamps and numbers are written anew. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#include "msgpack.h"
#include "payload.h"

#define UNSENT_BYTES (1u << 20) /* per publisher; with more waiting, the server is what is slow */
#define LATE_NS 2000000u        /* two ticks of the pacing */

static template *templates;
static connection **all;
static uint64_t *numbers; /* the next number of each publisher in each topic */
static int turn;          /* whose it is */
static uint64_t paced, paced_from;

void prepare_publishers(connection **publishers) {
    all = publishers;
    numbers = calloc((size_t)(asked.publishers + 1) * (size_t)asked.topics, sizeof *numbers);
    templates = calloc((size_t)asked.topics, sizeof *templates);
    if (!numbers || !templates) fail("out of memory");
    read_filling();
    for (int topic = 0; topic < asked.topics; topic++) asked.dialect->make(&templates[topic], topic);
}

static void append_publish(connection *c, uint64_t stamp) {
    int topic = next_topic();
    const template *t = &templates[topic];
    uint8_t *frame = reserve_output(c, t->size);
    memcpy(frame, t->data, t->size);
    if (t->id_size == 4) put_u32(frame + t->id, c->sent_ids);
    if (asked.acks) c->sent_ids += t->id_size ? 1 : (uint64_t)asked.batch;
    uint8_t *payload = frame + t->first;
    uint64_t *number = &numbers[c->number * asked.topics + topic];
    for (int i = 0; i < asked.batch; i++, payload += t->stride) {
        put_u64(payload + STAMP_AT, stamp);
        put_u64(payload + NUMBER_AT, (uint64_t)c->number << 40 | (*number)++);
        fill(payload);
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

/* With --each no reader has everything: what is in flight is told from all deliveries that are owed. */
static uint64_t in_flight(void) {
    if (!asked.each || asked.window != WINDOW_READER) return now.published - now.returned;
    return now.owed ? (now.owed - now.had) * now.published / now.owed : 0;
}

static uint64_t messages_due(uint64_t time) {
    if (asked.rate) return (uint64_t)((double)(time - paced_from) / 1e9 * asked.rate) - paced;
    uint64_t window = (uint64_t)asked.in_flight * (uint64_t)asked.publishers, flying = in_flight();
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
