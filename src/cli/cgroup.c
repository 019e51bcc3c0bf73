/*
 * The limits of control groups: memory and CPU time.
 *
 * /proc/self/cgroup says which group of each hierarchy the process is in, and
 * mountinfo where a hierarchy is mounted and which group its top is there: in
 * a container that is often the container's own group, while the path in
 * /proc/self/cgroup may begin at the host's top. Where the one is not below
 * the other, the mount's top is all that can be seen.
 *
 * Any group on the way up may have the least limit, so all are read. Version 1
 * adds hierarchical_memory_limit, which has those above the mount in it. What
 * memory.high says counts as a limit, too: past it a process whose memory
 * cannot be reclaimed is slowed down until nobody waits for it any more.
 */
#include "config.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cgroup.h"
#include "fuse/mountinfo.h"

struct limits;

/* What is limited. */
struct controller {
	const char *name;
	/* Lowers @l by the limit that group @dir itself has. */
	void (*read_group)(struct limits *l, const char *dir, bool v2);
};

struct limits {
	const struct controller *controller;
	const char *root;
	char v1[PATH_MAX], v2[PATH_MAX]; /* our groups; "": none */
	uint64_t least;
};

static FILE *open_below(const char *root, const char *path)
{
	char full[PATH_MAX];

	if (snprintf(full, sizeof(full), "%s%s", root, path) >=
	    (int)sizeof(full))
		return NULL;
	return fopen(full, "re");
}

/* Is @word among the words of @list, with commas between? */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (;;) {
		size_t len = strcspn(list, ",\n");

		if (len == n && !strncmp(list, word, n))
			return true;
		if (list[len] != ',')
			return false;
		list += len + 1;
	}
}

/* A line of /proc/self/cgroup is "ID:CONTROLLERS:PATH". */
static void note_group(struct limits *l, char *line)
{
	char *names = strchr(line, ':'), *path;

	path = names ? strchr(names + 1, ':') : NULL;
	if (!path)
		return;
	*path++ = 0;
	path[strcspn(path, "\n")] = 0;
	if (!strcmp(names, ":"))
		snprintf(l->v2, sizeof(l->v2), "%s", path);
	else if (has_word(names + 1, l->controller->name))
		snprintf(l->v1, sizeof(l->v1), "%s", path);
}

static void find_groups(struct limits *l)
{
	FILE *f = open_below(l->root, "/proc/self/cgroup");
	char *line = NULL;
	size_t size = 0;

	if (!f)
		return;
	while (getline(&line, &size, f) > 0)
		note_group(l, line);
	free(line);
	fclose(f);
}

static void lower(struct limits *l, uint64_t limit)
{
	if (limit < l->least)
		l->least = limit;
}

/*
 * @name of group @dir: its line, or what is behind @word in it. False if there
 * is no such file.
 */
static bool read_line(const struct limits *l, const char *dir, const char *name,
		      const char *word, char line[128])
{
	char path[PATH_MAX];
	size_t n = word ? strlen(word) : 0;
	bool found = false;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		return false;
	f = open_below(l->root, path);
	if (!f)
		return false;
	while (!found && fgets(line, 128, f)) {
		found = !word || !strncmp(line, word, n);
		if (found)
			memmove(line, line + n, strlen(line + n) + 1);
	}
	fclose(f);
	return found;
}

/* A number; false for "max" and a negative one, which are no limits. */
static bool read_number(const char *text, char **end, uint64_t *n)
{
	*n = strtoull(text, end, 10);
	return *end != text && *text != '-';
}

static void read_limit(struct limits *l, const char *dir, const char *name,
		       const char *word)
{
	char line[128], *end;
	uint64_t bytes;

	if (read_line(l, dir, name, word, line) &&
	    read_number(line, &end, &bytes))
		lower(l, bytes);
}

static void read_memory(struct limits *l, const char *dir, bool v2)
{
	if (v2) {
		read_limit(l, dir, "memory.max", NULL);
		read_limit(l, dir, "memory.high", NULL);
	} else {
		read_limit(l, dir, "memory.limit_in_bytes", NULL);
		read_limit(l, dir, "memory.stat", "hierarchical_memory_limit ");
	}
}

static void lower_cpu(struct limits *l, uint64_t quota, uint64_t period)
{
	if (period && quota < UINT64_MAX / 1000)
		lower(l, quota * 1000 / period);
}

/* Microseconds of CPU time in a period of so many. */
static void read_cpu(struct limits *l, const char *dir, bool v2)
{
	char line[128], *end;
	uint64_t quota, period;

	if (!read_line(l, dir, v2 ? "cpu.max" : "cpu.cfs_quota_us", NULL,
		       line) ||
	    !read_number(line, &end, &quota))
		return;
	if (v2 ? read_number(end + (*end == ' '), &end, &period) :
		 read_line(l, dir, "cpu.cfs_period_us", NULL, line) &&
			 read_number(line, &end, &period))
		lower_cpu(l, quota, period);
}

static const struct controller memory = { "memory", read_memory };
static const struct controller cpu = { "cpu", read_cpu };

/* @group as seen below a mount whose top is the group @top; "" if it is not. */
static const char *seen_from(const char *group, const char *top)
{
	size_t n = strcmp(top, "/") ? strlen(top) : 0;

	if (strncmp(group, top, n) || (group[n] && group[n] != '/') ||
	    strstr(group, "/../"))
		return "";
	return group + n;
}

/* From our group up to the top of the mount. */
static void read_mount(struct limits *l, const struct mountinfo_line *m)
{
	bool v2 = !strcmp(m->type, "cgroup2");
	const char *group = v2 ? l->v2 : l->v1;
	char dir[PATH_MAX];
	size_t top = strlen(m->point);
	char *end;

	if (!*group || (!v2 && (strcmp(m->type, "cgroup") ||
				!has_word(m->super, l->controller->name))))
		return;
	if (snprintf(dir, sizeof(dir), "%s%s", m->point,
		     seen_from(group, m->root)) >= (int)sizeof(dir))
		return;
	for (;;) {
		l->controller->read_group(l, dir, v2);
		end = strrchr(dir, '/');
		if (!end || end < dir + top)
			break;
		*end = 0;
	}
}

static uint64_t find_limit(const struct controller *c, const char *root)
{
	struct limits l = { .controller = c,
			    .root = root,
			    .least = UINT64_MAX };
	FILE *f = open_below(root, "/proc/self/mountinfo");
	struct mountinfo_line m;
	char *line = NULL;
	size_t size = 0;

	if (!f)
		return UINT64_MAX;
	find_groups(&l);
	while (getline(&line, &size, f) > 0)
		if (mountinfo_split(line, &m))
			read_mount(&l, &m);
	free(line);
	fclose(f);
	return l.least;
}

uint64_t cgroup_memory_limit(const char *root)
{
	uint64_t limit = find_limit(&memory, root);

	/* Version 1 says "none" as the largest number of whole pages. */
	return limit >= INT64_MAX / 2 ? UINT64_MAX : limit;
}

uint64_t cgroup_cpu_limit(const char *root)
{
	return find_limit(&cpu, root);
}
