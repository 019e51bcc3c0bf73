/* Messages. The only state of the program that is not in a struct. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "loop/log.h"
#include "loop/log_target.h"
#include "loop/text.h"

#define LONG_WORD 80 /* bytes; a longer one is cut itself */

unsigned int log_traces;

static char last[LOG_LAST_SIZE];
static void (*line_tap)(const char *line);

const char *log_last(void)
{
	return last;
}

void log_set_tap(void (*tap)(const char *line))
{
	line_tap = tap;
}

/* How much of @line, which is longer than @most: up to a word, or a character. */
static size_t cut_at(const char *line, size_t most)
{
	size_t n;

	for (n = most; n > most - LONG_WORD; n--)
		if (line[n] == ' ')
			return n;
	for (n = most; n && (line[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

static void keep_last(const char *line)
{
	static const char more[] = " ...";
	size_t n = strlen(line);

	if (n >= sizeof(last)) {
		n = cut_at(line, sizeof(last) - sizeof(more));
		memcpy(last + n, more, sizeof(more));
	} else {
		last[n] = '\0';
	}
	memcpy(last, line, n);
}

static void put(int priority, bool keep, int err, const char *fmt, va_list ap)
{
	char text[1024], line[2 * sizeof(text)];
	int kept = errno;
	size_t used;

	vsnprintf(text, sizeof(text), fmt, ap);
	used = strlen(text);
	if (err)
		snprintf(text + used, sizeof(text) - used, ": %s",
			 strerror(err));
	/* Any name may come from somebody else; it must not rule the terminal. */
	text_escape(line, sizeof(line), text);
	if (keep)
		keep_last(line);
	if (line_tap)
		line_tap(line);
	else
		log_target_put(priority, text);
	errno = kept;
}

#define PUT(priority, keep, err, fmt)              \
	do {                                       \
		va_list ap;                        \
		va_start(ap, fmt);                 \
		put(priority, keep, err, fmt, ap); \
		va_end(ap);                        \
	} while (0)

void log_warn(const char *fmt, ...)
{
	PUT(LOG_ERR, true, errno, fmt);
}

void log_warnx(const char *fmt, ...)
{
	PUT(LOG_ERR, true, 0, fmt);
}

void log_summary(const char *fmt, ...)
{
	PUT(LOG_ERR, false, 0, fmt);
}

void log_info(const char *fmt, ...)
{
	PUT(LOG_INFO, false, 0, fmt);
}

void log_trace_line(const char *fmt, ...)
{
	PUT(LOG_DEBUG, false, 0, fmt);
}
