#!/bin/bash
# EIO, ENOSPC and short writes at every I/O of a run, one after another, for
# images of many kinds; see q2fail.c.
#
#   Q2_SEED=N   other runs      Q2_ONLY=NUMBER   one image, its files kept
set -u
cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null || exit 99
. "$here/lib.sh"
need qemu-img qemu-io
[ -n "${Q2_ONLY:-}" ] && Q2_KEEP=1
make_dir
. "$here/oracle-lib.sh"
seed0=${Q2_SEED:-1}
number=0
size=1M
passed=0 failed=0 skipped=0 runs=0

one() {
	local options=${1/DATA/data} seed cmd rc
	number=$((number + 1))
	[ -n "${Q2_ONLY:-}" ] && [ "$number" != "$Q2_ONLY" ] && return
	mkdir "$dir/$number" && cd "$dir/$number" || exit 99
	# shellcheck disable=SC2086
	make_image "$options" $2 >log 2>&1 || {
		echo "SKIP $number: -o $options: $2: not made"
		skipped=$((skipped + 1))
		return
	}
	cluster=${options##*cluster_size=}
	cluster=${cluster%%,*}
	seed=$((seed0 * 1000 + number))
	cmd="q2fail img seed=$seed cluster=$cluster points=${Q2_POINTS:-0} $3"
	# shellcheck disable=SC2086
	timeout 300 "$bin"/$cmd >log 2>err
	rc=$?
	if [ $rc = 0 ]; then
		passed=$((passed + 1))
		runs=$((runs + $(awk 'END { print $1 }' log)))
	else
		failed=$((failed + 1))
		echo "FAIL $number: -o $options: $2: exit $rc of: $cmd" \
			"(again: Q2_ONLY=$number Q2_SEED=$seed0)"
		tail -n 12 log
		grep -v '^rawfuse: ' err | head -n 20
	fi
	cd "$dir" || exit 99
}

one cluster_size=4k small ''
one cluster_size=512 empty ''
one cluster_size=64k smallraw ''
one cluster_size=4k smallsnap 'resize=6 growable=1 max-size=3M'
one cluster_size=512,refcount_bits=64 empty 'resize=5 growable=1 max-size=3M'
one cluster_size=16k,extended_l2=on smallraw ''
one cluster_size=4k,lazy_refcounts=on small ''
one cluster_size=4k smallcompressed ''
one cluster_size=4k,data_file=DATA small ''
one cluster_size=4k,data_file=DATA,data_file_raw=on small \
	'resize=6 growable=1 max-size=3M'
one compat=0.10,cluster_size=1k smallqcow 'metadata-cache=1k'
one cluster_size=64k,extended_l2=on smallsnap 'depth=24'
# Whoever reads does not wait for what cannot be written.
one cluster_size=1k small 'reads=1 metadata-cache=1k ops=200 flush=2'
one cluster_size=512,refcount_bits=64 smallraw \
	'reads=1 metadata-cache=1k depth=32'
# Each modification waits for a writeback.
one cluster_size=4k small 'write-through=1 ops=40 max-len=32k'
# A device, which ends within a cluster.
one cluster_size=4k small 'resize=6 growable=1 max-size=3M device=100864'
one cluster_size=64k smallsnap 'device=494080'
one cluster_size=1k,refcount_bits=64 smallraw \
	'resize=5 growable=1 max-size=3M device=200192'
one cluster_size=4k,lazy_refcounts=on smalldirty 'device=14848'
size=1050112 one cluster_size=4k,data_file=DATA smalldata 'device=512'
echo "$passed passed, $failed failed, $skipped skipped;" \
	"$runs runs with a failure each"
[ $failed = 0 ]
