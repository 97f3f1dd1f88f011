/* How a connection opens: one step after the other, each waited for; nothing is measured yet. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OPEN_TIMEOUT_MS 10000

static int connect_to_server(void) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)asked.port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)asked.port)};
    bool is_four = inet_pton(AF_INET, asked.host, &four.sin_addr) == 1;
    if (!is_four) inet_pton(AF_INET6, asked.host, &six.sin6_addr);
    int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM, 0), one = 1;
    if (fd < 0) fail("no socket: %s; raise the limit on open files (ulimit -n)", strerror(errno));
    const struct sockaddr *address = is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    if (connect(fd, address, is_four ? sizeof four : sizeof six) < 0)
        fail("no server at %s port %d: %s", asked.host, asked.port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

static void send_upgrade(connection *c) {
    char text[512];
    int size = snprintf(text, sizeof text,
                        "GET /ws%s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGlja3dpcmUgYmVuY2ggIQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                        asked.mode == MODE_RAW && c->role == PUBLISHER ? "?publish=1" : "", asked.port,
                        asked.mode == MODE_WIRE ? "Sec-WebSocket-Protocol: tickwire.v1\r\n" : "");
    if (send(c->fd, text, (size_t)size, MSG_NOSIGNAL) != size) fail("the connection of %s went while it opened", who(c));
}

static void receive_upgrade(connection *c) {
    char text[4096];
    ssize_t size = recv(c->fd, text, sizeof text - 1, MSG_PEEK);
    if (size <= 0) fail("the server at port %d answered the upgrade of %s with nothing", asked.port, who(c));
    text[size] = 0;
    char *end = strstr(text, "\r\n\r\n");
    if (!end) return;
    if (strncmp(text, "HTTP/1.1 101 ", 13))
        fail("the server refused %s: %.*s: %s", who(c), (int)strcspn(text, "\r"), text, end + 4);
    if (recv(c->fd, text, (size_t)(end + 4 - text), 0) < 0) fail("lost the connection of %s", who(c));
    c->upgraded = true;
}

static void pump_until(connection *c, const bool *ready, void (*take)(connection *)) {
    while (!*ready) {
        struct pollfd waiting = {c->fd, POLLIN, 0};
        if (poll(&waiting, 1, OPEN_TIMEOUT_MS) <= 0)
            fail("the server did not answer %s within %d s of opening", who(c), OPEN_TIMEOUT_MS / 1000);
        take(c);
    }
}

static void greet(connection *c) {
    append_hello(c);
    const char *all = asked.topics > 1 ? TOPIC_PREFIX "*" : TOPIC_PREFIX "0";
    if (c->role != PUBLISHER) append_subscribe(c, c->role == CREDITOR ? CREDIT_TOPIC : all);
    flush_output(c);
    pump_until(c, c->role == PUBLISHER ? &c->welcomed : &c->subscribed, receive);
}

connection *open_connection(role role, int number) {
    connection *c = calloc(1, sizeof *c);
    if (!c) fail("out of memory");
    c->role = role;
    c->number = number;
    c->fd = connect_to_server();
    if (role == READER) {
        c->next = calloc((size_t)(asked.topics + asked.publishers), sizeof *c->next);
        if (!c->next) fail("out of memory");
    }
    watch(c);
    send_upgrade(c);
    pump_until(c, &c->upgraded, receive_upgrade);
    if (asked.mode == MODE_WIRE) greet(c);
    return c;
}
