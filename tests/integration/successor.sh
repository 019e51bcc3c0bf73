# An end that takes its time, because the image hangs: what others have set up
# meanwhile is left alone, and no caller waits for the image. The image is a
# file that another rawfuse exports, stopped while it should hang. (umount(8)
# looks at what it unmounts, which would wait for the image.)
. "$abs_top_srcdir/tests/integration/lib.sh"

file=$dir/disk.raw
lower= upper= reader=

# Two of them; $upper is the one whose image can hang.
start_both() {
	truncate -s 8M "$dir/lower.img"
	mount_rawfuse "$dir/lower.img" "$dir/lower.raw"
	lower=$daemon
	mv "$dir/pid" "$dir/pid.lower"
	mount_rawfuse --no-lock "$@" "$dir/lower.raw" "$file"
	upper=$daemon
	log_upper=$dir/log.upper
	ln -f "$dir/log" "$log_upper"
}

hang() { kill -STOP "$lower"; }

# The image answers again; the daemon above it ends with status $1.
go_on() {
	local status
	kill -CONT "$lower"
	wait_until "the one whose image hung has ended" is_gone "$upper"
	wait "$upper"
	status=$?
	((status == $1)) || fail "it ended with $status, not $1: $(<"$log_upper")"
}

end_lower() {
	daemon=$lower
	mv "$dir/pid.lower" "$dir/pid"
	# A ring lets its files go a little after its process.
	wait_until "the lower mount is free" umount "$dir/lower.raw" 2>"$dir/err"
	wait_until "the lower one has ended" is_gone "$lower"
	wait "$lower" || fail "the lower one ended with $?"
	rm -f "$dir/pid" "$dir/lower.img"
}

# Another export at the same place, with the same pidfile, while the first one
# still flushes.
same_place() {
	: >"$file"
	make_image next.img 3M
	start_both
	expect 4096 fileop "$file" pwrite 0 4096 1
	hang
	expect 0 fileop "$file" umount
	mount_rawfuse "$dir/next.img" "$file"
	go_on 0
	is_mounted "$file" || fail "the successor's mount is gone"
	[[ $(<"$dir/pid") == "$daemon" ]] || fail "the successor's pidfile is gone"
	succeed cmp "$dir/next.img" "$file"
	unmount_rawfuse "$file"
	end_lower
	rm "$file"
}

is_stuck() { [[ $(awk '$1 == "State:" { print $2 }' "/proc/$1/status") == [DS] ]]; }

# A caller that reads what the image does not give.
start_reader() {
	# The kernel asks a FUSE file once whether it can be polled, and waits.
	expect 4096 fileop -d "$file" pread 0 4096
	exec {held}<"$file"
	hang
	dd if="/proc/self/fd/$held" of=/dev/null bs=64k count=1 skip=60 \
		{machine_lock}<&- 2>/dev/null &
	reader=$!
	wait_until "the reader waits" is_stuck "$reader"
}

reads_pending() {
	report
	grep -q 'in_flight=[1-9]' "$dir/report"
}

# Two signals to one whose connection is gone already: its number may be that
# of another one now.
same_number() {
	make_image next.img 3M
	start_both
	start_reader
	wait_until "the read has come" reads_pending
	expect 0 fileop "$file" umount 3 # MNT_FORCE, MNT_DETACH
	exec {held}<&-
	wait_until "the reader has ended" is_gone "$reader"
	mount_rawfuse "$dir/next.img" "$dir/next.raw"
	kill -TERM "$upper"
	kill -INT "$upper"
	expect 4096 fileop -d "$dir/next.raw" pread 0 4096
	go_on 0
	succeed cmp "$dir/next.img" "$dir/next.raw"
	unmount_rawfuse "$dir/next.raw"
	end_lower
}

# SIGTERM: the caller is let go though nothing can be closed.
term() {
	start_both --grace=0
	start_reader
	kill "$upper"
	wait_until "the reader has ended" is_gone "$reader"
	exec {held}<&-
	go_on 0
	is_mounted "$file" && fail "SIGTERM left a mount"
	grep -q 'aborting the connection' "$log_upper" || fail "it did not say so"
	rm -f "$dir/pid"
	end_lower
}

each_transport same_place
each_transport same_number
each_transport term
finish
