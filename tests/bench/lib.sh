# Common to the benchmark's parts: messages, one line of results, memory and
# CPU of the servers, clean ends. Sourced, not run.

die() {
	echo "bench: $*" >&2
	exit 1
}

say() {
	echo "bench: $*" >&2
}

have() {
	command -v "$1" >/dev/null
}

# has WORD LIST
has() {
	case " $2 " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
}

# record SECTION BACKEND CONTENDER WORKLOAD METRIC VALUE: one line of TSV.
record() {
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$round" \
		"$5" "$6" >>"$tsv"
}

# fact NAME VALUE: what the report says at its top.
fact() {
	printf '#%s\t%s\n' "$1" "$2" >>"$tsv"
}

# Microseconds of CPU of all the servers' processes so far.
cpu_us() {
	"$dir/helper" cpu "${pids[@]}"
}

# memory FIELD: KiB, of all the servers' processes.
memory() {
	local pid

	for pid in "${pids[@]}"; do
		sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" \
			"/proc/$pid/status"
	done | awk '{ sum += $1 } END { print sum + 0 }'
}

# How often the servers' threads have gone to sleep.
switches() {
	local pid

	for pid in "${pids[@]}"; do
		cat /proc/"$pid"/task/*/status 2>/dev/null
	done | awk '/^voluntary_ctxt/ { sum += $2 } END { print sum + 0 }'
}

is_mounted() {
	grep -qF " $point fuse" /proc/self/mounts
}

unmount() {
	umount "$point" 2>/dev/null || fusermount3 -u "$point" 2>/dev/null ||
		umount -l "$point"
}

cleanup() {
	local pid

	trap '' INT TERM
	for point in "$dir"/*.raw; do
		! is_mounted || unmount || :
	done
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || :
	done
	[ ${#pids[@]} = 0 ] || wait "${pids[@]}" 2>/dev/null || :
	rm -rf "$dir"
}

# bytes SIZE
bytes() {
	numfmt --from=iec "$1" || die "$1: not a size"
}

# The image's bytes: into the page cache, or out of it.
prepare() {
	case $1 in
	host) cat "$image" >/dev/null ;;
	direct) dd if="$image" iflag=nocache count=0 status=none ;;
	esac
}
