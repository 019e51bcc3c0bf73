# make bench: fio on the export, the image itself, and its peers. Not part of
# make check: it takes minutes, and has no opinion on the numbers.
EXTRA_DIST += tests/bench/bench.sh

.PHONY: bench
bench: rawfuse$(EXEEXT)
	RAWFUSE='$(abs_builddir)/rawfuse$(EXEEXT)' \
		bash '$(srcdir)/tests/bench/bench.sh'

# make bench-hog: latency beside busy loops; fails if --cpu=auto makes it worse.
EXTRA_DIST += tests/bench/hog.sh

.PHONY: bench-hog
bench-hog: rawfuse$(EXEEXT)
	RAWFUSE='$(abs_builddir)/rawfuse$(EXEEXT)' \
		bash '$(srcdir)/tests/bench/hog.sh'
