/*
 * The memory budget.
 *
 * What takes memory is known before the ring is set up: an entry for each
 * request that can be in flight, room for its data, the caches and tables of
 * the image, and the program itself. Nothing is allocated for a request, so
 * what fits at the start fits for good.
 *
 * A budget is said (--memory), or half of what the control group may have: the
 * other half is for what the kernel counts there for us and for our
 * neighbours: page cache, sockets, stacks of worker threads. A quarter of what
 * the program leaves is the image's, the rest is for requests. Larger requests
 * are given up first, then depth, by turns: in the end four requests of 16k
 * serve better than one of 64k.
 *
 * What was said is never changed: it fits, or the program does not start. But
 * the kernel has a largest request, and cuts what is larger: a line says so.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "block/bounce.h"
#include "cli/budget.h"
#include "cli/cgroup.h"
#include "cli/machine.h"
#include "cli/options.h"
#include "fuse/abi.h"
#include "fuse/session.h"
#include "loop/log.h"

/* The program, its libraries and stack, and the ring at its least. */
#define BASE (4u << 20)
/* An entry: ours and its header, a few commands of io_uring's. */
#define ENTRY 1536u
/* A request by /dev/fuse: ours; and a page before its data. */
#define DEV_REQUEST 512u
/* /dev/fuse beside a ring: first requests, forgets, interrupts; and pages. */
#define DEV_BESIDE (96u << 10)
#define DEV_BESIDE_PAGES 8u
/* Of a qcow2 image; the driver's defaults for its two caches, and its least. */
#define CACHE_DEFAULT (320u << 10)
#define CACHE_LEAST (64u << 10)

/*
 * Below this limit of the group the kernel may find nothing but dirty pages of
 * its page cache there, and no way to write them in time; seen at 16 MiB.
 */
#define TIGHT (64u << 20)

struct want {
	const struct budget_machine *m;
	unsigned int queues;
	uint64_t depth, size;
	bool zero_copy;
};

/* Bytes that requests of @w take at the most. */
static uint64_t cost(const struct want *w)
{
	uint64_t size = w->size, each, all;

	size = (size + w->m->page - 1) / w->m->page * w->m->page;
	if (size < FUSE_MIN_PAYLOAD)
		size = FUSE_MIN_PAYLOAD;
	each = size + (w->queues ? ENTRY : DEV_REQUEST + w->m->page);
	all = each * w->depth * (w->queues ? w->queues : 1);
	if (w->queues)
		all += DEV_BESIDE + DEV_BESIDE_PAGES * w->m->page;
	if (w->zero_copy)
		all += BOUNCE_AREAS * size;
	return all;
}

/* The next smaller one of @w; false if there is none. */
static bool shrink(struct want *w, const struct options *said)
{
	static const struct {
		uint64_t size, depth; /* as far down as that; 0: leave it */
	} steps[] = {
		{ 256u << 10, 0 }, { 0, 16 }, { 64u << 10, 0 }, { 0, 4 },
		{ 16u << 10, 0 },  { 0, 1 },  { 4096, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (steps[i].size && w->size / 2 >= steps[i].size &&
		    !said->max_write) {
			w->size = w->size / 2 & ~4095ull;
			return true;
		}
		if (steps[i].depth && w->depth / 2 >= steps[i].depth &&
		    !said->queue_depth) {
			w->depth /= 2;
			return true;
		}
	}
	return false;
}

const char *budget_text(uint64_t bytes, char *text, size_t size)
{
	static const char units[] = "kMGTPE";
	size_t i = 0;

	while (bytes && !(bytes & 1023) && units[i]) {
		bytes >>= 10;
		i++;
	}
	snprintf(text, size, "%" PRIu64 "%.1s", bytes, i ? &units[i - 1] : "");
	return text;
}

static int refuse(const struct budget *b, const struct want *w, uint64_t left)
{
	char all[24], size[24];

	log_warnx("%s %s: --queue-depth=%" PRIu64 " and --max-write=%s take up "
		  "to %" PRIu64 " KiB for %u CPUs, and %" PRIu64
		  " KiB are left for requests; smaller ones do%s",
		  b->said ? "--memory: of" :
			    "memory: of half of the control group's",
		  budget_text(b->said ? b->bytes : b->limit, all, sizeof(all)),
		  w->depth, budget_text(w->size, size, sizeof(size)),
		  cost(w) >> 10, w->queues, left >> 10,
		  b->said ? "" : ", or --memory=SIZE, which insists");
	return -ENOMEM;
}

static int refuse_cache(const struct budget *b, const struct options *o,
			uint64_t left)
{
	char all[24], cache[24];

	log_warnx("%s %s: --metadata-cache=%s does not fit: there are %" PRIu64
		  " KiB for requests and caches%s",
		  b->said ? "--memory: of" :
			    "memory: of half of the control group's",
		  budget_text(b->said ? b->bytes : b->limit, all, sizeof(all)),
		  budget_text(o->metadata_cache, cache, sizeof(cache)),
		  left >> 10,
		  b->said ? "" : "; --memory=SIZE insists on so much");
	return -ENOMEM;
}

/* The image's caches, and the budget that is left for requests. */
static int fit_cache(const struct budget *b, struct options *o, uint64_t rest,
		     uint64_t *requests)
{
	uint64_t share = rest / 4, cache = share / 4;

	if (o->metadata_cache) {
		if (o->metadata_cache > rest / 2)
			return refuse_cache(b, o, rest);
		share += o->metadata_cache;
	} else if (cache < CACHE_DEFAULT) {
		o->metadata_cache = cache < CACHE_LEAST ? CACHE_LEAST : cache;
	}
	*requests = rest - share;
	return 0;
}

/* Many CPUs: each needs an entry, while /dev/fuse makes do with a few. */
static void without_ring(struct want *w, struct options *o)
{
	log_warnx("memory: too little for io_uring with %u CPUs: requests go "
		  "by /dev/fuse",
		  w->queues);
	o->io_uring = URING_OFF;
	w->queues = 0;
	w->zero_copy = false;
	w->depth = o->queue_depth;
	w->size = o->max_write;
}

static int fit_requests(struct budget *b, struct options *o,
			const struct budget_machine *m, uint64_t most)
{
	struct options said = {
		.queue_depth = options_said(o, "queue-depth"),
		.max_write = options_said(o, "max-write"),
	};
	struct want w = {
		.m = m,
		.queues = o->io_uring == URING_OFF ? 0 : m->queues,
		.depth = o->queue_depth,
		.size = o->max_write,
		.zero_copy = o->zero_copy != ZERO_COPY_OFF,
	};

	while (cost(&w) > most) {
		if (shrink(&w, &said))
			continue;
		if (!w.queues || o->io_uring != URING_AUTO ||
		    said.queue_depth || said.max_write)
			return refuse(b, &w, most);
		without_ring(&w, o);
	}
	o->queue_depth = w.depth;
	o->max_write = w.size;
	b->requests = cost(&w);
	return 0;
}

static void cut_request(struct options *o, const struct budget_machine *m)
{
	char said[24], most[24];

	if (o->max_write <= m->max_request)
		return;
	if (options_said(o, "max-write"))
		log_info("--max-write=%s: the kernel's limit is %s (as root: "
			 "sysctl fs.fuse.max_pages_limit=%" PRIu64 ")",
			 budget_text(o->max_write, said, sizeof(said)),
			 budget_text(m->max_request, most, sizeof(most)),
			 (o->max_write + m->page - 1) / m->page);
	o->max_write = m->max_request;
}

int budget_fit(struct budget *b, struct options *o,
	       const struct budget_machine *m)
{
	uint64_t most, all;
	char text[24];
	int ret;

	*b = (struct budget){ .bytes = UINT64_MAX, .limit = m->limit };
	cut_request(o, m);
	if (!o->memory && m->limit == UINT64_MAX)
		return 0;
	b->said = o->memory;
	b->tight = m->limit < TIGHT;
	b->bytes = o->memory ? o->memory : m->limit / 2;
	if (b->bytes < BUDGET_LEAST) {
		b->bytes = BUDGET_LEAST;
		if (m->limit < BUDGET_LEAST)
			log_warnx("memory: the control group's limit is %s, "
				  "and rawfuse may need 8M: it may be killed",
				  budget_text(m->limit, text, sizeof(text)));
	}
	ret = fit_cache(b, o, b->bytes - BASE, &most);
	if (!ret)
		ret = fit_requests(b, o, m, most);
	if (ret)
		return ret;
	/* A group that is killed in the open has lost nothing. */
	all = b->said ? b->bytes : m->limit;
	if (all < b->bytes)
		all = b->bytes;
	b->image = all - BASE - b->requests;
	return 0;
}

void budget_machine(struct budget_machine *m)
{
	*m = (struct budget_machine){
		.queues = machine_possible_cpus(),
		.limit = cgroup_memory_limit(""),
		.max_request = machine_max_request(),
		.page = (uint64_t)sysconf(_SC_PAGESIZE),
	};
}
