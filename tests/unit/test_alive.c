/* Signs of life: none while a request is too old. SIGHUP: another look. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alive.h"
#include "capture.h"
#include "driver.h"
#include "fake.h"
#include "loop/progress.h"
#include "reload.h"
#include "suites.h"

static struct fake *f;
static struct notify n;
static struct alive alive;
static struct reload reload;
static int manager;
static unsigned int sizes; /* times the kernel was to be told */

static void on_size(struct session *s)
{
	s->telling = true;
	sizes++;
}

static void on_looked(struct session *s)
{
	(void)s;
	reload_go_on(&reload);
}

static void setup(void)
{
	struct fake_config cfg = fake_config();
	int pair[2];

	capture_start();
	driver_install();
	f = fake_new(&cfg);
	notify_none(&n);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	n.fd = pair[0];
	manager = pair[1];
	n.watchdog = 20000; /* us */
	alive_init(&alive, f->session, &n, "disk.raw");
	reload_init(&reload, f->session, &n, "disk.raw");
	f->session->on_size = on_size;
	f->session->on_looked = on_looked;
	sizes = 0;
}

static void teardown(void)
{
	alive_stop(&alive);
	notify_close(&n);
	close(manager);
	fake_free(f);
	driver_remove();
}

static const char *heard(void)
{
	static char text[1024];
	ssize_t len = recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[len < 0 ? 0 : len] = '\0';
	return text;
}

static void beat(void)
{
	ev_invoke(f->loop.ev, &alive.beat, EV_TIMER);
}

static void pass(uint64_t us)
{
	uint64_t start = session_clock();

	while (session_clock() - start <= us * 1000)
		;
}

START_TEST(beats_while_answered)
{
	ck_assert(!ev_is_active(&alive.beat));
	alive_start(&alive);
	ck_assert(ev_is_active(&alive.beat));
	ck_assert_str_eq(heard(), "WATCHDOG=1");
	pass(n.watchdog);
	beat();
	ck_assert_str_eq(heard(), "WATCHDOG=1");
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

START_TEST(no_watchdog)
{
	n.watchdog = 0;
	alive_start(&alive);
	ck_assert(!ev_is_active(&alive.beat));
	ck_assert_str_eq(heard(), "");
}
END_TEST

static void hang(enum fake_way way)
{
	struct fuse_read_in in = { .size = 4096 };
	struct fake_msg m = { .opcode = FUSE_READ,
			      .in = &in,
			      .in_len = sizeof(in) };

	driver.hold = true;
	fake_send(f, way, &m);
	fake_run(f);
}

/* Once it is said; it goes on when the answer is there. */
START_TEST(late_request)
{
	hang((enum fake_way)_i);
	beat();
	ck_assert_str_eq(heard(), "WATCHDOG=1");
	pass(n.watchdog / 2);
	ck_assert(alive_is_late(&alive));
	beat();
	beat();
	ck_assert_str_eq(heard(), "");
	ck_assert_uint_eq(capture_count("disk.raw: a READ has been unanswered"),
			  1);
	driver_finish(0);
	fake_run(f);
	beat();
	ck_assert_str_eq(heard(), "WATCHDOG=1");
	ck_assert_uint_eq(capture_count("answered again"), 1);
	ck_assert_uint_eq(capture_lines(), 2);
}
END_TEST

/* A disk that is being emptied, step by step, takes the time it takes. */
START_TEST(moves_on)
{
	hang(FAKE_RING);
	pass(n.watchdog / 2);
	f->session->moved = session_clock();
	ck_assert(!alive_is_late(&alive));
	pass(n.watchdog / 2);
	ck_assert(alive_is_late(&alive));
}
END_TEST

/* The disk is emptied: that shows, and counts as moving on; then it is over. */
START_TEST(emptying)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };
	struct fake_msg m = { .opcode = FUSE_SETATTR,
			      .in = &in,
			      .in_len = sizeof(in) };
	uint64_t unique, before = session_clock();

	driver.hold = true;
	unique = fake_send(f, (enum fake_way)_i, &m);
	fake_run(f);
	ck_assert(progress_is_on());
	ck_assert_uint_ge(f->session->moved, before);
	driver.hold = false;
	driver_finish_all();
	fake_run(f);
	ck_assert_int_eq(fake_find(f, unique)->error, 0);
	ck_assert(!progress_is_on());
}
END_TEST

/* What the socket had no room for goes out later. */
START_TEST(tries_again)
{
	unsigned int taken = 0;

	while (send(n.fd, "X", 1, MSG_DONTWAIT) == 1)
		taken++;
	ck_assert(!ev_is_active(&alive.retry));
	notify_ready(&n);
	ck_assert(ev_is_active(&alive.retry));
	ev_invoke(f->loop.ev, &alive.retry, EV_TIMER);
	ck_assert(ev_is_active(&alive.retry));
	while (taken--)
		ck_assert_str_eq(heard(), "X");
	ev_invoke(f->loop.ev, &alive.retry, EV_TIMER);
	ck_assert_str_eq(heard(), "READY=1");
	ck_assert(!ev_is_active(&alive.retry));
}
END_TEST

static void expect_reloading(void)
{
	ck_assert_int_eq(strncmp(heard(), "RELOADING=1\nMONOTONIC_USEC=", 27),
			 0);
}

START_TEST(reload_same_size)
{
	notify_ready(&n);
	ck_assert_str_eq(heard(), "READY=1");
	driver.hold = true;
	reload_start(&reload);
	fake_run(f);
	expect_reloading();
	ck_assert_str_eq(heard(), "");
	reload_start(&reload); /* a second one meanwhile */
	expect_reloading();
	driver_finish(0);
	fake_run(f);
	ck_assert_str_eq(heard(), "READY=1");
	expect_reloading();
	driver_finish(0);
	fake_run(f);
	ck_assert_str_eq(heard(), "READY=1");
	ck_assert_str_eq(heard(), "");
	ck_assert_uint_eq(sizes, 0);
	ck_assert_uint_eq(capture_lines(), 0);
}
END_TEST

/* READY comes when the kernel has been told. */
START_TEST(reload_grown)
{
	notify_ready(&n);
	ck_assert_str_eq(heard(), "READY=1");
	driver.hold = true;
	reload_start(&reload);
	fake_run(f);
	expect_reloading();
	f->block->size *= 2; /* what the raw driver does when it sees it */
	driver_finish(0);
	fake_run(f);
	ck_assert_uint_eq(sizes, 1);
	ck_assert_str_eq(heard(), "");
	ck_assert_uint_eq(capture_count("disk.raw: the image has grown from 1M "
					"to 2M"),
			  1);
	f->session->telling = false;
	reload_go_on(&reload);
	ck_assert_str_eq(heard(), "READY=1");
	reload_go_on(&reload);
	ck_assert_str_eq(heard(), "");
}
END_TEST

/* The session ends while it looks: nobody is called, nothing is said. */
START_TEST(reload_at_the_end)
{
	notify_ready(&n);
	heard();
	driver.hold = true;
	reload_start(&reload);
	fake_run(f);
	expect_reloading();
	fake_end_all(f, -ENOTCONN);
	fake_run(f);
	driver_finish(0);
	fake_run(f);
	ck_assert_str_eq(heard(), "");
	reload_start(&reload);
	ck_assert_str_eq(heard(), "");
}
END_TEST

Suite *suite_alive(void)
{
	TCase *tc;
	Suite *s = suite_of("alive", &tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, beats_while_answered);
	tcase_add_test(tc, no_watchdog);
	tcase_add_loop_test(tc, late_request, 0, FAKE_WAYS);
	tcase_add_test(tc, moves_on);
	tcase_add_loop_test(tc, emptying, 0, FAKE_WAYS);
	tcase_add_test(tc, tries_again);
	tcase_add_test(tc, reload_same_size);
	tcase_add_test(tc, reload_grown);
	tcase_add_test(tc, reload_at_the_end);
	return s;
}
