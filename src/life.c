/*
 * Life and death of a mount.
 *
 * | what happens                | what is done                               |
 * |-----------------------------|--------------------------------------------|
 * | umount, or umount -f        | the kernel lets go; in-flight requests end |
 * | SIGTERM or SIGINT           | unmount; if busy, detach and serve what is |
 * |                             | open, for --grace seconds; then abort      |
 * | a second one, grace is over | abort at once                              |
 * | unmounting takes for ever   | abort                                      |
 * | the session breaks          | abort, detach, exit status 1               |
 * | an abort is not permitted   | stop: closing /dev/fuse does the same      |
 * | unmounting is not permitted | the mount was passed in: serve what is     |
 * |                             | open, as above, then abort: it stays, dead |
 * | an abort brings no end      | stop all the same after LAST_RESORT        |
 * | the connection has ended    | nothing more is aborted: its number may be |
 * |                             | another one's; what is in flight ends      |
 *
 * Unmounting may wait for answers that only this process gives, so a child
 * does it. The child may be held up by an image that hangs, if only in closing
 * its copy of the descriptor (NFS, FUSE); then UNMOUNT_LIMIT goes on without
 * it. With the writeback cache it first writes what the kernel keeps, which
 * takes the time it takes: the grace begins after that.
 *
 * In every case but kill -9, main() flushes the image afterwards, with signals
 * held: nothing interrupts that.
 */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alive.h"
#include "cli/daemon.h"
#include "cli/pidfile.h"
#include "fuse/backing.h"
#include "fuse/dev.h"
#include "fuse/ops.h"
#include "fuse/ring.h"
#include "life.h"
#include "loop/log.h"
#include "reload.h"
#include "report.h"
#include "writeback.h"

#define LAST_RESORT 3. /* seconds */
#define UNMOUNT_LIMIT 3. /* seconds, beside the grace */

struct life {
	struct session *session;
	struct mount *mount;
	struct loop *loop;
	const struct options *options;
	const struct cpu *cpu;
	int ready_fd;
	bool stopping; /* a first signal came */
	bool detached; /* the mount has been detached, lazily */
	bool stays; /* it cannot be: end with the last open file */
	bool aborted;
	bool told; /* the kernel knows the size, or need not be told */
	bool past_end; /* it must be told the size again */
	bool past_end_said;
	ev_signal term, intr, usr1, hup;
	ev_child undo, teller;
	ev_io front; /* the process in front may go */
	ev_timer grace, last_resort;
	struct writeback writeback;
	struct notify *notify;
	struct alive alive;
	struct reload reload;
};

static void abort_now(struct life *l);

static void start_undo(struct life *l, bool lazy)
{
	pid_t pid;

	follow_stop(&l->loop->follow); /* the child would inherit it */
	pid = mount_undo_start(l->mount, lazy);
	l->detached = lazy;
	if (pid < 0) {
		log_warnx("%s: unmount: %s", l->mount->path, strerror(-pid));
		abort_now(l);
		return;
	}
	ev_child_set(&l->undo, pid, 0);
	ev_child_start(l->loop->ev, &l->undo);
}

/* Who has the file open may have written what the kernel still keeps. */
static void tell_lost(struct life *l)
{
	struct session *s = l->session;

	if (!s->writeback || !s->writers || s->lost)
		return;
	log_warnx("%s: open for writing at the end: what was written and not "
		  "synced is lost",
		  l->mount->path);
	s->lost = true;
}

static void abort_now(struct life *l)
{
	int err;

	if (l->aborted || l->session->ended)
		return;
	l->aborted = true;
	notify_stopping(l->notify);
	block_stop(l->session->block);
	tell_lost(l);
	ev_timer_stop(l->loop->ev, &l->grace);
	if (!ev_is_active(&l->undo) && !l->detached)
		start_undo(l, true);
	err = mount_abort(l->mount);
	if (err) {
		/* Not permitted: /dev/fuse, closed at the end, does the same. */
		log_trace(TRACE_LIFE, "abort: %s", strerror(-err));
		loop_stop(l->loop);
		return;
	}
	ev_timer_set(&l->last_resort, LAST_RESORT, 0.);
	ev_timer_start(l->loop->ev, &l->last_resort);
}

static void start_grace(struct life *l, double more)
{
	ev_timer_stop(l->loop->ev, &l->grace);
	ev_timer_set(&l->grace, (double)l->options->grace + more, 0.);
	ev_timer_start(l->loop->ev, &l->grace);
}

/* The mount was passed in, and cannot be taken away from here. */
static void end_mounted(struct life *l)
{
	l->detached = l->stays = true;
	if (!l->session->opens) {
		abort_now(l);
		return;
	}
	log_info("%s: it cannot be unmounted from here: what is open is served "
		 "for %llu seconds more",
		 l->mount->path, (unsigned long long)l->options->grace);
	start_grace(l, 0.);
}

/*
 * The child that unmounts has ended; its status is an errno. Whatever it says,
 * the connection may live on, through open files or in another mount
 * namespace: grace runs in any case.
 */
static void undo_cb(struct ev_loop *ev, ev_child *w, int revents)
{
	struct life *l = w->data;
	int status = WIFEXITED(w->rstatus) ? WEXITSTATUS(w->rstatus) : ECHILD;
	int err = status & ~MOUNT_LOST;
	bool first = !l->detached;

	(void)revents;
	ev_child_stop(ev, w);
	l->mount->undo = 0;
	log_trace(TRACE_LIFE, "unmount: %s", strerror(err));
	/* Where it was not busy, umount(2) has written all once more. */
	if (status & MOUNT_LOST && err) {
		log_warnx("%s: data that the kernel kept could not be written",
			  l->mount->path);
		l->session->lost = true;
	}
	if (l->session->ended || l->aborted)
		return;
	if (err == EPERM && l->mount->passed) {
		end_mounted(l);
		return;
	}
	l->detached = true;
	if (!first || !err || err == EINVAL || !l->mount->keeps_writes)
		start_grace(l, 0.);
	if (!err || err == EINVAL) /* EINVAL: it is unmounted already */
		return;
	if (first) {
		log_info("%s: %s: detached; what is open is served for %llu "
			 "seconds more",
			 l->mount->path, strerror(err),
			 (unsigned long long)l->options->grace);
		notify_status(l->notify,
			      "detached; what is open is served for %llu "
			      "seconds more",
			      (unsigned long long)l->options->grace);
		start_undo(l, true);
	} else {
		log_warnx("%s: unmount: %s", l->mount->path, strerror(err));
		abort_now(l);
	}
}

static void grace_cb(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct life *l = w->data;

	(void)ev;
	(void)revents;
	log_warnx("%s: %s: aborting the connection", l->mount->path,
		  ev_is_active(&l->undo) ? "unmounting it does not end" :
					   "still open");
	abort_now(l);
}

static void last_resort_cb(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct life *l = w->data;

	(void)ev;
	(void)revents;
	if (l->session->ended)
		return; /* but the image's I/O takes its time */
	log_warnx("%s: the connection does not end: leaving it",
		  l->mount->path);
	l->session->failed = true;
	loop_stop(l->loop);
}

static void stop_cb(struct ev_loop *ev, ev_signal *w, int revents)
{
	struct life *l = w->data;

	(void)ev;
	(void)revents;
	log_trace(TRACE_LIFE, "signal %d", w->signum);
	if (l->session->ended)
		return;
	if (l->stopping) {
		abort_now(l);
		return;
	}
	l->stopping = true;
	notify_stopping(l->notify);
	notify_status(l->notify, "unmounting");
	if (!l->mount->keeps_writes)
		start_grace(l, UNMOUNT_LIMIT);
	start_undo(l, false);
}

static void report_cb(struct ev_loop *ev, ev_signal *w, int revents)
{
	struct life *l = w->data;

	(void)ev;
	(void)revents;
	report_counters(l->session, l->cpu, &l->options->budget);
}

static void tell_status(struct life *l)
{
	char text[REPORT_SERVES];

	if (l->notify->ready)
		notify_served(l->notify, report_serves(l->session, text));
}

static void reload_cb(struct ev_loop *ev, ev_signal *w, int revents)
{
	struct life *l = w->data;

	(void)ev;
	(void)revents;
	log_trace(TRACE_LIFE, "signal %d", w->signum);
	reload_start(&l->reload);
}

static void on_looked(struct session *s)
{
	struct life *l = s->arg;

	reload_go_on(&l->reload);
	tell_status(l);
}

/* To the log; from here on the terminal is let go, if it is to be. */
static void tell_ready(struct life *l)
{
	char text[REPORT_SERVES];

	log_to_foreground(); /* in the background, that is over */
	log_info("%s: ready: %s", l->mount->path,
		 report_serves(l->session, text));
	notify_ready(l->notify);
	tell_status(l);
	alive_start(&l->alive);
	if (l->mount->by_helper && !l->mount->others &&
	    l->options->allow_other == MOUNT_OTHERS_AUTO)
		log_info("%s: only its owner has access: root, as by sudo "
			 "losetup, gets EACCES; user_allow_other in "
			 "/etc/fuse.conf would let others in",
			 l->mount->path);
	block_tell_files(l->session->block);
}

static void announce(struct life *l)
{
	struct session *s = l->session;

	log_trace(TRACE_LIFE, "ready");
	if (l->options->pidfile && pidfile_write(l->options->pidfile)) {
		session_break(s);
		return;
	}
	if (l->mount->named)
		pidfile_write_record(l->mount->path);
	if (l->ready_fd < 0) {
		tell_ready(l);
	} else if (daemon_ready(l->ready_fd)) {
		ev_io_set(&l->front, l->ready_fd, EV_READ);
		ev_io_start(l->loop->ev, &l->front);
	} else {
		session_break(s);
	}
}

static void front_cb(struct ev_loop *ev, ev_io *w, int revents)
{
	struct life *l = w->data;

	(void)revents;
	ev_io_stop(ev, w);
	if (daemon_go(l->ready_fd))
		tell_ready(l);
	else
		session_break(l->session);
	l->ready_fd = -1;
}

static bool start_teller(struct life *l)
{
	pid_t pid;

	/* Held up beside busy ones, it would hold the file's lock. */
	follow_leave(&l->loop->follow, FOLLOW_CHILD);
	pid = mount_tell_start(l->mount, l->session->block->size, !l->told,
			       l->session->stale);
	if (pid < 0) {
		log_warnx("%s: telling the kernel the size: %s", l->mount->path,
			  strerror(-pid));
		return false;
	}
	l->past_end = l->session->stale = false;
	l->session->teller = pid;
	ev_child_set(&l->teller, pid, 0);
	ev_child_start(l->loop->ev, &l->teller);
	return true;
}

static void told_cb(struct ev_loop *ev, ev_child *w, int revents)
{
	struct life *l = w->data;
	int err = WIFEXITED(w->rstatus) ? WEXITSTATUS(w->rstatus) : ECHILD;
	bool first = !l->told;

	(void)revents;
	ev_child_stop(ev, w);
	l->mount->teller = l->session->teller = 0;
	l->told = true;
	if (!l->past_end || l->detached || l->aborted)
		ops_size_told(l->session);
	if (l->session->ended || l->aborted)
		return;
	if (err && !l->detached && l->mount->keeps_writes)
		log_warnx("%s: telling the kernel the size: %s",
			  l->mount->path, strerror(err));
	if (first && err)
		session_break(l->session);
	else if (first)
		announce(l);
	if (l->past_end && !l->detached && !start_teller(l))
		ops_size_told(l->session);
	reload_go_on(&l->reload);
}

static void on_ready(struct session *s)
{
	struct life *l = s->arg;

	/* By /dev/fuse a request does not tell its CPU. */
	if (l->cpu->mode == CPU_FOLLOW && !s->by_uring) {
		log_warnx("--cpu=follow: it requires requests by io_uring "
			  "(--cpu=auto works without)");
		session_break(s);
		return;
	}
	/* Two requests: one is read while the other is copied. */
	mount_read_ahead(l->mount, 2 * (s->cfg.max_write >> 10));
	l->mount->keeps_writes = s->writeback;
	l->told = !s->writeback;
	if (l->told)
		announce(l);
	else if (!start_teller(l))
		session_break(s);
}

static void on_size(struct session *s)
{
	struct life *l = s->arg;

	if (l->detached || l->aborted)
		return;
	l->past_end = true;
	if (ev_is_active(&l->teller) || start_teller(l))
		s->telling = true;
}

static void on_past_end(struct session *s)
{
	struct life *l = s->arg;

	l->past_end = true;
	if (!l->past_end_said)
		log_warnx("%s: a write past the end was refused after the "
			  "writeback cache had accepted it",
			  l->mount->path);
	l->past_end_said = true;
	on_size(s);
}

static void on_end(struct session *s)
{
	struct life *l = s->arg;

	loop_stop(l->loop);
}

static void on_unused(struct session *s)
{
	struct life *l = s->arg;

	if (l->stays)
		abort_now(l);
}

static void on_broken(struct session *s)
{
	abort_now(s->arg);
}

static void on_lost(void *arg)
{
	struct life *l = arg;

	l->session->failed = true;
	abort_now(l);
	loop_stop(l->loop);
}

static void on_quiet(void *arg)
{
	struct life *l = arg;

	follow_leave(&l->loop->follow, FOLLOW_QUIET);
	ring_trim(l->session->ring);
	dev_trim(l->session->dev);
	block_trim(l->session->block);
}

static void watch(struct life *l, ev_signal *w,
		  void (*cb)(struct ev_loop *, ev_signal *, int), int signum)
{
	ev_signal_init(w, cb, signum);
	w->data = l;
	ev_signal_start(l->loop->ev, w);
	ev_unref(l->loop->ev);
}

static void unwatch(struct life *l, ev_signal *w)
{
	if (!ev_is_active(w))
		return;
	ev_ref(l->loop->ev);
	ev_signal_stop(l->loop->ev, w);
}

void life_hold_signals(bool hold)
{
	static const int signums[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(signums) / sizeof(*signums); i++)
		sigaddset(&set, signums[i]);
	sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void start_watchers(struct life *l)
{
	watch(l, &l->term, stop_cb, SIGTERM);
	ev_signal_init(&l->intr, stop_cb, SIGINT);
	ev_signal_init(&l->hup, stop_cb, SIGHUP);
	/* nohup(1), and a shell that sends to the background, mean it. */
	if (!daemon_is_ignored(SIGINT))
		watch(l, &l->intr, stop_cb, SIGINT);
	watch(l, &l->usr1, report_cb, SIGUSR1);
	if (!daemon_is_ignored(SIGHUP))
		watch(l, &l->hup,
		      l->options->foreground && !l->notify->set ? stop_cb :
								  reload_cb,
		      SIGHUP);
	ev_child_init(&l->undo, undo_cb, 0, 0);
	ev_child_init(&l->teller, told_cb, 0, 0);
	ev_init(&l->front, front_cb);
	ev_init(&l->grace, grace_cb);
	ev_init(&l->last_resort, last_resort_cb);
	l->undo.data = l->teller.data = l->grace.data = l->last_resort.data = l;
	l->front.data = l;
}

static void stop_watchers(struct life *l)
{
	unwatch(l, &l->term);
	unwatch(l, &l->intr);
	unwatch(l, &l->usr1);
	unwatch(l, &l->hup);
	ev_child_stop(l->loop->ev, &l->undo);
	ev_child_stop(l->loop->ev, &l->teller);
	ev_io_stop(l->loop->ev, &l->front);
	ev_timer_stop(l->loop->ev, &l->grace);
	ev_timer_stop(l->loop->ev, &l->last_resort);
}

int life_run(struct session *s, struct mount *m, const struct options *o,
	     const struct cpu *cpu, struct notify *n, int ready_fd)
{
	struct life l = { .session = s,
			  .mount = m,
			  .loop = s->loop,
			  .options = o,
			  .cpu = cpu,
			  .notify = n,
			  .ready_fd = ready_fd };

	s->arg = l.loop->arg = &l;
	s->on_ready = on_ready;
	s->on_end = on_end;
	s->on_broken = on_broken;
	s->on_unused = on_unused;
	s->on_past_end = on_past_end;
	s->on_size = on_size;
	s->on_looked = on_looked;
	l.loop->on_lost = on_lost;
	l.loop->on_quiet = on_quiet;
	signal(SIGPIPE, SIG_IGN);
	start_watchers(&l);
	alive_init(&l.alive, s, n, m->path);
	reload_init(&l.reload, s, n, m->path);
	writeback_start(&l.writeback, l.loop, s->block,
			(double)o->writeback_interval);
	life_hold_signals(false);
	session_start(s);
	loop_run(l.loop);
	follow_stop(&l.loop->follow);
	life_hold_signals(true);
	stop_watchers(&l);
	writeback_stop(&l.writeback);
	alive_stop(&l.alive);
	notify_stopping(n);
	dev_stop(s->dev);
	backing_stop(s);
	if (s->ended)
		mount_detach(m);
	pidfile_ending();
	/* What ends while the image is closed finds nobody here any more. */
	s->on_ready = s->on_end = s->on_broken = s->on_unused = NULL;
	s->on_past_end = s->on_size = s->on_looked = NULL;
	l.loop->on_lost = l.loop->on_quiet = NULL;
	return s->failed || s->lost;
}
