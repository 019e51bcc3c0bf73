/*
 * The mountpoint's place.
 *
 * A path is what others may change between two looks at it: a directory is
 * renamed, a link put in its stead. So it is walked once, each part opened
 * from the one before; from then on the directory is known by its descriptor,
 * and all that is done later (mount, truncate, unmount, unlink) leads through
 * that, with no link followed at the last step.
 *
 * Links on the way are read here rather than by the kernel: its rule for links
 * in sticky directories (fs.protected_symlinks) is for the last part of a path
 * only, and may be switched off; here it holds for every part.
 *
 * What is mounted at the place is not touched: that may be a mount that
 * answers nobody, and even a look would make somebody's umount fail as busy.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse/mountinfo.h"
#include "fuse/place.h"

#define LINKS_MOST 40 /* as in the kernel */

/* A walk: what is still to be gone is at @rest. */
struct walk {
	int dir;
	unsigned int links;
	bool strange;
	const char *why;
	char rest[2 * PATH_MAX];
};

bool place_trusted(int dir, const struct stat *st)
{
	struct stat parent;

	if (st->st_uid == geteuid())
		return true;
	return !fstat(dir, &parent) &&
	       ((parent.st_mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH) ||
		parent.st_uid == st->st_uid);
}

static int go_to(struct walk *w, int fd)
{
	if (fd < 0)
		return -errno;
	if (w->dir >= 0)
		close(w->dir);
	w->dir = fd;
	return 0;
}

/* Puts what the link @fd says before what is still to be gone. */
static int follow(struct walk *w, int fd, const char *target)
{
	char rest[PATH_MAX];
	struct stat st;

	if (++w->links > LINKS_MOST)
		return -ELOOP;
	if (fstat(fd, &st))
		return -errno;
	if (!place_trusted(w->dir, &st)) {
		w->why = "a link of another user's in a directory that all may "
			 "write to is not followed";
		return -EACCES;
	}
	w->strange = w->strange || (st.st_uid && st.st_uid != geteuid());
	if (strlen(w->rest) >= sizeof(rest))
		return -ENAMETOOLONG;
	strcpy(rest, w->rest);
	snprintf(w->rest, sizeof(w->rest), "%s/%s", target, rest);
	return *target == '/'
		       ? go_to(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC))
		       : 0;
}

/*
 * One step, to the part @name of the way. Returns 1 if that was a link, which
 * is then to be gone, 0 or -errno. The last part is only looked at.
 */
static int step(struct walk *w, const char *name, bool last)
{
	char target[PATH_MAX];
	int fd = openat(w->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;
	int ret;

	if (fd < 0)
		return last && errno == ENOENT ? 0 : -errno;
	n = readlinkat(fd, "", target, sizeof(target) - 1);
	if (n >= 0) {
		target[n] = 0;
		ret = n ? follow(w, fd, target) : -ENOENT;
		close(fd);
		return ret ? ret : 1;
	}
	if (!last)
		return go_to(w, fd);
	close(fd);
	return 0;
}

/* The absolute path of @name in the directory, as it is called now. */
static char *path_of(int dir, const char *name)
{
	char link[32], text[PATH_MAX], *path;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = readlink(link, text, sizeof(text) - 1);
	if (n <= 0) {
		errno = n ? errno : ENOENT;
		return NULL;
	}
	text[n] = 0;
	if (asprintf(&path, "%s/%s", strcmp(text, "/") ? text : "", name) < 0)
		return NULL;
	return path;
}

/* Takes the first part of the rest of the way; true if it is the last. */
static bool cut(struct walk *w, char name[NAME_MAX + 2])
{
	size_t skip = strspn(w->rest, "/");
	size_t n = strcspn(w->rest + skip, "/");
	size_t after = skip + n + strspn(w->rest + skip + n, "/");

	snprintf(name, NAME_MAX + 2, "%.*s",
		 (int)(n > NAME_MAX ? NAME_MAX + 1 : n), w->rest + skip);
	memmove(w->rest, w->rest + after, strlen(w->rest + after) + 1);
	return !*w->rest;
}

/* The place is @name in the directory: unless that is a link. As step(). */
static int arrive(struct walk *w, struct place *p, const char *name)
{
	struct mountinfo info;
	int ret;

	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return -EISDIR;
	free(p->path);
	p->path = path_of(w->dir, name);
	if (!p->path)
		return -errno;
	p->name = strrchr(p->path, '/') + 1;
	p->mounted = mountinfo_find(p->path, &info) && info.is_rawfuse;
	ret = p->mounted ? 0 : step(w, name, true);
	p->linked = p->linked || ret == 1;
	return ret;
}

int place_open(struct place *p, const char *path, const char **why)
{
	struct walk w = { .dir = -1 };
	char name[NAME_MAX + 2];
	int ret;

	*p = (struct place){ .dir = -1 };
	if (strlen(path) >= PATH_MAX)
		ret = -ENAMETOOLONG;
	else if (!*path)
		ret = -ENOENT;
	else
		ret = go_to(&w, open(*path == '/' ? "/" : ".",
				     O_PATH | O_DIRECTORY | O_CLOEXEC));
	snprintf(w.rest, sizeof(w.rest), "%s", ret ? "" : path);
	if (!ret)
		ret = 1;
	while (ret == 1) {
		bool last = cut(&w, name);

		ret = last    ? arrive(&w, p, name)
		      : *name ? step(&w, name, false)
			      : 0;
		if (!ret && !last)
			ret = 1;
	}
	*why = w.why;
	p->dir = w.dir;
	p->strange = w.strange;
	if (ret)
		place_close(p);
	return ret;
}

void place_close(struct place *p)
{
	if (p->dir >= 0)
		close(p->dir);
	free(p->path);
	*p = (struct place){ .dir = -1 };
}

int place_file(const struct place *p, int flags)
{
	int fd = openat(p->dir, p->name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

const char *place_via(const struct place *p, char via[PLACE_VIA])
{
	snprintf(via, PLACE_VIA, "/proc/self/fd/%d/%s", p->dir, p->name);
	return via;
}
