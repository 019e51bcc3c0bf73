/*
 * From the outside of the loop: an image is opened, by the driver that its
 * format asks for, and closed; and requests are run to their end.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/block.h"
#include "block/drivers.h"
#include "block/fault.h"
#include "block/foreign.h"
#include "loop/log.h"
#include "loop/progress.h"

static const struct block_driver *drivers[] = {
	&block_raw,
	&block_null,
	&block_qcow2,
};

const struct block_driver *block_substitute(const char *name,
					    const struct block_driver *driver)
{
	const struct block_driver *was = NULL;
	size_t i;

	for (i = 0; i < sizeof(drivers) / sizeof(*drivers); i++) {
		if (strcmp(name, drivers[i]->name))
			continue;
		was = drivers[i];
		drivers[i] = driver;
	}
	return was;
}

/*
 * What does the file look like? Errors are for the driver's open to tell. NULL
 * if it is no disk for us (logged).
 */
static const char *probe(const char *path)
{
	static const char qcow2[4] = { 'Q', 'F', 'I', '\xfb' };
	const char *name = "raw";
	char magic[sizeof(qcow2)];
	struct stat st;
	int fd;

	if (!strncmp(path, "null:", 5))
		return "null";
	/* Opening anything else might wait, or do something. */
	if (stat(path, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return name;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return name;
	if (foreign_refuses(fd, path))
		name = NULL;
	else if (pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
		 !memcmp(magic, qcow2, sizeof(magic)))
		name = "qcow2";
	close(fd);
	return name;
}

static const struct block_driver *choose(struct block_options *opt)
{
	const char *name = opt->format;
	size_t i;

	if (!strcmp(name, "auto")) {
		name = probe(opt->path);
		if (!name)
			return NULL;
		opt->probed = !strcmp(name, "qcow2");
	}
	for (i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
		if (!strcmp(name, drivers[i]->name))
			return drivers[i];
	log_warnx("%s: unknown format '%s'", opt->path, opt->format);
	return NULL;
}

/* The image itself would be exported in its place. */
static bool lacks_snapshot(const struct block *b)
{
	if (!b->opt.snapshot || b->driver == &block_qcow2)
		return false;
	log_warnx("%s: --snapshot: it is taken for %s, which has none; "
		  "--format=qcow2 if it is one",
		  b->opt.path, b->driver->name);
	return true;
}

struct block *block_open(struct uring *u, const struct block_options *opt)
{
	struct block *b = calloc(1, sizeof(*b));

	if (!b) {
		log_warnx("%s: open: out of memory", opt->path);
		return NULL;
	}
	b->uring = u;
	b->opt = *opt;
	b->buf_align = 1;
	b->write_seq = !opt->read_only;
	b->driver = choose(&b->opt);
	if (!b->driver || lacks_snapshot(b) || b->driver->open(b)) {
		free(b);
		return NULL;
	}
	return b;
}

static void finish_in_flight(struct block *b)
{
	while (b->in_flight && !b->uring->lost)
		uring_wait(b->uring);
}

int block_close(struct block *b)
{
	struct block_req flush = { .type = BLOCK_FLUSH };
	int ret, err;

	if (!b)
		return 0;
	progress(b, b->opt.path, "writing back what is left", 0, 0);
	b->closing = true;
	block_stop(b);
	b->last_flush = &flush;
	finish_in_flight(b);
	err = (int)block_run(b, &flush);
	block_flushed_last(b, err);
	if (err)
		log_warnx("%s: flush: %s: what was written last may be lost",
			  b->opt.path, strerror(-err));
	ret = b->driver->close(b);
	if (!err)
		err = ret;
	if (!err && b->flush_failed)
		err = -EIO;
	progress_end(b);
	fault_forget(b);
	free(b);
	return err;
}

void block_count(const struct block *b, struct block_counters *c)
{
	*c = (struct block_counters){ 0 };
	if (b->driver->count)
		b->driver->count(b, c);
}

static void run_done(struct block_req *req)
{
	*(bool *)req->user = true;
}

int64_t block_run(struct block *b, struct block_req *req)
{
	bool over = false;

	req->done = run_done;
	req->user = &over;
	block_submit(b, req);
	while (!over && !b->uring->lost)
		uring_wait(b->uring);
	return over ? req->result : -EIO;
}

int block_pread(struct block *b, void *buf, uint64_t len, uint64_t offset)
{
	struct block_req req = {
		.type = BLOCK_READ, .offset = offset, .length = len, .buf = buf
	};
	int64_t ret = block_run(b, &req);

	if (ret < 0)
		return (int)ret;
	return (uint64_t)ret == len ? 0 : -EIO;
}

int block_pwrite(struct block *b, const void *buf, uint64_t len,
		 uint64_t offset)
{
	struct block_req req = {
		.type = BLOCK_WRITE,
		.offset = offset,
		.length = len,
		.buf = (void *)(uintptr_t)buf,
	};
	int64_t ret = block_run(b, &req);

	if (ret < 0)
		return (int)ret;
	return (uint64_t)ret == len ? 0 : -ENOSPC;
}
