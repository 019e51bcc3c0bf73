# make bench: fio on the export, the image itself, and its peers. Not part of
# make check: it takes long, and has no opinion on the numbers. bench-quick
# takes less than 3 minutes, bench-peers fetches newer peers beforehand,
# bench-chart draws contrib/bench.svg anew from the last results.
EXTRA_DIST += tests/bench/bench.sh tests/bench/chart.sh tests/bench/helper.c \
	tests/bench/lib.sh tests/bench/machine.sh tests/bench/passthrough.c \
	tests/bench/peers.sh tests/bench/qcow2.sh tests/bench/report.awk \
	tests/bench/scale.sh tests/bench/servers.sh tests/bench/workloads.sh \
	contrib/bench.svg

.PHONY: bench bench-quick bench-peers bench-chart
bench bench-quick: rawfuse$(EXEEXT)
	CC='$(CC)' RAWFUSE='$(abs_builddir)/rawfuse$(EXEEXT)' \
		bash '$(srcdir)/tests/bench/bench.sh' \
		`test $@ = bench || echo --quick`

bench-peers:
	bash '$(srcdir)/tests/bench/peers.sh' bench-peers

bench-chart:
	bash '$(srcdir)/tests/bench/chart.sh' "$${BENCH_TSV:-bench.tsv}" \
		'$(srcdir)/contrib/bench.svg'

# make bench-hog: latency beside busy loops; fails if --cpu=auto makes it worse.
EXTRA_DIST += tests/bench/hog.sh

.PHONY: bench-hog
bench-hog: rawfuse$(EXEEXT)
	RAWFUSE='$(abs_builddir)/rawfuse$(EXEEXT)' \
		bash '$(srcdir)/tests/bench/hog.sh'
