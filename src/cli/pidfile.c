/*
 * The pidfile.
 *
 * It is written under another name and then given its own, so that it is never
 * seen half-written, and a write that fails leaves nothing. That the file can
 * be used is said by it, so it is made with the mount in place: nothing here may
 * open the name itself, which might be the mountpoint, and wait for this very
 * process.
 *
 * What is replaced, and in the end removed, must be a pidfile: whoever gives
 * the name of an image by mistake keeps the image.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/pidfile.h"
#include "loop/log.h"

#define LONGEST 24 /* bytes of a number and a newline */

static char *pidfile; /* absolute; NULL: there is none */

/* The number in the file; 0 if it is empty, -1 if it is something else. */
static long read_pid(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char text[LONGEST + 1];
	ssize_t n, i;

	if (fd < 0)
		return -1;
	n = read(fd, text, LONGEST);
	close(fd);
	if (n < 0 || n == LONGEST)
		return -1;
	text[n] = 0;
	for (i = 0; i < n; i++)
		if (!isdigit((unsigned char)text[i]) &&
		    !isspace((unsigned char)text[i]))
			return -1;
	return strtol(text, NULL, 10);
}

int pidfile_check(const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		if (errno == ENOENT)
			return 0;
		log_warn("%s: pidfile", path);
		return -errno;
	}
	if (S_ISREG(st.st_mode) && read_pid(path) >= 0)
		return 0;
	log_warnx("%s: pidfile: something else has that name; give another one",
		  path);
	return -EEXIST;
}

static int write_new(const char *path)
{
	mode_t mask = umask(0);
	FILE *f;
	int fd;
	bool ok;

	umask(mask);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666 & ~mask);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return -errno;
	}
	ok = fprintf(f, "%ld\n", (long)getpid()) > 0;
	ok = !fclose(f) && ok;
	return ok ? 0 : -errno;
}

int pidfile_write(const char *path)
{
	char *name = NULL;
	int ret = -ENOMEM;

	if (asprintf(&name, "%s.%ld", path, (long)getpid()) >= 0) {
		ret = write_new(name);
		if (!ret && rename(name, path))
			ret = -errno;
		if (ret && ret != -EEXIST)
			unlink(name);
		free(name);
	}
	if (ret) {
		errno = -ret;
		log_warn("%s: pidfile", path);
		return ret;
	}
	pidfile = realpath(path, NULL); /* chdir() will come */
	return 0;
}

void pidfile_remove(void)
{
	/* Whoever was started meanwhile may have written its own. */
	if (pidfile && read_pid(pidfile) == getpid())
		unlink(pidfile);
	free(pidfile);
	pidfile = NULL;
}
