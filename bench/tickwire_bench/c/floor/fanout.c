/* The floor of a fan-out: a server that does the system calls and nothing else. One epoll_wait, one read of what the
 * publisher sent, and one send per reader with all the frames that were in it. No topics, no offsets, no limits, no
 * slow readers; whoever does not keep up ends it. The load tool speaks to it as to broadcaster.py (--mode raw). */
#include <stdlib.h>
#include <string.h>

#include "websocket.h"

static connection **readers;
static size_t reader_count, reader_room;
static uint8_t out[BUFFER];
static size_t made;

static void join(connection *c) {
    if (c->publishes) return;
    if (reader_count == reader_room) {
        reader_room = reader_room ? 2 * reader_room : 64;
        readers = realloc(readers, reader_room * sizeof *readers);
        if (!readers) fail("no memory");
    }
    readers[reader_count++] = c;
}

static void leave(connection *c) {
    for (size_t i = 0; i < reader_count; i++)
        if (readers[i] == c) readers[i] = readers[--reader_count];
}

/* The frames of a client are masked, and those of a server are not: header and body are all that is repeated. */
static void repeat(connection *c, const uint8_t *head, size_t head_size, const uint8_t *body, size_t size) {
    (void)c;
    memcpy(out + made, head, head_size);
    out[made + 1] &= 127;
    memcpy(out + made + head_size, body, size);
    made += head_size + size;
}

static void deliver(connection *c) {
    (void)c;
    if (!made) return;
    for (size_t i = 0; i < reader_count; i++) send_all(readers[i], out, made);
    made = 0;
}

int main(void) {
    serve(&(floor_hooks){.joined = join, .left = leave, .frame = repeat, .read = deliver});
}
