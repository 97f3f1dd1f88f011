/* A WebSocket of a client's side: frames in and out. Messages go to on_message() where they were read. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wire.h"

#define READ_BYTES (1u << 20)
#define HEADER_BYTES 16 /* more than the longest header of a WebSocket frame */

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

/* One buffer for all connections: only the beginning of an incomplete message is kept per connection. */
static uint8_t shared[HEADER_BYTES + READ_BYTES];
static uint8_t *const SHARED = shared + HEADER_BYTES;

static int epoll_fd = -1;

typedef struct {
    unsigned opcode;
    size_t header, size; /* of the whole frame */
} frame;

void watch_with(int epoll) { epoll_fd = epoll; }

void watch(connection *c) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->reading = true;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll: %s", strerror(errno));
}

/* ---- out ---- */

static void update_events(connection *c) {
    struct epoll_event event = {.data.ptr = c};
    event.events = (c->reading ? EPOLLIN : 0u) | (c->waits_to_write ? EPOLLOUT : 0u);
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

void set_reading(connection *c, bool reading) {
    c->reading = reading;
    update_events(c);
}

void reserve_output(connection *c, size_t size) {
    if (c->out_start == c->out_end) c->out_start = c->out_end = 0;
    if (c->out_end + size <= c->out_room) return;
    if (c->out_start) memmove(c->out, c->out + c->out_start, c->out_end - c->out_start);
    c->out_end -= c->out_start;
    c->out_start = 0;
    if (c->out_end + size <= c->out_room / 2) return;
    c->out_room = 2 * (c->out_end + size);
    c->out = realloc(c->out, c->out_room);
    if (!c->out) fail("out of memory");
}

static void append_frame(connection *c, unsigned opcode, const void *data, size_t size) {
    reserve_output(c, size + HEADER_BYTES);
    uint8_t *at = c->out + c->out_end;
    *at++ = (uint8_t)(0x80 | opcode);
    if (size > 125) fail("a request of %zu bytes is not foreseen", size);
    *at++ = (uint8_t)(0x80 | size);
    memset(at, 0, 4); /* the mask; see publisher.c */
    memcpy(at + 4, data, size);
    c->out_end += 6 + size;
}

void append_message(connection *c, const void *data, size_t size) { append_frame(c, BINARY, data, size); }

void flush_output(connection *c) {
    while (c->out_start < c->out_end) {
        ssize_t sent = send(c->fd, c->out + c->out_start, c->out_end - c->out_start, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) fail("lost the connection while sending: %s", strerror(errno));
        if (sent < 0) break;
        c->out_start += (size_t)sent;
    }
    bool waits = c->out_start < c->out_end;
    if (waits == c->waits_to_write) return;
    c->waits_to_write = waits;
    update_events(c);
}

void say_goodbye(connection *c) {
    static const uint8_t normal[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
    if (c->out_start == c->out_end && send(c->fd, normal, sizeof normal, MSG_NOSIGNAL) < 0) errno = 0; /* it is over anyway */
    close(c->fd);
}

/* ---- in ---- */

const char *who(const connection *c) {
    static const char *names[] = {"reader", "publisher", "reader of credit"};
    static char name[40];
    snprintf(name, sizeof name, "%s %d", names[c->role], c->number);
    return name;
}

static bool parse_header(const uint8_t *data, size_t size, frame *f) {
    if (size < 2) return false;
    f->opcode = data[0] & 15;
    if ((data[0] & 0xf0) != 0x80) fail("a WebSocket frame that is fragmented or compressed, though nothing was negotiated");
    if (data[1] & 0x80) fail("a masked WebSocket frame from the server");
    unsigned length = data[1], extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (size < 2 + extra) return false;
    f->header = 2 + extra;
    f->size = f->header + (extra ? big_endian(data + 2, extra) : length);
    if (f->size > 64u << 20) fail("a WebSocket frame of %zu bytes", f->size);
    return true;
}

static void on_close(const connection *c, const uint8_t *data, size_t size) {
    unsigned code = size >= 2 ? (unsigned)big_endian(data, 2) : 1005;
    fail("the server closed the connection of %s: %u %.*s", who(c), code, size > 2 ? (int)size - 2 : 0, data + 2);
}

static void on_frame(connection *c, const frame *f, const uint8_t *data) {
    const uint8_t *content = data + f->header;
    size_t size = f->size - f->header;
    switch (f->opcode) {
    case BINARY: on_message(c, content, size); return;
    case PING:
        append_frame(c, PONG, content, size);
        flush_output(c);
        return;
    case PONG: return;
    case CLOSE: on_close(c, content, size); return;
    default: fail("a WebSocket frame of opcode %u", f->opcode);
    }
}

static size_t on_bytes(connection *c, const uint8_t *data, size_t size) {
    size_t done = 0;
    for (frame f; parse_header(data + done, size - done, &f) && f.size <= size - done; done += f.size)
        on_frame(c, &f, data + done);
    return done;
}

static void keep_tail(connection *c, const uint8_t *data, size_t size) {
    frame f = {.size = HEADER_BYTES};
    if (size) parse_header(data, size, &f);
    if (size && f.size > c->tail_room) {
        free(c->tail);
        c->tail = malloc(c->tail_room = f.size);
        if (!c->tail) fail("out of memory");
    }
    if (size) memcpy(c->tail, data, size);
    c->tail_size = size;
}

static size_t read_into(connection *c, struct iovec *parts, int count) {
    ssize_t size = readv(c->fd, parts, count);
    if (size == 0) fail("the server dropped the connection of %s without a goodbye", who(c));
    if (size < 0 && errno != EAGAIN && errno != EINTR) fail("lost the connection of %s: %s", who(c), strerror(errno));
    if (c->role == READER) now.read_ns = clock_ns();
    return size < 0 ? 0 : (size_t)size;
}

/* The rest of a message whose length is known goes behind its beginning, what follows into the shared buffer. */
static void receive_rest(connection *c, size_t missing) {
    struct iovec parts[2] = {{c->tail + c->tail_size, missing}, {SHARED, READ_BYTES}};
    size_t size = read_into(c, parts, 2);
    if (size < missing) {
        c->tail_size += size;
        return;
    }
    on_bytes(c, c->tail, c->tail_size + missing);
    size -= missing;
    size_t done = on_bytes(c, SHARED, size);
    keep_tail(c, SHARED + done, size - done);
}

void receive(connection *c) {
    frame f;
    if (parse_header(c->tail, c->tail_size, &f)) {
        receive_rest(c, f.size - c->tail_size);
        return;
    }
    uint8_t *start = SHARED - c->tail_size;
    if (c->tail_size) memcpy(start, c->tail, c->tail_size);
    struct iovec part = {SHARED, READ_BYTES};
    size_t size = c->tail_size + read_into(c, &part, 1);
    size_t done = on_bytes(c, start, size);
    keep_tail(c, start + done, size - done);
}
