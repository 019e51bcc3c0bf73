/* FUSE_INIT: a table of what is asked for, and what the kernel offers. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fuse/backing.h"
#include "fuse/init.h"
#include "fuse/ops.h"
#include "fuse/session.h"
#include "loop/log.h"

#define ENABLE_URING "/sys/module/fuse/parameters/enable_uring"

static bool want_uring(const struct session *s)
{
	return s->ring;
}

static bool want_writeback(const struct session *s)
{
	return s->cfg.writeback && !s->block->opt.read_only;
}

/* Writes that pass us by cannot tell: the kernel then sends a SETATTR. */
static bool want_killpriv(const struct session *s)
{
	return !backing_wanted(s);
}

static const struct {
	uint64_t flag;
	const char *name;
	bool (*want)(const struct session *s); /* NULL: always */
} wanted[] = {
	{ FUSE_ASYNC_READ, "async_read", NULL },
	{ FUSE_BIG_WRITES, "big_writes", NULL },
	{ FUSE_ASYNC_DIO, "async_dio", NULL },
	{ FUSE_ABORT_ERROR, "abort_error", NULL },
	{ FUSE_MAX_PAGES, "max_pages", NULL },
	{ FUSE_HANDLE_KILLPRIV_V2, "handle_killpriv_v2", want_killpriv },
	{ FUSE_INIT_EXT, "init_ext", NULL },
	{ FUSE_DIRECT_IO_ALLOW_MMAP, "direct_io_allow_mmap", NULL },
	{ FUSE_WRITEBACK_CACHE, "writeback_cache", want_writeback },
	{ FUSE_PASSTHROUGH, "passthrough", backing_wanted },
	{ FUSE_OVER_IO_URING, "over_io_uring", want_uring },
};

bool init_can_tell_uring(void)
{
	return !access("/sys/module/fuse", F_OK) ||
	       !access("/sys/module/kernel", F_OK);
}

const char *init_why_no_uring(const char **command)
{
	int fd = open(ENABLE_URING, O_RDONLY | O_CLOEXEC);
	char value = 'N';
	ssize_t n;

	*command = NULL;
	if (fd < 0 && !init_can_tell_uring())
		return "the kernel does not offer it, and the cause is not "
		       "known (/sys cannot be read)";
	if (fd < 0)
		return "this kernel has no FUSE-over-io_uring (Linux 6.14 with "
		       "CONFIG_FUSE_IO_URING has)";
	n = read(fd, &value, 1);
	close(fd);
	if (n == 1 && value == 'Y')
		return NULL;
	*command = "echo Y > " ENABLE_URING;
	return "fuse.enable_uring is off";
}

static uint64_t agree(const struct session *s, uint64_t offered)
{
	uint64_t flags = 0;
	size_t i;

	for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		if (!(offered & wanted[i].flag))
			continue;
		if (wanted[i].want && !wanted[i].want(s))
			continue;
		flags |= wanted[i].flag;
		log_trace(TRACE_LIFE, "init: %s", wanted[i].name);
	}
	return flags;
}

static uint16_t clamp16(uint64_t value)
{
	return value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

static void build(const struct session *s, const struct fuse_init_in *in,
		  uint64_t flags, struct fuse_init_out *out)
{
	unsigned int queues = s->ring ? s->cfg.queues : 1;
	uint64_t background = (uint64_t)s->cfg.queue_depth * queues;

	*out = (struct fuse_init_out){
		.major = FUSE_MAJOR,
		.minor = s->minor,
		.max_readahead = in->max_readahead > s->cfg.max_write ?
					 in->max_readahead :
					 s->cfg.max_write,
		.flags = (uint32_t)flags,
		.flags2 = (uint32_t)(flags >> 32),
		.max_background = clamp16(background),
		.congestion_threshold = clamp16(background * 3 / 4),
		.max_write = s->cfg.max_write,
		.time_gran = 1,
		.max_stack_depth = flags & FUSE_PASSTHROUGH ? 1 : 0,
		.max_pages = clamp16(s->cfg.max_write / sysconf(_SC_PAGESIZE)),
	};
}

/* Says why the ring is not used, if it should have been; false: give up. */
static bool explain(struct session *s)
{
	const char *command, *asks = NULL;
	const char *why = init_why_no_uring(&command);
	const char *cause = why;

	if (s->cfg.zero_copy == ZERO_COPY_ON)
		asks = "--zero-copy=on";
	else if (s->cfg.io_uring == URING_OFF || !s->uring->sqe128)
		return true; /* not wanted, or said when the ring was made */
	else if (s->cfg.io_uring == URING_ON)
		asks = "--io-uring=on";
	if (s->cfg.io_uring == URING_OFF)
		why = "it is off";
	else if (!s->uring->sqe128)
		why = "it cannot carry FUSE requests";
	else if (!s->cfg.queues)
		why = "the number of possible CPUs is not known "
		      "(/sys/devices/system/cpu/possible cannot be read)";
	else if (!s->ring)
		why = "its memory could not be had";
	if (!why)
		why = "the kernel did not offer it";
	if (why != cause || !command)
		command = "";
	log_warnx("io_uring: %s%s%s%s: %s%s", why, *command ? " (as root: " : "",
		  command, *command ? ")" : "",
		  asks ? "refused, as required by " : "requests go by /dev/fuse",
		  asks ? asks : "");
	return !asks;
}

void init_handle(struct fuse_request *req)
{
	struct session *s = req->session;
	struct fuse_init_in in = { 0 };
	struct fuse_init_out out;
	uint64_t offered, flags;
	bool again;

	memcpy(&in, req->in, FUSE_INIT_IN_OLD);
	if (req->payload_len >= sizeof(in) - FUSE_INIT_IN_OLD)
		memcpy(&in.flags2, req->payload,
		       sizeof(in) - FUSE_INIT_IN_OLD);
	if (s->minor) {
		log_limited("init: a second INIT");
		ops_answer(req, -EIO, 0);
		return;
	}
	if (in.major < FUSE_MAJOR ||
	    (in.major == FUSE_MAJOR && in.minor < FUSE_MINOR_LEAST)) {
		log_warnx("init: the kernel speaks FUSE %u.%u; %u.%u (Linux "
			  "5.4) is the least",
			  in.major, in.minor, FUSE_MAJOR, FUSE_MINOR_LEAST);
		ops_answer(req, -EPROTO, 0);
		session_break(s);
		return;
	}
	again = in.major > FUSE_MAJOR; /* it will ask anew, with ours */
	offered = in.flags;
	if (in.flags & FUSE_INIT_EXT)
		offered |= (uint64_t)in.flags2 << 32;
	flags = agree(s, offered);
	s->bufpools = offered & FUSE_HAS_IO_URING_BUFPOOL;
	s->direct_io = offered & FUSE_DIRECT_IO_ALLOW_MMAP;
	if (!again)
		s->minor = in.minor < FUSE_MINOR ? in.minor : FUSE_MINOR;
	build(s, &in, flags, &out);
	if (again) {
		out = (struct fuse_init_out){ .major = FUSE_MAJOR,
					      .minor = FUSE_MINOR };
	} else if ((!(flags & FUSE_OVER_IO_URING) && !explain(s)) ||
		   !backing_offered(s, flags & FUSE_PASSTHROUGH)) {
		ops_answer(req, -EOPNOTSUPP, 0);
		session_break(s);
		return;
	}
	s->writeback = !again && flags & FUSE_WRITEBACK_CACHE;
	memcpy(req->payload, &out, sizeof(out));
	ops_answer(req, 0, sizeof(out));
	if (again)
		return;
	if (flags & FUSE_PASSTHROUGH && !backing_start(s)) {
		session_break(s);
		return;
	}
	session_negotiated(s, flags & FUSE_OVER_IO_URING);
}
