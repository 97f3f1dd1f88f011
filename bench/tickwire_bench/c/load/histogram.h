/* Counts of nanoseconds in buckets that are 3 % wide: 32 to each power of two. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (60 * 32)

typedef struct {
    uint64_t count, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
} histogram;

static inline void histogram_add(histogram *h, uint64_t value) {
    unsigned index = (unsigned)value;
    if (value >= 32) {
        unsigned shift = 58u - (unsigned)__builtin_clzll(value); /* leaves the six highest bits */
        index = (shift + 1) * 32 + (unsigned)((value >> shift) & 31);
    }
    h->buckets[index]++;
    h->count++;
    if (value > h->max) h->max = value;
}

/* The upper edge of the bucket in which the given share of the values lies at or below. */
static inline uint64_t histogram_percentile(const histogram *h, double percent) {
    uint64_t wanted = (uint64_t)((double)h->count * percent / 100.0), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > wanted) {
            if (i < 32) return i;
            uint64_t edge = ((uint64_t)(32 + i % 32 + 1) << (i / 32 - 1)) - 1;
            return edge < h->max ? edge : h->max;
        }
    }
    return h->max;
}

#endif
