/* A valid request of every opcode. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cases.h"
#include "fuse/abi.h"

static const struct fuse_setattr_in setattr_in = { .valid = FATTR_MODE,
						   .mode = 0640 };
static const struct fuse_open_in open_in = { .flags = O_RDWR };
static const struct fuse_read_in read_in = { .size = 4096 };
static const struct fuse_write_in write_in = { .size = 512 };
static const struct fuse_fallocate_in fallocate_in = { .length = 4096 };
static const struct fuse_lseek_in lseek_in = { .whence = SEEK_DATA };
static const struct fuse_init_in init_in = { .major = FUSE_MAJOR,
					     .minor = FUSE_MINOR };

#define IN(type) .in_len = sizeof(struct type)
#define OUT(type) .out_len = sizeof(struct type)

const struct op_case op_cases[] = {
	{ "LOOKUP", FUSE_LOOKUP, .data_len = 5, .error = -ENOENT },
	{ "FORGET", FUSE_FORGET, IN(fuse_forget_in), .silent = true },
	{ "GETATTR", FUSE_GETATTR, IN(fuse_getattr_in), OUT(fuse_attr_out) },
	{ "SETATTR", FUSE_SETATTR, IN(fuse_setattr_in), .in = &setattr_in,
	  OUT(fuse_attr_out) },
	{ "OPEN", FUSE_OPEN, IN(fuse_open_in), .in = &open_in,
	  OUT(fuse_open_out) },
	{ "READ", FUSE_READ, IN(fuse_read_in), .in = &read_in,
	  .out_len = 4096 },
	{ "WRITE", FUSE_WRITE, IN(fuse_write_in), .in = &write_in,
	  .data_len = 512, OUT(fuse_write_out) },
	{ "STATFS", FUSE_STATFS, OUT(fuse_statfs_out) },
	{ "RELEASE", FUSE_RELEASE, IN(fuse_release_in) },
	{ "FSYNC", FUSE_FSYNC, IN(fuse_fsync_in) },
	{ "FLUSH", FUSE_FLUSH, IN(fuse_flush_in) },
	{ "INIT", FUSE_INIT, .in_len = FUSE_INIT_IN_OLD, .in = &init_in,
	  .data_len = 48, .error = -EIO }, /* the second one */
	{ "INTERRUPT", FUSE_INTERRUPT, IN(fuse_interrupt_in), .silent = true },
	{ "DESTROY", FUSE_DESTROY, .in_len = 0 },
	{ "BATCH_FORGET", FUSE_BATCH_FORGET, IN(fuse_batch_forget_in),
	  .data_len = 16, .silent = true },
	{ "FALLOCATE", FUSE_FALLOCATE, IN(fuse_fallocate_in),
	  .in = &fallocate_in },
	{ "LSEEK", FUSE_LSEEK, IN(fuse_lseek_in), .in = &lseek_in,
	  OUT(fuse_lseek_out) },
	{ "IOCTL", FUSE_IOCTL, IN(fuse_ioctl_in), .error = -ENOTTY },
	{ "GETXATTR", FUSE_GETXATTR, .data_len = 16, .error = -ENOSYS },
	{ "ACCESS", FUSE_ACCESS, .data_len = 8, .error = -ENOSYS },
};

const int op_cases_n = sizeof(op_cases) / sizeof(*op_cases);
