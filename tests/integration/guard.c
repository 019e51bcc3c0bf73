/*
 * guard [-d] FILE REFERENCE: reads FILE in many places and lengths, most around
 * its end, into buffers of every alignment. Each byte must be REFERENCE's, the
 * count must stop at its end, and the bytes of the buffer before the data and
 * behind it must be as they were. -d: O_DIRECT; else what is mapped past the
 * end must be zeros, too. Prints how many reads it made.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST ((1u << 20) + 4096)
#define GUARD 8192 /* bytes on either side */

static unsigned char *buf, *whole;
static size_t size;
static unsigned char pattern;
static unsigned long reads;

static const size_t skews[] = { 0, 512, 1, 4095 };
static const size_t lengths[] = { 1,	512,   513,   4095,    4096,
				  4097, 65536, 70001, 1 << 20, (1 << 20) + 1 };
/* From the end of the file, and from its start. */
static const size_t before[] = { 0,    1,     511,   512,     513,    4096,
				 4097, 65536, 70001, 1 << 20, 1048577 };
static const size_t after[] = { 0, 1, 512, 4095, 4096, 65537 };

static void die(const char *why, size_t at, size_t len, size_t skew, size_t i)
{
	printf("%zu+%zu, skew %zu, size %zu: %s: byte %zu\n", at, len, skew,
	       size, why, i);
	exit(1);
}

static bool all(const unsigned char *p, size_t n)
{
	return !n || (p[0] == pattern && !memcmp(p, p + 1, n - 1));
}

static void check(int fd, size_t at, size_t len, size_t skew)
{
	unsigned char *to = buf + GUARD + skew;
	size_t should = at >= size ? 0 : size - at < len ? size - at : len;
	size_t i;
	ssize_t n;

	pattern = (unsigned char)(++reads * 37 | 1);
	memset(buf, pattern, GUARD + skew + len + GUARD);
	n = pread(fd, to, len, (off_t)at);
	if (n != (ssize_t)should)
		die(n < 0 ? strerror(errno) : "count", at, len, skew,
		    n < 0 ? 0 : (size_t)n);
	if (memcmp(to, whole + at, should)) {
		for (i = 0; to[i] == whole[at + i]; i++)
			;
		die("differs", at, len, skew, i);
	}
	if (!all(buf, GUARD + skew))
		die("changed before", at, len, skew, 0);
	for (i = should; i < len + GUARD; i++)
		if (to[i] != pattern)
			die("changed behind", at, len, skew, i);
}

/* The rest of the last page. */
static void check_mapped(int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), from = size - size % page;
	size_t i;
	unsigned char *p;

	if (from == size)
		return;
	p = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)from);
	if (p == MAP_FAILED)
		die(strerror(errno), from, page, 0, 0);
	for (i = 0; i < page; i++)
		if (p[i] != (from + i < size ? whole[from + i] : 0))
			die("mapped", from, page, 0, i);
}

static void load(const char *name)
{
	int fd = open(name, O_RDONLY);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st)) {
		perror(name);
		exit(99);
	}
	size = (size_t)st.st_size;
	whole = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (whole == MAP_FAILED ||
	    posix_memalign(&p, 4096, MOST + 4096 + 2 * GUARD))
		exit(99);
	buf = p;
	close(fd);
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

int main(int argc, char **argv)
{
	bool direct = argc > 1 && !strcmp(argv[1], "-d");
	size_t s, l, a;
	int fd;

	if (argc != 3 + direct) {
		fprintf(stderr, "usage: guard [-d] FILE REFERENCE\n");
		return 99;
	}
	load(argv[2 + direct]);
	fd = open(argv[1 + direct], O_RDONLY | (direct ? O_DIRECT : 0));
	if (fd < 0) {
		perror(argv[1 + direct]);
		return 99;
	}
	for (l = 0; l < COUNT(lengths); l++) {
		for (s = 0; s < COUNT(skews); s++) {
			for (a = 0; a < COUNT(before); a++)
				if (before[a] <= size)
					check(fd, size - before[a], lengths[l],
					      skews[s]);
			for (a = 0; a < COUNT(after); a++)
				check(fd, after[a] + (l == 0 ? size : 0),
				      lengths[l], skews[s]);
		}
		if (!direct)
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	if (!direct)
		check_mapped(fd);
	printf("%lu reads\n", reads);
	return 0;
}
