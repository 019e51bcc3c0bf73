/*
 * Passthrough (FUSE_PASSTHROUGH, Linux 6.9): reads, writes and mmap of the
 * exported file become those of the image's file within the kernel, and
 * never come here. What does come: attributes, fallocate, seek, sync.
 *
 * The kernel's ways that shape this file:
 * - It takes a regular file only, from who has CAP_SYS_ADMIN, and not together
 *   with the writeback cache.
 * - It opens the image anew for each open of the export, with the flags of the
 *   caller: who asks for O_DIRECT gets the rules of the image's file system.
 * - As long as one open file passes through, all must.
 * - A write past the end extends the image, and nothing can forbid it. So an
 *   image that must keep its size is never passed through for writing.
 * - It does not stop when the connection ends: open files and mappings go on
 *   to read and write the image, even after this process. The kernel holds the
 *   struct file that it was given for as long, and with it the image's locks,
 *   so these must not be released by hand (block->lent).
 * - The block layer sees none of the writes: block_behind() before every
 *   request, and once more before the last flush.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuse/backing.h"
#include "loop/log.h"

bool backing_permitted(struct block *b, enum passthrough mode)
{
	const char *why = NULL;

	if (mode != PASSTHROUGH_ON)
		return true;
	if (block_backing_fd(b) < 0)
		why = "it takes a raw image in a regular file";
	else if (!b->opt.read_only && !b->opt.growable)
		why = "writes past the end would extend the image; it takes "
		      "--read-only or --growable";
	if (why)
		log_warnx("%s: --passthrough=on: %s", b->opt.path, why);
	return !why;
}

bool backing_wanted(const struct session *s)
{
	switch (s->cfg.passthrough) {
	case PASSTHROUGH_ON:
		return true;
	case PASSTHROUGH_AUTO:
		return s->block->opt.read_only &&
		       block_backing_fd(s->block) >= 0;
	default:
		return false;
	}
}

bool backing_offered(const struct session *s, bool offered)
{
	if (offered || s->cfg.passthrough != PASSTHROUGH_ON)
		return true;
	log_warnx("--passthrough=on: this kernel does not offer it (Linux 6.9 "
		  "and CONFIG_FUSE_PASSTHROUGH do)");
	return false;
}

static bool offers_direct(int fd)
{
	char path[32];
	int direct;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (direct >= 0)
		close(direct);
	return direct >= 0;
}

bool backing_start(struct session *s)
{
	struct fuse_backing_map map = { .fd = block_backing_fd(s->block) };
	int id = ioctl(s->fd, FUSE_DEV_IOC_BACKING_OPEN, &map);

	if (id > 0) {
		s->backing_id = id;
		s->backing_direct = offers_direct(map.fd);
		s->block->lent = true;
		log_trace(TRACE_LIFE, "passthrough: backing file %d", id);
		return true;
	}
	if (s->cfg.passthrough != PASSTHROUGH_ON)
		return true;
	log_warnx("%s: --passthrough=on: %s", s->block->opt.path,
		  errno == EPERM ? "it requires CAP_SYS_ADMIN" :
		  errno == ELOOP ? "its file system is stacked on another" :
				   strerror(errno));
	return false;
}

void backing_stop(struct session *s)
{
	uint32_t id = (uint32_t)s->backing_id;

	if (!id)
		return;
	s->backing_id = 0;
	/* Should it fail, the end of the connection does the same. */
	ioctl(s->fd, FUSE_DEV_IOC_BACKING_CLOSE, &id);
	if (!s->block->opt.read_only)
		block_behind(s->block);
}

void backing_open(const struct session *s, struct fuse_open_out *out)
{
	if (!s->backing_id)
		return;
	/* No other flag goes with it. */
	out->open_flags = FOPEN_PASSTHROUGH;
	out->backing_id = s->backing_id;
}
