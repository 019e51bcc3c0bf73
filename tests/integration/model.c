/*
 * A mounted file against a model in memory.
 *
 * model run [-begi] [-s SEED] [-n OPERATIONS] [-m MOST] FILE COPY: applies
 * random operations of every kind and alignment to FILE and to the model,
 * compares what is read with the model, and writes the model to COPY, for
 * cmp(1) with the image. MOST is the largest size. -g: the file is growable.
 * -b: without O_DIRECT. -e: a direct write that ends past the end writes what
 * fits and fails with EIO. -i: no write begins or ends past the end.
 *
 * model neighbours [-s SEED] [-n ROUNDS] FILE COPY: threads write, through
 * O_DIRECT, ranges of their own that share pages: whole sectors next to
 * unaligned ones.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_MOST (256u << 10)
#define WORKERS 6

static uint64_t seed = 1;
static unsigned long operations = 1000;
static size_t most = 4u << 20;
static bool growable, buffered, inside, old_errors;

static const char *path;
static int fd_plain = -1, fd_direct = -1;
static unsigned char *mem; /* the model, most + CHUNK_MOST bytes */
static size_t size; /* its size; beyond it, mem is 0 */
static unsigned char *buf; /* CHUNK_MOST + 4096 bytes, page-aligned */
static unsigned long now; /* number of the operation */
static const char *what = "start";
static size_t what_at, what_len;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 11;
}

static size_t below(size_t n)
{
	return n ? (size_t)(next(&seed) % n) : 0;
}

static void die(const char *why, long long is, long long should)
{
	printf("operation %lu, %s %zu+%zu, size %zu: %s: %lld, not %lld (%s)\n",
	       now, what, what_at, what_len, size, why, is, should,
	       is < 0 ? strerror(errno) : "");
	exit(1);
}

static void same(const unsigned char *is, size_t at, size_t len)
{
	size_t i;

	if (!memcmp(is, mem + at, len))
		return;
	for (i = 0; is[i] == mem[at + i]; i++)
		;
	printf("byte %zu: ", at + i);
	die("differs", is[i], mem[at + i]);
}

static void set_size(size_t to)
{
	if (to < size)
		memset(mem + to, 0, size - to);
	size = to;
}

/* A range: tiny, of sectors, of pages, or long; often near the end. */
static void range(size_t *at, size_t *len)
{
	static const size_t units[] = { 1, 1, 512, 4096 };
	size_t unit = units[below(4)];
	size_t longest = below(4) ? 20000 : CHUNK_MOST;

	if (!below(4))
		longest = 700;
	*len = 1 + below(longest);
	*at = below(8) ? below(size + 1) :
			 size - (size < 9000 ? size : below(9000));
	*at -= *at % unit;
	*len += unit - 1;
	*len -= *len % unit;
	if (*len > CHUNK_MOST)
		*len = CHUNK_MOST;
	if (*len > most)
		*len = most;
	if (*at + *len > most)
		*at = most - *len;
	what_at = *at;
	what_len = *len;
}

static int some_fd(void)
{
	return below(2) ? fd_plain : fd_direct;
}

static void do_write(void)
{
	size_t at, len, i, expect;
	unsigned char *from = buf + (below(2) ? 0 : below(4096));
	int fd = some_fd();
	ssize_t n;

	range(&at, &len);
	what = fd == fd_plain ? "write" : "direct write";
	if (inside && at + len > size)
		return;
	for (i = 0; i < len; i++)
		from[i] = (unsigned char)(now + i * 7 + 1);
	expect = len;
	if (!growable && at + len > size)
		expect = at < size ? size - at : 0;
	n = pwrite(fd, from, len, (off_t)at);
	if (!expect) {
		if (n >= 0 || errno != ENOSPC)
			die("write past the end", n, -ENOSPC);
		return;
	}
	if (old_errors && fd == fd_direct && expect < len) {
		if (n >= 0 || errno != EIO)
			die("write across the end", n, -EIO);
	} else if (n != (ssize_t)expect) {
		die("result", n, (long long)expect);
	}
	memcpy(mem + at, from, expect);
	if (at + expect > size)
		size = at + expect;
}

static void do_read(void)
{
	size_t at, len, expect;
	unsigned char *to = buf + (below(2) ? 0 : below(4096));
	int fd = some_fd();
	ssize_t n;

	range(&at, &len);
	what = fd == fd_plain ? "read" : "direct read";
	expect = at >= size ? 0 : size - at < len ? size - at : len;
	memset(to, 0xee, len);
	n = pread(fd, to, len, (off_t)at);
	if (n != (ssize_t)expect)
		die("result", n, (long long)expect);
	same(to, at, expect);
}

/* A disk of fixed size: it is emptied, or keeps what it has. */
static void do_cut(size_t to)
{
	size_t i;

	what = "cut";
	what_at = to = below(4) ? to : 0;
	if (ftruncate(some_fd(), (off_t)to)) {
		if (!to || errno != EPERM)
			die("result", -1, 0);
		return;
	}
	if (!to)
		memset(mem, 0, size);
	for (i = to; i < size; i++)
		if (mem[i])
			die("it may not be cut", mem[i], 0);
	/* With the writeback cache, a close waits for the size. */
	if (close(dup(fd_plain)))
		die("close", -1, 0);
}

static void do_truncate(void)
{
	size_t to = below(4) ? below(most + 1) : below(most / 4096 + 1) * 4096;

	what = "truncate";
	what_at = to;
	what_len = 0;
	/* Mostly not down to nearly nothing. */
	if (to < most / 4 && below(4))
		return;
	if (!growable && to < size) {
		do_cut(to);
		return;
	}
	if (ftruncate(some_fd(), (off_t)to))
		die("result", -1, 0);
	set_size(to);
}

static void do_fallocate(void)
{
	static const struct {
		const char *name;
		int mode;
		bool zeroes, grows;
	} kinds[] = {
		{ "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, true,
		  false },
		{ "zero range", FALLOC_FL_ZERO_RANGE, true, true },
		{ "zero range, keep",
		  FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, true, false },
		{ "allocate", 0, false, true },
		{ "allocate, keep", FALLOC_FL_KEEP_SIZE, false, false },
	};
	size_t k = below(sizeof(kinds) / sizeof(*kinds));
	size_t at, len, end;
	int ret;

	range(&at, &len);
	what = kinds[k].name;
	end = at + len;
	ret = fallocate(some_fd(), kinds[k].mode, (off_t)at, (off_t)len);
	if (end > size && !growable && kinds[k].grows) {
		if (!ret || errno != ENOSPC)
			die("past the end", ret, -ENOSPC);
		return;
	}
	/* Room beyond the end that shows nowhere may be refused. */
	if (ret && at >= size && !kinds[k].grows && errno == ENOSPC)
		return;
	if (ret)
		die("result", ret, 0);
	if (kinds[k].zeroes && at < size)
		memset(mem + at, 0, (end < size ? end : size) - at);
	if (kinds[k].grows && end > size)
		size = end;
}

static void do_mmap(void)
{
	size_t at, len, skip, i;
	unsigned char *map;

	range(&at, &len);
	what = "mmap write";
	if (at >= size)
		return;
	if (len > size - at)
		len = size - at;
	skip = at % 4096;
	map = mmap(NULL, skip + len, PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd_plain, (off_t)(at - skip));
	if (map == MAP_FAILED)
		die("mmap", -1, 0);
	same(map + skip, at, len);
	for (i = 0; i < len; i++)
		mem[at + i] = map[skip + i] = (unsigned char)(now * 3 + i);
	if (below(2) && msync(map, skip + len, MS_SYNC))
		die("msync", -1, 0);
	munmap(map, skip + len);
}

static void all_zero(size_t from, size_t to)
{
	for (; from < to; from++)
		if (mem[from])
			die("a hole where there is data", (long long)from, 0);
}

static void do_seek(void)
{
	size_t at = below(size + 1);
	off_t data, hole;

	what = "seek";
	what_at = at;
	what_len = 0;
	if (fsync(fd_plain)) /* what was mapped */
		die("fsync", -1, 0);
	data = lseek(fd_plain, (off_t)at, SEEK_DATA);
	hole = lseek(fd_direct, (off_t)at, SEEK_HOLE);
	if (at == size) {
		if (data >= 0 || hole >= 0)
			die("beyond the end", data, hole);
		return;
	}
	if (hole < (off_t)at || hole > (off_t)size)
		die("hole", hole, (long long)at);
	if (data < 0 && errno != ENXIO)
		die("data", data, -ENXIO);
	if (data >= 0 && (data < (off_t)at || data >= (off_t)size))
		die("data", data, (long long)at);
	all_zero(at, data < 0 ? size : (size_t)data);
	if (hole == (off_t)at && data == hole)
		die("both data and a hole", data, -1);
}

static int direct_flag(void)
{
	return buffered ? 0 : O_DIRECT;
}

static void do_append(void)
{
	size_t len = 1 + below(9000), i;
	int fd;
	ssize_t n;

	what = "append";
	what_at = size;
	what_len = len;
	if (inside || size + len > most)
		return;
	for (i = 0; i < len; i++)
		buf[i] = (unsigned char)(now + i);
	fd = open(path, O_WRONLY | O_APPEND | (below(2) ? direct_flag() : 0));
	n = write(fd, buf, len);
	if (!growable && (n >= 0 || errno != ENOSPC))
		die("result", n, -ENOSPC);
	if (growable && n != (ssize_t)len)
		die("result", n, (long long)len);
	close(fd);
	if (n <= 0)
		return;
	memcpy(mem + size, buf, len);
	size += len;
}

static void open_both(void)
{
	what = "open";
	if (fd_plain >= 0 && (close(fd_plain) || close(fd_direct)))
		die("close", -1, 0);
	fd_plain = open(path, O_RDWR);
	fd_direct = open(path, O_RDWR | direct_flag());
	if (fd_plain < 0 || fd_direct < 0)
		die("open", -1, 0);
}

static void do_other(void)
{
	switch (below(4)) {
	case 0:
		what = "fsync";
		if (fsync(some_fd()))
			die("result", -1, 0);
		return;
	case 1:
		what = "fdatasync";
		if (fdatasync(some_fd()))
			die("result", -1, 0);
		return;
	case 2:
		posix_fadvise(fd_plain, 0, 0, POSIX_FADV_DONTNEED);
		return;
	default:
		open_both();
	}
}

static void check_size(void)
{
	struct stat st;

	if (fstat(some_fd(), &st))
		die("stat", -1, 0);
	if (st.st_size != (off_t)size)
		die("size", st.st_size, (long long)size);
}

static void compare_all(int fd)
{
	size_t at;
	ssize_t n;

	what = fd == fd_plain ? "last read" : "last direct read";
	for (at = 0; at < size; at += (size_t)n) {
		n = pread(fd, buf, CHUNK_MOST, (off_t)at);
		if (n <= 0)
			die("result", n, 1);
		same(buf, at, (size_t)n);
	}
	if (pread(fd, buf, 1, (off_t)size))
		die("read at the end", 1, 0);
}

static void write_copy(const char *name)
{
	FILE *f = fopen(name, "w");

	if (!f || fwrite(mem, 1, size, f) != size || fclose(f)) {
		perror(name);
		exit(99);
	}
}

static void load_model(void)
{
	struct stat st;
	void *aligned;

	open_both();
	if (fstat(fd_plain, &st))
		die("stat", -1, 0);
	size = (size_t)st.st_size;
	if (most < size)
		most = size;
	mem = calloc(1, most + CHUNK_MOST);
	if (!mem || posix_memalign(&aligned, 4096, CHUNK_MOST + 4096))
		exit(99);
	buf = aligned;
	if (pread(fd_plain, mem, size, 0) != (ssize_t)size)
		die("first read", -1, (long long)size);
}

static void run(const char *copy)
{
	static void (*const kinds[])(void) = {
		do_write, do_write, do_write,	  do_write, do_read,
		do_read,  do_read,  do_fallocate, do_mmap,  do_seek,
	};

	for (now = 1; now <= operations; now++) {
		size_t k = below(24);

		if (k == 0)
			do_truncate();
		else if (k == 1)
			do_append();
		else if (k == 2)
			do_other();
		else
			kinds[k % (sizeof(kinds) / sizeof(*kinds))]();
		check_size();
	}
	compare_all(fd_plain);
	compare_all(fd_direct);
	what = "last fsync";
	if (fsync(fd_plain) || close(fd_plain) || close(fd_direct))
		die("result", -1, 0);
	write_copy(copy);
}

struct worker {
	pthread_t thread;
	size_t unit; /* its writes begin and end at a multiple */
	uint64_t seed;
	size_t from, to; /* its bytes; no other's */
	int fd;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned char *own = malloc(w->to - w->from);
	unsigned long i;

	for (i = 0; own && i < operations; i++) {
		size_t at = w->from, len = w->to - w->from, k;

		if (next(&w->seed) % 2) { /* else all of it */
			at += next(&w->seed) % len;
			at -= at % w->unit;
			len = 1 + next(&w->seed) % (w->to - at) + w->unit - 1;
			len -= len % w->unit;
		}
		for (k = 0; k < len; k++)
			mem[at + k] = (unsigned char)next(&w->seed);
		if (pwrite(w->fd, mem + at, len, (off_t)at) != (ssize_t)len) {
			perror("pwrite");
			exit(1);
		}
		if (i % 4)
			continue;
		len = w->to - w->from;
		if (pread(w->fd, own, len, (off_t)w->from) != (ssize_t)len ||
		    memcmp(own, mem + w->from, len)) {
			printf("round %lu: %zu+%zu is not what was written\n",
			       i, w->from, len);
			exit(1);
		}
	}
	free(own);
	return NULL;
}

static void neighbours(const char *copy)
{
	struct worker w[WORKERS];
	size_t at = 0, i;

	for (i = 0; i < WORKERS; i++) {
		w[i].from = at;
		w[i].unit = i % 2 ? 1 : 512;
		at += 512 * (1 + below(i == 3 ? 40 : 3));
		w[i].to = at;
		w[i].fd = open(path, O_RDWR | O_DIRECT);
		w[i].seed = seed * 99 + i + 1;
	}
	if (at > size)
		die("the file is too small", (long long)size, (long long)at);
	/* With a cached open, the kernel runs direct writes one by one. */
	close(fd_plain);
	close(fd_direct);
	for (i = 0; i < WORKERS; i++)
		if (pthread_create(&w[i].thread, NULL, work, &w[i]))
			exit(99);
	for (i = 0; i < WORKERS; i++)
		pthread_join(w[i].thread, NULL);
	fd_plain = -1;
	open_both();
	compare_all(fd_direct);
	compare_all(fd_plain);
	write_copy(copy);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int c;

	optind = 2;
	while ((c = getopt(argc, argv, "begis:n:m:")) != -1) {
		if (c == 'b')
			buffered = true;
		else if (c == 'e')
			old_errors = true;
		else if (c == 'i')
			inside = true;
		else if (c == 'g')
			growable = true;
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0) * 0x9e3779b97f4a7c15u;
		else if (c == 'n')
			operations = strtoul(optarg, NULL, 0);
		else if (c == 'm')
			most = strtoul(optarg, NULL, 0);
		else
			return 99;
	}
	if (argc - optind != 2)
		return 99;
	if (!seed)
		seed = 1;
	path = argv[optind];
	load_model();
	if (!strcmp(mode, "run"))
		run(argv[optind + 1]);
	else if (!strcmp(mode, "neighbours"))
		neighbours(argv[optind + 1]);
	else
		return 99;
	return 0;
}
