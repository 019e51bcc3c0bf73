# Signs of life: what a service manager is told of the start, of a backend that
# hangs, of SIGHUP and of the end.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
heard=$dir/heard
socket=$dir/notify
manager=

# listen_at NAME FILE: what comes is in $heard; for a READY, FILE is read.
listen_at() {
	[[ -z $manager ]] || deaf
	rm -f "$heard" "$dir/notify"
	"$helpers/manager" "$@" >"$heard" 2>&1 {machine_lock}<&- &
	manager=$!
	wait_until "the manager listens" hears '^listening'
}
deaf() {
	kill "$manager" 2>/dev/null
	wait "$manager"
	manager=
} 2>/dev/null
trap '[[ -z $manager ]] || kill "$manager"; clean_up' EXIT

hears() { grep -qE -- "$1" "$heard" 2>/dev/null; }
told() { wait_until "the manager is told '$1'" hears "$1"; }
count() { grep -cE -- "$1" "$heard"; }
has_more() { (($(count "$1") > $2)); }
logged() { grep -qE -- "$1" "$log"; }

# What must come, in this order, and nothing else of that kind.
states() {
	grep -oE '(MAINPID|READY|RELOADING|STOPPING)=' "$heard" | tr -d '\n='
}

foreground() {
	local name
	for name in "$socket" "@rawfuse test ${dir##*/}"; do
		listen_at "$name" "$file"
		RUN=(env NOTIFY_SOCKET="$name")
		mount_rawfuse "$image" "$file"
		told "^$daemon READY=1 readable"
		told "^$daemon STATUS=serves $image \(raw, 1M, read-write\) by "
		report # SIGUSR1 is no news
		RUN=(env)
		unmount_rawfuse "$file"
		told "STATUS=ended; all data is flushed"
		expect READYSTOPPING states
		! hears WATCHDOG || fail "a sign of life that nobody wants"
	done
}

background() {
	listen_at "$socket" "$file"
	NOTIFY_SOCKET=$socket "$RAWFUSE" --io-uring="$transport" \
		--pidfile="$dir/bg.pid" "$image" "$file" {machine_lock}<&- ||
		fail "it did not start"
	daemon=$(<"$dir/bg.pid")
	told "^[0-9]+ MAINPID=$daemon$"
	told "^$daemon READY=1 readable"
	! hears "^$daemon MAINPID" || fail "it is not the front process that says who is next"
	kill -TERM "$daemon"
	wait_until "it has ended" is_gone "$daemon"
	told "STATUS=ended; all data is flushed"
	expect MAINPIDREADYSTOPPING states
}

# A start that fails is told, too; and never that it is ready.
failing() {
	listen_at "$socket" "$file"
	RUN=(env NOTIFY_SOCKET="$socket")
	start_rawfuse "$dir/none" "$file"
	RUN=(env)
	wait_daemon 1
	told "STATUS=ended: .*none: .*No such file"
	! hears READY || fail "it was never ready"
}

# Nobody listens: one line, and the export goes on.
nobody() {
	local name
	for name in "$dir/nothing" relative; do
		RUN=(env NOTIFY_SOCKET="$name" WATCHDOG_USEC=100000)
		mount_rawfuse "$image" "$file"
		RUN=(env)
		succeed cmp "$image" "$file"
		kill -HUP "$daemon" # which ends nothing with a manager
		report
		unmount_rawfuse "$file" "^rawfuse: NOTIFY_SOCKET: [^
]*: nobody is told[^
]*$"
	done
}

# The image hangs: no sign of life until it answers.
hanging() {
	local lower upper reader n
	truncate -s 8M "$dir/lower.img"
	mount_rawfuse "$dir/lower.img" "$dir/lower.raw"
	lower=$daemon
	mv "$dir/pid" "$dir/lower.pid"
	listen_at "$socket" "$file"
	RUN=(env NOTIFY_SOCKET="$socket" WATCHDOG_USEC=200000)
	mount_rawfuse --no-lock "$dir/lower.raw" "$file"
	RUN=(env)
	upper=$daemon
	told WATCHDOG=1
	wait_until "signs of life go on" has_more WATCHDOG=1 4
	# Before the first read of a file on FUSE the kernel asks whether it can
	# be polled, and makes who submits it wait for that.
	expect 4096 fileop -r -d "$file" pread 4096 4096
	kill -STOP "$lower"
	fileop -r -d "$file" pread 0 4096 >"$dir/out" 2>&1 &
	reader=$!
	wait_until "a request is too old" logged 'a READ has been unanswered'
	n=$(count WATCHDOG=1)
	sleep 1 # five periods without
	(($(count WATCHDOG=1) == n)) || fail "signs of life while the image hangs"
	kill -CONT "$lower"
	wait "$reader" || fail "the read failed"
	wait_until "they go on" has_more WATCHDOG=1 "$n"
	expect 4096 cat "$dir/out"
	daemon=$upper
	unmount_rawfuse "$file" 'requests are answered again'
	told STOPPING=1
	daemon=$lower
	mv "$dir/lower.pid" "$dir/pid"
	unmount_rawfuse "$dir/lower.raw" '.*'
}

# A watchdog that another process is meant for.
not_ours() {
	listen_at "$socket" "$file"
	RUN=(env NOTIFY_SOCKET="$socket" WATCHDOG_USEC=20000 WATCHDOG_PID=1)
	mount_rawfuse "$image" "$file"
	RUN=(env)
	told READY=1
	unmount_rawfuse "$file"
	told "STATUS=ended"
	! hears WATCHDOG || fail "a sign of life for another process"
}

# reloaded WHAT SIZE: after SIGHUP the kernel knows it, without being asked.
reloaded() {
	local n
	n=$(count READY=1)
	kill -HUP "$daemon"
	wait_until "$1: it is ready again" has_more READY=1 "$n"
	(($(count RELOADING=1) == n)) || fail "$1: no RELOADING before READY"
	expect "$2" stat --cached=always -c %s "$file"
}

growing() {
	local option
	for option in --read-only --no-lock --writeback-cache --growable; do
		make_image disk.img 1M
		listen_at "$socket" "$file"
		RUN=(env NOTIFY_SOCKET="$socket")
		mount_rawfuse $option "$image" "$file"
		RUN=(env)
		reloaded "$option: nothing has changed" 1048576
		truncate -s 3M "$image"
		reloaded "$option: the image has grown" 3145728
		told "STATUS=serves .* 3M"
		hears "RELOADING=1 MONOTONIC_USEC=[1-9][0-9]*$" || fail "no time of RELOADING"
		succeed cmp "$image" "$file"
		unmount_rawfuse "$file" 'the image has grown from 1M to 3M'
		expect READYRELOADINGREADYRELOADINGREADYSTOPPING states
	done
}

device() {
	local loop
	truncate -s 4M "$dir/device.img"
	loop=$(losetup -f --show "$dir/device.img" 2>/dev/null) || {
		skip_part "a device that grows: no loop devices"
		return
	}
	listen_at "$socket" "$file"
	RUN=(env NOTIFY_SOCKET="$socket")
	mount_rawfuse "$loop" "$file"
	RUN=(env)
	truncate -s 6M "$dir/device.img"
	succeed losetup -c "$loop"
	reloaded "the device has grown" 6291456
	unmount_rawfuse "$file" 'the image has grown from 4M to 6M'
	succeed losetup -d "$loop"
	wait_until "the loop device is free" loop_is_free
}

# run_a_little UNTIL...: lets the daemon run in short pieces, until that is so.
run_a_little() {
	local i
	for ((i = 0; i < TRIES; i++)); do
		"$@" && break
		kill -CONT "$daemon"
		kill -STOP "$daemon"
		sleep 0.05
	done
	kill -CONT "$daemon"
}
is_counting() { hears 'STATUS=.*large.qcow2: counting its references: [0-9]+ %'; }
counting_or_ready() { is_counting || hears READY; }

# The refcounts of a large image are counted, by a process that hardly gets to
# run: a terminal and the manager are told how far it is.
slow_start() {
	local terminal i
	succeed qemu-img create -q -f qcow2 -o cluster_size=4k,preallocation=metadata,lazy_refcounts=on \
		"$dir/large.qcow2" 4G
	for ((i = 0; i < 10; i++)); do
		# The bit that says that it was not closed cleanly.
		printf '\001' | dd of="$dir/large.qcow2" bs=1 seek=79 conv=notrunc status=none
		listen_at "$socket" "$file"
		rm -f "$dir/bg.pid" "$dir/process"
		# Not script's own child: it would stop with that.
		NOTIFY_SOCKET=$socket script -qfc "$(printf '%q ' sh -c \
			'echo $$ >"$0"; kill -STOP $$; exec "$@"' "$dir/process" "$RAWFUSE" -f \
			--io-uring="$transport" --pidfile="$dir/bg.pid" "$dir/large.qcow2" "$file"); true" \
			"$dir/typescript" </dev/null >"$dir/out" 2>&1 {machine_lock}<&- &
		terminal=$!
		wait_until "it is about to start" test -s "$dir/process"
		daemon=$(<"$dir/process")
		run_a_little counting_or_ready
		told "READY=1 readable"
		told "STATUS=serves .*large.qcow2 "
		succeed umount "$file"
		wait_until "it has ended" is_gone "$daemon"
		wait "$terminal"
		is_counting && break # or this machine was too quick
	done
	is_counting || fail "the manager is not told how far it is"
	hears EXTEND_TIMEOUT_USEC=60000000 || fail "the manager is not asked for time"
	grep -q 'rawfuse: .*large.qcow2: counting its references: [0-9]* %' "$dir/typescript" ||
		fail "the terminal does not show it: $(cat -v "$dir/typescript")"
	rm "$dir/large.qcow2"
}

# has_line WHAT: the file of --log has such a line, as an object of JSON.
has_line() { grep -qsE -- "^\{\"time\":\"20[^\"]*Z\",.*\"message\":\"[^\"]*$1" "$2"; }

# --log=FILE in the background: errors at the start are on stderr as well, and
# SIGHUP opens it anew.
log_file() {
	local messages=$dir/messages
	make_image disk.img 1M
	"$RAWFUSE" --log="$messages" --log-format=json "$dir/none" "$file" 2>"$dir/err" &&
		fail "it started"
	[[ $(<"$dir/err") == "rawfuse: $dir/none: "* ]] || fail "stderr has '$(<"$dir/err")'"
	has_line "$dir/none: " "$messages" || fail "the log has $(<"$messages")"
	rm "$messages"
	(cd "$dir" && "$RAWFUSE" --log=messages --log-format=json --io-uring="$transport" \
		--pidfile="$dir/bg.pid" "$image" "$file" {machine_lock}<&- 2>"$dir/err") ||
		fail "it did not start"
	[[ ! -s $dir/err ]] || fail "stderr has '$(<"$dir/err")'"
	daemon=$(<"$dir/bg.pid")
	wait_until "the log tells that it is ready" has_line "$file: ready: serves $image " "$messages"
	mv "$messages" "$messages.1"
	truncate -s 2M "$image"
	kill -HUP "$daemon"
	wait_until "the new log tells of growth" has_line "the image has grown" "$messages"
	! has_line "the image has grown" "$messages.1" || fail "the old log has it, too"
	succeed umount "$file"
	wait_until "it has ended" is_gone "$daemon"
	rm "$messages" "$messages.1"
	make_image disk.img 1M
	"$RAWFUSE" --log="$dir/no/messages" "$image" "$file" 2>"$dir/err" && fail "it started"
	[[ $(<"$dir/err") == "rawfuse: --log=$dir/no/messages: No such file or directory" ]] ||
		fail "stderr has '$(<"$dir/err")'"
}

# A pipe on stderr that nobody reads any more holds up nothing.
stuck_pipe() {
	local n
	mkfifo "$dir/pipe"
	exec {pipe}<>"$dir/pipe"
	"$RAWFUSE" -f --trace=all --io-uring="$transport" --pidfile="$dir/bg.pid" "$image" "$file" \
		2>"$dir/pipe" {machine_lock}<&- {pipe}<&- &
	daemon=$!
	wait_until "it is ready" test -s "$dir/bg.pid"
	for n in 1 2 3 4; do
		succeed cmp "$image" "$file"
		expect 4096 fileop -r -d "$file" pread 0 4096
		fileop -r -d "$file" pread 0 1048576 >"$dir/out"
	done
	for ((n = 0; n < 300; n++)); do stat "$file"; fileop -r -d "$file" pread 0 4096; done >"$dir/out"
	succeed umount "$file"
	wait_until "it has ended" is_gone "$daemon"
	exec {pipe}<&-
	rm "$dir/pipe"
}

# Without a manager: in the background SIGHUP does the same and ends nothing.
quiet() {
	make_image disk.img 1M
	"$RAWFUSE" --io-uring="$transport" --pidfile="$dir/bg.pid" "$image" "$file" \
		{machine_lock}<&- || fail "it did not start"
	daemon=$(<"$dir/bg.pid")
	truncate -s 2M "$image"
	kill -HUP "$daemon"
	wait_until "the kernel knows" knows 2097152
	succeed umount "$file"
	wait_until "it has ended" is_gone "$daemon"
}
knows() { [[ $(stat --cached=always -c %s "$file") == "$1" ]]; }

require_tool cmp stat
make_image disk.img 1M
stat --cached=always / >/dev/null 2>&1 || skip "stat(1) has no --cached"
each_transport foreground
each_transport background
each_transport failing
each_transport nobody
each_transport hanging
each_transport not_ours
each_transport growing
each_transport device
each_transport quiet
if have_tool script && have_tool qemu-img; then
	each_transport slow_start
else
	skip_part "progress on a terminal: script(1) or qemu-img is missing"
fi
each_transport log_file
each_transport stuck_pipe
deaf
finish
