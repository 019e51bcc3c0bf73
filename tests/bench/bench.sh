#!/bin/bash
# Measures rawfuse beside the image itself and qemu-storage-daemon's FUSE
# export, all in one run, in rounds that go through all of them, and prints
# medians as markdown. `make bench` calls it; the environment may say:
#
#   BENCH_ROUNDS   rounds, at least 1 (3)
#   BENCH_SECONDS  of each of the six workloads (5)
#   BENCH_SIZE     of the image, a whole number of MiB as fio writes it (1G)
#   BENCH_DIR      where the image is made (/var/tmp); its disk is measured
#   BENCH_ONLY     only these servers, of: image uring dev null qemu
#   BENCH_QEMU_AIO qemu's way to the image: threads, io_uring (threads)
#   RAWFUSE        the program (./rawfuse)
#
# Each server is started anew in every round: its memory is read just after
# mounting (idle) and just before unmounting (peak). Its CPU time is that of
# the whole process, io_uring's worker threads included.
set -eu -o pipefail
export LC_ALL=C

rounds=${BENCH_ROUNDS:-3}
seconds=${BENCH_SECONDS:-5}
size=${BENCH_SIZE:-1G}
only=${BENCH_ONLY:-image uring dev null qemu}
rawfuse=${RAWFUSE:-./rawfuse}

# name, engine, depth, fio's rw, block size
workloads="
r1 psync 1 randread 4k
w1 psync 1 randwrite 4k
r32 io_uring 32 randread 4k
w32 io_uring 32 randwrite 4k
R4 io_uring 4 read 1M
W4 io_uring 4 write 1M"

die() {
	echo "bench: $*" >&2
	exit 1
}

say() {
	echo "bench: $*" >&2
}

command -v fio >/dev/null || die "fio is missing (Debian: apt install fio)"
[ -x "$rawfuse" ] || die "$rawfuse: no such program (make, or set RAWFUSE)"

dir=$(mktemp -d "${BENCH_DIR:-/var/tmp}/rawfuse-bench.XXXXXX")
image=$dir/disk.img
point=$dir/disk.raw
server=
declare -A samples # mode/server/what -> values of all rounds

is_mounted() {
	grep -qF " $point fuse" /proc/self/mounts
}

unmount() {
	umount "$point" 2>/dev/null || fusermount3 -u "$point" 2>/dev/null ||
		umount -l "$point"
}

stop_server() {
	[ -n "$server" ] || return 0
	# qemu goes on without its export: it has to be told.
	[ "$1" != qemu ] || kill "$server" 2>/dev/null || :
	[ "$1" = qemu ] || ! is_mounted || unmount
	wait "$server" || say "$1: exit status $?"
	server=
	! is_mounted || unmount
}

cleanup() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	! is_mounted || unmount || :
	[ -z "$server" ] || wait "$server" 2>/dev/null || :
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# Waits until the export can be used; fails if the server ends before.
wait_ready() {
	local i

	for ((i = 0; i < 100; i++)); do
		kill -0 "$server" 2>/dev/null || break
		if [ "$1" = qemu ]; then
			! is_mounted || return 0
		else
			[ ! -s "$dir/pid" ] || return 0
		fi
		sleep 0.1
	done
	say "$1 does not start: $(tail -n 1 "$dir/log")"
	kill "$server" 2>/dev/null || :
	wait "$server" 2>/dev/null || :
	server=
	return 1
}

# start_server SERVER MODE: sets $target, what fio works on.
start_server() {
	local what=$image how=on direct=off

	target=$point
	rm -f "$dir/pid"
	case $1 in
	image)
		target=$image
		return 0
		;;
	qemu)
		[ "$2" != direct ] || direct=on
		: >>"$point"
		qemu-storage-daemon --blockdev "$(printf %s driver=file, \
			"node-name=f,filename=$image,cache.direct=$direct," \
			"aio=${BENCH_QEMU_AIO:-threads}")" \
			--blockdev driver=raw,node-name=r,file=f \
			--export "$(printf %s type=fuse,id=e,node-name=r, \
			"mountpoint=$point,writable=on")" \
			>"$dir/log" 2>&1 &
		;;
	*)
		[ "$1" != dev ] || how=off
		[ "$1" != null ] || what=null:size=$size
		"$rawfuse" -f --io-uring=$how --cache="$2" \
			--pidfile="$dir/pid" "$what" "$point" \
			>"$dir/log" 2>&1 &
		;;
	esac
	server=$!
	wait_ready "$1"
}

# Clock ticks of the server so far.
cpu_ticks() {
	local stat

	stat=$(<"/proc/$server/stat")
	# shellcheck disable=SC2086 # the fields behind "(comm) "
	set -- ${stat##*) }
	echo $((${12} + ${13}))
}

# memory FIELD: of the server, in KiB.
memory() {
	sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$server/status"
}

add() {
	samples[$1]="${samples[$1]:-} $2"
}

# run_fio ENGINE DEPTH RW BS DIRECT: prints IOPS, or MiB/s for blocks of 1M.
run_fio() {
	fio --name=bench --filename="$target" --size="$size" --ioengine="$1" \
		--iodepth="$2" --rw="$3" --bs="$4" --direct="$5" \
		--time_based --runtime="$seconds" --randrepeat=0 \
		--norandommap --invalidate=0 --fallocate=none \
		--output-format=terse --terse-version=3 |
		awk -F';' -v bs="$4" '$1 == 3 && !$5 {
			# KiB/s and IOPS, of reads and of writes
			if (bs == "1M")
				printf "%d\n", ($7 + $48) / 1024
			else
				printf "%d\n", $8 + $49
			ok = 1
		}
		END { exit !ok }'
}

# The six workloads on what is started.
run_workloads() {
	local server_name=$1 mode=$2 direct=1 before=0 after=0
	local name engine depth rw bs value

	# In the page cache the image itself is read and written through it.
	[ "$server_name$mode" != imagehost ] || direct=0
	while read -r name engine depth rw bs; do
		[ -n "$name" ] || continue
		[ -z "$server" ] || before=$(cpu_ticks)
		value=$(run_fio "$engine" "$depth" "$rw" "$bs" $direct) || {
			say "$server_name: fio failed"
			return 0
		}
		[ -z "$server" ] || after=$(cpu_ticks)
		[ "$value" -gt 0 ] || say "$name: fio counted nothing"
		add "$mode/$server_name/$name" "$value"
		add "$mode/$server_name/cpu-$name" $((after - before))
		sync "$image"
	done <<<"$workloads"
}

prepare() {
	if [ "$1" = host ]; then
		cat "$image" >/dev/null
	else # out of the page cache
		dd if="$image" iflag=nocache count=0 status=none
	fi
}

run_one() {
	local name=$1 mode=$2

	prepare "$mode"
	start_server "$name" "$mode" || return 0
	if [ -n "$server" ]; then
		sleep 0.2
		add "$mode/$name/idle" "$(memory VmRSS)"
	fi
	run_workloads "$name" "$mode"
	if [ -n "$server" ]; then
		add "$mode/$name/peak" "$(memory VmHWM)"
		stop_server "$name"
	fi
}

# The median of a key's samples; nothing if there are none.
median() {
	# shellcheck disable=SC2086 # one value a word
	[ -z "${samples[$1]:-}" ] || printf '%s\n' ${samples[$1]} | sort -n |
		awk '{ v[NR] = $1 }
		END {
			low = v[int((NR + 1) / 2)]
			high = v[int(NR / 2) + 1]
			printf "%.10g\n", (low + high) / 2
		}'
}

# number VALUE FORMAT DIVISOR: "-" for none.
number() {
	[ -n "$1" ] || {
		echo -
		return
	}
	awk -v v="$1" -v d="$3" "BEGIN { printf \"$2\", v / d }"
}

title() {
	case $1 in
	image) echo "the image itself" ;;
	uring) echo "rawfuse, io_uring" ;;
	dev) echo "rawfuse, /dev/fuse" ;;
	null) echo "rawfuse null, io_uring" ;;
	qemu) echo "qemu-storage-daemon" ;;
	esac
}

# CPU seconds of all six, and microseconds for a read at depth 32.
cpu_cells() {
	local key=$1 sum=0 name value rest hz each

	[ -n "${samples[$key/idle]:-}" ] || {
		echo "- | -"
		return
	}
	hz=$(getconf CLK_TCK)
	while read -r name rest; do
		[ -n "$name" ] || continue
		value=$(median "$key/cpu-$name")
		sum=$(awk -v a="$sum" -v b="$value" 'BEGIN { print a + b }')
	done <<<"$workloads"
	each=$(awk -v t="$(median "$key/cpu-r32")" -v hz="$hz" \
		-v n="$(median "$key/r32")" -v s="$seconds" \
		'BEGIN { printf "%.1f", n ? t / hz / (n * s) * 1e6 : 0 }')
	echo "$(number "$sum" %.1f "$hz") | $each"
}

values_table() {
	local mode=$1 name key what

	echo "| server | r1 | w1 | r32 | w32 | R4 | W4 | CPU s | µs/r32 |" \
		"idle MiB | peak MiB |"
	echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
	for name in image uring dev null qemu; do
		key=$mode/$name
		[ -n "${samples[$key/r1]:-}" ] || continue
		printf '| %s ' "$(title $name)"
		for what in r1 w1 r32 w32 R4 W4; do
			printf '| %s ' "$(number "$(median "$key/$what")" %d 1)"
		done
		printf '| %s ' "$(cpu_cells "$key")"
		for what in idle peak; do
			printf '| %s ' \
				"$(number "$(median "$key/$what")" %.1f 1024)"
		done
		echo "|"
	done
	echo
}

# ratio_row TITLE KEY KEY: the first in parts of the second.
ratio_row() {
	local what one two

	[ -n "${samples[$2/r1]:-}" ] && [ -n "${samples[$3/r1]:-}" ] || return 0
	printf '| %s ' "$1"
	for what in r1 w1 r32 w32 R4 W4; do
		one=$(median "$2/$what")
		two=$(median "$3/$what")
		if [ "$two" = 0 ]; then
			printf '| - '
		else
			printf '| %s ' "$(number "$one" %.2f "$two")"
		fi
	done
	echo "|"
}

ratios_table() {
	local name mode

	echo "| ratio | r1 | w1 | r32 | w32 | R4 | W4 |"
	echo "|---|---:|---:|---:|---:|---:|---:|"
	for name in uring dev qemu; do
		ratio_row "page cache: $(title $name) / null" \
			host/$name host/null
	done
	for name in uring dev qemu; do
		ratio_row "direct: $(title $name) / image" \
			direct/$name direct/image
	done
	for mode in host direct; do
		for name in uring dev; do
			ratio_row "$mode: $(title $name) / qemu" \
				$mode/$name $mode/qemu
		done
	done
	echo
}

report() {
	local fs

	fs=$(df --output=fstype "$image" | tail -n 1)
	echo "$rounds rounds of $seconds s each, medians; image of $size on" \
		"$fs; Linux $(uname -r), $(nproc) CPUs;" \
		"$(fio --version); load at the start $load."
	echo
	echo "r1, w1: IOPS of 4 KiB random reads, writes, psync, depth 1." \
		"r32, w32: the same, io_uring, depth 32. R4, W4: MiB/s of" \
		"1 MiB sequential, depth 4. fio with O_DIRECT on the" \
		"exported file; CPU s: the server's, for all six."
	echo
	echo "Image in the page cache (--cache=host; the image itself is read" \
		"and written through the page cache):"
	echo
	values_table host
	echo "Image by O_DIRECT (--cache=direct; the image itself likewise):"
	echo
	values_table direct
	ratios_table
}

# Bytes that no file system can leave out.
make_image() {
	local bytes

	say "making an image of $size in $dir"
	bytes=$(numfmt --from=iec "$size") || die "BENCH_SIZE=$size: not a size"
	((bytes >= 1 << 20)) || die "BENCH_SIZE=$size: too small"
	head -c "$bytes" /dev/urandom >"$image"
	sync "$image"
}

wanted() {
	case " $only " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
	[ "$1" != qemu ] || command -v qemu-storage-daemon >/dev/null
}

load=$(cut -d ' ' -f 1-3 /proc/loadavg)
make_image
for ((round = 1; round <= rounds; round++)); do
	for mode in host direct; do
		for name in image uring dev null qemu; do
			wanted $name || continue
			# null has no cache
			[ $mode$name != directnull ] || continue
			say "round $round of $rounds: $mode, $(title $name)"
			run_one $name $mode
		done
	done
done
report
