/* One block node with requests to run against it. */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "node.h"

#define BUFFER (1u << 20)

struct node node;

void node_open(const struct block_options *opt, bool real_ring)
{
	memset(&node, 0, sizeof(node));
	if (real_ring)
		ck_assert_int_eq(uring_init(&node.uring, 64, 256), 0);
	else
		ck_assert_int_eq(uring_init_emulated(&node.uring, 8), 0);
	node.buf = aligned_alloc(4096, BUFFER);
	ck_assert_ptr_nonnull(node.buf);
	memset(node.buf, 0, BUFFER);
	node.block = block_open(&node.uring, opt);
}

void node_open_driver(bool read_only, bool growable)
{
	struct block_options opt = { .path = DRIVER_PATH,
				     .format = "null",
				     .read_only = read_only,
				     .growable = growable };

	node_open(&opt, false);
	ck_assert_ptr_nonnull(node.block);
}

int node_close(void)
{
	int ret = block_close(node.block);

	node.block = NULL;
	uring_exit(&node.uring);
	free(node.buf);
	node.buf = NULL;
	return ret;
}

static void done(struct block_req *req)
{
	unsigned int i = (unsigned int)(req - node.reqs);

	ck_assert(!node.done[i]);
	node.done[i] = true;
	ck_assert_uint_lt(node.done_n, NODE_REQUESTS);
	node.order[node.done_n++] = i;
}

static struct block_req *submit(unsigned int i, enum block_type type,
				unsigned int flags, uint64_t offset,
				uint64_t length, void *buf, uint16_t fixed,
				bool unseen)
{
	struct block_req *req = &node.reqs[i];

	/* What the last one left behind is nobody's business. */
	memset(req, 0xa5, sizeof(*req));
	req->type = type;
	req->flags = flags;
	req->offset = offset;
	req->length = length;
	req->buf = buf;
	req->fixed = fixed;
	req->unseen = unseen;
	req->cancelled = false;
	req->part_of = NULL;
	req->done = done;
	req->user = &node;
	node.done[i] = false;
	if (node.done_n == NODE_REQUESTS)
		node.done_n = 0;
	block_submit(node.block, req);
	ck_assert_msg(!node.done[i], "it completed within block_submit()");
	return req;
}

struct block_req *node_submit(unsigned int i, enum block_type type,
			      unsigned int flags, uint64_t offset,
			      uint64_t length, size_t at)
{
	return submit(i, type, flags, offset, length, node.buf + at, node.fixed,
		      false);
}

struct block_req *node_submit_unseen(unsigned int i, enum block_type type,
				     uint64_t offset, uint64_t length)
{
	return submit(i, type, 0, offset, length, NULL, (uint16_t)(i + 1),
		      true);
}

void node_drain(void)
{
	while (uring_has_work(&node.uring))
		uring_drain(&node.uring);
}

int64_t node_run(enum block_type type, unsigned int flags, uint64_t offset,
		 uint64_t length)
{
	struct block_req *req = node_submit(0, type, flags, offset, length, 0);

	while (!node.done[0])
		uring_wait(&node.uring);
	return req->result;
}
