/*
 * The driver without storage: reads zeros, drops writes. What remains is the
 * cost of the transport. "null:size=2G"; 1G if not said.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "block/drivers.h"
#include "loop/log.h"
#include "loop/size.h"

#define DEFAULT_SIZE (1ULL << 30)

static int null_open(struct block *b)
{
	const char *arg = b->opt.path;

	b->size = DEFAULT_SIZE;
	if (strncmp(arg, "null:", 5)) {
		log_warnx("%s: the name of a null image is null:size=SIZE", arg);
		return -EINVAL;
	}
	arg += 5;
	if (!*arg)
		return 0;
	if (strncmp(arg, "size=", 5) || size_parse(arg + 5, &b->size) ||
	    !b->size || b->size > INT64_MAX) {
		log_warnx("%s: not understood; write null:size=SIZE, as in "
			  "null:size=2G, up to 7E",
			  b->opt.path);
		return -EINVAL;
	}
	return 0;
}

static void null_submit(struct block *b, struct block_req *req);

static void null_done(struct op *op, int res, unsigned int flags)
{
	struct block_req *req = container_of(op, struct block_req, op);
	int64_t result = res;

	(void)flags;
	if (req->type == BLOCK_READ || req->type == BLOCK_WRITE)
		result = (int64_t)req->length;
	else if (req->type == BLOCK_SEEK_HOLE)
		result = (int64_t)req->offset;
	block_complete(req, result);
}

static void null_bounced(struct block_req *req, int error)
{
	if (error)
		block_complete(req, error);
	else
		null_submit(req->block, req);
}

static void null_submit(struct block *b, struct block_req *req)
{
	int res = 0;

	if (req->type == BLOCK_READ && req->unseen) {
		block_bounce(req, 0, null_bounced);
		return;
	}
	if (req->type == BLOCK_READ)
		memset(req->buf, 0, req->length);
	else if (req->type == BLOCK_SEEK_DATA)
		res = -ENXIO;
	else if (req->type == BLOCK_STAT)
		memset(req->buf, 0, sizeof(struct statx));
	req->op.done = null_done;
	uring_post(b->uring, &req->op, res);
}

static int null_close(struct block *b)
{
	(void)b;
	return 0;
}

const struct block_driver block_null = {
	.name = "null",
	.open = null_open,
	.submit = null_submit,
	.close = null_close,
};
