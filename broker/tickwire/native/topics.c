/* What is done once for each of many topics in a flush, for all of them in one call: messages are taken apart by topic,
   sealed, and put into frames. The references are `apart` of wire/plain.py, `seal_short` of fanout/section.py and
   `live_frames` of fanout/frame.py; whoever changes one of the two changes the other.

   The caller holds the interpreter. Where a function returns -1, Python has an error set, which ctypes raises. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "python.h"

static const uint8_t BEGIN[] = {0x93, 0x04, 0xC0, 0x91, 0x92}; /* [4, nil, [[: a PUBLISH of one run, without an id */
enum { ROW = 4 };            /* frames of one topic in a row, after which they are left to tickwire_plain_payloads */
enum { PLACES = 8192 };      /* twice as many as frames of one call, so that few share one */
enum { FRAMES = PLACES / 2 };

/* Where the payload of a single message of less than 256 bytes stands in a frame; 0 where it is none of one. */
static uint64_t payload_at(const uint8_t *frame, uint64_t size) {
    if (size < sizeof BEGIN + 4 || memcmp(frame, BEGIN, sizeof BEGIN) || frame[sizeof BEGIN] >> 5 != 5)
        return 0;
    uint64_t at = sizeof BEGIN + 1 + (frame[sizeof BEGIN] & 31);
    return at + 3 <= size && frame[at] == 0x91 && frame[at + 1] == 0xC4 && frame[at + 2] == size - at - 3 ? at + 3 : 0;
}

/* Append a payload to what a list has at the end, or to a new list behind it. */
static bool put(PyObject *runs, int64_t index, const uint8_t *payload, uint64_t size) {
    PyObject *taken = PyBytes_FromStringAndSize((const char *)payload, (ssize_t)size);
    PyObject *run = index < 0 ? PyList_New(0) : PyList_GetItem(runs, index);
    bool done = taken && run && PyList_Append(run, taken) == 0 && (index >= 0 || PyList_Append(runs, run) == 0);
    Py_DecRef(taken);
    if (index < 0)
        Py_DecRef(run);
    return done;
}

/* The payloads of single messages from the frame `start` on: `topics` gets what their heads stand for in the dict
   `heads`, each once, `runs` the payloads of each in a list, and `sizes` their bytes. Returns the first frame that is
   none of one, is longer than `longest`, has a head that stands for nothing, or follows ROW others of its topic. */
int64_t tickwire_apart(PyObject *frames, uint64_t start, uint64_t longest, PyObject *heads, PyObject *topics,
                       PyObject *runs, uint64_t *sizes) {
    uint64_t end = (uint64_t)PyList_Size(frames), count = 0, places = 16, row = 0;
    uint16_t table[PLACES]; /* of topics, one more than their place in the list */
    PyObject *before = NULL;
    if (start >= end)
        return (int64_t)start;
    if (end > start + FRAMES)
        end = start + FRAMES;
    while (places < 2 * (end - start)) places *= 2;
    memset(table, 0, places * sizeof *table);
    for (uint64_t number = start; number < end; number++) {
        PyObject *frame = PyList_GetItem(frames, (ssize_t)number);
        const uint8_t *data = (const uint8_t *)PyBytes_AsString(frame);
        uint64_t size = (uint64_t)PyBytes_Size(frame), at = size <= longest ? payload_at(data, size) : 0;
        if (!at)
            return (int64_t)number;
        PyObject *head = PyBytes_FromStringAndSize((const char *)data, (ssize_t)at - 3);
        if (!head)
            return -1;
        PyObject *topic = PyDict_GetItemWithError(heads, head);
        Py_DecRef(head);
        if (!topic)
            return PyErr_Occurred() ? -1 : (int64_t)number;
        row = topic == before ? row + 1 : 0;
        if (row == ROW)
            return (int64_t)number;
        before = topic;
        uint64_t place = (uint64_t)(uintptr_t)topic / 16 % places;
        while (table[place] && PyList_GetItem(topics, table[place] - 1) != topic) place = (place + 1) % places;
        if (!put(runs, (int64_t)table[place] - 1, data + at, size - at))
            return -1;
        if (!table[place]) {
            if (PyList_Append(topics, topic))
                return -1;
            table[place] = (uint16_t)++count;
            sizes[count - 1] = 0;
        }
        sizes[table[place] - 1] += size - at;
    }
    return (int64_t)end;
}

/* msgpack's shortest encodings. `put_...` returns where it ends. */

static uint8_t *put_big(uint8_t *to, uint8_t type, uint64_t number, int bytes) {
    *to++ = type;
    while (bytes--) *to++ = (uint8_t)(number >> 8 * bytes);
    return to;
}

static uint64_t number_size(uint64_t number) {
    return number < 0x80 ? 1 : number < 1 << 8 ? 2 : number < 1 << 16 ? 3 : number <= UINT32_MAX ? 5 : 9;
}

static uint8_t *put_number(uint8_t *to, uint64_t number) {
    uint64_t size = number_size(number);
    if (size == 1) {
        *to = (uint8_t)number;
        return to + 1;
    }
    return put_big(to, size == 2 ? 0xCC : size == 3 ? 0xCD : size == 5 ? 0xCE : 0xCF, number, (int)size - 1);
}

static uint64_t text_header_size(uint64_t size) { return size < 32 ? 1 : size < 1 << 8 ? 2 : size < 1 << 16 ? 3 : 5; }

static uint8_t *put_text(uint8_t *to, const char *text, uint64_t size) {
    uint64_t header = text_header_size(size);
    if (header == 1)
        *to++ = (uint8_t)(0xA0 | size);
    else
        to = put_big(to, header == 2 ? 0xD9 : header == 3 ? 0xDA : 0xDB, size, (int)header - 1);
    memcpy(to, text, size);
    return to + size;
}

static uint64_t bytes_header_size(uint64_t size) { return size < 1 << 8 ? 2 : size < 1 << 16 ? 3 : 5; }

static uint64_t array_header_size(uint64_t count) { return count < 16 ? 1 : count < 1 << 16 ? 3 : 5; }

static uint8_t *put_array_header(uint8_t *to, uint64_t count) {
    uint64_t header = array_header_size(count);
    if (header == 1) {
        *to = (uint8_t)(0x90 | count);
        return to + 1;
    }
    return put_big(to, header == 3 ? 0xDC : 0xDD, count, (int)header - 1);
}

/* [topic, first, stamp, time_us, payloads]; NULL where something else than bytes is among the payloads, or no memory. */
static PyObject *section_of(PyObject *topic, PyObject *first, uint64_t stamp, uint64_t time_us, PyObject *payloads) {
    ssize_t text_size, count = PyList_Size(payloads);
    const char *text = PyUnicode_AsUTF8AndSize(topic, &text_size);
    unsigned long long offset = PyLong_AsUnsignedLongLong(first);
    if (!text || count < 0 || (offset == (unsigned long long)-1 && PyErr_Occurred()))
        return NULL;
    uint64_t size = 1 + text_header_size((uint64_t)text_size) + (uint64_t)text_size + number_size(offset) +
                    number_size(stamp) + number_size(time_us) + array_header_size((uint64_t)count);
    for (ssize_t each = 0; each < count; each++) {
        ssize_t payload = PyBytes_Size(PyList_GetItem(payloads, each));
        if (payload < 0)
            return NULL;
        size += bytes_header_size((uint64_t)payload) + (uint64_t)payload;
    }
    PyObject *section = PyBytes_FromStringAndSize(NULL, (ssize_t)size);
    if (!section)
        return NULL;
    uint8_t *to = (uint8_t *)PyBytes_AsString(section);
    *to++ = 0x95;
    to = put_text(to, text, (uint64_t)text_size);
    to = put_array_header(put_number(put_number(put_number(to, offset), stamp), time_us), (uint64_t)count);
    for (ssize_t each = 0; each < count; each++) {
        PyObject *payload = PyList_GetItem(payloads, each);
        uint64_t bytes = (uint64_t)PyBytes_Size(payload), header = bytes_header_size(bytes);
        to = put_big(to, header == 2 ? 0xC4 : header == 3 ? 0xC5 : 0xC6, bytes, (int)header - 1);
        memcpy(to, PyBytes_AsString(payload), bytes);
        to += bytes;
    }
    return section;
}

/* Append to a list the sections of as many topics: of each its name, the offsets of the first of its payloads and behind
   the last, and they. `type` is the class of a section, which has slots and no `__init__` that is to be called. */
int64_t tickwire_seal(PyObject *type, PyObject *names, PyObject *firsts, PyObject *ends, PyObject *runs,
                      PyObject *stamp, PyObject *time_us, PyObject *at, PyObject *sections) {
    static const char *const FIELDS[] = {"first", "end", "stamp", "time_us", "at", "data"};
    enum { FIELD_COUNT = sizeof FIELDS / sizeof *FIELDS };
    PyObject *fields[FIELD_COUNT] = {NULL};
    unsigned long long stamped = PyLong_AsUnsignedLongLong(stamp), timed = PyLong_AsUnsignedLongLong(time_us);
    int64_t result = PyErr_Occurred() ? -1 : 0;
    for (int field = 0; field < FIELD_COUNT && result == 0; field++)
        if (!(fields[field] = PyUnicode_InternFromString(FIELDS[field])))
            result = -1;
    ssize_t count = PyList_Size(names);
    for (ssize_t topic = 0; topic < count && result == 0; topic++) {
        PyObject *first = PyList_GetItem(firsts, topic), *end = PyList_GetItem(ends, topic);
        PyObject *run = PyList_GetItem(runs, topic);
        PyObject *data = first && end && run ? section_of(PyList_GetItem(names, topic), first, stamped, timed, run) : NULL;
        PyObject *section = data ? PyType_GenericAlloc(type, 0) : NULL;
        PyObject *values[FIELD_COUNT] = {first, end, stamp, time_us, at, data};
        if (!section)
            result = -1;
        for (int field = 0; field < FIELD_COUNT && result == 0; field++)
            result = PyObject_SetAttr(section, fields[field], values[field]);
        if (result == 0) {
            PyObject_GC_UnTrack(section); /* numbers and bytes are in no cycle, and thousands are kept */
            result = PyList_Append(sections, section);
        }
        Py_DecRef(data);
        Py_DecRef(section);
    }
    for (int field = 0; field < FIELD_COUNT; field++) Py_DecRef(fields[field]);
    return result;
}

/* Append to a list, for each section in another, the WebSocket message (RFC 6455 5.2) of a delivery of it alone on
   stream 0. */
int64_t tickwire_live_frames(PyObject *sections, PyObject *frames) {
    static const uint8_t LIVE_OF_ONE[] = {0x93, 0x15, 0x00, 0x91}; /* [21, 0, [ */
    ssize_t count = PyList_Size(sections);
    for (ssize_t each = 0; each < count; each++) {
        PyObject *section = PyList_GetItem(sections, each);
        ssize_t size = PyBytes_Size(section);
        if (size < 0)
            return -1;
        uint64_t length = (uint64_t)size + sizeof LIVE_OF_ONE, header = length < 126 ? 2 : length < 1 << 16 ? 4 : 10;
        PyObject *frame = PyBytes_FromStringAndSize(NULL, (ssize_t)(header + length));
        if (!frame)
            return -1;
        uint8_t *to = (uint8_t *)PyBytes_AsString(frame);
        *to++ = 0x82;
        if (header == 2)
            *to++ = (uint8_t)length;
        else
            to = put_big(to, header == 4 ? 126 : 127, length, (int)header - 2);
        memcpy(to, LIVE_OF_ONE, sizeof LIVE_OF_ONE);
        memcpy(to + sizeof LIVE_OF_ONE, PyBytes_AsString(section), (size_t)size);
        int failed = PyList_Append(frames, frame);
        Py_DecRef(frame);
        if (failed)
            return -1;
    }
    return 0;
}
