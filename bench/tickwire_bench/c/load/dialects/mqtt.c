/* MQTT 3.1.1 at QoS 0, and publishes at QoS 1 where acknowledgments are asked for. */
#include "../load.h"

#include <stdio.h>
#include <string.h>

#include "../msgpack.h"

enum { CONNACK = 0x20, PUBLISH = 0x30, PUBACK = 0x40, SUBACK = 0x90, PINGRESP = 0xd0 };

static size_t put_length(uint8_t *at, size_t length) {
    size_t size = 0;
    do at[size++] = (uint8_t)((length & 127) | (length > 127 ? 128 : 0));
    while (length >>= 7);
    return size;
}

static void append_packet(connection *c, uint8_t type, const void *data, size_t size) {
    uint8_t head[5] = {type};
    append_output(c, head, 1 + put_length(head + 1, size));
    append_output(c, data, size);
}

static void greet(connection *c) {
    uint8_t hello[64] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2 /* a clean session */, 0, 0};
    int name = snprintf((char *)hello + 12, sizeof hello - 12, "%s", who(c));
    for (int i = 0; i < name; i++)
        if (hello[12 + i] == ' ') hello[12 + i] = '-';
    put_u16(hello + 10, (uint64_t)name);
    append_packet(c, 0x10, hello, 12 + (size_t)name);
    c->awaited = 1; /* the CONNACK */
    if (c->role != READER) return;
    uint8_t wanted[4096] = {0, 1};
    size_t size = 2;
    for (int i = 0; i < topic_count(c); i++) {
        if (size + 32 > sizeof wanted) fail("more topics than one SUBSCRIBE holds: use --each");
        int length = snprintf((char *)wanted + size + 2, 24, TOPIC_PREFIX "%d", topic_of(c, i));
        put_u16(wanted + size, (uint64_t)length);
        size += 2 + (size_t)length;
        wanted[size++] = 0; /* QoS */
    }
    append_packet(c, 0x82, wanted, size);
    c->awaited++;
}

static void add_publish(template *t, int topic) {
    char name[32];
    size_t length = (size_t)snprintf(name, sizeof name, TOPIC_PREFIX "%d", topic), id = asked.acks ? 2 : 0;
    uint8_t head[5] = {(uint8_t)(PUBLISH | (asked.acks ? 2 : 0))}, size[2], number[2] = {0, 1};
    put_u16(size, length);
    add(t, head, 1 + put_length(head + 1, 2 + length + id + (size_t)asked.payload));
    add(t, size, 2);
    add(t, name, length);
    add(t, number, id); /* always the same: the broker answers in order, and does not look at it at QoS 1 */
    add_payload(t, topic);
}

static void make(template *t, int topic) { make_each(t, topic, add_publish); }

static size_t measure(const uint8_t *data, size_t size) {
    size_t length = 0;
    for (size_t i = 1; i < 5; i++) {
        if (i >= size) return 0;
        length |= (size_t)(data[i] & 127) << 7 * (i - 1);
        if (data[i] < 128) return 1 + i + length;
    }
    fail("an MQTT packet whose length does not end");
}

static void on_message(connection *c, const uint8_t *data, size_t size) {
    switch (data[0] & 0xf0) {
    case PUBLISH: check_payload(c, data + size - asked.payload, (size_t)asked.payload); return;
    case PUBACK: acknowledged(c, 1, 1); return;
    case CONNACK:
        if (data[3]) fail("the MQTT broker refused %s: return code %u", who(c), data[3]);
        one_answered(c);
        return;
    case SUBACK:
        for (size_t i = 4; i < size; i++)
            if (data[i] == 0x80) fail("the MQTT broker refused a subscription of %s", who(c));
        one_answered(c);
        return;
    case PINGRESP: return;
    default: fail("an MQTT packet of type %u", data[0] >> 4);
    }
}

const dialect MQTT = {
    .name = "mqtt",
    .help = "an MQTT broker, such as mosquitto",
    .acks = true,
    .greet = greet,
    .make = make,
    .measure = measure,
    .on_message = on_message,
};
