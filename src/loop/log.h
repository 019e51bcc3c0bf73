/* Messages. Where they go is told by log_to(). */
#ifndef RAWFUSE_LOOP_LOG_H
#define RAWFUSE_LOOP_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* What --trace can show, one bit each. */
enum log_trace {
	TRACE_FUSE = 1 << 0, /* requests and answers */
	TRACE_RING = 1 << 1, /* states of ring entries */
	TRACE_BLOCK = 1 << 2, /* requests to the image */
	TRACE_LIFE = 1 << 3, /* mount, signals, end */
};

extern unsigned int log_traces; /* enum log_trace, or-ed */

enum log_format { LOG_TEXT, LOG_JSON };

/*
 * Where lines go: "stderr", "syslog", "journal", or a file by its path, which
 * is made, or appended to. Until the export is ready they go to stderr as well,
 * as text. NULL: to stderr, and in the background to syslog. 0, or -errno
 * (logged).
 */
int log_to(const char *name, enum log_format format);

/* The export is ready: the terminal is let go, or kept. */
void log_to_background(void);
void log_to_foreground(void);

/* Somebody wants lines on stderr even in the background. */
bool log_keeps_stderr(void);

/* SIGHUP: the file is opened anew. */
void log_reopen(void);

/* @seconds since 1970, and @ns, as 2026-11-28T14:50:01.123Z. Returns @text. */
#define LOG_TIME 40 /* bytes */
char *log_time(char *text, long long seconds, long ns);

/* The end of the program: waits for a slow reader, for a second at the most. */
void log_end(void);

/* For tests: as at the start. */
void log_reset(void);

/*
 * The last line of log_warn() or log_warnx(), cut between two words if it is too
 * long; "" if there is none.
 */
#define LOG_LAST_SIZE 400u /* bytes; a pidfile holds it and a few words */
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

/* As log_warnx(), of what was said before: log_last() stays what it is. */
void log_summary(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A message that a caller, an image or the kernel can provoke again and again:
 * log_limited() says LOG_LIMIT_LINES of them in LOG_LIMIT_SECONDS, and how many
 * were left out.
 */
#define LOG_LIMIT_LINES 5u
#define LOG_LIMIT_SECONDS 60u

struct log_limit {
	unsigned int most; /* lines, if not LOG_LIMIT_LINES */
	/* log_limit.c's: */
	bool listed;
	unsigned int said; /* since then */
	uint64_t since; /* ms */
	uint64_t left_out;
	struct log_limit *next;
	char line[160]; /* the last one */
};

#define log_limited(...)                               \
	do {                                           \
		static struct log_limit here;          \
		log_limited_at(&here, __VA_ARGS__);    \
	} while (0)

/* As log_warnx(). @l must live on, or be removed. */
void log_limited_at(struct log_limit *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Tells what it has left out, and forgets @l. */
void log_limit_remove(struct log_limit *l);

/*
 * Tells what was left out, where the time is over, or everywhere (@all). True
 * if something remains to be told later.
 */
bool log_tell_left_out(bool all);

/* @wake is called when something is left out: log_tell_left_out() is due. */
void log_on_left_out(void (*wake)(void *arg), void *arg);

/* For tests: all limits begin anew; their time goes on by @seconds. */
void log_limits_reset(void);
void log_limits_age(unsigned int seconds);

/* One trace line; use log_trace(), which costs a branch when it is off. */
void log_trace_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define log_trace(bit, ...)                                    \
	do {                                                   \
		if (__builtin_expect(log_traces & (bit), 0))   \
			log_trace_line(__VA_ARGS__);           \
	} while (0)

#endif
