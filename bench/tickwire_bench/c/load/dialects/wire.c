/* Tickwire's own protocol: every section that comes is checked against the one before. */
#include "../load.h"

#include <stdio.h>
#include <stdlib.h>

#include "../msgpack.h"
#include "../payload.h"

enum { BEAT = 5, BYE = 6, WELCOME = 16, SUBSCRIBED = 17, ACK = 19, REFUSED = 20, DELIVERY = 21, GAP = 22, MARK = 23 };

/* ---- what is said ---- */

static void subscribe(connection *c, int id, const char *pattern) {
    uint8_t data[64] = {0x93, 2, 0xcd, 0, 0, (uint8_t)(0xa0 | strlen(pattern))};
    put_u16(data + 3, (uint64_t)id);
    memcpy(data + 6, pattern, strlen(pattern));
    append_frame(c, BINARY, data, 6 + strlen(pattern));
    c->awaited++;
}

static void greet(connection *c) {
    static const uint8_t hello[] = {0x92, 1, 0x91, 1};
    append_frame(c, BINARY, hello, sizeof hello);
    c->awaited = 1; /* the welcome */
    if (c->role == CREDITOR) subscribe(c, 1, CREDIT_TOPIC);
    if (c->role != READER) return;
    for (int i = 0; i < (c->topics ? asked.each : 1); i++) {
        char name[32];
        snprintf(name, sizeof name, TOPIC_PREFIX "%d", topic_of(c, i));
        subscribe(c, i + 1, c->topics || asked.topics == 1 ? name : TOPIC_PREFIX "*");
    }
}

static void add_payload_header(template *t) {
    uint8_t head[5] = {0xc4, (uint8_t)asked.payload};
    if (asked.payload > 0xff) head[0] = 0xc5, put_u16(head + 1, (uint64_t)asked.payload);
    if (asked.payload > 0xffff) head[0] = 0xc6, put_u32(head + 1, (uint64_t)asked.payload);
    add(t, head, asked.payload > 0xffff ? 5 : asked.payload > 0xff ? 3 : 2);
}

/* [4, id or nil, [[topic, [payload, ...]]]] */
static void add_publish_header(template *t, int topic) {
    static const uint8_t acked[] = {0x93, 4, 0xce, 0, 0, 0, 0, 0x91, 0x92}, silent[] = {0x93, 4, 0xc0, 0x91, 0x92};
    char name[32];
    int length = snprintf(name + 1, sizeof name - 1, TOPIC_PREFIX "%d", topic);
    uint8_t array[3] = {asked.batch < 16 ? (uint8_t)(0x90 | asked.batch) : 0xdc};
    name[0] = (char)(0xa0 | length);
    if (asked.batch >= 16) put_u16(array + 1, (uint64_t)asked.batch);
    t->id = t->size + 3, t->id_size = asked.acks ? 4 : 0;
    if (asked.acks) add(t, acked, sizeof acked);
    else add(t, silent, sizeof silent);
    add(t, name, (size_t)length + 1);
    add(t, array, asked.batch < 16 ? 1 : 3);
}

static void make(template *t, int topic) {
    template body = {0};
    add_publish_header(&body, topic);
    for (int i = 0; i < asked.batch; i++) {
        size_t before = body.size;
        add_payload_header(&body);
        add_payload(&body, topic);
        body.stride = body.size - before;
    }
    add_frame_header(t, BINARY, body.size);
    t->first = t->size + body.first, t->stride = body.stride;
    t->id = t->size + body.id, t->id_size = body.id_size;
    add(t, body.data, body.size);
    free(body.data);
}

/* ---- what the broker says ---- */

void skip(cursor *in, size_t elements) {
    for (; elements; elements--) {
        need(in, 1);
        uint8_t type = *in->at;
        if (type < 0x80 || type >= 0xe0 || type == 0xc0 || type == 0xc2 || type == 0xc3) in->at++;
        else if (type < 0x90) in->at++, elements += 2 * (type & 15u);
        else if (type < 0xa0 || type == 0xdc || type == 0xdd) elements += read_array(in);
        else if (type < 0xc0 || (type >= 0xd9 && type <= 0xdb)) read_text(in);
        else if (type >= 0xc4 && type <= 0xc6) read_payload(in);
        else if (type == 0xca || type == 0xcb) read_number(in, type == 0xca ? 4 : 8);
        else if (type >= 0xcc && type <= 0xd3) read_number(in, 1u << ((type - 0xcc) & 3));
        else if (type == 0xde || type == 0xdf) elements += 2 * read_number(in, type == 0xde ? 2 : 4);
        else fail("a msgpack type that the protocol does not have: 0x%02x", type);
    }
}

static int read_topic(cursor *in) {
    const size_t prefix = sizeof TOPIC_PREFIX - 1;
    span text = read_text(in);
    unsigned number = 0;
    if (text.size <= prefix || text.size > prefix + 6 || memcmp(text.data, TOPIC_PREFIX, prefix))
        fail("a message of a topic that was not subscribed: %.*s", (int)text.size, text.data);
    for (size_t i = prefix; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') fail("a message of an unknown topic: %.*s", (int)text.size, text.data);
        number = number * 10 + (unsigned)(text.data[i] - '0');
    }
    if (number >= (unsigned)asked.topics) fail("a message of an unknown topic: %.*s", (int)text.size, text.data);
    return (int)number;
}

/* Offsets start at 1 in `next`: 0 says that nothing of this topic is known yet. */
static void expect_offset(connection *c, int topic, uint64_t offset) {
    if (c->next[topic] && c->next[topic] != offset + 1)
        fail("reader %d: " TOPIC_PREFIX "%d goes on at offset %llu, expected %llu", c->number, topic, (unsigned long long)offset,
             (unsigned long long)c->next[topic] - 1);
}

/* The messages' own numbers, of each publisher in each topic one after the other. All are looked at for reader 0. The
 * others get the same bytes; where there is one publisher, so that a message's number is as far from its offset as that of
 * every other of its topic, the first and last message of a section are looked at for them too. */
static void check_number(connection *c, int topic, uint64_t offset, const uint8_t *payload) {
    enum { AHEAD = 62 }; /* a power of two that is above all offsets, so that what is known is never 0 */
    uint64_t number = get_u64(payload + NUMBER_AT), publisher = number >> 40, from = asked.publishers > 1 ? 0 : offset;
    if (publisher >= (uint64_t)asked.publishers) fail("a message of an unknown publisher");
    if (asked.publishers > 1 && c->number) return;
    /* The number that is next, as far from its offset as it is where there is one publisher; 0: not known. */
    uint64_t *next = &c->next[(1 + publisher) * (uint64_t)asked.topics + (uint64_t)topic];
    if (!*next && !c->gaps) *next = (1ull << AHEAD) + (publisher << 40) - from; /* 0: readers were there before it */
    if (*next && *next != (1ull << AHEAD) + number - from)
        fail("reader %d: " TOPIC_PREFIX "%d has message %llu of publisher %llu at offset %llu, expected %llu", c->number,
             topic, (unsigned long long)(number & NUMBERS), (unsigned long long)publisher, (unsigned long long)offset,
             (unsigned long long)((*next + from) & NUMBERS));
    *next = (1ull << AHEAD) + number - from + (asked.publishers > 1);
}

static void read_section(connection *c, cursor *in) {
    size_t elements = read_array(in);
    if (elements < 5) fail("a section of %zu elements", elements);
    int topic = read_topic(in);
    uint64_t first = read_uint(in);
    skip(in, 2); /* stamp, time_us */
    size_t messages = read_array(in);
    if (!messages) fail("a section without messages");
    expect_offset(c, topic, first);
    span payload = read_payload(in);
    if (asked.publishers) {
        check_size(payload.size);
        sample_latency(c, payload.data);
        check_number(c, topic, first, payload.data);
    }
    for (size_t i = 1; i < messages; i++) {
        payload = read_payload(in);
        if (!asked.publishers) continue;
        check_size(payload.size);
        if (!c->number || i == messages - 1) check_number(c, topic, first + i, payload.data);
    }
    skip(in, elements - 5);
    c->next[topic] = first + messages + 1;
    count(c, messages);
}

/* Another process says how many messages it has had: they are no longer in flight. */
static void read_credit(cursor *in) {
    skip(in, read_array(in) ? 4 : 0);
    size_t messages = read_array(in);
    for (span payload; messages; messages--) {
        payload = read_payload(in);
        cursor number = {payload.data, payload.data + payload.size};
        now.returned = read_uint(&number);
    }
    if (now.returned > now.published) fail("credit for more messages than were published");
}

static void on_delivery(connection *c, cursor *in) {
    read_uint(in); /* the stream */
    for (size_t sections = read_array(in); sections; sections--) {
        if (c->role == CREDITOR) read_credit(in);
        else read_section(c, in);
    }
}

static void on_subscribed(connection *c, cursor *in) {
    int id = (int)read_uint(in);
    if (id < 1 || id > (c->topics ? asked.each : 1)) fail("the broker answered a subscription that there is not: %d", id);
    skip(in, 2); /* stream, stamp */
    if (!read_nil(in) && c->role == READER) c->next[topic_of(c, id - 1)] = read_uint(in) + 1;
    one_answered(c);
}

static void on_acks(connection *c, cursor *in) {
    for (size_t receipts = read_array(in); receipts; receipts--) {
        size_t elements = read_array(in);
        uint64_t id = elements ? read_uint(in) : 0;
        if (elements != 2 || id != c->acknowledged_ids)
            fail("an acknowledgment of publish %llu where %llu was next", (unsigned long long)id,
                 (unsigned long long)c->acknowledged_ids);
        skip(in, elements - 1);
        acknowledged(c, 1, (uint64_t)asked.batch);
    }
}

/* Whose messages the ones that are lost were is not known. */
static void forget_numbers(connection *c, int topic) {
    for (int publisher = 0; publisher < asked.publishers; publisher++) c->next[(1 + publisher) * asked.topics + topic] = 0;
}

static void on_gap(connection *c, cursor *in) {
    read_uint(in);
    int topic = read_topic(in);
    uint64_t from = read_uint(in), to = read_uint(in);
    span reason = read_text(in);
    if (!c->slow)
        fail("reader %d lost %llu messages: it was told of a gap (%.*s)", c->number, (unsigned long long)(to - from),
             (int)reason.size, reason.data);
    if (to <= from) fail("a gap from %llu to %llu", (unsigned long long)from, (unsigned long long)to);
    expect_offset(c, topic, from);
    c->next[topic] = to + 1;
    if (asked.publishers > 1 && !c->number) forget_numbers(c, topic);
    c->gaps++;
    c->lost += to - from;
}

static _Noreturn void on_refusal(cursor *in, const char *what, bool with_kind_and_id) {
    if (with_kind_and_id) skip(in, 2);
    span code = read_text(in), text = read_text(in);
    fail("%s: %.*s: %.*s", what, (int)code.size, code.data, (int)text.size, text.data);
}

static void on_message(connection *c, const uint8_t *data, size_t size) {
    cursor in = {data, data + size};
    if (!read_array(&in)) fail("an empty frame");
    switch (read_uint(&in)) {
    case WELCOME: one_answered(c); return;
    case SUBSCRIBED: on_subscribed(c, &in); return;
    case DELIVERY: on_delivery(c, &in); return;
    case ACK: on_acks(c, &in); return;
    case GAP: on_gap(c, &in); return;
    case MARK: c->marked = true; return;
    case REFUSED: on_refusal(&in, "the broker refused a request", true);
    case BYE: on_refusal(&in, "the broker said goodbye", false);
    default: return; /* beats, and kinds of a later version */
    }
}

const dialect WIRE = {
    .name = "wire",
    .help = "a Tickwire broker",
    .websocket = true,
    .headers = "Sec-WebSocket-Protocol: tickwire.v1\r\n",
    .acks = true,
    .gaps = true,
    .credit = true,
    .greet = greet,
    .make = make,
    .on_message = on_message,
};
