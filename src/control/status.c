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

/* The process that serves @path, if its record tells; else 0. */
static long server_of(const char *path)
{
	int fd = record_find(path);
	struct record r;
	long pid = 0;

	if (fd < 0)
		return 0;
	if (!record_parse(fd, &r) && !r.ended)
		pid = r.pid;
	close(fd);
	return pid;
}

static void why_silent(char why[SHOW_WHY], const char *path, unsigned int minor)
{
	long pid = server_of(path), waiting = ask_waiting(minor);
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

static void why_not(char why[SHOW_WHY], int err, const char *path,
		    unsigned int minor)
{
	switch (err) {
	case -ETIME:
		why_silent(why, path, minor);
		break;
	case -ENOTCONN:
	case -ECONNABORTED:
		snprintf(why, SHOW_WHY,
			 "its process has ended or let go: unmount it, then "
			 "start rawfuse again (--replace does both)");
		break;
	case -EACCES:
	case -EPERM:
		snprintf(why, SHOW_WHY,
			 "it may not be asked: %s; ask as the user that has "
			 "started it, or as one that may read the file",
			 strerror(-err));
		break;
	case -ENOTTY:
	case -EPROTO:
		snprintf(why, SHOW_WHY,
			 "it cannot be asked: it is another version of "
			 "rawfuse, or not rawfuse");
		break;
	default:
		snprintf(why, SHOW_WHY, "it cannot be asked: %s",
			 strerror(-err));
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
	return state == SHOW_HEALTHY	 ? EXIT_SUCCESS
	       : state == SHOW_UNHEALTHY ? EXIT_FAILURE
					 : STATUS_NONE;
}

int status_run(const char *path, bool json)
{
	const char *reason = NULL;
	struct mountinfo info;
	char why[SHOW_WHY];
	union answer a;
	struct place p;
	int ret = place_open(&p, path, &reason);

	if (ret && ret != -ENOENT && ret != -ENOTDIR && ret != -EISDIR) {
		snprintf(why, sizeof(why), "the path cannot be followed: %s",
			 reason ? reason : strerror(-ret));
		return finish(json, path, SHOW_UNHEALTHY, why, NULL);
	}
	if (ret || !mountinfo_find(p.path, &info) || !info.is_rawfuse) {
		if (!ret)
			place_close(&p);
		return finish(json, path, SHOW_NONE,
			      "rawfuse has mounted nothing there", NULL);
	}
	ret = ask(&a, &p, info.minor);
	if (ret)
		why_not(why, ret, p.path, info.minor);
	ret = finish(json, path, ret ? SHOW_UNHEALTHY : show_judge(&a, why),
		     why, ret ? NULL : &a);
	place_close(&p);
	return ret;
}
