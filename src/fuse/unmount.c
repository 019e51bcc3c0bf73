/*
 * Unmounting: which mount is ours, and where.
 *
 * A mount can be moved, and a directory above it renamed, so it is looked for
 * by its ID. A path, a connection's number and an old-style mount ID can all be
 * those of a later mount, as soon as umount(8) has taken ours away: another
 * rawfuse may be there while this one still flushes. The ID that is never used
 * again tells them apart; where the kernel has none (before Linux 6.8), the
 * mount is looked for only right after the connection has ended.
 *
 * Others may have bound the file to further places. These mounts would be dead
 * ones after the end, so they go together with ours.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/apart.h"
#include "fuse/helper.h"
#include "fuse/mountinfo.h"
#include "fuse/unmount.h"
#include "loop/log.h"
#include "loop/system.h"

#define UNIQUE_MOUNT_ID 0x4000u /* STATX_MNT_ID_UNIQUE, Linux 6.8 */
#define COPIES_MOST 64u

uint64_t unmount_id(int dir, const char *name)
{
	struct statx stx;

	if (statx(dir, name,
		  AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		  UNIQUE_MOUNT_ID, &stx) ||
	    !(stx.stx_mask & UNIQUE_MOUNT_ID))
		return 0;
	return stx.stx_mnt_id;
}

/* Is what is mounted there now our mount, and not a later one? */
static bool is_ours(const struct mount *m, const struct place *p)
{
	struct mountinfo info;

	if (m->id)
		return unmount_id(p->dir, p->name) == m->id;
	return mountinfo_find(p->path, &info) && info.is_rawfuse &&
	       (!m->connection || info.minor == m->connection);
}

/* Finds our mount; @moved is for place_close(). False if it is gone. */
static bool locate(const struct mount *m, struct place *moved,
		   const struct place **at)
{
	const char *why;
	char *path;
	bool found;

	*moved = (struct place){ .dir = -1 };
	*at = &m->place;
	if (is_ours(m, &m->place))
		return true;
	if (!m->old_id)
		return false;
	path = mountinfo_path(m->connection, m->old_id, 0);
	found = path && !place_open(moved, path, &why) && is_ours(m, moved);
	free(path);
	if (found)
		log_trace(TRACE_LIFE, "unmount: moved to %s", moved->path);
	*at = moved;
	return found;
}

static int unmount_at(const struct mount *m, const struct place *at, bool lazy)
{
	char via[PLACE_VIA];

	if (m->by_helper)
		return helper_umount(at->path, lazy);
	return umount2(place_via(at, via),
		       UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0))
		       ? errno
		       : 0;
}

/*
 * The other mounts of the file, while @ours keeps its device's number from
 * being another one's. 0 or an errno.
 */
static int unmount_copies(const struct mount *m, int ours, bool lazy)
{
	unsigned int nth, tried = 0;
	const char *why;
	int err = 0;

	for (nth = 0; tried < COPIES_MOST; tried++) {
		char *path = mountinfo_path(m->connection, 0, nth);
		struct place p;
		int ret;

		if (!path)
			break;
		ret = -place_open(&p, path, &why);
		free(path);
		if (ret || unmount_id(p.dir, p.name) == unmount_id(ours, "") ||
		    !apart_is_device(p.dir, p.name, m->connection))
			ret = ret ? ret : EINVAL;
		else
			ret = unmount_at(m, &p, lazy);
		place_close(&p);
		if (!ret)
			continue; /* the next one has its number now */
		nth++;
		if (ret == EBUSY)
			err = ret;
	}
	return err;
}

int unmount(const struct mount *m, bool lazy)
{
	const struct place *at;
	struct place moved;
	char *second = NULL;
	int ours, err = 0;

	if (!locate(m, &moved, &at)) {
		place_close(&moved);
		return EINVAL;
	}
	if (m->id && m->connection && !m->by_helper)
		second = mountinfo_path(m->connection, 0, 1);
	if (second) {
		ours = place_file(at, O_PATH);
		if (ours >= 0 && unmount_id(ours, "") == m->id)
			err = unmount_copies(m, ours, lazy);
		if (ours >= 0)
			close(ours);
	}
	free(second);
	if (!err || lazy)
		err = unmount_at(m, at, lazy);
	place_close(&moved);
	return err;
}
