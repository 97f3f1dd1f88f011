/* Reading msgpack in place: a cursor that steps over what it reads and fails on anything that is not there. */
#ifndef MSGPACK_H
#define MSGPACK_H

#include <endian.h>
#include <string.h>

#include "load.h"

typedef struct {
    const uint8_t *at, *end;
} cursor;

typedef struct {
    const uint8_t *data;
    size_t size;
} span;

static inline void need(const cursor *in, size_t size) {
    if ((size_t)(in->end - in->at) < size) fail("a frame of the server's is cut short");
}

static inline uint64_t big_endian(const uint8_t *at, unsigned size) {
    uint64_t value = 0;
    while (size--) value = value << 8 | *at++;
    return value;
}

static inline void put_u16(uint8_t *at, uint64_t value) {
    uint16_t big = htobe16((uint16_t)value);
    memcpy(at, &big, sizeof big);
}

static inline void put_u32(uint8_t *at, uint64_t value) {
    uint32_t big = htobe32((uint32_t)value);
    memcpy(at, &big, sizeof big);
}

static inline void put_u64(uint8_t *at, uint64_t value) {
    uint64_t big = htobe64(value);
    memcpy(at, &big, sizeof big);
}

static inline uint64_t get_u64(const uint8_t *at) {
    uint64_t big;
    memcpy(&big, at, sizeof big);
    return be64toh(big);
}

/* The number of `size` bytes that follows the type byte. */
static inline uint64_t read_number(cursor *in, unsigned size) {
    need(in, 1 + size);
    uint64_t value = big_endian(in->at + 1, size);
    in->at += 1 + size;
    return value;
}

static inline uint64_t read_uint(cursor *in) {
    need(in, 1);
    uint8_t type = *in->at;
    if (type < 0x80) return in->at++, type;
    if (type < 0xcc || type > 0xcf) fail("expected an unsigned integer, got msgpack type 0x%02x", type);
    return read_number(in, 1u << (type - 0xcc));
}

static inline size_t read_array(cursor *in) {
    need(in, 1);
    uint8_t type = *in->at;
    if ((type & 0xf0) == 0x90) return in->at++, type & 15;
    if (type != 0xdc && type != 0xdd) fail("expected an array, got msgpack type 0x%02x", type);
    return read_number(in, type == 0xdc ? 2 : 4);
}

static inline span read_bytes(cursor *in, size_t size) {
    need(in, size);
    span bytes = {in->at, size};
    in->at += size;
    return bytes;
}

static inline span read_text(cursor *in) {
    need(in, 1);
    uint8_t type = *in->at;
    if ((type & 0xe0) == 0xa0) return in->at++, read_bytes(in, type & 31);
    if (type < 0xd9 || type > 0xdb) fail("expected a string, got msgpack type 0x%02x", type);
    return read_bytes(in, read_number(in, 1u << (type - 0xd9)));
}

static inline span read_payload(cursor *in) {
    need(in, 1);
    uint8_t type = *in->at;
    if (type < 0xc4 || type > 0xc6) fail("expected a payload (bin), got msgpack type 0x%02x", type);
    return read_bytes(in, read_number(in, 1u << (type - 0xc4)));
}

static inline bool read_nil(cursor *in) {
    need(in, 1);
    if (*in->at != 0xc0) return false;
    in->at++;
    return true;
}

void skip(cursor *in, size_t elements); /* in dialects/wire.c: any objects, whatever they hold */

#endif
