/*
 * q2test IMAGE [option=value]...: random requests to an image through the
 * block layer, held against a model. The command line and its seed repeat a
 * run. Exit code: 0 fine, 1 something was wrong, 2 the image did not open.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/log.h"
#include "loop/size.h"
#include "ops.h"
#include "unseen.h"

static const char usage[] =
	"usage: q2test IMAGE [option=value]...\n"
	"  format=qcow2        seed=1             ops=1000\n"
	"  depth=8             growable=0         max-size=BYTES\n"
	"  max-len=256k        cluster=64k        align=1\n"
	"  model=FILE          raw: what the image reads as; brought up to date\n"
	"  snapshot=NAME       backing-format=F   metadata-cache=0\n"
	"  read-only=0         ring=emulated|real sparse=0\n"
	"  flush=8             resize=0           (weights, about percent)\n"
	"  cache=auto|direct|host                 rounds=1 (open and close)\n"
	"  unseen=30 (percent of READs and WRITEs whose bytes have no address;\n"
	"            not with ring=real)\n"
	"  no-backing=0        loose=0             verbose=0          trace=0\n";

#define AREA (8u << 20) /* bytes a request may have */

struct config {
	struct block_options open;
	struct ops_options ops;
	const char *model;
	bool real;
	unsigned int rounds;
};

static uint64_t number(const char *value)
{
	uint64_t n;

	if (size_parse(value, &n)) {
		fprintf(stderr, "q2test: '%s' is no number\n", value);
		exit(2);
	}
	return n;
}

static bool set_string(struct config *c, const char *name, const char *value)
{
	if (!strcmp(name, "format"))
		c->open.format = value;
	else if (!strcmp(name, "snapshot"))
		c->open.snapshot = value;
	else if (!strcmp(name, "backing-format"))
		c->open.backing_format = value;
	else if (!strcmp(name, "model"))
		c->model = value;
	else if (!strcmp(name, "ring"))
		c->real = !strcmp(value, "real");
	else if (!strcmp(name, "cache"))
		c->open.cache = !strcmp(value, "direct") ? BLOCK_CACHE_DIRECT
				: !strcmp(value, "host") ? BLOCK_CACHE_HOST
							 : BLOCK_CACHE_AUTO;
	else
		return false;
	return true;
}

static bool set_number(struct config *c, const char *name, uint64_t n)
{
	if (!strcmp(name, "seed"))
		c->ops.seed = n;
	else if (!strcmp(name, "ops"))
		c->ops.count = n;
	else if (!strcmp(name, "depth"))
		c->ops.depth = (unsigned int)n;
	else if (!strcmp(name, "growable"))
		c->ops.growable = c->open.growable = n;
	else if (!strcmp(name, "max-size"))
		c->ops.max_size = n;
	else if (!strcmp(name, "max-len"))
		c->ops.max_len = (uint32_t)n;
	else if (!strcmp(name, "cluster"))
		c->ops.cluster = (uint32_t)n;
	else if (!strcmp(name, "align"))
		c->ops.align = (uint32_t)n;
	else if (!strcmp(name, "metadata-cache"))
		c->open.metadata_cache = n;
	else if (!strcmp(name, "read-only"))
		c->open.read_only = n;
	else if (!strcmp(name, "no-backing"))
		c->open.no_backing = n;
	else if (!strcmp(name, "sparse"))
		c->ops.sparse = n;
	else if (!strcmp(name, "flush"))
		c->ops.flush_weight = (unsigned int)n;
	else if (!strcmp(name, "resize"))
		c->ops.resize_weight = (unsigned int)n;
	else if (!strcmp(name, "unseen"))
		c->ops.unseen = (unsigned int)n;
	else if (!strcmp(name, "rounds"))
		c->rounds = (unsigned int)n;
	else if (!strcmp(name, "loose"))
		c->ops.loose = n;
	else if (!strcmp(name, "verbose"))
		c->ops.verbose = n;
	else if (!strcmp(name, "trace"))
		log_traces = n ? TRACE_BLOCK : 0;
	else
		return false;
	return true;
}

static void parse(struct config *c, int argc, char **argv)
{
	int i;

	if (argc < 2 || argv[1][0] == '-') {
		fputs(usage, stderr);
		exit(2);
	}
	c->open.path = argv[1];
	for (i = 2; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (value)
			*value++ = 0;
		if (!value || (!set_string(c, argv[i], value) &&
			       !set_number(c, argv[i], number(value)))) {
			fprintf(stderr, "q2test: '%s'?\n%s", argv[i], usage);
			exit(2);
		}
	}
	if (c->open.snapshot)
		c->open.read_only = true;
}

static struct block *open_it(struct uring *u, const struct block_options *opt)
{
	struct block *b = block_open(u, opt);

	if (!b) {
		fflush(stdout);
		fprintf(stderr, "q2test: %s: does not open\n", opt->path);
		exit(2);
	}
	return b;
}

static unsigned int round_of(struct config *c, struct uring *u, struct model *m)
{
	struct block *b = open_it(u, &c->open);
	struct ops ops;
	unsigned int bad;
	int ret;

	if (!c->model && m->size == 0)
		m->size = b->size;
	if (b->size != m->size) {
		printf("WRONG: opened with size %" PRIu64 ", not %" PRIu64 "\n",
		       b->size, m->size);
		block_close(b);
		return 1;
	}
	ops_init(&ops, b, m, &c->ops);
	bad = ops_run(&ops);
	ret = block_close(b);
	if (ret) {
		printf("WRONG: close: %s\n", strerror(-ret));
		bad++;
	}
	/* qcow2 disks are whole sectors; one that grew is rounded up. */
	if (strcmp(c->open.format, "raw"))
		m->size = (m->size + 511) & ~511ULL;
	return bad;
}

static unsigned int verify(struct config *c, struct uring *u, struct model *m)
{
	struct block_options again = c->open;
	struct ops ops;
	unsigned int bad;

	again.read_only = true;
	again.growable = false;
	ops_init(&ops, open_it(u, &again), m, &c->ops);
	bad = ops_verify(&ops);
	if (block_close(ops.block)) {
		printf("WRONG: the second close failed\n");
		bad++;
	}
	return bad;
}

int main(int argc, char **argv)
{
	struct config c = { .open.format = "qcow2",
			    .ops.seed = 1,
			    .ops.count = 1000,
			    .ops.flush_weight = 8,
			    .ops.unseen = 30,
			    .rounds = 1 };
	struct uring u;
	struct model m;
	unsigned int bad = 0, i;
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(&c, argc, argv);
	ret = c.real ? uring_init(&u, 64, 512) : uring_init_emulated(&u, 64);
	if (ret) {
		printf("q2test: no ring: %s\n", strerror(-ret));
		return 77;
	}
	if (c.real)
		c.ops.unseen = 0;
	if (c.ops.unseen)
		c.open.bounce = unseen_attach(&u, AREA, c.ops.seed);
	ret = model_init(&m, c.model);
	if (ret) {
		fprintf(stderr, "q2test: %s: %s\n", c.model, strerror(-ret));
		return 2;
	}
	for (i = 0; i < c.rounds && !bad; i++, c.ops.seed += 1000003)
		bad += round_of(&c, &u, &m);
	if (!bad)
		bad += verify(&c, &u, &m);
	if (c.model && model_save(&m)) {
		fprintf(stderr, "q2test: %s: not written\n", c.model);
		return 2;
	}
	model_free(&m);
	if (c.open.bounce)
		unseen_detach(c.open.bounce);
	uring_exit(&u);
	return bad ? 1 : 0;
}
