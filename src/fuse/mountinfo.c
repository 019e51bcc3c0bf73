/* /proc/self/mountinfo: what is mounted where. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/mountinfo.h"

/* Undoes the \ooo of white space and backslashes, in place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			*to++ = (char)((text[1] - '0') << 6 |
				       (text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = 0;
}

/* Takes a line apart: fills @info, returns where the mount is, or NULL. */
static char *parse(char *line, struct mountinfo *info)
{
	char *type, *point;

	type = strstr(line, " - ");
	if (!type ||
	    sscanf(line, "%u %*u %*u:%u %*s", &info->id, &info->minor) != 2)
		return NULL;
	*type = 0;
	strtok(line, " "); /* mount ID */
	strtok(NULL, " "); /* parent ID */
	strtok(NULL, " "); /* device */
	strtok(NULL, " "); /* root */
	point = strtok(NULL, " ");
	if (!point)
		return NULL;
	unescape(point);
	info->is_rawfuse = !strncmp(type + 3, "fuse.rawfuse ", 13);
	return point;
}

bool mountinfo_find(const char *path, struct mountinfo *info)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mountinfo one, last = { 0 };
	char *line = NULL, *point;
	bool found = false;
	size_t size = 0;

	if (!f)
		return false;
	/* The last one at a path lies on top. */
	while (getline(&line, &size, f) > 0) {
		point = parse(line, &one);
		if (!point || strcmp(point, path))
			continue;
		last = one;
		found = true;
	}
	free(line);
	fclose(f);
	if (found && info)
		*info = last;
	return found;
}

char *mountinfo_path(unsigned int minor, unsigned int id, unsigned int nth)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *point, *path = NULL;
	struct mountinfo one;
	size_t size = 0;

	if (!f)
		return NULL;
	while (!path && getline(&line, &size, f) > 0) {
		point = parse(line, &one);
		if (point && one.is_rawfuse && one.minor == minor &&
		    (!id || one.id == id) && !nth--)
			path = strdup(point);
	}
	free(line);
	fclose(f);
	return path;
}

bool mountinfo_split(char *line, struct mountinfo_line *m)
{
	char *type = strstr(line, " - "), *word[5], *save;
	size_t i;

	if (!type)
		return false;
	*type = 0;
	type += 3;
	for (i = 0; i < 5; i++) {
		word[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!word[i])
			return false;
	}
	unescape(word[3]);
	unescape(word[4]);
	m->root = word[3];
	m->point = word[4];
	m->type = strtok_r(type, " \n", &save);
	m->super = m->type && strtok_r(NULL, " \n", &save) ?
			   strtok_r(NULL, " \n", &save) :
			   NULL;
	return m->super;
}

/* The number behind @name in the options @super, or @other. */
static unsigned long number(const char *super, const char *name,
			    unsigned long other)
{
	const char *at = strstr(super, name);

	return at ? strtoul(at + strlen(name), NULL, 10) : other;
}

bool mountinfo_fuse(unsigned int minor, struct mountinfo_fuse *f)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct mountinfo_line m;
	char *line = NULL;
	unsigned int found;
	size_t size = 0;

	*f = (struct mountinfo_fuse){ .path = NULL };
	while (file && !f->path && getline(&line, &size, file) > 0) {
		if (sscanf(line, "%*u %*u 0:%u ", &found) != 1 ||
		    found != minor || !mountinfo_split(line, &m) ||
		    strcmp(m.type, "fuse.rawfuse"))
			continue;
		f->path = strdup(m.point);
		f->uid = (uid_t)number(m.super, "user_id=", 0);
		f->gid = (gid_t)number(m.super, "group_id=", 0);
		f->others = strstr(m.super, ",allow_other");
	}
	free(line);
	if (file)
		fclose(file);
	return f->path;
}
