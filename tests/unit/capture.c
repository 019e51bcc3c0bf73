/* Collects what the program would say. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "capture.h"
#include "loop/log.h"

#define KEPT 256 /* lines beyond these are only counted */

static char kept[KEPT][256];
static unsigned int lines;

static void tap(const char *line)
{
	snprintf(kept[lines < KEPT ? lines : KEPT - 1], sizeof(kept[0]), "%s",
		 line);
	lines++;
}

void capture_start(void)
{
	lines = 0;
	log_limits_reset();
	log_set_tap(tap);
}

unsigned int capture_lines(void)
{
	return lines;
}

unsigned int capture_count(const char *text)
{
	unsigned int i, n = 0;

	for (i = 0; i < lines && i < KEPT; i++)
		n += strstr(kept[i], text) != NULL;
	return n;
}

const char *capture_last(void)
{
	if (!lines)
		return "";
	return kept[(lines < KEPT ? lines : KEPT) - 1];
}
