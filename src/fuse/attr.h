/* The file's attributes: the image's, and what chmod, chown, touch set. */
#ifndef RAWFUSE_FUSE_ATTR_H
#define RAWFUSE_FUSE_ATTR_H

#include "fuse/request.h"

void attr_handle_get(struct fuse_request *req);
void attr_handle_set(struct fuse_request *req);

/* Contents change: a time set by hand no longer holds. */
void attr_modified(struct session *s);

/*
 * Zeroing ended in @result, -errno, perhaps with a part of it done: the kernel's
 * page cache, which goes by success alone, must drop what it shows of that.
 */
void attr_zeroing_failed(struct session *s, int64_t result);

/*
 * Looks at the image's size, which may have grown from outside: s->on_looked()
 * tells when that is known, and s->on_size() before if it has grown. False: a
 * look is under way already.
 */
bool attr_look(struct session *s);

/* A write takes set-user-ID away, and set-group-ID where it means that. */
void attr_kill_suid(struct session *s);

#endif
