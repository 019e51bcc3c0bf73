/* The ring and its drain: real, emulated, and in libev's loop. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "image.h"
#include "loop/loop.h"
#include "suites.h"

#define OPS 100
enum { EMULATED, REAL, RINGS };

static struct uring u;
static int fd;
static bool there; /* this machine has that ring */

static struct probe {
	struct op op;
	int res;
	unsigned int calls, at; /* at: the how manieth completion */
	uint8_t buf[512];
} probes[OPS];
static unsigned int completed;

static void done(struct op *op, int res, unsigned int flags)
{
	struct probe *p = container_of(op, struct probe, op);

	(void)flags;
	p->res = res;
	p->calls++;
	p->at = completed++;
}

static void start(int ring)
{
	unsigned int i;

	capture_start();
	memset(probes, 0, sizeof(probes));
	completed = 0;
	for (i = 0; i < OPS; i++)
		probes[i].op.done = done;
	fd = image_make(OPS * 512);
	if (ring == EMULATED)
		there = !uring_init_emulated(&u, 4);
	else
		there = !uring_init(&u, 4, 256);
	ck_assert(there || ring == REAL);
}

static void stop(void)
{
	if (there)
		uring_exit(&u);
	there = false;
	image_done();
}

static void wait_for(unsigned int n)
{
	while (completed < n)
		uring_wait(&u);
	ck_assert_uint_eq(completed, n);
}

/* More at once than the SQ has room for. */
START_TEST(more_than_room)
{
	unsigned int i;
	int slot;

	start(_i);
	if (!there)
		return;
	slot = uring_add_file(&u, fd);
	ck_assert_int_ge(slot, 0);
	for (i = 0; i < OPS; i++)
		uring_read(&u, &probes[i].op, slot, probes[i].buf, 512, i * 512,
			   0);
	ck_assert_uint_eq(completed, 0); /* none before the drain */
	wait_for(OPS);
	for (i = 0; i < OPS; i++) {
		ck_assert_uint_eq(probes[i].calls, 1);
		ck_assert_int_eq(probes[i].res, 512);
		ck_assert_uint_eq(probes[i].buf[0], image_byte(i * 512));
		ck_assert_uint_eq(probes[i].buf[511],
				  image_byte(i * 512 + 511));
	}
	ck_assert(!uring_has_work(&u));
	ck_assert_uint_eq(u.stats.completions, OPS);
}
END_TEST

/* Each kind once, and what it does to the file. */
START_TEST(kinds)
{
	struct statx stx = { 0 };
	uint8_t zeros[100] = { 0 };
	int slot;

	start(_i);
	if (!there)
		return;
	slot = uring_add_file(&u, fd);
	uring_write(&u, &probes[0].op, slot, "hello", 5, 3, 0);
	wait_for(1);
	ck_assert_int_eq(probes[0].res, 5);
	image_check("hello", 5, 3);
	uring_fsync(&u, &probes[1].op, slot, true);
	uring_fsync(&u, &probes[2].op, slot, false);
	wait_for(3);
	ck_assert_int_eq(probes[1].res | probes[2].res, 0);
	uring_fallocate(&u, &probes[3].op, slot,
			FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100);
	wait_for(4);
	ck_assert_int_eq(probes[3].res, 0);
	image_check(zeros, 100, 0);
	uring_statx(&u, &probes[4].op, fd, &stx);
	wait_for(5);
	ck_assert_int_eq(probes[4].res, 0);
	ck_assert_uint_eq(stx.stx_size, OPS * 512);
	uring_ftruncate(&u, &probes[5].op, slot, 77);
	wait_for(6);
	if (probes[5].res != -EINVAL) { /* Linux 6.9 */
		ck_assert_int_eq(probes[5].res, 0);
		ck_assert_uint_eq(image_size(), 77);
	}
	uring_read(&u, &probes[6].op, slot, probes[6].buf, 10, 1 << 20, 0);
	wait_for(7);
	ck_assert_int_eq(probes[6].res, 0);
	uring_remove_file(&u, slot);
	uring_read(&u, &probes[7].op, slot, probes[7].buf, 10, 0, 0);
	wait_for(8);
	ck_assert_int_eq(probes[7].res, -EBADF);
}
END_TEST

START_TEST(slots)
{
	int slot = 0;
	unsigned int i, n;

	start(_i);
	if (!there)
		return;
	for (n = 0; n <= URING_FILES && slot >= 0; n++) {
		slot = uring_add_file(&u, fd);
		if (slot >= 0)
			ck_assert_int_eq(slot, n);
	}
	ck_assert_int_eq(slot, -ENFILE);
	ck_assert_uint_ge(n, 8);
	uring_remove_file(&u, 5);
	ck_assert_int_eq(uring_add_file(&u, fd), 5);
	ck_assert_int_eq(uring_add_file(&u, fd), -ENFILE);
	for (i = 0; i < n - 1; i++)
		uring_remove_file(&u, (int)i);
	uring_remove_file(&u, -1);
	ck_assert_int_eq(uring_add_file(&u, fd), 0);
}
END_TEST

/* Posted ops complete in their order, with their results. */
START_TEST(posts)
{
	unsigned int i;

	start(_i);
	if (!there)
		return;
	ck_assert(!uring_has_work(&u));
	for (i = 0; i < OPS; i++)
		uring_post(&u, &probes[i].op, -(int)i);
	ck_assert(uring_has_work(&u));
	ck_assert_uint_eq(completed, 0);
	ck_assert(!uring_drain(&u));
	for (i = 0; i < OPS; i++) {
		ck_assert_uint_eq(probes[i].at, i);
		ck_assert_int_eq(probes[i].res, -(int)i);
	}
	ck_assert(!uring_has_work(&u));
}
END_TEST

static void for_ever(struct op *op, int res, unsigned int flags)
{
	(void)flags;
	completed++;
	if (completed < 100000)
		uring_post(&u, op, res);
}

/* A drain that finds no end lets others have their turn. */
START_TEST(fair)
{
	struct op op = { .done = for_ever };

	start(_i);
	if (!there)
		return;
	uring_post(&u, &op, 0);
	ck_assert(uring_drain(&u));
	ck_assert(uring_has_work(&u));
	ck_assert_uint_lt(completed, 1000);
	while (uring_drain(&u))
		;
	ck_assert_uint_eq(completed, 100000);
}
END_TEST

/* Commands go out as they were filled in; the hook takes them. */
static struct io_uring_sqe seen;
static uint8_t seen_cmd[80];
static const uint8_t seen_zero[80];

static void hook(void *arg, const struct io_uring_sqe *sqe, struct op *op)
{
	ck_assert_ptr_eq(arg, &seen);
	seen = *sqe;
	memcpy(seen_cmd, sqe->cmd, sizeof(seen_cmd));
	uring_post(&u, op, -ENOTCONN);
}

START_TEST(commands)
{
	struct iovec iov[2];
	uint8_t *cmd;
	unsigned int i;

	start(EMULATED);
	u.emu.cmd_hook = hook;
	u.emu.cmd_arg = &seen;
	for (i = 0; i < 10; i++) {
		cmd = uring_cmd(&u, &probes[i].op, 7, 42, iov, 2, 0);
		ck_assert(!memcmp(cmd, seen_zero, 80));
		memset(cmd, 'c', 80);
	}
	wait_for(10);
	ck_assert_int_eq(probes[9].res, -ENOTCONN);
	ck_assert_uint_eq(seen.cmd_op, 42);
	ck_assert_int_eq(seen.fd, 7);
	ck_assert_uint_eq(seen.addr, (uintptr_t)iov);
	ck_assert_uint_eq(seen.len, 2);
	ck_assert_int_eq(seen.rw_flags, 0);
	ck_assert_uint_eq(seen.buf_index, 0);
	ck_assert(seen_cmd[0] == 'c' && seen_cmd[79] == 'c');
	uring_cmd(&u, &probes[11].op, 7, 42, iov, 2, 6);
	wait_for(11);
	ck_assert_int_eq(seen.rw_flags, 1); /* IORING_URING_CMD_FIXED */
	ck_assert_uint_eq(seen.buf_index, 5);
	u.emu.cmd_hook = NULL;
	uring_cmd(&u, &probes[10].op, 7, 42, iov, 2, 0);
	uring_read(&u, &probes[12].op, 7, NULL, 1, 0, 1);
	wait_for(13);
	ck_assert_int_eq(probes[10].res, -EOPNOTSUPP);
	ck_assert_int_eq(probes[12].res, -EOPNOTSUPP);
}
END_TEST

/* Registered buffers: a table, empty but for what is set. */
START_TEST(registered)
{
	static uint8_t memory[8192] __attribute__((aligned(4096)));
	int slot;

	start(REAL);
	if (!there)
		return;
	if (uring_make_buffers(&u, 8) ||
	    uring_set_buffer(&u, 5, memory, sizeof(memory)))
		return; /* too little memory may be locked */
	slot = uring_add_file(&u, fd);
	memset(memory, 'm', sizeof(memory));
	uring_read(&u, &probes[0].op, slot, memory + 100, 512, 512, 6);
	wait_for(1);
	ck_assert_int_eq(probes[0].res, 512);
	ck_assert_uint_eq(memory[99], 'm');
	ck_assert_uint_eq(memory[100], image_byte(512));
	ck_assert_uint_eq(memory[611], image_byte(1023));
	ck_assert_uint_eq(memory[612], 'm');
	uring_write(&u, &probes[1].op, slot, memory + 8000, 192, 3, 6);
	wait_for(2);
	ck_assert_int_eq(probes[1].res, 192);
	image_check(memory + 8000, 192, 3);
	/* Past its end; an empty one; one that is not there. */
	uring_read(&u, &probes[2].op, slot, memory + 8000, 193, 0, 6);
	uring_read(&u, &probes[3].op, slot, NULL, 1, 0, 1);
	uring_read(&u, &probes[4].op, slot, memory, 1, 0, 9);
	wait_for(5);
	ck_assert_int_eq(probes[2].res, -EFAULT);
	ck_assert_int_eq(probes[3].res, -EFAULT);
	ck_assert_int_eq(probes[4].res, -EFAULT);
}
END_TEST

/* In libev's loop: what a callback queues is submitted and comes back. */
START_TEST(in_the_loop)
{
	struct loop loop;
	unsigned int i, turns;
	int slot;

	start(_i);
	if (!there)
		return;
	ck_assert_int_eq(loop_init(&loop, &u), 0);
	slot = uring_add_file(&u, fd);
	for (i = 0; i < OPS; i++)
		uring_read(&u, &probes[i].op, slot, probes[i].buf, 512, i * 512,
			   0);
	for (turns = 0; completed < OPS && turns < 10000; turns++) {
		ev_run(loop.ev, EVRUN_NOWAIT);
		usleep(turns ? 1000 : 0);
	}
	ck_assert_uint_eq(completed, OPS);
	uring_post(&u, &probes[0].op, 99);
	ev_run(loop.ev, EVRUN_NOWAIT);
	ck_assert_int_eq(probes[0].res, 99);
	loop_exit(&loop);
}
END_TEST

static unsigned int to_come;

static void one_more(struct op *op, int res, unsigned int flags)
{
	(void)res;
	(void)flags;
	completed++;
	if (--to_come)
		uring_nop(&u, op);
}

/* Wherever the work ends, even within a drain's last round: libev may wait. */
START_TEST(the_loop_may_wait)
{
	struct op op = { .done = one_more };
	unsigned int n, turns;
	struct loop loop;

	start(_i);
	if (!there)
		return;
	ck_assert_int_eq(loop_init(&loop, &u), 0);
	for (n = 1; n < 200; n++) {
		completed = 0;
		to_come = n;
		uring_nop(&u, &op);
		for (turns = 0; turns < 10; turns++)
			ev_run(loop.ev, EVRUN_NOWAIT);
		ck_assert_uint_eq(completed, n);
		ck_assert_msg(!ev_is_active(&loop.more), "after %u", n);
	}
	loop_exit(&loop);
}
END_TEST

Suite *suite_uring(void)
{
	TCase *tc;
	Suite *s = suite_of("uring", &tc);

	tcase_add_checked_fixture(tc, NULL, stop);
	tcase_add_loop_test(tc, more_than_room, 0, RINGS);
	tcase_add_loop_test(tc, kinds, 0, RINGS);
	tcase_add_loop_test(tc, slots, 0, RINGS);
	tcase_add_loop_test(tc, posts, 0, RINGS);
	tcase_add_loop_test(tc, fair, 0, RINGS);
	tcase_add_test(tc, commands);
	tcase_add_test(tc, registered);
	tcase_add_loop_test(tc, in_the_loop, 0, RINGS);
	tcase_add_loop_test(tc, the_loop_may_wait, 0, RINGS);
	return s;
}
