# The tests of the qcow2 driver; see tests/qcow2/README.

q2_cppflags = $(AM_CPPFLAGS) -I$(srcdir)/tests/qcow2

check_LIBRARIES = tests/qcow2/libq2.a
tests_qcow2_libq2_a_CPPFLAGS = $(q2_cppflags)
tests_qcow2_libq2_a_SOURCES = \
	tests/qcow2/check.c tests/qcow2/check.h \
	tests/qcow2/check_parse.c tests/qcow2/check_read.c \
	tests/qcow2/history.c tests/qcow2/history.h \
	tests/qcow2/journal.c tests/qcow2/journal.h \
	tests/qcow2/maker.c tests/qcow2/maker.h \
	tests/qcow2/memdisk.c tests/qcow2/memdisk.h \
	tests/qcow2/model.c tests/qcow2/model.h \
	tests/qcow2/ops.c tests/qcow2/ops.h tests/qcow2/ops_choose.c \
	tests/qcow2/ops_edges.c \
	tests/qcow2/rng.h \
	tests/qcow2/unseen.c tests/qcow2/unseen.h

q2_ldadd = tests/qcow2/libq2.a librawfuse.a $(URING_LIBS) $(EV_LIBS) \
	$(ZLIB_LIBS) $(ZSTD_LIBS)

q2_programs = \
	tests/qcow2/q2check \
	tests/qcow2/q2crash \
	tests/qcow2/q2fail \
	tests/qcow2/q2hostile \
	tests/qcow2/q2test \
	tests/fuzz/replay_open \
	tests/fuzz/replay_requests

tests_qcow2_q2check_SOURCES = tests/qcow2/q2check.c
tests_qcow2_q2check_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2check_LDADD = $(q2_ldadd)

tests_qcow2_q2crash_SOURCES = tests/qcow2/q2crash.c
tests_qcow2_q2crash_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2crash_LDADD = $(q2_ldadd)

tests_qcow2_q2fail_SOURCES = tests/qcow2/q2fail.c
tests_qcow2_q2fail_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2fail_LDADD = $(q2_ldadd)

tests_qcow2_q2hostile_SOURCES = tests/qcow2/q2hostile.c
tests_qcow2_q2hostile_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2hostile_LDADD = $(q2_ldadd)
tests_qcow2_q2hostile_LDFLAGS = -Wl,--wrap=aligned_alloc

tests_qcow2_q2test_SOURCES = tests/qcow2/q2test.c
tests_qcow2_q2test_CPPFLAGS = $(q2_cppflags)
tests_qcow2_q2test_LDADD = $(q2_ldadd)

fuzz_common = tests/fuzz/common.c tests/fuzz/fuzz.h

tests_fuzz_replay_open_SOURCES = $(fuzz_common) \
	tests/fuzz/fuzz_open.c tests/fuzz/replay.c
tests_fuzz_replay_open_CPPFLAGS = $(q2_cppflags)
tests_fuzz_replay_open_LDADD = $(q2_ldadd)

tests_fuzz_replay_requests_SOURCES = $(fuzz_common) \
	tests/fuzz/fuzz_requests.c tests/fuzz/replay.c
tests_fuzz_replay_requests_CPPFLAGS = $(q2_cppflags)
tests_fuzz_replay_requests_LDADD = $(q2_ldadd)

q2_tests = \
	tests/qcow2/floors.sh \
	tests/qcow2/check-test.sh \
	tests/qcow2/bad.sh \
	tests/qcow2/oracle.sh \
	tests/qcow2/big.sh \
	tests/qcow2/crash.sh \
	tests/qcow2/fail.sh \
	tests/fuzz/replay.sh

check_PROGRAMS += $(q2_programs)
TESTS += $(q2_tests) tests/qcow2/q2hostile

EXTRA_DIST += $(q2_tests) \
	tests/qcow2/README tests/qcow2/lib.sh tests/qcow2/oracle-lib.sh \
	tests/qcow2/crash-seeds.sh \
	tests/fuzz/fuzz.sh tests/fuzz/seeds.sh \
	tests/fuzz/seeds tests/fuzz/requests

# A million crash points; about half an hour a CPU.
check-crash-long: $(check_LIBRARIES) $(check_PROGRAMS)
	Q2_POINTS=1000000 $(srcdir)/tests/qcow2/crash.sh

# The same of ten seeds: hours. Q2_SEEDS=N for more, Q2_SEED=N the first.
check-crash-seeds: $(check_LIBRARIES) $(check_PROGRAMS)
	$(srcdir)/tests/qcow2/crash-seeds.sh

# libFuzzer's targets, a minute each; FUZZ_SECONDS=N for longer.
FUZZ_CLANG = clang
FUZZ_SECONDS = 60
FUZZ_CFLAGS = -std=gnu11 -g -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
fuzz_sources = $(addprefix $(srcdir)/,$(filter %.c, \
	$(librawfuse_a_SOURCES) $(tests_qcow2_libq2_a_SOURCES) $(fuzz_common)))

check-fuzz: all
	@command -v $(FUZZ_CLANG) >/dev/null || \
		{ echo "SKIP: no $(FUZZ_CLANG)"; exit 77; }
	@mkdir -p fuzz.dir
	for t in fuzz_open fuzz_requests; do \
		$(FUZZ_CLANG) $(FUZZ_CFLAGS) $(DEFS) $(CPPFLAGS) -I. \
			-I$(srcdir)/src -I$(srcdir)/tests/qcow2 \
			$(URING_CFLAGS) -o fuzz.dir/$$t $(fuzz_sources) \
			$(srcdir)/tests/fuzz/$$t.c $(URING_LIBS) $(EV_LIBS) \
			$(ZLIB_LIBS) $(ZSTD_LIBS) || exit 1; \
	done
	$(srcdir)/tests/fuzz/fuzz.sh fuzz.dir $(FUZZ_SECONDS)

.PHONY: check-crash-long check-crash-seeds check-fuzz
