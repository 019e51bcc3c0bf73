/*
 * Load that knows what it has been promised.
 *
 * load run [-o] FILE STATE THREADS: each thread writes blocks of
 * its own, over and over, each time with a higher number, and reads them
 * back; STATE keeps for each block the number tried last and the one
 * acknowledged last. It ends when a call fails (the mount is gone) or by
 * SIGTERM. -o: opens and closes the file for every write, with pauses of up to
 * three times LOAD_PAUSE microseconds (700), and ends when it is no longer a
 * FUSE file.
 *
 * load check IMAGE STATE: each block of the image has the number that was
 * acknowledged, or one tried after it.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "errname.h"

#define BLOCK 4096
#define BLOCKS 16 /* of a thread */
#define THREADS_MOST 16
#define FUSE_MAGIC 0x65735546

struct promise {
	uint64_t tried, acked;
};

struct worker {
	pthread_t thread;
	unsigned int index;
	int fd;
	unsigned long done;
	int err; /* why it ended */
	bool wrong; /* read back something else */
	void *buf;
};

static volatile sig_atomic_t stop;
static const char *path;
static bool reopen;
static unsigned int pause_us = 700;
static struct promise *promises;

static void on_term(int signum)
{
	(void)signum;
	stop = 1;
}

static int open_file(unsigned int index)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | (index & 1 ? 0 : O_DIRECT));
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (!fstatfs(fd, &fs) && fs.f_type == FUSE_MAGIC)
		return fd;
	close(fd);
	return -ENOTCONN;
}

static void fill(uint64_t *buf, uint64_t value)
{
	size_t i;

	for (i = 0; i < BLOCK / sizeof(*buf); i++)
		buf[i] = value;
}

static bool has(const uint64_t *buf, uint64_t value)
{
	size_t i;

	for (i = 0; i < BLOCK / sizeof(*buf); i++)
		if (buf[i] != value)
			return false;
	return true;
}

static int one_write(struct worker *w, uint64_t value)
{
	unsigned int block = w->index * BLOCKS + value % BLOCKS;
	struct promise *p = &promises[block];
	off_t at = (off_t)block * BLOCK;

	fill(w->buf, value);
	p->tried = value;
	if (pwrite(w->fd, w->buf, BLOCK, at) != BLOCK)
		return -errno;
	p->acked = value;
	if (value % 5 == 0 && fdatasync(w->fd))
		return -errno;
	if (value % 3)
		return 0;
	if (pread(w->fd, w->buf, BLOCK, at) != BLOCK)
		return -errno;
	w->wrong = w->wrong || !has(w->buf, value);
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t value;

	for (value = 1; !stop && !w->err; value++) {
		if (w->fd < 0)
			w->fd = open_file(w->index);
		w->err = w->fd < 0 ? w->fd : one_write(w, value);
		if (reopen && w->fd >= 0) {
			close(w->fd);
			w->fd = -1;
		}
		w->done++;
		if (reopen)
			usleep((useconds_t)(value % 4) * pause_us);
	}
	return NULL;
}

static void *map_state(const char *name, bool create)
{
	size_t size = THREADS_MOST * BLOCKS * sizeof(struct promise);
	int fd = open(name, O_RDWR | (create ? O_CREAT | O_TRUNC : 0), 0600);
	void *addr;

	if (fd < 0 || ftruncate(fd, (off_t)size)) {
		perror(name);
		exit(99);
	}
	addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (addr == MAP_FAILED)
		exit(99);
	return addr;
}

static int run(const char *state, unsigned int threads)
{
	static struct worker workers[THREADS_MOST];
	struct sigaction act = { .sa_handler = on_term };
	unsigned int i;
	int ret = 0;

	if (!threads || threads > THREADS_MOST)
		return 99;
	sigaction(SIGTERM, &act, NULL);
	promises = map_state(state, true);
	for (i = 0; i < threads; i++) {
		workers[i].index = i;
		workers[i].fd = reopen ? -1 : open_file(i);
		if (workers[i].fd < 0 && !reopen) {
			fprintf(stderr, "load: %s: %s\n", path,
				strerror(-workers[i].fd));
			return 99;
		}
		if (posix_memalign(&workers[i].buf, BLOCK, BLOCK))
			return 99;
	}
	puts("running");
	fflush(stdout);
	for (i = 0; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 99;
	for (i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		printf("thread %u: %lu: %s%s\n", i, workers[i].done,
		       workers[i].err ? strerrorname_np(-workers[i].err) : "ok",
		       workers[i].wrong ? ": read back something else" : "");
		if (workers[i].wrong)
			ret = 1;
	}
	return ret;
}

static int check(const char *image, const char *state)
{
	int fd = open(image, O_RDONLY), ret = 0;
	uint64_t buf[BLOCK / sizeof(uint64_t)];
	unsigned int i;

	promises = map_state(state, false);
	if (fd < 0) {
		perror(image);
		return 99;
	}
	for (i = 0; i < THREADS_MOST * BLOCKS; i++) {
		struct promise *p = &promises[i];

		if (!p->acked)
			continue;
		if (pread(fd, buf, BLOCK, (off_t)i * BLOCK) != BLOCK)
			return 99;
		if (has(buf, buf[0]) && buf[0] >= p->acked &&
		    buf[0] <= p->tried)
			continue;
		printf("block %u: acknowledged %llu, tried %llu, is %llu%s\n",
		       i, (unsigned long long)p->acked,
		       (unsigned long long)p->tried,
		       (unsigned long long)buf[0],
		       has(buf, buf[0]) ? "" : " and others");
		ret = 1;
	}
	return ret;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "run") && !strcmp(argv[2], "-o")) {
		reopen = true;
		argv++;
		argc--;
		argv[1] = argv[0];
	}
	if (argc == 4 && !strcmp(argv[1], "check"))
		return check(argv[2], argv[3]);
	if (argc != 5) {
		fprintf(stderr, "usage: load run [-o] FILE STATE THREADS\n"
				"       load check IMAGE STATE\n");
		return 99;
	}
	path = argv[2];
	if (getenv("LOAD_PAUSE"))
		pause_us = (unsigned int)atoi(getenv("LOAD_PAUSE"));
	return run(argv[3], (unsigned int)strtoul(argv[4], NULL, 10));
}
