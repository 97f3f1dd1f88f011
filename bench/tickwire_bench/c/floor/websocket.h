/* What the floors share: a WebSocket server on one epoll that checks nothing. Frames come unmasked, in place. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUFFER (1 << 20) /* of a connection: no frame may be larger */

typedef struct {
    int fd;
    bool upgraded, publishes; /* "publish=1" stood in what it asked for */
    size_t size;              /* of what came and is no whole frame yet */
    uint8_t *in;
} connection;

/* What a floor does. Any of them may be NULL. */
typedef struct {
    void (*joined)(connection *);
    void (*left)(connection *);
    /* A binary frame: its header, then as many bytes behind it. */
    void (*frame)(connection *, const uint8_t *head, size_t head_size, const uint8_t *body, size_t size);
    void (*read)(connection *); /* after the frames of one read */
    void (*turn)(void);         /* after all that one epoll_wait gave */
} floor_hooks;

/* Says what went wrong, and ends the process. */
void fail(const char *what);

/* Sends all of it; where the connection is gone, nothing. A peer that does not take it ends the process. */
void send_all(connection *, const void *data, size_t size);

/* Listens on a port of loopback that the system picks, prints it, and does not return. */
void serve(const floor_hooks *);

#endif
