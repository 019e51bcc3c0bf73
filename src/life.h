/* From the mount to the end of it. */
#ifndef RAWFUSE_LIFE_H
#define RAWFUSE_LIFE_H

#include "cli/options.h"
#include "control/notify.h"
#include "fuse/mount.h"
#include "fuse/session.h"
#include "loop/cpu.h"

/*
 * Serves @s, which is mounted at @m, until the connection is gone; @ready_fd
 * is daemon_fork()'s, or -1 in the foreground; @n is told of all. Returns 0, or 1 if it ended by
 * an error of ours. Requests may be left in the ring in that case only.
 */
int life_run(struct session *s, struct mount *m, const struct options *o,
	     const struct cpu *cpu, struct notify *n, int ready_fd);

/*
 * Holds back the signals that life_run() answers: before the mount, when they
 * would leave it behind, and from its return to the end of the process.
 */
void life_hold_signals(bool hold);

#endif
