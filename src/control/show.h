/* What an export has told, for people and for programs. */
#ifndef RAWFUSE_CONTROL_SHOW_H
#define RAWFUSE_CONTROL_SHOW_H

#include <stdio.h>

#include "control/answer.h"

/* Seconds that a request may be unanswered; one that sets a range free: */
#define SHOW_OLDEST 30
#define SHOW_OLDEST_LONG 600

enum show_state {
	SHOW_HEALTHY,
	SHOW_UNHEALTHY,
	SHOW_NONE,
	SHOW_UNKNOWN, /* it could not be asked */
};

#define SHOW_WHY 512 /* bytes */

/* Is it well? If not, @why says what is wrong. */
enum show_state show_judge(const union answer *a, char why[SHOW_WHY]);

/*
 * Both: @path is the mountpoint, @why it is not healthy ("" if it is), @a NULL
 * if nobody answered.
 */
void show_text(FILE *to, const char *path, enum show_state state,
	       const char *why, const union answer *a);
/* One object, on one line. */
void show_json(FILE *to, const char *path, enum show_state state,
	       const char *why, const union answer *a);

#endif
