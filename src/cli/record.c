/*
 * The insides of pidfiles (pidfile.c tells what is in them), and the records:
 * pidfiles by mountpoint, in /run/rawfuse or, of a user who is not root, in
 * $XDG_RUNTIME_DIR/rawfuse. The name is the mountpoint's path, escaped.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/record.h"
#include "fuse/place.h"

#define ROOTS "/run/rawfuse"
#define NAME_LONGEST 200u /* bytes; what is more is told by a hash */

int record_parse(int fd, struct record *r)
{
	char text[RECORD_MOST], *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0), i;

	memset(r, 0, sizeof(*r));
	if (n < 0)
		return -errno;
	text[n] = 0;
	if (!strncmp(text, RECORD_ENDED, sizeof(RECORD_ENDED) - 1)) {
		r->ended = true;
		r->status =
			(int)strtol(text + sizeof(RECORD_ENDED) - 1, &end, 10) &
			255;
		end += strspn(end, ": ");
		end[strcspn(end, "\n")] = 0;
		strcpy(r->why, end);
		return 0;
	}
	for (i = 0; i < n; i++)
		if (i > 24 || (!isdigit((unsigned char)text[i]) &&
			       !isspace((unsigned char)text[i])))
			return -EINVAL;
	r->pid = strtol(text, NULL, 10);
	r->ending = n >= 2 && text[n - 1] == '\n' && text[n - 2] == '\n';
	return 0;
}

int record_read(const char *path, struct record *r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int ret;

	if (fd < 0)
		return -errno;
	ret = record_parse(fd, r);
	if (!ret)
		r->live = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return ret;
}

/* @path without slashes, into @to. */
static void escape(const char *path, char to[NAME_MAX + 1])
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */
	const char *c;
	size_t n = 0;

	for (c = path; *c; c++) {
		hash = (hash ^ (unsigned char)*c) * 1099511628211u;
		if (n > NAME_LONGEST)
			continue;
		if (*c == '/')
			to[n++] = '!';
		else if (*c == '!' || *c == '%')
			n += (size_t)sprintf(to + n, "%%%02x", *c);
		else
			to[n++] = *c;
	}
	to[n] = 0;
	if (n > NAME_LONGEST)
		sprintf(to + NAME_LONGEST, "%%%016llx",
			(unsigned long long)hash);
}

/* In the directory @top, below which there is one for records. */
static char *name_in(const char *top, const char *path, bool make)
{
	char last[NAME_MAX + 1], *dir = NULL, *name = NULL;

	escape(path, last);
	if (!strcmp(top, ROOTS) ? !(dir = strdup(top))
				: asprintf(&dir, "%s/rawfuse", top) < 0)
		return NULL;
	if ((make && mkdir(dir, 0755) && errno != EEXIST) ||
	    asprintf(&name, "%s/%s", dir, last) < 0)
		name = NULL;
	free(dir);
	return name;
}

char *record_name(const char *path, bool make)
{
	const char *top = geteuid() ? getenv("XDG_RUNTIME_DIR") : ROOTS;

	errno = ENOENT;
	return top && *top ? name_in(top, path, make) : NULL;
}

const char *record_no_place(void)
{
	const char *top = geteuid() ? getenv("XDG_RUNTIME_DIR") : ROOTS;

	if (!top || !*top)
		return "XDG_RUNTIME_DIR is not set";
	if (!access(top, F_OK))
		return NULL;
	return geteuid() ? "what XDG_RUNTIME_DIR names is not there"
			 : "there is no " ROOTS;
}

static int open_record(char *name)
{
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	fd = fd < 0 ? -errno : fd;
	free(name);
	return fd;
}

/* The directory that @path was in is gone, or has another name now. */
static int find_former(const char *path)
{
	char *dir = *path == '/' ? strdup("") : getcwd(NULL, 0), *full = NULL;
	int fd;

	if (!dir || asprintf(&full, "%s%s%s", dir, *path == '/' ? "" : "/",
			     path) < 0)
		full = NULL;
	free(dir);
	if (!full)
		return -ENOMEM;
	fd = open_record(record_name(full, false));
	if (fd < 0 && geteuid())
		fd = open_record(name_in(ROOTS, full, false));
	free(full);
	return fd;
}

int record_find(const char *path)
{
	struct place p;
	struct record r;
	const char *why;
	bool is_file = false;
	int fd = place_open(&p, path, &why);

	if (fd == -ENOENT && *path)
		return find_former(path);
	if (fd)
		return fd;
	if (!p.mounted) {
		fd = place_file(&p, O_RDONLY | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0 && !record_parse(fd, &r) && (r.pid || r.ended))
			goto out;
		is_file = fd != -ENOENT;
		if (fd >= 0)
			close(fd);
	}
	fd = open_record(record_name(p.path, false));
	if (fd < 0 && geteuid())
		fd = open_record(name_in(ROOTS, p.path, false));
	/* A file that is no pidfile is a mountpoint. */
	if (fd == -ENOENT && (p.mounted || (is_file && record_no_place())))
		fd = -ENODATA;
out:
	place_close(&p);
	return fd;
}

long record_server(const char *path)
{
	int fd = record_find(path);
	struct record r;
	long pid = 0;

	if (fd < 0)
		return 0;
	if (!record_parse(fd, &r) && !r.ended)
		pid = r.pid;
	close(fd);
	return pid;
}
