/* Asks the rawfuse behind a mount, without ever being held up by it. */
#ifndef RAWFUSE_CONTROL_ASK_H
#define RAWFUSE_CONTROL_ASK_H

#include "control/answer.h"
#include "fuse/place.h"

#define ASK_SECONDS 5 /* to wait for an answer */

/*
 * Asks what is mounted at @p, a FUSE connection of the number @minor. Returns 0,
 * -ETIME if no answer came in time, or what open(2) or ioctl(2) failed with;
 * -ENOTTY and -EPROTO: it is no rawfuse that could tell.
 */
int ask(union answer *a, const struct place *p, unsigned int minor);

/*
 * The state of the process @pid, a letter as in /proc/PID/stat, and its name,
 * if @name is not NULL; 0 if there is none.
 */
#define ASK_NAME 17
char ask_state(long pid, char name[ASK_NAME]);

/* How many requests the connection @minor waits for; -1 if that is unknown. */
long ask_waiting(unsigned int minor);

#endif
