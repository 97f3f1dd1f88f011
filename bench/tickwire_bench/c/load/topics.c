/* Who reads what. Without --each every reader reads all topics, and publishers go through them in turn. With it, topics are
 * drawn by Zipf's law with exponent 1: the second is half as popular as the first, the third a third. */
#include "load.h"

#include <stdlib.h>

static double *up_to; /* the weights of the topics up to each */
static uint64_t *readers_of, *published_in;
static uint64_t seed = 0x9e3779b97f4a7c15;

/* xorshift64*: the same topics in every run, for every server. */
static double draw(void) {
    seed ^= seed >> 12, seed ^= seed << 25, seed ^= seed >> 27;
    return (double)((seed * 0x2545f4914f6cdd1d) >> 11) / (double)(1ull << 53);
}

static void prepare(void) {
    size_t count = (size_t)asked.topics;
    up_to = calloc(count, sizeof *up_to);
    readers_of = calloc(count, sizeof *readers_of);
    published_in = calloc(count, sizeof *published_in);
    if (!up_to || !readers_of || !published_in) fail("out of memory");
    double sum = 0;
    for (size_t i = 0; i < count; i++) up_to[i] = sum += 1 / (double)(i + 1);
}

static int draw_topic(void) {
    double wanted = draw() * up_to[asked.topics - 1];
    int low = 0, high = asked.topics - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (up_to[middle] > wanted) high = middle;
        else low = middle + 1;
    }
    return low;
}

static int by_number(const void *one, const void *other) { return *(const int *)one - *(const int *)other; }

static bool has(const int *topics, int count, int topic) {
    for (int i = 0; i < count; i++)
        if (topics[i] == topic) return true;
    return false;
}

void choose_topics(connection *reader) {
    if (!asked.each) return;
    if (!up_to) prepare();
    reader->topics = calloc((size_t)asked.each, sizeof *reader->topics);
    if (!reader->topics) fail("out of memory");
    for (int count = 0; count < asked.each;) {
        int topic = asked.evenly ? (int)(draw() * asked.topics) : draw_topic();
        if (has(reader->topics, count, topic)) continue;
        reader->topics[count++] = topic;
        readers_of[topic]++;
    }
    qsort(reader->topics, (size_t)asked.each, sizeof *reader->topics, by_number);
}

int topic_count(const connection *reader) { return reader->topics ? asked.each : asked.topics; }

int topic_of(const connection *reader, int index) { return reader->topics ? reader->topics[index] : index; }

/* The topic of the next publish, of whose --batch messages it is taken note. */
int next_topic(void) {
    static int next;
    if (!asked.each) {
        int topic = next++;
        if (next == asked.topics) next = 0;
        return topic;
    }
    int topic = draw_topic();
    published_in[topic] += (uint64_t)asked.batch;
    now.owed += readers_of[topic] * (uint64_t)asked.batch;
    return topic;
}

/* How many messages a reader must have had when all that was published has come. */
uint64_t due_to(const connection *reader) {
    if (!reader->topics) return now.published;
    uint64_t due = 0;
    for (int i = 0; i < asked.each; i++) due += published_in[reader->topics[i]];
    return due;
}
