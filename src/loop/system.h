/*
 * System calls and constants that a C library may lack: musl before 1.2.5 has
 * no statx(), preadv2() and renameat2(), glibc before 2.36 none of fsopen()'s
 * family. configure finds out; what is missing is in system.c.
 */
#ifndef RAWFUSE_LOOP_SYSTEM_H
#define RAWFUSE_LOOP_SYSTEM_H

#include <linux/falloc.h> /* musl's fcntl.h has the first two of them */
#include <sys/stat.h>
#include <sys/uio.h>
#ifndef HAVE_FSOPEN
#include <sys/mount.h> /* before the kernel's: both have MS_RDONLY and so on */

#include <linux/mount.h>
#endif
#ifndef HAVE_STRUCT_STATX
#include <linux/stat.h> /* not beside a C library's own */
#endif

/* As their man pages have them. */
#ifndef HAVE_STATX
int statx(int dir, const char *path, int flags, unsigned int mask,
	  struct statx *stx);
#endif
#ifndef HAVE_PREADV2
ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags);
#endif
#ifndef HAVE_CLOSE_RANGE
int close_range(unsigned int first, unsigned int last, int flags);
#endif
#ifndef HAVE_RENAMEAT2
#define RENAME_NOREPLACE (1 << 0) /* linux/fs.h has too much beside them */
#define RENAME_EXCHANGE (1 << 1)

int renameat2(int from_dir, const char *from, int to_dir, const char *to,
	      unsigned int flags);
#endif
#ifndef HAVE_FSOPEN
int fsopen(const char *type, unsigned int flags);
int fsconfig(int fs, unsigned int cmd, const char *key, const void *value,
	     int aux);
int fsmount(int fs, unsigned int flags, unsigned int attr);
#endif

#endif
