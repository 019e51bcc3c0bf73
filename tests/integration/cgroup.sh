# Memory limits: in a control group of 16 MiB eight readers and writers of 4M
# at a time do not end the daemon, with nothing said; and --memory=SIZE bounds
# what it takes, or refuses what does not fit.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
LIMIT=$((16 << 20))
group=

# The directory of the memory controller, and the name of its limit.
find_controller() {
	local id parent dev root point rest
	while read -r id parent dev root point rest; do
		case $rest in
		*" - cgroup2 "*)
			grep -qw memory "$point/cgroup.controllers" 2>/dev/null &&
				say "$point memory.max"
			;;
		*" - cgroup "*[\ ,]memory*)
			say "$point memory.limit_in_bytes"
			;;
		esac
	done </proc/self/mountinfo | head -n 1
}

remove_group() { rmdir "$group" 2>/dev/null || [[ ! -d $group ]]; }

make_group() {
	local top name
	read -r top name < <(find_controller)
	[[ -n $top ]] || return 1
	group=$top/rawfuse-test-$$
	[[ $name != memory.max ]] ||
		echo +memory >"$top/cgroup.subtree_control" 2>/dev/null
	mkdir "$group" 2>/dev/null || return 1
	restores+=("wait_until 'the control group is empty' remove_group")
	# A swapped-out daemon would not show what is tested here.
	[[ ! -e $group/memory.swap.max ]] || echo 0 >"$group/memory.swap.max"
	[[ ! -e $group/memory.swappiness ]] || echo 0 >"$group/memory.swappiness"
	{ echo $LIMIT >"$group/$name"; } 2>/dev/null
}

# eight DD-OPTION...: eight of them at the same time.
eight() {
	local i pids=()
	for i in 1 2 3 4 5 6 7 8; do
		dd bs=4M status=none "$@" {machine_lock}<&- 2>>"$dir/dd.err" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || fail "dd $*: $(tail -n 1 "$dir/dd.err"); rawfuse: \
$(is_gone "$daemon" && { wait "$daemon"; say "it ended with $?"; })"
	done
}

in_group() {
	RUN=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" env)
	"$@"
	RUN=(env)
}

serves() {
	make_image disk.img 16M
	[[ $1 != qcow2 ]] || {
		mv "$image" "$image.raw"
		succeed qemu-img convert -f raw -O qcow2 "$image.raw" "$image"
	}
	in_group mount_rawfuse "$image" "$file"
	report
	grep -q "^rawfuse: memory: from=cgroup budget=$((LIMIT / 2)) .* cgroup=$LIMIT " \
		"$dir/report" || fail "the limit is not known: $(grep memory: "$dir/report")"
	eight if="$file" of=/dev/null iflag=direct
	eight if=/dev/zero of="$file" count=4 oflag=direct conv=notrunc
	eight if=/dev/urandom of="$file" count=2 conv=notrunc,fsync
	unmount_rawfuse "$file"
}

# --memory: what is resident stays below it.
bounded() {
	local most
	make_image disk.img 16M
	mount_rawfuse --memory=12M --queue-depth=32 "$image" "$file"
	report
	grep -q "^rawfuse: memory: from=option budget=$((12 << 20)) " "$dir/report" ||
		fail "no budget of 12M: $(grep memory: "$dir/report")"
	eight if="$file" of=/dev/null iflag=direct
	eight if=/dev/zero of="$file" count=4 oflag=direct conv=notrunc
	most=$(awk '$1 == "VmHWM:" { print $2 }' "/proc/$daemon/status")
	# AddressSanitizer keeps much more for itself.
	((most <= 12 << 10)) || grep -q __asan_init "$RAWFUSE" ||
		fail "$most KiB were resident"
	unmount_rawfuse "$file"
}

# refuses MESSAGE OPTION...
refuses() {
	local want=$1
	shift
	start_rawfuse "$@" "$image" "$file"
	wait_daemon 1
	check_log "$want"
}

each_transport bounded
transport=auto
refuses '^rawfuse: --memory: of 8M: --queue-depth=64 and --max-write=1M take up to [0-9]+ KiB for [0-9]+ CPUs, and [0-9]+ KiB are left' \
	--memory=8M --queue-depth=64 --max-write=1M
refuses '^rawfuse: --memory: of 8M: --metadata-cache=64M does not fit' \
	--memory=8M --metadata-cache=64M
if have_tool qemu-img; then
	rm -f "$image"
	# 512-byte clusters: an L1 table of 16 MiB.
	succeed qemu-img create -q -f qcow2 -o cluster_size=512 "$image" 64G
	refuses 'qcow2: its tables and buffers, .* take [0-9]+ KiB of memory, and [0-9]+ KiB are left for them' \
		--memory=16M
	transport=off
	mount_rawfuse --memory=128M "$image" "$file"
	unmount_rawfuse "$file"
else
	skip_part "qcow2: qemu-img is not installed"
fi
if make_group; then
	each_transport serves raw
	! have_tool qemu-img || each_transport serves qcow2
else
	skip_part "a limit: no control group with a memory limit can be made"
fi
finish
