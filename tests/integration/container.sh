# rawfuse as the only program of a container, as PID 1, with a root that cannot be
# written, in 16 MiB: by podman, with the right to mount under its usual seccomp
# profile and under that of contrib/container, without that right, with the mount
# passed in, and in a user namespace. Where podman cannot run: namespaces alone.
#
# CONTAINER_RAWFUSE is the program (that of this build, with its libraries; or a
# static one, which contrib/container/build.sh makes).
. "$abs_top_srcdir/tests/integration/lib.sh"
require_tool unshare nsenter setpriv

program=${CONTAINER_RAWFUSE:-$RAWFUSE}
root=$dir/root
vol=$dir/vol
file=$vol/disk.raw
name=rawfuse-test-$$
restores+=('clean_podman')

clean_podman() {
	[[ -z ${podman[*]:-} ]] || "${podman[@]}" rm -f -t 0 -a >/dev/null 2>&1
	umount -R "$dir/podman/overlay" 2>/dev/null
}

# A root with the program and what it is linked to.
make_root() {
	local lib
	mkdir -p "$root"/{proc,sys,dev,disk,tmp,run,etc}
	cp "$program" "$root/rawfuse" || fail "no $program"
	for lib in $(ldd "$program" 2>/dev/null | grep -oE '/[^ ]+'); do
		mkdir -p "$root${lib%/*}"
		cp -L "$lib" "$root$lib"
	done
}

# podman with what it keeps in $dir, by a runtime that works here. Limits of its
# own choice are more than the machine may give.
find_podman() {
	local runtime
	have_tool podman || return 1
	for runtime in crun runc; do
		have_tool $runtime || continue
		podman=(podman --root "$dir/podman" --runroot "$dir/podman.run"
			--runtime "$runtime" --cgroup-manager cgroupfs
			--events-backend none)
		run=(run --network none --read-only --read-only-tmpfs=false
			--ulimit nofile=1024:1024
			--ulimit nproc=1000:1000 --log-driver k8s-file)
		"${podman[@]}" "${run[@]}" --rm --rootfs "$root" /rawfuse \
			--version >"$dir/podman.out" 2>&1 {machine_lock}<&- &&
			return
	done
	return 1
}

# start OPTION... -- WORD...: the container, in the background.
start() {
	local options=()
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	shift
	"${podman[@]}" "${run[@]}" -d --name "$name" -v "$vol:/disk:rshared" \
		"${options[@]}" --rootfs "$root" /rawfuse -f "$@" \
		>"$dir/start.out" 2>&1 {machine_lock}<&-
}

logs() { "${podman[@]}" logs "$name" 2>&1; }
is_ready() { logs >"$dir/logs"; grep -q ': ready: ' "$dir/logs"; }
has_ended() {
	[[ $("${podman[@]}" inspect -f '{{.State.Status}}' "$name") == exited ]]
}
is_ready_or_ended() { is_ready || has_ended; }
pid_of() { "${podman[@]}" inspect -f '{{.State.Pid}}' "$name"; }

remove() { "${podman[@]}" rm -f "$name" >/dev/null 2>&1 || fail 'podman rm'; }

# ended STATUS: what podman wait says.
ended() {
	local status
	status=$("${podman[@]}" wait "$name")
	[[ $status == "$1" ]] || fail "it ended with $status, not $1: $(logs)"
	remove
}

# Data in, out, and on the disk when it has ended by SIGTERM.
use_file() {
	dd if=/dev/urandom of="$dir/data" bs=1M count=20 status=none
	dd if="$dir/data" of="$file" bs=1M conv=notrunc,fsync status=none ||
		fail 'it cannot be written'
	cmp -n $((20 << 20)) "$dir/data" "$file" || fail 'it reads otherwise'
}

# Orphans of the container are its children, and do not stay as zombies.
orphans_are_reaped() {
	local pid
	pid=$(pid_of)
	nsenter -t "$pid" -p sh -c '(sleep 0.1 &) ; exit 0'
	wait_until 'orphans of the container are gone' no_children "$pid"
}
no_children() { ! grep -q . "/proc/$1/task/$1/children"; }

# with_right TRANSPORT OPTION...
with_right() {
	local by=$1
	shift
	make_image disk.img 64M
	mv "$dir/disk.img" "$vol/disk.img"
	: >"$file"
	start --cap-add SYS_ADMIN --device /dev/fuse --memory 16m "$@" \
		-- /disk/disk.img /disk/disk.raw || fail "podman: $(<"$dir/start.out")"
	wait_until 'the container is ready' is_ready_or_ended
	is_ready || fail "it has ended: $(logs)"
	grep -q "by $by\$" "$dir/logs" || fail "not by $by: $(<"$dir/logs")"
	is_mounted "$file" || fail 'the mount is not here'
	grep -q '^NSpid:.*[[:space:]]1$' "/proc/$(pid_of)/status" ||
		fail 'it is not PID 1'
	use_file
	# As the probes of a pod do.
	"${podman[@]}" exec "$name" /rawfuse --status /disk/disk.raw \
		>"$dir/status" 2>&1 {machine_lock}<&- ||
		fail "--status in the container: $(<"$dir/status")"
	orphans_are_reaped
	"${podman[@]}" stop -t 60 "$name" >/dev/null || fail 'podman stop'
	ended 0
	! is_mounted "$file" || fail 'it has ended and the mount is here'
	cmp -n $((20 << 20)) "$dir/data" "$vol/disk.img" || fail 'data is lost'
}

# The mount ends from here, and with it the container.
ends_by_umount() {
	start --cap-add SYS_ADMIN --device /dev/fuse -- /disk/disk.img \
		/disk/disk.raw || fail "podman: $(<"$dir/start.out")"
	wait_until 'the container is ready' is_ready_or_ended
	umount "$file" || fail 'umount'
	ended 0
}

without_right() {
	start --cap-drop ALL --device /dev/fuse -- /disk/disk.img /disk/disk.raw
	ended_with='/disk/disk.raw: mount'
	wait_until 'it has ended' has_ended
	logs >"$dir/logs"
	grep -q "^rawfuse: $ended_with" "$dir/logs" || fail "it says $(<"$dir/logs")"
	ended 1
	start --cap-add SYS_ADMIN -- /disk/disk.img /disk/disk.raw
	wait_until 'it has ended' has_ended
	logs >"$dir/logs"
	grep -q '^rawfuse: .*/dev/fuse' "$dir/logs" || fail "it says $(<"$dir/logs")"
	ended 1
}

# A process outside mounts, and passes the descriptor on by a socket: the
# container has no capability, no device, no root, and no way to gain any.
passed_in() {
	local half
	chown -R 65534:65534 "$vol"
	"$abs_top_builddir/contrib/rawfuse-mount" -u 65534:65534 \
		-o allow_other -s "$vol/sock" "$file" >"$dir/half.log" 2>&1 \
		{machine_lock}<&- &
	half=$!
	wait_until 'the socket is there' test -S "$vol/sock"
	start --cap-drop ALL --user 65534:65534 --memory 16m \
		--security-opt no-new-privileges -- \
		--fuse-socket=/disk/sock /disk/disk.img ||
		fail "podman: $(<"$dir/start.out")"
	wait_until 'the container is ready' is_ready_or_ended
	is_ready || fail "it has ended: $(logs) $(<"$dir/half.log")"
	grep -qE '^Cap(Prm|Eff|Bnd):.*[1-9a-f]' "/proc/$(pid_of)/status" &&
		fail 'it has a capability'
	use_file
	"${podman[@]}" stop -t 60 "$name" >/dev/null || fail 'podman stop'
	ended 0
	cmp -n $((20 << 20)) "$dir/data" "$vol/disk.img" || fail 'data is lost'
	kill "$half"
	wait "$half" || fail "rawfuse-mount: $(<"$dir/half.log")"
	! is_mounted "$file" || fail 'the mount is left'
	chown -R 0:0 "$vol"
}

# A user without any right, in a user namespace of its own: the file is there
# for what runs in the same mount namespace. Most systems let everybody open
# /dev/fuse.
in_user_namespace() {
	local pid ns
	if ! setpriv --reuid 65534 --regid 65534 --clear-groups \
		unshare -Urm true 2>"$dir/err"; then
		skip_part "a user namespace: $(<"$dir/err")"
		return
	fi
	mknod -m 666 "$dir/fuse" c 10 229 || fail 'mknod'
	chown -R 65534:65534 "$vol"
	unshare -m bash -c 'mount --bind "$0" /dev/fuse && exec "$@"' \
		"$dir/fuse" setpriv --reuid 65534 --regid 65534 --clear-groups \
		unshare -Urmpf --mount-proc "$RAWFUSE" -f "$vol/disk.img" \
		"$file" >"$dir/logs" 2>&1 {machine_lock}<&- &
	ns=$!
	wait_until 'it is ready' grep -q ': ready: ' "$dir/logs"
	! is_mounted "$file" || fail 'a user namespace mounts outside of it'
	pid=$(<"/proc/$ns/task/$ns/children")
	[[ $(nsenter -t $pid -U -m sha256sum <"$vol/disk.img" |
		cut -d' ' -f1) == "$(nsenter -t $pid -U -m \
			sha256sum "$file" | cut -d' ' -f1)" ]] ||
		fail 'it reads otherwise'
	kill -TERM $pid
	wait "$ns" || fail "it ended with $?: $(<"$dir/logs")"
	chown -R 0:0 "$vol"
}

# Without podman: a PID and a mount namespace whose root is $root.
namespaces() {
	local pid
	make_image disk.img 64M
	mv "$dir/disk.img" "$vol/disk.img"
	: >"$file"
	mount --bind "$vol" "$root/disk" || fail 'mount --bind'
	mount --bind /dev "$root/dev" || fail 'mount --bind'
	mount --bind -o ro /sys "$root/sys" || fail 'mount --bind'
	unshare -pmf --propagation unchanged --mount-proc \
		--root "$root" /rawfuse -f --io-uring=off /disk/disk.img \
		/disk/disk.raw >"$dir/logs" 2>&1 {machine_lock}<&- &
	wait_until 'it is ready' grep -q ': ready: ' "$dir/logs"
	pid=$(<"/proc/$!/task/$!/children")
	is_mounted "$file" || fail 'the mount is not here'
	use_file
	kill -TERM $pid
	wait $! || fail "it ended with $?: $(<"$dir/logs")"
	umount "$root/sys" "$root/dev" "$root/disk"
	cmp -n $((20 << 20)) "$dir/data" "$vol/disk.img" || fail 'data is lost'
}

make_root
mkdir "$vol"
mount --bind "$vol" "$vol" && mount --make-shared "$vol" || fail 'no shared mount'
if find_podman; then
	with_right /dev/fuse
	ends_by_umount
	if ! uring_enabled; then
		skip_part 'io_uring: fuse.enable_uring is not Y'
	elif bash "$abs_top_srcdir/contrib/container/seccomp.sh" \
		>"$dir/seccomp.json" 2>"$dir/err"; then
		with_right io_uring --security-opt seccomp="$dir/seccomp.json"
	else
		skip_part "a profile: $(<"$dir/err")"
	fi
	without_right
	passed_in
else
	podman=()
	skip_part "podman: $(tail -n 1 "$dir/podman.out" 2>/dev/null ||
		say 'it is not installed')"
	namespaces
fi
in_user_namespace
umount "$vol" || fail 'umount of the volume'
finish
