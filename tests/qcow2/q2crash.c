/*
 * q2crash IMAGE [option=value]...: runs random requests on a copy of the
 * image in memory, then crashes: rebuilds its files as of many times in many
 * ways (journal.h), and holds each against the specification (check.h) and
 * against what the guest was promised (history.h). A part of them is opened
 * by the driver again, which must not change what the guest reads; a part is
 * given to qemu-img check. The storage may have failed for a while before.
 *
 * A bad image is saved as crash-SEED-POINT.img in the current directory; the
 * same command line finds it again. Exit code: 0 fine, 1 not, 2 usage.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "check.h"
#include "history.h"
#include "journal.h"
#include "loop/log.h"
#include "loop/size.h"
#include "unseen.h"

static const char usage[] =
	"usage: q2crash IMAGE [option=value]...\n"
	"  seed=1 ops=200 depth=8 points=1000 cluster=64k align=1\n"
	"  resize=0 growable=0 max-size=SIZE max-len=SIZE flush=10\n"
	"  metadata-cache=0 reopen=8 (of 100 points) qemu=0 (points)\n"
	"  format=qcow2 only=POINT verbose=0\n"
	"  rounds=2 (the next begins with one of the crashed images)\n"
	"  all=0 (1: every subset of what a crash may lose, if they are few)\n"
	"  device=0 (bytes behind the image; then the files keep their size,\n"
	"            and requests are whole sectors)\n"
	"  edges=0 (percent of requests of the kinds that can bring old bytes\n"
	"           back: zeros then a write, an end that moves a little)\n"
	"  fail=0 (1: somewhere in the run some I/Os in a row fail, no READs)\n"
	"  leaks=0 (1: an image that leaks is fine even after a close)\n"
	"  unseen=30 (percent of READs and WRITEs whose bytes have no address)\n"
	"  lie=0 (the files ignore flushes: then this must find something)\n";

#define AREA (8u << 20) /* bytes a request may have */

struct crash {
	struct block_options open;
	struct ops_options ops;
	struct uring uring;
	struct model model;
	struct history history;
	struct journal journal;
	struct memfile *image;
	uint64_t points, reopen, qemu, only, lie, rounds, all, leaks;
	uint64_t device, fail;
	uint64_t done, reopened, asked, writes, bad;
	uint64_t start, end; /* of time */
	struct memfile out[MEMDISK_FILES];
	struct memfile was[MEMDISK_FILES];
	struct memfile next[MEMDISK_FILES]; /* the next round's start */
	uint64_t seed; /* of the first round */
	uint64_t next_at; /* is made of that point */
	uint64_t number; /* of the point */
	char what[200]; /* it is */
	bool closed; /* the last round, without an error */
	uint64_t failures; /* of I/O */
};

static void complain(struct crash *c, const char *what, const char *detail)
{
	char name[64];
	FILE *f;

	if (c->bad++ >= 5)
		return;
	snprintf(name, sizeof(name), "crash-%" PRIu64 "-%" PRIu64 ".img",
		 c->seed, c->number);
	printf("WRONG: point %" PRIu64 " (%s): %s: %s; saved as %s\n",
	       c->number, c->what, what, detail, name);
	f = fopen(name, "w");
	if (!f)
		return;
	fwrite(c->out[c->image->index].data, 1, c->out[c->image->index].size,
	       f);
	fclose(f);
}

/* The files of the crash, by the names in the image; the last part counts. */
static bool resolve(void *arg, const char *name, struct qc_file *file)
{
	struct crash *c = arg;
	unsigned int i;

	for (i = 0; i < memdisk.count; i++) {
		const char *path = memdisk.files[i].path;
		const char *slash = strrchr(path, '/');

		if (strcmp(path, name) && (!slash || strcmp(slash + 1, name)))
			continue;
		file->data = c->out[i].data;
		file->size = c->out[i].size;
		return true;
	}
	return false;
}

static struct qc_image *parse(struct crash *c, const char **why)
{
	const struct memfile *f = &c->out[c->image->index];
	struct qc_file file = { f->data, f->size };

	return qc_open(&file, c->open.format, resolve, c, why);
}

static void check_data(struct crash *c, const struct qc_image *img,
		       uint64_t time)
{
	uint64_t flushed = history_flushed(&c->history, time), s;
	uint8_t sector[512];
	char text[160];

	/* A raw file may have grown by part of a write. */
	if (!img->raw &&
	    !history_allows_size(&c->history, img->size, flushed, time)) {
		snprintf(text, sizeof(text), "%" PRIu64, img->size);
		complain(c, "size", text);
		return;
	}
	for (s = 0; s < c->history.sectors && s * 512 < img->size; s++) {
		if (!history_touched(&c->history, s) && s % 16)
			continue;
		if (!qc_read(img, sector, sizeof(sector), s * 512)) {
			snprintf(text, sizeof(text), "guest sector %" PRIu64,
				 s);
			complain(c, "not readable", text);
			return;
		}
		if (history_allows(&c->history, s, history_hash(sector),
				   flushed, time))
			continue;
		snprintf(text, sizeof(text),
			 "guest sector %" PRIu64 " (offset %#" PRIx64
			 ", flushed at %" PRIu64 ")",
			 s, s * 512, flushed);
		complain(c, "holds what it may not", text);
		return;
	}
}

static bool check_structure(struct crash *c, const struct qc_image *img,
			    bool leaks)
{
	struct qc_report r = { 0 };

	if (img->raw)
		return true;
	qc_check(img, &r);
	if (r.errors || (r.refcount_errors && !img->dirty))
		complain(c, "image has errors", r.first);
	else if (r.leaks && !leaks)
		complain(c, "image leaks", r.first_leak);
	else if (img->external && img->autoclear & QC_RAW &&
		 img->data_file.size < img->size)
		complain(c, "the raw data file", "is shorter than the disk");
	else
		return true;
	return false;
}

/* The driver itself must take the image, and change nothing in it. */
static void reopen(struct crash *c, bool dirty)
{
	struct memdisk saved = memdisk;
	struct block *b;
	const char *why = NULL;
	struct qc_image *img, *was;
	uint8_t one[4096], two[4096];
	uint64_t at, size;
	unsigned int i;
	int ret;

	for (i = 0; i < memdisk.count; i++) {
		memdisk.files[i].data = NULL;
		memdisk.files[i].size = memdisk.files[i].room = 0;
		memfile_write(&memdisk.files[i], c->out[i].data, c->out[i].size,
			      0);
	}
	memdisk.journal = NULL;
	memdisk.fail_at = 0;
	b = block_open(&c->uring, &c->open);
	if (!b) {
		complain(c, "does not open again", dirty ? "dirty" : "");
	} else {
		size = b->size;
		/* Something must change for a close to have work. */
		ret = block_pread(b, one, 512, size / 2 & ~511ULL);
		if (!ret)
			ret = block_pwrite(b, one, 512, size / 2 & ~511ULL);
		if (ret && !(c->device && ret == -ENOSPC))
			complain(c, "opened again", "write failed");
		if (block_close(b))
			complain(c, "opened again", "close failed");
		was = parse(c, &why);
		for (i = 0; i < memdisk.count; i++) {
			c->was[i] = c->out[i];
			c->out[i] = memdisk.files[i];
		}
		img = parse(c, &why);
		if (!img)
			complain(c, "after opening again", why);
		else if (img->dirty)
			complain(c, "after opening again", "dirty");
		else
			check_structure(c, img, true);
		for (at = 0; img && was && at < size; at += sizeof(one)) {
			if (qc_read(img, one, sizeof(one), at) &&
			    qc_read(was, two, sizeof(two), at) &&
			    !memcmp(one, two, sizeof(one)))
				continue;
			complain(c, "opening again", "changed what it reads");
			break;
		}
		qc_close(img);
		qc_close(was);
		for (i = 0; i < memdisk.count; i++)
			c->out[i] = c->was[i];
		c->reopened++;
	}
	for (i = 0; i < memdisk.count; i++)
		free(memdisk.files[i].data);
	memdisk = saved;
}

static void ask_qemu(struct crash *c)
{
	const struct memfile *f = &c->out[c->image->index];
	FILE *out = fopen("crash.tmp", "w");
	int rc;

	if (!out)
		return;
	fwrite(f->data, 1, f->size, out);
	fclose(out);
	rc = system("qemu-img check -q -f qcow2 crash.tmp >/dev/null 2>&1");
	rc = WIFEXITED(rc) ? WEXITSTATUS(rc) : 255;
	c->asked++;
	if (rc != 0 && rc != 3)
		complain(c, "qemu-img check finds errors", "");
}

static void crash_at(struct crash *c, uint64_t time, enum journal_policy policy)
{
	struct rng rng = { c->seed * 1000003 + c->number };
	struct qc_image *img;
	const char *why;
	uint64_t bad = c->bad;
	unsigned int i;
	bool dirty;

	snprintf(c->what, sizeof(c->what), "time %" PRIu64 ", policy %d", time,
		 (int)policy);
	for (i = 0; i < memdisk.count; i++)
		journal_crash(&c->journal, i, time, policy, &rng, &c->out[i]);
	c->done++;
	img = parse(c, &why);
	if (!img) {
		complain(c, "cannot be parsed", why);
		return;
	}
	dirty = img->dirty;
	if (check_structure(c, img, true))
		check_data(c, img, time);
	qc_close(img);
	if (c->bad == bad &&
	    (dirty ? rng_chance(&rng, 1, 4) : rng_chance(&rng, c->reopen, 100)))
		reopen(c, dirty);
	if (c->bad == bad && !dirty && c->qemu &&
	    rng_below(&rng, c->points) < c->qemu)
		ask_qemu(c);
}

static void copy_files(struct memfile *to, const struct memfile *from)
{
	unsigned int i;

	for (i = 0; i < memdisk.count; i++) {
		memfile_truncate(&to[i], 0);
		memfile_write(&to[i], from[i].data, from[i].size, 0);
	}
}

/* For short runs: every subset, or 128 of them, at every time. */
static void crash_each(struct crash *c)
{
	struct rng rng = { c->seed };
	uint64_t time, mask, n;
	unsigned int open;

	for (time = c->start; time <= c->end; time++) {
		journal_advance(&c->journal, time);
		open = journal_open(&c->journal, time);
		n = open > 7 ? 128 : 1ULL << open;
		for (mask = 0; mask < n; mask++, c->number++) {
			c->journal.mask = open > 7 ? rng_next(&rng) : mask;
			if (c->only == UINT64_MAX || c->only == c->number)
				crash_at(c, time, POLICY_MASK);
		}
	}
}

static void crash_all(struct crash *c)
{
	uint64_t first = c->number;
	uint64_t events = c->end - c->start + 1, time, was = 0;

	for (; c->number < first + c->points; c->number++) {
		enum journal_policy policy = c->number % (2 * POLICIES);

		/* Torn and lost writes find more than whole prefixes. */
		if (policy >= POLICIES)
			policy =
				POLICY_HALF + policy % (POLICIES - POLICY_HALF);
		time = c->start + (c->number - first) * events / c->points;
		if (c->only != UINT64_MAX && c->number != c->only &&
		    c->number != c->next_at)
			continue;
		if (time != was)
			journal_advance(&c->journal, time);
		was = time;
		crash_at(c, time, policy);
		if (c->number == c->next_at)
			copy_files(c->next, c->out);
	}
}

static void end_of_request(struct ops *ops, struct ops_slot *slot)
{
	history_end(ops, slot);
	if (ops->opt.verbose)
		printf("time %" PRIu64 " to %" PRIu64 " ",
		       (uint64_t)(uintptr_t)slot->user, memdisk.now);
}

/* Writes and flushes of metadata, too; then it goes on as if nothing were. */
static void fail_somewhere(struct crash *c)
{
	static const int kinds[] = { EIO, ENOSPC, 0 };
	static const uint64_t counts[] = { 1, 1, 2, 4, 30 };
	struct rng rng = { c->ops.seed * 31 + 7 };

	memdisk.fail_with = kinds[rng_below(&rng, 3)];
	memdisk.fail_count = counts[rng_below(&rng, 5)];
	memdisk.fail_at = memdisk.ios + 1 + rng_below(&rng, 2 * c->ops.count);
	memdisk.spare_reads = true;
}

static bool run(struct crash *c)
{
	struct block *b = block_open(&c->uring, &c->open);
	uint64_t begin, at;
	int ret;
	struct ops ops;
	uint8_t buf[4096];

	if (!b) {
		printf("WRONG: %s does not open\n", c->open.path);
		return false;
	}
	/* What is there at the start is the model's start. */
	c->model.size = b->size;
	for (at = 0; at < b->size; at += sizeof(buf)) {
		uint64_t n = b->size - at;

		if (n > sizeof(buf))
			n = sizeof(buf);
		if (block_pread(b, buf, n, at))
			printf("WRONG: not readable at %" PRIu64 "\n", at);
		model_write(&c->model, buf, n, at);
	}
	if (!c->ops.max_size)
		c->ops.max_size = b->size;
	if (c->ops.verbose)
		printf("a round begins: size %" PRIu64 ", time %" PRIu64 "\n",
		       b->size, memdisk.now);
	history_init(&c->history, &c->model, c->ops.max_size);
	/* Whatever opening wrote belongs to the journal as well. */
	ops_init(&ops, b, &c->model, &c->ops);
	ops.begin = history_begin;
	ops.end = end_of_request;
	ops.user = &c->history;
	memdisk.failed = 0;
	if (c->fail)
		fail_somewhere(c);
	ops_run(&ops);
	begin = ++memdisk.now;
	ret = block_close(b);
	memdisk.fail_at = 0;
	if (ret && !memdisk.failed) {
		printf("WRONG: close failed\n");
		ops.bad++;
	}
	if (!ret)
		history_flush(&c->history, begin, ++memdisk.now);
	c->closed = !ret;
	c->failures += memdisk.failed;
	c->end = memdisk.now;
	return !ops.bad;
}

/* After a clean close there is no leak either, if nothing has failed. */
static void check_end(struct crash *c, bool leaks)
{
	struct qc_image *img;
	const char *why;

	snprintf(c->what, sizeof(c->what), "the end");
	copy_files(c->out, memdisk.files);
	img = parse(c, &why);
	if (!img)
		complain(c, "cannot be parsed", why);
	else if (img->dirty && c->closed)
		complain(c, "after a clean close", "dirty");
	else if (check_structure(c, img, leaks))
		check_data(c, img, c->end);
	qc_close(img);
}

static bool set(struct crash *c, const char *name, uint64_t n)
{
	if (!strcmp(name, "seed"))
		c->ops.seed = n;
	else if (!strcmp(name, "ops"))
		c->ops.count = n;
	else if (!strcmp(name, "depth"))
		c->ops.depth = (unsigned int)n;
	else if (!strcmp(name, "cluster"))
		c->ops.cluster = (uint32_t)n;
	else if (!strcmp(name, "align"))
		c->ops.align = (uint32_t)n;
	else if (!strcmp(name, "resize"))
		c->ops.resize_weight = (unsigned int)n;
	else if (!strcmp(name, "flush"))
		c->ops.flush_weight = (unsigned int)n;
	else if (!strcmp(name, "growable"))
		c->ops.growable = c->open.growable = n;
	else if (!strcmp(name, "max-size"))
		c->ops.max_size = n;
	else if (!strcmp(name, "max-len"))
		c->ops.max_len = (uint32_t)n;
	else if (!strcmp(name, "metadata-cache"))
		c->open.metadata_cache = n;
	else if (!strcmp(name, "points"))
		c->points = n;
	else if (!strcmp(name, "reopen"))
		c->reopen = n;
	else if (!strcmp(name, "qemu"))
		c->qemu = n;
	else if (!strcmp(name, "only"))
		c->only = n;
	else if (!strcmp(name, "rounds"))
		c->rounds = n;
	else if (!strcmp(name, "leaks"))
		c->leaks = n;
	else if (!strcmp(name, "all"))
		c->all = n;
	else if (!strcmp(name, "device"))
		c->device = n;
	else if (!strcmp(name, "lie"))
		c->lie = n;
	else if (!strcmp(name, "fail"))
		c->fail = n;
	else if (!strcmp(name, "edges"))
		c->ops.edges = (unsigned int)n;
	else if (!strcmp(name, "unseen"))
		c->ops.unseen = (unsigned int)n;
	else if (!strcmp(name, "verbose"))
		c->ops.verbose = n;
	else
		return false;
	return true;
}

static void parse_arguments(struct crash *c, int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fputs(usage, stderr);
		exit(2);
	}
	c->open.path = argv[1];
	for (i = 2; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		uint64_t n;

		if (value)
			*value++ = 0;
		if (value && !strcmp(argv[i], "format")) {
			c->open.format = value;
		} else if (!value || size_parse(value, &n) ||
			   !set(c, argv[i], n)) {
			fprintf(stderr, "q2crash: '%s'?\n%s", argv[i], usage);
			exit(2);
		}
	}
}

/* A run, and its crashes. */
static bool one_round(struct crash *c, uint64_t number)
{
	struct rng rng = { c->ops.seed + number };
	bool ran;

	model_init(&c->model, NULL);
	journal_start(&c->journal);
	memdisk.journal = &c->journal;
	memdisk.lie = c->lie;
	c->start = memdisk.now + 1;
	ran = run(c);
	memdisk.journal = NULL;
	/* What a crash has leaked stays so. */
	check_end(c, number > 0 || c->leaks || memdisk.failed);
	c->next_at = c->number + rng_below(&rng, c->points);
	if (!c->bad && c->all)
		crash_each(c);
	else if (!c->bad)
		crash_all(c);
	c->writes += c->journal.count;
	journal_free(&c->journal);
	history_free(&c->history);
	model_free(&c->model);
	c->ops.seed += 1000003;
	return ran;
}

int main(int argc, char **argv)
{
	static struct crash c = { .open.format = "qcow2",
				  .ops = { .seed = 1,
					   .count = 200,
					   .unit = 512,
					   .flush_weight = 10,
					   .unseen = 30 },
				  .points = 1000,
				  .reopen = 8,
				  .rounds = 2,
				  .only = UINT64_MAX };
	bool ran = true;
	uint64_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_arguments(&c, argc, argv);
	if (c.all)
		c.rounds = 1;
	if (uring_init_emulated(&c.uring, 64))
		return 2;
	if (c.ops.unseen)
		c.open.bounce = unseen_attach(&c.uring, AREA, c.ops.seed);
	c.seed = c.ops.seed;
	memdisk_reset(c.ops.seed);
	memdisk_install();
	c.image = memdisk_get(c.open.path);
	if (!c.image)
		return 2;
	/* Opening finds the other files; they belong to the start, too. */
	if (block_close(block_open(
		    &c.uring, &(struct block_options){ .path = c.open.path,
						       .format = c.open.format,
						       .read_only = true })))
		return 2;
	c.image = &memdisk.files[0];
	if (c.device) {
		memfile_truncate(c.image, c.image->size + c.device);
		memdisk.devices = true;
		c.ops.faults = true;
		c.ops.align = 512;
	}
	if (c.fail) {
		/* Else a sector could be a mix of what failed and what did not. */
		c.ops.faults = c.ops.reads_work = true;
		c.ops.align = 512;
	}
	for (i = 0; i < c.rounds && !c.bad; i++) {
		if (i)
			copy_files(memdisk.files, c.next);
		ran &= one_round(&c, i);
	}
	printf("%" PRIu64 " points, %" PRIu64 " opened again, %" PRIu64
	       " by qemu-img, %" PRIu64 " bad (%" PRIu64
	       " writes and flushes, %" PRIu64 " failed)\n",
	       c.done, c.reopened, c.asked, c.bad, c.writes, c.failures);
	return c.bad || !ran;
}
