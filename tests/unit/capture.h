/* Collects what the program would say. */
#ifndef UNIT_CAPTURE_H
#define UNIT_CAPTURE_H

#include <stdbool.h>

/* From here on, lines are kept instead of printed. Forgets older ones. */
void capture_start(void);

/* How many lines came since. */
unsigned int capture_lines(void);

/* How many of them contain @text. */
unsigned int capture_count(const char *text);

/* The last line; "" if there is none. */
const char *capture_last(void);

#endif
