/*
 * --stats: the counters in a file, for Prometheus' node_exporter.
 *
 * The file is written under another name and then given its own, so that who
 * reads it sees a whole one. A timer does so while something changes; once the
 * text stays the same, and the loop is quiet, the timer stops, and what happens
 * next starts it again: an export that nobody uses costs no wake-up.
 *
 * The directory may be slow, or hang (NFS). So opening, writing and renaming go
 * by the ring, to its worker threads: the loop waits for none of them, and the
 * next file begins only when the last one is done. (Without io_uring they block,
 * as the image's I/O does.) At the end a child writes the last one, for which
 * nobody waits longer than some seconds.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/stats_file.h"
#include "loop/log.h"
#include "loop/system.h"

#define FIRST 1. /* seconds from the first change */
#define PERIOD 5. /* seconds between two files */
#define LAST 3000 /* ms that the last one may take */
#define MODE 0644

static const char mark[] = "# HELP rawfuse_"; /* how a file of ours begins */

/* What would be replaced must be one of ours. */
static int check_old(const char *path)
{
	char text[sizeof(mark)] = "";
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (n && strcmp(text, mark)))
		n = -1;
	close(fd);
	return n < 0 ? -EEXIST : 0;
}

/* The directory without links, because the working directory will change. */
static char *absolute(const char *path)
{
	char *copy = strdup(path), *other = strdup(path);
	char *dir = NULL, *to = NULL;

	if (copy && other)
		dir = realpath(dirname(copy), NULL);
	if (dir && asprintf(&to, "%s/%s", strcmp(dir, "/") ? dir : "",
			    basename(other)) < 0)
		to = NULL;
	free(dir);
	free(copy);
	free(other);
	return to;
}

int stats_file_open(struct stats_file *f, const char *path)
{
	int fd, ret;

	*f = (struct stats_file){ .path = absolute(path), .fd = -1 };
	if (!f->path ||
	    asprintf(&f->temp, "%s.%ld.tmp", f->path, (long)getpid()) < 0) {
		ret = -errno;
		goto fail;
	}
	ret = check_old(f->path);
	if (ret)
		goto fail;
	unlink(f->temp); /* of a process that had our number */
	fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, MODE);
	if (fd < 0) {
		ret = -errno;
		goto fail;
	}
	close(fd);
	unlink(f->temp);
	return 0;

fail:
	log_warnx("%s: --stats: %s", path,
		  ret == -EEXIST ? "something else has that name; give another "
				   "one"
				 : strerror(-ret));
	free(f->path);
	free(f->temp);
	*f = (struct stats_file){ .fd = -1 };
	return ret;
}

static uint64_t hash(const char *text, size_t n)
{
	uint64_t h = 0xcbf29ce484222325ull;

	while (n--)
		h = (h ^ (unsigned char)*text++) * 0x100000001b3ull;
	return h;
}

static void failed(struct stats_file *f, const char *what, int error)
{
	log_limited("%s: --stats: %s: %s", f->path, what, strerror(-error));
}

static void step(struct stats_file *f, int res);

static void op_done(struct op *op, int res, unsigned int flags)
{
	(void)flags;
	step(container_of(op, struct stats_file, op), res);
}

static void give_up(struct stats_file *f, const char *what, int error)
{
	failed(f, what, error);
	f->written = false;
	f->step = STATS_IDLE;
}

/* The step under way has ended in @res: begins the next one. */
static void step(struct stats_file *f, int res)
{
	struct uring *u = f->loop->uring;

	switch (f->step) {
	case STATS_OPEN:
		if (res < 0) {
			give_up(f, f->temp, res);
			return;
		}
		f->fd = res;
		f->step = STATS_PUT;
		uring_write_fd(u, &f->op, f->fd, f->metrics.text,
			       (uint32_t)f->metrics.used);
		return;
	case STATS_PUT:
		f->error = res < 0 ? res : 0;
		if (res >= 0 && (size_t)res < f->metrics.used)
			f->error = -ENOSPC;
		f->step = STATS_CLOSE;
		uring_close(u, &f->op, f->fd);
		return;
	case STATS_CLOSE:
		f->fd = -1;
		if (!f->error && res < 0)
			f->error = res;
		if (f->error) {
			give_up(f, "write", f->error);
			return;
		}
		f->step = STATS_RENAME;
		uring_rename(u, &f->op, f->temp, f->path);
		return;
	default:
		if (res < 0) {
			give_up(f, "rename", res);
			return;
		}
		f->written = true;
		f->step = STATS_IDLE;
	}
}

static void timer_cb(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct stats_file *f = w->data;
	uint64_t now;

	(void)revents;
	if (f->step != STATS_IDLE)
		return; /* the directory is slow, or hangs */
	answer_fill(&f->answer, f->served, NULL);
	metrics_write(&f->metrics, &f->answer, f->served->session, true);
	now = hash(f->metrics.text, f->metrics.used);
	if (f->written && now == f->last) {
		if (!ev_is_active(&f->loop->quiet))
			ev_timer_stop(ev, w);
		return;
	}
	f->last = now;
	f->step = STATS_OPEN;
	f->op.done = op_done;
	uring_open(f->loop->uring, &f->op, f->temp,
		   O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, MODE);
}

static void on_stir(void *arg)
{
	struct stats_file *f = arg;

	if (ev_is_active(&f->timer))
		return;
	ev_timer_set(&f->timer, FIRST, PERIOD);
	ev_timer_start(f->loop->ev, &f->timer);
}

int stats_file_start(struct stats_file *f, struct loop *l,
		     const struct served *v, const char *mountpoint)
{
	if (!f->path)
		return 0;
	if (metrics_init(&f->metrics, mountpoint)) {
		log_warnx("--stats: out of memory");
		return -ENOMEM;
	}
	f->loop = l;
	f->served = v;
	ev_init(&f->timer, timer_cb);
	f->timer.data = f;
	l->on_stir = on_stir;
	l->stir_arg = f;
	return 0;
}

void stats_file_note(struct stats_file *f)
{
	if (!f->loop)
		return;
	f->loop->on_stir = NULL;
	ev_timer_stop(f->loop->ev, &f->timer);
	answer_fill(&f->answer, f->served, NULL);
}

static void pause_a_bit(void)
{
	static const struct timespec ts = { .tv_nsec = 10000000 };

	nanosleep(&ts, NULL);
}

/* In a child. */
static bool write_last(const struct stats_file *f)
{
	int fd;

	close_range(3, ~0U, 0);
	fd = open(f->temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, MODE);
	if (fd < 0)
		return false;
	if (write(fd, f->metrics.text, f->metrics.used) ==
		    (ssize_t)f->metrics.used &&
	    !close(fd) && !rename(f->temp, f->path))
		return true;
	unlink(f->temp);
	return false;
}

/* Waits for what is under way, then for a child; false: it took too long. */
static bool finish(struct stats_file *f)
{
	unsigned int ms;
	int status = 0;
	pid_t pid;

	for (ms = 0; f->step != STATS_IDLE && ms < LAST; ms += 10) {
		uring_drain(f->loop->uring);
		if (f->step != STATS_IDLE)
			pause_a_bit();
	}
	if (f->step != STATS_IDLE)
		return false;
	pid = fork();
	if (!pid)
		_exit(!write_last(f));
	for (; pid > 0 && ms < LAST; ms += 10) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && !WEXITSTATUS(status);
		pause_a_bit();
	}
	return false;
}

void stats_file_end(struct stats_file *f, bool flushed)
{
	if (f->loop) {
		if (flushed)
			f->answer.f.unflushed = f->answer.f.dirty = 0;
		f->answer.f.in_flight = 0;
		f->answer.f.oldest = 0;
		metrics_write(&f->metrics, &f->answer, f->served->session,
			      false);
		if (!finish(f))
			log_warnx("%s: --stats: the last values could not be "
				  "written",
				  f->path);
	}
	metrics_free(&f->metrics);
	free(f->path);
	free(f->temp);
	f->path = f->temp = NULL;
	f->loop = NULL;
}
