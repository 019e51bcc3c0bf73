#!/bin/bash
# Measures rawfuse beside the image itself and beside its peers, all in one
# run, in rounds that go through all of them. Each result is a line of a TSV
# file; report.awk makes tables of it, chart.sh a chart. `make bench` calls it,
# `make bench-quick` with --quick. The environment may say:
#
#   BENCH_ROUNDS     rounds, at least 1 (3; --quick 1)
#   BENCH_SECONDS    of each measurement (2; --quick 1)
#   BENCH_SIZE       of the image, a whole number of MiB as fio writes it (1G)
#   BENCH_DIR        where the image is made (/var/tmp); its disk is measured
#   BENCH_ONLY       of the sections: main qcow2 scale idle (all; --quick main)
#   BENCH_CONTENDERS of servers.sh's (all; --quick image uring dev qemu libfuse)
#   BENCH_WORKLOADS  of workloads.sh's; all for all of them (main_some)
#   BENCH_BACKENDS   of: host direct null (all)
#   BENCH_COLD       of the qcow2 image whose tables are not cached (8G)
#   BENCH_IDLE       seconds of idleness (3)
#   BENCH_TSV        the results (bench.tsv); added to, if BENCH_APPEND=1, so
#                    that a run can be done in parts
#   BENCH_SVG        the chart (bench.svg)
#   BENCH_PEERS      what peers.sh fetched (bench-peers)
#   BENCH_RAWFUSE    more options of rawfuse's
#   BENCH_BASE       another build of rawfuse, to be measured beside this one as
#                    contender base
#   BENCH_QEMU_AIO   qemu's way to the image: threads, io_uring (io_uring)
#   RAWFUSE          the program (./rawfuse)
#
# A contender that is missing is named, with the reason. Each is started anew
# in every round and for every backend: its memory is read just after mounting
# (idle) and just before unmounting (peak). Its CPU time is that of its
# processes, ended threads and io_uring's worker threads included.
#
#   bench.sh [--quick]         measures, and reports
#   bench.sh --report TSV...   reports what was measured
set -eu -o pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" = --report ]; then
	exec awk -f "$here/report.awk" "${@:2}"
fi

quick=
[ "${1:-}" != --quick ] || quick=1
# shellcheck source=tests/bench/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/bench/servers.sh
. "$here/servers.sh"
# shellcheck source=tests/bench/workloads.sh
. "$here/workloads.sh"
# shellcheck source=tests/bench/machine.sh
. "$here/machine.sh"
# shellcheck source=tests/bench/qcow2.sh
. "$here/qcow2.sh"
# shellcheck source=tests/bench/scale.sh
. "$here/scale.sh"

rounds=${BENCH_ROUNDS:-${quick:+1}}
rounds=${rounds:-3}
seconds=${BENCH_SECONDS:-${quick:+1}}
seconds=${seconds:-2}
size=${BENCH_SIZE:-1G}
cold_size=${BENCH_COLD:-8G}
default="main qcow2 scale idle"
sections=${BENCH_ONLY:-${quick:+main}}
sections=${sections:-$default}
contenders=${BENCH_CONTENDERS:-${quick:+image uring dev qemu libfuse}}
contenders=${contenders:-$all_contenders}
workloads=${BENCH_WORKLOADS:-${quick:+$main_quick}}
workloads=${workloads:-$main_some}
[ "$workloads" != all ] || workloads=$main_all
backends=${BENCH_BACKENDS:-host direct null}
peers=${BENCH_PEERS:-bench-peers}
[ ! -d "$peers" ] || peers=$(cd "$peers" && pwd)
rawfuse=${RAWFUSE:-./rawfuse}
tsv=${BENCH_TSV:-bench.tsv}
svg=${BENCH_SVG:-bench.svg}
round=1
format=raw # of $image
pids=()
server=

# The null device tells of the transport alone, with fewer workloads.
workloads_of() {
	local name

	for name in $workloads; do
		[ "$1" != null ] || has "$name" "$main_quick m32 r128 r1x4" ||
			continue
		echo "$name"
	done | xargs
}

check_tools() {
	local tool name

	for tool in fio jq; do
		have $tool || die "$tool is missing (Debian: apt install $tool)"
	done
	[ -x "$rawfuse" ] ||
		die "$rawfuse: no such program (make, or set RAWFUSE)"
	for name in $workloads; do
		has "$name" "$main_all" || die "$name: no such workload"
	done
	for name in $contenders; do
		has "$name" "$all_contenders" || die "$name: no such contender"
	done
	for name in $sections; do
		has "$name" "$default" || die "$name: no such section"
	done
}

# Sets usable, and says what is not.
find_contenders() {
	local name reason

	usable=
	for name in $contenders; do
		reason=$(missing "$name")
		if [ -n "$reason" ]; then
			fact missing "$name: $reason"
			say "without $name: $reason"
		else
			usable+=" $name"
			fact contender "$name"$'\t'"$(title "$name")"
		fi
	done
}

# Bytes that no file system can leave out, all allocated.
make_image() {
	local count

	say "making an image of $size in $dir"
	count=$(bytes "$size")
	((count >= 1 << 24)) || die "BENCH_SIZE=$size: too small"
	head -c "$count" /dev/urandom >"$image"
	sync "$image"
}

estimate() {
	local backend name sum=0 each each_seconds

	each_seconds=$(awk -v s="$seconds" 'BEGIN { print s * 10 + 8 }')
	if has main "$sections"; then
		for backend in $backends; do
			each=$(workloads_of "$backend" | wc -w)
			for name in $usable; do
				! fits "$name" "$backend" ||
					((sum += each * each_seconds + 10))
			done
		done
	fi
	! has qcow2 "$sections" || ((sum += 8 * (10 * each_seconds + 60)))
	sum=$((sum * rounds))
	! has scale "$sections" || ((sum += 4 * (13 * each_seconds + 150)))
	! has idle "$sections" || ((sum += 120 * idle_seconds + 50 * seconds))
	say "about $(((sum / 10 + 59) / 60)) minutes:" \
		"sections $sections; contenders$usable"
}

main_rounds() {
	local backend order name

	order=$usable
	for ((round = 1; round <= rounds; round++)); do
		for backend in $backends; do
			for name in $order; do
				fits "$name" "$backend" || continue
				say "round $round of $rounds: $backend, $name"
				prepare "$backend"
				# shellcheck disable=SC2046 # words
				run_one main "$backend" "$name" \
					$(workloads_of "$backend")
			done
		done
		# Another one comes first in the next.
		# shellcheck disable=SC2086 # words
		set -- $order
		order="${*:2} $1"
	done
}

check_tools
[ -n "${BENCH_APPEND:-}" ] || rm -f "$tsv"
dir=$(mktemp -d "${BENCH_DIR:-/var/tmp}/rawfuse-bench.XXXXXX")
trap cleanup EXIT
trap 'exit 1' INT TERM
image=$dir/disk.img
point=$dir/disk.raw
build_helpers
machine_facts
find_contenders
estimate
make_image
for section in main qcow2 scale idle; do
	! has $section "$sections" || ${section}_rounds
done
awk -f "$here/report.awk" "$tsv"
if ! has main "$sections"; then
	:
elif have gnuplot; then
	bash "$here/chart.sh" "$tsv" "$svg"
else
	say "no chart: gnuplot is missing (Debian: gnuplot-nox)"
fi
