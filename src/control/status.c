/*
 * --status. Whether something of ours is mounted there, the kernel's table
 * tells; the mount itself is touched by nobody but ask.c's child.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/record.h"
#include "control/ask.h"
#include "control/show.h"
#include "control/status.h"
#include "fuse/mountinfo.h"

static void why_silent(char why[SHOW_WHY], const char *path, unsigned int minor)
{
	long pid = record_server(path), waiting = ask_waiting(minor);
	char state = ask_state(pid, NULL);
	char who[64] = "", how_many[64] = "";

	if (state)
		snprintf(who, sizeof(who), " (process %ld)", pid);
	if (waiting > 0)
		snprintf(how_many, sizeof(how_many), "; %ld request%s wait%s",
			 waiting, waiting == 1 ? "" : "s",
			 waiting == 1 ? "s" : "");
	if (state == 'T' || state == 't')
		snprintf(why, SHOW_WHY,
			 "it does not answer: process %ld is stopped "
			 "(kill -CONT %ld)%s",
			 pid, pid, how_many);
	else
		snprintf(why, SHOW_WHY,
			 "it does not answer within %d seconds%s: it hangs, or "
			 "the storage of its image does%s",
			 ASK_SECONDS, who, how_many);
}

/* The mount's owner, who may always ask. */
static void why_denied(char why[SHOW_WHY], int err, unsigned int minor)
{
	char who[48] = "the user that has started it";
	struct mountinfo_fuse f;

	if (mountinfo_fuse(minor, &f)) {
		snprintf(who, sizeof(who), "user %u, who has started it",
			 (unsigned int)f.uid);
		free(f.path);
	}
	snprintf(why, SHOW_WHY,
		 "it may not be asked: %s; ask as %s, or as one that may read "
		 "the file",
		 strerror(-err), who);
}

/* Why there is no answer, and what that means. */
static enum show_state why_not(char why[SHOW_WHY], int err, const char *path,
			       unsigned int minor)
{
	switch (err) {
	case -ETIME:
		why_silent(why, path, minor);
		return SHOW_UNHEALTHY;
	case -ENOTCONN:
	case -ECONNABORTED:
		snprintf(why, SHOW_WHY,
			 "its process has ended or let go: unmount it, then "
			 "start rawfuse again (--replace does both)");
		return SHOW_UNHEALTHY;
	case -EACCES:
	case -EPERM:
		why_denied(why, err, minor);
		return SHOW_UNKNOWN;
	case -ENOTTY:
	case -EPROTO:
		snprintf(why, SHOW_WHY,
			 "it cannot be asked: it is another version of "
			 "rawfuse, or not rawfuse");
		return SHOW_UNKNOWN;
	default:
		snprintf(why, SHOW_WHY, "it cannot be asked: %s",
			 strerror(-err));
		return SHOW_UNKNOWN;
	}
}

static int finish(bool json, const char *path, enum show_state state,
		  const char *why, const union answer *a)
{
	if (json)
		show_json(stdout, path, state, why, a);
	else
		show_text(stdout, path, state, why, a);
	if (fflush(stdout) && state == SHOW_HEALTHY)
		return EXIT_FAILURE;
	return state == SHOW_HEALTHY ? EXIT_SUCCESS
	       : state == SHOW_NONE  ? STATUS_NONE
				     : EXIT_FAILURE;
}

int status_run(const char *path, bool json)
{
	const char *reason = NULL;
	enum show_state state;
	struct mountinfo info;
	char why[SHOW_WHY];
	union answer a;
	struct place p;
	int ret = place_open(&p, path, &reason);

	if (ret && ret != -ENOENT && ret != -ENOTDIR && ret != -EISDIR) {
		snprintf(why, sizeof(why), "the path cannot be followed: %s",
			 reason ? reason : strerror(-ret));
		return finish(json, path, SHOW_UNKNOWN, why, NULL);
	}
	if (ret || !mountinfo_find(p.path, &info) || !info.is_rawfuse) {
		if (!ret)
			place_close(&p);
		return finish(json, path, SHOW_NONE,
			      "rawfuse has mounted nothing there", NULL);
	}
	ret = ask(&a, &p, info.minor);
	state = ret ? why_not(why, ret, p.path, info.minor)
		    : show_judge(&a, why);
	ret = finish(json, path, state, why, ret ? NULL : &a);
	place_close(&p);
	return ret;
}
