/*
 * The counters of an export as Prometheus reads them. Each series carries the
 * mountpoint, which tells exports of one machine apart; what else there is to
 * know of an export is in the labels of rawfuse_info.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/metrics.h"
#include "fuse/ops.h"
#include "fuse/ring.h"
#include "loop/text.h"

#define FIXED (48u << 10) /* bytes without the labels */
#define LINES 256u /* with a label, at most */
#define NS ((uint64_t)1000000000)

char *metrics_escape(char *to, size_t size, const char *from)
{
	size_t used = 0, n;

	for (; *from && used + 4 <= size; from += n ? n : 1) {
		n = text_printable(from);
		if (*from == '\\' || *from == '"' || *from == '\n') {
			to[used++] = '\\';
			to[used++] = *from == '\n' ? 'n' : *from;
		} else if (n) {
			if (used + n + 1 > size)
				break;
			memcpy(to + used, from, n);
			used += n;
		} else { /* U+FFFD */
			memcpy(to + used, "\xef\xbf\xbd", 3);
			used += 3;
		}
	}
	to[used] = 0;
	return to;
}

int metrics_init(struct metrics *m, const char *mountpoint)
{
	size_t most = 3 * strlen(mountpoint) + 4;
	char *value = malloc(most);

	*m = (struct metrics){ 0 };
	if (!value || asprintf(&m->label, "mountpoint=\"%s\"",
			       metrics_escape(value, most, mountpoint)) < 0)
		m->label = NULL;
	free(value);
	if (!m->label)
		return -ENOMEM;
	m->size = FIXED + LINES * strlen(m->label);
	m->text = malloc(m->size);
	if (m->text)
		return 0;
	metrics_free(m);
	return -ENOMEM;
}

void metrics_free(struct metrics *m)
{
	free(m->text);
	free(m->label);
	*m = (struct metrics){ 0 };
}

static void put(struct metrics *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void put(struct metrics *m, const char *fmt, ...)
{
	size_t room = m->size - m->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(m->text + m->used, room, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < room)
		m->used += (size_t)n;
}

static void head(struct metrics *m, const char *name, const char *type,
		 const char *help)
{
	put(m, "# HELP rawfuse_%s %s\n# TYPE rawfuse_%s %s\n", name, help, name,
	    type);
}

/* One value; @more are further labels, with a comma before them. */
static void value(struct metrics *m, const char *name, const char *more,
		  uint64_t v)
{
	put(m, "rawfuse_%s{%s%s} %" PRIu64 "\n", name, m->label, more, v);
}

static void one(struct metrics *m, const char *name, const char *type,
		const char *help, uint64_t v)
{
	head(m, name, type, help);
	value(m, name, "", v);
}

static void labelled(struct metrics *m, const char *name, const char *label,
		     const char *of, uint64_t v)
{
	char more[64];

	snprintf(more, sizeof(more), ",%s=\"%s\"", label, of);
	value(m, name, more, v);
}

static void put_info(struct metrics *m, const struct answer_fields *f)
{
	char image[3 * sizeof(f->image)];

	head(m, "info", "gauge", "What is exported, in labels.");
	put(m,
	    "rawfuse_info{%s,image=\"%s\",format=\"%s\",transport=\"%s\","
	    "version=\"%s\"} 1\n",
	    m->label, metrics_escape(image, sizeof(image), f->image), f->format,
	    f->flags & ANSWER_URING ? "io_uring" : "dev_fuse", f->release);
}

static void put_errors(struct metrics *m, const struct answer_fields *f)
{
	unsigned int i;

	head(m, "errors_total", "counter", "Answers that were errors.");
	for (i = 0; i < STATS_ERRORS; i++)
		labelled(m, "errors_total", "error", stats_error_name(i),
			 f->errors_by[i]);
}

static void put_metadata(struct metrics *m, const struct answer_fields *f)
{
	if (!(f->flags & ANSWER_METADATA))
		return;
	one(m, "metadata_dirty_bytes", "gauge",
	    "Bytes of metadata that the image has not yet.", f->dirty);
	one(m, "metadata_cache_hits_total", "counter",
	    "Looks at metadata that was in memory.", f->hits);
	one(m, "metadata_cache_misses_total", "counter",
	    "Looks at metadata that had to be read.", f->misses);
}

static void put_requests(struct metrics *m, const struct session *s)
{
	unsigned int i;

	head(m, "requests_total", "counter", "Requests of the kernel.");
	for (i = 0; i < FUSE_OPCODES; i++)
		if (s->stats.requests[i])
			labelled(m, "requests_total", "operation",
				 i ? ops_name(i) : "other",
				 s->stats.requests[i]);
	if (!s->by_uring)
		return;
	head(m, "entries", "gauge", "Entries of the rings, by state.");
	for (i = 0; i < ENTRY_STATES; i++)
		labelled(m, "entries", "state", ring_state_name(i),
			 ring_count(s->ring, i));
}

/* Bounds are powers of two of ns, which decimals tell exactly. */
static void put_latency(struct metrics *m, const char *op,
			const struct stats_latency *l)
{
	uint64_t count = 0, bound;
	unsigned int i;
	char le[96];

	for (i = 0; i < STATS_BUCKETS; i++) {
		bound = (uint64_t)1 << (STATS_FIRST_BITS + i);
		count += l->buckets[i];
		snprintf(le, sizeof(le),
			 ",operation=\"%s\",le=\"%" PRIu64 ".%09" PRIu64 "\"",
			 op, bound / NS, bound % NS);
		value(m, "request_duration_seconds_bucket", le, count);
	}
	count += l->buckets[STATS_BUCKETS];
	snprintf(le, sizeof(le), ",operation=\"%s\",le=\"+Inf\"", op);
	value(m, "request_duration_seconds_bucket", le, count);
	put(m,
	    "rawfuse_request_duration_seconds_sum{%s,operation=\"%s\"} "
	    "%" PRIu64 ".%09" PRIu64 "\n",
	    m->label, op, l->sum / NS, l->sum % NS);
	labelled(m, "request_duration_seconds_count", "operation", op, count);
}

static void put_latencies(struct metrics *m, const struct session *s)
{
	unsigned int i;

	head(m, "request_duration_seconds", "histogram",
	     "Time from a request to its answer.");
	for (i = 0; i < STATS_OPS; i++)
		put_latency(m, stats_op_name(i), &s->stats.latency[i]);
}

void metrics_write(struct metrics *m, const union answer *a,
		   const struct session *s, bool up)
{
	const struct answer_fields *f = &a->f;

	m->used = 0;
	put_info(m, f);
	one(m, "up", "gauge", "Whether it serves.", up);
	one(m, "start_time_seconds", "gauge", "When it began to, since 1970.",
	    f->started);
	one(m, "size_bytes", "gauge", "Size of the disk.", f->size);
	one(m, "read_bytes_total", "counter", "Bytes that were read.",
	    f->bytes_read);
	one(m, "written_bytes_total", "counter", "Bytes that were written.",
	    f->bytes_written);
	one(m, "in_flight", "gauge", "Requests without an answer.",
	    f->in_flight);
	head(m, "oldest_request_seconds", "gauge",
	     "For how long the oldest of these has none.");
	put(m, "rawfuse_oldest_request_seconds{%s} %" PRIu64 ".%09" PRIu64 "\n",
	    m->label, f->oldest / NS, f->oldest % NS);
	one(m, "unflushed_bytes", "gauge",
	    "Bytes that were written and that no flush has covered.",
	    f->unflushed);
	one(m, "lost", "gauge",
	    "Whether written data is lost, or a flush has failed.",
	    !!(f->flags & (ANSWER_LOST | ANSWER_FLUSH_FAILED)));
	put_errors(m, f);
	put_metadata(m, f);
	if (!s)
		return;
	put_requests(m, s);
	put_latencies(m, s);
}
