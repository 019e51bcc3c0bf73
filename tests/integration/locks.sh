# QEMU's locks: its tools and rawfuse refuse each other's writers, both ways.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

write_by_qemu() { qemu-io -f raw -c "write -q 0 512" "$image" >"$dir/out" 2>&1; }
read_by_qemu() { qemu-io -r -f raw -c "read -q 0 512" "$image" >"$dir/out" 2>&1; }
# (qemu-io itself lets others write beside it; qemu-img does not.)
convert_by_qemu() { qemu-img convert -f raw -O raw "$image" "$dir/converted" >"$dir/out" 2>&1; }
resize_by_qemu() { qemu-img resize -f raw "$image" 2M >"$dir/out" 2>&1; }

refused_by_qemu() {
	"$@" && fail "$* was let in"
	grep -qi lock "$dir/out" || fail "$*: $(<"$dir/out")"
}

# refused_by_rawfuse OPTION...: one line that says lock.
refused_by_rawfuse() {
	local mnt=$dir/second.raw
	"$RAWFUSE" --io-uring="$transport" "$@" "$image" "$mnt" 2>"$dir/err" &&
		fail "rawfuse $* was let in"
	[[ $(<"$dir/err") =~ disk.img:.*lock && $(wc -l <"$dir/err") == 1 ]] ||
		fail "rawfuse $*: $(<"$dir/err")"
	[[ ! -e $mnt ]] || fail "rawfuse $* left its mountpoint"
}

# qemu-io that holds the image open until stop_qemu.
hold_by_qemu() {
	mkfifo "$dir/fifo"
	qemu-io "$@" -f raw "$image" <"$dir/fifo" >"$dir/qemu.out" 2>&1 {machine_lock}<&- &
	qemu=$!
	exec {tell}>"$dir/fifo"
	printf 'read 0 512\n' >&"$tell"
	wait_until "qemu-io has the image open" grep -q 'read 512' "$dir/qemu.out"
}

stop_qemu() {
	printf 'quit\n' >&"$tell"
	exec {tell}>&-
	wait "$qemu"
	rm "$dir/fifo"
}

ours_first() {
	make_image disk.img 1M
	mount_rawfuse "$image" "$file"
	refused_by_qemu write_by_qemu
	refused_by_qemu convert_by_qemu
	refused_by_qemu resize_by_qemu
	succeed qemu-img info -U -f raw "$image" >/dev/null
	refused_by_rawfuse
	refused_by_rawfuse -r
	unmount_rawfuse "$file"
	# The locks have gone with it, at once.
	write_by_qemu || fail "qemu-io after umount: $(<"$dir/out")"
	mount_rawfuse -r "$image" "$file"
	read_by_qemu || fail "a second reader is refused: $(<"$dir/out")"
	convert_by_qemu || fail "a second reader is refused: $(<"$dir/out")"
	refused_by_qemu write_by_qemu
	refused_by_rawfuse
	succeed "$RAWFUSE" --io-uring="$transport" --pidfile="$dir/second.pid" -r "$image" "$dir/second.raw"
	succeed cmp "$image" "$dir/second.raw"
	succeed umount "$dir/second.raw"
	wait_until "the second has ended" test ! -e "$dir/second.pid"
	refused_by_qemu write_by_qemu
	unmount_rawfuse "$file"
}

theirs_first() {
	make_image disk.img 1M
	hold_by_qemu
	refused_by_rawfuse
	grep -q "another program (process $qemu, qemu-io)" "$dir/err" ||
		fail "who holds it is not told: $(<"$dir/err")"
	refused_by_rawfuse -r
	stop_qemu
	hold_by_qemu -r # one that lets others write
	mount_rawfuse -r "$image" "$file"
	unmount_rawfuse "$file"
	stop_qemu
	mount_rawfuse "$image" "$file"
	unmount_rawfuse "$file"
}

without() {
	make_image disk.img 1M
	hold_by_qemu
	mount_rawfuse --no-lock "$image" "$file"
	succeed cmp "$image" "$file"
	unmount_rawfuse "$file"
	stop_qemu
	mount_rawfuse --no-lock "$image" "$file"
	write_by_qemu || fail "--no-lock locks: $(<"$dir/out")"
	unmount_rawfuse "$file"
}

# A daemon that was killed leaves no lock: it can be started again at once.
after_a_kill() {
	make_image disk.img 1M
	mount_rawfuse "$image" "$file"
	kill -9 "$daemon"
	wait_until "it is dead" is_gone "$daemon"
	succeed umount "$file"
	mount_rawfuse "$image" "$file"
	unmount_rawfuse "$file"
} 2>/dev/null

# A file system that knows no locks says so in several ways.
no_locks() {
	local error
	make_image disk.img 1M
	for error in ENOSYS ENOTTY; do
		"$helpers/deny" $error fcntl "$RAWFUSE" "$image" "$file" 2>"$dir/err" ||
			fail "fcntl: $error: $(<"$dir/err")"
		succeed cmp "$image" "$file"
		succeed umount "$file"
		wait_until "it has ended" no_processes
	done
	"$helpers/deny" EIO fcntl "$RAWFUSE" "$image" "$file" 2>"$dir/err" &&
		fail "it goes on without locks"
	[[ $(<"$dir/err") =~ disk.img:\ lock:\ Input/output ]] || fail "it said: $(<"$dir/err")"
}

require_tool qemu-io qemu-img mkfifo
each_transport ours_first
each_transport theirs_first
each_transport without
each_transport after_a_kill
no_locks
finish
