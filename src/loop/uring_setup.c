/*
 * How the ring begins and ends, and what is registered with it: files, and
 * buffers.
 *
 * A kernel that has not all the ring is to be (before Linux 6.1) gets a plain
 * one, which serves the image but cannot carry FUSE's commands.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop/uring.h"

static int setup(struct uring *u, unsigned int sqes, unsigned int cqes,
		 unsigned int flags)
{
	struct io_uring_params p = {
		.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = cqes,
	};

	return io_uring_queue_init_params(sqes, &u->ring, &p);
}

static void common_init(struct uring *u)
{
	memset(u, 0, sizeof(*u));
	u->event_fd = -1;
	u->ready_tail = &u->ready;
}

/* As many slots as the limit of open files allows. */
static int make_slots(struct uring *u)
{
	int ret = -EMFILE;

	for (u->files = URING_FILES; u->files >= 8; u->files /= 2) {
		ret = io_uring_register_files_sparse(&u->ring, u->files);
		if (ret != -EMFILE)
			break;
	}
	return ret;
}

/* A filter may allow to set a ring up and not to enter it. */
static int try_enter(struct uring *u)
{
	int ret;

	io_uring_prep_nop(io_uring_get_sqe(&u->ring));
	ret = io_uring_submit_and_wait(&u->ring, 1);
	if (ret < 0)
		return ret;
	io_uring_cq_advance(&u->ring, io_uring_cq_ready(&u->ring));
	return 0;
}

int uring_init(struct uring *u, unsigned int sqes, unsigned int cqes)
{
	const unsigned int best = IORING_SETUP_SQE128 |
				  IORING_SETUP_SINGLE_ISSUER |
				  IORING_SETUP_DEFER_TASKRUN |
				  IORING_SETUP_TASKRUN_FLAG;
	int ret;

	common_init(u);
	ret = setup(u, sqes, cqes, best);
	u->sqe128 = ret == 0;
	if (ret == -EINVAL) /* before Linux 6.1 */
		ret = setup(u, sqes, cqes, 0);
	if (ret)
		return ret;
	ret = try_enter(u);
	if (ret) {
		uring_exit(u);
		return ret;
	}
	u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->event_fd < 0)
		ret = -errno;
	else
		ret = io_uring_register_eventfd(&u->ring, u->event_fd);
	if (!ret)
		ret = make_slots(u);
	if (ret) {
		uring_exit(u);
		return ret;
	}
	/* Saves a look-up an enter; no harm where the kernel has it not. */
	io_uring_register_ring_fd(&u->ring);
	return 0;
}

int uring_init_emulated(struct uring *u, unsigned int sqes)
{
	common_init(u);
	u->emulated = true;
	u->files = URING_FILES;
	u->emu.size = sqes;
	u->emu.sqes = calloc(sqes, sizeof(*u->emu.sqes));
	return u->emu.sqes ? 0 : -ENOMEM;
}

void uring_exit(struct uring *u)
{
	if (u->emulated)
		free(u->emu.sqes);
	else
		io_uring_queue_exit(&u->ring);
	if (u->event_fd >= 0)
		close(u->event_fd);
	common_init(u);
}

int uring_add_file(struct uring *u, int fd)
{
	unsigned int slot;
	int ret;

	for (slot = 0; slot < u->files; slot++)
		if (!(u->files_used[slot / 64] >> (slot % 64) & 1))
			break;
	if (slot == u->files)
		return -ENFILE;
	if (u->emulated) {
		u->emu.files[slot] = fd;
	} else {
		ret = io_uring_register_files_update(&u->ring, slot, &fd, 1);
		if (ret < 0)
			return ret;
	}
	u->files_used[slot / 64] |= 1ULL << (slot % 64);
	return (int)slot;
}

void uring_remove_file(struct uring *u, int slot)
{
	int none = -1;

	if (slot < 0)
		return;
	if (u->emulated)
		u->emu.files[slot] = -1;
	else
		io_uring_register_files_update(&u->ring, slot, &none, 1);
	u->files_used[slot / 64] &= ~(1ULL << (slot % 64));
}

int uring_make_buffers(struct uring *u, unsigned int n)
{
	return u->emulated ? 0 : io_uring_register_buffers_sparse(&u->ring, n);
}

int uring_set_buffer(struct uring *u, unsigned int index, void *addr,
		     size_t len)
{
	struct iovec iov = { addr, len };
	__u64 tag = 0;
	int ret;

	if (u->emulated)
		return u->emu.buffer_error;
	ret = io_uring_register_buffers_update_tag(&u->ring, index, &iov, &tag,
						   1);
	return ret < 0 ? ret : 0;
}
