# A block device, by way of a loop device.
. "$abs_top_srcdir/tests/integration/lib.sh"

backing=$dir/backing.img
copy=$dir/copy
file=$dir/disk.raw
loop=

size_is() { [[ $(stat -c %s "$file") == "$1" ]]; }

# The device's contents, past its page cache.
compare() {
	blockdev --flushbufs "$loop"
	cmp "$loop" "$copy" || fail "the device is not the model ($*)"
}

both() {
	local got
	got=$(fileop "$file" "$@")
	[[ $got != E* ]] || fail "'$*' gave $got"
	case $1 in
	zero) fileop "$copy" zero "$2" "$3" >/dev/null ;;
	punch) fileop "$copy" punch "$2" "$3" >/dev/null ;;
	*) fileop "$copy" "$@" >/dev/null ;;
	esac
}

# one CACHE SECTOR
one() {
	local cache=$1 sector=$2
	make_image backing.img 6M
	head -c 6291456 /dev/urandom >"$backing"
	cp "$backing" "$copy"
	loop=$(losetup --find --show --sector-size "$sector" "$backing") ||
		skip "no loop device"
	mount_rawfuse --cache="$cache" "$loop" "$file"
	expect 6291456 fileop "$file" size
	expect 12288 stat -c %b "$file"
	expect "regular file" stat -c %F "$file"
	succeed cmp "$copy" "$file"
	both pwrite 0 4096 1
	both pwrite 1000 3 2
	both pwrite 4095 4098 3
	both pwrite 511 1 4
	both pwrite 6291455 1 5
	expect 4096 fileop -d "$file" pwrite 12288 4096 6
	expect 777 fileop -d "$file" pwrite 20001 777 7
	fileop "$copy" pwrite 12288 4096 6 >/dev/null
	fileop "$copy" pwrite 20001 777 7 >/dev/null
	both punch 100000 8192
	both punch 131072 65536
	both punch 300001 5
	both punch 400001 100000
	both zero 600000 3
	both zero 655360 131072
	both zero 1000001 70001
	both punch 6291000 291
	both pwrite 700000 70000 8
	expect 10 fileop "$file" pwrite 6291446 4096 9
	fileop "$copy" pwrite 6291446 10 9 >/dev/null
	succeed cmp "$copy" "$file"
	expect ENOSPC fileop "$file" pwrite 6291456 1
	expect 0 fileop "$file" pread 6291456 10
	[[ $(fileop "$file" truncate 4096) == E* ]] || fail "a device was cut"
	[[ $(fileop "$file" truncate 9000000) == E* ]] || fail "a device grew"
	expect 6291456 fileop "$file" size
	succeed cmp "$copy" "$file"
	expect 0 fileop "$file" truncate 6291456
	expect 0 fileop "$file" allocate 0 1000000
	expect ENOSPC fileop "$file" allocate 0 7000000
	expect 0 fileop "$file" fsync
	succeed cmp "$copy" "$file"
	"$helpers/model" neighbours -s 5 -n 60 "$file" "$copy" ||
		fail "neighbours on a device"
	# The device grows.
	truncate -s 8M "$backing"
	succeed losetup -c "$loop"
	wait_until "its new size is seen" size_is 8388608
	expect 10 fileop "$file" pwrite 8388598 10 9
	truncate -s 8M "$copy"
	fileop "$copy" pwrite 8388598 10 9 >/dev/null
	unmount_rawfuse "$file"
	compare "after umount"
	losetup -d "$loop"
	wait_until "the loop device is free" loop_is_free
	cmp "$backing" "$copy" || fail "not all is in the backing file"
}

read_only_device() {
	head -c 1048576 /dev/urandom >"$backing"
	loop=$(losetup --find --show --read-only "$backing") || skip "no loop device"
	"$RAWFUSE" "$loop" "$file" 2>"$dir/err" && fail "mounted to write"
	[[ $(<"$dir/err") =~ $loop:.*--read-only && $(wc -l <"$dir/err") == 1 ]] ||
		fail "said: $(<"$dir/err")"
	mount_rawfuse -r "$loop" "$file"
	succeed cmp "$backing" "$file"
	expect EROFS fileop "$file" punch 0 4096
	unmount_rawfuse "$file"
	"$RAWFUSE" -r --growable "$loop" "$file" 2>"$dir/err" && fail "growable"
	[[ $(<"$dir/err") =~ $loop:.*grow && $(wc -l <"$dir/err") == 1 ]] ||
		fail "said: $(<"$dir/err")"
	losetup -d "$loop"
	wait_until "the loop device is free" loop_is_free
}

# is_written OFFSET...: 4 KiB of 7 are at each, also when it is opened anew.
is_written() {
	local at
	for at; do
		expect yes fileop "$file" is "$at" 4096 7
	done
	unmount_rawfuse "$file"
	succeed qemu-img check -q -f qcow2 "$loop"
	mount_rawfuse --format=qcow2 "$loop" "$file"
	for at; do
		expect yes fileop "$file" is "$at" 4096 7
	done
}

# A qcow2 image on a device that ends within a cluster, and is full: what a
# write does not report as failed is there.
full_qcow2() {
	local used at=0 got written=()
	truncate -s $((2000 * 4096 + 2048)) "$backing"
	loop=$(losetup --find --show "$backing") || skip "no loop device"
	for used in 7968 7964 7900; do
		create -o cluster_size=4096 "$loop" 100M
		succeed qemu-io -f qcow2 -c "write 0 ${used}k" "$loop" >/dev/null
		mount_rawfuse --format=qcow2 "$loop" "$file"
		written=()
		fileop "$file" truncate $((1000 << 20)) >/dev/null
		for at in $((900 << 20)) $((50 << 20)) {9003008..9125888..4096}; do
			got=$(fileop "$file" pwrite "$at" 4096 7)
			[[ $got == ENOSPC ]] && continue
			[[ $got == 4096 ]] || fail "a write gave $got"
			written+=("$at")
		done
		expect ENOSPC fileop "$file" pwrite $((60 << 20)) 4096 7
		expect 0 fileop "$file" fsync
		is_written "${written[@]}"
		unmount_rawfuse "$file"
	done
	losetup -d "$loop"
	wait_until "the loop device is free" loop_is_free
}

# An image that was not closed: its refcounts are rebuilt on the device.
dirty_qcow2() {
	truncate -s 8M "$backing"
	loop=$(losetup --find --show "$backing") || skip "no loop device"
	create -o cluster_size=4096,lazy_refcounts=on "$loop" 100M
	(ulimit -c 0 && qemu-io -f qcow2 -c "write -P 7 0 2M" -c flush \
		-c abort "$loop") >/dev/null 2>&1
	[[ $(qemu-img check "$loop" 2>&1) == *ERROR* ]] || fail "not dirty"
	mount_rawfuse --format=qcow2 "$loop" "$file"
	expect yes fileop "$file" is 0 4096 7
	expect 4096 fileop "$file" pwrite $((50 << 20)) 4096 7
	unmount_rawfuse "$file" "refcounts are rebuilt"
	succeed qemu-img check -q -f qcow2 "$loop"
	losetup -d "$loop"
	wait_until "the loop device is free" loop_is_free
}

# A data file that is a device of the disk's size, not of whole clusters.
data_file() {
	local size=$((1 << 20 | 1536))
	truncate -s "$size" "$backing"
	loop=$(losetup --find --show "$backing") || skip "no loop device"
	create -o "data_file=$loop" "$dir/disk.qcow2" "$size"
	mount_rawfuse --format=qcow2 "$dir/disk.qcow2" "$file"
	expect 1536 fileop "$file" pwrite $((1 << 20)) 1536 7
	expect 70000 fileop "$file" pwrite 500000 70000 8
	expect 0 fileop "$file" fsync
	expect yes fileop "$file" is $((1 << 20)) 1536 7
	cp "$file" "$copy"
	unmount_rawfuse "$file"
	succeed qemu-img compare -q -f raw -F qcow2 "$copy" "$dir/disk.qcow2"
	rm -f "$dir/disk.qcow2"
	losetup -d "$loop"
	wait_until "the loop device is free" loop_is_free
}

run() {
	local cache sector
	for cache in direct host; do
		for sector in 512 4096; do
			one $cache $sector
		done
	done
	read_only_device
	if have_tool qemu-img && have_tool qemu-io; then
		full_qcow2
		dirty_qcow2
		data_file
	else
		skip_part "qcow2 on a device: qemu-img or qemu-io is not installed"
	fi
}

require_tool blockdev cmp
each_transport run
finish
