/* Long work: how far it is, on a terminal and for a service manager. */
#ifndef RAWFUSE_LOOP_PROGRESS_H
#define RAWFUSE_LOOP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * @who has done @done of @total (0: unknown) parts of @what, at the image @path;
 * the strings live until progress_end(). To be called as often as may be: it
 * costs a look at the clock. Of several at a time the first one is shown.
 */
void progress(const void *who, const char *path, const char *what,
	      uint64_t done, uint64_t total);

/* Its work is over, well or not; also if none was begun. */
void progress_end(const void *who);

/* Time has passed while somebody waits: shows how long the work takes. */
void progress_tick(void);

/* Is there work that progress_tick() could tell of? */
bool progress_is_on(void);

/*
 * @tell gets a line about once a second, with @moved if parts were done since
 * the last one; NULL when the work is over. NULL for none.
 */
void progress_on_tell(void (*tell)(void *arg, const char *text, bool moved),
		      void *arg);

/* For tests: the work began, and was told of, @ms earlier. */
void progress_age(unsigned int ms);

#endif
