# Mount and end, MOUNTS times (make check-mounts: 10,000), in every way: nothing
# is left of it, neither mounts nor connections, files, processes, nor memory of
# the kernel's.
WATCHDOG=${WATCHDOG:-7200}
. "$abs_top_srcdir/tests/integration/lib.sh"

MOUNTS=${MOUNTS:-60}
LEAK=4 # KiB; the least that a mount left behind takes
raw=$dir/disk.img
qcow2=$dir/disk.qcow2
file=$dir/disk.raw
connections=/sys/fs/fuse/connections

unreclaimable() { awk '$1 == "SUnreclaim:" { print $2 }' /proc/meminfo; }

# What is there, without times.
things() {
	find "$dir" /run/rawfuse -printf '%p %y %s\n' 2>/dev/null |
		grep -F "${dir##*/}" | grep -v '/log f ' | sort
}

once() { # NUMBER
	local image=$raw way=on minor
	(($1 & 1)) && image=$qcow2
	(($1 & 2)) && way=off
	if ((($1 >> 2) % 3 == 2)); then
		: >"$file" # or else rawfuse makes it, and removes it
	fi
	uring_enabled || way=off
	"${START[@]}" --io-uring=$way --pidfile="$dir/pid" "$image" "$file" \
		>>"$dir/log" 2>&1 || fail "$1: rawfuse ended with $?: $(<"$dir/log")"
	minor=$(connection_of "$file")
	[[ -n $minor ]] || fail "$1: there is no mount"
	case $((($1 >> 2) % 3)) in
	0) umount "$file" || fail "$1: umount" ;;
	1) kill "$(<"$dir/pid")" ;;
	2) umount -l "$file" || fail "$1: umount -l" ;;
	esac
	"$RAWFUSE" --wait "$dir/pid" >>"$dir/log" 2>&1 ||
		fail "$1: it ended with $?: $(<"$dir/log")"
	[[ ! -e $connections/$minor ]] || fail "$1: connection $minor is left"
	if ((($1 >> 2) % 3 == 2)); then
		rm "$file" || fail "$1: the file is gone"
	fi
}

START=(timeout 60 "$RAWFUSE")
make_image disk.img 1M
require_tool qemu-img
qemu-img create -q -f qcow2 "$qcow2" 64M
for ((i = 0; i < 12; i++)); do once $i; done
before=$(things)
memory=$(unreclaimable)
for ((i = 0; i < MOUNTS; i++)); do
	once $i
	((i % 1000 != 999)) || say "$((i + 1)) mounts"
done
wait_until "all processes have ended" no_processes
no_mounts || fail "left $(our_mounts)"
[[ $(things) == "$before" ]] || fail "left: $(diff <(echo "$before") <(things))"
grown=$(($(unreclaimable) - memory))
say "$MOUNTS mounts; memory of the kernel that cannot be reclaimed has grown by $grown KiB"
# Fewer mounts would not show above what else the machine does.
((MOUNTS < 10000 || grown < MOUNTS * LEAK)) || fail "the kernel has kept something of each"
finish
