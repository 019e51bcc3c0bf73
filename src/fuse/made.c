/*
 * A mountpoint that does not exist is made, and removed at the end. A run that
 * was killed leaves it, so the file carries a mark, which outlives a reboot and
 * a container's /run: the extended attribute user.rawfuse.made. Its value is the
 * inode's number, so that a copy of the file (cp -a) is not taken for it. Whoever
 * may write to the file may set the mark as well; that allows no more than the
 * removal of an empty file of our own. A file system without such attributes
 * keeps the file.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fuse/made.h"
#include "loop/log.h"
#include "loop/system.h"

#define MARK "user.rawfuse.made"
#define MARK_MOST 32 /* bytes of its value */

/* The mark of the file @ino; returns its length. */
static size_t mark(ino_t ino, char text[MARK_MOST])
{
	return (size_t)snprintf(text, MARK_MOST, "ino=%llu",
				(unsigned long long)ino);
}

static void own(struct made *f, const struct stat *st)
{
	*f = (struct made){ .is_ours = true,
			    .dev = st->st_dev,
			    .ino = st->st_ino };
}

int made_create(struct made *f, const struct place *p)
{
	int fd = place_file(p, O_CREAT | O_EXCL | O_WRONLY);
	char text[MARK_MOST];
	struct stat st;

	if (fd < 0)
		return fd;
	if (!fstat(fd, &st)) {
		own(f, &st);
		if (fsetxattr(fd, MARK, text, mark(st.st_ino, text), 0))
			log_trace(TRACE_LIFE, "%s: " MARK ": %s", p->path,
				  strerror(errno));
	}
	close(fd);
	return place_file(p, O_PATH);
}

void made_recognise(struct made *f, int fd, const struct stat *st)
{
	char via[32], want[MARK_MOST], got[MARK_MOST];
	size_t n = mark(st->st_ino, want);

	if (!S_ISREG(st->st_mode) || st->st_size || st->st_uid != geteuid())
		return;
	snprintf(via, sizeof(via), "/proc/self/fd/%d", fd);
	if (getxattr(via, MARK, got, sizeof(got)) == (ssize_t)n &&
	    !memcmp(got, want, n))
		own(f, st);
}

void made_remove(const struct made *f, const struct place *p)
{
	struct statx stx;

	if (!f->is_ours ||
	    statx(p->dir, p->name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		  STATX_BASIC_STATS, &stx) ||
	    makedev(stx.stx_dev_major, stx.stx_dev_minor) != f->dev ||
	    stx.stx_ino != f->ino || !S_ISREG(stx.stx_mode) || stx.stx_size)
		return;
	unlinkat(p->dir, p->name, 0);
}
