# Unit tests: Check, a fake kernel.
EXTRA_DIST += tests/unit/README

if HAVE_CHECK
check_PROGRAMS += tests/unit/unit
TESTS += tests/unit/unit

# Check's closing line, which the test driver keeps to its log.
check-local: check-TESTS
	@test ! -f tests/unit/unit.log || \
		sed -n '/Checks:/s/^/unit: /p' tests/unit/unit.log
endif

tests_unit_unit_SOURCES = \
	tests/unit/capture.c tests/unit/capture.h \
	tests/unit/cases.c tests/unit/cases.h \
	tests/unit/driver.c tests/unit/driver.h \
	tests/unit/fake.c tests/unit/fake.h \
	tests/unit/fake_int.h tests/unit/fake_ring.c \
	tests/unit/image.c tests/unit/image.h \
	tests/unit/node.c tests/unit/node.h \
	tests/unit/slots.c tests/unit/slots.h \
	tests/unit/suites.h \
	tests/unit/test_alive.c \
	tests/unit/test_attr.c \
	tests/unit/test_block_flush.c \
	tests/unit/test_block_order.c \
	tests/unit/test_block_range.c \
	tests/unit/test_bounce.c \
	tests/unit/test_budget.c \
	tests/unit/test_cached.c \
	tests/unit/test_dev.c \
	tests/unit/test_follow.c \
	tests/unit/test_foreign.c \
	tests/unit/test_init.c \
	tests/unit/test_interrupt.c \
	tests/unit/test_io.c \
	tests/unit/test_lies.c \
	tests/unit/test_log.c \
	tests/unit/test_mountinfo.c \
	tests/unit/test_notify.c \
	tests/unit/test_null.c \
	tests/unit/test_open.c \
	tests/unit/test_options.c \
	tests/unit/test_poll.c \
	tests/unit/test_pool.c \
	tests/unit/test_progress.c \
	tests/unit/test_qcow2_floors.c \
	tests/unit/test_qcow2_format.c \
	tests/unit/test_raw.c \
	tests/unit/test_raw_faults.c \
	tests/unit/test_ring.c \
	tests/unit/test_ring_errors.c \
	tests/unit/test_sizes.c \
	tests/unit/test_stats.c \
	tests/unit/test_passed.c \
	tests/unit/test_status.c \
	tests/unit/test_text.c \
	tests/unit/test_uring.c \
	tests/unit/test_writeback.c \
	tests/unit/test_zero_copy.c \
	tests/unit/unit.c \
	tests/unit/wrap.c tests/unit/wrap.h
tests_unit_unit_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests/unit
tests_unit_unit_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_unit_unit_LDADD = librawfuse.a $(CHECK_LIBS) $(URING_LIBS) $(EV_LIBS) $(ZLIB_LIBS) $(ZSTD_LIBS)
tests_unit_unit_LDFLAGS = \
	-Wl,--wrap=sysconf -Wl,--wrap=mmap -Wl,--wrap=madvise \
	-Wl,--wrap=read -Wl,--wrap=writev \
	-Wl,--wrap=pread -Wl,--wrap=preadv2 -Wl,--wrap=pwrite \
	-Wl,--wrap=fsync -Wl,--wrap=fdatasync \
	-Wl,--wrap=fallocate -Wl,--wrap=ftruncate \
	-Wl,--wrap=pread64 -Wl,--wrap=preadv64v2 -Wl,--wrap=pwrite64 \
	-Wl,--wrap=fallocate64 -Wl,--wrap=ftruncate64
