# qcow2 and time: what reaches the image without a flush, and within what; what
# is given up when nobody waits for it any more.
SCRATCH_IN=. # the build directory's file system
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.qcow2
file=$dir/disk.raw

image_blocks() { stat -c %b "$image"; }
grew_by() { (($(image_blocks) - $1 > 8192)); }

# An allocation that would take minutes and fill the disk ends with the mount.
long_work() {
	local before caller
	rm -f "$image"
	create -o cluster_size=64k "$image" 60G
	mount_rawfuse --grace=0 "$image" "$file"
	before=$(image_blocks)
	fallocate -l 60G "$file" >"$dir/caller" 2>&1 {machine_lock}<&- &
	caller=$!
	wait_until "it allocates" grew_by "$before"
	kill "$daemon"
	wait_daemon 0
	wait_until "its caller has ended" is_gone "$caller"
	wait "$caller" && fail "fallocate succeeded: $(<"$dir/caller")"
	no_mounts || fail "SIGTERM left a mount"
	(($(image_blocks) < 40 << 20 << 1)) || fail "it went on to the end"
	check_log 'still open|busy'
	check "$image" 0
	rm "$image"
}

# The same allocation ends when its caller gets a signal, and all else goes on.
interrupted_work() {
	local before caller signal
	rm -f "$image"
	create -o cluster_size=64k "$image" 60G
	mount_rawfuse "$image" "$file"
	expect 4096 fileop -d "$file" pwrite $((50 << 30)) 4096 7
	for signal in INT KILL; do
		before=$(image_blocks)
		set -m # or else SIGINT would be ignored in it
		fallocate -l 60G "$file" >"$dir/caller" 2>&1 {machine_lock}<&- &
		caller=$!
		set +m
		wait_until "it allocates" grew_by "$before"
		kill "-$signal" "$caller"
		# Its close flushes what was written so far.
		TRIES=$((4 * TRIES)) wait_until "its caller has ended" is_gone "$caller"
		wait "$caller" && fail "fallocate succeeded: $(<"$dir/caller")"
		expect 0 fileop "$file" fsync
		expect yes fileop -d "$file" is $((50 << 30)) 4096 7
		expect yes fileop -d "$file" is 0 4096 0
	done
	(($(image_blocks) < 40 << 20 << 1)) || fail "it went on to the end"
	unmount_rawfuse "$file"
	check "$image" 0
	rm "$image"
} 2>/dev/null

# start_writer: writes 1 MiB of Z, and keeps the file open: closing flushes it.
start_writer() {
	rm -f "$dir/fifo"
	mkfifo "$dir/fifo"
	dd of="$file" bs=64k oflag=direct conv=notrunc iflag=fullblock \
		<"$dir/fifo" >"$dir/caller" 2>&1 {machine_lock}<&- &
	writer=$!
	exec {feed}>"$dir/fifo"
	head -c 1M /dev/zero | tr '\0' Z >&"$feed"
}

writer_ended() {
	exec {feed}>&-
	wait_until "the writer has ended" is_gone "$writer"
	wait "$writer" 2>/dev/null
}

# Whoever looks at the image finds what was written.
is_in_image() {
	qemu-io -U -r -f qcow2 -c "read -P 0x5a 0 1M" "$image" >"$dir/io" 2>&1 &&
		! grep -q failed "$dir/io"
}

is_answered() {
	report
	grep -q ' written=1048576 ' "$dir/report"
}

# survives_kill INTERVAL CONDITION: nobody flushes; once CONDITION is met the
# daemon is killed, and all is there.
survives_kill() {
	rm -f "$image"
	create -o cluster_size=64k "$image" 8M
	mount_rawfuse --writeback-interval="$1" "$image" "$file"
	start_writer
	wait_until "$2" "$2"
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null
	writer_ended
	succeed umount "$file"
	check "$image" 0 3
	is_in_image || fail "interval $1: it is not in the image: $(<"$dir/io")"
}

interval() {
	survives_kill 1 is_in_image
	survives_kill 0 is_answered
}

is_given_back() { (($(image_blocks) < $1 / 4)); }

# A discard by a file system gives storage back, though nobody flushes.
trim() {
	local before loop
	rm -f "$image"
	create -o cluster_size=64k "$image" 64M
	succeed qemu-io -f qcow2 -c "write -P 7 0 64M" "$image"
	mount_rawfuse --writeback-interval=1 "$image" "$file"
	before=$(image_blocks)
	loop=$(losetup -f --show "$file") || fail "no loop device"
	succeed blkdiscard "$loop"
	wait_until "the image is small" is_given_back "$before"
	succeed losetup -d "$loop"
	unmount_rawfuse "$file"
	check "$image" 0
}

require_tool qemu-img qemu-io fallocate
each_transport interval
each_transport long_work
each_transport interrupted_work
if ! have_tool blkdiscard; then
	skip_part "no blkdiscard"
elif ! losetup --find >/dev/null 2>&1; then
	skip_part "no loop device"
else
	each_transport trim
fi
finish
