/* When to spin before a sleep. */
#include "config.h"

#include <errno.h>

#include "loop/poll.h"
#include "suites.h"

#define US 1000ull
#define MS (1000 * US)

static struct poll p;
static unsigned int in_flight;
static uint64_t now;

static void setup(void)
{
	now = 1000 * MS;
	in_flight = 8;
	ck_assert_int_eq(poll_parse("auto", &p), 0);
	p.in_flight = &in_flight;
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

static unsigned int spun(unsigned int n, uint64_t gap)
{
	uint64_t before = p.stats.paid + p.stats.vain;

	while (n--)
		wait_for(gap);
	return (unsigned int)(p.stats.paid + p.stats.vain - before);
}

START_TEST(short_waits_pay)
{
	ck_assert_uint_eq(spun(1000, 10 * US), 1000);
	ck_assert_uint_eq(p.stats.vain, 0);
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

START_TEST(never_at_rest)
{
	in_flight = 0;
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
	in_flight = 7; /* too few for auto */
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
	ck_assert_int_eq(poll_parse("50", &p), 0);
	p.in_flight = &in_flight;
	in_flight = 1;
	ck_assert_uint_eq(spun(1000, 10 * US), 1000);
	in_flight = 0;
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
	in_flight = 1;
	p.in_flight = NULL;
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
	in_flight = 1;
	p.in_flight = &in_flight;
	ck_assert_int_eq(poll_parse("off", &p), 0);
	p.in_flight = &in_flight;
	ck_assert_uint_eq(spun(1000, 10 * US), 0);
}
END_TEST

START_TEST(is_bounded)
{
	uint64_t start = now;

	p.most = 20 * US;
	ck_assert(poll_begin(&p, now));
	do {
		now += US;
	} while (poll_on(&p, now));
	ck_assert_uint_eq(now - start, 20 * US);
	ck_assert_uint_eq(p.stats.vain, 1);
}
END_TEST

/* Somebody else has run in between. */
START_TEST(others_go_first)
{
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
		ck_assert_uint_le(p.pause_until - now, 1000 * MS);
	}
	ck_assert_uint_eq(p.pause_until - now, 1000 * MS);
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
		ck_assert_uint_eq(p.most, texts[_i].most);
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
	tcase_add_test(tc, never_at_rest);
	tcase_add_test(tc, is_bounded);
	tcase_add_test(tc, others_go_first);
	tcase_add_loop_test(tc, reads, 0, COUNT(texts));
	return s;
}
