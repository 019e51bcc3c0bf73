#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "memdisk.h"

static struct uring ring;

static uint8_t bytes[FUZZ_BATCH][FUZZ_MAX_LEN];
static struct statx stx[FUZZ_BATCH];
static unsigned int running;

static char dir[] = "/tmp/fuzz-qcow2.XXXXXX";
static char paths[3][64];

static void remove_files(void)
{
	unlink(paths[0]);
	unlink(paths[1]);
	unlink(paths[2]);
	rmdir(dir);
}

/* The driver looks whether files exist; what is in them is in memory. */
static void make_files(void)
{
	static const char *const names[] = { "fuzz.img", "base.raw",
					     "data.raw" };
	unsigned int i;

	if (!mkdtemp(dir))
		abort();
	for (i = 0; i < 3; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, names[i]);
		close(open(paths[i], O_CREAT | O_WRONLY, 0600));
	}
	atexit(remove_files);
}

const char *fuzz_image(void)
{
	return paths[0];
}

static void put_files(const uint8_t *image, size_t size)
{
	static uint8_t base[40000];

	memset(base, 0x5a, sizeof(base));
	memdisk_put(paths[0], image, size);
	memdisk_put(paths[1], base, sizeof(base));
	memdisk_put(paths[2], base, sizeof(base));
}

struct block *fuzz_open(const uint8_t *image, size_t size, uint64_t seed,
			uint64_t cache)
{
	struct block_options opt = { .path = paths[0],
				     .format = "qcow2",
				     .backing_format = "raw",
				     .no_lock = true,
				     .metadata_cache = cache };

	if (!ring.emulated) {
		if (uring_init_emulated(&ring, 64))
			abort();
		memdisk_install();
		make_files();
	}
	memdisk_reset(seed);
	memdisk.no_host = true;
	memdisk.max_size = 2 << 20;
	put_files(image, size);
	return block_open(&ring, &opt);
}

static void done(struct block_req *req)
{
	(void)req;
	running--;
}

void fuzz_run(struct block *b, const struct fuzz_request *list, unsigned int n)
{
	struct block_req reqs[FUZZ_BATCH];
	unsigned int i;

	for (i = 0; i < n && i < FUZZ_BATCH; i++) {
		reqs[i] = (struct block_req){ .type = list[i].type,
					      .flags = list[i].flags,
					      .offset = list[i].offset,
					      .length = list[i].length,
					      .buf = bytes[i],
					      .done = done };
		if (list[i].type == BLOCK_STAT)
			reqs[i].buf = &stx[i];
		if (list[i].type == BLOCK_READ || list[i].type == BLOCK_WRITE)
			reqs[i].length %= FUZZ_MAX_LEN + 1;
		if (reqs[i].type == BLOCK_WRITE)
			memset(bytes[i], 'A' + (int)i, reqs[i].length);
		running++;
		block_submit(b, &reqs[i]);
	}
	while (running) {
		if (!uring_has_work(&ring)) {
			fprintf(stderr, "a request hangs\n");
			abort();
		}
		uring_drain(&ring);
	}
}
