/* What an export has told, for people and for programs. */
#include "config.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "control/show.h"
#include "fuse/ops.h"
#include "loop/size.h"
#include "loop/text.h"

#define NS ((uint64_t)1000000000)

static uint64_t oldest_most(uint32_t opcode)
{
	return opcode == FUSE_FALLOCATE || opcode == FUSE_SETATTR
		       ? SHOW_OLDEST_LONG
		       : SHOW_OLDEST;
}

enum show_state show_judge(const union answer *a, char why[SHOW_WHY])
{
	const struct answer_fields *f = &a->f;
	uint64_t most = oldest_most(f->oldest_opcode);

	*why = 0;
	if (f->flags & ANSWER_LOST)
		snprintf(why, SHOW_WHY,
			 "written data is lost, and no fsync succeeds until "
			 "rawfuse is started again; see its messages");
	else if (f->flags & ANSWER_CORRUPT)
		snprintf(why, SHOW_WHY,
			 "the image is damaged and nothing more is written; "
			 "unmount, then 'qemu-img check' tells what is wrong");
	else if (f->flags & ANSWER_FLUSH_FAILED)
		snprintf(why, SHOW_WHY,
			 "a flush has failed: what was written before it may "
			 "be lost; see its messages");
	else if (f->flags & ANSWER_BROKEN)
		snprintf(why, SHOW_WHY,
			 "it ends because of an error; see its messages");
	else if (f->oldest_opcode && f->oldest / NS >= most)
		snprintf(why, SHOW_WHY,
			 "a request (%s) is unanswered for %" PRIu64
			 " seconds, more "
			 "than %" PRIu64 ": the storage of the image hangs",
			 ops_name(f->oldest_opcode), f->oldest / NS, most);
	return *why ? SHOW_UNHEALTHY : SHOW_HEALTHY;
}

static void print_time(char *to, size_t size, uint64_t seconds,
		       const char *format)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(to, size, format, &tm))
		snprintf(to, size, "?");
}

/* 3725 s: "1 h 2 min"; the two largest units. */
static void print_span(char *to, size_t size, uint64_t s)
{
	if (s < 60)
		snprintf(to, size, "%" PRIu64 " s", s);
	else if (s < 3600)
		snprintf(to, size, "%" PRIu64 " min %" PRIu64 " s", s / 60,
			 s % 60);
	else if (s < 86400)
		snprintf(to, size, "%" PRIu64 " h %" PRIu64 " min", s / 3600,
			 s / 60 % 60);
	else
		snprintf(to, size, "%" PRIu64 " d %" PRIu64 " h", s / 86400,
			 s / 3600 % 24);
}

/* Its process ID means something only in the same namespace. */
static bool same_namespace(const struct answer_fields *f)
{
	struct stat st;

	return !f->pid_namespace || stat("/proc/self/ns/pid", &st) ||
	       st.st_ino == f->pid_namespace;
}

static void text_image(FILE *to, const struct answer_fields *f)
{
	char name[4 * sizeof(f->image)], snapshot[4 * sizeof(f->snapshot)];
	char size[SIZE_TEXT];

	fprintf(to, "image: %s (%s, %s%s%s%s, %s)\n",
		text_escape(name, sizeof(name), f->image), f->format,
		*f->snapshot ? "snapshot " : "",
		text_escape(snapshot, sizeof(snapshot), f->snapshot),
		*f->snapshot ? ", " : "", size_print(size, f->size),
		f->flags & ANSWER_READ_ONLY ? "read-only" : "read-write");
}

static void text_transport(FILE *to, const struct answer_fields *f)
{
	if (f->flags & ANSWER_URING)
		fprintf(to,
			"transport: io_uring (queues %u, depth %u, "
			"payloads %s)",
			f->queues, f->depth, f->payload);
	else
		fprintf(to, "transport: /dev/fuse (depth %u)", f->depth);
	fprintf(to, "%s%s%s\n",
		f->flags & ANSWER_PASSTHROUGH ? ", passthrough" : "",
		f->flags & ANSWER_WRITEBACK_CACHE ? ", writeback cache" : "",
		f->flags & ANSWER_DIRECT ? ", image by O_DIRECT" : "");
}

static void text_process(FILE *to, const struct answer_fields *f)
{
	char since[64], span[64];

	print_time(since, sizeof(since), f->started, "%Y-%m-%d %H:%M:%S UTC");
	print_span(span, sizeof(span), f->uptime / NS);
	fprintf(to, "process: %u%s, rawfuse %s, since %s (%s)\n", f->pid,
		same_namespace(f) ? "" : " (of another PID namespace)",
		f->release, since, span);
}

static void text_requests(FILE *to, const struct answer_fields *f)
{
	unsigned int i;

	fprintf(to, "requests: %" PRIu64 ", %u in flight (at most %u)",
		f->requests, f->in_flight, f->most_in_flight);
	if (f->oldest_opcode)
		fprintf(to, ", the oldest a %s for %" PRIu64 ".%03u s",
			ops_name(f->oldest_opcode), f->oldest / NS,
			(unsigned int)(f->oldest % NS / 1000000));
	fprintf(to,
		"\nbytes: %" PRIu64 " read, %" PRIu64 " written\nerrors: "
		"%" PRIu64,
		f->bytes_read, f->bytes_written, f->errors);
	for (i = 0; i < STATS_ERRORS; i++)
		if (f->errors_by[i])
			fprintf(to, ", %s %" PRIu64, stats_error_name(i),
				f->errors_by[i]);
	fprintf(to, "\nnot flushed: %" PRIu64 " bytes", f->unflushed);
	if (f->flags & ANSWER_METADATA)
		fprintf(to, ", and %" PRIu64 " of metadata", f->dirty);
	putc('\n', to);
}

void show_text(FILE *to, const char *path, enum show_state state,
	       const char *why, const union answer *a)
{
	char name[2048];

	fprintf(to, "%s: %s%s%s\n", text_escape(name, sizeof(name), path),
		state == SHOW_HEALTHY	  ? "healthy"
		: state == SHOW_UNHEALTHY ? "not healthy"
		: state == SHOW_UNKNOWN	  ? "not known"
					  : "no export",
		*why ? ": " : "", why);
	if (!a)
		return;
	text_image(to, &a->f);
	text_transport(to, &a->f);
	text_process(to, &a->f);
	text_requests(to, &a->f);
}

static void json_text(FILE *to, const char *key, const char *value)
{
	char text[TEXT_JSON(4096)];

	fprintf(to, ",\"%s\":%s", key, text_json(text, sizeof(text), value));
}

static void json_number(FILE *to, const char *key, uint64_t value)
{
	fprintf(to, ",\"%s\":%" PRIu64, key, value);
}

static void json_bool(FILE *to, const char *key, bool value)
{
	fprintf(to, ",\"%s\":%s", key, value ? "true" : "false");
}

static void json_seconds(FILE *to, const char *key, uint64_t ns)
{
	fprintf(to, ",\"%s\":%" PRIu64 ".%09u", key, ns / NS,
		(unsigned int)(ns % NS));
}

static void json_export(FILE *to, const struct answer_fields *f)
{
	char since[64];

	json_text(to, "image", f->image);
	json_text(to, "format", f->format);
	if (*f->snapshot)
		json_text(to, "snapshot", f->snapshot);
	json_number(to, "size", f->size);
	json_bool(to, "read_only", f->flags & ANSWER_READ_ONLY);
	json_text(to, "transport",
		  f->flags & ANSWER_URING ? "io_uring" : "dev_fuse");
	if (f->flags & ANSWER_URING)
		json_text(to, "payloads", f->payload);
	json_number(to, "queues", f->queues);
	json_number(to, "queue_depth", f->depth);
	json_bool(to, "passthrough", f->flags & ANSWER_PASSTHROUGH);
	json_bool(to, "writeback_cache", f->flags & ANSWER_WRITEBACK_CACHE);
	json_bool(to, "direct", f->flags & ANSWER_DIRECT);
	json_number(to, "pid", f->pid);
	json_bool(to, "same_pid_namespace", same_namespace(f));
	json_text(to, "version", f->release);
	print_time(since, sizeof(since), f->started, "%Y-%m-%dT%H:%M:%SZ");
	json_text(to, "started", since);
	json_seconds(to, "uptime_seconds", f->uptime);
}

static void json_requests(FILE *to, const struct answer_fields *f)
{
	unsigned int i;

	json_number(to, "requests", f->requests);
	json_number(to, "in_flight", f->in_flight);
	json_number(to, "most_in_flight", f->most_in_flight);
	fputs(",\"oldest_request\":", to);
	if (f->oldest_opcode) {
		fprintf(to, "{\"operation\":\"%s\"",
			ops_name(f->oldest_opcode));
		json_seconds(to, "seconds", f->oldest);
		putc('}', to);
	} else {
		fputs("null", to);
	}
	json_number(to, "bytes_read", f->bytes_read);
	json_number(to, "bytes_written", f->bytes_written);
	fprintf(to, ",\"errors\":{\"total\":%" PRIu64, f->errors);
	for (i = 0; i < STATS_ERRORS; i++)
		json_number(to, stats_error_name(i), f->errors_by[i]);
	putc('}', to);
	json_number(to, "unflushed_bytes", f->unflushed);
	json_number(to, "flushes", f->flushes);
	json_seconds(to, "flush_seconds", f->flush_time);
	if (!(f->flags & ANSWER_METADATA))
		return;
	fprintf(to,
		",\"metadata\":{\"dirty_bytes\":%" PRIu64 ",\"hits\":%" PRIu64
		",\"misses\":%" PRIu64 "}",
		f->dirty, f->hits, f->misses);
}

void show_json(FILE *to, const char *path, enum show_state state,
	       const char *why, const union answer *a)
{
	static const char *const states[] = { "healthy", "unhealthy", "none",
					      "unknown" };

	fprintf(to, "{\"state\":\"%s\"", states[state]);
	json_text(to, "mountpoint", path);
	if (*why)
		json_text(to, "reason", why);
	if (a) {
		json_export(to, &a->f);
		json_requests(to, &a->f);
	}
	fputs("}\n", to);
}
