/*
 * The order of life: options, background, ring, image, mount, serve, flush,
 * close, tidy up. What is opened later is closed earlier.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/daemon.h"
#include "cli/machine.h"
#include "cli/options.h"
#include "cli/probe.h"
#include "cli/version.h"
#include "life.h"
#include "loop/log.h"

#define SQES_MOST 1024u

static struct session_config session_config(const struct options *o,
					    const struct mount *m)
{
	unsigned long most = machine_max_request();
	unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
	unsigned long max_write = (o->max_write + page - 1) & ~(page - 1);

	return (struct session_config){
		.io_uring = o->io_uring,
		.queue_depth = (unsigned int)o->queue_depth,
		.queues = machine_possible_cpus(),
		.max_write = (uint32_t)(max_write < most ? max_write : most),
		.allow_other = m->others,
	};
}

/*
 * A ring with room for every entry of every queue twice over (its command and
 * its I/O) in the CQ, and for a good batch in the SQ.
 */
static int make_ring(struct uring *u, const struct options *o)
{
	unsigned int n = machine_possible_cpus() *
			 (unsigned int)o->queue_depth;
	unsigned int sqes = 2 * n < SQES_MOST ? 2 * n : SQES_MOST;
	int ret;

	if (sqes < 64)
		sqes = 64;
	ret = uring_init(u, sqes, 4 * n + 64);
	if (!ret && (u->sqe128 || o->io_uring != URING_ON))
		return 0;
	if (!ret) {
		log_warnx("io_uring: this kernel's lacks what FUSE requests "
			  "need (Linux 6.1): refused, as --io-uring=on asks");
		uring_exit(u);
		return -EOPNOTSUPP;
	}
	log_warnx("io_uring: %s (%s): %s", machine_why_no_io_uring(-ret),
		  strerror(-ret),
		  o->io_uring == URING_ON ?
			  "refused, as --io-uring=on asks" :
			  "requests go by /dev/fuse, and the image's I/O "
			  "blocks");
	if (o->io_uring == URING_ON)
		return ret;
	return uring_init_emulated(u, sqes);
}

/* Mounts and serves; the image is open. Returns the exit status so far. */
static int serve(struct loop *loop, struct block *b, const struct options *o,
		 struct mount *m, struct session **session, int ready_fd)
{
	struct mount_options mo = {
		.source = o->fsname ? o->fsname : o->image,
		.path = o->mountpoint,
		.read_only = b->opt.read_only,
		.flags = o->mount_flags,
		.others = o->allow_other,
	};
	struct session_config cfg;

	if (mount_start(m, &mo))
		return EXIT_FAILURE;
	cfg = session_config(o, m);
	*session = session_new(loop, b, &cfg, m->fd);
	if (*session)
		return life_run(*session, m, o, ready_fd);
	close(m->fd);
	return EXIT_FAILURE;
}

/*
 * With the ring and the loop there. The mountpoint that was made here and the
 * pidfile go last: who sees them gone knows that all is flushed.
 */
static int export_image(const struct options *o, struct loop *loop,
			struct session **session, int ready_fd)
{
	struct block_options bo = {
		.path = o->image,
		.format = o->format,
		/* A snapshot is what it was. */
		.read_only = o->read_only || o->snapshot,
		.growable = o->growable,
		.no_lock = o->no_lock,
		.cache = o->cache,
		.snapshot = o->snapshot,
		.backing_format = o->backing_format,
		.no_backing = o->backing == 1,
		.metadata_cache = o->metadata_cache,
	};
	struct block *b = block_open(loop->uring, &bo);
	struct mount m = { .fd = -1 };
	int status;

	if (!b)
		return EXIT_FAILURE;
	status = serve(loop, b, o, &m, session, ready_fd);
	if (block_close(b))
		status = EXIT_FAILURE;
	mount_finish(&m);
	daemon_remove_pidfile();
	return status;
}

static int with_ring(const struct options *o, int ready_fd)
{
	struct session *session = NULL;
	int status = EXIT_FAILURE;
	struct loop loop;
	struct uring u;

	if (make_ring(&u, o))
		return EXIT_FAILURE;
	if (loop_init(&loop, &u)) {
		log_warnx("libev: no event loop");
	} else {
		status = export_image(o, &loop, &session, ready_fd);
		loop_exit(&loop);
	}
	/* The ring may hold entries in the session's memory: it goes first. */
	uring_exit(&u);
	session_free(session);
	return status;
}

static int run(const struct options *o)
{
	int ready_fd = -1;

	switch (o->action) {
	case ACTION_HELP:
		options_usage();
		return EXIT_SUCCESS;
	case ACTION_VERSION:
		version_print();
		return EXIT_SUCCESS;
	case ACTION_DUMP_CONFIG:
		version_dump_config();
		return EXIT_SUCCESS;
	case ACTION_PROBE:
		return probe_run();
	case ACTION_FAKE:
		return EXIT_SUCCESS;
	case ACTION_EXPORT:
		break;
	}
	log_traces = o->traces;
	if (!o->foreground) {
		ready_fd = daemon_fork();
		if (ready_fd < 0)
			return EXIT_FAILURE;
	}
	return with_ring(o, ready_fd);
}

int main(int argc, char **argv)
{
	struct options o;
	int status = options_parse(&o, argc, argv);

	if (!status)
		status = run(&o);
	options_free(&o);
	return status;
}
