#define _GNU_SOURCE
#include "websocket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 1024
#define KEY_SIZE 24 /* of a Sec-WebSocket-Key: 16 bytes in base64 */

static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */

void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

void send_all(connection *c, const void *data, size_t size) {
    if (send(c->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size && errno != EPIPE && errno != ECONNRESET)
        fail("a peer did not keep up");
}

static uint32_t rotated(uint32_t word, int by) { return word << by | word >> (32 - by); }

/* FIPS 180-4, 6.1.2: one block of SHA-1. */
static void digest_block(uint32_t state[5], const uint8_t *block) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
        uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
        uint32_t next = rotated(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotated(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

/* The Sec-WebSocket-Accept to a key (RFC 6455, 4.2.2): 60 bytes, so two blocks, then 20 bytes in base64. */
static void accept_of(const uint8_t *key, char accept[29]) {
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t blocks[128] = {0}, digest[21] = {0};
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    memcpy(blocks, key, KEY_SIZE);
    memcpy(blocks + KEY_SIZE, GUID, sizeof GUID - 1);
    blocks[60] = 0x80;
    blocks[126] = 480 >> 8, blocks[127] = 480 & 255; /* bits */
    digest_block(state, blocks);
    digest_block(state, blocks + 64);
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
    for (int i = 0; i < 7; i++) {
        uint32_t bits = (uint32_t)digest[3 * i] << 16 | digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int j = 0; j < 4; j++) accept[4 * i + j] = DIGITS[bits >> (18 - 6 * j) & 63];
    }
    accept[27] = '=', accept[28] = 0;
}

static void upgrade(connection *c, const floor_hooks *hooks) {
    uint8_t *end = memmem(c->in, c->size, "\r\n\r\n", 4);
    if (!end) return;
    static const char KEY[] = "Sec-WebSocket-Key: ";
    size_t size = (size_t)(end - c->in);
    c->in[size] = 0;
    const char *key = strcasestr((char *)c->in, KEY), *request = (char *)c->in;
    if (!key) fail("an upgrade without a key");
    char accept[29], answer[512];
    accept_of((const uint8_t *)key + sizeof KEY - 1, accept);
    const char *protocol = strstr(request, "tickwire.v1") ? "Sec-WebSocket-Protocol: tickwire.v1\r\n" : "";
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "%sSec-WebSocket-Accept: %s\r\n\r\n",
                          protocol, accept);
    c->publishes = strstr(request, "publish=1") != NULL;
    c->upgraded = true;
    c->size -= size + 4;
    memmove(c->in, end + 4, c->size);
    send_all(c, answer, (size_t)length);
    if (hooks->joined) hooks->joined(c);
}

static void unmask(uint8_t *body, size_t size, const uint8_t *mask) {
    uint64_t word, eight;
    memcpy(&eight, mask, 4), memcpy((uint8_t *)&eight + 4, mask, 4);
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, body + i, 8);
        word ^= eight;
        memcpy(body + i, &word, 8);
    }
    for (; i < size; i++) body[i] ^= mask[i & 3];
}

static void take_frames(connection *c, const floor_hooks *hooks) {
    size_t at = 0;
    while (c->size - at >= 2) {
        size_t head = 2, length = c->in[at + 1] & 127;
        if (length == 126) head = 4;
        if (length == 127) head = 10;
        if (c->size - at < head + 4) break;
        if (head > 2) {
            length = 0;
            for (size_t i = 2; i < head; i++) length = length << 8 | c->in[at + i];
        }
        if (length > BUFFER - head - 4) fail("a frame larger than the buffer");
        if (c->size - at < head + 4 + length) break;
        uint8_t *body = c->in + at + head + 4;
        if ((c->in[at] & 15) == 2) {
            unmask(body, length, body - 4);
            hooks->frame(c, c->in + at, head, body, length);
        }
        at += head + 4 + length;
    }
    c->size -= at;
    memmove(c->in, c->in + at, c->size);
}

static void take(connection *c, const floor_hooks *hooks) {
    ssize_t size = read(c->fd, c->in + c->size, BUFFER - c->size);
    if (size <= 0) {
        if (size < 0 && errno == EAGAIN) return;
        if (hooks->left) hooks->left(c);
        close(c->fd);
        free(c->in);
        free(c);
        return;
    }
    c->size += (size_t)size;
    if (!c->upgraded) upgrade(c, hooks);
    if (!c->upgraded) return;
    take_frames(c, hooks);
    if (hooks->read) hooks->read(c);
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

void serve(const floor_hooks *hooks) {
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
                take(events[i].data.ptr, hooks);
            else
                accept_all(listener, epoll);
        }
        if (hooks->turn) hooks->turn();
    }
}
