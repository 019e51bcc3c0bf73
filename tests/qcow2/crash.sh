#!/bin/bash
# Crash points of images of many kinds; see q2crash.c. Thousands in make
# check; Q2_POINTS=N asks for about N in all (check-crash-long: a million).
#
#   Q2_SEED=N   other runs      Q2_ONLY=NUMBER   one image, its files kept
set -u
cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null || exit 99
. "$here/lib.sh"
need qemu-img qemu-io
[ -n "${Q2_ONLY:-}" ] && Q2_KEEP=1
make_dir
. "$here/oracle-lib.sh"
total=${Q2_POINTS:-24000}
seed0=${Q2_SEED:-1}

# one OPTIONS WORDS ARGUMENTS: as in oracle.sh; a few runs of it
one() {
	local options=${1/DATA/data} run seed cmd ops
	number=$((number + 1))
	if [ -n "${Q2_ONLY:-}" ]; then
		[ "$number" = "$Q2_ONLY" ] || return 0
	elif [ $((number % jobs)) != "$worker" ]; then
		return 0
	fi
	mkdir "$dir/$number" && cd "$dir/$number" || exit 99
	# shellcheck disable=SC2086
	make_image "$options" $2 >log 2>&1 || {
		echo "SKIP $number: -o $options: $2: not made"
		tail -n 3 log
		return 0
	}
	cluster=${options##*cluster_size=}
	[ "$cluster" = "$options" ] && cluster=64k
	cluster=${cluster%%,*}
	for run in $(seq 0 $runs); do
		seed=$((seed0 * 100000 + number * 1000 + run))
		ops=$((40 + seed * 7919 % 300))
		cmd="q2crash img seed=$seed ops=$ops cluster=$cluster"
		cmd="$cmd points=$points qemu=2 $3"
		# Few requests, looked at closely.
		case $3 in
		edges=*)
			cmd="$cmd ops=60"
			[ -n "$short" ] && cmd="$cmd points=200 qemu=0"
			[ -n "$short" ] && [ "$run" = 0 ] && continue
			;;
		esac
		# One short run with every subset of the lost.
		[ "$run" = 0 ] && cmd="$cmd ops=10 all=1 depth=3 reopen=1 qemu=0"
		# shellcheck disable=SC2086
		timeout 600 "$bin"/$cmd >log 2>&1 && {
			echo "PASS $number: $(tail -n 1 log)"
			continue
		}
		echo "FAIL $number: -o $options: $2: exit $? of: $cmd" \
			"(again: Q2_ONLY=$number Q2_SEED=$seed0)"
		tail -n 8 log
		[ -n "${Q2_SAVE:-}" ] && cp ./*.img "$Q2_SAVE" 2>/dev/null
	done
	cd "$dir" || exit 99
	[ -n "${Q2_KEEP:-}" ] || rm -rf "${dir:?}/$number"
}

list_images() {
	local cs n r='resize=6 growable=1 max-size=3M'

	for cs in 512 1k 4k 64k; do
		one "cluster_size=$cs" empty ''
		one "cluster_size=$cs" small "$r"
		one "cluster_size=$cs" smallraw ''
		one "cluster_size=$cs" smallsnap 'metadata-cache=4k'
		one "compat=0.10,cluster_size=$cs" smallraw ''
	done
	one 'cluster_size=512,refcount_bits=64' empty "$r"
	one 'cluster_size=512,refcount_bits=1' small ''
	one 'cluster_size=4k,refcount_bits=2' smallsnap "$r"
	one 'cluster_size=1k,refcount_bits=8' smallsnap 'depth=32'
	one 'cluster_size=64k,refcount_bits=32' smallsnap ''
	one 'cluster_size=4k,lazy_refcounts=on' smallraw "$r"
	one 'cluster_size=64k,lazy_refcounts=on' smallsnap ''
	one 'cluster_size=16k,extended_l2=on' empty "$r"
	one 'cluster_size=16k,extended_l2=on' smallraw ''
	one 'cluster_size=16k,extended_l2=on' smallsnap ''
	one 'cluster_size=64k,extended_l2=on' smallraw "$r"
	one 'cluster_size=4k' smallcompressed ''
	one 'cluster_size=64k,compression_type=zstd' smallcompressed ''
	one 'cluster_size=4k,data_file=DATA' small ''
	one 'cluster_size=4k,data_file=DATA' empty "$r"
	one 'cluster_size=16k,extended_l2=on,data_file=DATA' small 'depth=24'
	one 'cluster_size=64k,data_file=DATA,data_file_raw=on' small "$r"
	one 'cluster_size=4k,data_file=DATA,data_file_raw=on' empty "$r"
	one 'cluster_size=4k,preallocation=metadata' empty 'depth=24'
	one 'cluster_size=4k' smallbitmap 'leaks=1'
	one 'cluster_size=1k' smallqcow 'metadata-cache=1k depth=16'
	# A device, which ends within a cluster.
	for n in 2560 6656 14848 51712; do
		one 'cluster_size=4k' small "device=$n $r"
	done
	one 'cluster_size=512,refcount_bits=64' smallraw "device=20480 $r"
	for n in '' 'device=14848'; do
		one 'cluster_size=4k,lazy_refcounts=on' smalldirty "$n"
	done
	one 'cluster_size=1k' smallsnap "device=100864 $r"
	one 'cluster_size=64k' smallsnap 'device=494080'
	size=1050112 one 'cluster_size=4k,data_file=DATA' smalldata \
		'device=512'
	list_edges
	list_failures
}

# What brings old bytes back if an order is wrong; see ops_edges.c.
list_edges() {
	local e='edges=75 depth=4' r cs
	r="$e resize=12 growable=1 max-size=1536k"

	for cs in 4k 64k 256k; do
		one "cluster_size=$cs" small "$r"
	done
	one 'cluster_size=64k' smallraw "$r"
	one 'cluster_size=64k' smallsnap "$e"
	one 'compat=0.10,cluster_size=64k' smallraw "$r"
	one 'cluster_size=16k,extended_l2=on' smallraw "$r"
	one 'cluster_size=64k,extended_l2=on' smallsnap "$e"
	one 'cluster_size=4k,data_file=DATA' empty "$r"
	one 'cluster_size=16k,extended_l2=on,data_file=DATA' small "$r"
	one 'cluster_size=64k,data_file=DATA' smallraw "$r"
	one 'cluster_size=256k,data_file=DATA,data_file_raw=on' small "$r"
	one 'cluster_size=4k' small "$e resize=12 device=51712 max-size=1536k"
}

# The storage fails for a while: at writes and flushes of metadata, too.
list_failures() {
	local f='fail=1' cs

	for cs in 512 4k 64k; do
		one "cluster_size=$cs" small "$f"
	done
	one 'cluster_size=4k' smallraw "$f depth=24"
	one 'cluster_size=4k,lazy_refcounts=on' smallsnap "$f"
	one 'cluster_size=64k' smallraw "$f edges=75 depth=4"
	one 'cluster_size=16k,extended_l2=on' smallsnap "$f"
	one 'cluster_size=1k' small "$f metadata-cache=1k"
	one 'cluster_size=4k,data_file=DATA' small "$f"
}

jobs=${Q2_JOBS:-$(nproc)}
[ -n "${Q2_ONLY:-}" ] && jobs=1
images=73
runs=2
points=$((total / images / runs / 2)) # of each of two rounds
short=yes # in make check
if [ $points -gt 2000 ]; then
	short=
	runs=$(((total / images + 3999) / 4000))
	points=2000
fi
for worker in $(seq 0 $((jobs - 1))); do
	{
		number=0
		size=1M
		list_images
	} >"$dir/log.$worker" 2>&1 &
done
wait
grep -h -A8 '^[FS][AK]I[LP]' "$dir"/log.*
sum() {
	cat "$dir"/log.* | awk -v n="$1" \
		'/^PASS/ { s += $n } END { print s + 0 }'
}
count() {
	cat "$dir"/log.* | grep -c "^$1"
}
failed=$(count FAIL)
echo "$(sum 3) crash points in $(count PASS) runs without error," \
	"$(sum 5) opened again, $(sum 8) seen by qemu-img;" \
	"$failed runs failed, $(count SKIP) images skipped"
[ "$failed" = 0 ]
