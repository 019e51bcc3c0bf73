/* One mount: what was negotiated, who answers, when it is over. */
#ifndef RAWFUSE_FUSE_SESSION_H
#define RAWFUSE_FUSE_SESSION_H

#include <sys/types.h>
#include <time.h>

#include "block/block.h"
#include "fuse/abi.h"
#include "fuse/stats.h"
#include "loop/loop.h"
#include "loop/system.h"

enum uring_mode { URING_AUTO, URING_ON, URING_OFF };
enum passthrough { PASSTHROUGH_OFF, PASSTHROUGH_AUTO, PASSTHROUGH_ON };
enum zero_copy_mode { ZERO_COPY_AUTO, ZERO_COPY_ON, ZERO_COPY_OFF };

/* Values of buffer_pool that are no size. */
#define BUFFER_POOL_AUTO 0
#define BUFFER_POOL_OFF UINT64_MAX

#define SESSION_EARLY 16 /* INTERRUPTs that are kept */

struct dev;
struct fuse_request;
struct ring;

struct session_config {
	enum uring_mode io_uring;
	unsigned int queue_depth; /* entries a queue */
	unsigned int queues; /* possible CPUs; 0: unknown, so no ring */
	uint32_t max_write; /* bytes, a multiple of the page */
	uint64_t buffer_pool; /* bytes a queue, or BUFFER_POOL_* */
	enum zero_copy_mode zero_copy;
	bool allow_other; /* others may be given access by chmod and chown */
	bool writeback; /* let the kernel keep writes for a while */
	enum passthrough passthrough;
	uid_t uid; /* the owner of the file, at first */
	gid_t gid;
};

/* What chmod, chown and touch have set; the rest is the image's. */
struct session_attr {
	uint32_t mode, uid, gid;
	bool has_atime, has_mtime;
	struct timespec atime, mtime;
	/* With passthrough: the image's mtime when mtime was set. */
	bool has_image_mtime;
	struct timespec image_mtime;
};

/* A look at the image that nobody has asked for by a request: attr.c's. */
struct session_look {
	bool busy;
	uint64_t size; /* when it began */
	struct block_req io;
	struct statx stx;
};

struct session {
	struct loop *loop;
	struct uring *uring;
	struct block *block;
	struct session_config cfg;
	int fd; /* /dev/fuse */
	struct dev *dev;
	struct ring *ring; /* NULL without io_uring */

	struct session_attr attr;
	struct session_look look;
	uint64_t seen_size; /* of the image, at the last look */
	uint64_t moved; /* session_clock() when emptying it last went on; or 0 */
	uint64_t data_end; /* all behind it is zeros; UINT64_MAX: unknown */
	uint32_t minor; /* negotiated ABI; 0 before INIT */
	bool bufpools; /* the kernel has buffer pools */
	bool direct_io; /* its FOPEN_DIRECT_IO heeds its page cache */
	bool by_uring; /* requests come by the ring */
	bool writeback; /* the kernel keeps writes, and owns size and mtime */
	unsigned int opens; /* handles that are open, */
	unsigned int writers; /* for writing */
	unsigned int mappers; /* of these, that may be mapped for writing */
	pid_t teller; /* tells the kernel the size: SETATTR changes nothing */
	bool telling; /* it is to be told: FLUSHes wait for that */
	struct fuse_request *held; /* these */
	struct fuse_request *watched; /* requests that may take long */
	uint64_t early[SESSION_EARLY]; /* interrupts of others; 0: none */
	unsigned int early_n;
	bool stale; /* its page cache shows what is gone: it must drop that */
	int backing_id; /* of the image, for FOPEN_PASSTHROUGH; 0: none */
	bool backing_direct; /* the image's file system offers O_DIRECT */
	bool zero_copy; /* and their data need not be copied */
	bool ready; /* the file can be used */
	bool ended; /* the kernel has let go of us */
	bool closed; /* the image is: @block is gone */
	bool failed; /* it ended by an error of ours */
	bool lost; /* what the kernel had taken may not be in the image */
	bool reported; /* on_end was called */
	struct session_stats stats;

	void (*on_ready)(struct session *s);
	/* The connection is gone and no request is in flight; once. */
	void (*on_end)(struct session *s);
	/* It cannot go on: the connection must be aborted. */
	void (*on_broken)(struct session *s);
	/* The kernel's page cache goes past the end of the image. */
	void (*on_past_end)(struct session *s);
	/* The last open handle has been closed. */
	void (*on_unused)(struct session *s);
	/* The kernel must be told the size of the file anew. */
	void (*on_size)(struct session *s);
	/* attr_look() is over. */
	void (*on_looked)(struct session *s);
	void *arg;
	/*
	 * An ioctl on the file: puts its answer, of at most @room bytes, in
	 * @to and returns its length, or -ENOTTY. NULL: there are none.
	 */
	int (*on_ioctl)(const struct fuse_request *req, uint32_t cmd, void *to,
			size_t room);
	void *ioctl_arg;
};

/*
 * Makes a session on @fd, an opened and mounted /dev/fuse, which it owns from
 * then on. @block, @loop and its ring stay the caller's. NULL if out of
 * memory (logged).
 */
struct session *session_new(struct loop *loop, struct block *block,
			    const struct session_config *cfg, int fd);

/* Starts reading; INIT comes first. */
void session_start(struct session *s);

/* Frees all. Only when the ring no longer runs or holds no command of ours. */
void session_free(struct session *s);

/* Monotonic ns, of which a request's since is a value, too. */
uint64_t session_clock(void);

/*
 * Of the requests that came and are not answered, the one that came first;
 * NULL if there is none. It is valid until the loop turns; its age is
 * session_clock() less its since. It looks at every entry, so it is not for the
 * path of a request.
 */
const struct fuse_request *session_oldest(const struct session *s);

/* For the transports: */

/* The connection is gone: no new request comes. */
void session_end(struct session *s);

/* Something that must not happen did: logged by the caller; ends loudly. */
void session_break(struct session *s);

/* @req enters or leaves the hands of ops. */
void session_enter(struct session *s, struct fuse_request *req);
void session_leave(struct session *s, struct fuse_request *req);

/* For INIT: the kernel may be told of the ring and ready be reported. */
void session_negotiated(struct session *s, bool io_uring);

/* The ring is registered: the file can be used. */
void session_ring_settled(struct session *s);

/* @what of the ring failed: /dev/fuse serves, or it is an error. */
void session_ring_failed(struct session *s, const char *what, int err);

#endif
