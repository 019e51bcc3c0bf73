/*
 * q2fail IMAGE [option=value]...: the same random run on a copy of the image
 * in memory, again and again: the first I/O below the driver fails, then the
 * second, and so on to the last. Each time requests that met the failure may
 * fail; what comes later must work; what succeeded must read back; and the
 * file that is left must have no error (leaks are allowed).
 *
 * Exit code: 0 fine, 1 not, 2 usage.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "loop/log.h"
#include "loop/size.h"
#include "memdisk.h"
#include "ops.h"
#include "unseen.h"

static const char usage[] =
	"usage: q2fail IMAGE [option=value]...\n"
	"  seed=1 ops=60 depth=8 cluster=64k points=0 (0: every I/O)\n"
	"  resize=0 growable=0 max-size=SIZE max-len=SIZE flush=10\n"
	"  metadata-cache=0 only=I/O format=qcow2 verbose=0 write-through=0\n"
	"  device=0 (bytes behind the image; then the files keep their size)\n"
	"  reads=0 (1: READs below do not fail, so those above must not)\n"
	"  unseen=30 (percent of READs and WRITEs whose bytes have no address)\n";

#define AREA (8u << 20) /* bytes a request may have */

struct fail {
	struct block_options open;
	struct ops_options ops;
	struct uring uring;
	struct memfile start[MEMDISK_FILES]; /* as they were */
	unsigned int files;
	uint64_t device;
	uint64_t points, only, runs, guest_errors, not_opened, not_closed;
	uint64_t at, bad;
	int with; /* errno, or 0: a short write */
	uint64_t count; /* of I/Os in a row */
};

__attribute__((format(printf, 2, 3))) static void complain(struct fail *f,
							   const char *fmt, ...)
{
	va_list ap;

	if (f->bad++ >= 10)
		return;
	printf("WRONG: I/O %" PRIu64 "+%" PRIu64 " fails with %d: ", f->at,
	       f->count, f->with);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static bool resolve(void *arg, const char *name, struct qc_file *file)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < memdisk.count; i++) {
		const char *path = memdisk.files[i].path;
		const char *slash = strrchr(path, '/');

		if (strcmp(path, name) && (!slash || strcmp(slash + 1, name)))
			continue;
		file->data = memdisk.files[i].data;
		file->size = memdisk.files[i].size;
		return true;
	}
	return false;
}

static void check_data(struct fail *f, const struct qc_image *img,
		       struct model *m)
{
	uint8_t buf[4096];
	uint64_t at, n, size = img->size < m->size ? img->size : m->size;

	for (at = 0; at < size; at += n) {
		n = size - at < sizeof(buf) ? size - at : sizeof(buf);
		if (!qc_read(img, buf, n, at)) {
			complain(f, "not readable at %" PRIu64, at);
			return;
		}
		if (model_compare(m, buf, n, at) < 0)
			continue;
		complain(f, "the image differs at %" PRIu64,
			 at + (uint64_t)model_compare(m, buf, n, at));
		return;
	}
}

static void check_image(struct fail *f, struct model *m, bool closed)
{
	struct qc_file file = { memdisk.files[0].data, memdisk.files[0].size };
	struct qc_report r = { 0 };
	struct qc_image *img;
	const char *why;

	img = qc_open(&file, f->open.format, resolve, NULL, &why);
	if (!img) {
		complain(f, "the image cannot be parsed: %s", why);
		return;
	}
	if (!img->raw)
		qc_check(img, &r);
	if (r.errors || (r.refcount_errors && !img->dirty))
		complain(f, "the image has errors: %s", r.first);
	else if (closed && m)
		check_data(f, img, m);
	qc_close(img);
}

static void put_back(struct fail *f)
{
	unsigned int i;

	memdisk_reset(f->ops.seed);
	memdisk.devices = f->device;
	for (i = 0; i < f->files; i++)
		memdisk_put(f->start[i].path, f->start[i].data,
			    f->start[i].size);
}

static void load_model(struct fail *f, struct model *m)
{
	struct qc_file file = { memdisk.files[0].data, memdisk.files[0].size };
	const char *why;
	struct qc_image *img =
		qc_open(&file, f->open.format, resolve, NULL, &why);
	uint8_t buf[4096];
	uint64_t at;

	if (!img) {
		fprintf(stderr, "q2fail: %s: %s\n", f->open.path, why);
		exit(2);
	}
	model_init(m, NULL);
	m->size = img->size;
	for (at = 0; at < img->size; at += sizeof(buf)) {
		if (!qc_read(img, buf, sizeof(buf), at)) {
			fprintf(stderr, "q2fail: %s: not readable\n",
				f->open.path);
			exit(2);
		}
		model_write(m, buf, sizeof(buf), at);
	}
	qc_close(img);
}

static bool is_over(const struct fail *f)
{
	return f->at && memdisk.ios >= f->at + f->count;
}

/* One run with I/O f->at failing; 0: none. Returns how many I/Os it took. */
static uint64_t run(struct fail *f)
{
	struct ops ops;
	struct model m;
	struct block *b;
	uint64_t ios;
	int ret;

	put_back(f);
	load_model(f, &m);
	memdisk.fail_at = f->at;
	memdisk.fail_count = f->count;
	memdisk.fail_with = f->with;
	memdisk.spare_reads = f->ops.reads_work;
	f->runs++;
	b = block_open(&f->uring, &f->open);
	if (!b) {
		f->not_opened++;
		if (!memdisk.failed)
			complain(f, "does not open");
		check_image(f, &m, false);
		model_free(&m);
		return memdisk.ios;
	}
	ops_init(&ops, b, &m, &f->ops);
	ops.opt.faults = f->at != 0 || f->device;
	ops_run(&ops);
	/* On with the service: no error any more, if it is all over. */
	ops.opt.faults = (f->at && !is_over(f)) || f->device;
	ops.opt.count += 40;
	ops_run(&ops);
	if (!f->at || is_over(f))
		ops_verify(&ops);
	f->guest_errors += ops.errors_seen;
	ret = block_close(b);
	if (ret && !memdisk.failed)
		complain(f, "close: %s", strerror(-ret));
	f->not_closed += ret != 0;
	ios = memdisk.ios;
	if (ops.bad)
		complain(f, "%u requests went wrong", ops.bad);
	check_image(f, &m, !ret);
	model_free(&m);
	return ios;
}

static void run_all(struct fail *f)
{
	static const int kinds[] = { EIO, ENOSPC, 0 };
	static const uint64_t counts[] = { 1, 1, 1, 4, 30, 1000000 };
	uint64_t ios, step = 1, k, n = 0;

	f->at = 0;
	ios = run(f);
	if (f->bad)
		return;
	if (f->points && ios > f->points)
		step = ios / f->points;
	for (k = 1; k <= ios; k += step, n++) {
		f->at = k;
		f->with = kinds[n % 3];
		f->count = counts[n / 3 % 6];
		if (!f->only || f->only == k)
			run(f);
	}
}

static bool set(struct fail *f, const char *name, uint64_t n)
{
	if (!strcmp(name, "seed"))
		f->ops.seed = n;
	else if (!strcmp(name, "ops"))
		f->ops.count = n;
	else if (!strcmp(name, "depth"))
		f->ops.depth = (unsigned int)n;
	else if (!strcmp(name, "cluster"))
		f->ops.cluster = (uint32_t)n;
	else if (!strcmp(name, "resize"))
		f->ops.resize_weight = (unsigned int)n;
	else if (!strcmp(name, "flush"))
		f->ops.flush_weight = (unsigned int)n;
	else if (!strcmp(name, "growable"))
		f->ops.growable = f->open.growable = n;
	else if (!strcmp(name, "max-size"))
		f->ops.max_size = n;
	else if (!strcmp(name, "max-len"))
		f->ops.max_len = (uint32_t)n;
	else if (!strcmp(name, "write-through"))
		f->open.write_through = n;
	else if (!strcmp(name, "metadata-cache"))
		f->open.metadata_cache = n;
	else if (!strcmp(name, "device"))
		f->device = n;
	else if (!strcmp(name, "points"))
		f->points = n;
	else if (!strcmp(name, "only"))
		f->only = n;
	else if (!strcmp(name, "reads"))
		f->ops.reads_work = n;
	else if (!strcmp(name, "unseen"))
		f->ops.unseen = (unsigned int)n;
	else if (!strcmp(name, "verbose"))
		f->ops.verbose = n;
	else
		return false;
	return true;
}

static void quiet(const char *line)
{
	(void)line;
}

static void parse_arguments(struct fail *f, int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fputs(usage, stderr);
		exit(2);
	}
	f->open.path = argv[1];
	for (i = 2; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		uint64_t n;

		if (value)
			*value++ = 0;
		if (value && !strcmp(argv[i], "format")) {
			f->open.format = value;
		} else if (!value || size_parse(value, &n) ||
			   !set(f, argv[i], n)) {
			fprintf(stderr, "q2fail: '%s'?\n%s", argv[i], usage);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	static struct fail f = { .open.format = "qcow2",
				 .ops = { .seed = 1,
					  .count = 60,
					  .flush_weight = 10,
					  .unseen = 30 } };
	struct block *b;
	unsigned int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_arguments(&f, argc, argv);
	if (uring_init_emulated(&f.uring, 64))
		return 2;
	if (f.ops.unseen)
		f.open.bounce = unseen_attach(&f.uring, AREA, f.ops.seed);
	memdisk_reset(1);
	memdisk_install();
	log_set_tap(quiet);
	if (!memdisk_get(f.open.path))
		return 2;
	/* Opening it finds its other files. */
	b = block_open(&f.uring,
		       &(struct block_options){ .path = f.open.path,
						.format = f.open.format,
						.read_only = true });
	if (!b || block_close(b))
		return 2;
	f.files = memdisk.count;
	for (i = 0; i < f.files; i++) {
		f.start[i].path = strdup(memdisk.files[i].path);
		memfile_write(&f.start[i], memdisk.files[i].data,
			      memdisk.files[i].size, 0);
	}
	memfile_truncate(&f.start[0], f.start[0].size + f.device);
	run_all(&f);
	printf("%" PRIu64 " runs, %" PRIu64 " requests failed, %" PRIu64
	       " not opened, %" PRIu64 " closed with an error, %" PRIu64
	       " bad\n",
	       f.runs, f.guest_errors, f.not_opened, f.not_closed, f.bad);
	return f.bad != 0;
}
