# Without the right to mount: rawfuse-mount mounts, and rawfuse gets no more than
# the opened /dev/fuse, as a descriptor or through a socket. It runs as a user
# without capabilities, and in a user namespace.
if [[ ${1:-} != inside ]]; then
	unshare -m true || { echo "SKIP: no mount namespace"; exit 77; }
	exec unshare -m --propagation private bash "$0" inside
fi
. "$abs_top_srcdir/tests/integration/lib.sh"

MOUNTER=$abs_top_builddir/contrib/rawfuse-mount
USER1=65534
USER2=65533
image=$dir/disk.img
file=$dir/disk.raw
socket=$dir/socket
half= # the process that mounts

as() {
	local id=$1
	shift
	setpriv --reuid "$id" --regid "$id" --clear-groups "$@"
}

wait_half() { # STATUS
	local status
	wait_until "rawfuse-mount has ended" is_gone "$half"
	wait "$half"
	status=$?
	((status == $1)) || fail "rawfuse-mount ended with $status, not $1: $(<"$log")"
}

# start_half [ARGUMENT...]: of rawfuse-mount, for USER1; all that is said goes to
# $log.
start_half() {
	log=$dir/log
	rm -f "$log" "$dir/theirs/pid"
	set -m
	"$MOUNTER" -u "$USER1:$USER1" "$@" >"$log" 2>&1 {machine_lock}<&- &
	half=$!
	set +m
	say "$half" >>"$dir/daemons"
	daemons+=("$half")
}

pidfile=$dir/theirs/pid
is_up() { [[ -s $pidfile ]] || is_gone "$half"; }
ready() {
	wait_until "the export is ready" is_up
	is_gone "$half" && fail "it ended: $(<"$log")"
	daemon=$(<"$pidfile")
}

# start_export [MOUNTER OPTION...] -- [OPTION...]: by a command.
start_export() {
	local mine=()
	while [[ $1 != -- ]]; do
		mine+=("$1")
		shift
	done
	shift
	start_half "${mine[@]}" "$file" "${WITHIN[@]}" "$RAWFUSE" -f --io-uring="$transport" \
		--pidfile="$pidfile" "$@" "$image" /dev/fd/3
	ready
}
WITHIN=()

capabilities() { awk '$1 ~ /^Cap(Eff|Prm|Inh|Amb):/ { print $2 }' "/proc/$1/status" | sort -u; }
refused_by_kernel() { [[ $(as "$1" "$helpers/fileop" -r "$file" open) == EACCES ]]; }
no_mountpoint() { [[ ! -e $file ]]; }

ended_well() {
	wait_half 0
	no_mounts || fail "a mount is left: $(our_mounts)"
	no_mountpoint || fail "the mountpoint is left"
	wait_until "no process is left" no_processes
}

by_command() {
	start_export --
	expect 0000000000000000 capabilities "$daemon"
	expect "$USER1" stat -c %u "/proc/$daemon"
	grep -q "/disk.raw: passed in: unmounting it is left" "$log" || fail "it said: $(<"$log")"
	# It is that user's, and nobody else's.
	succeed as $USER1 cmp "$image" "$file"
	expect "600:$USER1:$USER1" as $USER1 stat -c %a:%u:%g "$file"
	expect EACCES as 0 "$helpers/fileop" -r "$file" open
	expect EACCES as $USER2 "$helpers/fileop" -r "$file" open
	expect 3 as $USER1 "$helpers/fileop" "$file" pwrite 100 3 7
	expect 0 as $USER1 "$helpers/fileop" "$file" fsync
	expect yes fileop "$image" is 100 3 7
	succeed umount "$file"
	ended_well
	# A signal to the half that mounts ends both.
	start_export -o allow_other -- --allow-other=on
	succeed cmp "$image" "$file"
	succeed as $USER1 chmod 644 "$file"
	succeed as $USER2 cmp "$image" "$file"
	kill "$half"
	ended_well
	# So does the end of the server, even by kill -9.
	start_export --
	kill -9 "$daemon"
	wait_half 137
	no_mounts || fail "a mount is left"
	no_mountpoint || fail "the mountpoint is left"
}

# SIGTERM to the server, which cannot unmount: it serves what is open.
signalled() {
	start_export -o allow_other --
	kill "$daemon"
	ended_well
	start_export -o allow_other -- --grace=600
	exec {held}<>"$file"
	kill "$daemon"
	wait_until "it says so" grep -q "cannot be unmounted from here: what is open is served" "$log"
	expect 4096 dd_held
	is_gone "$daemon" && fail "it did not wait for the open file"
	exec {held}>&-
	ended_well
	start_export -o allow_other -- --grace=0
	exec {held}<>"$file"
	kill "$daemon"
	wait_half 0
	[[ $(dd_held) == 4096 ]] && fail "the open file still answers"
	exec {held}>&-
	no_mounts || fail "a mount is left"
	asked_on
}
# Requests go on while the image is closed: they must not reach it any more.
# AddressSanitizer sees it best.
asked_on() {
	local i n pid asking
	for i in {1..10}; do
		start_export -o allow_other -- --grace=0
		asking=()
		for n in {1..4}; do
			while dd if="$file" of=/dev/null iflag=direct bs=4096 status=none; do :; done \
				2>/dev/null {machine_lock}<&- &
			asking+=($!)
		done
		sleep 0.1
		kill "$daemon"
		wait "$half"
		! grep -q Sanitizer "$log" || fail "it said: $(<"$log")"
		for pid in "${asking[@]}"; do wait "$pid"; done
		no_mountpoint || fail "the mountpoint is left"
		no_mounts || fail "a mount is left"
	done
}
dd_held() { dd if="/proc/self/fd/$held" of=/dev/null iflag=direct bs=4096 count=1 2>&1 | awk '/bytes/ { print $1 }'; }

# What is not as it should be is refused with one line.
wrong() {
	local fd
	refuses() {
		"$RAWFUSE" --io-uring="$transport" "${@:2}" 2>"$dir/err" {machine_lock}<&- &&
			fail "${*:2}: it was not refused"
		[[ $(<"$dir/err") =~ $1 && $(wc -l <"$dir/err") == 1 ]] ||
			fail "${*:2}: it said '$(<"$dir/err")', not '$1'"
	}
	refuses "/dev/fd/99: descriptor: the caller has not left it open" "$image" /dev/fd/99
	refuses "/dev/fd/0: descriptor: 0, 1 and 2" "$image" /dev/fd/0
	exec {fd}<"$image"
	refuses "descriptor: it is not an opened /dev/fuse" "$image" "/dev/fd/$fd"
	exec {fd}<>/dev/fuse
	refuses "descriptor: nothing is mounted with it" "$image" "/dev/fd/$fd"
	exec {fd}>&-
	refuses "fuse-socket: No such file or directory; is rawfuse-mount -s running" --fuse-socket="$dir/none" "$image"
	# In the background, the command that rawfuse-mount runs would be over.
	start_half "$file" "$RAWFUSE" "$image" /dev/fd/3
	wait_half 1
	grep -q "/dev/fd/3: rawfuse-mount takes the mount away .*; give -f" "$log" ||
		fail "it said: $(<"$log")"
	# Another process has served it.
	start_half "$file" bash -c '
		"$1" -f --pidfile="$2" "$3" /dev/fd/3 & wait_for=$!
		until [[ -s $2 ]]; do sleep 0.02; done
		"$1" -f "$3" /dev/fd/3
		echo "second: $?"
		kill $wait_for; wait $wait_for' bash "$RAWFUSE" "$pidfile" null:size=1M
	wait_half 0
	grep -q "descriptor: another process has served it before" "$log" || fail "it said: $(<"$log")"
	grep -q "second: 1" "$log" || fail "it said: $(<"$log")"
	# What the mount lacks.
	start_half "$file" "$RAWFUSE" -f --allow-other=on "$image" /dev/fd/3
	wait_half 1
	grep -q "allow-other=on: it has been mounted without allow_other" "$log" || fail "it said: $(<"$log")"
	start_half "$file" "$RAWFUSE" -f -r --passthrough=on "$image" /dev/fd/3
	wait_half 1
	grep -q "passthrough=on: it requires CAP_SYS_ADMIN\|passthrough=on: this kernel does not" "$log" ||
		fail "it said: $(<"$log")"
	no_mountpoint || fail "the mountpoint is left"
}

mounter_wrong() {
	says() {
		"$MOUNTER" "${@:3}" >"$dir/err" 2>&1
		local status=$?
		((status == $1)) || fail "rawfuse-mount ${*:3}: $status, not $1"
		[[ $(<"$dir/err") =~ $2 ]] || fail "rawfuse-mount ${*:3}: it said '$(<"$dir/err")'"
	}
	says 2 "^Usage:"
	says 2 "^Usage:" "$file"
	says 2 "no such user" -u no-such-user "$file" true
	says 2 "no such group" -u 0:no-such-group "$file" true
	says 2 "-u USER is missing" -s "$socket" "$file"
	says 2 "'nonsense' is not known" -o nonsense "$file" true
	says 1 "is a directory" "$dir" true
	says 127 "exec: No such file" "$file" /no/such/command
	says 1 "socket: No such file" -u $USER1:$USER1 -s "$dir/none/socket" "$file"
	# A client must not choose the place by a link in a directory of its own.
	mkdir "$dir/client's"
	echo root >"$dir/victim"
	chown $USER1 "$dir/client's"
	succeed as $USER1 ln -s "$dir/victim" "$dir/client's/disk.raw"
	succeed as $USER1 ln -s "$dir" "$dir/client's/way"
	says 1 "no links are followed but ours" -u $USER1:$USER1 "$dir/client's/disk.raw" true
	says 1 "no links are followed but ours" -u $USER1:$USER1 "$dir/client's/way/disk.raw" true
	ln -s "$file" "$dir/our-link"
	: >"$file"
	says 0 "" -u $USER1:$USER1 "$dir/our-link" true
	rm -r "$dir/client's" "$dir/our-link" "$dir/victim" "$file"
	no_mountpoint || fail "the mountpoint is left"
	says 0 "^Usage:.*--version" --help
	says 0 "^Usage:.*--version" -h
	says 0 "^rawfuse-mount [0-9]" --version
	says 0 "^rawfuse-mount [0-9]" -V
	# A killed one leaves a dead mount, which -R takes away; a live one stays.
	start_export --
	says 1 "-R: (process $daemon serves it|an export is alive there); umount .* first" \
		-R "$file" true
	says 1 "umount .* first, .* give -R" "$file" true
	kill -9 "$half" "$daemon"
	wait_until "both are dead" is_gone "$daemon"
	wait "$half"
	is_mounted "$file" || fail "no dead mount is left"
	says 1 "umount .* first" "$file" true
	says 0 "what a killed process had left is detached" -R "$file" true
	no_mounts || fail "a mount is left"
	no_mountpoint || fail "the mountpoint is left"
} 2>/dev/null

# start_client [OPTION...]
start_client() {
	rm -f "$pidfile" "$dir/client.log"
	"${CLIENT[@]}" "$RAWFUSE" -f --io-uring="$transport" --pidfile="$pidfile" \
		--fuse-socket="$socket" "$@" "$image" >"$dir/client.log" 2>&1 {machine_lock}<&- &
	client=$!
	daemons+=("$client")
	wait_until "the client is ready" client_ready
}
client_ready() { [[ -s $pidfile ]] || is_gone "$client"; }
CLIENT=(setpriv --reuid $USER1 --regid $USER1 --clear-groups --no-new-privs)
client=

client_ends() { # STATUS, or any
	local status
	wait_until "the client has ended" is_gone "$client"
	wait "$client"
	status=$?
	[[ $1 == any || $status == "$1" ]] ||
		fail "the client ended with $status: $(<"$dir/client.log")"
	wait_until "the mount is gone" no_mounts
	wait_until "the mountpoint is gone" no_mountpoint
}
client_is_up() { is_gone "$client" && fail "the client: $(<"$dir/client.log")"; }

start_listener() {
	start_half -s "$socket" "$@" "$file"
	wait_until "it listens" listens
}
listens() { [[ -S $socket ]] || is_gone "$half"; }

by_socket() {
	# A socket that one that was killed has left.
	start_listener
	kill -9 "$half"
	wait "$half"
	"$RAWFUSE" --fuse-socket="$socket" null: 2>"$dir/err" && fail "a dead socket was good"
	grep -q "fuse-socket: Connection refused" "$dir/err" || fail "it said: $(<"$dir/err")"
	start_listener -o allow_other
	start_client
	client_is_up
	wait_until "it knows the mountpoint" grep -q "/disk.raw: ready: serves" "$dir/client.log"
	succeed as $USER1 cmp "$image" "$file"
	expect "$USER1" stat -c %u "$file"
	# The other half unmounts when it is asked to.
	kill "$client"
	client_ends 0
	# It is busy: detached, and served for the grace.
	start_client --grace=600
	exec {held}<>"$file"
	kill "$client"
	wait_until "it is detached" no_mounts
	expect 4096 dd_held
	is_gone "$client" && fail "it did not wait for the open file"
	exec {held}>&-
	client_ends 0
	start_client
	succeed umount "$file"
	client_ends 0
	# Another user is refused; the kernel says who it is.
	CLIENT=(setpriv --reuid $USER2 --regid $USER2 --clear-groups)
	"${CLIENT[@]}" "$RAWFUSE" -f --fuse-socket="$socket" null: >"$dir/err" 2>&1 &&
		fail "another user was served"
	grep -q "fuse-socket: refused" "$dir/err" || fail "it said: $(<"$dir/err")"
	grep -q "refused: user $USER2 may not be a client" "$log" || fail "it said: $(<"$log")"
	CLIENT=(setpriv --reuid $USER1 --regid $USER1 --clear-groups)
	# A second client waits until the first one is gone.
	start_client
	as $USER1 "$RAWFUSE" -f --fuse-socket="$socket" null:size=4M >"$dir/second.log" 2>&1 {machine_lock}<&- &
	local second=$!
	daemons+=("$second")
	succeed as $USER1 cmp "$image" "$file"
	kill "$client"
	wait_until "the second one is served" grep -q "ready: serves null" "$dir/second.log"
	expect 4194304 stat -c %s "$file"
	# The end of the listener is the end of the mount.
	kill "$half"
	wait_half 0
	wait_until "the second one has ended" is_gone "$second"
	wait "$second"
	no_mounts || fail "a mount is left"
	no_mountpoint || fail "the mountpoint is left"
	[[ ! -e $socket ]] || fail "the socket is left"
} 2>/dev/null

# In user, mount and PID namespaces of its own, where it has all rights and the
# mount is not: it is not even visible.
apart() {
	start_listener -o allow_other
	CLIENT=(setpriv --reuid $USER1 --regid $USER1 --clear-groups unshare -Urmpf --mount-proc --kill-child)
	start_client
	client_is_up
	expect "$USER1:$USER1" stat -c %u:%g "$file"
	succeed as $USER1 cmp "$image" "$file"
	expect 3 as $USER1 "$helpers/fileop" "$file" pwrite 10 3 0
	expect 0 as $USER1 "$helpers/fileop" "$file" fsync
	succeed umount "$file"
	client_ends 0
	start_client --writeback-cache
	wait_until "it is refused" is_gone "$client"
	grep -q "writeback-cache: the mount is not visible here" "$dir/client.log" ||
		fail "it said: $(<"$dir/client.log")"
	start_client -r --passthrough=auto --zero-copy=auto
	client_is_up
	succeed cmp "$image" "$file"
	expect EROFS fileop "$file" open
	kill -9 "$(tr -d ' ' <"/proc/$client/task/$client/children")"
	client_ends any
	CLIENT=(setpriv --reuid $USER1 --regid $USER1 --clear-groups)
	kill "$half"
	wait_half 0
	# The descriptor, in a user namespace; the mount is visible.
	WITHIN=(unshare -Urm)
	start_export --
	expect "$USER1" as $USER1 stat -c %u "$file"
	succeed as $USER1 cmp "$image" "$file"
	kill "$half"
	ended_well
	WITHIN=()
} 2>/dev/null

# Again and again, kill -9 included: nothing is left with the other half.
rounds() {
	local n i first= now
	start_listener -o allow_other
	for ((i = 0; i < ${RIGHTS_ROUNDS:-40}; i++)); do
		start_client
		client_is_up
		succeed cmp "$image" "$file"
		if ((i % 2)); then
			kill -9 "$client"
			client_ends 137
		else
			kill "$client"
			client_ends 0
		fi
		wait_until "its descriptors are closed" has_files "${first:-0}"
		n=(/proc/"$half"/fd/*)
		first=${first:-${#n[@]}}
	done
	kill "$half"
	wait_half 0
} 2>/dev/null
has_files() { local f=(/proc/"$half"/fd/*); ((!$1 || ${#f[@]} == $1)); }

run() {
	make_image disk.img 1M
	chown $USER1 "$image"
	by_command
	signalled
	wrong
	by_socket
	if as $USER1 unshare -Urm true 2>/dev/null; then
		apart
	else
		skip_part "no user namespaces"
	fi
	rounds
}

require_tool setpriv awk cmp
mkdir "$dir/theirs"
chmod 777 "$dir/theirs"
make_image disk.img 1M
chown $USER1 "$image"
mounter_wrong
each_transport run
finish
