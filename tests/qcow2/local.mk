# The tests of the qcow2 driver; see tests/qcow2/README.

q2_cppflags = $(AM_CPPFLAGS) -I$(srcdir)/tests/qcow2

check_LIBRARIES = tests/qcow2/libq2.a
tests_qcow2_libq2_a_CPPFLAGS = $(q2_cppflags)
tests_qcow2_libq2_a_SOURCES = \
	tests/qcow2/history.c tests/qcow2/history.h \
	tests/qcow2/journal.c tests/qcow2/journal.h \
	tests/qcow2/memdisk.c tests/qcow2/memdisk.h \
	tests/qcow2/check.c tests/qcow2/check.h \
	tests/qcow2/check_parse.c tests/qcow2/check_read.c \
	tests/qcow2/model.c tests/qcow2/model.h \
	tests/qcow2/ops.c tests/qcow2/ops.h \
	tests/qcow2/rng.h

q2_ldadd = tests/qcow2/libq2.a librawfuse.a $(URING_LIBS) $(EV_LIBS) \
	$(ZLIB_LIBS) $(ZSTD_LIBS)

check_PROGRAMS = \
	tests/qcow2/q2check \
	tests/qcow2/q2crash \
	tests/qcow2/q2fail \
	tests/qcow2/q2test

tests_qcow2_q2test_SOURCES = tests/qcow2/q2test.c
tests_qcow2_q2test_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2test_LDADD = $(q2_ldadd)

tests_qcow2_q2check_SOURCES = tests/qcow2/q2check.c
tests_qcow2_q2check_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2check_LDADD = $(q2_ldadd)

tests_qcow2_q2crash_SOURCES = tests/qcow2/q2crash.c
tests_qcow2_q2crash_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2crash_LDADD = $(q2_ldadd)

tests_qcow2_q2fail_SOURCES = tests/qcow2/q2fail.c
tests_qcow2_q2fail_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2fail_LDADD = $(q2_ldadd)
