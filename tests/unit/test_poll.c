/* When to spin before a sleep. */
#include "config.h"

#include <errno.h>

#include "loop/poll.h"
#include "suites.h"

#define US 1000ull
#define MS (1000 * US)

static struct poll p;
static struct follow follow;
static unsigned int in_flight;
static uint64_t now;
static struct poll_share share;

static void look(void *arg, struct poll_share *s)
{
	ck_assert_ptr_eq(arg, &share);
	*s = share;
}

static void parse(const char *text)
{
	ck_assert_int_eq(poll_parse(text, &p), 0);
	p.in_flight = &in_flight;
	p.follow = &follow;
	p.look = look;
	p.arg = &share;
}

static void setup(void)
{
	now = 1000 * MS;
	in_flight = 8;
	share = (struct poll_share){ 0 };
	follow = (struct follow){ .on = true };
	parse("auto");
}

/* Waits for what comes after @gap, looking at the clock every 1 us. */
static bool wait_for(uint64_t gap)
{
	uint64_t end = now + gap;

	if (poll_may(&p) && poll_begin(&p, now)) {
		do {
			now += US;
			if (now >= end) {
				poll_paid(&p, now);
				return true;
			}
		} while (poll_on(&p, now));
	}
	now = end;
	return false;
}

static uint64_t spins(void)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < POLL_KINDS; i++)
		n += p.waits[i].paid + p.waits[i].vain;
	return n;
}

static unsigned int spun(unsigned int n, uint64_t gap)
{
	uint64_t before = spins();

	while (n--)
		wait_for(gap);
	return (unsigned int)(spins() - before);
}

START_TEST(short_waits_pay)
{
	ck_assert_uint_eq(spun(1000, 10 * US), 1000);
	ck_assert_uint_eq(p.waits[POLL_MANY].vain, 0);
	ck_assert_uint_ge(p.stats.time, 1000 * 10 * US);
	ck_assert_uint_eq(p.stats.pauses, 0);
}
END_TEST

START_TEST(long_waits_sleep)
{
	spun(100, MS);
	ck_assert_uint_le(spun(1000, MS), 1000 / 16);
}
END_TEST

START_TEST(learns_again)
{
	spun(1000, MS);
	spun(100, 10 * US);
	ck_assert_uint_eq(spun(1000, 10 * US), 1000);
}
END_TEST

START_TEST(one_long_wait_is_forgiven)
{
	spun(1000, 10 * US);
	spun(1, 100 * MS);
	spun(200, 10 * US);
	ck_assert_uint_eq(spun(100, 10 * US), 100);
}
END_TEST

/* A client or a quick image, a few requests at a time. */
START_TEST(looks_shortly_with_few)
{
	in_flight = (unsigned int)_i;
	ck_assert_uint_eq(spun(1000, 10 * US), 1000);
	ck_assert_uint_eq(spun(1000, 29 * US), 1000);
	/* Longer waits are no business of its. */
	spun(100, 31 * US);
	ck_assert_uint_le(spun(1600, 31 * US), 1600 / 16);
}
END_TEST

/*
 * A client that is slow, for 200 us or more at a time, costs next to nothing:
 * nor does it matter to the image's waits, which are short.
 */
START_TEST(a_slow_client_is_slept_for)
{
	static const uint64_t thinks[] = { 40 * US, 200 * US, 5 * MS };
	uint64_t spent;
	unsigned int i;

	for (i = 0; i < 2000; i++) {
		in_flight = 1;
		ck_assert(wait_for(10 * US));
		in_flight = 0;
		wait_for(thinks[_i]);
	}
	spent = p.stats.time - p.waits[POLL_IMAGE].paid * 10 * US;
	ck_assert_uint_eq(p.waits[POLL_IMAGE].paid, 2000);
	ck_assert_uint_le(p.waits[POLL_CLIENT].vain, 20);
	ck_assert_uint_le(spent, 20 * 30 * US);
	/* And once it is quick, that is seen soon. */
	in_flight = 0;
	spun(2000, 5 * US);
	ck_assert_uint_eq(spun(100, 5 * US), 100);
}
END_TEST

/* Their threads need the CPU more. */
START_TEST(workers_are_slept_for)
{
	in_flight = 7;
	p.workers = 1;
	ck_assert_uint_eq(spun(100, 10 * US), 0);
	in_flight = 8;
	ck_assert_uint_eq(spun(100, 10 * US), 100);
	in_flight = 1;
	p.workers = 0;
	ck_assert_uint_eq(spun(100, 10 * US), 100);
}
END_TEST

START_TEST(no_short_look_on_the_clients_cpu)
{
	in_flight = 0;
	follow.joined = true;
	ck_assert_uint_eq(spun(100, 10 * US), 0);
	follow.joined = false;
	follow.streak = FOLLOW_GLIMPSE; /* it measures */
	ck_assert_uint_eq(spun(100, 10 * US), 0);
	follow.on = false;
	ck_assert_uint_eq(spun(100, 10 * US), 100);
	follow.on = true;
	follow.streak = FOLLOW_GLIMPSE - 1;
	ck_assert_uint_eq(spun(100, 10 * US), 100);
	p.follow = NULL;
	ck_assert_uint_eq(spun(100, 10 * US), 100);
}
END_TEST

/* Ten milliseconds of short waits, in which others ran as said. */
static unsigned int crowd(uint64_t switches, uint64_t delay)
{
	share.switches += switches;
	share.delay += delay;
	return spun(1000, 10 * US);
}

/* Somebody takes the CPU between the looks at the clock. */
START_TEST(no_short_look_in_a_crowd)
{
	unsigned int i, n;

	in_flight = 1;
	for (i = 0; i < 1000; i++)
		crowd(1, 3 * MS);
	/* Ten seconds later it is tried for 20 ms each second, about. */
	ck_assert_uint_eq(p.waits[POLL_IMAGE].pause, 1000 * MS);
	for (i = 0, n = 0; i < 100; i++)
		n += crowd(1, 3 * MS);
	ck_assert_uint_le(n, 4000);
	/* Nobody any more. */
	for (i = 0; i < 1000; i++)
		crowd(0, 0);
	ck_assert_uint_eq(crowd(0, 0), 1000);
	ck_assert_uint_eq(p.waits[POLL_IMAGE].pause, 0);
}
END_TEST

/* A client on our CPU, kernel threads; CPUs that are slow to wake up. */
START_TEST(some_company_is_no_crowd)
{
	unsigned int i;

	in_flight = 1;
	for (i = 0; i < 100; i++) {
		ck_assert_uint_eq(crowd(3, 100 * US), 1000);
		ck_assert_uint_eq(crowd(500, 9 * MS), 1000);
	}
	ck_assert_uint_eq(p.stats.pauses, 0);
}
END_TEST

/* What happened during a long rest says nothing. */
START_TEST(a_rest_is_no_crowd)
{
	in_flight = 0;
	spun(10, 10 * US);
	now += 1000 * MS;
	ck_assert_uint_eq(crowd(1000, 900 * MS), 1000);
	ck_assert_uint_eq(p.stats.pauses, 0);
}
END_TEST

START_TEST(only_where_it_may)
{
	in_flight = 0;
	p.in_flight = NULL;
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
	p.in_flight = &in_flight;
	poll_disable(&p);
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
	in_flight = 100;
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
	parse("off");
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
}
END_TEST

/* Who asks for a time gets it: whatever waits, and whoever works. */
START_TEST(fixed_is_fixed)
{
	parse("50");
	p.workers = 1;
	follow.joined = true;
	for (in_flight = 0; in_flight < 10; in_flight++)
		ck_assert_uint_eq(spun(100, 45 * US), 100);
}
END_TEST

START_TEST(is_bounded)
{
	uint64_t start = now;

	p.waits[POLL_MANY].most = 20 * US;
	ck_assert(poll_begin(&p, now));
	do {
		now += US;
	} while (poll_on(&p, now));
	ck_assert_uint_eq(now - start, 20 * US);
	ck_assert_uint_eq(p.waits[POLL_MANY].vain, 1);
}
END_TEST

/* Somebody else has run in between. */
START_TEST(others_go_first)
{
	const struct poll_wait *w = &p.waits[POLL_MANY];
	uint64_t pauses;

	spun(100, 10 * US);
	ck_assert(poll_begin(&p, now));
	now += 4 * MS;
	ck_assert(!poll_on(&p, now));
	ck_assert_uint_eq(p.stats.pauses, 1);
	ck_assert_uint_eq(spun(900, 10 * US), 0); /* 9 ms */
	spun(2000, 10 * US);
	ck_assert_uint_ge(spun(100, 10 * US), 99);
	/* The next one is twice as long, and so on up to a second. */
	for (pauses = 2; pauses < 20; pauses++) {
		while (!poll_begin(&p, now))
			now += 10 * US;
		now += 4 * MS;
		ck_assert(!poll_on(&p, now));
		ck_assert_uint_eq(p.stats.pauses, pauses);
		ck_assert_uint_le(w->pause_until - now, 1000 * MS);
	}
	ck_assert_uint_eq(w->pause_until - now, 1000 * MS);
}
END_TEST

static const struct {
	const char *text;
	int ret;
	uint64_t most;
} texts[] = {
	{ "off", 0, 0 },
	{ "0", 0, 0 },
	{ "7", 0, 7 * US },
	{ "1000", 0, MS },
	{ "1001", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "5us", -EINVAL, 0 },
	{ "automatic", -EINVAL, 0 },
	{ "99999999999999999999", -EINVAL, 0 },
};

START_TEST(reads)
{
	ck_assert_int_eq(poll_parse(texts[_i].text, &p), texts[_i].ret);
	ck_assert_int_eq(poll_parse(texts[_i].text, NULL), texts[_i].ret);
	if (!texts[_i].ret)
		ck_assert_uint_eq(p.waits[POLL_CLIENT].most, texts[_i].most);
}
END_TEST

Suite *suite_poll(void)
{
	TCase *tc;
	Suite *s = suite_of("poll", &tc);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, short_waits_pay);
	tcase_add_test(tc, long_waits_sleep);
	tcase_add_test(tc, learns_again);
	tcase_add_test(tc, one_long_wait_is_forgiven);
	tcase_add_loop_test(tc, looks_shortly_with_few, 0, 8);
	tcase_add_loop_test(tc, a_slow_client_is_slept_for, 0, 3);
	tcase_add_test(tc, workers_are_slept_for);
	tcase_add_test(tc, no_short_look_on_the_clients_cpu);
	tcase_add_test(tc, no_short_look_in_a_crowd);
	tcase_add_test(tc, some_company_is_no_crowd);
	tcase_add_test(tc, a_rest_is_no_crowd);
	tcase_add_test(tc, only_where_it_may);
	tcase_add_test(tc, fixed_is_fixed);
	tcase_add_test(tc, is_bounded);
	tcase_add_test(tc, others_go_first);
	tcase_add_loop_test(tc, reads, 0, COUNT(texts));
	return s;
}
