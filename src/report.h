/* SIGUSR1: the counters; and what is served. */
#ifndef RAWFUSE_REPORT_H
#define RAWFUSE_REPORT_H

#include "fuse/session.h"
#include "loop/cpu.h"

/* Logs what the session, its ring and its image have done so far. */
void report_counters(const struct session *s, const struct cpu *cpu,
		     const struct budget *budget);

/*
 * What @s serves, for people: image, format, size, whether it may be written,
 * transport. Returns @text, of REPORT_SERVES bytes; what is too long is cut.
 */
#define REPORT_SERVES 600
char *report_serves(const struct session *s, char *text);

#endif
