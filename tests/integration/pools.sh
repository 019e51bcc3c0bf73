# Buffer pools (Linux 7.3): fewer buffers than callers, and all make progress;
# locked memory and rights that are missing, with the reason in the report; and
# --zero-copy=on, which refuses in one line. Elsewhere the last alone is tested.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
USER1=65534
unset RAWFUSE_OPTIONS RAWFUSE_EXPECT

# payloads PATTERN: the report's line has it.
payloads() {
	report
	grep -q "^rawfuse: payloads: .*$1" "$dir/report" ||
		fail "not '$1': $(grep payloads: "$dir/report")"
}

number_of() { sed -n "s/^.*[ :]$1=\([0-9]*\).*/\1/p" "$dir/report"; }

# load OPTION...: 24 callers of 1 MiB requests; each job has its own part.
load() {
	cd "$dir" && exec timeout 200 fio --name=few --filename=disk.raw \
		--size=3M --offset_increment=3M --numjobs=8 --thread --bs=1M \
		--direct=1 --ioengine=libaio --iodepth=3 --fallocate=none \
		"$@" >"$dir/fio.out" 2>&1 {machine_lock}<&-
}

# More requests have come to the kernel than there are buffers; here are no more
# than those.
is_crowded() {
	local waiting
	report
	read -r waiting <"/sys/fs/fuse/connections/$connection/waiting"
	(($(number_of in_flight) <= limit && waiting > limit))
}

# few BUFFERS OPTION...: fewer buffers than callers.
few() {
	local buffers=$1 loader
	shift
	rm -f "$image"
	truncate -s 24M "$image"
	mount_rawfuse --queue-depth=32 --zero-copy=off "$@" "$image" "$file"
	payloads "pool=$((buffers << 20)) "
	connection=$(connection_of "$file")
	limit=$((buffers * $(number_of queues)))
	(load --rw=randrw --time_based --runtime=150) &
	loader=$!
	wait_until "callers wait for buffers" is_crowded
	kill "$loader"
	wait "$loader"
	# With an end that each job reaches.
	(load --rw=randwrite --verify=crc32c --verify_fatal=1 --loops=2) ||
		fail "fio, $buffers buffers: $(tail -n 20 "$dir/fio.out")"
	# Requests of all kinds.
	"$helpers/model" run -s 8 -n 60 -m 25165824 "$file" "$dir/copy" ||
		fail "the model, $buffers buffers"
	unmount_rawfuse "$file"
	succeed cmp "$image" "$dir/copy"
}

# lacking REASON MODE: under RAWFUSE_RUN, with options; and it works.
lacking() {
	local why=$1 mode=$2
	shift 2
	make_image disk.img 3000001
	mount_rawfuse "$@" "$image" "$file"
	payloads "mode=$mode .*why=.*$why"
	succeed cmp "$image" "$file"
	"$helpers/model" run -s 9 -n 60 -m 3500000 "$file" "$dir/copy" ||
		fail "the model: $why"
	unmount_rawfuse "$file"
	succeed cmp "$image" "$dir/copy"
}

# Without CAP_IPC_LOCK the limit counts.
memlock_too_small() {
	local RAWFUSE_RUN="setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock
		prlimit --memlock=3145728:3145728"
	lacking 'ulimit -l' pool --zero-copy=off --buffer-pool=4M
	lacking 'ulimit -l' zero-copy,pool --zero-copy=auto --buffer-pool=4M
	RAWFUSE_RUN=${RAWFUSE_RUN//3145728/268435456}
	mount_rawfuse --zero-copy=off --buffer-pool=4M "$image" "$file"
	payloads 'mode=registered-pool '
	unmount_rawfuse "$file"
}

as_user() { setpriv --reuid $USER1 --regid $USER1 --clear-groups "$@"; }

# A user who mounts by fusermount3.
unprivileged() {
	local RAWFUSE_RUN="setpriv --reuid $USER1 --regid $USER1 --clear-groups"
	if ! have_tool fusermount3; then
		skip_part "a user's mount: fusermount3 is not installed"
		return
	fi
	mkdir -p "$dir/user"
	chown $USER1 "$dir/user" "$dir"
	make_image disk.img 1000001
	cp "$image" "$dir/reference"
	chown $USER1 "$image"
	mount_rawfuse --zero-copy=auto "$image" "$file"
	payloads 'mode=[a-z-]*pool .*why=.*CAP_SYS_ADMIN'
	succeed as_user cmp "$dir/reference" "$file"
	succeed as_user dd if="$dir/reference" of="$file" conv=notrunc,fsync \
		bs=70000 status=none
	succeed as_user fusermount3 -u "$file"
	wait_daemon 0
	refused 'CAP_SYS_ADMIN' $RAWFUSE_RUN
	chown 0 "$dir"
}

# refused WHY COMMAND...: --zero-copy=on, in one line.
refused() {
	local why=$1
	shift
	"$@" timeout 20 "$RAWFUSE" --zero-copy=on "$image" "$file" >"$dir/out" 2>"$dir/err" {machine_lock}<&-
	[[ $? == 1 ]] || fail "--zero-copy=on did not end with 1: $(<"$dir/err")"
	[[ $(<"$dir/err") =~ ^rawfuse:\ .*zero-copy.*$why && $(<"$dir/err") != *$'\n'* ]] ||
		fail "--zero-copy=on said '$(<"$dir/err")', not '$why'"
	no_mounts || fail "--zero-copy=on left a mount"
	wait_until "no process is left" no_processes
}

require_tool cmp setpriv prlimit
uring_enabled || skip "fuse.enable_uring is not Y"
make_image disk.img 1M
mount_rawfuse "$image" "$file"
report
unmount_rawfuse "$file"
if grep -q 'why=the kernel has no buffer pools' "$dir/report"; then
	refused 'no buffer pools'
	skip_part "this kernel has no buffer pools (Linux 7.3 has)"
	finish
fi
if have_tool fio; then
	few 2 --buffer-pool=2M
	few 1 --buffer-pool=1M
	few 1 --buffer-pool=1M --cache=host
else
	skip_part "fio is not installed"
fi
memlock_too_small
unprivileged
finish
