/*
 * --replace. Four things may be at a mountpoint:
 *
 * | there is                        | how it is known     | what is done      |
 * |---------------------------------|---------------------|-------------------|
 * | no mount                        | mountinfo           | nothing           |
 * | no mount, but one that flushes  | its record          | wait for its end  |
 * | a mount and a server            | its record is       | refuse; or signal |
 * |                                 | locked, or it       | it, and wait for  |
 * |                                 | answers             | its end           |
 * | a mount without a server        | it says ENOTCONN    | detach it         |
 *
 * All of that comes before the image is opened: the server still has it locked,
 * and it may be the file below the mount. The record (pidfile.c) says which
 * process serves; where there is none, as in another container with a /run of
 * its own, the kernel tells who has the connection open (fdinfo.c). A process ID
 * in a record may come from another PID namespace, so the process must have that
 * very file open before it is signalled.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cli/record.h"
#include "cli/replace.h"
#include "fuse/fdinfo.h"
#include "fuse/place.h"
#include "fuse/point.h"
#include "fuse/unmount.h"
#include "loop/log.h"

#define ROUNDS 16u /* mounts that lie one over the other */
#define FLUSH_MOST 60u /* seconds, beside the grace */
#define AGAIN (-1) /* look anew */

struct replace_state {
	const struct options *o;
	struct place place;
	int record; /* of an export that lives; or -1 */
	long pid; /* what that says */
};

/* Opens the record of the mountpoint if its export lives. */
static bool find_record(struct replace_state *r)
{
	struct record rec;

	r->record = record_find(r->o->mountpoint);
	r->pid = 0;
	if (r->record < 0)
		return false;
	if (!record_parse(r->record, &rec) && !rec.ended &&
	    flock(r->record, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK) {
		r->pid = rec.pid;
		return true;
	}
	close(r->record);
	r->record = -1;
	return false;
}

static bool has_ended(const struct replace_state *r)
{
	if (r->record >= 0)
		return !flock(r->record, LOCK_SH | LOCK_NB) ||
		       errno != EWOULDBLOCK;
	return kill((pid_t)r->pid, 0) && errno == ESRCH;
}

/* Waits for the end of the process, its flush included. Returns as look(). */
static int wait_end(const struct replace_state *r)
{
	static const struct timespec pause = { .tv_nsec = 20000000 };
	unsigned long left = (r->o->grace + FLUSH_MOST) * 50;
	struct record rec;

	while (!has_ended(r)) {
		if (!left--) {
			log_warnx("%s: --replace: process %ld has not ended in "
				  "%llu seconds; rawfuse --wait waits for it",
				  r->place.path, r->pid,
				  (unsigned long long)r->o->grace +
					  FLUSH_MOST);
			return EXIT_FAILURE;
		}
		nanosleep(&pause, NULL);
	}
	if (r->record >= 0 && !record_parse(r->record, &rec) && rec.status)
		log_warnx("%s: --replace: process %ld ended with status %d: %s",
			  r->place.path, r->pid, rec.status, rec.why);
	return AGAIN;
}

/* It has been unmounted. */
static int meet_ending(const struct replace_state *r)
{
	if (!has_ended(r))
		log_info("%s: --replace: process %ld is unmounted and still "
			 "writes to its image: waiting for its end",
			 r->place.path, r->pid);
	return wait_end(r);
}

/* The mount is served. */
static int meet_live(struct replace_state *r)
{
	const char *path = r->place.path;

	if (r->pid && r->record >= 0 && !fdinfo_shares(r->pid, r->record))
		r->pid = 0;
	if (!r->pid)
		r->pid = fdinfo_server(point_connection(&r->place));
	if (!r->pid) {
		log_warnx("%s: --replace: an export is alive there, and its "
			  "process cannot be seen from here; umount %s first",
			  path, path);
		return EXIT_FAILURE;
	}
	if (r->o->replace != REPLACE_LIVE) {
		log_warnx("%s: --replace: process %ld serves it; umount %s "
			  "first, or give --replace=live, which sends "
			  "SIGTERM to it",
			  path, r->pid, path);
		return EXIT_FAILURE;
	}
	log_info("%s: --replace=live: process %ld is asked to end", path,
		 r->pid);
	if (kill((pid_t)r->pid, SIGTERM) && errno != ESRCH) {
		log_warn("%s: --replace=live: signalling process %ld", path,
			 r->pid);
		return EXIT_FAILURE;
	}
	return wait_end(r);
}

/* There is a mount, and no record says that it is served. */
static int meet_unknown(struct replace_state *r)
{
	uint64_t id = unmount_id(r->place.dir, r->place.name);
	const char *path = r->place.path;
	int ret;

	switch (point_ask(&r->place)) {
	case POINT_ALIVE:
		return meet_live(r);
	case POINT_SILENT:
		log_warnx("%s: --replace: the mount there neither answers nor "
			  "is dead; umount -l %s first",
			  path, path);
		return EXIT_FAILURE;
	case POINT_DEAD:
		break;
	}
	ret = point_unmount(&r->place, id, true);
	if (ret && ret != EINVAL) {
		log_warnx("%s: --replace: detaching the dead mount: %s", path,
			  strerror(ret));
		return EXIT_FAILURE;
	}
	log_info("%s: --replace: what a killed process had left is detached",
		 path);
	return AGAIN;
}

/* One look; 0, AGAIN or EXIT_FAILURE (logged). */
static int look(struct replace_state *r)
{
	struct record rec;
	bool lives = find_record(r);
	int ret = 0;

	if (r->place.mounted)
		ret = lives ? meet_live(r) : meet_unknown(r);
	else if (lives && !record_parse(r->record, &rec) && rec.ending)
		ret = meet_ending(r);
	if (r->record >= 0)
		close(r->record);
	return ret;
}

int replace_run(const struct options *o)
{
	struct replace_state r = { .o = o };
	unsigned int rounds;
	int ret = AGAIN;
	const char *why;

	/* A name that is mistyped is no reason to end anything. */
	if (access(o->image, F_OK) && errno == ENOENT &&
	    strncmp(o->image, "null:", 5))
		return 0;
	for (rounds = 0; ret == AGAIN && rounds < ROUNDS; rounds++) {
		if (place_open(&r.place, o->mountpoint, &why))
			return 0; /* mounting will tell why */
		ret = look(&r);
		place_close(&r.place);
	}
	return ret == AGAIN ? 0 : ret;
}
