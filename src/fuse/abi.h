/*
 * The kernel's FUSE protocol, as far as rawfuse uses it: ABI 7.46. The
 * layouts are the kernel's (include/uapi/linux/fuse.h); Debian 12's own
 * header stops before FUSE-over-io_uring, so they are declared here.
 */
#ifndef RAWFUSE_FUSE_ABI_H
#define RAWFUSE_FUSE_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

#define FUSE_MAJOR 7
#define FUSE_MINOR 46
#define FUSE_MINOR_LEAST 31 /* Linux 5.4: everything negotiated below */
#define FUSE_ROOT_NODE 1
#define FUSE_MIN_PAYLOAD 8192

enum fuse_opcode {
	FUSE_LOOKUP = 1,
	FUSE_FORGET = 2,
	FUSE_GETATTR = 3,
	FUSE_SETATTR = 4,
	FUSE_OPEN = 14,
	FUSE_READ = 15,
	FUSE_WRITE = 16,
	FUSE_STATFS = 17,
	FUSE_RELEASE = 18,
	FUSE_FSYNC = 20,
	FUSE_GETXATTR = 22,
	FUSE_FLUSH = 25,
	FUSE_INIT = 26,
	FUSE_ACCESS = 34,
	FUSE_INTERRUPT = 36,
	FUSE_DESTROY = 38,
	FUSE_IOCTL = 39,
	FUSE_BATCH_FORGET = 42,
	FUSE_FALLOCATE = 43,
	FUSE_LSEEK = 46,
	FUSE_OPCODES = 64 /* more than the kernel has */
};

/* INIT flags; 32 and up travel in flags2. */
#define FUSE_ASYNC_READ (1ULL << 0)
#define FUSE_BIG_WRITES (1ULL << 5)
#define FUSE_ASYNC_DIO (1ULL << 15)
#define FUSE_WRITEBACK_CACHE (1ULL << 16)
#define FUSE_ABORT_ERROR (1ULL << 21)
#define FUSE_MAX_PAGES (1ULL << 22)
#define FUSE_HANDLE_KILLPRIV_V2 (1ULL << 28)
#define FUSE_INIT_EXT (1ULL << 30)
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#define FUSE_PASSTHROUGH (1ULL << 37)
#define FUSE_OVER_IO_URING (1ULL << 41)
#define FUSE_HAS_IO_URING_BUFPOOL (1ULL << 43) /* told, not asked for */

/* OPEN answers */
#define FOPEN_DIRECT_IO (1u << 0)
#define FOPEN_KEEP_CACHE (1u << 1)
#define FOPEN_NOFLUSH (1u << 5)
#define FOPEN_PARALLEL_DIRECT_WRITES (1u << 6)
#define FOPEN_PASSTHROUGH (1u << 7)
#define FOPEN_IO_URING_ZERO_COPY (1u << 8)

#define FUSE_WRITE_CACHE (1u << 0) /* from the page cache */
#define FUSE_WRITE_KILL_SUIDGID (1u << 2)
#define FUSE_FSYNC_DATASYNC (1u << 0)

/* SETATTR: which fields are meant */
#define FATTR_MODE (1u << 0)
#define FATTR_UID (1u << 1)
#define FATTR_GID (1u << 2)
#define FATTR_SIZE (1u << 3)
#define FATTR_ATIME (1u << 4)
#define FATTR_MTIME (1u << 5)
#define FATTR_FH (1u << 6)
#define FATTR_ATIME_NOW (1u << 7)
#define FATTR_MTIME_NOW (1u << 8)
#define FATTR_KILL_SUIDGID (1u << 11)

struct fuse_in_header {
	uint32_t len; /* header, arguments and data */
	uint32_t opcode;
	uint64_t unique;
	uint64_t nodeid;
	uint32_t uid;
	uint32_t gid;
	uint32_t pid;
	uint16_t total_extlen;
	uint16_t padding;
};

struct fuse_out_header {
	uint32_t len;
	int32_t error; /* 0 or -errno */
	uint64_t unique;
};

struct fuse_attr {
	uint64_t ino;
	uint64_t size;
	uint64_t blocks; /* of 512 bytes */
	uint64_t atime;
	uint64_t mtime;
	uint64_t ctime;
	uint32_t atimensec;
	uint32_t mtimensec;
	uint32_t ctimensec;
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev;
	uint32_t blksize;
	uint32_t flags;
};

struct fuse_getattr_in {
	uint32_t getattr_flags;
	uint32_t dummy;
	uint64_t fh;
};

struct fuse_attr_out {
	uint64_t attr_valid; /* seconds */
	uint32_t attr_valid_nsec;
	uint32_t dummy;
	struct fuse_attr attr;
};

struct fuse_setattr_in {
	uint32_t valid;
	uint32_t padding;
	uint64_t fh;
	uint64_t size;
	uint64_t lock_owner;
	uint64_t atime;
	uint64_t mtime;
	uint64_t ctime;
	uint32_t atimensec;
	uint32_t mtimensec;
	uint32_t ctimensec;
	uint32_t mode;
	uint32_t unused4;
	uint32_t uid;
	uint32_t gid;
	uint32_t unused5;
};

struct fuse_open_in {
	uint32_t flags; /* of open(2) */
	uint32_t open_flags;
};

struct fuse_open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

struct fuse_release_in {
	uint64_t fh;
	uint32_t flags;
	uint32_t release_flags;
	uint64_t lock_owner;
};

struct fuse_flush_in {
	uint64_t fh;
	uint32_t unused;
	uint32_t padding;
	uint64_t lock_owner;
};

struct fuse_read_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
	uint32_t read_flags;
	uint64_t lock_owner;
	uint32_t flags;
	uint32_t padding;
};

struct fuse_write_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
	uint32_t write_flags;
	uint64_t lock_owner;
	uint32_t flags;
	uint32_t padding;
};

struct fuse_write_out {
	uint32_t size;
	uint32_t padding;
};

struct fuse_statfs_out {
	uint64_t blocks;
	uint64_t bfree;
	uint64_t bavail;
	uint64_t files;
	uint64_t ffree;
	uint32_t bsize;
	uint32_t namelen;
	uint32_t frsize;
	uint32_t padding;
	uint32_t spare[6];
};

struct fuse_fsync_in {
	uint64_t fh;
	uint32_t fsync_flags;
	uint32_t padding;
};

struct fuse_forget_in {
	uint64_t nlookup;
};

struct fuse_batch_forget_in {
	uint32_t count;
	uint32_t dummy;
};

struct fuse_interrupt_in {
	uint64_t unique;
};

struct fuse_fallocate_in {
	uint64_t fh;
	uint64_t offset;
	uint64_t length;
	uint32_t mode;
	uint32_t padding;
};

struct fuse_lseek_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t whence;
	uint32_t padding;
};

struct fuse_lseek_out {
	uint64_t offset;
};

struct fuse_ioctl_in {
	uint64_t fh;
	uint32_t flags;
	uint32_t cmd;
	uint64_t arg; /* the caller's */
	uint32_t in_size;
	uint32_t out_size;
};

struct fuse_ioctl_out {
	int32_t result;
	uint32_t flags;
	uint32_t in_iovs;
	uint32_t out_iovs;
};

struct fuse_init_in {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint32_t flags2; /* from here on since 7.36 */
	uint32_t unused[11];
};
#define FUSE_INIT_IN_OLD 16

struct fuse_init_out {
	uint32_t major;
	uint32_t minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint16_t max_background;
	uint16_t congestion_threshold;
	uint32_t max_write;
	uint32_t time_gran;
	uint16_t max_pages;
	uint16_t map_alignment;
	uint32_t flags2;
	uint32_t max_stack_depth;
	uint16_t request_timeout;
	uint16_t unused[11];
};

/* ioctl() on /dev/fuse: files that the kernel itself reads and writes. */

struct fuse_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define FUSE_DEV_IOC_BACKING_OPEN _IOW(229, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

/* FUSE over io_uring */

enum fuse_uring_cmd {
	FUSE_IO_URING_CMD_REGISTER = 1,
	FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2,
	FUSE_IO_URING_CMD_ADD_QUEUE = 3, /* these since 7.46 */
	FUSE_IO_URING_CMD_ADD_BUFPOOL = 4,
};

/* ADD_QUEUE */
#define FUSE_URING_ZERO_COPY (1ULL << 0)

/* of a request */
#define FUSE_URING_ENT_ZERO_COPY (1ULL << 0)

struct fuse_uring_ent_in_out {
	uint64_t flags;
	uint64_t commit_id;
	uint32_t payload_sz;
	uint32_t offset; /* of the payload in the pool */
	uint64_t reserved;
};

struct fuse_uring_req_header {
	uint8_t in_out[128]; /* fuse_in_header, then fuse_out_header */
	uint8_t op_in[128]; /* the first argument */
	struct fuse_uring_ent_in_out ring_ent_in_out;
};

/* In the SQE's 80 bytes. */
struct fuse_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t qid;
	uint8_t padding[6];
	union {
		struct {
			uint64_t uaddr;
			uint32_t len;
			uint32_t reserved;
		} bufpool; /* ADD_BUFPOOL */
		uint16_t zero_copy_index; /* REGISTER */
	};
};

_Static_assert(sizeof(struct fuse_in_header) == 40, "ABI");
_Static_assert(sizeof(struct fuse_out_header) == 16, "ABI");
_Static_assert(sizeof(struct fuse_attr_out) == 104, "ABI");
_Static_assert(sizeof(struct fuse_setattr_in) == 88, "ABI");
_Static_assert(sizeof(struct fuse_init_in) == 64, "ABI");
_Static_assert(sizeof(struct fuse_init_out) == 64, "ABI");
_Static_assert(sizeof(struct fuse_statfs_out) == 80, "ABI");
_Static_assert(sizeof(struct fuse_uring_req_header) == 288, "ABI");
_Static_assert(sizeof(struct fuse_uring_cmd_req) == 40, "ABI");

#endif
