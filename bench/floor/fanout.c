/* The floor of a fan-out: a server that does the system calls and nothing else. One epoll_wait, one read of what the
 * publisher sent, and one send per reader with all the frames that were in it. No topics, no offsets, no limits, no
 * slow readers; whoever does not keep up ends it. The load tool speaks to it as to broadcaster.py (--mode raw). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (1 << 20)
#define EVENTS 1024

/* The load tool sends one and the same key, so there is one answer to it (RFC 6455, 4.2.2). */
static const char UPGRADED[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: XWkLjj0XNhrV7vhuEsom/XBatkw=\r\n\r\n";

typedef struct {
    int fd;
    bool upgraded, publishes;
    size_t size; /* of what came and is no whole frame yet */
    uint8_t *in;
} connection;

static connection **readers;
static size_t reader_count, reader_room;
static uint8_t out[2 * BUFFER];

static void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void leave(connection *c) {
    for (size_t i = 0; i < reader_count; i++)
        if (readers[i] == c) readers[i] = readers[--reader_count];
    close(c->fd);
    free(c->in);
    free(c);
}

static void join(connection *c) {
    if (reader_count == reader_room) {
        reader_room = reader_room ? 2 * reader_room : 64;
        readers = realloc(readers, reader_room * sizeof *readers);
        if (!readers) fail("no memory");
    }
    readers[reader_count++] = c;
}

static void upgrade(connection *c) {
    uint8_t *end = memmem(c->in, c->size, "\r\n\r\n", 4);
    if (!end) return;
    c->publishes = memmem(c->in, c->size, "publish=1", 9) != NULL;
    c->upgraded = true;
    c->size -= (size_t)(end + 4 - c->in);
    memmove(c->in, end + 4, c->size);
    if (send(c->fd, UPGRADED, sizeof UPGRADED - 1, MSG_NOSIGNAL) < 0) fail("send of the upgrade");
    if (!c->publishes) join(c);
}

/* The frames of a client are masked, and those of a server are not: what is behind them is copied and unmasked. */
static size_t repeat_frames(connection *c) {
    size_t at = 0, made = 0;
    while (c->size - at >= 2) {
        size_t head = 2, length = c->in[at + 1] & 127;
        if (length == 126) head = 4;
        if (length == 127) head = 10;
        if (c->size - at < head + 4) break;
        if (head > 2) {
            length = 0;
            for (size_t i = 2; i < head; i++) length = length << 8 | c->in[at + i];
        }
        if (c->size - at < head + 4 + length) break;
        const uint8_t *mask = c->in + at + head, *body = mask + 4;
        if ((c->in[at] & 15) == 2) {
            memcpy(out + made, c->in + at, head);
            out[made + 1] &= 127;
            for (size_t i = 0; i < length; i++) out[made + head + i] = body[i] ^ mask[i & 3];
            made += head + length;
        }
        at += head + 4 + length;
    }
    c->size -= at;
    memmove(c->in, c->in + at, c->size);
    return made;
}

static void take(connection *c) {
    ssize_t size = read(c->fd, c->in + c->size, BUFFER - c->size);
    if (size <= 0) {
        if (size < 0 && errno == EAGAIN) return;
        leave(c);
        return;
    }
    c->size += (size_t)size;
    if (!c->upgraded) upgrade(c);
    if (!c->upgraded) return;
    size_t made = repeat_frames(c);
    if (!made) return;
    for (size_t i = 0; i < reader_count; i++)
        if (send(readers[i]->fd, out, made, MSG_NOSIGNAL) != (ssize_t)made && errno != EPIPE && errno != ECONNRESET)
            fail("a reader did not keep up");
}

static void accept_all(int listener, int epoll) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection *c = calloc(1, sizeof *c);
        if (!c || !(c->in = malloc(BUFFER))) fail("no memory");
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
    }
}

int main(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)) fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) fail("epoll_ctl");
    printf("listening on ws://127.0.0.1:%d/ws\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                take(events[i].data.ptr);
            else
                accept_all(listener, epoll);
        }
    }
}
