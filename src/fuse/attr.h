/* The file's attributes: the image's, and what chmod, chown, touch set. */
#ifndef RAWFUSE_FUSE_ATTR_H
#define RAWFUSE_FUSE_ATTR_H

#include "fuse/request.h"

void attr_handle_get(struct fuse_request *req);
void attr_handle_set(struct fuse_request *req);

/* Contents change: a time set by hand no longer holds. */
void attr_modified(struct session *s);

/* A write takes set-user-ID away, and set-group-ID where it means that. */
void attr_kill_suid(struct session *s);

#endif
