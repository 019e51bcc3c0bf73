/* SIGUSR1: the counters. */
#ifndef RAWFUSE_REPORT_H
#define RAWFUSE_REPORT_H

#include "fuse/session.h"
#include "loop/cpu.h"

/* Logs what the session, its ring and its image have done so far. */
void report_counters(const struct session *s, const struct cpu *cpu,
		     const struct budget *budget);

#endif
