/*
 * Whoever makes an image says what its backing file and its data file are
 * called, and those are opened with our rights. With --allow-files=DIR the
 * kernel itself sees to it that they are beneath DIR: openat2(2) with
 * RESOLVE_BENEATH follows no "..", no absolute link and no other way out,
 * whoever exchanges directories meanwhile. So a path need not be clean before;
 * it is made relative to DIR by its letters alone, and if that is wrong, it
 * names another file beneath DIR, or none.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "block/block.h"
#include "block/named.h"
#include "loop/log.h"

static int open_beneath(int dir, const char *path, int flags)
{
	/* Which open(2) adds by itself; with O_PATH it is an error here. */
	int large = flags & O_PATH ? 0 : O_LARGEFILE;
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | large),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* A container may answer EPERM to what it does not know. */
static int check_kernel(const struct named_dir *d)
{
	int fd = open_beneath(d->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	log_warn("--allow-files: openat2, by which files are kept beneath '%s',"
		 " is denied here (it requires Linux 5.6, and a container that "
		 "permits it); use --untrusted without --allow-files",
		 d->path);
	return -errno;
}

int named_allow(struct named_dir *d, const char *path)
{
	int ret;

	d->path = realpath(path, NULL);
	d->fd = -1;
	if (d->path)
		d->fd = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0) {
		ret = -errno;
		log_warn("--allow-files: '%s'", path);
	} else {
		ret = check_kernel(d);
	}
	if (ret)
		named_free(d);
	return ret;
}

void named_free(struct named_dir *d)
{
	if (d->path && d->fd >= 0)
		close(d->fd);
	free(d->path);
	d->path = NULL;
}

/* Takes "//", "." and ".." out of an absolute path, in place. */
static void normalize(char *path)
{
	char *to = path, *from = path;
	size_t n;

	while (*from) {
		from += strspn(from, "/");
		n = strcspn(from, "/");
		if (n == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (n && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

static char *join(const char *dir, size_t dir_length, const char *name)
{
	char *path = malloc(dir_length + strlen(name) + 2);

	if (!path)
		return NULL;
	memcpy(path, dir, dir_length);
	if (dir_length && dir[dir_length - 1] != '/')
		path[dir_length++] = '/';
	strcpy(path + dir_length, name);
	return path;
}

/* Where the image is; named ones have such a path already. */
static char *directory_of(const struct block_options *opt)
{
	const char *slash = strrchr(opt->path, '/');
	char *dir, *real;

	if (!slash)
		return realpath(".", NULL);
	dir = strndup(opt->path, (size_t)(slash - opt->path) + 1);
	if (!dir || opt->named)
		return dir;
	real = realpath(dir, NULL);
	free(dir);
	return real;
}

char *named_path(const struct block_options *opt, const char *name)
{
	const char *slash = strrchr(opt->path, '/');
	char *dir, *path;

	if (!opt->allowed) {
		if (!slash || name[0] == '/')
			return strdup(name);
		return join(opt->path, (size_t)(slash - opt->path) + 1, name);
	}
	dir = name[0] == '/' ? strdup("") : directory_of(opt);
	path = dir ? join(dir, strlen(dir), name) : NULL;
	free(dir);
	if (path)
		normalize(path);
	return path;
}

int named_open(const struct block_options *opt, int flags)
{
	const struct named_dir *d = opt->allowed;
	size_t n;

	if (!d || !opt->named)
		return open(opt->path, flags);
	n = strlen(d->path);
	if (n > 1 && (strncmp(opt->path, d->path, n) || opt->path[n] != '/')) {
		errno = EXDEV;
		return -1;
	}
	return open_beneath(d->fd, opt->path + (n > 1 ? n + 1 : 1), flags);
}

int named_stat(const struct block_options *opt, struct stat *st)
{
	int fd, ret;

	if (!opt->allowed || !opt->named)
		return stat(opt->path, st);
	fd = named_open(opt, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = fstat(fd, st);
	close(fd);
	return ret;
}
