#!/bin/bash
# A chain of 20 overlays; a sparse image of 16 TiB within the default cache;
# large clusters, and a real ring with direct I/O.
set -u
cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null || exit 99
. "$here/lib.sh"
need qemu-img qemu-io
make_dir
cd "$dir" || exit 99
. "$here/oracle-lib.sh"
passed=0 failed=0

verdict() {
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL: $2"
		tail -n 12 log
	fi
}

chain() {
	local i f=raw
	size=4M
	make_raw base.0 3M 1M 2000k
	for i in $(seq 20); do
		qemu-img create -q -f qcow2 -b base.$((i - 1)) -F $f \
			-o cluster_size=$((512 << (i % 8))) base.$i 4M || return 2
		f=qcow2
		[ "$i" = 20 ] || qio -f qcow2 \
			-c "write -P $i $((i * 190))k 77k" \
			-c "write -z $((i * 90))k 9k" base.$i || return 2
	done
	qemu-img convert -f qcow2 -O raw base.20 model
	"$bin/q2test" base.20 model=model ops=600 cluster=16k || return 1
	qemu-img check -q -f qcow2 base.20 && "$bin/q2check" base.20 model &&
		qemu-img compare -f qcow2 -F raw base.20 model
}

sparse() {
	qemu-img create -q -f qcow2 -o "$1" img 16T || return 2
	"$bin/q2test" img sparse=1 ops=1500 rounds=2 $2 || return 1
	qemu-img check -q -f qcow2 img && "$bin/q2check" img
}

chain >log 2>&1
verdict $? 'chain of 20'
sparse cluster_size=64k '' >log 2>&1
verdict $? '16 TiB, 64 KiB clusters'
sparse cluster_size=64k,extended_l2=on ring=real >log 2>&1
verdict $? '16 TiB, extended L2, real ring'
sparse cluster_size=2M,refcount_bits=64 'ring=real depth=32' >log 2>&1
verdict $? '16 TiB, 2 MiB clusters'
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
