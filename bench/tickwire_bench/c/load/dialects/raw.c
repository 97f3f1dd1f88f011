/* Plain WebSocket servers that hand on what they are sent: broadcaster.py, floor/fanout.c and the servers in peers/. One
 * message is one binary message; which topics a reader wants stands in the target of its upgrade. */
#include "../load.h"

#include <stdio.h>

static void target(const connection *c, char *text, size_t room) {
    if (c->role == PUBLISHER) {
        snprintf(text, room, "/ws?publish=1");
        return;
    }
    size_t size = (size_t)snprintf(text, room, "/ws");
    for (int i = 0; i < topic_count(c) && size < room && asked.topics > 1; i++)
        size += (size_t)snprintf(text + size, room - size, "%s%d", i ? "," : "?topics=", topic_of(c, i));
    if (size >= room) fail("more topics than the target of an upgrade can name: use --each");
}

static void add_publish(template *t, int topic) {
    add_frame_header(t, BINARY, (size_t)asked.payload);
    add_payload(t, topic);
}

static void make(template *t, int topic) { make_each(t, topic, add_publish); }

const dialect RAW = {
    .name = "raw",
    .help = "a plain WebSocket server, such as bench/tickwire_bench/broadcaster.py",
    .websocket = true,
    .target = target,
    .make = make,
    .on_message = check_payload,
};
