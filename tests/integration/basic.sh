# The whole way: mount, read, write, resize, unmount; options; SIGUSR1.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

mode_of() { stat -c %a "$1"; }

# The file is the image; writes are in it after umount; a mountpoint that was
# made for the mount goes away with it.
read_and_write() {
	make_image disk.img 5000001
	cp "$image" "$dir/copy"
	mount_rawfuse "$image" "$file"
	expect 5000001 stat -c %s "$file"
	expect 600 mode_of "$file"
	expect "regular file" stat -c %F "$file"
	expect fuse.rawfuse findmnt -n -o FSTYPE --mountpoint "$file"
	expect "$image" findmnt -n -o SOURCE --mountpoint "$file"
	succeed cmp "$image" "$file"
	expect 10 fileop "$file" pwrite 4999991 10 0x41
	expect 777 fileop -d "$file" pwrite 1234567 777 0x42
	expect yes fileop "$file" is 4999991 10 0x41
	expect yes fileop -d "$file" is 1234567 777 0x42
	expect 0 fileop "$file" fsync
	unmount_rawfuse "$file"
	[[ ! -e $file ]] || fail "the mountpoint that it made is left"
	expect yes fileop "$image" is 4999991 10 0x41
	expect yes fileop "$image" is 1234567 777 0x42
	# And nothing else was changed.
	expect 10 fileop "$dir/copy" pwrite 4999991 10 0x41
	expect 777 fileop "$dir/copy" pwrite 1234567 777 0x42
	succeed cmp "$image" "$dir/copy"
}

existing_mountpoint() {
	make_image disk.img 1M
	say kept >"$file"
	mount_rawfuse "$image" "$file"
	succeed cmp "$image" "$file"
	unmount_rawfuse "$file"
	expect kept cat "$file"
	rm "$file"
}

over_itself() {
	make_image disk.img 1M
	cp "$image" "$dir/copy"
	mount_rawfuse "$image" "$image"
	succeed cmp "$image" "$dir/copy"
	expect 100 fileop "$image" pwrite 1000 100 7
	unmount_rawfuse "$image"
	expect yes fileop "$image" is 1000 100 7
	expect 100 fileop "$dir/copy" pwrite 1000 100 7
	succeed cmp "$image" "$dir/copy"
}

# A mountpoint by way of a symbolic link, and one without a directory.
odd_mountpoints() {
	make_image disk.img 1M
	: >"$dir/real"
	ln -s real "$dir/link"
	mount_rawfuse "$image" "$dir/link"
	succeed cmp "$image" "$dir/link"
	succeed cmp "$image" "$dir/real"
	kill "$daemon"
	wait_daemon 0
	check_log
	no_mounts || fail "SIGTERM left a mount: $(our_mounts)"
	rm "$dir/link" "$dir/real"
	cd "$dir" || exit 1
	mount_rawfuse disk.img disk.raw
	succeed cmp "$image" "$file"
	cd - >/dev/null || exit 1
	unmount_rawfuse "$file"
}

read_only() {
	make_image disk.img 1M
	chmod 444 "$image"
	mount_rawfuse --read-only "$image" "$file"
	expect 400 mode_of "$file"
	succeed cmp "$image" "$file"
	expect EROFS fileop "$file" pwrite 0 1
	expect EROFS fileop "$file" truncate 5
	expect EROFS chmod_result 600
	expect 1048576 fileop -r "$file" size
	expect EBADF fileop -r "$file" pwrite 0 1
	setpriv --reuid 65534 --clear-groups test -w "$file" &&
		fail "another user may write"
	unmount_rawfuse "$file"
	# The short option, and -o.
	mount_rawfuse -r "$image" "$file"
	expect EROFS fileop "$file" pwrite 0 1
	unmount_rawfuse "$file"
	mount_rawfuse -o ro "$image" "$file"
	expect EROFS fileop "$file" pwrite 0 1
	unmount_rawfuse "$file"
	chmod 600 "$image"
}
chmod_result() {
	chmod "$1" "$file" 2>"$dir/err" && say ok && return
	grep -q "Read-only file system" "$dir/err" && say EROFS
}

not_growable() {
	make_image disk.img 1000000
	mount_rawfuse "$image" "$file"
	expect 10 fileop "$file" pwrite 999990 4000 1
	expect "$(linux_before 6.6 && echo EIO || echo 5)" \
		fileop -d "$file" pwrite 999995 4000 2
	expect yes fileop "$file" is 999995 5 2
	expect ENOSPC fileop "$file" pwrite 1000000 1
	expect ENOSPC fileop -d "$file" pwrite 1000000 1
	expect ENOSPC fileop "$file" pwrite 5000000 4096
	expect ENOSPC fileop "$file" allocate 999999 2
	expect ENOSPC fileop "$file" zero 0 1000001
	expect 0 fileop "$file" zerokeep 999999 100
	expect 0 fileop "$file" punch 999998 4096
	expect 1000000 fileop "$file" size
	expect 0 fileop "$file" pread 1000000 10
	expect EOPNOTSUPP fileop "$file" collapse 0 4096
	# It can be made larger, but not cut.
	expect EPERM fileop "$file" truncate 500
	expect EPERM fileop "$file" truncate 999999
	expect 1000000 stat -c %s "$image"
	expect 0 fileop "$file" truncate 2000000
	expect yes fileop "$file" is 1000000 1000000 0
	expect 2000000 stat -c %s "$image"
	expect 4096 fileop "$file" pwrite 1500000 4096 3
	expect ENOSPC fileop "$file" pwrite 2000000 1
	unmount_rawfuse "$file"
	expect yes fileop "$image" is 1500000 4096 3
	expect 2000000 stat -c %s "$image"
}

# O_TRUNC empties a disk of fixed size, with what is in the page cache, and
# takes nothing of what comes after; nothing else makes the disk smaller.
o_trunc() {
	make_image disk.img 3000000
	mount_rawfuse "$image" "$file"
	succeed cmp "$image" "$file"
	expect 3000000 fileop "$file" map_trunc 1234567 10 5
	expect yes fileop "$file" is 0 1234567 0
	expect yes fileop "$file" is 1234567 10 5
	expect 100 fileop "$file" pwrite 2000000 100 7
	expect 0 fileop "$file" cut 0
	expect 3000000 fileop "$file" size
	expect yes fileop "$file" is 0 3000000 0
	expect 100 fileop "$file" pwrite 2000000 100 7
	expect EPERM fileop "$file" truncate 2000099
	expect EPERM fileop "$file" truncate 1
	expect 0 fileop "$file" truncate 2000100
	expect 3000000 fileop "$file" size
	expect 0 fileop "$file" truncate 0
	expect yes fileop "$file" is 0 3000000 0
	exec {truncated}>"$file"
	expect 3000000 fileop "$file" size
	(printf boot >>"$file") 2>/dev/null && fail "an append has succeeded"
	exec {truncated}>&-
	printf hello >"$file"
	expect 3000000 stat -c %s "$file"
	unmount_rawfuse "$file"
	rm -f "$dir/copy"
	truncate -s 3000000 "$dir/copy"
	printf hello | dd of="$dir/copy" conv=notrunc status=none
	succeed cmp "$image" "$dir/copy"
	mount_rawfuse --growable "$image" "$file"
	printf hello >"$file"
	expect 5 fileop "$file" size
	unmount_rawfuse "$file"
	expect hello cat "$image"
}

flushes() {
	local n
	report
	n=$(sed -n 's/^rawfuse: image: .* flush=\([0-9]*\).*/\1/p' "$dir/report")
	say "${n:-0}"
}
# more_flushes N COMMAND...: COMMAND makes the image flushed N times at least.
more_flushes() {
	local n=$1 before
	shift
	before=$(flushes)
	succeed "$@" >/dev/null
	(($(flushes) >= before + n)) || fail "'$*' made $(($(flushes) - before)) flushes"
}
direct_write() { dd if=/dev/zero of="$file" bs=4k conv=notrunc status=none "$@"; }

# Who asks for it by O_DSYNC, O_SYNC or RWF_DSYNC has the data on the disk when
# the write is over; also past the page cache, where no fsync follows.
write_through() {
	make_image disk.img 1M
	mount_rawfuse "$image" "$file"
	more_flushes 5 direct_write count=5 oflag=direct,dsync
	more_flushes 5 direct_write count=5 oflag=direct,sync
	more_flushes 5 direct_write count=5 oflag=dsync
	more_flushes 1 fileop -d "$file" dsync 8192 4096
	more_flushes 1 fileop "$file" dsync 8192 4096
	unmount_rawfuse "$file"
	mount_rawfuse -o sync "$image" "$file"
	more_flushes 5 direct_write count=5 oflag=direct
	more_flushes 5 direct_write count=5
	unmount_rawfuse "$file"
	have_tool qemu-img || return 0
	# The metadata that finds it, too.
	rm -f "$dir/disk.qcow2"
	qemu-img create -q -f qcow2 "$dir/disk.qcow2" 1M
	mount_rawfuse "$dir/disk.qcow2" "$file"
	exec {held}<>"$file" # no close before the copy
	succeed dd if=/dev/zero bs=64k count=1 status=none | tr '\0' x |
		dd of="$file" bs=64k iflag=fullblock seek=3 conv=notrunc oflag=direct,dsync status=none &&
		cp "$dir/disk.qcow2" "$dir/copy.qcow2"
	exec {held}>&-
	unmount_rawfuse "$file"
	succeed qemu-io -r -f qcow2 -c 'read -P 0x78 192k 64k' "$dir/copy.qcow2" >"$dir/said"
	grep -q 'verification failed' "$dir/said" && fail "a synchronous write is not in the image"
	rm "$dir/disk.qcow2" "$dir/copy.qcow2"
}

used() { df --output=pcent "$file" | tail -n 1 | tr -d ' '; }
free_bytes() { df -B 1 --output=avail "$1" | tail -n 1 | tr -d ' '; }

# What df tells is what can be written: nobody is alarmed by a disk in use.
free_space() {
	local ours theirs
	make_image disk.img 10000001
	mount_rawfuse "$image" "$file"
	expect 0% used
	(($(free_bytes "$file") >= 10000001)) || fail "df: $(df "$file")"
	unmount_rawfuse "$file"
	# The room that a growable one has is its file system's, give or take
	# what others do there.
	mount_rawfuse --growable "$image" "$file"
	theirs=$(free_bytes "$dir")
	ours=$(free_bytes "$file")
	((ours > theirs / 2 && ours < theirs * 2)) ||
		fail "df: $ours of $theirs"
	unmount_rawfuse "$file"
}

odd_answers() {
	make_image disk.img 1M
	mount_rawfuse "$image" "$file"
	expect ENXIO fileop "$file" data -1
	expect ENXIO fileop "$file" hole -5
	unmount_rawfuse "$file"
	have_tool qemu-img || return 0
	rm -f "$dir/disk.qcow2"
	qemu-img create -q -f qcow2 "$dir/disk.qcow2" 1M
	mount_rawfuse --growable "$dir/disk.qcow2" "$file"
	expect EOPNOTSUPP fileop "$file" keep 1048576 65536
	expect EOPNOTSUPP fileop "$file" keep 1000000 65536
	expect 0 fileop "$file" keep 0 1048576
	expect 1048576 fileop "$file" size
	unmount_rawfuse "$file"
	rm "$dir/disk.qcow2"
}

# The image is made larger by somebody else: the next look finds it.
grows_outside() {
	local mode
	for mode in "" --writeback-cache; do
		make_image disk.img 1000001
		# shellcheck disable=SC2086
		mount_rawfuse $mode "$image" "$file"
		expect ENOSPC fileop -d "$file" pwrite 2000000 5
		truncate -s 3000000 "$image"
		size_is() { [[ $(stat -c %s "$file") == 3000000 ]]; }
		wait_until "the size is seen" size_is
		expect 5 fileop -d "$file" pwrite 2000000 5 9
		expect yes fileop "$file" is 2000000 5 9
		unmount_rawfuse "$file"
		expect 3000000 stat -c %s "$image"
	done
}

growable() {
	: >"$image"
	mount_rawfuse --growable "$image" "$file"
	expect 0 fileop "$file" size
	expect 4000 fileop "$file" pwrite 0 4000 1
	expect 4000 fileop "$file" size
	expect 777 fileop -d "$file" pwrite 99999 777 2
	expect 100776 fileop "$file" size
	expect yes fileop "$file" is 4000 95999 0
	expect 0 fileop "$file" keep 200000 4096
	expect 100776 fileop "$file" size
	expect 0 fileop "$file" allocate 200000 4096
	expect 204096 fileop "$file" size
	expect 0 fileop "$file" truncate 3
	unmount_rawfuse "$file"
	expect 3 stat -c %s "$image"
	expect yes fileop "$image" is 0 3 1
}

holes() {
	rm -f "$image"
	truncate -s 4M "$image"
	expect 65536 fileop "$image" pwrite 1048576 65536 1
	mount_rawfuse "$image" "$file"
	expect "$(fileop "$image" data 100000)" fileop "$file" data 100000
	expect "$(fileop "$image" hole 1048576)" fileop "$file" hole 1048576
	expect ENXIO fileop "$file" data 3000000
	expect ENXIO fileop "$file" hole 4194304
	expect "$(stat -c %b "$image")" stat -c %b "$file"
	expect 0 fileop "$file" punch 1048576 65536
	expect yes fileop "$file" is 1048576 65536 0
	unmount_rawfuse "$file"
	expect ENXIO fileop "$image" data 1048576
}

null_driver() {
	mount_rawfuse null:size=3G "$file"
	expect 3221225472 fileop "$file" size
	expect yes fileop -d "$file" is 2147483648 100000 0
	expect 100000 fileop -d "$file" pwrite 5 100000 9
	expect yes fileop -d "$file" is 5 100000 0
	expect 0 fileop "$file" fsync
	expect ENOSPC fileop "$file" pwrite 3221225472 1
	unmount_rawfuse "$file"
	mount_rawfuse --format=null null: "$file"
	expect 1073741824 fileop "$file" size
	unmount_rawfuse "$file"
}

# Options as mount(8) writes them; fsname; depth and size of requests.
option_lists() {
	make_image disk.img 1M
	mount_rawfuse -o rw,nosuid,noatime,queue_depth=3,max_write=128k \
		-o 'fsname=a\,b,nofail,x-systemd.automount,cache=host' \
		-o _netdev,noexec,defaults "$image" "$file"
	succeed cmp "$image" "$file"
	expect a,b findmnt -n -o SOURCE --mountpoint "$file"
	[[ ,$(findmnt -n -o OPTIONS --mountpoint "$file"), =~ ,noexec, ]] ||
		fail "noexec is not set"
	report
	grep -q 'depth=3' "$log" || fail "the depth is not 3"
	grep -q 'direct=no' "$log" || fail "cache=host is not followed"
	unmount_rawfuse "$file"
}

# Into the background: returns when the file can be used; ends by umount, and
# the pidfile goes when all is flushed.
background() {
	local pid
	make_image disk.img 1M
	cd "$dir" || exit 1
	succeed "$RAWFUSE" --io-uring="$transport" --pidfile=bg.pid disk.img disk.raw
	cd - >/dev/null || exit 1
	succeed cmp "$image" "$file"
	pid=$(<"$dir/bg.pid")
	is_ours "$pid" || fail "the pidfile says $pid"
	expect / readlink "/proc/$pid/cwd"
	expect 10 fileop "$file" pwrite 0 10 1
	succeed umount "$file"
	wait_until "the pidfile is gone" test ! -e "$dir/bg.pid"
	wait_until "the daemon is gone" no_processes
	expect yes fileop "$image" is 0 10 1
	[[ ! -e $file ]] || fail "the mountpoint is left"
}

# As mount(8) and fstab call it.
mount_helper() {
	make_image disk.img 1M
	mkdir -p "$dir/sbin"
	ln -sf "$RAWFUSE" "$dir/sbin/mount.fuse.rawfuse"
	succeed "$dir/sbin/mount.fuse.rawfuse" "$image" "$file" -sv \
		-o "rw,noauto,allow_other,io_uring=$transport,pidfile=$dir/h.pid"
	succeed cmp "$image" "$file"
	expect fuse.rawfuse findmnt -n -o FSTYPE --mountpoint "$file"
	succeed umount "$file"
	wait_until "the pidfile is gone" test ! -e "$dir/h.pid"
	succeed "$dir/sbin/mount.fuse.rawfuse" "$image" "$file" -o ro -t fuse.rawfuse
	expect EROFS fileop "$file" pwrite 0 1
	succeed umount "$file"
	wait_until "the daemon is gone" no_processes
	"$dir/sbin/mount.fuse.rawfuse" "$image" "$file" -f -o ro || fail "-f is for trying"
	no_mounts || fail "-f mounted"
}

# mount(8) itself finds its helper in /sbin only; a fstab line of our own and
# a helper bound there, in a mount namespace of their own, play that.
by_mount8() {
	make_image disk.img 1M
	: >"$file"
	mkdir -p "$dir/sbin"
	unshare -m --propagation private bash -u -c '
		sbin=$(realpath /sbin)
		mkdir -p "$1/up" "$1/work" &&
		mount -t tmpfs none "$1/work" && mkdir "$1/work/u" "$1/work/w" &&
		mount -t overlay -o "lowerdir=$sbin,upperdir=${1// /\\ }/work/u,workdir=${1// /\\ }/work/w" none "$sbin" 2>/dev/null || exit 42
		ln -s "$2" /sbin/mount.fuse.rawfuse
		mount -t fuse.rawfuse "$1/disk.img" "$1/disk.raw" -o "ro,allow_other,io_uring=$3" &&
		cmp "$1/disk.img" "$1/disk.raw" &&
		umount "$1/disk.raw" &&
		printf "%s %s fuse.rawfuse io_uring=%s,noauto,pidfile=%s 0 0\n" "${1// /\\040}/disk.img" "${1// /\\040}/disk.raw" "$3" "${1// /\\040}/m.pid" >"$1/fstab" &&
		mount -T "$1/fstab" "$1/disk.raw" &&
		cmp "$1/disk.img" "$1/disk.raw" &&
		mount -o remount,ro "$1/disk.raw" &&
		findmnt -n -o OPTIONS --mountpoint "$1/disk.raw" | grep -qE "^ro,nosuid,nodev" &&
		! : 2>/dev/null >>"$1/disk.raw" &&
		mount -o remount,rw "$1/disk.raw" &&
		findmnt -n -o OPTIONS --mountpoint "$1/disk.raw" | grep -qE "^rw,nosuid,nodev" &&
		: >>"$1/disk.raw" &&
		umount "$1/disk.raw" || exit 1
		# An image that is not there, with nofail and without.
		printf "%s %s fuse.rawfuse nofail 0 0\n" "${1// /\\040}/none.img" "${1// /\\040}/none.raw" >"$1/fstab" &&
		mount -a -T "$1/fstab" && [[ ! -e $1/none.raw ]] || exit 2
		printf "%s %s fuse.rawfuse defaults 0 0\n" "${1// /\\040}/none.img" "${1// /\\040}/none.raw" >"$1/fstab"
		! mount -a -T "$1/fstab" 2>/dev/null || exit 3
		# Where there is no SELinux its contexts are dropped, as by mount(8).
		mount -t fuse.rawfuse null: "$1/disk.raw" -o "context=\"a:b:c:s0:c1,c2\",ro" ||
			grep -q selinuxfs /proc/filesystems || exit 4
		! mountpoint -q "$1/disk.raw" || umount "$1/disk.raw"
		' mount8 "$dir" "$RAWFUSE" "$transport"
	case $? in
	0) ;;
	42) skip_part "mount(8): no overlay over /sbin" ;;
	*) fail "mount -t fuse.rawfuse: $?" ;;
	esac
	wait_until "the daemons are gone" no_processes
	rm "$file"
}

counters() {
	make_image disk.img 1M
	mount_rawfuse "$image" "$file"
	expect 8192 fileop -d "$file" pwrite 0 8192
	expect 4096 fileop -d "$file" pread 0 4096
	report
	grep -q '^rawfuse: requests: total=[1-9].* READ=1 WRITE=1' "$dir/report" ||
		fail "requests are not counted"
	grep -q 'bytes: read=4096 written=8192' "$dir/report" ||
		fail "bytes are not counted"
	unmount_rawfuse "$file"
}

# Many queues' worth of depth; one; and the largest requests.
depths() {
	make_image disk.img 3M
	local depth
	for depth in 1 2 1000; do
		mount_rawfuse --queue-depth=$depth --max-write=4k "$image" "$file"
		succeed cmp "$image" "$file"
		unmount_rawfuse "$file"
	done
	# A pool of a given size may be too small for that.
	[[ ${RAWFUSE_OPTIONS:-} != *--buffer-pool=[0-9]* ]] || return 0
	mount_rawfuse --max-write=16M "$image" "$file"
	succeed cmp "$image" "$file"
	succeed dd if="$image" of="$file" bs=3M oflag=direct conv=notrunc status=none
	report
	if grep -q "^rawfuse: memory: .* max_write=16777216" "$dir/report"; then
		unmount_rawfuse "$file"
	else
		unmount_rawfuse "$file" "^rawfuse: --max-write=16M: the kernel's limit is [0-9]+[kM] "
	fi
}

# What prints and ends.
printing() {
	local option
	for option in --help --version --dump-config --probe -h -V; do
		"$RAWFUSE" $option >"$dir/out" 2>"$dir/err" || fail "$option failed"
		[[ -s $dir/out && ! -s $dir/err ]] || fail "$option printed nothing"
	done
}

require_tool findmnt setpriv unshare cmp
each_transport read_and_write
each_transport existing_mountpoint
each_transport over_itself
each_transport odd_mountpoints
each_transport read_only
each_transport not_growable
each_transport o_trunc
each_transport write_through
each_transport free_space
each_transport odd_answers
each_transport grows_outside
each_transport growable
each_transport holes
each_transport null_driver
each_transport option_lists
each_transport background
each_transport mount_helper
each_transport by_mount8
each_transport counters
each_transport depths
printing
finish
