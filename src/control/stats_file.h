/* --stats: the counters in a file, for Prometheus' node_exporter. */
#ifndef RAWFUSE_CONTROL_STATS_FILE_H
#define RAWFUSE_CONTROL_STATS_FILE_H

#include "control/metrics.h"
#include "loop/loop.h"

enum stats_step {
	STATS_IDLE,
	STATS_OPEN,
	STATS_PUT,
	STATS_CLOSE,
	STATS_RENAME
};

struct stats_file {
	char *path, *temp; /* absolute; NULL: there is none */
	struct loop *loop;
	const struct served *served;
	struct metrics metrics;
	uint64_t last; /* hash of what the file has */
	bool written; /* it has something */
	union answer answer; /* the last one */
	ev_timer timer;
	struct op op;
	enum stats_step step;
	int fd, error;
};

/*
 * Before the mount: finds out whether @path can be written, and is nothing
 * else. May wait. Returns 0 or -errno (logged).
 */
int stats_file_open(struct stats_file *f, const char *path);

/* From now on it is written every few seconds while something changes. */
int stats_file_start(struct stats_file *f, struct loop *l,
		     const struct served *v, const char *mountpoint);

/* The loop has ended, and the image is still open: notes the last values. */
void stats_file_note(struct stats_file *f);

/*
 * The image is closed, and all is flushed, or not: writes the file for the last
 * time. Waits some seconds at most. Frees all.
 */
void stats_file_end(struct stats_file *f, bool flushed);

#endif
