# The end: umount, signals, abort, kill -9, all of them under load. What was
# acknowledged is in the image; no caller hangs; the mount can be unmounted.
if [[ ${1:-} != inside ]]; then
	unshare -m true || { echo "SKIP: no mount namespace"; exit 77; }
	exec unshare -m --propagation private bash "$0" inside
fi
. "$abs_top_srcdir/tests/integration/lib.sh"

mountpoint -q /sys/fs/fuse/connections ||
	mount -t fusectl fusectl /sys/fs/fuse/connections ||
	skip "no fusectl"

image=$dir/disk.img
file=$dir/disk.raw
STATE=$dir/state
loader=

start_load() {
	rm -f "$dir/load.out"
	"$helpers/load" run "$@" "$file" "$STATE" 4 >"$dir/load.out" {machine_lock}<&- &
	loader=$!
	wait_until "the load has started" load_runs
}

acknowledged() { [[ -n $(tr -d '\0' <"$STATE" 2>/dev/null | head -c 1) ]]; }
load_runs() { is_gone "$loader" || { [[ -s $dir/load.out ]] && acknowledged; }; }

# Every caller has ended, by itself; what it was promised is in the image.
check_load() {
	local status
	wait_until "every caller has ended" is_gone "$loader"
	wait "$loader"
	status=$?
	((status == 0)) || fail "load: $status: $(<"$dir/load.out")"
	"$helpers/load" check "$image" "$STATE" || fail "promises were broken"
}

sleeps() { [[ $(awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null) == D ]]; }

fresh() {
	rm -f "$image" "$STATE" "$file"
	truncate -s 2M "$image"
}

says_not_connected() {
	local got
	got=$(fileop -r "$file" open)
	[[ $got == ENOTCONN || $got == ECONNABORTED ]]
}

umount_idle() {
	fresh
	mount_rawfuse "$image" "$file"
	start_load
	kill "$loader" # it closes; umount comes as soon as it can
	unmount_rawfuse "$file"
	check_load
	[[ ! -e $file ]] || fail "the mountpoint is left"
}

# Files are opened and closed all the time; umount slips in between.
umount_busy() {
	fresh
	mount_rawfuse "$image" "$file"
	start_load -o
	unmount_rawfuse "$file"
	check_load
}

umount_lazy() {
	fresh
	mount_rawfuse "$image" "$file"
	start_load
	succeed umount -l "$file"
	no_mounts || fail "umount -l left it"
	kill "$loader"
	wait_daemon 0
	check_load
	check_log
}

umount_force() {
	fresh
	mount_rawfuse "$image" "$file"
	start_load
	umount -f "$file" 2>/dev/null # aborts; busy files keep it mounted
	wait_daemon 0
	check_load
	is_mounted "$file" && succeed umount "$file"
	no_mounts || fail "umount -f left it"
}

term_busy() {
	fresh
	mount_rawfuse --grace=0 "$image" "$file"
	start_load
	kill "$daemon"
	wait_daemon 0
	check_load
	no_mounts || fail "SIGTERM left a mount"
	[[ ! -e $file ]] || fail "the mountpoint is left"
	check_log 'busy|^$'
}

term_open_close() {
	fresh
	mount_rawfuse --grace=60 "$image" "$file"
	start_load -o
	kill -INT "$daemon"
	wait_daemon 0
	check_load
	no_mounts || fail "SIGINT left a mount"
}

term_second() {
	fresh
	mount_rawfuse --grace=600 "$image" "$file"
	start_load
	kill "$daemon"
	wait_until "it is detached" no_mounts
	is_gone "$daemon" && fail "it did not wait for the open files"
	is_gone "$loader" && fail "the open files were not served on"
	kill "$daemon"
	wait_daemon 0
	check_load
}

# Two at once: the second comes while the first is still unmounting.
term_twice() {
	fresh
	mount_rawfuse --grace=600 "$image" "$file"
	start_load
	kill -TERM "$daemon"
	kill -INT "$daemon"
	wait_daemon 0
	check_load
	no_mounts || fail "two signals left a mount"
	[[ ! -e $file ]] || fail "the mountpoint is left"
}

# Busy, but the user closes in time.
term_graceful() {
	fresh
	mount_rawfuse --grace=600 "$image" "$file"
	start_load
	kill "$daemon"
	wait_until "it is detached" no_mounts
	kill "$loader"
	wait_daemon 0
	check_load
	grep -q 'thread 0: [0-9]*: ok' "$dir/load.out" || fail "the load met an error"
}

grace_over() {
	fresh
	mount_rawfuse --grace=1 "$image" "$file"
	exec {busy}<>"$file"
	kill "$daemon"
	wait_until "it is detached" no_mounts
	succeed printf abc >&"$busy"
	wait_daemon 0
	printf x >&"$busy" 2>/dev/null && fail "the file still answers"
	exec {busy}>&-
	expect yes fileop "$image" is 0 1 97
	check_log 'busy'
}

abort() {
	local n
	fresh
	mount_rawfuse "$image" "$file"
	n=$(connection_of "$file")
	start_load
	echo 1 >"/sys/fs/fuse/connections/$n/abort"
	wait_daemon 0
	check_load
	if ! no_mounts; then
		says_not_connected || fail "the aborted mount still answers"
		succeed umount "$file"
	fi
	rm -f "$file"
}

kill_9() {
	fresh
	mount_rawfuse --no-lock "$image" "$file"
	start_load $1
	kill -9 "$daemon"
	wait_until "it is dead" is_gone "$daemon"
	wait_until "every caller has ended" is_gone "$loader"
	wait_until "the mount is dead" says_not_connected
	check_load
	succeed umount "$file"
	no_mounts || fail "a mount is left"
	rm -f "$file" "$dir/pid"
} 2>/dev/null

# The pidfile goes last: who sees it gone may use the image.
pidfile_is_last() {
	fresh
	mount_rawfuse "$image" "$file"
	start_load
	kill "$loader"
	wait_until "the load has ended" is_gone "$loader"
	succeed umount "$file"
	wait_until "the pidfile is gone" test ! -e "$dir/pid"
	[[ ! -e $file ]] || fail "the pidfile went before the mountpoint"
	check_load
	succeed qemu-io -f raw -c "write 0 512" "$image" >/dev/null
	wait_daemon 0
}

# Two mounts at one place, the lower one detached: a signal to its daemon
# leaves the other alone.
not_the_others() {
	local first
	fresh
	cp "$image" "$dir/other.img"
	mount_rawfuse --grace=0 "$image" "$file"
	first=$daemon
	exec {busy}<>"$file"
	succeed umount -l "$file"
	mv "$dir/pid" "$dir/pid.first"
	mount_rawfuse "$dir/other.img" "$file"
	kill "$first"
	wait_until "the first has ended" is_gone "$first"
	exec {busy}>&-
	is_mounted "$file" || fail "SIGTERM unmounted another daemon's mount"
	succeed cmp "$dir/other.img" "$file"
	rm -f "$dir/pid.first"
	unmount_rawfuse "$file"
	rm -f "$dir/other.img"
}

# Where the connections cannot be seen (most containers): the same ends.
without_fusectl() {
	fresh
	umount /sys/fs/fuse/connections
	restores+=("mountpoint -q /sys/fs/fuse/connections")
	mount_rawfuse --grace=0 "$image" "$file"
	start_load
	kill "$daemon"
	wait_daemon 0
	check_load
	no_mounts || fail "SIGTERM left a mount"
	mount -t fusectl fusectl /sys/fs/fuse/connections
}

# times N COMMAND...; DEATH_ROUNDS is the percentage of N, but at least once.
times() {
	local n=$(($1 * ${DEATH_ROUNDS:-100} / 100)) i
	((n > 0)) || n=1
	shift
	say "$n times $*, $SECONDS s"
	for ((i = 0; i < n; i++)); do "$@"; done
}

# 50 by each transport: 100 in all.
unmounts() {
	times 7 umount_idle
	times 8 umount_busy
	times 4 umount_lazy
	times 4 umount_force
	times 10 term_busy
	times 6 term_open_close
	times 4 term_second
	times 3 term_twice
	times 4 term_graceful
}

# 25 by each transport.
kills() {
	times 17 kill_9 ""
	times 8 kill_9 -o
}

require_tool awk qemu-io
each_transport unmounts
each_transport kills
each_transport times 3 abort
each_transport grace_over
each_transport pidfile_is_last
each_transport not_the_others
each_transport without_fusectl
for p in /proc/[0-9]*; do
	[[ $p/exe -ef $helpers/load ]] && sleeps "${p#/proc/}" && fail "in D state: $p"
done
finish
