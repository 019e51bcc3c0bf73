# The exported file as a disk: loop devices, file systems, fsck, discard.
# FS_TYPES: the file systems, ext4 and xfs.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
loop=

attach() {
	loop=$(losetup --find --show "$@" "$file") || skip "no loop device"
}

detach() {
	succeed losetup -d "$loop"
	# udev and lazy detaching may hold it for a moment.
	wait_until "the loop device is free" loop_is_free
}

unmount_fs() {
	wait_until "the file system is unmounted" umount "$dir/mnt"
}

blocks_of_image() { stat -c %b "$image"; }

# one FSTYPE DIRECT-IO SIZE
one() {
	local type=$1 direct=$2 size=$3 before
	rm -f "$image"
	truncate -s "$size" "$image"
	mount_rawfuse "$image" "$file"
	attach --direct-io="$direct"
	if [[ $type == ext4 ]]; then
		succeed mkfs.ext4 -q -F "$loop"
	else
		succeed mkfs.xfs -q -f "$loop"
	fi
	mkdir -p "$dir/mnt"
	succeed mount "$loop" "$dir/mnt"
	head -c 20000000 /dev/urandom >"$dir/data"
	succeed cp "$dir/data" "$dir/mnt/data"
	succeed cp -r "$abs_top_srcdir/tests/integration" "$dir/mnt/tree"
	succeed cp "$dir/data" "$dir/mnt/more"
	sync -f "$dir/mnt"
	before=$(blocks_of_image)
	rm "$dir/mnt/more"
	unmount_fs # XFS frees in the background
	succeed mount "$loop" "$dir/mnt"
	succeed fstrim "$dir/mnt"
	(($(blocks_of_image) < before - 20000)) ||
		fail "fstrim freed nothing: $before, $(blocks_of_image) blocks"
	unmount_fs
	succeed mount "$loop" "$dir/mnt"
	succeed cmp "$dir/data" "$dir/mnt/data"
	succeed diff -r "$abs_top_srcdir/tests/integration" "$dir/mnt/tree"
	unmount_fs
	check_fs "$type" "$loop"
	detach
	unmount_rawfuse "$file"
	# Without us, the same.
	check_fs "$type" "$image"
	succeed mount -o loop,ro "$image" "$dir/mnt"
	succeed cmp "$dir/data" "$dir/mnt/data"
	unmount_fs
	wait_until "the loop device is free" loop_is_free
	rmdir "$dir/mnt"
}

check_fs() {
	local out
	if [[ $1 == ext4 ]]; then
		out=$(e2fsck -fn "$2" 2>&1) || fail "e2fsck: $out"
	else
		out=$(xfs_repair -n "$2" 2>&1) || fail "xfs_repair: $out"
	fi
}

have_fs() {
	grep -qw "$1" /proc/filesystems || { have_tool modprobe && modprobe -q "$1"; }
}

wanted() { [[ " ${FS_TYPES:-ext4 xfs} " == *" $1 "* ]]; }

# The kernel's own memory, by direct I/O: Linux 7.3 would free it with zero-copy.
direct() {
	if [[ ${RAWFUSE_OPTIONS:-} == *--zero-copy=on* ]]; then
		skip_part "$1 by direct I/O of a loop device: not with zero-copy"
	else
		one "$1" on "$2"
	fi
}

run() {
	if ! wanted ext4; then
		:
	elif have_tool mkfs.ext4 && have_fs ext4; then
		one ext4 off 100000256
		direct ext4 96M
	else
		skip_part "no ext4"
	fi
	if ! wanted xfs; then
		:
	elif have_tool mkfs.xfs && have_fs xfs; then
		one xfs off 320M
		direct xfs 320M
	else
		skip_part "no xfs"
	fi
}

require_tool fstrim cmp diff
each_transport run
finish
