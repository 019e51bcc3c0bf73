/*
 * The storage of an image fails. The caller gets the errno, but who looks
 * after the machine reads the log: a line for the first failure of each kind
 * (no room, too large, anything else; reading, changing, flushing), with what
 * to do, and then their number, once a minute at most.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "block/block.h"
#include "block/fault.h"
#include "loop/log.h"

enum cause { CAUSE_ROOM, CAUSE_SIZE, CAUSE_OTHER };
enum effect { EFFECT_READ, EFFECT_CHANGE, EFFECT_FLUSH };

static const char *const advice[] = {
	[CAUSE_ROOM] = "make room in its file system, or in the quota of its "
		       "owner",
	[CAUSE_SIZE] = "raise the limit on the size of files (ulimit -f), or "
		       "move it to a file system that takes larger ones",
	[CAUSE_OTHER] =
		"look for its storage in the kernel's log (dmesg); save "
		"what can be read",
};

static enum cause cause_of(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
		return CAUSE_ROOM;
	case -EFBIG:
		return CAUSE_SIZE;
	default:
		return CAUSE_OTHER;
	}
}

/* Asked whether it can, it said no. */
static bool is_answer(const struct block_req *req, int error)
{
	switch (req->type) {
	case BLOCK_SEEK_DATA:
	case BLOCK_SEEK_HOLE:
		return error == -ENXIO;
	case BLOCK_DISCARD:
	case BLOCK_ZERO:
	case BLOCK_ALLOCATE:
	case BLOCK_TRUNCATE:
		return error == -EOPNOTSUPP || error == -EINVAL ||
		       error == -ENOSYS || error == -ENODEV;
	default:
		return false;
	}
}

static enum effect effect_of(const struct block_req *req)
{
	switch (req->type) {
	case BLOCK_FLUSH:
		return EFFECT_FLUSH;
	case BLOCK_READ:
	case BLOCK_SEEK_DATA:
	case BLOCK_SEEK_HOLE:
	case BLOCK_STAT:
		return EFFECT_READ;
	default:
		return EFFECT_CHANGE;
	}
}

void fault_tell(struct block *b, const struct block_req *req, int error)
{
	enum cause cause = cause_of(error);
	enum effect effect = effect_of(req);
	struct log_limit *l = &b->faults[effect][cause];
	bool goes_on = cause == CAUSE_ROOM && effect == EFFECT_CHANGE;

	if (is_answer(req, error))
		return;
	l->most = 1;
	log_limited_at(l, "%s: %s at %llu: %s: %s%s", b->opt.path,
		       block_type_name(req->type),
		       (unsigned long long)(req->offset + req->moved),
		       strerror(-error), advice[cause],
		       goes_on ? "; then writes continue" : "");
}

void fault_lost(struct block *b, int error)
{
	struct log_limit *l = &b->faults[EFFECT_FLUSH][CAUSE_OTHER];

	l->most = 1;
	log_limited_at(l,
		       "%s: %s: what was written is lost, and no flush "
		       "succeeds until rawfuse is started again; first %s",
		       b->opt.path, strerror(-error), advice[cause_of(error)]);
}

void fault_forget(struct block *b)
{
	unsigned int i, j;

	for (i = 0; i < BLOCK_FAULT_EFFECTS; i++)
		for (j = 0; j < BLOCK_FAULT_CAUSES; j++)
			log_limit_remove(&b->faults[i][j]);
}
