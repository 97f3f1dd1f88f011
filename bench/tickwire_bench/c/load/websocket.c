/* Frames of a WebSocket, as a client sends and takes them. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "msgpack.h"

#define FRAME_BYTES (64u << 20)
#define INFLATED_BYTES (16u << 20)

enum { CLOSE = 8, PING = 9, PONG = 10, FINAL = 0x80, DEFLATED = 0x40, MASKED = 0x80 };

/* RFC 6455 asks for a mask, and that it cannot be foreseen, so that pages cannot make a proxy see HTTP. Nobody is fooled on
 * loopback: a key of four zeros is legal to send and saves the tool the work; the server undoes it like any other. */
static size_t put_header(uint8_t head[14], unsigned opcode, size_t size) {
    size_t length = size < 126 ? 2 : size < 65536 ? 4 : 10;
    head[0] = (uint8_t)(FINAL | opcode);
    head[1] = (uint8_t)(MASKED | (size < 126 ? size : size < 65536 ? 126 : 127));
    if (length == 4) put_u16(head + 2, size);
    if (length == 10) put_u64(head + 2, size);
    memset(head + length, 0, 4);
    return length + 4;
}

void add_frame_header(template *t, unsigned opcode, size_t size) {
    uint8_t head[14];
    add(t, head, put_header(head, opcode, size));
}

void append_frame(connection *c, unsigned opcode, const void *data, size_t size) {
    uint8_t head[14];
    append_output(c, head, put_header(head, opcode, size));
    append_output(c, data, size);
}

/* The size of the frame at `data`, or 0 where more of it must come before that is known. */
size_t frame_size(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    if (data[1] & MASKED) fail("a masked WebSocket frame from the server");
    unsigned length = data[1], extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (size < 2 + extra) return 0;
    uint64_t content = extra ? big_endian(data + 2, extra) : length;
    if (content > FRAME_BYTES) fail("a WebSocket frame of %llu bytes", (unsigned long long)content);
    return 2 + extra + (size_t)content;
}

/* ---- RFC 7692: one stream per connection takes frames with and without their predecessors' context ---- */

static uint8_t *inflated;

void start_inflating(connection *c) {
    z_stream *stream = c->inflater = calloc(1, sizeof *stream);
    if (!inflated) inflated = malloc(INFLATED_BYTES);
    if (!stream || !inflated || inflateInit2(stream, -MAX_WBITS) != Z_OK) fail("out of memory");
}

static size_t inflate_frame(connection *c, const uint8_t *data, size_t size) {
    static uint8_t end[] = {0, 0, 0xff, 0xff};
    z_stream *stream = c->inflater;
    if (!stream) fail("a compressed WebSocket frame, though nothing was negotiated");
    stream->next_out = inflated;
    stream->avail_out = INFLATED_BYTES;
    const struct { const uint8_t *data; size_t size; } parts[] = {{data, size}, {end, sizeof end}};
    for (int i = 0; i < 2; i++) {
        stream->next_in = (uint8_t *)(uintptr_t)parts[i].data;
        stream->avail_in = (unsigned)parts[i].size;
        int result = inflate(stream, Z_SYNC_FLUSH);
        if ((result != Z_OK && result != Z_BUF_ERROR) || stream->avail_in) fail("a WebSocket frame that does not inflate");
    }
    return INFLATED_BYTES - stream->avail_out;
}

/* ---- in ---- */

/* Messages of a stream that comes in pieces, with no regard for where they begin. */
void take_stream(connection *c, const uint8_t *data, size_t size) {
    if (c->inner_size) {
        if (c->inner_size + size > c->inner_room) c->inner = realloc(c->inner, c->inner_room = 2 * (c->inner_size + size));
        if (!c->inner) fail("out of memory");
        memcpy(c->inner + c->inner_size, data, size);
        data = c->inner, size += c->inner_size;
    }
    size_t done = 0;
    for (size_t unit; (unit = asked.dialect->measure(data + done, size - done)) && unit <= size - done; done += unit)
        asked.dialect->on_message(c, data + done, unit);
    c->inner_size = size - done;
    if (!c->inner_size) return;
    if (c->inner_size > c->inner_room) {
        uint8_t *grown = malloc(c->inner_room = 2 * c->inner_size);
        if (!grown) fail("out of memory");
        memcpy(grown, data + done, c->inner_size);
        free(c->inner);
        c->inner = grown;
    } else {
        memmove(c->inner, data + done, c->inner_size);
    }
}

static void on_close(const connection *c, const uint8_t *data, size_t size) {
    unsigned code = size >= 2 ? (unsigned)big_endian(data, 2) : 1005;
    fail("the server closed the connection of %s: %u %.*s", who(c), code, size > 2 ? (int)size - 2 : 0, data + 2);
}

static void on_text(connection *c, const uint8_t *data, size_t size) {
    if (!asked.dialect->on_text) fail("a text message from the server");
    asked.dialect->on_text(c, data, size);
}

void take_frame(connection *c, const uint8_t *data, size_t size) {
    size_t head = data[1] == 127 ? 10 : data[1] == 126 ? 4 : 2;
    const uint8_t *content = data + head;
    size -= head;
    if ((data[0] & 0xb0) != FINAL) fail("a WebSocket frame that is fragmented, or has reserved bits");
    if (data[0] & DEFLATED) size = inflate_frame(c, content, size), content = inflated;
    switch (data[0] & 15) {
    case TEXT: on_text(c, content, size); return;
    case BINARY:
        if (asked.dialect->measure) take_stream(c, content, size);
        else asked.dialect->on_message(c, content, size);
        return;
    case PING:
        append_frame(c, PONG, content, size);
        flush_output(c);
        return;
    case PONG: return;
    case CLOSE: on_close(c, content, size); return;
    default: fail("a WebSocket frame of opcode %u", data[0] & 15);
    }
}
