/*
 * The ring where there is none: each queued SQE is carried out with the
 * system call it stands for, and its result is posted. Only the opcodes that
 * uring.c queues are known. The calls block: this is for machines that deny
 * io_uring, and for unit tests, which put their own kernel behind cmd_hook.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/uring.h"

static bool for_hook(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_URING_CMD ||
	       sqe->opcode == IORING_OP_READ_FIXED ||
	       sqe->opcode == IORING_OP_WRITE_FIXED;
}

static int carry_out(struct uring *u, const struct io_uring_sqe *sqe)
{
	int fd = sqe->fd;
	void *addr = (void *)(uintptr_t)sqe->addr;
	ssize_t ret;

	if (sqe->flags & IOSQE_FIXED_FILE)
		fd = u->emu.files[fd];
	switch (sqe->opcode) {
	case IORING_OP_NOP:
		return 0;
	case IORING_OP_READ:
		ret = pread(fd, addr, sqe->len, (off_t)sqe->off);
		break;
	case IORING_OP_WRITE:
		ret = sqe->off == UINT64_MAX ?
			      write(fd, addr, sqe->len) :
			      pwrite(fd, addr, sqe->len, (off_t)sqe->off);
		break;
	case IORING_OP_FSYNC:
		ret = sqe->fsync_flags & IORING_FSYNC_DATASYNC ?
			      fdatasync(fd) :
			      fsync(fd);
		break;
	case IORING_OP_FALLOCATE:
		ret = fallocate(fd, (int)sqe->len, (off_t)sqe->off,
				(off_t)sqe->addr);
		break;
	case URING_OP_FTRUNCATE:
		ret = ftruncate(fd, (off_t)sqe->off);
		break;
	case IORING_OP_STATX:
		ret = statx(fd, addr, (int)sqe->statx_flags, sqe->len,
			    (struct statx *)(uintptr_t)sqe->off);
		break;
	case IORING_OP_OPENAT:
		ret = openat(fd, addr, (int)sqe->open_flags, sqe->len);
		break;
	case IORING_OP_CLOSE:
		ret = close(fd);
		break;
	case IORING_OP_RENAMEAT:
		ret = renameat(fd, addr, (int)sqe->len,
			       (const char *)(uintptr_t)sqe->off);
		break;
	default:
		return -EOPNOTSUPP;
	}
	return ret < 0 ? -errno : (int)ret;
}

void uring_emulate(struct uring *u)
{
	unsigned int i, n = u->emu.queued;

	for (i = 0; i < n; i++) {
		const struct io_uring_sqe *sqe = &u->emu.sqes[i].sqe;
		struct op *op = (struct op *)(uintptr_t)sqe->user_data;

		if (for_hook(sqe) && u->emu.cmd_hook)
			u->emu.cmd_hook(u->emu.cmd_arg, sqe, op);
		else
			uring_post(u, op, carry_out(u, sqe));
	}
	u->emu.queued = 0;
}
