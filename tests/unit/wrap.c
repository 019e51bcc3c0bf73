/* System calls that fail on demand. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wrap.h"

static struct rule {
	unsigned int times;
	int err; /* 0: move fewer bytes */
	size_t most;
	unsigned int count;
	int flags;
} rules[WRAP_CALLS];

void wrap_reset(void)
{
	memset(rules, 0, sizeof(rules));
}

void wrap_fail(enum wrap_call call, unsigned int times, int err)
{
	rules[call].times = times;
	rules[call].err = err;
}

void wrap_short(enum wrap_call call, unsigned int times, size_t most)
{
	rules[call].times = times;
	rules[call].err = 0;
	rules[call].most = most;
}

unsigned int wrap_count(enum wrap_call call)
{
	return rules[call].count;
}

int wrap_flags(enum wrap_call call)
{
	return rules[call].flags;
}

/* Does this call fail? Else says how many of @len bytes it may move. */
static int fails(enum wrap_call call, size_t *len)
{
	struct rule *r = &rules[call];

	r->count++;
	if (!r->times)
		return 0;
	r->times--;
	if (r->err) {
		errno = r->err;
		return 1;
	}
	if (len && *len > r->most)
		*len = r->most;
	return 0;
}

/*
 * With 32-bit addresses and large files glibc calls other functions than the
 * source says.
 */
#if defined(__GLIBC__) && !defined(__LP64__) && _FILE_OFFSET_BITS == 64
#define PREAD pread64
#define PREADV2 preadv64v2
#define PWRITE pwrite64
#define FALLOCATE fallocate64
#define FTRUNCATE ftruncate64
#else
#define PREAD pread
#define PREADV2 preadv2
#define PWRITE pwrite
#define FALLOCATE fallocate
#define FTRUNCATE ftruncate
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define REAL(name) JOIN(__real_, name)
#define WRAP(type, name, ...)                 \
	type REAL(name)(__VA_ARGS__);         \
	type JOIN(__wrap_, name)(__VA_ARGS__); \
	type JOIN(__wrap_, name)(__VA_ARGS__)

static size_t page;

void wrap_page(size_t size)
{
	page = size;
}

WRAP(long, sysconf, int name)
{
	return name == _SC_PAGESIZE && page ? (long)page :
					      __real_sysconf(name);
}

/* What is mapped too much for the alignment stays. */
WRAP(void *, mmap, void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
	uintptr_t p;

	if (!page)
		return __real_mmap(addr, len, prot, flags, fd, at);
	p = (uintptr_t)__real_mmap(addr, len + page, prot, flags, fd, at);
	return (void *)((p + page - 1) & ~(page - 1));
}

/* As the kernel does: pages must begin, and are whole. */
WRAP(int, madvise, void *addr, size_t len, int advice)
{
	if (page && (uintptr_t)addr & (page - 1)) {
		errno = EINVAL;
		return -1;
	}
	if (page)
		len = (len + page - 1) & ~(page - 1);
	return __real_madvise(addr, len, advice);
}

WRAP(ssize_t, read, int fd, void *buf, size_t len)
{
	return fails(WRAP_READ, &len) ? -1 : __real_read(fd, buf, len);
}

WRAP(ssize_t, writev, int fd, const struct iovec *iov, int n)
{
	return fails(WRAP_WRITEV, NULL) ? -1 : __real_writev(fd, iov, n);
}

WRAP(ssize_t, PREAD, int fd, void *buf, size_t len, off_t at)
{
	return fails(WRAP_PREAD, &len) ? -1 : REAL(PREAD)(fd, buf, len, at);
}

WRAP(ssize_t, PREADV2, int fd, const struct iovec *iov, int n, off_t at,
     int flags)
{
	struct iovec one = *iov;

	rules[WRAP_PREADV2].flags = flags;
	if (fails(WRAP_PREADV2, &one.iov_len))
		return -1;
	return REAL(PREADV2)(fd, n == 1 ? &one : iov, n, at, flags);
}

WRAP(ssize_t, PWRITE, int fd, const void *buf, size_t len, off_t at)
{
	return fails(WRAP_PWRITE, &len) ? -1 : REAL(PWRITE)(fd, buf, len, at);
}

WRAP(int, fsync, int fd)
{
	return fails(WRAP_FSYNC, NULL) ? -1 : __real_fsync(fd);
}

WRAP(int, fdatasync, int fd)
{
	return fails(WRAP_FDATASYNC, NULL) ? -1 : __real_fdatasync(fd);
}

WRAP(int, FALLOCATE, int fd, int mode, off_t at, off_t len)
{
	rules[WRAP_FALLOCATE].flags = mode;
	if (fails(WRAP_FALLOCATE, NULL))
		return -1;
	return REAL(FALLOCATE)(fd, mode, at, len);
}

WRAP(int, FTRUNCATE, int fd, off_t len)
{
	return fails(WRAP_FTRUNCATE, NULL) ? -1 : REAL(FTRUNCATE)(fd, len);
}
