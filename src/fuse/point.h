/* A rawfuse mount at a place: does anybody serve it? */
#ifndef RAWFUSE_FUSE_POINT_H
#define RAWFUSE_FUSE_POINT_H

#include <stdint.h>

#include "fuse/place.h"

enum point_state {
	POINT_DEAD, /* its server is gone */
	POINT_ALIVE, /* it answers */
	POINT_SILENT, /* it does not, or it cannot be asked */
};

/*
 * Asks the mount that is at the place, for some seconds at most. Never leaves
 * the caller hanging.
 */
enum point_state point_ask(const struct place *p);

/* The connection's number of the mount that is there; 0 if there is none. */
unsigned int point_connection(const struct place *p);

/*
 * Unmounts what is at the place, if it is still the one that unmount_id() gave
 * @id for (0: unknown), and every other one of the same file in this namespace;
 * the kernel does the same wherever it has propagated the mount. 0 or an errno,
 * EINVAL if it is not there any more.
 */
int point_unmount(const struct place *p, uint64_t id, bool lazy);

#endif
