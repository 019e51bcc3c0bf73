/*
 * The pidfile, and its like that is found by the mountpoint.
 *
 * It is written under another name and then given its own, so that it is never
 * seen half-written, and a write that fails leaves nothing. That the file can
 * be used is said by it, so it is made with the mount in place: nothing here may
 * open the name itself, which might be the mountpoint, and wait for this very
 * process.
 *
 * It is locked (flock) for as long as the process lives. Who wants to know the
 * end waits for that lock, which the kernel drops whatever happens, and then
 * reads how it ended from what is still open, even if it has been removed:
 *
 *	PID		ended without having said how: killed
 *	PID, blank line	the same; the mount had gone, the name may be taken
 *	ended with ...	the exit status, and why
 *
 * A locked one is not replaced: names are exchanged, and what came out is
 * looked at; if it is live after all, they are exchanged back.
 *
 * What is replaced, and in the end removed, must be a pidfile: whoever gives
 * the name of an image by mistake keeps the image.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/pidfile.h"
#include "cli/record.h"
#include "loop/log.h"
#include "loop/system.h"

#define TRIES 8u
#define SETTLE 50u /* looks, a second in all */

/* The ones of this process: --pidfile's and the mountpoint's. */
static struct {
	char *path; /* absolute; NULL: there is none */
	int fd;
} own[2];

/*
 * Reads the pidfile @path. One whose mount has just gone says so in a moment,
 * which is waited for, as for locks of an image.
 */
static int read_settled(const char *path, struct record *r)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };
	unsigned int i;
	int ret = 0;

	for (i = 0; i < SETTLE; i++) {
		ret = record_read(path, r);
		if (ret || !r->live || r->ending)
			break;
		nanosleep(&pause, NULL);
	}
	return ret;
}

static void tell_taken(const char *path, long pid)
{
	if (pid)
		log_warnx("%s: pidfile: it is that of another export, process "
			  "%ld; give another one, or end that one first",
			  path, pid);
	else
		log_warnx("%s: pidfile: something else has that name; give "
			  "another one",
			  path);
}

int pidfile_check(const char *path)
{
	struct record r;
	struct stat st;

	if (stat(path, &st)) {
		if (errno == ENOENT)
			return 0;
		log_warn("%s: pidfile", path);
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || read_settled(path, &r)) {
		tell_taken(path, 0);
		return -EEXIST;
	}
	if (!r.live || r.ending)
		return 0;
	tell_taken(path, r.pid);
	return -EEXIST;
}

/* A new file, locked; a descriptor or -errno. */
static int write_new(const char *path)
{
	mode_t mask = umask(0);
	char text[32];
	int fd, ret;

	umask(mask);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666 & ~mask);
	if (fd < 0)
		return -errno;
	snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	errno = ENOSPC;
	/* Where there are no locks nobody can wait, and all else works. */
	if (!flock(fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK) {
		errno = ENOSPC;
		if (write(fd, text, strlen(text)) == (ssize_t)strlen(text))
			return fd;
	}
	ret = -errno;
	close(fd);
	unlink(path);
	return ret;
}

/*
 * Gives @name the name @path, whose stale file goes. 0 or -errno; -EEXIST: it is
 * that of a live process, *@pid, or 0: no pidfile.
 */
static int take_name(const char *name, const char *path, bool even_live,
		     long *pid)
{
	unsigned int i;
	struct record r;
	int ret;

	for (i = 0; i < TRIES; i++) {
		if (!renameat2(AT_FDCWD, name, AT_FDCWD, path,
			       RENAME_NOREPLACE))
			return 0;
		if (errno != EEXIST)
			break;
		if (renameat2(AT_FDCWD, name, AT_FDCWD, path,
			      RENAME_EXCHANGE)) {
			if (errno == ENOENT)
				continue;
			break;
		}
		ret = record_read(name, &r);
		if (!ret && (even_live || !r.live || r.ending)) {
			unlink(name);
			return 0;
		}
		*pid = ret ? 0 : r.pid;
		renameat2(AT_FDCWD, name, AT_FDCWD, path, RENAME_EXCHANGE);
		return -EEXIST;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that cannot: pidfile_check() has to do. */
	return rename(name, path) ? -errno : 0;
}

static int write_at(const char *path, bool record, long *pid)
{
	char *name = NULL;
	int fd, ret;

	if (asprintf(&name, "%s.%ld", path, (long)getpid()) < 0)
		return -ENOMEM;
	fd = write_new(name);
	ret = fd < 0 ? fd : take_name(name, path, record, pid);
	if (ret < 0 && fd >= 0) {
		unlink(name);
		close(fd);
	}
	free(name);
	if (ret < 0)
		return ret;
	own[record].path = realpath(path, NULL); /* chdir() will come */
	own[record].fd = fd;
	return 0;
}

int pidfile_write(const char *path)
{
	long pid = -1;
	int ret = write_at(path, false, &pid);

	if (ret && pid >= 0) {
		/* Since pidfile_check(): whoever was quicker has it. */
		tell_taken(path, pid);
	} else if (ret) {
		errno = -ret;
		log_warn("%s: pidfile", path);
	}
	return ret;
}

void pidfile_write_record(const char *path)
{
	char *name = record_name(path, true);
	long pid;
	int ret = name ? write_at(name, true, &pid) : -errno;

	if (ret)
		log_trace(TRACE_LIFE, "record of %s: %s", path, strerror(-ret));
	free(name);
}

void pidfile_ending(void)
{
	char text[32];
	size_t i;

	snprintf(text, sizeof(text), "%ld\n\n", (long)getpid());
	for (i = 0; i < 2; i++)
		if (own[i].path && pwrite(own[i].fd, text, strlen(text), 0) < 0)
			log_warn("%s: pidfile", own[i].path);
}

/* Whoever was started meanwhile may have put its own there. */
static bool is_there(const char *path, int fd)
{
	struct stat a, b;

	return !lstat(path, &a) && !fstat(fd, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

void pidfile_end(int status, const char *why)
{
	char text[RECORD_MOST];
	size_t i;
	int n;

	n = snprintf(text, sizeof(text), RECORD_ENDED "%d%s%s", status,
		     status ? ": " : "", status ? why : "");
	if (n >= (int)sizeof(text) - 1)
		n = (int)sizeof(text) - 2;
	text[n++] = '\n';
	for (i = 0; i < 2; i++) {
		if (!own[i].path)
			continue;
		/* Over what is there: on a full disk, too. */
		if (pwrite(own[i].fd, text, (size_t)n, 0) != n ||
		    ftruncate(own[i].fd, n))
			log_warn("%s: pidfile", own[i].path);
		if (!status && is_there(own[i].path, own[i].fd))
			unlink(own[i].path);
		close(own[i].fd); /* unlocks */
		free(own[i].path);
		own[i].path = NULL;
	}
}

/* A pidfile that is not there is told from a mountpoint by its name alone. */
static bool is_pidfile_name(const char *path)
{
	const char *name = strrchr(path, '/');
	size_t n;

	name = name ? name + 1 : path;
	n = strlen(name);
	return !strcmp(name, "pid") || (n > 4 && !strcmp(name + n - 4, ".pid"));
}

int pidfile_wait(const char *path)
{
	struct record r;
	const char *why = record_no_place();
	int fd = record_find(path), status;

	if (fd == -ENOENT && why && !is_pidfile_name(path)) {
		log_warnx("%s: --wait: it is not there, and how an export there "
			  "has ended is not known: %s; give a pidfile whose "
			  "name ends in .pid",
			  path, why);
		return EXIT_FAILURE;
	}
	if (fd == -ENOENT) {
		log_info("%s: no export: it has ended well, or was never there",
			 path);
		return EXIT_SUCCESS;
	}
	if (fd == -ENODATA) {
		log_warnx("%s: --wait: an export cannot be found by this "
			  "mountpoint: %s; give the pidfile",
			  path,
			  why ? why
			      : "this user and root have no record of it");
		return EXIT_FAILURE;
	}
	if (fd < 0 || flock(fd, LOCK_SH)) {
		log_warnx("%s: --wait: %s", path,
			  strerror(fd < 0 ? -fd : errno));
		return EXIT_FAILURE;
	}
	if (record_parse(fd, &r) || !r.ended) {
		log_warnx("%s: process %ld was killed: what was not synced may "
			  "be lost",
			  path, r.pid);
		status = EXIT_FAILURE;
	} else {
		status = r.status;
		if (status)
			log_warnx("%s: ended with status %d%s%s", path, status,
				  *r.why ? ": " : "", r.why);
	}
	close(fd);
	return status;
}
