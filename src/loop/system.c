/* What system.h says may be missing in the C library: the bare calls. */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loop/system.h"

#ifndef HAVE_STATX
int statx(int dir, const char *path, int flags, unsigned int mask,
	  struct statx *stx)
{
#ifdef SYS_statx
	return (int)syscall(SYS_statx, dir, path, flags, mask, stx);
#else
	(void)dir, (void)path, (void)flags, (void)mask, (void)stx;
	errno = ENOSYS;
	return -1;
#endif
}
#endif

#ifndef HAVE_PREADV2
/* The offset goes in two halves; 64-bit kernels take all of the first. */
ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
#ifdef SYS_preadv2
	return syscall(SYS_preadv2, fd, iov, n, (long)at,
		       (long)((uint64_t)at >> 32), flags);
#else
	(void)fd, (void)iov, (void)n, (void)at, (void)flags;
	errno = EOPNOTSUPP; /* what an old kernel says */
	return -1;
#endif
}
#endif

#ifndef HAVE_CLOSE_RANGE
int close_range(unsigned int first, unsigned int last, int flags)
{
#ifdef SYS_close_range
	return (int)syscall(SYS_close_range, first, last, flags);
#else
	(void)first, (void)last, (void)flags;
	errno = ENOSYS;
	return -1;
#endif
}
#endif

#ifndef HAVE_RENAMEAT2
int renameat2(int from_dir, const char *from, int to_dir, const char *to,
	      unsigned int flags)
{
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}
#endif

#ifndef HAVE_FSOPEN
#ifndef SYS_fsopen /* the same on all machines but Alpha */
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif

int fsopen(const char *type, unsigned int flags)
{
	return (int)syscall(SYS_fsopen, type, flags);
}

int fsconfig(int fs, unsigned int cmd, const char *key, const void *value,
	     int aux)
{
	return (int)syscall(SYS_fsconfig, fs, cmd, key, value, aux);
}

int fsmount(int fs, unsigned int flags, unsigned int attr)
{
	return (int)syscall(SYS_fsmount, fs, flags, attr);
}
#endif
