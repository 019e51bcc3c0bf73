#!/bin/bash
# The checker against qemu-img check: images damaged in known places, where
# both must see the same kind of harm, and in random ones, where ours must
# see all that qemu-img sees.
set -u
cd "$(dirname "$0")" && here=$PWD && cd - >/dev/null || exit 99
. "$here/lib.sh"
need qemu-img qemu-io od dd
make_dir
. "$here/oracle-lib.sh"
cd "$dir" || exit 99
passed=0 failed=0 stricter=0
RANDOM=${Q2_SEED:-1}

# Big-endian numbers in files.
get64() {
	echo $((0x$(od -An -tx1 -j "$2" -N 8 "$1" | tr -d ' \n')))
}
put() { # FILE OFFSET HEX
	printf "$(printf '%s' "$3" | sed 's/../\\x&/g')" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
put64() {
	put "$1" "$2" "$(printf '%016x' "$3")"
}

# 0 clean, 2 errors, 3 leaks; other codes (it does not open) count as errors.
verdict() {
	"$@" >out 2>&1
	case $? in
	0) echo clean ;;
	3) echo leaks ;;
	*) echo errors ;;
	esac
}

# damaged NAME WANTED: bad has that harm, say both
damaged() {
	local theirs ours
	theirs=$(verdict qemu-img check -q -f qcow2 bad)
	ours=$(verdict "$bin/q2check" bad)
	if [ "$theirs" = "$2" ] && [ "$ours" = "$2" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL: $1: qemu-img $theirs, q2check $ours, wanted $2"
		cat out
	fi
}

mask=$((0x00fffffffffffe00))
size=4M
for options in cluster_size=64k cluster_size=4k \
	cluster_size=64k,extended_l2=on cluster_size=512,compat=0.10; do
	rm -f img
	make_image "$options" fill || exit 99
	l1=$(get64 img 40)
	l2=$(($(get64 img "$l1") & mask))
	data=$(($(get64 img $l2) & mask))
	rt=$(get64 img 48)
	block=$(($(get64 img "$rt") & mask))
	cluster=$((1 << 0x$(od -An -tx1 -j 23 -N 1 img | tr -d ' ')))
	entry=8
	case $options in *extended*) entry=16 ;; esac
	cp img bad && damaged "$options: nothing" clean
	put bad $((block + data / cluster % (cluster / 2) * 2)) 0000
	damaged "$options: refcount 0" errors
	cp img bad && put bad $((block + data / cluster % (cluster / 2) * 2)) \
		0002
	damaged "$options: refcount 2" errors
	end=$(wc -c <img)
	cp img bad && truncate -s $((end + cluster * 2)) bad
	i=$(((end + cluster - 1) / cluster))
	if [ $i -lt $((cluster / 2 - 1)) ]; then
		put bad $((block + i * 2)) 0001
		damaged "$options: a cluster of nobody" leaks
	fi
	cp img bad && put64 bad $l2 $((1 << 63 | data + 512))
	[ $cluster = 512 ] || damaged "$options: L2 entry not aligned" errors
	cp img bad && put64 bad $l2 "$(get64 img $((l2 + entry)))"
	damaged "$options: a cluster used twice" errors
	cp img bad && put64 bad $l2 $data
	damaged "$options: not COPIED" errors
	cp img bad && put64 bad $l2 $((1 << 63 | 1 << 40))
	damaged "$options: data far behind the end" errors
	cp img bad && put64 bad $l2 $((1 << 63 | data | 1 << 60))
	damaged "$options: a reserved bit" errors
	cp img bad && put64 bad $l2 $((1 << 63 | l2))
	damaged "$options: data in its own L2 table" errors
	cp img bad && put64 bad "$l1" $((1 << 63 | 1 << 40))
	damaged "$options: L2 table behind the end" errors
	cp img bad && put64 bad "$l1" $((1 << 63))
	damaged "$options: COPIED without an L2 table" errors
	cp img bad && put64 bad "$rt" $((1 << 40))
	damaged "$options: refcount block behind the end" errors
	cp img bad && put64 bad "$rt" 0
	damaged "$options: no refcount block" errors
	if [ $entry = 16 ]; then
		cp img bad && put64 bad $((l2 + 8)) $((1 << 32 | 1))
		damaged "$options: subcluster zero and data" errors
		cp img bad && put64 bad $l2 0
		damaged "$options: subclusters without a cluster" errors
	fi
	# Random bytes in the tables.
	for i in $(seq "${Q2_RANDOM:-40}"); do
		cp img bad
		case $((i % 4)) in
		0) at=$l1 ;;
		1) at=$rt ;;
		2) at=$((l2 + RANDOM % 64 * 8)) ;;
		3) at=$((block + RANDOM % 64)) ;;
		esac
		# Not in $(): a subshell's RANDOM does not follow the seed.
		at=$((at + RANDOM % 8)) byte=$((RANDOM % 256))
		put bad $at "$(printf %02x $byte)"
		theirs=$(verdict qemu-img check -q -f qcow2 bad)
		ours=$(verdict "$bin/q2check" bad)
		if [ "$ours" = "$theirs" ] ||
			[ "$ours $theirs" = 'errors leaks' ]; then
			passed=$((passed + 1))
		elif [ "$ours" = errors ] || grep -q '^leak.*behind' out; then
			stricter=$((stricter + 1))
		else
			failed=$((failed + 1))
			cp bad "bad.$failed"
			echo "FAIL: $options: random byte $byte at $at:" \
				"qemu-img $theirs, q2check $ours"
			cat out
		fi
	done
done
echo "$passed passed, $failed failed, 0 skipped;" \
	"in $stricter q2check saw more than qemu-img"
[ $failed = 0 ]
