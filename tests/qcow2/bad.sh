#!/bin/bash
# Bad input: each damage must be refused at open with a line that names the
# field, or make only the requests fail that meet it; never a crash or a hang.
set -u
cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null || exit 99
. "$here/lib.sh"
need qemu-img qemu-io od dd
make_dir
cd "$dir" || exit 99
. "$here/oracle-lib.sh"
passed=0 failed=0
size=4M

get64() {
	echo $((0x$(od -An -tx1 -j "$2" -N 8 "$1" | tr -d ' \n')))
}
put() { # FILE OFFSET HEX
	printf "$(printf '%s' "$3" | sed 's/../\\x&/g')" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

fails() {
	failed=$((failed + 1))
	echo "FAIL: $*"
	tail -n 5 log
}

# refused NAME WORD [ARGUMENTS]: bad does not open; the message has the word
refused() {
	local name=$1 word=$2 rc
	shift 2
	timeout 20 "$bin/q2test" bad ops=0 "$@" >log 2>&1
	rc=$?
	if [ $rc != 2 ]; then
		fails "$name: exit $rc, not refused"
	elif ! grep -i "^rawfuse: .*$word" log >/dev/null; then
		fails "$name: no message with '$word'"
	else
		passed=$((passed + 1))
	fi
}

# survived NAME [ARGUMENTS]: whatever the requests end in, it ends by itself
survived() {
	local name=$1 rc
	shift
	timeout 60 "$bin/q2test" bad ops=200 "$@" >log 2>&1
	rc=$?
	case $rc in
	0 | 1 | 2) passed=$((passed + 1)) ;;
	*) fails "$name: exit $rc" ;;
	esac
}

qemu-img create -q -f qcow2 img $size && fill 1 qcow2 img || exit 99
field() { # OFFSET HEX WORD NAME
	cp img bad && put bad "$1" "$2" && refused "$4" "$3"
}
field 0 00000000 magic 'no magic'
field 4 00000004 version 'version 4'
field 4 00000000 version 'version 0'
field 20 0000003f cluster 'cluster_bits 63'
field 20 00000008 cluster 'cluster_bits 8'
field 20 00000016 cluster 'cluster_bits 22'
field 24 ffffffffffffffff size 'size 2^64 - 1'
field 24 1000000000000000 l1 'size 2^60'
field 32 00000002 'encrypt\|crypt' 'LUKS'
field 32 00000001 'encrypt\|crypt' 'AES'
field 36 ffffffff l1 'L1 of 2^32 entries'
field 36 00000000 l1 'L1 of no entries'
field 40 0000000000030200 l1 'L1 not aligned'
field 40 7fffffffffff0000 l1 'L1 far away'
field 48 0000000000010001 refcount 'refcount table not aligned'
field 48 00007fffffff0000 refcount 'refcount table far away'
field 56 ffffffff refcount 'refcount table of 2^32 clusters'
field 56 00000000 refcount 'refcount table of no clusters'
field 60 ffffffff snapshot '2^32 snapshots'
field 72 8000000000000000 'incompatible\|feature' 'incompatible bit 63'
field 72 0000000000000002 corrupt 'the corrupt bit'
field 72 0000000000000004 'data' 'a data file without a name'
field 96 00000007 refcount 'refcount order 7'
field 100 00000067 header 'header length 103'
field 100 7fffffff header 'header length 2^31'
cp img bad && truncate -s 100 bad && refused 'cut to 100 bytes' ''
cp img bad && truncate -s 65536 bad && refused 'cut to a cluster' ''
: >bad && refused 'empty' ''

# Backing files.
qemu-img create -q -f raw base 4M
qemu-img create -q -f qcow2 -b base -F raw bad 4M
refused 'backing refused' backing no-backing=1
rm base && refused 'no backing file' base
truncate -s 4M base
qemu-img create -q -f qcow2 -b base -F raw bad 4M
put bad 112 12345678 # the header extension with the format
refused 'backing without a format' format
rm bad
qemu-img create -q -f qcow2 -b bad -F qcow2 -u new 4M
mv new bad
refused 'its own backing file' backing
qemu-img create -q -f qcow2 -b two -F qcow2 -u bad 4M
qemu-img create -q -f qcow2 -b bad -F qcow2 -u two 4M
refused 'a loop of two' backing
qemu-img create -q -f qcow2 -b 'json:{"driver":"null-co"}' -F raw -u bad 4M
refused 'a json: name' json
qemu-img create -q -f qcow2 -b 'nbd://localhost/x' -F raw -u bad 4M
refused 'a URL' nbd

# Tables.
for options in cluster_size=64k cluster_size=16k,extended_l2=on \
	cluster_size=512; do
	rm -f img
	qemu-img create -q -f qcow2 -o $options img $size &&
		fill 1 qcow2 img || exit 99
	mask=$((0x00fffffffffffe00))
	l1=$(get64 img 40)
	l2=$(($(get64 img "$l1") & mask))
	rt=$(get64 img 48)
	rb=$(($(get64 img "$rt") & mask))
	for value in 8000000000000200 8000100000000000 8000000000000000 \
		ffffffffffffffff 0000000000000001 4000000000000000 \
		7fffffffffffffff 80fffffffffffe00 8000000000010000; do
		for at in $l1 $l2 $((l2 + 16)) "$rt" "$rb"; do
			cp img bad && put bad "$at" $value
			survived "$options: $value at $at" ring=real
		done
	done
	for cut in 3 5 7 11; do
		cp img bad
		truncate -s $(($(wc -c <img) * cut / 12)) bad
		survived "$options: cut at $cut/12"
	done
done
qemu-img create -q -f qcow2 img $size && fill 1 qcow2 img || exit 99
l1=$(get64 img 40)
l2=$(($(get64 img "$l1") & mask))
# Not to be had by cutting the file: no refcount was ever kept for that place.
for entry in 00fedcba98760000 8000010000000000; do
	cp img bad && put bad "$l1" $entry
	refused "L1 entry $entry" 'no file any more: the entry .* is damaged'
done
cp img bad && truncate -s "$l2" bad
refused 'cut before an L2 table' 'was it truncated, or is the entry'
# A snapshot's L1 table, taken for data or for a table.
qemu-img create -q -f qcow2 img $size && fill 1 qcow2 img &&
	qemu-img snapshot -c s1 img && fill 2 qcow2 img || exit 99
l1=$(get64 img 40)
l2=$(($(get64 img "$l1") & mask))
inactive=$(get64 img "$(get64 img 64)")
inactive_bytes() {
	dd if="$1" bs=65536 skip=$((inactive / 65536)) count=1 status=none
}
entry=$(printf '80%014x' "$inactive")
for seed in 1 2 3; do
	cp img bad && put bad $((l2 + 5 * 8)) "$entry"
	survived "data in a snapshot's L1 table, seed $seed" seed=$seed
	grep -q 'would have hit the L1 table of a snapshot' log ||
		fails "data in a snapshot's L1 table, seed $seed: no message"
	cmp -s <(inactive_bytes img) <(inactive_bytes bad) ||
		fails "data in a snapshot's L1 table, seed $seed: it changed"
done
cp img bad && put bad "$l1" "$entry"
refused "L2 table in a snapshot's L1 table" 'L1 table of a snapshot'
cp img bad && put bad 40 "$(printf '%016x' "$inactive")"
refused "L1 table that is a snapshot's" 'another table is there'
# One that is nowhere harms nobody but who asks for the snapshot.
for value in fffffffffffffe00 0000000000000000 00fffffffffffe00; do
	cp img bad && put bad "$(get64 img 64)" $value
	survived "a snapshot's L1 table at $value"
	put bad $(($(get64 img 64) + 8)) ffffffff
	survived "a snapshot's L1 table at $value, of 2^32 entries"
done
# Tables that are mostly holes: 32 MiB of L1 in each file of a chain, or forty
# times the same for the snapshots of an image that was not closed.
rm -f bad img
qemu-img create -q -f qcow2 layer.1 2P
for i in 2 3 4 5 6 7 8; do
	qemu-img create -q -f qcow2 -b layer.$((i - 1)) -F qcow2 -u layer.$i 2P
done
cp --sparse=always layer.8 bad
timeout 60 "$bin/q2test" bad ops=20 sparse=1 read-only=1 >log 2>&1 &&
	passed=$((passed + 1)) || fails "eight large L1 tables: exit $?"
qemu-img create -q -f qcow2 -b layer.8 -F qcow2 -u bad 2P
refused 'nine large L1 tables' 'l1_size.*256 MiB' sparse=1
rm layer.*
qemu-img create -q -f qcow2 bad 2P && qemu-img snapshot -c s1 bad || exit 99
from=$(get64 bad 64)
length=$((0x$(od -An -tx1 -j $((from + 36)) -N 4 bad | tr -d ' ')))
length=$(((40 + length + 1 + 2 + 7) / 8 * 8)) # with the ID 1 and the name s1
to=$((($(stat -c %s bad) + 65535) / 65536 * 65536))
for i in $(seq 0 39); do
	dd if=bad of=bad bs=$length count=1 iflag=skip_bytes skip="$from" \
		oflag=seek_bytes seek=$((to + i * length)) conv=notrunc \
		status=none
done
put bad 60 00000028
put bad 64 "$(printf '%016x' $to)"
put bad 72 0000000000000001
refused 'forty large L1 tables of snapshots' 'L1 tables.*more than 1 GiB'
# Compressed data that is none.
make_raw src 1M 700k 800k
for type in zlib zstd; do
	qemu-img convert -c -f raw -O qcow2 -o compression_type=$type src img
	l2=$(($(get64 img "$(get64 img 40)") & mask))
	data=$(($(get64 img $l2) & 0xffffffff))
	for value in 00000000000000 ffffffffffffff 28b52ffd000000 \
		0400000000ffff; do
		cp img bad && put bad $data $value
		survived "$type: $value"
	done
	cp img bad && truncate -s $((data + 3)) bad
	survived "$type: cut"
done
# works NAME [ARGUMENTS]: bad is read and written as if nothing were wrong
works() {
	local name=$1
	shift
	if ! qemu-img convert -f qcow2 -O raw bad model 2>log; then
		fails "$name: not readable by QEMU"
	elif ! timeout 60 "$bin/q2test" bad model=model "$@" >log 2>&1; then
		fails "$name: exit $?"
	elif ! qemu-img compare -q -f qcow2 -F raw bad model >>log 2>&1 ||
		! qemu-img check -q -f qcow2 bad >>log 2>&1; then
		fails "$name: qemu-img finds a fault"
	else
		passed=$((passed + 1))
	fi
}
# reads NAME WORD: of one that is open for writing, nothing but reads; the
# line, and the image is as it was
reads() {
	cp bad was
	timeout 60 "$bin/q2test" bad model=model ops=0 >log 2>&1
	rc=$?
	grep -q "$2" log || fails "$1: no message with '$2'"
	cmp -s bad was && passed=$((passed + 1)) || fails "$1: it was changed"
	return $rc
}
# The last cluster is that of a table, and the file ends within it: what is
# missing reads as zeros.
for options in cluster_size=64k cluster_size=16k,extended_l2=on \
	cluster_size=4k; do
	rm -f bad
	qemu-img create -q -f qcow2 -o $options bad 1M &&
		qio -f qcow2 -c 'write -z 0 64k' -c 'write -z 900k 16k' bad
	l2=$(($(get64 bad "$(get64 bad 40)") & mask))
	cp bad img
	for cut in 1000 100 1; do
		cp img bad && truncate -s $((l2 + cut)) bad
		works "$options: L2 table cut at $cut" seed=$cut
	done
done
rm -f bad
qemu-img create -q -f qcow2 bad 1T && truncate -s $(($(get64 bad 40) + 100)) bad
cp bad img
for seed in 1 2; do
	cp img bad
	timeout 60 "$bin/q2test" bad sparse=1 ops=100 seed=$seed >log 2>&1 &&
		qemu-img check -q -f qcow2 bad >>log 2>&1 &&
		passed=$((passed + 1)) || fails "L1 table cut, seed $seed"
done
# What only reads meet does not mark the image; see also 'many lines'.
make_raw src 1M 700k 800k
qemu-img convert -c -f raw -O qcow2 src img && cp src model
l2=$(($(get64 img "$(get64 img 40)") & mask))
cp img bad && put bad $l2 "$(printf '%016x' $(($(get64 bad $l2) | 1 << 63)))"
reads 'COPIED on a compressed cluster' 'has the COPIED flag' ||
	fails "COPIED on a compressed cluster: not read as QEMU does"
timeout 60 "$bin/q2test" bad model=model seed=4 >log 2>&1 &&
	[ $(($(get64 bad 72) & 2)) = 0 ] && passed=$((passed + 1)) ||
	fails "COPIED on a compressed cluster: not written"
for value in 80000000000500fe 8000000000000000 8000000000050200; do
	cp img bad && put bad $l2 $value
	reads "L2 entry $value" 'corrupt: .*the request fails' &&
		fails "L2 entry $value: read without an error"
done
cp img bad && put bad $(($(get64 img 40))) 8000000000040200
reads 'L1 entry not aligned' . && fails 'L1 entry not aligned: no error'

# However many lines were said before: an entry that makes a write go where it
# must not marks the image corrupt.
make_raw src 4M 3900k 3950k
qemu-img convert -c -f raw -O qcow2 -o cluster_size=64k src bad
l2=$(($(get64 bad "$(get64 bad 40)") & mask))
put bad $((l2 + 62 * 8)) 80000fffffff0000
for i in {0..60}; do
	data=$(($(get64 bad $((l2 + i * 8))) & 0xffffffff))
	put bad $data ffffffffffffff
done
survived 'many lines' seed=3 depth=1
[ "$(grep -c 'does not unpack' log)" -ge 5 ] || fails 'many lines: few lines'
grep -q 'corrupt: ' log || fails 'many lines: corrupt, but not said'
[ $(($(get64 bad 72) & 2)) = 2 ] || fails 'many lines: not marked corrupt'

echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
