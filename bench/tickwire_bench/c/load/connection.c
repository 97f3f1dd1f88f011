/* Bytes in and out of a socket. What comes is cut into units, frames of a WebSocket or messages of a stream, and each
 * is taken where it was read. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_BYTES (1u << 20)
#define HEAD_BYTES (16u << 10) /* more than the beginning of a unit whose size cannot be told yet */

/* One buffer for all connections: only the beginning of an incomplete unit is kept per connection. */
static uint8_t shared[HEAD_BYTES + READ_BYTES];
static uint8_t *const SHARED = shared + HEAD_BYTES;

static int epoll_fd = -1;

void watch_with(int epoll) { epoll_fd = epoll; }

/* Edges, not levels: of a socket that was read to its end the system is not asked again whether there is more. */
void watch(connection *c) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->reading = c->waits_to_write = true; /* until it is connected */
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll: %s", strerror(errno));
}

/* ---- out ---- */

static void update_events(connection *c) {
    struct epoll_event event = {.data.ptr = c};
    event.events = EPOLLET | (c->reading ? EPOLLIN : 0u) | (c->waits_to_write ? EPOLLOUT : 0u);
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

void set_reading(connection *c, bool reading) {
    c->reading = reading;
    update_events(c);
}

void *reserve_output(connection *c, size_t size) {
    if (c->out_start == c->out_end) c->out_start = c->out_end = 0;
    if (c->out_end + size > c->out_room) {
        if (c->out_start) memmove(c->out, c->out + c->out_start, c->out_end - c->out_start);
        c->out_end -= c->out_start;
        c->out_start = 0;
        if (c->out_end + size > c->out_room / 2) {
            c->out_room = 2 * (c->out_end + size);
            c->out = realloc(c->out, c->out_room);
            if (!c->out) fail("out of memory");
        }
    }
    return c->out + c->out_end;
}

void append_output(connection *c, const void *data, size_t size) {
    memcpy(reserve_output(c, size), data, size);
    c->out_end += size;
}

void flush_output(connection *c) {
    while (c->out_start < c->out_end) {
        const uint8_t *rest = c->out + c->out_start;
        size_t left = c->out_end - c->out_start;
        ssize_t sent = c->tls ? write_secured(c, rest, left) : send(c->fd, rest, left, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) fail("lost the connection of %s while sending: %s", who(c), strerror(errno));
        if (sent < 0) break;
        c->out_start += (size_t)sent;
    }
    bool waits = c->out_start < c->out_end;
    if (waits == c->waits_to_write) return;
    c->waits_to_write = waits;
    update_events(c);
}

static void forget(connection *c) {
    if (c->tls) forget_secured(c);
    close(c->fd);
    free(c->tail), free(c->out), free(c->inner), free(c->next), free(c->topics);
    free(c);
}

void say_goodbye(connection *c) {
    static const uint8_t normal[] = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8};
    if (asked.dialect->websocket && !c->tls && c->out_start == c->out_end && send(c->fd, normal, sizeof normal, MSG_NOSIGNAL) < 0)
        errno = 0; /* it is over anyway */
    forget(c);
}

void cut_off(connection *c) {
    struct linger at_once = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    forget(c);
}

/* ---- in ---- */

const char *who(const connection *c) {
    static const char *names[] = {"reader", "publisher", "reader of credit"};
    static char name[40];
    snprintf(name, sizeof name, "%s %d", names[c->role], c->number);
    return name;
}

static size_t unit_size(const uint8_t *data, size_t size) {
    return asked.dialect->websocket ? frame_size(data, size) : asked.dialect->measure(data, size);
}

static size_t on_bytes(connection *c, const uint8_t *data, size_t size) {
    size_t done = 0;
    for (size_t unit; (unit = unit_size(data + done, size - done)) && unit <= size - done; done += unit) {
        if (asked.dialect->websocket) take_frame(c, data + done, unit);
        else asked.dialect->on_message(c, data + done, unit);
    }
    return done;
}

static void keep_tail(connection *c, const uint8_t *data, size_t size) {
    size_t unit = unit_size(data, size), room = unit > size ? unit : size;
    if (!unit && size > HEAD_BYTES) fail("the server sent %s %zu bytes that are no message", who(c), size);
    if (room > c->tail_room) {
        free(c->tail);
        c->tail = malloc(c->tail_room = room);
        if (!c->tail) fail("out of memory");
    }
    if (size) memcpy(c->tail, data, size);
    c->tail_size = size;
}

static size_t read_into(connection *c, struct iovec *parts, int count) {
    size_t room = parts[0].iov_len + (count > 1 ? parts[1].iov_len : 0);
    ssize_t size;
    if (c->tls) size = read_secured(c, parts->iov_base, parts->iov_len);
    else size = count > 1 ? readv(c->fd, parts, count) : recv(c->fd, parts->iov_base, parts->iov_len, 0);
    c->drained = c->tls ? size < 0 : size < (ssize_t)room;
    if (size == 0) fail("the server dropped the connection of %s without a goodbye", who(c));
    if (size < 0 && errno != EAGAIN && errno != EINTR) fail("lost the connection of %s: %s", who(c), strerror(errno));
    if (size < 0) return 0;
    if (c->role == READER) {
        now.read_ns = clock_ns();
        if (now.current) now.current->bytes_in += (uint64_t)size;
    }
    return (size_t)size;
}

/* The rest of a unit whose size is known goes behind its beginning, what follows into the shared buffer. */
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

static void receive_once(connection *c) {
    size_t unit = c->tail_size ? unit_size(c->tail, c->tail_size) : 0;
    if (unit) {
        receive_rest(c, unit - c->tail_size);
        return;
    }
    uint8_t *start = SHARED - c->tail_size;
    if (c->tail_size) memcpy(start, c->tail, c->tail_size);
    struct iovec part = {SHARED, READ_BYTES};
    size_t size = c->tail_size + read_into(c, &part, 1);
    size_t done = on_bytes(c, start, size);
    keep_tail(c, start + done, size - done);
}

/* All that has come. */
void receive(connection *c) {
    do receive_once(c);
    while (!c->drained && c->reading);
}
