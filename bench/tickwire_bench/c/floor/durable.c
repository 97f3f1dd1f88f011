/* The floor of durable publishing: a server in C that stores the bytes of each frame as they came, and nothing else.
 * What one epoll_wait gave is one pwrite into a file that has its space, one fdatasync, and one send per publish. No
 * topics, no index, no checksums, no identities, no reading; nobody is shown anything. The Python SDK speaks to it as
 * to a broker, so the difference between the two is the broker.
 *
 *   floor-durable FILE WELCOME     the frame that answers a HELLO, in hexadecimal */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "websocket.h"

#define SPACE (32 << 20) /* of the file, which is written over again and again, as a WAL is */
#define ROOM (4 << 20)   /* for the frames of one turn */
#define OWED 4096

enum { HELLO = 1, PUBLISH = 4, ACK = 19 }; /* the kinds of PROTOCOL.md */

typedef struct {
    connection *to;
    uint8_t id[9]; /* as it came: an integer of msgpack */
    size_t id_size;
} receipt;

static int file;
static off_t at;
static uint8_t came[ROOM];
static size_t came_size, owed_count;
static receipt owed[OWED];
static uint8_t welcome[4096];
static size_t welcome_size;

static size_t size_of_integer(uint8_t first) {
    return first < 0x80 ? 1 : first >= 0xcc && first <= 0xcf ? 1 + (1u << (first - 0xcc)) : 0;
}

/* A frame is [kind, id, ...]; what stands behind the id is stored and not looked at. */
static void take(connection *c, const uint8_t *head, size_t head_size, const uint8_t *body, size_t size) {
    (void)head, (void)head_size;
    if (size < 3) return;
    if (body[1] == HELLO) {
        send_all(c, welcome, welcome_size);
    } else if (body[1] == PUBLISH) {
        size_t id_size = size_of_integer(body[2]);
        if (!id_size || size < 2 + id_size) return;
        if (owed_count == OWED || came_size + size > ROOM) errno = ENOBUFS, fail("more in one turn than there is room for");
        receipt *to = &owed[owed_count++];
        to->to = c, to->id_size = id_size;
        memcpy(to->id, body + 2, id_size);
        memcpy(came + came_size, body, size);
        came_size += size;
    }
}

static void leave(connection *c) {
    for (size_t i = 0; i < owed_count; i++)
        if (owed[i].to == c) owed[i] = owed[--owed_count], i--;
}

static void store(void) {
    if (!owed_count) return;
    if (at + (off_t)came_size > SPACE) at = 0;
    if (pwrite(file, came, came_size, at) != (ssize_t)came_size || fdatasync(file)) fail("the disk");
    at += (off_t)came_size;
    for (size_t i = 0; i < owed_count; i++) {
        receipt *to = &owed[i];
        uint8_t frame[32] = {0x82, (uint8_t)(5 + to->id_size), 0x92, ACK, 0x91, 0x92};
        memcpy(frame + 6, to->id, to->id_size);
        frame[6 + to->id_size] = 0; /* the first offset, which nobody looks at */
        send_all(to->to, frame, 7 + to->id_size);
    }
    came_size = owed_count = 0;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: floor-durable FILE WELCOME\n");
        return 2;
    }
    const char *hex = arguments[2];
    size_t size = strlen(hex) / 2;
    if (size < 126 || size > sizeof welcome - 4) errno = EINVAL, fail("the welcome");
    welcome[0] = 0x82, welcome[1] = 126, welcome[2] = (uint8_t)(size >> 8), welcome[3] = (uint8_t)size;
    for (size_t i = 0; i < size; i++) sscanf(hex + 2 * i, "%2hhx", &welcome[4 + i]);
    welcome_size = 4 + size;
    file = open(arguments[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0) fail(arguments[1]);
    memset(came, 1, sizeof came);
    for (off_t done = 0; done < SPACE; done += ROOM)
        if (pwrite(file, came, ROOM, done) != ROOM) fail("the disk");
    if (fsync(file)) fail("the disk");
    serve(&(floor_hooks){.left = leave, .frame = take, .turn = store});
}
