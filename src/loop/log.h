/* Messages: to stderr, or to syslog once in the background. */
#ifndef RAWFUSE_LOOP_LOG_H
#define RAWFUSE_LOOP_LOG_H

#include <stdarg.h>
#include <stdbool.h>

/* What --trace can show, one bit each. */
enum log_trace {
	TRACE_FUSE = 1 << 0, /* requests and answers */
	TRACE_RING = 1 << 1, /* states of ring entries */
	TRACE_BLOCK = 1 << 2, /* requests to the image */
	TRACE_LIFE = 1 << 3, /* mount, signals, end */
};

extern unsigned int log_traces; /* enum log_trace, or-ed */

/* From here on, lines go to syslog (true) or stderr (false). */
void log_to_syslog(bool on);

/* The last line of log_warn() or log_warnx(), cut short; "" if there is none. */
const char *log_last(void);

/* Each line is also given to @tap, for tests; NULL for none. */
void log_set_tap(void (*tap)(const char *line));

/*
 * One line, errno's text appended (warn) or not (warnx). errno is kept. Control
 * characters, and what is no UTF-8, are printed as \x1b: a name in the line may
 * come from an image, or from another user.
 */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One trace line; use log_trace(), which costs a branch when it is off. */
void log_trace_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define log_trace(bit, ...)                                    \
	do {                                                   \
		if (__builtin_expect(log_traces & (bit), 0))   \
			log_trace_line(__VA_ARGS__);           \
	} while (0)

#endif
