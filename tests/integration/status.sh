# --status: of an export that is well, stopped, hung below, dead, or not there;
# by other paths, users and namespaces.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
USER1=65534

# asks STATUS TEXT [OPTION...] [MOUNTPOINT]: it ends with STATUS, and says TEXT.
asks() {
	local want=$1 text=$2 got
	shift 2
	(($#)) || set -- "$file"
	"${ASK[@]}" "$RAWFUSE" --status "$@" >"$dir/said" 2>&1
	got=$?
	((got == want)) || fail "--status $* ended with $got, not $want: $(<"$dir/said")"
	grep -qE -- "$text" "$dir/said" || fail "--status $* said: $(<"$dir/said")"
}
ASK=(env)

# json FILTER: of the answer for $file.
json() { "$RAWFUSE" --status --json "$file" | jq -r "$1"; }

# Writes ten bytes and keeps the file open.
start_holder() {
	bash -c 'exec 1<>"$1"; printf 0123456789; exec sleep 300' - "$file" {machine_lock}<&- &
	holder=$!
}
unflushed() { "$RAWFUSE" --status "$file" | grep -q "^not flushed: $1 bytes"; }

well() {
	make_image disk.img 1M
	mount_rawfuse "$image" "$file"
	asks 0 "^$file: healthy$"
	grep -qxF "image: $image (raw, 1M, read-write)" "$dir/said" || fail "$(<"$dir/said")"
	grep -q "^process: $daemon, rawfuse [0-9.]*, since " "$dir/said" || fail "$(<"$dir/said")"
	grep -q '^requests: [0-9]*, 0 in flight' "$dir/said" || fail "$(<"$dir/said")"
	grep -qx 'errors: 0' "$dir/said" || fail "$(<"$dir/said")"
	# A close flushes, so somebody has it open.
	start_holder
	wait_until "it has written" unflushed 10
	asks 0 '^bytes: 0 read, 10 written'
	kill "$holder"
	wait "$holder" 2>/dev/null
	wait_until "the close has flushed" unflushed 0
	expect ENOSPC fileop -d "$file" pwrite 1048576 4096
	asks 0 '^errors: 1, ENOSPC 1$'
	# By another name, and from a working directory.
	ln -s disk.raw "$dir/link"
	asks 0 "healthy" "$dir/link"
	: >"$dir/bound"
	succeed mount --bind "$file" "$dir/bound"
	asks 0 "^image: $image " "$dir/bound"
	succeed umount "$dir/bound"
	(cd "$dir" && asks 0 '^disk.raw: healthy' disk.raw) || exit 1
	# What is no question of ours is answered as by every file.
	blockdev --getsize64 "$file" >"$dir/said" 2>&1 && fail "BLKGETSIZE64 worked"
	grep -q 'Inappropriate ioctl' "$dir/said" || fail "blockdev: $(<"$dir/said")"
	asks 0 '^errors: 1,'
	if have_tool jq; then
		expect healthy json .state
		expect "$image" json .image
		expect "1048576 false raw" json '"\(.size) \(.read_only) \(.format)"'
		expect "$daemon true" json '"\(.pid) \(.same_pid_namespace)"'
		expect null json .oldest_request
		expect "1 1" json '"\(.errors.total) \(.errors.ENOSPC)"'
		expect "10 0" json '"\(.bytes_written) \(.unflushed_bytes)"'
		expect true json '.flushes > 0 and .flush_seconds > 0'
		[[ $transport == on ]] && expect io_uring json .transport
		[[ $transport == off ]] && expect dev_fuse json .transport
		# It is valid whatever the names are.
		expect true json 'has("uptime_seconds") and (.uptime_seconds < 3600)'
	else
		skip_part "JSON: jq is not installed"
	fi
	rm "$dir/link" "$dir/bound"
	unmount_rawfuse "$file"
	asks 3 "^$file: no export: "
}

# A name that JSON and a terminal could trip over.
strange_name() {
	local name=$'a "b"\\\n\x1b[0m\xff.raw'
	have_tool jq || return 0
	mount_rawfuse -r "$image" "$dir/$name"
	ASK=(env)
	asks 0 'a "b"\\\\x0a\\x1b\[0m\\xff\.raw: healthy$' "$dir/$name" 2>/dev/null
	"$RAWFUSE" --status --json "$dir/$name" >"$dir/said" || fail "--json failed"
	(($(wc -l <"$dir/said") == 1)) || fail "JSON of several lines"
	expect "$dir/"$'a "b"\\\n\x1b[0m\xef\xbf\xbd.raw' jq -r .mountpoint "$dir/said"
	expect "true" jq -r .read_only "$dir/said"
	unmount_rawfuse "$dir/$name"
}

qcow2() {
	have_tool qemu-img jq || { skip_part "qcow2: no qemu-img or jq"; return 0; }
	succeed qemu-img create -q -f qcow2 "$dir/disk.qcow2" 64M
	mount_rawfuse --writeback-interval=3600 "$dir/disk.qcow2" "$file"
	expect "qcow2 67108864 0" json '"\(.format) \(.size) \(.metadata.dirty_bytes)"'
	start_holder
	wait_until "it has written" unflushed 10
	expect true json '.metadata.dirty_bytes > 0 and .metadata.misses > 0'
	kill "$holder"
	wait "$holder" 2>/dev/null
	wait_until "the close has flushed" unflushed 0
	expect 65536 fileop -d "$file" pread 0 65536
	expect true json '.metadata.dirty_bytes == 0 and .metadata.hits > 0'
	unmount_rawfuse "$file"
	rm "$dir/disk.qcow2"
}

# Who has asked may unmount at once.
not_busy() {
	local i name left
	mount_rawfuse "$image" "$file"
	name="rawfuse?$(connection_of "$file")"
	for ((i = 0; i < 30; i++)); do
		asks 0 'healthy$'
		left=$(grep -lsxF "$name" /proc/[0-9]*/comm)
		[[ -z $left ]] || fail "round $i: $left is left"
	done
	asks 0 'healthy$'
	succeed umount "$file"
	wait_daemon 0
}

nothing_there() {
	mkdir -p "$dir/d"
	asks 3 'no export' "$dir/d"
	asks 3 'no export' "$image"
	asks 3 'no export' "$dir/nowhere"
	asks 3 'no export' "$dir/nowhere/deeper"
	asks 3 'no export' /dev/null
	asks 3 'no export' /proc
	"$RAWFUSE" --status --json "$dir/d" >"$dir/said"
	(($? == 3)) || fail "--json of nothing does not end with 3"
	! have_tool jq || expect none jq -r .state "$dir/said"
	rmdir "$dir/d"
}

others() {
	mount_rawfuse --allow-other=on "$image" "$file"
	ASK=(setpriv --reuid $USER1 --regid $USER1 --clear-groups)
	asks 1 ': not known: it may not be asked: Permission denied; ask as user 0, who'
	! have_tool jq || expect unknown jq -r .state \
		<("${ASK[@]}" "$RAWFUSE" --status --json "$file")
	succeed chmod 604 "$file"
	asks 0 'healthy$'
	ASK=(env)
	unmount_rawfuse "$file"
	mount_rawfuse -r --allow-other=off "$image" "$file"
	ASK=(setpriv --reuid $USER1 --regid $USER1 --clear-groups)
	asks 1 'may not be asked'
	ASK=(env)
	asks 0 ', read-only\)$'
	unmount_rawfuse "$file"
}

namespaces() {
	mount_rawfuse "$image" "$file"
	ASK=(unshare -m)
	asks 0 'healthy$'
	: >"$dir/other"
	ASK=(unshare -m bash -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' - "$file" "$dir/other")
	asks 0 "^image: $image " "$dir/other"
	ASK=(unshare -m -p -f --mount-proc)
	asks 0 "^process: $daemon \(of another PID namespace\)"
	ASK=(env)
	rm "$dir/other"
	unmount_rawfuse "$file"
	# One whose mount is in a namespace of its own.
	RUN=(unshare -m)
	start_rawfuse "$image" "$file"
	RUN=(env)
	wait_until "it is ready" is_ready_or_gone
	asks 3 'no export'
	ASK=(nsenter -m -t "$daemon")
	asks 0 'healthy$'
	ASK=(env)
	kill "$daemon"
	wait_daemon 0
}

# Of this export alone.
askers() {
	local comm pid n=0
	for comm in $(grep -lsx "rawfuse?$(connection_of "$file")" /proc/[0-9]*/comm); do
		pid=${comm#/proc/}
		is_gone "${pid%/comm}" || ((n++))
	done
	say "$n"
}
askers_are() { (($(askers) == $1)); }
is_stopped() { [[ $(awk '$1 == "State:" { print $2 }' "/proc/$daemon/status") == T ]]; }

# Who asks is not held up, leaves one child at most, and nobody else waits.
stopped() {
	local before
	mount_rawfuse "$image" "$file"
	before=$(askers)
	kill -STOP "$daemon"
	wait_until "it is stopped" is_stopped
	asks 1 "does not answer: process $daemon is stopped \(kill -CONT $daemon\)"
	asks 1 "does not answer"
	(($(askers) <= before + 1)) || fail "$(askers) askers are left"
	kill -CONT "$daemon"
	wait_until "the asker is gone" askers_are "$before"
	asks 0 'healthy$'
	unmount_rawfuse "$file"
}

# The image lies on an export whose process is stopped: not even its attributes
# can be had, which opening the file takes.
stopped_below() {
	local below
	make_image lower.img 1M
	mount_rawfuse --grace=0 "$dir/lower.img" "$dir/lower.raw"
	below=$daemon
	mv "$dir/pid" "$dir/pid.below"
	mount_rawfuse "$dir/lower.raw" "$file"
	asks 0 'healthy$'
	kill -STOP "$below"
	wait_until "it hangs, too" asks_in_vain
	grep -q "does not answer within 5 seconds (process $daemon): it hangs, or" "$dir/said" ||
		fail "$(<"$dir/said")"
	kill -CONT "$below"
	wait_until "it goes on" asks_idle
	unmount_rawfuse "$file"
	succeed umount "$dir/lower.raw"
	wait_until "the one below has ended" is_gone "$below"
	rm -f "$dir/lower.img" "$dir/pid.below"
}
asks_in_vain() { ! "$RAWFUSE" --status "$file" >"$dir/said"; }
asks_idle() { "$RAWFUSE" --status "$file" | grep -qE ' 0 in flight'; }

# Writes to a file system that is frozen wait.
frozen_below() {
	local writer thaw late=0 i
	mkdir -p "$dir/fs"
	truncate -s 16M "$dir/fs.img"
	succeed mkfs.ext4 -q -F -O ^has_journal "$dir/fs.img"
	mount -o loop "$dir/fs.img" "$dir/fs" 2>"$dir/said" ||
		{ skip_part "a frozen image: $(<"$dir/said")"; return 0; }
	make_image fs/disk.img 1M
	mount_rawfuse "$dir/fs/disk.img" "$file"
	# Whatever becomes of the test, it must not stay so.
	(trap - EXIT; exec 8<"$dir/fs"; sleep 30; fsfreeze -u /proc/self/fd/8) {machine_lock}<&- 2>/dev/null &
	thaw=$!
	succeed fsfreeze -f "$dir/fs"
	fileop -d "$file" pwrite 0 4096 1 >"$dir/written" &
	writer=$!
	for ((i = 0; i < TRIES && !late; i++)); do
		sleep 0.02
		asks_old && late=1
	done
	asks 0 '1 in flight .*, the oldest a WRITE for [1-9]'
	succeed fsfreeze -u "$dir/fs"
	pkill -P "$thaw"
	wait "$thaw" 2>/dev/null
	succeed wait "$writer"
	expect 4096 cat "$dir/written"
	wait_until "nothing is in flight" asks_idle
	unmount_rawfuse "$file"
	wait_until "the file system is free" umount -q "$dir/fs"
	wait_until "the loop device is free" loop_is_free
	rm "$dir/fs.img"
}
asks_old() { "$RAWFUSE" --status "$file" | grep -qE 'the oldest a WRITE for [1-9]'; }

dead() {
	mount_rawfuse "$image" "$file"
	kill -9 "$daemon"
	wait_until "it has ended" is_gone "$daemon"
	asks 1 'its process has ended .*: unmount it'
	! have_tool jq || expect unhealthy json .state
	rm -f "$dir/pid"
	succeed umount "$file"
	asks 3 'no export'
	rm -f "$file"
}

require_tool unshare setpriv blockdev nsenter
each_transport well
each_transport strange_name
each_transport qcow2
nothing_there
each_transport not_busy
each_transport others
each_transport namespaces
each_transport stopped
each_transport stopped_below
if have_tool mkfs.ext4 && have_tool fsfreeze; then
	each_transport frozen_below
else
	skip_part "a frozen image: no mkfs.ext4, or no fsfreeze"
fi
each_transport dead
finish
