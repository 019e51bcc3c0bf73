/* Passthrough: the kernel itself reads and writes the image. */
#ifndef RAWFUSE_FUSE_BACKING_H
#define RAWFUSE_FUSE_BACKING_H

#include "fuse/session.h"

/*
 * Whether --passthrough=@mode may be followed for @b; false, and one line, if
 * it says "on" and its rules cannot hold.
 */
bool backing_permitted(struct block *b, enum passthrough mode);

/* Is it to be asked for? */
bool backing_wanted(const struct session *s);

/* The kernel does or does not offer it; false, and one line: give up. */
bool backing_offered(const struct session *s, bool offered);

/*
 * After INIT: gives the image to the kernel. False, and one line, if that
 * failed and "on" was said.
 */
bool backing_start(struct session *s);

/* No more requests come. */
void backing_stop(struct session *s);

/* Makes the answer to an OPEN one of passthrough, if that is on. */
void backing_open(const struct session *s, struct fuse_open_out *out);

#endif
