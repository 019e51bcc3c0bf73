/* Descriptors as /proc reports them: our own, and those of other processes. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuse/fdinfo.h"
#include "loop/system.h"

#define FIELD "fuse_connection:"

/* The connection that @name in @dir, a file of fdinfo, reports; or 0. */
static unsigned int read_one(int dir, const char *name)
{
	char text[512], *field;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	field = strstr(text, FIELD);
	return field ? (unsigned int)strtoul(field + strlen(FIELD), NULL, 10)
		     : 0;
}

unsigned int fdinfo_connection(int fd)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return read_one(AT_FDCWD, path);
}

/* Calls @match with each number in the directory until it says true. */
static bool any_in(const char *path, bool (*match)(int dir, const char *name,
						   const void *arg),
		   const void *arg)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = isdigit((unsigned char)*entry->d_name) &&
			match(dirfd(dir), entry->d_name, arg);
	if (dir)
		closedir(dir);
	return found;
}

static bool is_of(int dir, const char *name, const void *connection)
{
	return read_one(dir, name) == *(const unsigned int *)connection;
}

/* What is open may be a file whose server hangs: it is not asked. */
static bool is_file(int dir, const char *name, const void *file)
{
	const struct statx *want = file;
	struct statx stx;

	return !statx(dir, name, AT_STATX_DONT_SYNC, STATX_INO, &stx) &&
	       stx.stx_dev_major == want->stx_dev_major &&
	       stx.stx_dev_minor == want->stx_dev_minor &&
	       stx.stx_ino == want->stx_ino;
}

/* What it looks for, and what it found. */
struct search {
	unsigned int connection;
	pid_t *found;
};

static bool serves(int dir, const char *name, const void *arg)
{
	const struct search *s = arg;
	char path[32];

	(void)dir;
	snprintf(path, sizeof(path), "/proc/%.10s/fdinfo", name);
	if (!any_in(path, is_of, &s->connection))
		return false;
	*s->found = (pid_t)strtol(name, NULL, 10);
	return true;
}

pid_t fdinfo_server(unsigned int connection)
{
	pid_t found = 0;
	struct search s = { .connection = connection, .found = &found };

	return connection && any_in("/proc", serves, &s) ? found : 0;
}

bool fdinfo_shares(pid_t pid, int fd)
{
	char path[32];
	struct statx stx;

	if (pid <= 0 ||
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stx))
		return false;
	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	return any_in(path, is_file, &stx);
}
