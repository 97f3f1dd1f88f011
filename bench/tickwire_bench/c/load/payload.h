/* Where in a payload its parts are. */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include "load.h"

#define NUMBERS ((1ull << 40) - 1) /* in a topic; above stands the publisher's own */
enum { STAMP_AT = 4, NUMBER_AT = 15, FILLING_AT = 28 };

void read_filling(void);
void fill(uint8_t *payload);

#endif
