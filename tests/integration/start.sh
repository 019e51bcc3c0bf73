# Start and end in the background: start-up ends as one, --wait tells how the
# export ended, nothing of the caller's is kept.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
pidfile=$dir/bg.pid
front=

# start_front COMMAND...: with SIGINT as at a terminal.
start_front() {
	set -m
	"$@" >"$dir/out" 2>&1 {machine_lock}<&- &
	front=$!
	set +m
}

in_background() {
	"$RAWFUSE" --io-uring="$transport" --pidfile="$pidfile" "$@" {machine_lock}<&- ||
		fail "rawfuse $* failed"
	daemon=$(<"$pidfile")
	log=
}

child_of() { tr -d " " <"/proc/$1/task/$1/children" 2>/dev/null; }
has_child() { [[ -n $(child_of "$1") ]]; }
waits() { [[ $(awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null) == [DS] ]]; }

# The image hangs; the front process gets a signal meanwhile.
interrupted() {
	local child lower status
	truncate -s 8M "$dir/lower.img"
	mount_rawfuse "$dir/lower.img" "$dir/lower.raw"
	lower=$daemon
	kill -STOP "$lower"
	start_front "$RAWFUSE" --no-lock --io-uring="$transport" "$dir/lower.raw" "$file"
	wait_until "the start is under way" has_child "$front"
	child=$(child_of "$front")
	wait_until "the child waits" waits "$child"
	kill "-$1" "$front"
	# What waits for an answer of that file system cannot be ended before.
	kill -CONT "$lower"
	wait_until "the front process has ended" is_gone "$front"
	[[ $1 == KILL ]] || is_gone "$child" || fail "it has ended before the child"
	wait "$front"
	status=$?
	((status == 128 + $2)) || fail "SIG$1: the front process ended with $status"
	wait_until "the child has ended" is_gone "$child"
	is_mounted "$file" && fail "it was mounted all the same"
	daemon=$lower
	wait_until "the lower one is free" umount "$dir/lower.raw" 2>"$dir/err"
	wait_daemon 0
	[[ ! -e $file ]] || fail "the mountpoint is left"
} 2>/dev/null

# What the caller had open is closed, unless it stays in the foreground.
files() {
	local lock
	exec {lock}>"$dir/lock"
	succeed flock -n "$lock"
	in_background "$image" "$file"
	exec {lock}>&-
	succeed flock -n "$dir/lock" true
	succeed umount "$file"
	wait_until "it has ended" is_gone "$daemon"
	exec {lock}>"$dir/lock"
	mount_rawfuse "$image" "$file"
	[[ /proc/$daemon/fd/$lock -ef $dir/lock ]] || fail "-f has closed what it was given"
	exec {lock}>&-
	unmount_rawfuse "$file"
	# The image itself may be one of them.
	exec {lock}<>"$image"
	in_background "/dev/fd/$lock" "$file"
	exec {lock}>&-
	succeed cmp "$image" "$file"
	succeed umount "$file"
	wait_until "it has ended" is_gone "$daemon"
	rm "$dir/lock"
}

ignored_signals() {
	local signal
	for signal in INT HUP; do
		RUN=(bash -c "trap '' $signal; exec \"\$@\"" run)
		mount_rawfuse "$image" "$file"
		kill "-$signal" "$daemon"
		report
		succeed cmp "$image" "$file"
		unmount_rawfuse "$file"
		RUN=(env)
		mount_rawfuse "$image" "$file"
		kill "-$signal" "$daemon"
		wait_daemon 0
		no_mounts || fail "SIG$signal left a mount"
	done
}

# fusermount3 is run with no signal blocked or ignored.
helper_signals() {
	local blocked ignored
	mkdir "$dir/bin" "$dir/theirs"
	chown 65534 "$dir/theirs"
	cat >"$dir/bin/fusermount3" <<-END
		#!/bin/bash
		cat /proc/self/status >"$dir/theirs/status"
		exit 1
	END
	chmod 755 "$dir/bin/fusermount3"
	PATH=$dir/bin:$PATH setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$RAWFUSE" null: "$dir/theirs/disk.raw" 2>"$dir/err" && fail "it mounted"
	blocked=$(awk '$1 == "SigBlk:" { print $2 }' "$dir/theirs/status")
	ignored=$(awk '$1 == "SigIgn:" { print $2 }' "$dir/theirs/status")
	[[ -n $blocked ]] || fail "fusermount3 was not run: $(<"$dir/err")"
	((16#$blocked == 0)) || fail "blocked for fusermount3: $blocked"
	((16#$ignored >> 12 & 1)) && fail "SIGPIPE is ignored for fusermount3"
	rm -r "$dir/bin" "$dir/theirs"
}

# waits_for STATUS PATTERN WHAT: of a --wait that has been started as $front.
waited() {
	local status
	wait_until "--wait has ended" is_gone "$front"
	wait "$front"
	status=$?
	((status == $1)) || fail "--wait ended with $status, not $1: $(<"$dir/out")"
	[[ $(<"$dir/out") =~ $2 ]] || fail "--wait said '$(<"$dir/out")', not '$2'"
}
is_locking() { grep -q flock_lock "/proc/$1/stack" 2>/dev/null || waits "$1"; }

# wait_of STATUS PATTERN COMMAND...: by pidfile and mountpoint, begun before
# COMMAND, which ends the export, and after it.
wait_of() {
	local what status=$1 pattern=$2 one two
	shift 2
	"$RAWFUSE" --wait "$pidfile" >"$dir/out1" 2>&1 {machine_lock}<&- &
	one=$!
	"$RAWFUSE" --wait="$file" >"$dir/out" 2>&1 {machine_lock}<&- &
	two=$!
	wait_until "--wait waits" waits "$one"
	wait_until "--wait waits" waits "$two"
	"$@"
	front=$two
	waited "$status" "$pattern"
	front=$one
	wait_until "--wait has ended" is_gone "$front"
	cp "$dir/out1" "$dir/out"
	waited "$status" "$pattern"
	for what in "$pidfile" "$file"; do
		start_front "$RAWFUSE" --wait "$what"
		waited "$status" "${pattern/#^$/^rawfuse: .*: no export}"
	done
}

kill_it() { kill -9 "$daemon"; }

waiting() {
	in_background "$image" "$file"
	wait_of 0 '^$' umount "$file"
	[[ ! -e $pidfile ]] || fail "the pidfile is left"
	in_background "$image" "$file"
	wait_of 1 'process [0-9]+ was killed' kill_it
	[[ $(<"$pidfile") == "$daemon" ]] || fail "the pidfile is gone"
	succeed umount "$file"
	# What was left is taken over, by both names.
	in_background "$image" "$file"
	wait_of 0 '^$' umount "$file"
	rm -f "$file"
}

# The directory gets another name: the export is found by the former one.
renamed() {
	mkdir "$dir/a"
	in_background "$image" "$dir/a/disk.raw"
	mv "$dir/a" "$dir/b"
	kill_it
	wait_until "it is dead" is_gone "$daemon"
	wait_alone 1 "process $daemon was killed" "$dir/a/disk.raw" env
	(cd "$dir" && wait_alone 1 "process $daemon was killed" a/disk.raw env) || exit 1
	wait_alone 0 'or was never there' "$dir/nowhere/disk.raw" env
	wait_until "it is unmounted" umount "$dir/b/disk.raw" 2>"$dir/err"
	rm -r "$dir/b" "$pidfile" /run/rawfuse/*"${dir##*/}!a!disk.raw"
}

# wait_alone STATUS PATTERN WHAT COMMAND...: nothing is mounted there.
wait_alone() {
	local want=$1 pattern=$2 what=$3 status
	shift 3
	"$@" "$RAWFUSE" --wait "$what" >"$dir/out" 2>&1
	status=$?
	((status == want)) || fail "--wait ended with $status, not $want: $(<"$dir/out")"
	[[ $(<"$dir/out") =~ $pattern ]] || fail "--wait said '$(<"$dir/out")', not '$pattern'"
}

# Without a place for records it does not say of a mountpoint that all is well.
# A pidfile that is gone is a good sign all the same.
no_records() {
	local user=(setpriv --reuid 65534 --regid 65534 --clear-groups env)
	local no_run=(unshare -m bash -c 'mount -t tmpfs none /run && exec "$@"' -)
	mkdir "$dir/theirs"
	: >"$dir/theirs/disk.raw"
	chown -R 65534 "$dir/theirs"
	user+=(-u XDG_RUNTIME_DIR)
	wait_alone 1 'cannot be found by this mountpoint: XDG_RUNTIME_DIR is not set' \
		"$dir/theirs/disk.raw" "${user[@]}"
	wait_alone 1 'is not known: XDG_RUNTIME_DIR is not set' \
		"$dir/theirs/gone" "${user[@]}"
	wait_alone 0 'ended well, or was never there' "$dir/theirs/gone.pid" "${user[@]}"
	wait_alone 1 'what XDG_RUNTIME_DIR names is not there' \
		"$dir/theirs/disk.raw" "${user[@]}" XDG_RUNTIME_DIR="$dir/none"
	wait_alone 0 'no export: it has ended well, or was never there' \
		"$dir/theirs/disk.raw" "${user[@]}" XDG_RUNTIME_DIR="$dir/theirs"
	wait_alone 1 'there is no /run/rawfuse' "$image" "${no_run[@]}"
	wait_alone 1 'is not known: there is no /run/rawfuse' "$dir/gone" "${no_run[@]}"
	wait_alone 0 'ended well, or was never there' "$pidfile" "${no_run[@]}"
	rm -r "$dir/theirs"
}

# A disk that dies below the image: the last flush fails.
dying_disk() {
	local n
	make_dying_disk
	in_background --cache=host "$dir/fs/disk.img" "$file"
	for ((n = 0; n < 12; n++)); do
		expect 1048576 fileop "$file" pwrite $((n * 1048576)) 1048576 1
	done
	wait_of 1 'ended with status 1: .*' umount "$file"
	[[ $(<"$pidfile") =~ ^'ended with status 1: ' ]] ||
		fail "the pidfile says '$(<"$pidfile")'"
	succeed rm "$pidfile"
	remove_dying_disk
}

has_loops() {
	truncate -s 8M "$dir/fs.img"
	mkdir -p "$dir/fs"
	mkfs.ext4 -q -F "$dir/fs.img" 2>/dev/null || return
	mount -o loop "$dir/fs.img" "$dir/fs" 2>/dev/null || return
	succeed umount "$dir/fs"
	wait_until "the loop device is free" loop_is_free
}

# A pidfile belongs to one export.
pidfile_of_another() {
	mount_rawfuse "$image" "$file"
	"$RAWFUSE" --pidfile="$dir/pid" null: "$dir/other.raw" 2>"$dir/err" &&
		fail "it took another one's pidfile"
	[[ $(<"$dir/err") =~ pidfile:\ it\ is\ that\ of\ another\ export.*$daemon ]] ||
		fail "said '$(<"$dir/err")'"
	[[ ! -e $dir/other.raw ]] || fail "the mountpoint is left"
	expect "$daemon" cat "$dir/pid"
	unmount_rawfuse "$file"
}

# Two that start at the same time with one pidfile: the one that is later says
# whose it is, and leaves nothing. Its image hangs until the other one is there.
pidfile_of_two() {
	local lower late
	truncate -s 8M "$dir/lower.img"
	mount_rawfuse "$dir/lower.img" "$dir/lower.raw"
	lower=$daemon
	kill -STOP "$lower"
	start_front "$RAWFUSE" --no-lock --io-uring="$transport" --pidfile="$pidfile" \
		"$dir/lower.raw" "$dir/late.raw"
	late=$front
	wait_until "the later start is under way" has_child "$late"
	in_background "$image" "$file"
	kill -CONT "$lower"
	wait_until "the later start has ended" is_gone "$late"
	wait "$late" && fail "it took another one's pidfile"
	[[ $(<"$dir/out") =~ bg.pid:\ pidfile:\ it\ is\ that\ of\ another\ export.*process\ $daemon\;\ give ]] ||
		fail "the later start said '$(<"$dir/out")'"
	[[ ! -e $dir/late.raw ]] || fail "the later mountpoint is left"
	expect "$daemon" cat "$pidfile"
	succeed umount "$file"
	wait_until "it has ended" is_gone "$daemon"
	daemon=$lower
	log=$dir/log
	unmount_rawfuse "$dir/lower.raw"
}

run() {
	interrupted INT 2
	interrupted TERM 15
	interrupted KILL 9
	files
	ignored_signals
	waiting
	renamed
	! has_loops || dying_disk
	pidfile_of_another
	pidfile_of_two
}

require_tool setpriv awk cmp
make_image disk.img 1M
has_loops || skip_part "a dying disk: no ext4 on a loop device"
chmod 755 "$dir"
helper_signals
no_records
each_transport run
finish
