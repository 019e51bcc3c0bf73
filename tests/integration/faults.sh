# The image's storage fails: no space, cut off under us, I/O errors. The
# caller gets that errno; the daemon lives on.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

# An image with holes on a file system that is too small for it.
no_space() {
	local cache got n=0 i
	mkdir -p "$dir/small"
	succeed mount -t tmpfs -o size=2M none "$dir/small"
	for cache in host direct; do
		rm -f "$dir"/small/*
		truncate -s 8M "$dir/small/disk.img"
		if [[ $1 == ext4 ]]; then
			umount "$dir/small"
			truncate -s 8M "$dir/fs.img"
			succeed mkfs.ext4 -q -F -O ^has_journal "$dir/fs.img"
			succeed mount -o loop "$dir/fs.img" "$dir/small"
			truncate -s 32M "$dir/small/disk.img"
		fi
		if [[ $cache == direct && $(fileop -d "$dir/small/disk.img" open) != 0 ]]; then
			say "no O_DIRECT on $1" # tmpfs before Linux 6.6
			break
		fi
		mount_rawfuse --cache=$cache "$dir/small/disk.img" "$file"
		expect 65536 fileop "$file" pwrite 0 65536 1
		for ((n = 1; n < 600; n++)); do
			got=$(fileop -d "$file" pwrite $((n * 65536)) 65536 1)
			[[ $got == 65536 ]] || break
			((n * 65536 < 8000000)) || [[ $1 == ext4 ]] || break
		done
		[[ $got == EIO ]] && linux_before 6.6 && got=ENOSPC # short
		[[ $got == ENOSPC || $got -lt 65536 ]] || fail "$1, $cache: wrote $n times: $got"
		expect ENOSPC fileop -d "$file" pwrite $((n * 65536 + 65536)) 65536
		expect ENOSPC fileop "$file" allocate $((n * 65536)) 1000000
		# One line for all of it, and a count of the rest.
		for ((i = 0; i < 100; i++)); do
			expect ENOSPC fileop -d "$file" pwrite $((n * 65536 + 65536)) 65536
		done
		# It lives: reads, writes where there is room, frees, writes again.
		expect yes fileop -d "$file" is 0 65536 1
		expect 65536 fileop -d "$file" pwrite 0 65536 2
		expect 0 fileop "$file" punch 65536 262144
		expect 65536 fileop -d "$file" pwrite 131072 65536 3
		expect yes fileop "$file" is 0 65536 2
		expect 0 fileop "$file" fsync
		unmount_rawfuse "$file" 'small/disk.img: (write|allocate) at [0-9]*: No space left on device: make room'
		(($(grep -c "No space left.*make room" "$log") <= 3 &&
			$(grep -c "more such lines in" "$log") <= 2)) ||
			fail "too many lines: $(<"$log")"
		grep -qE "1[0-9][0-9] more such lines in" "$log" ||
			fail "the rest is not counted: $(<"$log")"
		expect yes fileop "$dir/small/disk.img" is 131072 65536 3
		[[ $1 != ext4 ]] || break
	done
	wait_until "the file system is free" free_mount "$dir/small"
	rm -f "$dir/fs.img"
}

# Cut by somebody else.
truncated() {
	local cache
	for cache in host direct; do
		rm -f "$image"
		head -c 1048576 /dev/urandom >"$image"
		mount_rawfuse --cache=$cache "$image" "$file"
		succeed cmp "$image" "$file"
		succeed truncate -s 500000 "$image"
		expect EIO fileop -d "$file" pread 600000 100
		expect EIO fileop -d "$file" pread 524288 4096
		expect EIO fileop -d "$file" pread 496000 8192
		expect 4096 fileop -d "$file" pread 0 4096
		expect 1000 fileop -d "$file" pread 499000 1000
		[[ $(fileop "$file" data 600000) == E* ]] || fail "data behind the end"
		# A write makes it longer again.
		expect 4096 fileop -d "$file" pwrite 700000 4096 5
		expect yes fileop -d "$file" is 700000 4096 5
		expect yes fileop -d "$file" is 600000 4096 0
		expect 0 fileop "$file" fsync
		succeed umount "$file"
		wait_daemon 0
		check_log 'was it truncated'
	done
}

# A loop device whose backing file was cut answers EIO there.
device_errors() {
	local cache loop
	for cache in host direct; do
		head -c 4194304 /dev/urandom >"$dir/backing.img"
		loop=$(losetup --find --show "$dir/backing.img") || skip "no loop device"
		mount_rawfuse --cache=$cache "$loop" "$file"
		expect 4096 fileop -d "$file" pread 3145728 4096
		succeed truncate -s 2097152 "$dir/backing.img"
		blockdev --flushbufs "$loop"
		if [[ $(fileop -d "$loop" pread 3145728 4096) != EIO ]]; then
			say "this kernel's loop devices read zeros there"
			unmount_rawfuse "$file"
			succeed losetup -d "$loop"
			wait_until "the loop device is free" loop_is_free
			break
		fi
		expect EIO fileop -d "$file" pread 3145728 4096
		expect EIO fileop -d "$file" pread 3500001 777
		expect EIO fileop "$file" pread 3670016 4096
		expect 4096 fileop -d "$file" pread 1048576 4096
		expect 777 fileop -d "$file" pread 1048577 777
		succeed umount "$file"
		wait_daemon 0
		check_log "$loop: read at [0-9]*: Input/output error: .*dmesg"
		(($(grep -c "$loop: read at" "$log") == 2)) ||
			fail "not a line and a count: $(<"$log")"
		succeed losetup -d "$loop"
		wait_until "the loop device is free" loop_is_free
	done
}

# Write errors that come late, with the flush: the exit status tells.
lost_writes() {
	make_dying_disk
	mount_rawfuse --cache=host "$dir/fs/disk.img" "$file"
	# It all fits into the page cache, and not below it.
	for ((n = 0; n < 12; n++)); do
		expect 1048576 fileop "$file" pwrite $((n * 1048576)) 1048576 1
	done
	expect EIO fileop "$file" fsync
	# The kernel has told now, and would not again: it is lost all the same.
	expect EIO fileop "$file" fsync
	succeed umount "$file"
	wait_daemon 1
	remove_dying_disk
}

# A kernel whose modules are missing does not.
mounts_loops() {
	mkdir -p "$dir/small"
	rm -f "$dir/fs.img"
	truncate -s 8M "$dir/fs.img"
	succeed mkfs.ext4 -q -F -O ^has_journal "$dir/fs.img"
	mount -o loop "$dir/fs.img" "$dir/small" 2>"$dir/mount.err" || return
	succeed umount "$dir/small"
	wait_until "the loop device is free" loop_is_free
}

# What ulimit -f forbids is EFBIG to the caller; the daemon lives on.
size_limit() {
	truncate -s 1M "$image"
	RUN=(bash -c 'ulimit -f 2048; exec "$@"' -)
	mount_rawfuse --growable "$image" "$file"
	RUN=(env)
	expect 4096 fileop -d "$file" pwrite 2093056 4096 1
	expect EFBIG fileop -d "$file" pwrite 2097152 4096 1
	expect EFBIG fileop "$file" pwrite 2097152 4096 1
	expect EFBIG fileop "$file" truncate 3000000
	expect EFBIG fileop "$file" allocate 2097152 4096
	expect yes fileop -d "$file" is 2093056 4096 1
	expect 4096 fileop "$file" pwrite 0 4096 2
	expect 0 fileop "$file" fsync
	unmount_rawfuse "$file" "disk.img: .*: File too large: .*ulimit -f"
	rm "$image"
}

# A version 2 image with a snapshot cannot grow, as anybody may ask it to.
many_lines() {
	local n
	have_tool qemu-img || { skip_part "qemu-img is not installed"; return 0; }
	succeed qemu-img create -q -f qcow2 -o compat=0.10 "$image" 1M
	succeed qemu-img snapshot -c one "$image"
	mount_rawfuse --format=qcow2 "$image" "$file"
	for ((n = 0; n < 200; n++)); do
		expect EOPNOTSUPP fileop "$file" truncate 2097152
	done
	unmount_rawfuse "$file" "version 2"
	(($(grep -c "version 2" "$log") == 6)) ||
		fail "$(grep -c "version 2" "$log") lines of 200"
	grep -q "195 more such lines in .*version 2" "$log" || fail "no count: $(<"$log")"
	rm "$image"
}

# Emptying and punching that end half-way: both views of the file are one.
half_zeroed() { # empty|punch ERROR
	if [[ $1 == empty ]]; then
		! (: >"$file") 2>"$dir/err" || fail "emptied in spite of '$2'"
	else
		fileop "$file" punch 0 4194304 >"$dir/err"
	fi
	grep -qE "$2" "$dir/err" || fail "$1: $(<"$dir/err"), not $2"
	# A close waits for the cache to be dropped. The cached view comes first: a
	# direct read looks at the attributes, and heals it.
	: <>"$file"
	cat "$file" >"$dir/cached"
	dd if="$file" of="$dir/direct" bs=1M iflag=direct status=none
	! cmp -s "$dir/base.img" "$dir/direct" ||
		fail "$1: nothing was done: the test tests nothing"
	succeed cmp "$dir/cached" "$dir/direct"
	rm "$dir/cached" "$dir/direct"
}

make_half() { # IMAGE
	succeed qemu-img create -q -f qcow2 -b "$dir/base.img" -F raw \
		-o cluster_size=512 "$1" 4M
}

half_without_space() {
	local how
	mkdir -p "$dir/small"
	succeed mount -t tmpfs -o size=8M none "$dir/small"
	for how in empty punch; do
		make_half "$dir/small/disk.qcow2"
		head -c 8M /dev/zero >"$dir/small/fill" 2>/dev/null
		truncate -s -20k "$dir/small/fill"
		mount_rawfuse --format=qcow2 "$dir/small/disk.qcow2" "$file"
		succeed cmp "$dir/base.img" "$file"
		half_zeroed $how 'ENOSPC|No space left'
		unmount_rawfuse "$file" 'No space left on device'
		rm "$dir"/small/*
	done
	wait_until "the file system is free" free_mount "$dir/small"
}

# Compressed memory that may have no more of it answers writes with EIO: those
# of tables here, which say what has become zeros.
resets_zram() { { echo 1 >"/sys/block/zram$1/reset"; } 2>/dev/null; }
removes_zram() {
	[[ ! -e /dev/zram$1 ]] || { echo "$1" >/sys/class/zram-control/hot_remove; } 2>/dev/null
}
half_with_error() {
	local how n
	n=$(cat /sys/class/zram-control/hot_add 2>"$dir/err") || {
		skip_part "zeroing that ends half-way with EIO: no zram"
		return 0
	}
	restores+=("wait_until \"zram$n is free\" removes_zram $n")
	make_half "$dir/disk.qcow2"
	for how in empty punch; do
		echo 16M >"/sys/block/zram$n/disksize"
		succeed dd if="$dir/disk.qcow2" of="/dev/zram$n" bs=64k conv=fsync status=none
		mount_rawfuse --format=qcow2 --cache=direct --metadata-cache=64k "/dev/zram$n" "$file"
		succeed cmp "$dir/base.img" "$file"
		echo 1 >"/sys/block/zram$n/mem_limit"
		half_zeroed $how 'EIO|Input/output'
		succeed umount "$file"
		wait_daemon 1
		check_log 'Input/output error'
		wait_until "zram$n is free" resets_zram "$n"
	done
	wait_until "zram$n is free" removes_zram "$n"
}

run() {
	size_limit
	many_lines
	no_space tmpfs
	if ! have_tool mkfs.ext4; then
		skip_part "no ext4"
	elif ! mounts_loops; then
		skip_part "ext4 on a loop device: $(<"$dir/mount.err")"
	else
		no_space ext4
		lost_writes
	fi
	truncated
	if have_tool qemu-img; then
		head -c 4M /dev/urandom >"$dir/base.img"
		half_without_space
		half_with_error
		rm "$dir/base.img"
	else
		skip_part "zeroing that ends half-way: qemu-img is missing"
	fi
	device_errors
}

require_tool blockdev cmp
each_transport run
finish
