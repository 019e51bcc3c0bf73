# --replace: what a killed rawfuse left, and one that is alive. The last part
# kills it again and again, under load, on a mount that other mount namespaces
# have, too; REPLACE_ROUNDS times (100).
if [[ ${1:-} != inside ]]; then
	unshare -m true || { echo "SKIP: no mount namespace"; exit 77; }
	exec unshare -m --propagation private bash "$0" inside
fi
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
STATE=$dir/state
loader=

kill_daemon() {
	kill -9 "$daemon"
	wait_until "it is dead" is_gone "$daemon"
	wait "$daemon"
} 2>/dev/null

# refused PATTERN OPTION...: a start that fails and says so.
refused() {
	local pattern=$1
	shift
	"$RAWFUSE" --io-uring="$transport" "$@" "$image" "$file" >"$dir/err" 2>&1 \
		{machine_lock}<&- && fail "rawfuse $* was not refused"
	[[ $(<"$dir/err") =~ $pattern ]] || fail "it said '$(<"$dir/err")', not '$pattern'"
	(($(wc -l <"$dir/err") == 1)) || fail "it said more: $(<"$dir/err")"
}

gone() { [[ ! -e $1 ]]; }
no_records() { [[ -z $(echo /run/rawfuse/*"${dir##*/}"*) ]]; }

dead() {
	mount_rawfuse "$image" "$file"
	kill_daemon
	refused 'umount .* first, or give --replace'
	# The pidfile that was left is taken over, too.
	expect "$daemon" cat "$dir/pid"
	"$RAWFUSE" --io-uring="$transport" --replace --pidfile="$dir/pid" "$image" "$file" \
		2>"$dir/err" {machine_lock}<&- || fail "it did not start: $(<"$dir/err")"
	grep -q -- "--replace: what a killed process had left is detached" "$dir/err" ||
		fail "it said: $(<"$dir/err")"
	daemon=$(<"$dir/pid")
	is_gone "$daemon" && fail "the pidfile does not name it"
	succeed cmp "$image" "$file"
	succeed umount "$file"
	wait_until "it has ended" is_gone "$daemon"
	gone "$dir/pid" || fail "the pidfile is left"
	gone "$file" || fail "the file that the first run had made is left"
	no_records || fail "a record is left"
}

# Two mounts over each other, bound to a third place, over the image itself.
covered() {
	cp "$image" "$dir/self.img"
	mount_rawfuse "$dir/self.img" "$dir/self.img"
	: >"$dir/copy"
	succeed mount --bind "$dir/self.img" "$dir/copy"
	kill_daemon
	rm -f "$dir/pid"
	mount_rawfuse --replace "$dir/self.img" "$dir/self.img"
	is_mounted "$dir/copy" && fail "the copy is left, dead"
	succeed cmp "$image" "$dir/self.img"
	unmount_rawfuse "$dir/self.img" "detached"
	gone "$dir/self.img" && fail "the image is gone"
	rm "$dir/self.img" "$dir/copy"
}

# Only a file that rawfuse has made is removed.
kept() {
	: >"$file"
	mount_rawfuse "$image" "$file"
	kill_daemon
	rm -f "$dir/pid"
	mount_rawfuse --replace "$image" "$file"
	unmount_rawfuse "$file" detached
	gone "$file" && fail "a file of the user's is gone"
	rm "$file"
	# A copy of such a file is no such file, with all its attributes.
	mount_rawfuse "$image" "$file"
	kill_daemon
	succeed umount "$file"
	succeed cp -a --preserve=all "$file" "$dir/copy"
	mv "$dir/copy" "$file"
	rm -f "$dir/pid"
	mount_rawfuse --replace "$image" "$file"
	unmount_rawfuse "$file"
	gone "$file" && fail "a copy is gone"
	rm "$file"
}

live() {
	local first
	mount_rawfuse "$image" "$file"
	first=$daemon
	refused "process $first serves it" --replace
	report
	expect 4096 fileop "$file" pwrite 0 4096 7
	# It ends, all of it written, and its pidfile is free.
	start_rawfuse --replace=live "$image" "$file"
	wait_until "the first one has ended" is_gone "$first"
	succeed wait "$first"
	wait_until "the next one is ready" is_ready_or_gone
	expect yes fileop "$file" is 0 4096 7
	unmount_rawfuse "$file" "process $first is asked to end"
	gone "$file" || fail "the mountpoint is left"
	no_records || fail "a record is left"
}

# Without a record the process is found by its connection, if the kernel says.
no_record() {
	local first
	mount_rawfuse "$image" "$file"
	first=$daemon
	rm /run/rawfuse/*"${dir##*/}"*
	if grep -qs '^fuse_connection' /proc/"$first"/fdinfo/*; then
		refused "process $first serves it" --replace
		start_rawfuse --replace=live "$image" "$file"
		wait_until "the first one has ended" is_gone "$first"
		wait_until "the next one is ready" is_ready_or_gone
		unmount_rawfuse "$file" "process $first is asked to end"
	else
		refused "its process cannot be seen" --replace=live
		unmount_rawfuse "$file"
	fi
}

# A mistyped image ends nothing.
mistyped() {
	mount_rawfuse "$image" "$file"
	"$RAWFUSE" --replace=live "$dir/none" "$file" 2>"$dir/err" && fail "no image, and it worked"
	succeed cmp "$image" "$file"
	unmount_rawfuse "$file"
	"$RAWFUSE" --replace=often "$image" "$file" 2>"$dir/err"
	(($? == 2)) || fail "--replace=often: $(<"$dir/err")"
}

# One that is unmounted and still flushes, as long as its image hangs, is waited
# for; and then the next one is there, with another image.
flushing() {
	local lower upper
	truncate -s 8M "$dir/lower.img"
	mount_rawfuse "$dir/lower.img" "$dir/lower.raw"
	lower=$daemon
	mv "$dir/pid" "$dir/pid.lower"
	mount_rawfuse --no-lock "$dir/lower.raw" "$file"
	upper=$daemon
	expect 4096 fileop "$file" pwrite 0 4096 9
	kill -STOP "$lower"
	expect 0 fileop "$file" umount
	wait_until "it says so in its record" says_ending
	start_rawfuse --replace "$image" "$file"
	wait_until "the next one waits" grep -qs "process $upper .* waiting for its end" "$log"
	is_mounted "$file" && fail "it did not wait"
	kill -CONT "$lower"
	wait_until "the one that flushes has ended" is_gone "$upper"
	succeed wait "$upper"
	wait_until "the next one is ready" is_ready_or_gone
	succeed cmp "$image" "$file"
	unmount_rawfuse "$file" waiting
	expect yes fileop "$dir/lower.raw" is 0 4096 9
	daemon=$lower
	mv "$dir/pid.lower" "$dir/pid"
	wait_until "the lower mount is free" umount "$dir/lower.raw" 2>"$dir/err"
	wait_daemon 0
	rm "$dir/lower.img"
}
says_ending() { (($(grep -c ^$ /run/rawfuse/*"${dir##*/}!${file##*/}") == 1)); }

# Another user's, through fusermount3.
of_a_user() {
	local theirs=$dir/theirs
	mkdir "$theirs"
	cp "$image" "$theirs/disk.img"
	chown -R 65534:65534 "$theirs"
	RUN=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	start_theirs "$theirs/disk.img" "$theirs/disk.raw"
	kill_daemon
	start_theirs --replace "$theirs/disk.img" "$theirs/disk.raw"
	succeed "${RUN[@]}" cmp "$theirs/disk.img" "$theirs/disk.raw"
	kill_daemon
	# And by root.
	RUN=(env)
	start_theirs --replace "$theirs/disk.img" "$theirs/disk.raw"
	succeed cmp "$theirs/disk.img" "$theirs/disk.raw"
	succeed umount "$theirs/disk.raw"
	wait_until "it has ended" is_gone "$daemon"
	rm -rf "$theirs"
}

start_theirs() {
	log=$dir/log
	rm -f "$theirs/pid"
	"${RUN[@]}" "$RAWFUSE" -f --io-uring="$transport" --pidfile="$theirs/pid" "$@" \
		>"$log" 2>&1 {machine_lock}<&- &
	daemon=$!
	daemons+=("$daemon")
	wait_until "it is ready" theirs_ready
	is_gone "$daemon" && fail "it ended with $(wait "$daemon"; say $?)"
}
theirs_ready() { [[ -s $theirs/pid ]] || is_gone "$daemon"; }

# The storm. Of $volume there are three more namespaces: one that shares its
# mounts, one that gets them (as a container with rslave), and the host's.
volume=$dir/volume
peers=()

start_peer() { # PROPAGATION
	local -
	unshare -m --propagation "$1" sleep 1000 {machine_lock}<&- &
	peers+=($!)
	wait_until "the namespace is there" is_apart $!
}
is_apart() { [[ ! /proc/$1/ns/mnt -ef /proc/$$/ns/mnt && $(<"/proc/$1/comm") == sleep ]]; }

mounts_in() { grep -c " $(sed 's/ /\\\\040/g' <<<"$volume")/.* fuse.rawfuse " "/proc/$1/mountinfo"; }

start_load() {
	rm -f "$dir/load.out" "$STATE"
	"$helpers/load" run "$volume/disk.raw" "$STATE" 2 >"$dir/load.out" {machine_lock}<&- &
	loader=$!
	wait_until "the load has started" load_runs
}
acknowledged() { [[ -n $(tr -d '\0' <"$STATE" 2>/dev/null | head -c 1) ]]; }
load_runs() { is_gone "$loader" || { [[ -s $dir/load.out ]] && acknowledged; }; }

descriptors() { local f=(/proc/"$daemon"/fd/*); say "${#f[@]}"; }

storm() {
	local rounds=$((${REPLACE_ROUNDS:-100} / 2)) i p first= held mounts
	((rounds > 0)) || rounds=1
	mkdir -p "$volume"
	succeed mount --bind "$volume" "$volume"
	succeed mount --make-rshared "$volume"
	start_peer unchanged
	start_peer slave
	truncate -s 2M "$image"
	start_rawfuse --replace "$image" "$volume/disk.raw"
	wait_until "it is there" is_ready_or_gone
	for ((i = 0; i < rounds; i++)); do
		for p in "${peers[@]}"; do
			mounts=$(mounts_in "$p")
			((mounts == 1)) || fail "round $i: namespace $p has $mounts mounts"
		done
		[[ -n $first ]] || first=$(descriptors)
		held=$(descriptors)
		((held == first)) || fail "round $i: $held descriptors, the first had $first"
		start_load
		kill_daemon
		wait_until "every caller has ended" is_gone "$loader"
		wait "$loader" || fail "load: $(<"$dir/load.out")"
		"$helpers/load" check "$image" "$STATE" || fail "promises were broken"
		start_rawfuse --replace "$image" "$volume/disk.raw"
		wait_until "it is there again" is_ready_or_gone
		is_gone "$daemon" && fail "round $i: it did not start"
	done
	unmount_rawfuse "$volume/disk.raw" detached
	for p in "${peers[@]}"; do
		[[ $(mounts_in "$p") == 0 ]] || fail "namespace $p has mounts left"
		kill "$p"
		wait "$p"
	done 2>/dev/null
	peers=()
	succeed umount "$volume"
	[[ -z $(ls -A "$volume") ]] || fail "left in the volume: $(ls -A "$volume")"
	no_records || fail "left in /run: $(echo /run/rawfuse/*"${dir##*/}"*)"
	no_processes || fail "left: $(our_processes)"
	no_mounts || fail "left: $(our_mounts)"
}

run() {
	make_image disk.img 1M
	dead
	covered
	kept
	live
	no_record
	mistyped
	flushing
	storm
}

require_tool awk cmp
make_image disk.img 1M
each_transport run
if have_tool fusermount3 && have_tool setpriv && [[ -u $(command -v fusermount3) ]]; then
	# One that all may open, in this namespace alone.
	succeed mknod -m 666 "$dir/fuse" c 10 229
	succeed mount --bind "$dir/fuse" /dev/fuse
	each_transport of_a_user
	succeed umount /dev/fuse
else
	skip_part "no fusermount3 that is set-user-ID root"
fi
finish
