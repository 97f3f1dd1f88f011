/* The loops of which Python was the limit, each with its reference in Python: fanout/deliver.py, wire/encoded.py, and
   aiohttp's reader.

   Nothing here waits or keeps anything. The caller holds the interpreter, so that no other thread changes
   what the pointers point to. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "python.h"

enum { PIECES = 64, NOT_TRIED = -1 }; /* pieces of one write: more than any peer is due in most flushes */
enum { JOINED = 2048 }; /* bytes of what one peer is due that are copied into one piece */
enum { NO_SLOT = 0 }; /* is that of all peers that have none */
#define NONE UINT32_MAX

/* A frame for many: slots[0..count) are those who get it, each a place in `descriptors`. */
typedef struct {
    const uint32_t *slots;
    uint64_t count;
} part;

static ssize_t send_pieces(int descriptor, struct iovec *pieces, size_t count) {
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t went;
    do
        went = sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (went < 0 && errno == EINTR);
    return went < 0 ? 0 : went; /* what is wrong with the connection, its transport finds out by itself */
}

static ssize_t send_bytes(int descriptor, const char *data, size_t size) {
    ssize_t went;
    do
        went = send(descriptor, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (went < 0 && errno == EINTR);
    return went < 0 ? 0 : went;
}

/* Bytes that went into one socket. */
int64_t tickwire_send(int32_t descriptor, const char *data, uint64_t size) {
    return send_bytes(descriptor, data, size);
}

/* What a chain of links says, in one piece: short ones cost less to copy than to be told of one by one. Returns its bytes,
   or 0 where there is no room for it. */
static uint64_t join_chain(char *joined, uint64_t room, PyObject *frames, uint32_t link, const uint32_t *next,
                           const uint32_t *part_of) {
    uint64_t size = 0;
    for (; link != NONE; link = next[link]) {
        PyObject *frame = PyList_GetItem(frames, part_of[link]);
        uint64_t more = PyBytes_Size(frame);
        if (more > room - size)
            return 0;
        memcpy(joined + size, PyBytes_AsString(frame), more);
        size += more;
    }
    return size;
}

/* Send to one slot all that its chain of links says, and report each link where not all of it went. */
static int64_t send_chain(int descriptor, PyObject *frames, uint32_t link, const uint32_t *next, const uint32_t *part_of,
                          const uint32_t *place_of, uint32_t *left_part, uint32_t *left_place, int64_t *went) {
    int64_t sent = NOT_TRIED;
    if (descriptor >= 0) {
        char joined[JOINED];
        uint64_t due = join_chain(joined, JOINED, frames, link, next, part_of);
        uint32_t at = due ? NONE : link;
        sent = due ? send_bytes(descriptor, joined, due) : 0;
        while (at != NONE && (uint64_t)sent == due) {
            struct iovec pieces[PIECES];
            size_t count = 0;
            for (; at != NONE && count < PIECES; at = next[at], count++) {
                PyObject *frame = PyList_GetItem(frames, part_of[at]);
                pieces[count] = (struct iovec){PyBytes_AsString(frame), PyBytes_Size(frame)};
                due += pieces[count].iov_len;
            }
            sent += send_pieces(descriptor, pieces, count);
        }
        if (at == NONE && (uint64_t)sent == due)
            return 0;
    }
    int64_t left = 0;
    for (; link != NONE; link = next[link], left++) {
        left_part[left] = part_of[link];
        left_place[left] = place_of[link];
        went[left] = sent;
    }
    return left;
}

/* Send of each part the frame of its number in the list to all its slots: what a slot is due of several parts leaves in one write, in their order. Where that
   was not tried, since its descriptor is -1, or not all of it went, each part and place of the slot is put into
   `left_part` and `left_place`, and into `went` how many bytes of all of them went, or NOT_TRIED. Returns how many of
   them there are.

   All arrays have room for all slots of all parts; `first` and `last` are by slot, and `first` is NONE throughout,
   before and after. */
int64_t tickwire_fan_out(const int32_t *descriptors, PyObject *frames, const part *parts, uint32_t count, uint32_t *first, uint32_t *last,
                         uint32_t *next, uint32_t *part_of, uint32_t *place_of, uint32_t *left_part,
                         uint32_t *left_place, int64_t *went) {
    int64_t left = 0;
    uint32_t link = 0;
    for (uint32_t number = 0; number < count; number++)
        for (uint32_t place = 0; place < parts[number].count; place++) {
            uint32_t slot = parts[number].slots[place];
            if (slot == NO_SLOT) {
                left_part[left] = number;
                left_place[left] = place;
                went[left++] = NOT_TRIED;
                continue;
            }
            next[link] = NONE;
            part_of[link] = number;
            place_of[link] = place;
            if (first[slot] == NONE)
                first[slot] = link;
            else
                next[last[slot]] = link;
            last[slot] = link++;
        }
    for (uint32_t each = 0; each < link; each++) {
        uint32_t slot = parts[part_of[each]].slots[place_of[each]];
        if (first[slot] != each)
            continue; /* it was in the chain of an earlier one */
        left += send_chain(descriptors[slot], frames, each, next, part_of, place_of, left_part + left,
                           left_place + left, went + left);
        first[slot] = NONE;
    }
    return left;
}

/* The same of one part. */
int64_t tickwire_send_to_all(const int32_t *descriptors, const uint32_t *slots, uint64_t count, const char *data,
                             uint64_t size, uint32_t *left_place, int64_t *went) {
    int64_t left = 0;
    for (uint64_t place = 0; place < count; place++) {
        int32_t descriptor = descriptors[slots[place]];
        int64_t sent = descriptor < 0 ? NOT_TRIED : send_bytes(descriptor, data, size);
        if (sent < 0 || (uint64_t)sent != size) {
            left_place[left] = (uint32_t)place;
            went[left++] = sent;
        }
    }
    return left;
}

static void unmask(uint8_t *to, const uint8_t *from, uint64_t size, const uint8_t mask[4]) {
    uint64_t eight, word, at = 0;
    memcpy(&eight, (uint8_t[]){mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]}, 8);
    for (; at + 8 <= size; at += 8) {
        memcpy(&word, from + at, 8);
        word ^= eight;
        memcpy(to + at, &word, 8);
    }
    for (; at < size; at++)
        to[at] = from[at] ^ mask[at & 3];
}

/* Append to a list the payloads of the WebSocket frames that stand in `data` from `at` on, as long as each is a whole
   binary message (RFC 6455 5.2: FIN, no reserved bit), masked or not as is `masked`, with the shortest length, below
   `limit` bytes, and there are no more than `most`. Returns where the first stands that is not; -1 where there is no
   memory. `*need` is then how many bytes of it must be there to know or to have more, or 0 where it is something else,
   or one too many. */
int64_t tickwire_take_frames(PyObject *frames, const uint8_t *data, uint64_t size, uint64_t at, uint64_t limit,
                             int32_t masked, uint64_t most, uint64_t *need) {
    for (;; most--) {
        const uint8_t *frame = data + at;
        uint64_t there = size - at, header = masked ? 6 : 2, payload;
        *need = 2;
        if (there < 2)
            return at;
        if (!most || frame[0] != 0x82 || (frame[1] >> 7) != masked) {
            *need = 0;
            return at;
        }
        payload = frame[1] & 0x7F;
        if (payload == 126) {
            header += 2;
            *need = 4;
            if (there < 4)
                return at;
            payload = (uint64_t)frame[2] << 8 | frame[3];
            if (payload < 126)
                payload = UINT64_MAX;
        } else if (payload == 127) {
            header += 8;
            *need = 10;
            if (there < 10)
                return at;
            payload = 0;
            for (int byte = 2; byte < 10; byte++)
                payload = payload << 8 | frame[byte];
            if (payload < 1 << 16)
                payload = UINT64_MAX;
        }
        if (payload >= limit) {
            *need = 0;
            return at;
        }
        *need = header + payload;
        if (there < *need)
            return at;
        PyObject *taken = PyBytes_FromStringAndSize(masked ? NULL : (const char *)frame + header, payload);
        if (taken == NULL)
            return -1;
        if (masked)
            unmask((uint8_t *)PyBytes_AsString(taken), frame + header, payload, frame + header - 4);
        int failed = PyList_Append(frames, taken);
        Py_DecRef(taken);
        if (failed)
            return -1;
        at += *need;
    }
}

/* Where each of `count` payloads ends that stand in `data` from `at` on, each with the shortest header that msgpack has
   for it. Returns the bytes of the payloads without their headers, or -1 where something else stands there. */
int64_t tickwire_payload_ends(const uint8_t *data, uint64_t size, uint64_t at, uint64_t count, uint32_t *ends) {
    int64_t bytes = 0;
    for (uint64_t number = 0; number < count; number++) {
        uint64_t header, payload;
        if (at > size || size - at < 2)
            return -1;
        if (data[at] == 0xC4)
            header = 2, payload = data[at + 1];
        else if (data[at] == 0xC5 && size - at >= 3 && data[at + 1])
            header = 3, payload = (uint64_t)data[at + 1] << 8 | data[at + 2];
        else if (data[at] == 0xC6 && size - at >= 5 && (data[at + 1] || data[at + 2]))
            header = 5, payload = (uint64_t)data[at + 1] << 24 | data[at + 2] << 16 | data[at + 3] << 8 | data[at + 4];
        else
            return -1;
        if (size - at < header + payload)
            return -1;
        at += header + payload;
        bytes += payload;
        ends[number] = (uint32_t)at;
    }
    return bytes;
}

/* How many elements the array has that begins in `data` at `*at`, which is then where they do; 0 where none begins. */
static uint64_t array_at(const uint8_t *data, uint64_t size, uint64_t *at) {
    uint64_t there = size - *at, bytes, count = 0;
    const uint8_t *header = data + *at;
    if (there < 1)
        return 0;
    if (header[0] >> 4 == 0x9) {
        *at += 1;
        return header[0] & 0xF;
    }
    bytes = header[0] == 0xDC ? 2 : header[0] == 0xDD ? 4 : 0;
    if (there < 1 + bytes)
        return 0;
    for (uint64_t byte = 1; byte <= bytes; byte++)
        count = count << 8 | header[byte];
    *at += 1 + bytes;
    return count;
}

typedef struct {
    uint64_t behind, count, size; /* the first frame that is none, payloads, their bytes without headers */
} plain;

/* The payloads of frames, from `found->behind` on, that begin with `head` and have behind it an array of payloads to
   their end, as they stand there, in one object. `ends` says where each payload ends in it, and has `room` for so many;
   they are those that `tickwire_payload_ends` takes. A frame with more than `longest` bytes or `most` payloads is none. */
PyObject *tickwire_plain_payloads(PyObject *frames, const char *head, uint64_t head_size, uint64_t longest, uint64_t most,
                                  uint32_t *ends, uint64_t room, plain *found) {
    uint64_t first = found->behind, number = first, frames_size = PyList_Size(frames), total = 0;
    found->count = found->size = 0;
    for (; number < frames_size; number++) {
        PyObject *frame = PyList_GetItem(frames, number);
        const char *data = PyBytes_AsString(frame);
        uint64_t size = PyBytes_Size(frame), at = head_size;
        if (size > longest || size < head_size || memcmp(data, head, head_size))
            break;
        uint64_t count = array_at((const uint8_t *)data, size, &at);
        if (count < 1 || count > most || count > room - found->count || total + size > UINT32_MAX)
            break;
        uint32_t *mine = ends + found->count;
        int64_t bytes = tickwire_payload_ends((const uint8_t *)data, size, at, count, mine);
        if (bytes < 0 || mine[count - 1] != size)
            break;
        for (uint64_t each = 0; each < count; each++)
            mine[each] = (uint32_t)(mine[each] - at + total);
        total += size - at;
        found->count += count;
        found->size += bytes;
    }
    found->behind = number;
    PyObject *joined = PyBytes_FromStringAndSize(NULL, total);
    if (joined == NULL)
        return NULL;
    char *to = PyBytes_AsString(joined);
    for (uint64_t taken = first; taken < number; taken++) {
        PyObject *frame = PyList_GetItem(frames, taken);
        const char *data = PyBytes_AsString(frame);
        uint64_t size = PyBytes_Size(frame), at = head_size;
        array_at((const uint8_t *)data, size, &at);
        memcpy(to, data + at, size - at);
        to += size - at;
    }
    return joined;
}
