/*
 * fileop [-d] [-r] FILE COMMAND [ARGUMENT...]: one system call on a file; its
 * result, or the name of its errno, on stdout. -d: O_DIRECT; -r: read-only.
 *
 *	open, size, fsync, fdatasync, flush, close
 *	cached                          (pages of it in the page cache)
 *	pwrite OFFSET LENGTH [BYTE]     pread OFFSET LENGTH
 *	dsync OFFSET LENGTH             (pwritev2(2) with RWF_DSYNC)
 *	is OFFSET LENGTH BYTE           (reads; "yes" or the first that differs)
 *	map OFFSET LENGTH BYTE          (writes by mmap, after close)
 *	map_trunc OFFSET LENGTH BYTE    (the same, then opens with O_TRUNC: the
 *	                                mapping has zeros; writes again; size)
 *	map_hold OFFSET LENGTH BYTE     (the same, mapped until stdin ends)
 *	truncate SIZE, cut SIZE         (ftruncate(2); truncate(2))
 *	pwrite_cut OFFSET LENGTH SIZE   (writes, then ftruncate(2))
 *	map_cut OFFSET LENGTH SIZE      (the same by mmap)
 *	data OFFSET, hole OFFSET
 *	allocate|keep|punch|zero|zerokeep|collapse OFFSET LENGTH
 *	umount [FLAGS]                  (umount2(2); looks at nothing before)
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "errname.h"

#ifndef RWF_DSYNC
#define RWF_DSYNC 2
#endif

static const struct {
	const char *name;
	int mode;
} modes[] = {
	{ "allocate", 0 },
	{ "keep", FALLOC_FL_KEEP_SIZE },
	{ "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
	{ "zero", FALLOC_FL_ZERO_RANGE },
	{ "zerokeep", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE },
	{ "collapse", FALLOC_FL_COLLAPSE_RANGE },
};

static long long number(char **argv, int i)
{
	return argv[i] ? strtoll(argv[i], NULL, 0) : 0;
}

static long long differs(const unsigned char *buf, long long n, int byte)
{
	long long i;

	for (i = 0; i < n; i++)
		if (buf[i] != byte)
			return i;
	return -1;
}

static long long io(int fd, char **argv, char *buf, size_t len)
{
	long long ret, at;

	if (!strcmp(argv[0], "dsync")) {
		struct iovec iov = { buf, len };

		memset(buf, 'x', len);
		/* Not every C library has pwritev2(); the offset is in two. */
		return syscall(SYS_pwritev2, fd, &iov, 1L,
			       (long)number(argv, 1),
			       (long)(number(argv, 1) >> 32), (long)RWF_DSYNC);
	}
	if (!strcmp(argv[0], "pwrite")) {
		memset(buf, argv[3] ? (int)number(argv, 3) : 'x', len);
		return pwrite(fd, buf, len, number(argv, 1));
	}
	ret = pread(fd, buf, len, number(argv, 1));
	if (!strcmp(argv[0], "pread") || ret < 0)
		return ret;
	at = differs((unsigned char *)buf, ret, (int)number(argv, 3));
	if (at < 0 && ret == (long long)len)
		puts("yes");
	else if (at < 0)
		printf("short %lld\n", ret);
	else
		printf("differs at %lld: %d\n", at, (unsigned char)buf[at]);
	exit(0);
}

static long long cached(int fd)
{
	long page = sysconf(_SC_PAGESIZE);
	struct stat st;
	size_t pages, i;
	unsigned char *in;
	long long n = 0;
	void *at;

	if (fstat(fd, &st))
		return -1;
	pages = (size_t)((st.st_size + page - 1) / page);
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	in = malloc(pages);
	if (at == MAP_FAILED || !in || mincore(at, (size_t)st.st_size, in))
		return -1;
	for (i = 0; i < pages; i++)
		n += in[i] & 1;
	free(in);
	return n;
}

/* With @path: O_TRUNC takes away what was written, not what comes after. */
static int map_trunc(unsigned char *at, long long n, int byte, const char *path)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || close(fd))
		return -1;
	if (differs(at, n, 0) >= 0) {
		errno = EILSEQ;
		return -1;
	}
	memset(at, byte, (size_t)n);
	return 0;
}

static long long map(int fd, char **argv, const char *path)
{
	long long from = number(argv, 1), n = number(argv, 2);
	long long skip = from % sysconf(_SC_PAGESIZE);
	unsigned char *at;
	struct stat st;

	at = mmap(NULL, (size_t)(skip + n), PROT_READ | PROT_WRITE, MAP_SHARED,
		  fd, from - skip);
	if (at == MAP_FAILED || close(fd))
		return -1;
	memset(at + skip, (int)number(argv, 3), (size_t)n);
	if (path && map_trunc(at + skip, n, (int)number(argv, 3), path))
		return -1;
	if (munmap(at, (size_t)(skip + n)) || (path && stat(path, &st)))
		return -1;
	return path ? (long long)st.st_size : n;
}

static long long map_hold(int fd, char **argv)
{
	size_t n = (size_t)number(argv, 2);
	unsigned char *at;
	char c;

	at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		  number(argv, 1));
	if (at == MAP_FAILED || close(fd))
		return -1;
	memset(at, (int)number(argv, 3), n);
	puts("mapped");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return munmap(at, n);
}

/* Cuts off what this handle has just written. */
static long long cut_own(int fd, char **argv, bool map)
{
	size_t n = (size_t)number(argv, 2);
	ssize_t written;
	void *at;

	if (map) {
		at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			  number(argv, 1));
		if (at == MAP_FAILED)
			return -1;
		memset(at, 'x', n);
	} else {
		at = malloc(n);
		if (!at)
			return -1;
		memset(at, 'x', n);
		written = pwrite(fd, at, n, number(argv, 1));
		free(at);
		if (written != (ssize_t)n)
			return -1;
	}
	return ftruncate(fd, number(argv, 3));
}

static long long run(int fd, char **argv, const char *path)
{
	const char *cmd = argv[0];
	struct stat st;
	long long ret;
	size_t i, len;
	void *buf;

	if (!strcmp(cmd, "open"))
		return 0;
	if (!strcmp(cmd, "size"))
		return fstat(fd, &st) ? -1 : (long long)st.st_size;
	if (!strcmp(cmd, "fsync"))
		return fsync(fd);
	if (!strcmp(cmd, "fdatasync"))
		return fdatasync(fd);
	if (!strcmp(cmd, "flush"))
		return close(dup(fd));
	if (!strcmp(cmd, "close"))
		return close(fd);
	if (!strcmp(cmd, "cached"))
		return cached(fd);
	if (!strcmp(cmd, "map"))
		return map(fd, argv, NULL);
	if (!strcmp(cmd, "map_trunc"))
		return map(fd, argv, path);
	if (!strcmp(cmd, "map_hold"))
		return map_hold(fd, argv);
	if (!strcmp(cmd, "pwrite_cut"))
		return cut_own(fd, argv, false);
	if (!strcmp(cmd, "map_cut"))
		return cut_own(fd, argv, true);
	if (!strcmp(cmd, "truncate"))
		return ftruncate(fd, number(argv, 1));
	if (!strcmp(cmd, "cut"))
		return truncate(path, number(argv, 1));
	if (!strcmp(cmd, "data"))
		return lseek(fd, number(argv, 1), SEEK_DATA);
	if (!strcmp(cmd, "hole"))
		return lseek(fd, number(argv, 1), SEEK_HOLE);
	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(cmd, modes[i].name))
			return fallocate(fd, modes[i].mode, number(argv, 1),
					 number(argv, 2));
	if (strcmp(cmd, "pread") && strcmp(cmd, "pwrite") &&
	    strcmp(cmd, "dsync") && strcmp(cmd, "is")) {
		fprintf(stderr, "fileop: %s: not known\n", cmd);
		exit(99);
	}
	len = (size_t)number(argv, 2);
	if (posix_memalign(&buf, 4096, len ? len : 1))
		exit(99);
	ret = io(fd, argv, buf, len);
	free(buf);
	return ret;
}

int main(int argc, char **argv)
{
	int flags = O_RDWR, c, fd;
	long long ret;

	while ((c = getopt(argc, argv, "+dr")) != -1)
		flags = c == 'd' ? flags | O_DIRECT :
				   (flags & ~O_ACCMODE) | O_RDONLY;
	if (argc - optind < 2) {
		fprintf(stderr, "usage: fileop [-d] [-r] FILE COMMAND...\n");
		return 99;
	}
	if (!strcmp(argv[optind + 1], "umount")) {
		flags = (int)number(argv, optind + 2);
		puts(umount2(argv[optind], flags) ? strerrorname_np(errno) : "0");
		return 0;
	}
	fd = open(argv[optind], flags | O_CLOEXEC);
	ret = fd < 0 ? -1 : run(fd, argv + optind + 1, argv[optind]);
	if (ret < 0)
		puts(strerrorname_np(errno));
	else
		printf("%lld\n", ret);
	return 0;
}
