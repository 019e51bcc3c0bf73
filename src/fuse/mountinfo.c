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

/* Is the line's mount at @path? Then fills @info. */
static bool match(char *line, const char *path, struct mountinfo *info)
{
	unsigned int minor;
	char *type, *point;

	type = strstr(line, " - ");
	if (!type || sscanf(line, "%*u %*u %*u:%u %*s", &minor) != 1)
		return false;
	*type = 0;
	strtok(line, " "); /* mount ID */
	strtok(NULL, " "); /* parent ID */
	strtok(NULL, " "); /* device */
	strtok(NULL, " "); /* root */
	point = strtok(NULL, " ");
	if (!point)
		return false;
	unescape(point);
	if (strcmp(point, path))
		return false;
	info->minor = minor;
	info->is_rawfuse = !strncmp(type + 3, "fuse.rawfuse ", 13);
	return true;
}

bool mountinfo_find(const char *path, struct mountinfo *info)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mountinfo last = { 0 };
	bool found = false;
	char *line = NULL;
	size_t size = 0;

	if (!f)
		return false;
	/* The last one at a path lies on top. */
	while (getline(&line, &size, f) > 0)
		found = match(line, path, &last) || found;
	free(line);
	fclose(f);
	if (found && info)
		*info = last;
	return found;
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
