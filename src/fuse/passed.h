/*
 * A mount that somebody else has made, who has the right to, and of which this
 * process gets no more than the opened /dev/fuse.
 */
#ifndef RAWFUSE_FUSE_PASSED_H
#define RAWFUSE_FUSE_PASSED_H

#include <stdbool.h>

#include "fuse/mount.h"

/*
 * What the privileged half says of the mount, in lines that are each optional:
 * with the descriptor, or in the environment, as PASSED_ENVIRONMENT of a command
 * that inherits it.
 */
#define PASSED_ENVIRONMENT "RAWFUSE_MOUNT"
#define PASSED_FD "fd=" /* in the environment: the descriptor that it is about */
#define PASSED_CONNECTION "connection=" /* as in /sys/fs/fuse/connections */
#define PASSED_UID "uid=" /* the owner of the file, as the mount counts users */
#define PASSED_GID "gid="
#define PASSED_OTHERS "others=" /* 1: mounted with allow_other */
#define PASSED_POINT "point=" /* where it is mounted; the last line */

/*
 * What it may be asked on the same socket: one byte, answered by one, 0 or an
 * errno. When the socket is closed it takes the mount away.
 */
#define PASSED_UNMOUNT 'u'
#define PASSED_DETACH 'z'

/* The N of "/dev/fd/N"; -1 if @path is something else. */
int passed_number(const char *path);

/* Has rawfuse-mount, which ends the mount with its command, passed @fd? */
bool passed_by_command(int fd);

/*
 * Takes over the descriptor that the mountpoint @opt->path names, or one that
 * the socket @opt->socket gives. 0 or -errno (logged).
 */
int passed_start(struct mount *m, const struct mount_options *opt);

/*
 * Unmounts, or asks the other half to. 0 or an errno: EINVAL if it is not
 * mounted any more, EPERM if it cannot be done from here. For a child process,
 * because it may wait; all other descriptors are closed.
 */
int passed_unmount(struct mount *m, bool lazy);

/* The connection is over: lets the mount go, as far as that is possible. */
void passed_finish(struct mount *m);

#endif
