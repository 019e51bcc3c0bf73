#!/bin/bash
# QEMU as the oracle: images of many kinds are made by qemu-img and qemu-io,
# then q2test runs random requests through the driver and a model; afterwards
# qemu-img check must find neither errors nor leaks, and qemu-img compare no
# difference from the model. Then QEMU writes, and we read and write again.
#
#   oracle.sh                  all cases
#   Q2_ONLY=NUMBER oracle.sh   one of them, its files kept
#   Q2_SEED=N  Q2_OPS=N        other runs
set -u
cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null || exit 99
. "$here/lib.sh"
need qemu-img qemu-io cmp
[ -n "${Q2_ONLY:-}" ] && Q2_KEEP=1
make_dir
. "$here/oracle-lib.sh"

list_cases() {
	local v cs rb p e

	for v in 0.10 1.1; do
		for cs in 512 1k 4k 16k 64k 256k 2M; do
			for p in empty fill backraw; do
				t "compat=$v,cluster_size=$cs" $p
			done
		done
		for cs in 1k 64k; do
			for p in backqcow backshort backlong backunaligned \
				chain5 backcompressed; do
				t "compat=$v,cluster_size=$cs" "$p"
			done
		done
		for cs in 512 4k 64k; do
			for p in snap1 snap3 "backraw snap2"; do
				t "compat=$v,cluster_size=$cs" "$p"
			done
			for p in empty fill backraw backlong; do
				t "compat=$v,cluster_size=$cs" $p \
					"resize=4 growable=1 max-size=9M"
			done
			for p in off metadata falloc full; do
				t "compat=$v,cluster_size=$cs,preallocation=$p" \
					empty
			done
		done
	done
	for rb in 1 2 4 8 16 32 64; do
		for cs in 512 4k 64k; do
			t "refcount_bits=$rb,cluster_size=$cs" fill
			[ $rb = 1 ] && continue
			t "refcount_bits=$rb,cluster_size=$cs" snap2
		done
	done
	for cs in 512 4k 64k; do
		for p in fill backraw snap1; do
			t "lazy_refcounts=on,cluster_size=$cs" $p
			t "cluster_size=$cs" $p "metadata-cache=1k"
			t "cluster_size=$cs" $p "metadata-cache=16k ring=real"
		done
		for p in empty fill; do
			for e in off on; do
				t "cluster_size=$cs,data_file=DATA,data_file_raw=$e" \
					$p
			done
		done
		for e in zlib zstd; do
			t "cluster_size=$cs,compression_type=$e" compressed
			t "cluster_size=$cs,compression_type=$e" \
				"compressed snap1"
		done
		for p in empty fill; do
			t "cluster_size=$cs,data_file=DATA,data_file_raw=on" \
				$p "resize=9 growable=1 max-size=9M"
		done
		t "cluster_size=$cs" bitmap
		t "cluster_size=$cs,refcount_bits=8" snap1 \
			"resize=5 growable=1 max-size=9M"
	done
	for cs in 16k 64k 256k 2M; do
		for p in empty fill backraw backqcow backshort backlong snap2 \
			compressed; do
			t "extended_l2=on,cluster_size=$cs" $p
		done
		for e in off metadata full; do
			t "extended_l2=on,cluster_size=$cs,preallocation=$e" \
				empty
		done
		t "extended_l2=on,cluster_size=$cs" backraw \
			"resize=4 growable=1 max-size=9M"
		t "extended_l2=on,cluster_size=$cs,lazy_refcounts=on" backraw
		t "extended_l2=on,cluster_size=$cs,preallocation=metadata" \
			backraw
		t "extended_l2=on,cluster_size=$cs,data_file=DATA" fill
		t "extended_l2=on,cluster_size=$cs,data_file=DATA,data_file_raw=on" \
			fill "resize=9 growable=1 max-size=9M"
	done
	t "compression_type=zstd,extended_l2=on" compressed
	t "cluster_size=2M,compression_type=zstd" compressed
	t "cluster_size=2M" compressed
	t "cluster_size=2M" snap2
	t "cluster_size=64k" backcompressed "cache=direct ring=real"
	t "cluster_size=64k" fill "cache=direct ring=real depth=32"
	t "cluster_size=4k" backqcow "cache=direct ring=real depth=32"
	# More requests than areas for the bytes they may not look at.
	t "cluster_size=64k" fill "cache=direct depth=64 unseen=90"
	t "cluster_size=4k" backqcow "cache=direct depth=64 unseen=90"
	t "extended_l2=on,cluster_size=64k" backraw \
		"cache=direct depth=64 unseen=90 align=512"
	t "cluster_size=64k" backcompressed "depth=64 unseen=100"
	t "cluster_size=64k" fill "depth=1"
	t "cluster_size=4k" snap2 "depth=64"
	size=64M
	t "cluster_size=512" fill "metadata-cache=4k ops=1500"
	t "cluster_size=512,refcount_bits=64" empty "max-len=4M"
	t "cluster_size=4k" backqcow "max-len=8M"
	t "cluster_size=512" empty "resize=5 growable=1 max-size=300M"
}

jobs=${Q2_JOBS:-$(nproc)}
[ -n "${Q2_ONLY:-}" ] && jobs=1
for worker in $(seq 0 $((jobs - 1))); do
	{
		number=0
		size=4M
		list_cases
	} >"$dir/log.$worker" 2>&1 &
done
wait
grep -h -A12 '^FAIL' "$dir"/log.*
count() {
	cat "$dir"/log.* | grep -c "^$1"
}
failed=$(count FAIL)
echo "$(count PASS) passed, $failed failed, $(count SKIP) skipped"
[ "$failed" = 0 ]
