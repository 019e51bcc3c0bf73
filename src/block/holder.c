/*
 * Who holds a lock? For a process's own lock fcntl(2) tells the process. The
 * locks that QEMU and we take belong to an open file description, and for those
 * it says -1, as /proc/locks does; but the fdinfo of each descriptor lists the
 * locks of its description, which shows whoever we may look at. The search is
 * for a message: it opens nothing but /proc, which does not wait, and ends
 * after MOST descriptors.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/holder.h"

#define MOST 50000u

struct search {
	uint64_t inode;
	uint64_t from, to; /* bytes */
	unsigned int looked_at;
};

/* "lock:\t1: OFDLCK ADVISORY READ -1 fe:01:1234 100 100": ours? */
static bool is_ours(const struct search *s, const char *line)
{
	uint64_t inode, from, to;

	if (strncmp(line, "lock:", 5) || !strstr(line, " OFDLCK "))
		return false;
	if (sscanf(line,
		   "lock: %*s %*s %*s %*s %*s %*x:%*x:%" SCNu64 " %" SCNu64
		   " %" SCNu64,
		   &inode, &from, &to) != 3)
		return false;
	return inode == s->inode && from <= s->to && to >= s->from;
}

static bool has_lock(struct search *s, const char *fdinfo)
{
	FILE *f = fopen(fdinfo, "re");
	char line[256];
	bool found = false;

	s->looked_at++;
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = is_ours(s, line);
	fclose(f);
	return found;
}

static bool process_has_lock(struct search *s, const char *pid)
{
	char path[64];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.12s/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && s->looked_at < MOST && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%.12s/fdinfo/%.12s", pid,
			 e->d_name);
		found = has_lock(s, path);
	}
	closedir(dir);
	return found;
}

/* A process whose descriptor has such a lock; 0 if none is found. */
static pid_t search_all(struct search *s)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	pid_t pid, found = 0;

	if (!proc)
		return 0;
	while (!found && s->looked_at < MOST && (e = readdir(proc))) {
		pid = (pid_t)strtol(e->d_name, NULL, 10);
		if (pid > 0 && pid != getpid() &&
		    process_has_lock(s, e->d_name))
			found = pid;
	}
	closedir(proc);
	return found;
}

static void describe(pid_t pid, char text[HOLDER_TEXT])
{
	char path[64], name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	f = fopen(path, "re");
	if (f && !fgets(name, sizeof(name), f))
		name[0] = '\0';
	if (f)
		fclose(f);
	name[strcspn(name, "\n")] = '\0';
	snprintf(text, HOLDER_TEXT, "process %ld%s%s", (long)pid,
		 name[0] ? ", " : "", name);
}

void holder_find(int fd, off_t from, off_t length, char text[HOLDER_TEXT])
{
	struct flock fl = { .l_type = F_WRLCK,
			    .l_whence = SEEK_SET,
			    .l_start = from,
			    .l_len = length };
	struct search s = { .from = (uint64_t)from,
			    .to = (uint64_t)(from + length - 1) };
	struct stat st;
	pid_t pid = 0;

	if (!fcntl(fd, F_OFD_GETLK, &fl) && fl.l_type != F_UNLCK)
		pid = fl.l_pid;
	if (pid <= 0 && !fstat(fd, &st)) {
		s.inode = st.st_ino;
		pid = search_all(&s);
	}
	if (pid > 0)
		describe(pid, text);
	else
		snprintf(text, HOLDER_TEXT, "'fuser IMAGE' may tell which");
}
