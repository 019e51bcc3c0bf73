/* The suites of tests, one of each file test_*.c. */
#ifndef UNIT_SUITES_H
#define UNIT_SUITES_H

#include <check.h>

Suite *suite_log(void);
Suite *suite_notify(void);
Suite *suite_progress(void);
Suite *suite_alive(void);
Suite *suite_follow(void);
Suite *suite_foreign(void);
Suite *suite_text(void);
Suite *suite_budget(void);
Suite *suite_options(void);
Suite *suite_mountinfo(void);
Suite *suite_uring(void);
Suite *suite_block_range(void);
Suite *suite_block_order(void);
Suite *suite_block_flush(void);
Suite *suite_raw(void);
Suite *suite_raw_faults(void);
Suite *suite_null(void);
Suite *suite_qcow2_floors(void);
Suite *suite_qcow2_format(void);
Suite *suite_poll(void);
Suite *suite_ring(void);
Suite *suite_ring_errors(void);
Suite *suite_dev(void);
Suite *suite_init(void);
Suite *suite_sizes(void);
Suite *suite_lies(void);
Suite *suite_io(void);
Suite *suite_open(void);
Suite *suite_attr(void);
Suite *suite_pool(void);
Suite *suite_zero_copy(void);
Suite *suite_bounce(void);
Suite *suite_cached(void);
Suite *suite_writeback(void);
Suite *suite_stats(void);
Suite *suite_interrupt(void);
Suite *suite_passed(void);
Suite *suite_status(void);

/* A suite of one test case. */
static inline Suite *suite_of(const char *name, TCase **tc)
{
	Suite *s = suite_create(name);

	*tc = tcase_create(name);
	tcase_set_timeout(*tc, 60);
	suite_add_tcase(s, *tc);
	return s;
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#endif
