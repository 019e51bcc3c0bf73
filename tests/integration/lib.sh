# Sourced by every integration test; make check sets abs_top_builddir and
# abs_top_srcdir.
#
# A test mounts below $dir, a new directory with a space in its name that goes
# away at the end together with all mounts, loop devices and daemons of it;
# whatever of them a test leaves behind makes it fail. SCRATCH_IN, set before
# this file is sourced, is the directory that $dir is made in.
#
# Parts of a test that this machine cannot run are told, and the test ends
# with 77, "skipped", when the rest has passed.
#
# Settings that make other tests of the same scripts (tests/vm/modes has some):
# TRANSPORTS, of on, off and auto, for each_transport; RAWFUSE_OPTIONS for each
# rawfuse that start_rawfuse starts; RAWFUSE_RUN, a command that it is run by;
# RAWFUSE_EXPECT, a pattern that its report must have.

# A shell's job in the background ignores SIGINT, what nohup(1) starts SIGHUP,
# and so would all that a test starts.
if [[ -z ${SIGNALS_ARE_DEFAULT:-} ]] && env --default-signal true 2>/dev/null; then
	SIGNALS_ARE_DEFAULT=1 exec env --default-signal bash "$0" "$@"
fi
unset SIGNALS_ARE_DEFAULT

set -u
shopt -s nullglob
umask 022
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

: "${abs_top_builddir:?: run by make check}" "${abs_top_srcdir:?}"
RAWFUSE=${RAWFUSE:-$abs_top_builddir/rawfuse}
helpers=$abs_top_builddir/tests/integration
URING_PARAMETER=/sys/module/fuse/parameters/enable_uring
TRIES=${TRIES:-1500} # of 20 ms, for every condition that is waited for

dir= daemon= log= transport=on
daemons=()
skipped=()
restores=() # commands for the end, last first
passed=no

say() { printf '%s\n' "$*"; }

fail() {
	say "FAIL (io_uring=$transport): $*"
	[[ -z $log || ! -s $log ]] || grep -vE "$REPORT" "$log" | sed "s/^/  its log: /"
	exit 1
}

skip() {
	say "SKIP: $*"
	passed=skip
	exit 77
}

skip_part() {
	say "skipped: $*"
	skipped+=("$*")
}

# wait_until WHAT COMMAND...: until COMMAND succeeds; fails the test if it
# never does.
wait_until() {
	local what=$1 i
	shift
	for ((i = 0; i < TRIES; i++)); do
		"$@" && return 0
		sleep 0.02
	done
	fail "waited in vain until $what"
}

# expect RESULT COMMAND...: COMMAND prints just that.
expect() {
	local want=$1 got
	shift
	got=$("$@" 2>&1)
	[[ $got == "$want" ]] || fail "'${*##*/}' gave '$got', not '$want'"
}

succeed() { "$@" || fail "'$*' failed with $?"; }

fileop() { "$helpers/fileop" "$@"; }

require_tool() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

have_tool() { command -v "$1" >/dev/null; }

require_root() {
	((EUID == 0)) || skip "mounting takes root"
}

# Parameters of the kernel belong to all tests of the machine: those that
# change one lock it, the others share it.
share_machine() {
	[[ -e $URING_PARAMETER ]] || return 0
	exec {machine_lock}<"$URING_PARAMETER"
	flock "${1:--s}" -w 600 "$machine_lock" || skip "another test holds the machine"
}

linux_before() { # MAJOR.MINOR
	local release
	release=$(uname -r)
	[[ $(printf '%s\n' "${release%%[!0-9.]*}" "$1" | sort -V | head -n 1) != "$1" ]]
}

# For the model. Before Linux 6.6 O_DIRECT is not FOPEN_DIRECT_IO (answer_open()
# tells why), and there the kernel makes EIO of a short write.
model_options=
! linux_before 6.6 || model_options=-e

uring_enabled() {
	[[ -r $URING_PARAMETER && $(<"$URING_PARAMETER") == Y ]]
}

# Whether a process is a rawfuse that this test started.
is_ours() {
	[[ /proc/$1/exe -ef $RAWFUSE ]] &&
		grep -qazxF -- "RAWFUSE_TEST=$dir" "/proc/$1/environ" 2>/dev/null
}

our_processes() {
	local p
	for p in /proc/[0-9]*; do
		is_ours "${p#/proc/}" && say "${p#/proc/}"
	done
	return 0
}

no_processes() { [[ -z $(our_processes) ]]; }

# Mountpoints below $dir, the last mounted first.
our_mounts() {
	local id parent dev root point rest
	while read -r id parent dev root point rest; do
		point=${point//\\040/ }
		[[ $point == "$dir"/* ]] && say "$point"
	done </proc/self/mountinfo | tac
}

no_mounts() { [[ -z $(our_mounts) ]]; }

is_mounted() { our_mounts | grep -qxF -- "$1"; }

our_loops() {
	losetup -l -n -O NAME,BACK-FILE 2>/dev/null | grep -F -- "$dir/" | cut -d' ' -f1
}

# A process that has ended, and may wait for its parent to take note of it: not
# every init does so at once.
is_gone() { [[ $(awk '$1 == "State:" { print $2 }' "/proc/$1/status" 2>/dev/null) == @(|Z|X) ]]; }

# The connection's number, as in /sys/fs/fuse/connections.
connection_of() {
	AT=${1// /\\040} awk '$5 == ENVIRON["AT"] { split($3, d, ":"); n = d[2] } END { print n }' /proc/self/mountinfo
}

# start_rawfuse [OPTION...] IMAGE MOUNTPOINT: in the foreground of a process
# of its own: $daemon; its messages: $log.
start_rawfuse() {
	log=$dir/log
	rm -f "$dir/pid" "$log"
	set -m # or else SIGINT would be ignored in it
	# shellcheck disable=SC2086
	"${RUN[@]}" ${RAWFUSE_RUN:-} "$RAWFUSE" -f --io-uring="$transport" \
		${RAWFUSE_OPTIONS:-} --pidfile="$dir/pid" "$@" \
		>>"$log" 2>&1 {machine_lock}<&- &
	daemon=$!
	set +m
	daemons+=("$daemon")
	say "$daemon" >>"$dir/daemons"
}
RUN=(env)
exec {machine_lock}</dev/null

is_ready_or_gone() { [[ -s $dir/pid ]] || is_gone "$daemon"; }

# mount_rawfuse: the same, and the file can be used.
mount_rawfuse() {
	start_rawfuse "$@"
	wait_until "rawfuse $* is ready" is_ready_or_gone
	is_gone "$daemon" && fail "rawfuse $* ended with $(wait "$daemon"; say $?)"
	check_transport
}

# The transport is the one that was asked for.
check_transport() {
	local name=dev_fuse
	[[ $transport == on ]] && name=io_uring
	[[ $transport == auto ]] && name=
	[[ -n $name || -n ${RAWFUSE_EXPECT:-} ]] || return 0
	report
	[[ -z $name ]] || grep -q "transport: $name" "$dir/report" ||
		fail "the transport is not $name"
	[[ -z ${RAWFUSE_EXPECT:-} ]] || grep -qE -- "$RAWFUSE_EXPECT" "$dir/report" ||
		fail "the report has no '$RAWFUSE_EXPECT': $(<"$dir/report")"
}

reports() { grep -c "^rawfuse: image: driver=" "$log"; }
has_more_reports() { (($(reports) > $1)); }

# SIGUSR1: the lines of the report are in $dir/report then.
report() {
	local n
	n=$(reports)
	kill -USR1 "$daemon"
	wait_until "SIGUSR1 was answered" has_more_reports "$n"
	# From the last "requests:" on.
	grep -E "$REPORT" "$log" | grep -vE "$READY" | tac | sed '/^rawfuse: requests:/q' | tac >"$dir/report"
}
REPORT="^rawfuse: (requests|bytes|transport|payloads|memory|ring|cpu|poll|image): [a-z_]*[=a-z]"
# The line that tells that the file can be used is expected of each.
READY='^rawfuse: .*: ready: serves .* by (io_uring|/dev/fuse)'
REPORT="$REPORT|$READY"

# Which files an image names is told of each.
NAMED="^rawfuse: .*: qcow2: its (data is in the file|backing file is) '"

# wait_daemon STATUS: it ends with that status. A failure stays in its pidfile,
# if it has ever had one.
wait_daemon() {
	local status
	wait_until "rawfuse has ended" is_gone "$daemon"
	wait "$daemon"
	status=$?
	((status == $1)) || fail "rawfuse ended with $status, not $1"
	(($1 == 0)) || ! grep -qs "^ended with status $1: " "$dir/pid" || rm "$dir/pid"
	[[ ! -e $dir/pid ]] || fail "its pidfile is left"
}

# What a daemon said beside reports; nothing is expected unless $1 says so.
check_log() {
	local said
	said=$(grep -vE "$REPORT|$NAMED" "$log")
	# With auto, that and why there is no io_uring is told.
	[[ $transport != auto ]] ||
		said=$(grep -vE '^rawfuse: io_uring: .*: requests go ' <<<"$said")
	if [[ -z ${1:-} ]]; then
		[[ -z $said ]] || fail "it said what it should not: $said"
	else
		[[ $said =~ $1 ]] || fail "it said '$said', not '$1'"
	fi
}

# unmount_rawfuse MOUNTPOINT [EXPECTED-MESSAGE]
unmount_rawfuse() {
	local i
	for ((i = 0; i < TRIES; i++)); do
		umount "$1" 2>"$dir/umount.err" && break
		grep -q busy "$dir/umount.err" || fail "umount: $(<"$dir/umount.err")"
		sleep 0.02
	done
	((i < TRIES)) || fail "$1 stays busy"
	wait_daemon 0
	check_log "${2:-}"
}

# make_image NAME SIZE: random data, and a hole behind it.
make_image() {
	rm -f "$dir/$1"
	head -c 300000 /dev/urandom >"$dir/$1"
	truncate -s "$2" "$dir/$1"
}

create() { succeed qemu-img create -q -f qcow2 "$@"; }

# A daemon that was killed holds its locks, and may still write, until the
# kernel has taken its ring down.
is_checked() {
	qemu-img check -f qcow2 "$1" >"$dir/check" 2>&1
	checked=$?
	((checked != 1)) || ! grep -q ' lock' "$dir/check"
}

# check IMAGE STATUS...: qemu-img check ends with one of these statuses: 0
# for an image without fault, 3 for one with leaks alone.
check() {
	wait_until "$1 is unlocked" is_checked "$1"
	[[ " ${*:2} " == *" $checked "* ]] ||
		fail "qemu-img check $1: $checked: $(<"$dir/check")"
}

loop_is_free() { [[ -z $(our_loops) ]]; }

# The kernel may clear up a ring, and the file it has, after its process.
free_mount() { umount "$1" 2>/dev/null; }

# $dir/fs/disk.img takes 16M into the page cache, and fails to store them: a file
# on ext4 on a loop device, whose own backing is on a tmpfs that is full.
make_dying_disk() {
	mkdir -p "$dir/full" "$dir/fs"
	succeed mount -t tmpfs -o size=6M none "$dir/full"
	truncate -s 32M "$dir/full/fs.img"
	succeed mkfs.ext4 -q -F -O ^has_journal "$dir/full/fs.img"
	succeed mount -o loop "$dir/full/fs.img" "$dir/fs"
	truncate -s 16M "$dir/fs/disk.img"
}
remove_dying_disk() {
	wait_until "the file system is free" free_mount "$dir/fs"
	succeed umount "$dir/full"
	wait_until "the loop device is free" loop_is_free
}

# each_transport COMMAND...: for io_uring on, and off.
each_transport() {
	local t
	for t in ${TRANSPORTS:-on off}; do
		if [[ $t == on ]] && ! uring_enabled; then
			skip_part "io_uring=on: fuse.enable_uring is not Y"
			continue
		fi
		transport=$t
		say "--- io_uring=$t: $*"
		"$@"
	done
}

clean_up() {
	local status=$? i left= p loops
	# Not by a part of the test that was killed before it had its own traps.
	[[ $BASHPID == "$$" ]] || exit "$status"
	trap - EXIT
	set +u
	cd / || exit 1
	[[ -z $watchdog ]] || kill "$watchdog" 2>/dev/null
	loops=$(our_loops) # known by names that unmounting takes away
	left=$(our_mounts)$loops$(our_processes)
	if [[ $status == 0 && -n $left ]]; then
		say "FAIL: left behind: $left"
		status=1
	fi
	for p in "${daemons[@]}"; do
		is_gone "$p" || kill -9 "$p"
	done
	for p in $(our_processes); do
		kill -9 "$p"
	done
	for i in 1 2 3; do
		our_mounts | while IFS= read -r p; do umount -l "$p"; done
		for p in $loops; do losetup -d "$p"; done
	done 2>/dev/null
	for ((i = ${#restores[@]} - 1; i >= 0; i--)); do
		eval "${restores[i]}"
	done
	[[ -z $dir ]] || rm -rf --one-file-system "$dir" /run/rawfuse/*"${dir##*/}"*
	if [[ $status == 0 && $passed != yes ]]; then
		say "FAIL: ended early"
		status=1
	fi
	if [[ $status == 0 && ${#skipped[@]} -gt 0 ]]; then
		say "SKIP: not all could be tested: ${skipped[*]}"
		status=77
	fi
	exit "$status"
}

# The last line of every test.
finish() {
	passed=yes
	exit 0
}

# Whatever hangs on a mount ends when its daemon does.
start_watchdog() {
	(
		trap - EXIT INT HUP
		exec {machine_lock}<&-
		trap 'kill $! 2>/dev/null; exit' TERM
		sleep "${WATCHDOG:-240}" &
		wait $!
		say "watchdog: time is up: ending the daemons"
		kill -9 $(<"$dir/daemons") $(our_processes) 2>/dev/null
	) &
	watchdog=$!
}
watchdog=

trap clean_up EXIT
trap 'exit 130' INT TERM HUP
require_root
require_tool flock losetup
[[ -c /dev/fuse ]] || skip "there is no /dev/fuse"
dir=$(mktemp -d "${SCRATCH_IN:-${TMPDIR:-/tmp}}/rawfuse test.XXXXXX")
[[ -n $dir ]] || exit 99
dir=$(cd "$dir" && pwd -P)
chmod 755 "$dir"
export RAWFUSE_TEST=$dir
: >"$dir/daemons"
share_machine "${SHARE:--s}"
start_watchdog
