/* Mounting, unmounting, aborting. */
#ifndef RAWFUSE_FUSE_MOUNT_H
#define RAWFUSE_FUSE_MOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "fuse/made.h"
#include "fuse/place.h"

enum mount_others { MOUNT_OTHERS_AUTO, MOUNT_OTHERS_ON, MOUNT_OTHERS_OFF };

#define MOUNT_SECURITY 4u

/*
 * SELinux contexts for the kernel, ",context=..." and so on; "" where there is
 * no SELinux, as mount(8) has it. To be freed; NULL without memory.
 */
struct mount_options;
char *mount_security(const struct mount_options *opt);

/*
 * What is wrong with /dev/fuse, if something else has that name: one clause. NULL
 * if it is the device, or cannot be looked at.
 */
const char *mount_wrong_device(void);

/* The end of a message about /dev/fuse. */
#define MOUNT_SEE_PROBE "; rawfuse --probe shows what to do"

struct mount_options {
	const char *source; /* what mount(8) shows */
	const char *path; /* of the mountpoint, as given */
	bool has_owner; /* else it is the one who runs this: */
	uid_t uid;
	gid_t gid;
	const char *socket; /* which gives an opened /dev/fuse; or NULL */
	long (*server)(const char *path); /* the process of an export there, or 0 */
	bool writeback; /* the kernel will be asked to keep writes */
	unsigned long flags; /* MS_*, of mount(2) */
	enum mount_others others;
	const char *const *security; /* MOUNT_SECURITY, or less and a NULL */
	struct timespec mtime; /* of the image */
	dev_t image_dev; /* and which file it is: it may be mounted on */
	ino_t image_ino;
};

struct mount {
	struct place place; /* where it was mounted */
	const char *path; /* of that, for people; it may be moved later */
	bool named; /* path is that of the mountpoint, and no other name */
	struct made made; /* the file that it was mounted on, if that is ours */
	bool mounted;
	bool passed; /* somebody else did it; passed.c: */
	bool visible; /* it can be seen from here */
	int socket; /* to the one who did it; -1: none */
	uid_t uid; /* the owner of the file, as the mount counts */
	gid_t gid;
	bool by_helper; /* fusermount3 did it and must undo it */
	bool others; /* other users are let in */
	unsigned int connection; /* /sys/fs/fuse/connections/N; 0: unknown */
	uint64_t id; /* of the mount, never used again; 0: unknown */
	unsigned int old_id; /* as in mountinfo, used again; 0: unknown */
	int fd; /* /dev/fuse, which is the session's once there is one */
	pid_t undo; /* the child that unmounts; 0: none */
	bool keeps_writes; /* the kernel has a writeback cache */
	struct timespec mtime; /* of the image when it was mounted */
	pid_t teller; /* the child of mount_tell_start(); 0: none */
};

/*
 * Checks the mountpoint, creates it if need be, mounts. Returns 0 or -errno;
 * logs one line, and undoes all it did, on error.
 */
int mount_start(struct mount *m, const struct mount_options *opt);

/*
 * Lets the kernel read ahead @kib of the file, where that is permitted and
 * more than what it does already. Only after INIT, which would cut it down.
 */
void mount_read_ahead(const struct mount *m, unsigned int kib);

/*
 * Starts to unmount in a child process, because umount(2) may wait for
 * answers that only this process gives, and so may, before that, the writing of
 * what the kernel keeps. Its exit status: 0 or an errno, EINVAL if our mount is
 * not there any more; or-ed with MOUNT_LOST if not all could be written. Returns
 * its pid or -errno; who reaps it sets m->undo to 0.
 */
#define MOUNT_LOST 128
pid_t mount_undo_start(struct mount *m, bool lazy);

/*
 * With the writeback cache the kernel goes by its own idea of the file's size,
 * which for the root of a mount begins as 0, and of its mtime, and takes both
 * from system calls only. So a child makes these: truncate(2) to @size and, if
 * @times, utimensat(2). Its requests must be answered with the truth and
 * change nothing. With @drop it lets go what the page cache has of the file, but
 * for pages that are mapped or not yet written. Returns its pid or -errno; its exit status is 0 or an errno.
 * Who reaps it sets m->teller to 0.
 */
pid_t mount_tell_start(struct mount *m, uint64_t size, bool times, bool drop);

/* Aborts the connection: every caller gets ECONNABORTED. 0 or -errno. */
int mount_abort(const struct mount *m);

/*
 * The connection has ended: takes the mount away, if it is still there, so
 * that nobody finds it while the image is being closed. Does not wait.
 */
void mount_detach(struct mount *m);

/*
 * Unmounts what is left, removes the mountpoint if it was made here, frees.
 * Only once /dev/fuse is closed; may wait.
 */
void mount_finish(struct mount *m);

#endif
