/* All unit tests. CK_RUN_SUITE=name runs one suite, CK_FORK=no in one go. */
#include "config.h"

#include <stdlib.h>

#include "suites.h"

static Suite *(*const suites[])(void) = {
	suite_log,	   suite_text,	      suite_options,
	suite_mountinfo,   suite_uring,	      suite_block_range,
	suite_block_order, suite_block_flush, suite_raw,
	suite_raw_faults,  suite_null,	      suite_ring,
	suite_ring_errors, suite_dev,	      suite_init,
	suite_sizes,	   suite_lies,	      suite_io,
	suite_open,	   suite_attr,	      suite_cached,
	suite_pool,	   suite_zero_copy,   suite_bounce,
	suite_follow,	   suite_poll,	      suite_foreign,
	suite_budget,	   suite_writeback,   suite_stats,
	suite_interrupt,
	suite_notify,	   suite_alive,	      suite_progress,
	suite_passed,
	suite_status,
	suite_qcow2_format, suite_qcow2_floors,
};

int main(void)
{
	SRunner *runner = srunner_create(NULL);
	int failed;
	size_t i;

	for (i = 0; i < COUNT(suites); i++)
		srunner_add_suite(runner, suites[i]());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
