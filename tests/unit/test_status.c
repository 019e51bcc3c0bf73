/* What an export tells of itself: the ioctl, health, text and JSON. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "control/control.h"
#include "control/metrics.h"
#include "control/show.h"
#include "driver.h"
#include "fake.h"
#include "suites.h"

static struct fake *f;
static struct control control;

static void setup(void)
{
	struct fake_config cfg = fake_config();

	capture_start();
	driver_install();
	f = fake_new(&cfg);
	ck_assert_int_eq(control_init(&control, DRIVER_PATH, NULL), 0);
	ck_assert_int_eq(control_start(&control, f->session, "/m"), 0);
}

static void teardown(void)
{
	fake_free(f);
	control_free(&control);
	driver_remove();
}

static const struct fake_answer *do_ioctl(enum fake_way way, uint32_t cmd,
					  uint32_t room)
{
	struct fuse_ioctl_in in = { .cmd = cmd, .out_size = room };

	return fake_ask(f, way, FUSE_IOCTL, &in, sizeof(in));
}

static union answer ask(enum fake_way way)
{
	const struct fake_answer *a =
		do_ioctl(way, ANSWER_IOCTL, sizeof(union answer));
	struct fuse_ioctl_out out;
	union answer got;

	ck_assert_int_eq(a->error, 0);
	ck_assert_uint_eq(a->len, sizeof(out) + sizeof(got));
	memcpy(&out, a->data, sizeof(out));
	ck_assert_int_eq(out.result, 0);
	memcpy(&got, a->data + sizeof(out), sizeof(got));
	ck_assert(answer_check(&got));
	return got;
}

START_TEST(tells)
{
	static const struct fuse_read_in r = { .size = 4096 };
	struct fake_msg m = { .opcode = FUSE_READ,
			      .in = &r,
			      .in_len = sizeof(r) };
	union answer a = ask(_i);

	ck_assert_uint_eq(a.f.version, ANSWER_VERSION);
	ck_assert_uint_eq(a.f.length, sizeof(a.f));
	ck_assert_uint_eq(a.f.flags, ANSWER_URING);
	ck_assert_uint_eq(a.f.pid, (unsigned int)getpid());
	ck_assert_uint_eq(a.f.size, 1 << 20);
	ck_assert_str_eq(a.f.format, "null");
	ck_assert_str_eq(a.f.image, DRIVER_PATH);
	ck_assert_str_eq(a.f.payload, "entry");
	ck_assert_uint_eq(a.f.queues, FAKE_QUEUES);
	ck_assert_uint_eq(a.f.depth, FAKE_DEPTH);
	/* INIT and this one; which does not count as in flight. */
	ck_assert_uint_eq(a.f.requests, 2);
	ck_assert_uint_eq(a.f.in_flight, 0);
	ck_assert_uint_eq(a.f.oldest_opcode, 0);
	fake_call(f, FAKE_RING, &m);
	driver.hold = true;
	fake_send(f, FAKE_RING, &m);
	fake_run(f);
	a = ask(_i);
	ck_assert_uint_eq(a.f.in_flight, 1);
	ck_assert_uint_eq(a.f.oldest_opcode, FUSE_READ);
	ck_assert_uint_lt(a.f.oldest, a.f.uptime);
	ck_assert_uint_eq(a.f.bytes_read, 4096);
	driver_finish(0);
	fake_run(f);
}
END_TEST

/* What is not ours, or has no room, is no ioctl; and that is no error. */
START_TEST(other_ioctls)
{
	uint32_t blkgetsize64 = 0x80081272;

	ck_assert_int_eq(do_ioctl(_i, blkgetsize64, 8)->error, -ENOTTY);
	ck_assert_int_eq(do_ioctl(_i, ANSWER_IOCTL, 0)->error, -ENOTTY);
	ck_assert_int_eq(
		do_ioctl(_i, ANSWER_IOCTL, sizeof(union answer) - 1)->error,
		-ENOTTY);
	ck_assert_int_eq(do_ioctl(_i, 0, UINT32_MAX)->error, -ENOTTY);
	ck_assert_uint_eq(f->session->stats.errors, 0);
	f->session->on_ioctl = NULL;
	ck_assert_int_eq(do_ioctl(_i, ANSWER_IOCTL, 4096)->error, -ENOTTY);
}
END_TEST

/* An answer that others have made up does no harm. */
START_TEST(checks_answers)
{
	union answer a;

	memset(&a, 0xff, sizeof(a));
	ck_assert(!answer_check(&a));
	a.f.length = sizeof(a);
	ck_assert(answer_check(&a));
	ck_assert_uint_eq(strlen(a.f.image), sizeof(a.f.image) - 1);
	ck_assert_uint_eq(strlen(a.f.format), sizeof(a.f.format) - 1);
	a.f.length = 8;
	ck_assert(!answer_check(&a));
	/* An older server, which knows nothing of what is behind the size. */
	a.f.length = 32;
	ck_assert(answer_check(&a));
	ck_assert_uint_eq(a.f.size, UINT64_MAX);
	ck_assert_uint_eq(a.f.requests, 0);
	ck_assert_str_eq(a.f.image, "");
	a.f.version = 0;
	ck_assert(!answer_check(&a));
}
END_TEST

static union answer sample(void)
{
	union answer a = { .f = { .version = ANSWER_VERSION,
				  .length = sizeof(a.f),
				  .flags = ANSWER_URING | ANSWER_METADATA,
				  .pid = 42,
				  .size = 3ULL << 30,
				  .started = 1700000000,
				  .uptime = 3725000000000,
				  .queues = 2,
				  .depth = 64,
				  .in_flight = 1,
				  .most_in_flight = 9,
				  .requests = 1234,
				  .bytes_read = 4096,
				  .bytes_written = 512,
				  .errors = 3,
				  .oldest = 2500000000,
				  .oldest_opcode = FUSE_READ,
				  .unflushed = 512,
				  .dirty = 8192,
				  .hits = 7,
				  .misses = 2,
				  .flushes = 1,
				  .flush_time = 1000001,
				  .format = "qcow2",
				  .payload = "entry",
				  .release = "0.2",
				  .image = "/a \"b\"\n.qcow2" } };

	a.f.errors_by[STATS_EIO] = 2;
	a.f.errors_by[STATS_ERROR_OTHER] = 1;
	return a;
}

typedef void show(FILE *to, const char *path, enum show_state state,
		  const char *why, const union answer *a);

static const char *shown(show *how, enum show_state state, const char *why,
			 const union answer *a)
{
	static char text[8192];
	FILE *to = fmemopen(text, sizeof(text), "w");

	ck_assert_ptr_nonnull(to);
	how(to, "/m\x1b", state, why, a);
	ck_assert_int_eq(fclose(to), 0);
	return text;
}

START_TEST(for_people)
{
	union answer a = sample();

	ck_assert_str_eq(
		shown(show_text, SHOW_UNHEALTHY, "so it is", &a),
		"/m\\x1b: not healthy: so it is\n"
		"image: /a \"b\"\\x0a.qcow2 (qcow2, 3G, read-write)\n"
		"transport: io_uring (queues 2, depth 64, payloads entry)\n"
		"process: 42, rawfuse 0.2, since 2023-11-14 22:13:20 UTC "
		"(1 h 2 min)\n"
		"requests: 1234, 1 in flight (at most 9), the oldest a READ "
		"for 2.500 s\n"
		"bytes: 4096 read, 512 written\n"
		"errors: 3, other 1, EIO 2\n"
		"not flushed: 512 bytes, and 8192 of metadata\n");
	ck_assert_str_eq(shown(show_text, SHOW_NONE, "nothing", NULL),
			 "/m\\x1b: no export: nothing\n");
	a.f.flags = ANSWER_READ_ONLY | ANSWER_PASSTHROUGH;
	a.f.oldest_opcode = 0;
	strcpy(a.f.snapshot, "s");
	shown(show_text, SHOW_HEALTHY, "", &a);
	ck_assert_ptr_nonnull(strstr(
		shown(show_text, SHOW_HEALTHY, "", &a),
		"/m\\x1b: healthy\n"
		"image: /a \"b\"\\x0a.qcow2 (qcow2, snapshot s, 3G, "
		"read-only)\n"
		"transport: /dev/fuse (depth 64), passthrough\n"));
	ck_assert_ptr_nonnull(strstr(shown(show_text, SHOW_HEALTHY, "", &a),
				     "(at most 9)\n"));
}
END_TEST

START_TEST(for_programs)
{
	union answer a = sample();

	ck_assert_str_eq(
		shown(show_json, SHOW_UNHEALTHY, "so \"it\" is", &a),
		"{\"state\":\"unhealthy\",\"mountpoint\":\"/m\\u001b\","
		"\"reason\":\"so \\\"it\\\" is\","
		"\"image\":\"/a \\\"b\\\"\\u000a.qcow2\","
		"\"format\":\"qcow2\",\"size\":3221225472,"
		"\"read_only\":false,\"transport\":\"io_uring\","
		"\"payloads\":\"entry\",\"queues\":2,\"queue_depth\":64,"
		"\"passthrough\":false,\"writeback_cache\":false,"
		"\"direct\":false,\"pid\":42,\"same_pid_namespace\":true,"
		"\"version\":\"0.2\",\"started\":\"2023-11-14T22:13:20Z\","
		"\"uptime_seconds\":3725.000000000,\"requests\":1234,"
		"\"in_flight\":1,\"most_in_flight\":9,\"oldest_request\":"
		"{\"operation\":\"READ\",\"seconds\":2.500000000},"
		"\"bytes_read\":4096,\"bytes_written\":512,"
		"\"errors\":{\"total\":3,\"other\":1,\"EIO\":2,\"ENOSPC\":0,"
		"\"EFBIG\":0,\"EROFS\":0,\"EPERM\":0,\"EINVAL\":0},"
		"\"unflushed_bytes\":512,\"flushes\":1,"
		"\"flush_seconds\":0.001000001,\"metadata\":{"
		"\"dirty_bytes\":8192,\"hits\":7,\"misses\":2}}\n");
	ck_assert_str_eq(shown(show_json, SHOW_NONE, "nothing", NULL),
			 "{\"state\":\"none\",\"mountpoint\":\"/m\\u001b\","
			 "\"reason\":\"nothing\"}\n");
}
END_TEST

static const struct {
	uint32_t flags, opcode;
	uint64_t seconds;
	const char *why; /* NULL: it is well */
} states[] = {
	{ ANSWER_URING, 0, 0, NULL },
	{ ANSWER_READ_ONLY | ANSWER_PASSTHROUGH | ANSWER_WRITEBACK_CACHE, 0, 0,
	  NULL },
	{ 0, FUSE_READ, SHOW_OLDEST - 1, NULL },
	{ 0, FUSE_READ, SHOW_OLDEST, "a request (READ) is unanswered for 30 seconds" },
	{ 0, FUSE_FSYNC, 86400, "a request (FSYNC) is unanswered for 86400 seconds" },
	{ 0, FUSE_FALLOCATE, SHOW_OLDEST_LONG - 1, NULL },
	{ 0, FUSE_SETATTR, SHOW_OLDEST_LONG, "a request (SETATTR) is unanswered" },
	{ 0, 12345, 86400, "a request (unknown opcode) is unanswered" },
	{ ANSWER_LOST, 0, 0, "written data is lost" },
	{ ANSWER_FLUSH_FAILED, 0, 0, "a flush has failed" },
	{ ANSWER_CORRUPT, 0, 0, "the image is damaged" },
	{ ANSWER_BROKEN, 0, 0, "it ends because of an error" },
};

START_TEST(judges)
{
	union answer a = sample();
	char why[SHOW_WHY];
	enum show_state state;

	a.f.flags = states[_i].flags;
	a.f.oldest_opcode = states[_i].opcode;
	a.f.oldest = states[_i].seconds * 1000000000;
	state = show_judge(&a, why);
	if (states[_i].why) {
		ck_assert_int_eq(state, SHOW_UNHEALTHY);
		ck_assert_msg(!strncmp(why, states[_i].why,
				       strlen(states[_i].why)),
			      "%s", why);
	} else {
		ck_assert_int_eq(state, SHOW_HEALTHY);
		ck_assert_str_eq(why, "");
	}
}
END_TEST

/* Errors that stick find their way into the answer. */
START_TEST(sticks)
{
	static const struct fuse_fsync_in s = { 0 };
	static const struct fuse_write_in w = { .size = 512 };
	struct fake_msg m = { .opcode = FUSE_WRITE,
			      .in = &w,
			      .in_len = sizeof(w),
			      .data_len = 512 };

	fake_call(f, _i, &m);
	driver.forced[BLOCK_FLUSH] = true;
	driver.result[BLOCK_FLUSH] = -EIO;
	fake_ask(f, _i, FUSE_FSYNC, &s, sizeof(s));
	driver.forced[BLOCK_FLUSH] = false;
	ck_assert_uint_eq(ask(_i).f.flags, ANSWER_URING | ANSWER_FLUSH_FAILED);
	ck_assert_uint_eq(ask(_i).f.unflushed, 512);
	fake_ask(f, _i, FUSE_FSYNC, &s, sizeof(s));
	ck_assert_uint_eq(ask(_i).f.unflushed, 0);
	ck_assert_uint_eq(ask(_i).f.flags, ANSWER_URING | ANSWER_FLUSH_FAILED);
	block_lose(f->block, -EIO);
	ck_assert_uint_eq(ask(_i).f.flags,
			  ANSWER_URING | ANSWER_FLUSH_FAILED | ANSWER_LOST);
}
END_TEST

static const struct {
	const char *from, *to;
} labels[] = {
	{ "", "" },
	{ "/a b", "/a b" },
	{ "a\"b\\c\nd", "a\\\"b\\\\c\\nd" },
	{ "\xc3\xa4\xff", "\xc3\xa4\xef\xbf\xbd" },
	{ "\x1b", "\xef\xbf\xbd" },
};

START_TEST(escapes_labels)
{
	char text[64];
	size_t size;

	ck_assert_str_eq(metrics_escape(text, sizeof(text), labels[_i].from),
			 labels[_i].to);
	for (size = 1; size < sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		metrics_escape(text, size, labels[_i].from);
		ck_assert_uint_lt(strlen(text), size);
		ck_assert_int_eq(text[size], 'x');
	}
}
END_TEST

static bool has_line(const struct metrics *m, const char *line)
{
	const char *at = strstr(m->text, line);

	return at && (at == m->text || at[-1] == '\n') &&
	       at[strlen(line)] == '\n';
}

START_TEST(for_prometheus)
{
	union answer a = sample();
	struct stats_latency *l = &f->session->stats.latency[STATS_READ];
	struct metrics m;

	l->buckets[0] = 2;
	l->buckets[8] = 1;
	l->buckets[STATS_BUCKETS] = 1;
	l->sum = 40000000001;
	ck_assert_int_eq(metrics_init(&m, "/m\"\n"), 0);
	metrics_write(&m, &a, f->session, true);
	ck_assert_uint_eq(strlen(m.text), m.used);
	ck_assert(!strncmp(m.text, "# HELP rawfuse_", 15));
#define M "{mountpoint=\"/m\\\"\\n\""
	ck_assert(has_line(&m, "rawfuse_info" M ",image=\"/a \\\"b\\\"\\n."
			       "qcow2\",format=\"qcow2\",transport=\"io_uring"
			       "\",version=\"0.2\"} 1"));
	ck_assert(has_line(&m, "rawfuse_up" M "} 1"));
	ck_assert(has_line(&m, "rawfuse_read_bytes_total" M "} 4096"));
	ck_assert(has_line(&m, "rawfuse_oldest_request_seconds" M
			       "} 2.500000000"));
	ck_assert(has_line(&m, "rawfuse_errors_total" M ",error=\"EIO\"} 2"));
	ck_assert(has_line(&m, "rawfuse_metadata_cache_hits_total" M "} 7"));
	ck_assert(has_line(&m, "rawfuse_requests_total" M
			       ",operation=\"INIT\"} 1"));
#define BUCKET "rawfuse_request_duration_seconds_bucket" M ",operation=\"read\""
	ck_assert(has_line(&m, BUCKET ",le=\"0.000004096\"} 2"));
	ck_assert(has_line(&m, BUCKET ",le=\"0.000524288\"} 2"));
	ck_assert(has_line(&m, BUCKET ",le=\"0.001048576\"} 3"));
	ck_assert(has_line(&m, BUCKET ",le=\"34.359738368\"} 3"));
	ck_assert(has_line(&m, BUCKET ",le=\"+Inf\"} 4"));
	ck_assert(has_line(&m, "rawfuse_request_duration_seconds_sum" M
			       ",operation=\"read\"} 40.000000001"));
	ck_assert(has_line(&m, "rawfuse_request_duration_seconds_count" M
			       ",operation=\"read\"} 4"));
	metrics_write(&m, &a, f->session, false);
	ck_assert(has_line(&m, "rawfuse_up" M "} 0"));
	metrics_free(&m);
}
END_TEST

Suite *suite_status(void)
{
	TCase *tc;
	Suite *s = suite_of("status", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, tells, 0, FAKE_WAYS);
	tcase_add_loop_test(tc, other_ioctls, 0, FAKE_WAYS);
	tcase_add_test(tc, checks_answers);
	tcase_add_test(tc, for_people);
	tcase_add_test(tc, for_programs);
	tcase_add_loop_test(tc, judges, 0, COUNT(states));
	tcase_add_loop_test(tc, escapes_labels, 0, COUNT(labels));
	tcase_add_test(tc, for_prometheus);
	tcase_add_loop_test(tc, sticks, 0, FAKE_WAYS);
	return s;
}
