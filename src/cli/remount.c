/*
 * mount -o remount, by way of mount(8), which has its helper do it: ro and rw,
 * noexec, atime and the like, which are the kernel's alone. What rawfuse itself
 * was told at the start stays.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "cli/remount.h"
#include "fuse/place.h"
#include "loop/log.h"

int remount_run(const struct options *o)
{
	unsigned long flags =
		o->mount_flags | MS_REMOUNT | MS_NOSUID | MS_NODEV;
	const char *why = NULL;
	char via[PLACE_VIA];
	struct place p;
	int ret = place_open(&p, o->mountpoint, &why);

	if (ret) {
		log_warnx("%s: remount: %s", o->mountpoint,
			  why ? why : strerror(-ret));
		return EXIT_FAILURE;
	}
	if (o->read_only)
		flags |= MS_RDONLY;
	if (!p.mounted)
		log_warnx("%s: remount: no rawfuse mount is there", p.path);
	else if (mount("none", place_via(&p, via), NULL, flags, NULL))
		log_warn("%s: remount", p.path);
	else
		ret = 1;
	place_close(&p);
	return ret ? EXIT_SUCCESS : EXIT_FAILURE;
}
