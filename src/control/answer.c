/* The state that an export reports, collected from where it is counted. */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/answer.h"
#include "fuse/payload.h"
#include "fuse/request.h"
#include "fuse/ring.h"

_Static_assert(sizeof(struct answer_fields) <= sizeof(union answer),
	       "the fields fit");
/* The kernel refuses an ioctl of more pages than the largest request has. */
_Static_assert(sizeof(union answer) == 4096, "an answer is a page");
_Static_assert(STATS_ERRORS <= ANSWER_ERRORS, "there is room for all kinds");

/* The end of a path tells more than its beginning. */
static void put(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (len < size)
		memcpy(to, from, len + 1);
	else
		snprintf(to, size, "...%s", from + len - (size - 4));
}

static uint32_t flags_of(const struct session *s,
			 const struct block_counters *c)
{
	const struct block *b = s->block;

	return (b->opt.read_only ? ANSWER_READ_ONLY : 0u) |
	       (s->by_uring ? ANSWER_URING : 0u) |
	       (s->backing_id ? ANSWER_PASSTHROUGH : 0u) |
	       (s->writeback ? ANSWER_WRITEBACK_CACHE : 0u) |
	       (b->direct ? ANSWER_DIRECT : 0u) |
	       (c->metadata ? ANSWER_METADATA : 0u) |
	       (b->lost || s->lost ? ANSWER_LOST : 0u) |
	       (b->flush_failed ? ANSWER_FLUSH_FAILED : 0u) |
	       (c->corrupt ? ANSWER_CORRUPT : 0u) |
	       (s->failed ? ANSWER_BROKEN : 0u);
}

static void fill_requests(struct answer_fields *f, const struct session *s,
			  const struct fuse_request *asker)
{
	const struct session_stats *st = &s->stats;
	const struct stats_latency *flush = &st->latency[STATS_FLUSH];
	const struct fuse_request *oldest = session_oldest(s);
	unsigned int i;

	f->in_flight = st->in_flight - !!asker;
	f->most_in_flight = st->most_in_flight;
	f->requests = stats_requests(st);
	f->bytes_read = st->bytes_read;
	f->bytes_written = st->bytes_written;
	f->errors = st->errors;
	for (i = 0; i < STATS_ERRORS; i++)
		f->errors_by[i] = st->errors_by[i];
	if (oldest && oldest != asker && f->in_flight) {
		f->oldest_opcode = oldest->opcode;
		f->oldest = session_clock() - oldest->since;
	}
	for (i = 0; i <= STATS_BUCKETS; i++)
		f->flushes += flush->buckets[i];
	f->flush_time = flush->sum;
}

void answer_fill(union answer *a, const struct served *v,
		 const struct fuse_request *asker)
{
	const struct session *s = v->session;
	const struct block *b = s->block;
	struct answer_fields *f = &a->f;
	struct block_counters c;

	memset(a, 0, sizeof(*a));
	block_count(b, &c);
	f->version = ANSWER_VERSION;
	f->length = sizeof(*f);
	f->flags = flags_of(s, &c);
	f->pid = (uint32_t)getpid();
	f->pid_namespace = v->pid_namespace;
	f->size = b->size;
	f->started = (uint64_t)v->started;
	f->uptime = session_clock() - v->started_ns;
	f->queues = s->by_uring ? s->cfg.queues : 1;
	f->depth = s->cfg.queue_depth;
	fill_requests(f, s, asker);
	f->unflushed = block_unflushed(b);
	f->dirty = c.dirty;
	f->hits = c.hits;
	f->misses = c.misses;
	put(f->format, sizeof(f->format), b->driver->name);
	if (s->by_uring)
		put(f->payload, sizeof(f->payload),
		    payload_name(ring_payload(s->ring)));
	put(f->release, sizeof(f->release), PACKAGE_VERSION);
	if (b->opt.snapshot)
		put(f->snapshot, sizeof(f->snapshot), b->opt.snapshot);
	put(f->image, sizeof(f->image), v->image);
}

bool answer_check(union answer *a)
{
	struct answer_fields *f = &a->f;

	if (!f->version || f->length < offsetof(struct answer_fields, size) ||
	    f->length > sizeof(*a))
		return false;
	memset(a->room + f->length, 0, sizeof(*a) - f->length);
	f->format[sizeof(f->format) - 1] = 0;
	f->payload[sizeof(f->payload) - 1] = 0;
	f->release[sizeof(f->release) - 1] = 0;
	f->snapshot[sizeof(f->snapshot) - 1] = 0;
	f->image[sizeof(f->image) - 1] = 0;
	return true;
}
