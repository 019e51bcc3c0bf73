/* The counters, a few lines for people and scripts; what is served, in one. */
#include "config.h"

#include <stdio.h>

#include "block/bounce.h"
#include "cli/budget.h"
#include "fuse/ops.h"
#include "fuse/payload.h"
#include "fuse/ring.h"
#include "loop/log.h"
#include "loop/size.h"
#include "report.h"

typedef unsigned long long ull;

/* " name=value" of several counters, as far as there is room. */
struct counters {
	char text[512];
	size_t used;
};

static void add(struct counters *c, const char *name, ull value)
{
	if (c->used < sizeof(c->text))
		c->used += (size_t)snprintf(c->text + c->used,
					    sizeof(c->text) - c->used,
					    " %s=%llu", name, value);
}

char *report_serves(const struct session *s, char *text)
{
	const struct block *b = s->block;
	const char *snapshot = b->opt.snapshot;
	char size[SIZE_TEXT];

	snprintf(text, REPORT_SERVES,
		 "serves %.400s (%s, %s%.60s%s%s, %s) by %s%s", b->opt.path,
		 b->driver->name, snapshot ? "snapshot " : "",
		 snapshot ? snapshot : "", snapshot ? ", " : "",
		 size_print(size, b->size),
		 b->opt.read_only ? "read-only" : "read-write",
		 s->by_uring ? "io_uring" : "/dev/fuse",
		 s->backing_id ? ", passthrough" : "");
	return text;
}

static void report_requests(const struct session *s)
{
	struct counters c = { .used = 0 };
	unsigned int i;

	for (i = 0; i < FUSE_OPCODES; i++)
		if (s->stats.requests[i])
			add(&c, i ? ops_name(i) : "other",
			    s->stats.requests[i]);
	log_info("requests: total=%llu%s", (ull)stats_requests(&s->stats),
		 c.text);
}

static void report_entries(const struct session *s)
{
	const struct payload *payload;
	struct counters c = { .used = 0 };
	unsigned int i;

	if (!s->by_uring) {
		log_info("transport: dev_fuse depth=%u", s->cfg.queue_depth);
		return;
	}
	payload = ring_payload(s->ring);
	for (i = 0; i < ENTRY_STATES; i++)
		add(&c, ring_state_name(i), ring_count(s->ring, i));
	log_info("transport: io_uring queues=%u depth=%u%s", s->cfg.queues,
		 s->cfg.queue_depth, c.text);
	log_info("payloads: mode=%s pool=%zu zero_copied=%llu bounced=%llu%s%s",
		 payload_name(payload), payload->pool,
		 (ull)s->stats.zero_copied,
		 (ull)bounce_count(s->block->opt.bounce),
		 payload->why ? " why=" : "", payload->why ? payload->why : "");
}

static void report_memory(const struct session *s, const struct budget *b)
{
	struct counters c = { .used = 0 };

	if (b->bytes != UINT64_MAX) {
		add(&c, "budget", b->bytes);
		add(&c, "requests", b->requests);
		add(&c, "image", b->image);
	}
	if (b->limit != UINT64_MAX)
		add(&c, "cgroup", b->limit);
	log_info("memory: from=%s%s max_write=%u",
		 b->bytes == UINT64_MAX ? "nothing" :
		 b->said		? "option" :
					  "cgroup",
		 c.text, s->cfg.max_write);
}

static void report_image(const struct session *s)
{
	const struct block *b = s->block;
	struct counters c = { .used = 0 };
	unsigned int i;

	for (i = 0; i < BLOCK_TYPES; i++)
		add(&c, block_type_name(i), b->stats.requests[i]);
	log_info("image: driver=%s size=%llu direct=%s%s waited=%llu%s",
		 b->driver->name, (ull)b->size, b->direct ? "yes" : "no",
		 s->backing_id ? " passthrough=yes" : "",
		 (ull)b->stats.waited, c.text);
}

static void report_cpu(const struct cpu *cpu)
{
	static const char *const modes[] = { "auto", "follow", "any", "list" };
	const struct follow *f = cpu->follow;
	struct counters c = { .used = 0 };
	unsigned int i;

	for (i = 0; i < FOLLOW_WHYS; i++)
		add(&c, follow_why_name(i), f->stats.leaves[i]);
	log_info("cpu: mode=%s state=%s cpu=%u joins=%llu moves=%llu "
		 "busy=%llu refused=%llu%s",
		 modes[cpu->mode],
		 f->joined ? "joined" :
		 f->on	   ? "free" :
			     "off",
		 f->cpu, (ull)f->stats.joins, (ull)f->stats.moves,
		 (ull)f->stats.busy, (ull)f->stats.refused, c.text);
}

static void report_poll(const struct poll *p)
{
	static const char *const modes[] = { "auto", "off", "fixed" };

	static const char *const kinds[POLL_KINDS] = {
		[POLL_CLIENT] = "client",
		[POLL_IMAGE] = "image",
		[POLL_MANY] = "many",
	};
	struct counters c = { .used = 0 };
	char name[16];
	unsigned int i;

	for (i = 0; i < POLL_KINDS; i++) {
		snprintf(name, sizeof(name), "%s_paid", kinds[i]);
		add(&c, name, p->waits[i].paid);
		snprintf(name, sizeof(name), "%s_vain", kinds[i]);
		add(&c, name, p->waits[i].vain);
	}
	log_info("poll: mode=%s most_us=%llu,%llu ms=%llu pauses=%llu%s",
		 modes[p->mode], (ull)p->waits[POLL_CLIENT].most / 1000,
		 (ull)p->waits[POLL_MANY].most / 1000,
		 (ull)p->stats.time / 1000000, (ull)p->stats.pauses, c.text);
}

void report_counters(const struct session *s, const struct cpu *cpu,
		     const struct budget *budget)
{
	const struct uring_stats *u = &s->uring->stats;

	report_requests(s);
	log_info("bytes: read=%llu written=%llu errors=%llu in_flight=%u "
		 "most_in_flight=%u",
		 (ull)s->stats.bytes_read, (ull)s->stats.bytes_written,
		 (ull)s->stats.errors, s->stats.in_flight,
		 s->stats.most_in_flight);
	report_entries(s);
	log_info("ring: turns=%llu enters=%llu completions=%llu a_turn=%.2f",
		 (ull)u->turns, (ull)u->enters, (ull)u->completions,
		 u->turns ? (double)u->completions / (double)u->turns : 0.);
	report_memory(s, budget);
	report_cpu(cpu);
	report_poll(&s->uring->poll);
	report_image(s);
}
