/* Socket.IO 5 over Engine.IO 4, straight over a WebSocket: each event is a text message that announces an attachment, and a
 * binary one that is it. */
#include "../load.h"

#include <stdio.h>
#include <string.h>

static const char EVENT[] = "451-[\"m\",{\"_placeholder\":true,\"num\":0}]";

static void target(const connection *c, char *text, size_t room) {
    size_t size = (size_t)snprintf(text, room, "/socket.io/?EIO=4&transport=websocket%s", c->role == PUBLISHER ? "&publish=1" : "");
    for (int i = 0; c->role == READER && i < topic_count(c) && size < room; i++)
        size += (size_t)snprintf(text + size, room - size, "%s%d", i ? "," : "&topics=", topic_of(c, i));
    if (size >= room) fail("more topics than the target of an upgrade can name: use --each");
}

static void greet(connection *c) { c->awaited = 1; /* Engine.IO speaks first */ }

static void add_publish(template *t, int topic) {
    add_frame_header(t, TEXT, sizeof EVENT - 1);
    add(t, EVENT, sizeof EVENT - 1);
    add_frame_header(t, BINARY, (size_t)asked.payload);
    add_payload(t, topic);
}

static void make(template *t, int topic) { make_each(t, topic, add_publish); }

static void on_text(connection *c, const uint8_t *data, size_t size) {
    if (size >= 1 && data[0] == '0') {
        append_frame(c, TEXT, "40", 2);
        flush_output(c);
    } else if (size >= 2 && !memcmp(data, "40", 2)) {
        one_answered(c);
    } else if (size == 1 && data[0] == '2') {
        append_frame(c, TEXT, "3", 1);
        flush_output(c);
    } else if (size < 4 || memcmp(data, "451-", 4)) {
        fail("Socket.IO said to %s: %.*s", who(c), (int)size, data);
    }
}

const dialect SOCKET_IO = {
    .name = "socket.io",
    .help = "a Socket.IO server",
    .websocket = true,
    .target = target,
    .greet = greet,
    .make = make,
    .on_message = check_payload,
    .on_text = on_text,
};
