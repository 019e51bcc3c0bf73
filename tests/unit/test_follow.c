/* When to run on the CPU that the requests come from: a made-up scheduler. */
#include "config.h"

#include <string.h>

#include "loop/cpu.h"
#include "loop/follow.h"
#include "suites.h"

#define US 1000ull
#define MS (1000 * US)

static struct follow f;

/* What the made-up scheduler knows. */
static struct {
	uint64_t now, delay;
	unsigned int joins, moves, leaves, looks;
	unsigned int cpu; /* where we are, when joined */
	bool idle; /* SCHED_IDLE */
	bool deny_join, deny_move, deny_leave, strayed;
} sys;

/*
 * This and request() run millions of times: no ck_assert(), which writes to a
 * file even if all is well.
 */
static uint64_t fake_now(void *arg)
{
	if (arg != &sys)
		ck_abort_msg("not what was given to follow_init()");
	return sys.now;
}

static uint64_t fake_delay(void *arg)
{
	(void)arg;
	return sys.delay;
}

static bool fake_join(void *arg, unsigned int cpu)
{
	(void)arg;
	ck_assert(!sys.idle);
	if (sys.deny_join)
		return false;
	sys.joins++;
	sys.cpu = cpu;
	sys.idle = true;
	return true;
}

static bool fake_move(void *arg, unsigned int cpu)
{
	(void)arg;
	ck_assert(sys.idle);
	ck_assert_uint_ne(cpu, sys.cpu);
	if (sys.deny_move)
		return false;
	sys.moves++;
	sys.cpu = cpu;
	return true;
}

static bool fake_leave(void *arg)
{
	(void)arg;
	ck_assert(sys.idle);
	sys.leaves++;
	sys.idle = false;
	return !sys.deny_leave;
}

static bool fake_look(void *arg, unsigned int cpu)
{
	(void)arg;
	ck_assert_uint_eq(cpu, sys.cpu);
	sys.looks++;
	return !sys.strayed;
}

static const struct follow_ops ops = {
	.now = fake_now,
	.delay = fake_delay,
	.join = fake_join,
	.move = fake_move,
	.leave = fake_leave,
	.look = fake_look,
};

static void setup(void)
{
	memset(&sys, 0, sizeof(sys));
	sys.now = 1000 * MS;
	follow_init(&f, &ops, &sys);
}

/* A request from @cpu, @gap after the last one; @wait of it for a CPU. */
static void request(unsigned int cpu, unsigned int in_flight, uint64_t gap,
		    uint64_t wait)
{
	sys.now += gap;
	sys.delay += wait;
	follow_request(&f, cpu, in_flight);
	if (f.joined != sys.idle)
		ck_abort_msg("it is joined: %d", f.joined);
}

/* One at a time; quicker where we are. */
static void alone(unsigned int cpu, unsigned int n)
{
	while (n--)
		request(cpu, 1, sys.idle && sys.cpu == cpu ? 11 * US : 50 * US,
			US);
}

static void joined_on(unsigned int cpu)
{
	alone(cpu, 100);
	ck_assert(sys.idle);
	ck_assert_uint_eq(sys.cpu, cpu);
}

static void left_because(enum follow_why why)
{
	enum follow_why i;

	ck_assert(!sys.idle);
	ck_assert_uint_eq(sys.leaves, 1);
	for (i = 0; i < FOLLOW_WHYS; i++)
		ck_assert_uint_eq(f.stats.leaves[i], i == why);
}

START_TEST(joins_and_stays)
{
	joined_on(3);
	alone(3, 100000);
	ck_assert(sys.idle);
	ck_assert_uint_eq(sys.joins, 1);
	ck_assert_uint_eq(sys.leaves + sys.moves, 0);
	ck_assert_uint_ge(sys.looks, 10);
	ck_assert_uint_le(sys.looks, 12);
	ck_assert_uint_eq(f.stats.joins, 1);
}
END_TEST

START_TEST(never_when_off)
{
	memset(&f, 0, sizeof(f));
	alone(0, 1000);
	follow_leave(&f, FOLLOW_QUIET);
	follow_stop(&f);
	ck_assert_uint_eq(sys.joins, 0);
}
END_TEST

/* Loads that are none for it. */
START_TEST(does_not_join)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		request(i % 2, 1, 50 * US, US); /* two clients */
	for (i = 0; i < 1000; i++)
		request(0, i % 8 ? 2 : 1, 50 * US, US); /* parallel */
	for (i = 0; i < 1000; i++)
		request(0, 1, MS, US); /* slow */
	setup();
	for (i = 0; i < 1000; i++)
		request(0, 1, 8 * US, US); /* as quick as can be */
	setup();
	ck_assert_uint_eq(sys.joins, 0);
	ck_assert_uint_eq(f.stats.busy, 0);
	for (i = 0; i < 100; i++)
		request(0, 1, 50 * US, 40 * US); /* others run */
	ck_assert_uint_eq(sys.joins, 0);
	ck_assert_uint_eq(f.stats.busy, 1);
}
END_TEST

/* --cpu=follow */
START_TEST(is_eager)
{
	unsigned int i;

	f.eager = true;
	for (i = 0; i < 100; i++)
		request(0, 1, MS, 900 * US * !sys.idle);
	ck_assert(sys.idle);
	request(0, 1, 3 * MS, 2900 * US);
	left_because(FOLLOW_STARVED);
}
END_TEST

START_TEST(refused)
{
	sys.deny_join = true;
	alone(0, 10000);
	ck_assert(!f.joined);
	ck_assert_uint_ge(f.stats.refused, 1);
	ck_assert_uint_le(f.stats.refused, 6); /* it does not try for ever */
}
END_TEST

START_TEST(leaves_when_parallel)
{
	unsigned int i;

	joined_on(0);
	for (i = 0; i < 10 && sys.idle; i++)
		request(0, 4, 11 * US, US);
	left_because(FOLLOW_PARALLEL);
}
END_TEST

/* A stray request beside, such as a stat, is no reason. */
START_TEST(bears_some_company)
{
	unsigned int i;

	joined_on(0);
	for (i = 0; i < 10000; i++)
		request(0, i % 10 ? 1 : 2, 11 * US, US);
	for (i = 0; i < 10000; i++)
		request(i % 20 == 0, 1, 11 * US, US);
	ck_assert(sys.idle);
	ck_assert_uint_eq(sys.moves, 0);
}
END_TEST

START_TEST(leaves_two_clients)
{
	unsigned int i;

	joined_on(0);
	for (i = 0; i < 100 && sys.idle; i++)
		request(i % 2, 1, 11 * US, US);
	left_because(FOLLOW_CLIENTS);
	ck_assert_uint_eq(sys.moves, 0);
}
END_TEST

START_TEST(moves_after_a_client)
{
	joined_on(0);
	alone(0, 100);
	alone(5, 20);
	ck_assert_uint_eq(sys.moves, 1);
	ck_assert_uint_eq(sys.cpu, 5);
	alone(5, 1000);
	ck_assert_uint_eq(sys.moves, 1);
	ck_assert(sys.idle);
}
END_TEST

/* Not more often than so. */
START_TEST(moves_seldom)
{
	unsigned int i;

	joined_on(0);
	for (i = 0; i < 10000 && sys.idle; i++)
		request(i / 5 % 2, 1, 5 * US, US);
	ck_assert_uint_le(sys.moves * 300 * US, 10000 * 5 * US);
}
END_TEST

START_TEST(leaves_where_it_may_not_go)
{
	joined_on(0);
	sys.deny_move = true;
	while (sys.idle)
		request(1, 1, 50 * US, US);
	left_because(FOLLOW_CLIENTS);
}
END_TEST

START_TEST(leaves_a_hog_at_once)
{
	joined_on(0);
	alone(0, 1000);
	request(0, 1, 3 * MS, 2900 * US);
	left_because(FOLLOW_STARVED);
}
END_TEST

/* It was the disk or the client that took long. */
START_TEST(bears_slow_requests)
{
	unsigned int i;

	joined_on(0);
	for (i = 0; i < 100; i++)
		request(0, 1, 3 * MS, 10 * US);
	ck_assert(sys.idle);
}
END_TEST

/* As short waits add up. */
START_TEST(sums_no_short_waits)
{
	unsigned int i;

	joined_on(0);
	for (i = 0; i < 5000; i++)
		request(0, 1, i % 100 ? 11 * US : 420 * US, 7 * US);
	ck_assert(sys.idle);
}
END_TEST

START_TEST(leaves_in_vain)
{
	unsigned int i;

	joined_on(0);
	for (i = 0; i < 1000 && sys.idle; i++)
		request(0, 1, 49 * US, US);
	left_because(FOLLOW_VAIN);
}
END_TEST

START_TEST(leaves_what_others_changed)
{
	joined_on(0);
	sys.strayed = true;
	alone(0, 10000);
	ck_assert_uint_ge(f.stats.leaves[FOLLOW_AFFINITY], 1);
	ck_assert_uint_eq(f.stats.joins,
			  f.stats.leaves[FOLLOW_AFFINITY] + sys.idle);
}
END_TEST

/* With a hog that stays, the tries grow rare. */
START_TEST(stays_away_longer)
{
	uint64_t joined = 0, end = sys.now + 120000 * MS;

	while (sys.now < end) {
		if (sys.idle) {
			request(0, 1, 20 * MS, 20 * MS);
			joined++;
			ck_assert(!sys.idle);
		} else {
			request(0, 1, 50 * US, US);
		}
	}
	ck_assert_uint_eq(joined, f.stats.leaves[FOLLOW_STARVED]);
	ck_assert_uint_ge(joined, 8);
	ck_assert_uint_le(joined, 16);
	/* A good stay makes up for that. */
	while (!sys.idle)
		request(0, 1, 50 * US, US);
	alone(0, 12 * 1000000);
	ck_assert(sys.idle);
	request(0, 1, 20 * MS, 20 * MS);
	ck_assert(!sys.idle);
	end = sys.now + 40 * MS;
	while (sys.now < end && !sys.idle)
		request(0, 1, 50 * US, US);
	ck_assert(sys.idle);
}
END_TEST

START_TEST(quiet_and_end)
{
	joined_on(0);
	follow_leave(&f, FOLLOW_QUIET);
	left_because(FOLLOW_QUIET);
	joined_on(0); /* at once */
	follow_leave(&f, FOLLOW_CHILD);
	ck_assert_uint_eq(f.stats.leaves[FOLLOW_CHILD], 1);
	joined_on(0); /* the same */
	follow_stop(&f);
	ck_assert(!sys.idle);
	ck_assert_uint_eq(f.stats.leaves[FOLLOW_END], 1);
	alone(0, 1000);
	ck_assert(!sys.idle);
}
END_TEST

START_TEST(cannot_return)
{
	joined_on(0);
	sys.deny_leave = true;
	follow_leave(&f, FOLLOW_QUIET);
	sys.idle = false;
	alone(0, 10000);
	ck_assert(!f.on);
	ck_assert_uint_eq(sys.joins, 1);
}
END_TEST

static const struct {
	const char *text;
	int ret;
	enum cpu_mode mode;
	unsigned long bits; /* of CPUs 0 to 63 */
} texts[] = {
	{ "auto", 0, CPU_AUTO, 0 },
	{ "follow", 0, CPU_FOLLOW, 0 },
	{ "any", 0, CPU_ANY, 0 },
	{ "0", 0, CPU_LIST, 1 },
	{ "0-3,5", 0, CPU_LIST, 0x2f },
	{ "0-3+5", 0, CPU_LIST, 0x2f },
	{ "7,7", 0, CPU_LIST, 0x80 },
	{ "", -EINVAL, CPU_LIST, 0 },
	{ ",", -EINVAL, CPU_LIST, 0 },
	{ "1,", -EINVAL, CPU_LIST, 0 },
	{ "-1", -EINVAL, CPU_LIST, 0 },
	{ "3-1", -EINVAL, CPU_LIST, 0 },
	{ "1-", -EINVAL, CPU_LIST, 0 },
	{ "0-3:2", -EINVAL, CPU_LIST, 0 },
	{ "autos", -EINVAL, CPU_LIST, 0 },
	{ "8192", -EINVAL, CPU_LIST, 0 },
	{ "99999999999999999999", -EINVAL, CPU_LIST, 0 },
};

START_TEST(reads_lists)
{
	struct cpu_set set = { { 0 } };
	enum cpu_mode mode;

	ck_assert_int_eq(cpu_parse(texts[_i].text, &mode, &set), texts[_i].ret);
	ck_assert_uint_eq(mode, texts[_i].mode);
	if (!texts[_i].ret)
		ck_assert_uint_eq(set.bits[0], texts[_i].bits);
}
END_TEST

Suite *suite_follow(void)
{
	TCase *tc;
	Suite *s = suite_of("follow", &tc);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, joins_and_stays);
	tcase_add_test(tc, never_when_off);
	tcase_add_test(tc, does_not_join);
	tcase_add_test(tc, is_eager);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, leaves_when_parallel);
	tcase_add_test(tc, bears_some_company);
	tcase_add_test(tc, leaves_two_clients);
	tcase_add_test(tc, moves_after_a_client);
	tcase_add_test(tc, moves_seldom);
	tcase_add_test(tc, leaves_where_it_may_not_go);
	tcase_add_test(tc, leaves_a_hog_at_once);
	tcase_add_test(tc, bears_slow_requests);
	tcase_add_test(tc, sums_no_short_waits);
	tcase_add_test(tc, leaves_in_vain);
	tcase_add_test(tc, leaves_what_others_changed);
	tcase_add_test(tc, stays_away_longer);
	tcase_add_test(tc, quiet_and_end);
	tcase_add_test(tc, cannot_return);
	tcase_add_loop_test(tc, reads_lists, 0, COUNT(texts));
	return s;
}
