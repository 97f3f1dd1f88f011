/* How a connection opens: connected, upgraded where it is a WebSocket, greeted, open. Nothing is measured of one yet. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int begin_to_connect(void) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)asked.port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)asked.port)};
    bool is_four = inet_pton(AF_INET, asked.host, &four.sin_addr) == 1;
    if (!is_four) inet_pton(AF_INET6, asked.host, &six.sin6_addr);
    int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    if (fd < 0) fail("no socket: %s; raise the limit on open files (ulimit -n)", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const struct sockaddr *address = is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    if (connect(fd, address, is_four ? sizeof four : sizeof six) < 0 && errno != EINPROGRESS)
        fail("no server at %s port %d: %s", asked.host, asked.port, strerror(errno));
    return fd;
}

connection *start_opening(role role, int number) {
    connection *c = calloc(1, sizeof *c);
    if (!c) fail("out of memory");
    c->role = role;
    c->number = number;
    if (role == READER) {
        choose_topics(c);
        /* Offsets, where there are any, and numbers of each publisher, where they are looked at. */
        size_t known = asked.dialect->gaps && asked.publishers > 1 && number ? 1 : (size_t)asked.publishers + 1;
        c->next = calloc(known * (size_t)asked.topics, sizeof *c->next);
        if (!c->next) fail("out of memory");
    }
    c->fd = begin_to_connect();
    watch(c);
    return c;
}

/* A reader that answered something during the opening is interactive for TCP, until it is silent for 40 ms: it
 * acknowledges every second segment when that comes, which is the sender's work here, and not when it reads, which is its
 * own. A dialect in which it answers nothing would look a fifth cheaper. So all of them leave that mode. */
void is_open(connection *c) {
    int one = 1;
    c->stage = OPEN;
    if (c->role == READER) setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

void one_answered(connection *c) {
    if (c->stage == GREETING && --c->awaited <= 0) is_open(c);
}

static void greet(connection *c) {
    c->stage = GREETING;
    if (!asked.dialect->greet) {
        is_open(c);
        return;
    }
    asked.dialect->greet(c);
    flush_output(c);
}

static void send_upgrade(connection *c) {
    char target[4096] = "/ws", text[5000];
    if (asked.dialect->target) asked.dialect->target(c, target, sizeof target);
    int size = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGlja3dpcmUgYmVuY2ggIQ==\r\nSec-WebSocket-Version: 13\r\n%s%s\r\n",
                        target, asked.port, asked.dialect->headers ? asked.dialect->headers : "",
                        asked.deflate && c->role == READER ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    c->stage = UPGRADING;
    append_output(c, text, (size_t)size);
    flush_output(c);
}

static void on_connected(connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) fail("no server at %s port %d: %s", asked.host, asked.port, strerror(error));
    c->stage = SECURING;
}

static void on_secured(connection *c) {
    if (asked.dialect->websocket) send_upgrade(c);
    else greet(c);
    flush_output(c); /* no longer watched for writing where nothing waits */
}

/* What stands in front of the next read, without taking it; the bytes are taken when all of the answer is there. */
static ssize_t peek(connection *c, void *text, size_t room) {
    return c->tls ? peek_secured(c, text, room) : recv(c->fd, text, room, MSG_PEEK);
}

static ssize_t take(connection *c, void *text, size_t size) {
    return c->tls ? read_secured(c, text, size) : recv(c->fd, text, size, 0);
}

static void on_upgrade(connection *c) {
    char text[4096];
    ssize_t size = peek(c, text, sizeof text - 1);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) fail("the server at port %d answered the upgrade of %s with nothing", asked.port, who(c));
    text[size] = 0;
    char *end = strstr(text, "\r\n\r\n");
    if (!end && size < (ssize_t)sizeof text - 1) return;
    if (!end || strncmp(text, "HTTP/1.1 101 ", 13))
        fail("the server refused %s: %.*s: %s", who(c), (int)strcspn(text, "\r"), text, end ? end + 4 : "");
    if (take(c, text, (size_t)(end + 4 - text)) < 0) fail("lost the connection of %s", who(c));
    *end = 0;
    if (strcasestr(text, "permessage-deflate")) start_inflating(c);
    else if (asked.deflate && c->role == READER) fail("the server does not compress: it did not agree to permessage-deflate");
    greet(c);
}

/* What is to be done with a connection that is not open yet, of which something was heard. */
void go_on_opening(connection *c) {
    if (c->stage == CONNECTING) on_connected(c);
    if (c->stage == SECURING && (!asked.tls || secure(c))) on_secured(c);
    if (c->stage == UPGRADING) on_upgrade(c);
    if (c->stage == GREETING || c->stage == OPEN) receive(c); /* may have come with what was read above */
}
