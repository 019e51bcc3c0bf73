/*
 * The order of life: options, background, ring, image, mount, serve, flush,
 * close, tidy up. What is opened later is closed earlier.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "block/bounce.h"
#include "block/named.h"
#include "cli/cgroup.h"
#include "cli/daemon.h"
#include "cli/machine.h"
#include "cli/options.h"
#include "cli/pidfile.h"
#include "cli/probe.h"
#include "cli/record.h"
#include "cli/remount.h"
#include "cli/replace.h"
#include "cli/version.h"
#include "control/control.h"
#include "control/notify.h"
#include "control/status.h"
#include "fuse/backing.h"
#include "fuse/passed.h"
#include "life.h"
#include "loop/cpu.h"
#include "loop/log.h"
#include "loop/progress.h"
#include "loop/system.h"

#define SQES_MOST 1024u
/* Thousandths of a CPU; the client may be in the same control group. */
#define LEAST_TO_SPIN 2000u
#define STILL_BUSY 60u /* seconds that a manager is asked to wait more */
/* The exit statuses of mount(8). */
#define MOUNT_USAGE 1
#define MOUNT_FAILURE 32

static struct session_config session_config(const struct options *o,
					    const struct mount *m)
{
	unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);

	return (struct session_config){
		.io_uring = o->io_uring,
		.queue_depth = (unsigned int)o->queue_depth,
		.queues = machine_possible_cpus(),
		.max_write =
			(uint32_t)((o->max_write + page - 1) & ~(page - 1)),
		.buffer_pool = o->buffer_pool,
		.zero_copy = o->zero_copy,
		.allow_other = m->others,
		.writeback = o->writeback_cache,
		.passthrough = o->passthrough,
		.uid = m->uid,
		.gid = m->gid,
	};
}

/*
 * A ring with room for every entry of every queue twice over (its command and
 * its I/O) in the CQ, and for a good batch in the SQ.
 */
static int make_ring(struct uring *u, const struct options *o)
{
	unsigned int cpus = machine_possible_cpus();
	unsigned int n = (cpus ? cpus : 1) * (unsigned int)o->queue_depth;
	unsigned int sqes = 2 * n < SQES_MOST ? 2 * n : SQES_MOST;
	const char *why, *command;
	int ret;

	if (sqes < 64)
		sqes = 64;
	ret = uring_init(u, sqes, 4 * n + 64);
	if (!ret && (u->sqe128 || o->io_uring != URING_ON))
		return 0;
	if (!ret) {
		log_warnx("io_uring: FUSE requests require Linux 6.1: refused, "
			  "as required by --io-uring=on");
		uring_exit(u);
		return -EOPNOTSUPP;
	}
	why = machine_why_no_io_uring(-ret, &command);
	log_warnx("io_uring: %s (%s%s%s): %s", why, strerror(-ret),
		  command ? "; as root: " : "", command ? command : "",
		  o->io_uring == URING_ON ?
			  "refused, as required by --io-uring=on" :
			  "requests go by /dev/fuse, and the image's I/O "
			  "blocks");
	if (o->io_uring == URING_ON)
		return ret;
	return uring_init_emulated(u, sqes);
}

/* What lives as long as the process serves. */
struct server {
	const struct options *options;
	struct notify *notify;
	int ready_fd; /* daemon_fork()'s */
	struct uring uring;
	struct loop loop;
	struct cpu cpu;
	struct mount mount;
	struct session *session;
	struct control control;
};

/* The source is the image as anybody would find it. */
static int start_mount(struct server *srv, struct mount_options *mo)
{
	const struct options *o = srv->options;
	char *image = realpath(o->image, NULL);
	int ret;

	mo->source = o->fsname ? o->fsname : image ? image : o->image;
	ret = mount_start(&srv->mount, mo);
	free(image);
	return ret;
}

/* Mounts and serves; the image is open. Returns the exit status so far. */
static int serve(struct server *srv, struct block *b)
{
	const struct options *o = srv->options;
	struct mount_options mo = {
		.path = o->mountpoint,
		.socket = o->fuse_socket,
		.server = record_server,
		.writeback = o->writeback_cache && !o->read_only,
		.flags = o->mount_flags,
		.others = o->allow_other,
		.security = o->security,
	};
	struct session_config cfg;
	struct stat st;
	int ret;

	if (!backing_permitted(b, o->passthrough))
		return EXIT_FAILURE;
	/* Now: the image may be hidden by the mount. */
	if (stat(o->image, &st)) {
		st = (struct stat){ 0 };
		clock_gettime(CLOCK_REALTIME, &st.st_mtim);
	}
	mo.mtime = st.st_mtim;
	mo.image_dev = st.st_dev;
	mo.image_ino = st.st_ino;
	if (control_init(&srv->control, o->image, o->stats))
		return EXIT_FAILURE;
	/* It may take long to be given a mount; until then there is none. */
	life_hold_signals(!o->fuse_socket);
	if (start_mount(srv, &mo))
		return EXIT_FAILURE;
	life_hold_signals(true);
	cfg = session_config(o, &srv->mount);
	srv->session = session_new(&srv->loop, b, &cfg, srv->mount.fd);
	if (srv->session && !control_start(&srv->control, srv->session,
					   srv->mount.path)) {
		ret = life_run(srv->session, &srv->mount, o, &srv->cpu,
				srv->notify, srv->ready_fd);
		control_stop(&srv->control);
		return ret;
	}
	if (srv->session)
		return EXIT_FAILURE;
	close(srv->mount.fd);
	return EXIT_FAILURE;
}

static int export_image(struct server *srv)
{
	const struct options *o = srv->options;
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
		.untrusted = o->untrusted,
		.write_through = !o->writeback_interval,
		.metadata_cache = o->metadata_cache,
		.memory = o->budget.image,
		.few_pages = o->budget.tight,
		.bounce = bounce_new(&srv->uring),
	};
	struct named_dir allowed = { 0 };
	struct block *b = NULL;
	int status = EXIT_FAILURE, lost;

	if (o->allow_files)
		bo.allowed = &allowed;
	if (!o->allow_files || !named_allow(&allowed, o->allow_files))
		b = block_open(&srv->uring, &bo);
	if (b) {
		status = serve(srv, b);
		notify_stopping(srv->notify);
		notify_status(srv->notify, "writing back what is left");
		lost = block_close(b);
		/* A mount that could not be aborted goes on asking. */
		if (srv->session)
			srv->session->closed = true;
		if (lost)
			status = EXIT_FAILURE;
		control_end(&srv->control, !lost);
	}
	named_free(&allowed);
	bounce_free(bo.bounce);
	return status;
}

/*
 * The ring may hold entries in the session's memory, so it goes before it.
 * The mountpoint that was made here and the pidfile go last: who sees them
 * gone knows that all is flushed.
 */
static int run_server(const struct options *o, struct notify *n, int ready_fd)
{
	struct server srv = { .options = o,
			      .notify = n,
			      .ready_fd = ready_fd,
			      .mount.fd = -1 };
	int status = EXIT_FAILURE;

	if (cpu_pin(o->cpu) || make_ring(&srv.uring, o))
		return EXIT_FAILURE;
	if (loop_init(&srv.loop, &srv.uring)) {
		log_warnx("libev: no event loop");
	} else {
		poll_parse(o->poll, &srv.uring.poll);
		/* Who should go on meanwhile, and on whose time? */
		if (cpu_is_one() || cgroup_cpu_limit("") < LEAST_TO_SPIN)
			poll_disable(&srv.uring.poll);
		srv.uring.poll.follow = &srv.loop.follow;
		srv.uring.poll.look = cpu_share;
		srv.uring.poll.arg = &srv.cpu;
		if (!cpu_init(&srv.cpu, o->cpu, &srv.loop.follow, &srv.uring))
			status = export_image(&srv);
		cpu_exit(&srv.cpu);
		loop_exit(&srv.loop);
	}
	uring_exit(&srv.uring);
	session_free(srv.session);
	control_free(&srv.control);
	mount_finish(&srv.mount);
	if (status)
		notify_status(n, "ended: %s", log_last());
	else
		notify_status(n, "ended; all data is flushed");
	pidfile_end(status, log_last());
	log_tell_left_out(true);
	return status;
}

/* What follows from the machine's memory. */
static int fit_memory(struct options *o)
{
	struct budget_machine m;

	budget_machine(&m);
	return budget_fit(&o->budget, o, &m);
}

/* The mountpoint /dev/fd/N: the caller has left that open. */
static bool take_descriptor(const struct options *o)
{
	int fd = o->fuse_socket ? -1 : passed_number(o->mountpoint);

	if (fd >= 0 && !o->foreground && passed_by_command(fd)) {
		log_warnx("%s: rawfuse-mount takes the mount away when this "
			  "command returns; give -f",
			  o->mountpoint);
		return false;
	}
	if (fd < 0 || daemon_own_file(fd))
		return true;
	log_warnx("%s: descriptor: %s", o->mountpoint,
		  fd <= STDERR_FILENO ?
			  "0, 1 and 2 are standard files; give another one" :
			  "the caller has not left it open");
	return false;
}

/* Without asking a server, which may hang. */
static bool is_same(const char *one, const char *two)
{
	struct statx a, b;

	if (!one || !two)
		return false;
	return !strcmp(one, two) ||
	       (!statx(AT_FDCWD, one, AT_STATX_DONT_SYNC, STATX_INO, &a) &&
		!statx(AT_FDCWD, two, AT_STATX_DONT_SYNC, STATX_INO, &b) &&
		a.stx_ino == b.stx_ino &&
		a.stx_dev_major == b.stx_dev_major &&
		a.stx_dev_minor == b.stx_dev_minor);
}

/*
 * What is written must not hit the disk; nor be opened by ourselves, at SIGHUP,
 * through the mount.
 */
static bool is_disk(const struct options *o, const char *name, const char *file)
{
	if (!is_same(file, o->image) && !is_same(file, o->mountpoint))
		return false;
	log_warnx("%s: %s: it is the image or the mountpoint; give another "
		  "name",
		  file, name);
	return true;
}

/* Work that moves on may take longer than a manager would wait. */
static void tell_progress(void *arg, const char *text, bool moved)
{
	struct notify *n = arg;

	if (!text) {
		notify_again(n);
		return;
	}
	notify_status(n, "%s", text);
	if (moved && !n->ready)
		notify_extend(n, STILL_BUSY);
}

static int run(struct options *o)
{
	struct notify notify;
	int ready_fd = -1, status;

	switch (o->action) {
	case ACTION_HELP:
		options_help(o->help);
		return EXIT_SUCCESS;
	case ACTION_VERSION:
		version_print();
		return EXIT_SUCCESS;
	case ACTION_DUMP_CONFIG:
		version_dump_config();
		return EXIT_SUCCESS;
	case ACTION_PROBE:
		return probe_run();
	case ACTION_REMOUNT:
		return remount_run(o);
	case ACTION_WAIT:
		return pidfile_wait(o->wait);
	case ACTION_STATUS:
		return status_run(o->status, o->json);
	case ACTION_FAKE:
		return EXIT_SUCCESS;
	case ACTION_EXPORT:
		break;
	}
	log_traces = o->traces;
	if (is_disk(o, "--log", o->log) || is_disk(o, "--stats", o->stats))
		return EXIT_FAILURE;
	if (log_to(o->log, o->log_format))
		return EXIT_FAILURE;
	if (o->as_helper && o->nofail && access(o->image, F_OK) &&
	    (errno == ENOENT || errno == ENOTDIR)) {
		log_info("%s: it does not exist; nofail ignores this",
			 o->image);
		return EXIT_SUCCESS;
	}
	if (fit_memory(o))
		return EXIT_FAILURE;
	if (options_said(o, "replace") && replace_run(o))
		return EXIT_FAILURE;
	if (o->pidfile && pidfile_check(o->pidfile))
		return EXIT_FAILURE;
	if (!take_descriptor(o))
		return EXIT_FAILURE;
	/* By mount(8) it is not us who is looked at. */
	notify_none(&notify);
	if (!o->as_helper)
		notify_open_environment(&notify);
	if (!o->foreground) {
		ready_fd = daemon_fork(&notify);
		if (ready_fd < 0)
			return EXIT_FAILURE;
	}
	progress_on_tell(tell_progress, &notify);
	notify_status(&notify, "opening %s", o->image);
	status = run_server(o, &notify, ready_fd);
	progress_on_tell(NULL, NULL);
	notify_close(&notify);
	return status;
}

/* Without them the image could become file descriptor 2. */
static void have_standard_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct options o;
	int status;

	have_standard_files();
	daemon_note_files();
	/* What ulimit -f forbids ends a write with EFBIG, not the process. */
	signal(SIGXFSZ, SIG_IGN);
	status = options_parse(&o, argc, argv);
	if (!status)
		status = run(&o);
	if (o.as_helper && status)
		status = status == EXIT_USAGE ? MOUNT_USAGE : MOUNT_FAILURE;
	options_free(&o);
	log_end();
	return status;
}
