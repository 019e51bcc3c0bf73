# Integration tests: real mounts, real tools. They run one by one or side by
# side; tests/integration/lib.sh tells what they have in common.

TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = bash
AM_TESTS_ENVIRONMENT = \
	abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir; \
	abs_top_srcdir='$(abs_top_srcdir)'; export abs_top_srcdir;

integration_tests = \
	tests/integration/badinput.sh \
	tests/integration/basic.sh \
	tests/integration/cgroup.sh \
	tests/integration/container.sh \
	tests/integration/copies.sh \
	tests/integration/cpu.sh \
	tests/integration/death.sh \
	tests/integration/device.sh \
	tests/integration/fallback.sh \
	tests/integration/faults.sh \
	tests/integration/fio.sh \
	tests/integration/foreign.sh \
	tests/integration/fs.sh \
	tests/integration/interval.sh \
	tests/integration/locks.sh \
	tests/integration/memory.sh \
	tests/integration/model.sh \
	tests/integration/mounts.sh \
	tests/integration/named.sh \
	tests/integration/openrc.sh \
	tests/integration/others.sh \
	tests/integration/pagecache.sh \
	tests/integration/passthrough.sh \
	tests/integration/place.sh \
	tests/integration/pools.sh \
	tests/integration/probe.sh \
	tests/integration/qcow2.sh \
	tests/integration/replace.sh \
	tests/integration/sign.sh \
	tests/integration/rights.sh \
	tests/integration/start.sh \
	tests/integration/stats.sh \
	tests/integration/status.sh \
	tests/integration/successor.sh \
	tests/integration/valgrind.sh \
	tests/integration/writeback.sh \
	tests/integration/zerocopy.sh

integration_helpers = \
	tests/integration/deny \
	tests/integration/fileop \
	tests/integration/guard \
	tests/integration/load \
	tests/integration/manager \
	tests/integration/model

TESTS += $(integration_tests)
check_PROGRAMS += $(integration_helpers)
EXTRA_DIST += $(integration_tests) tests/integration/lib.sh

tests_integration_deny_SOURCES = tests/integration/deny.c
tests_integration_fileop_SOURCES = tests/integration/fileop.c tests/integration/errname.h
tests_integration_guard_SOURCES = tests/integration/guard.c
tests_integration_load_SOURCES = tests/integration/load.c tests/integration/errname.h
tests_integration_load_LDADD = -lpthread
tests_integration_manager_SOURCES = tests/integration/manager.c
tests_integration_model_SOURCES = tests/integration/model.c
tests_integration_model_LDADD = -lpthread

# 10,000 mounts: some minutes.
check-mounts: rawfuse
	@$(MKDIR_P) tests/integration
	$(AM_TESTS_ENVIRONMENT) MOUNTS=$${MOUNTS:-10000} \
		$(SH_LOG_COMPILER) $(srcdir)/tests/integration/mounts.sh

.PHONY: check-mounts
