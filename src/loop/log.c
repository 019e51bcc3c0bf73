/* Messages. The only state of the program that is not in a struct. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "loop/log.h"

unsigned int log_traces;

static bool to_syslog;
static void (*line_tap)(const char *line);

void log_to_syslog(bool on)
{
	if (on)
		openlog("rawfuse", LOG_PID, LOG_DAEMON);
	to_syslog = on;
}

void log_set_tap(void (*tap)(const char *line))
{
	line_tap = tap;
}

static void put(int priority, int err, const char *fmt, va_list ap)
{
	char line[1024];
	int kept = errno;
	size_t used;

	vsnprintf(line, sizeof(line), fmt, ap);
	used = strlen(line);
	if (err)
		snprintf(line + used, sizeof(line) - used, ": %s",
			 strerror(err));
	if (line_tap)
		line_tap(line);
	else if (to_syslog)
		syslog(priority, "%s", line);
	else
		fprintf(stderr, "rawfuse: %s\n", line);
	errno = kept;
}

#define PUT(priority, err, fmt)                       \
	do {                                          \
		va_list ap;                           \
		va_start(ap, fmt);                    \
		put(priority, err, fmt, ap);          \
		va_end(ap);                           \
	} while (0)

void log_warn(const char *fmt, ...)
{
	PUT(LOG_ERR, errno, fmt);
}

void log_warnx(const char *fmt, ...)
{
	PUT(LOG_ERR, 0, fmt);
}

void log_info(const char *fmt, ...)
{
	PUT(LOG_INFO, 0, fmt);
}

void log_trace_line(const char *fmt, ...)
{
	PUT(LOG_DEBUG, 0, fmt);
}
