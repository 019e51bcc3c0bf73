#!/bin/bash
# Measures rawfuse beside the image itself and qemu-storage-daemon's FUSE
# export, all in one run, in rounds that go through all of them, and prints
# medians as markdown; then qcow2 beside raw, and beside QEMU's. `make bench`
# calls it; the environment may say:
#
#   BENCH_ROUNDS   rounds, at least 1 (3)
#   BENCH_SECONDS  of each of the six workloads (5)
#   BENCH_SIZE     of the image, a whole number of MiB as fio writes it (1G)
#   BENCH_DIR      where the image is made (/var/tmp); its disk is measured
#   BENCH_COLD     of the qcow2 image whose tables are not cached (8G)
#   BENCH_ONLY     only these servers, of: image uring dev null qemu; and
#                  qcow2 for all of that section
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
cold_size=${BENCH_COLD:-8G}
only=${BENCH_ONLY:-image uring dev null qemu qcow2}
rawfuse=${RAWFUSE:-./rawfuse}

# name, engine, depth, fio's rw, block size
workloads="
r1 psync 1 randread 4k
w1 psync 1 randwrite 4k
r32 io_uring 32 randread 4k
w32 io_uring 32 randwrite 4k
R4 io_uring 4 read 1M
W4 io_uring 4 write 1M"

# Each of these starts with nothing of the image's tables in memory.
cold_workloads="
c1 psync 1 randread 4k
c32 io_uring 32 randread 4k"

# Every block once, so that all of them are new to the image.
alloc_workloads="
a1 psync 1 randwrite 64k
a16 io_uring 16 randwrite 64k"
again="--time_based --norandommap"

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
format=raw # of $image
declare -A samples # mode/server/what -> values of all rounds

is_qemu() {
	[[ $1 == *qemu ]]
}

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
	! is_qemu "$1" || kill "$server" 2>/dev/null || :
	is_qemu "$1" || ! is_mounted || unmount
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
		if is_qemu "$1"; then
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
	local what=$image how=on direct=off driver=$format

	target=$point
	rm -f "$dir/pid"
	case $1 in
	image)
		target=$image
		return 0
		;;
	*qemu)
		[ "$2" != direct ] || direct=on
		: >>"$point"
		qemu-storage-daemon --blockdev "$(printf %s driver=file, \
			"node-name=f,filename=$image,cache.direct=$direct," \
			"aio=${BENCH_QEMU_AIO:-threads}")" \
			--blockdev driver="$format",node-name=r,file=f \
			--export "$(printf %s type=fuse,id=e,node-name=r, \
			"mountpoint=$point,writable=on")" \
			>"$dir/log" 2>&1 &
		;;
	*)
		[ "$1" != dev ] || how=off
		[ "$1" != null ] || what=null:size=$size driver=null
		"$rawfuse" -f --io-uring=$how --cache="$2" --format=$driver \
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
	# shellcheck disable=SC2086 # $again: options
	fio --name=bench --filename="$target" --size="$size" --ioengine="$1" \
		--iodepth="$2" --rw="$3" --bs="$4" --direct="$5" \
		$again --runtime="$seconds" --randrepeat=0 \
		--invalidate=0 --fallocate=none \
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

# The workloads on what is started; their samples are MODE/SERVER's.
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

# run_one SERVER MODE
run_one() {
	local name=$1 mode=$2

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

# The images of the qcow2 section: one that is like $image, with all clusters
# written, and a large one that has its tables and no data.
make_qcow2_images() {
	say "making qcow2 images in $dir"
	qemu-img create -q -f qcow2 -o preallocation=metadata \
		"$dir/full.qcow2" "$size"
	qemu-img convert -n -f raw -O qcow2 "$image" "$dir/full.qcow2"
	qemu-img create -q -f qcow2 -o preallocation=metadata \
		"$dir/cold.qcow2" "$cold_size"
	truncate -s "$cold_size" "$dir/cold.raw"
	sync "$dir/full.qcow2" "$dir/cold.qcow2"
}

# run_each SERVER MODE: each workload by a server of its own.
run_each() {
	local all=$workloads workloads

	while read -r workloads; do
		[ -n "$workloads" ] || continue
		if [ "$image" = "$dir/new.img" ]; then
			rm -f "$image"
			qemu-img create -q -f $format "$image" "$size"
		else # cold, whatever the mode
			dd if="$image" iflag=nocache count=0 status=none
		fi
		run_one "$1" "$2"
	done <<<"$all"
}

# run_qcow2 SERVER MODE: raw is rawfuse on the raw image.
run_qcow2() {
	local name=$1 mode=$2 image=$image format=qcow2

	if [ "$name" = raw ]; then
		format=raw
	else
		image=$dir/full.qcow2
	fi
	prepare "$mode"
	run_one "q-$name" "$mode"
	image=$dir/cold.$format
	size=$cold_size workloads=$cold_workloads run_each "cold-$name" "$mode"
	image=$dir/new.img
	size=$cold_size workloads=$alloc_workloads again="" \
		run_each "alloc-$name" "$mode"
	rm -f "$image"
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
	*-raw) echo "rawfuse, raw" ;;
	*-qcow2) echo "rawfuse, qcow2" ;;
	*-qemu) echo "qemu-storage-daemon, qcow2" ;;
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

# values_table MODE SERVER...
values_table() {
	local mode=$1 name key what

	shift

	echo "| server | r1 | w1 | r32 | w32 | R4 | W4 | CPU s | µs/r32 |" \
		"idle MiB | peak MiB |"
	echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
	for name; do
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

# ratio_cells KEY KEY WHAT...: the first in parts of the second.
ratio_cells() {
	local one=$1 two=$2 what

	shift 2
	for what; do
		if [ "$(median "$two/$what")" = 0 ] ||
			[ -z "${samples[$two/$what]:-}" ]; then
			printf '| - '
		else
			printf '| %s ' "$(number "$(median "$one/$what")" %.2f \
				"$(median "$two/$what")")"
		fi
	done
}

ratio_row() { # TITLE KEY KEY
	[ -n "${samples[$2/r1]:-}" ] && [ -n "${samples[$3/r1]:-}" ] || return 0
	printf '| %s ' "$1"
	ratio_cells "$2" "$3" r1 w1 r32 w32 R4 W4
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

conditions() {
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
}

report() {
	echo "Image in the page cache (--cache=host; the image itself is read" \
		"and written through the page cache):"
	echo
	values_table host image uring dev null qemu
	echo "Image by O_DIRECT (--cache=direct; the image itself likewise):"
	echo
	values_table direct image uring dev null qemu
	ratios_table
}

# The large image and the empty one.
qcow2_cells() {
	local mode=$1 name what

	for name in raw qcow2 qemu; do
		[ -n "${samples[$mode/q-$name/r1]:-}" ] || continue
		printf '| %s: %s ' "$mode" "$(title q-$name)"
		for what in cold-$name/c1 cold-$name/c32 alloc-$name/a1 \
			alloc-$name/a16; do
			printf '| %s ' "$(number "$(median "$mode/$what")" %d 1)"
		done
		for what in cold alloc; do
			printf '| %s ' "$(number \
				"$(median "$mode/$what-$name/peak")" %.1f 1024)"
		done
		echo "|"
	done
}

qcow2_report() {
	local mode other

	echo "qcow2, $(qemu-img --version | sed -n 's/^qemu-img version //p'):" \
		"clusters of 64 KiB, preallocation=metadata and all of it" \
		"written, beside the raw image with the same bytes."
	echo
	for mode in host direct; do
		echo "--cache=$mode:"
		echo
		values_table $mode q-raw q-qcow2 q-qemu
	done
	echo "c1, c32: IOPS of 4 KiB random reads all over an image of" \
		"$cold_size, no table of it in memory at the start (and no" \
		"data in it), depth 1, 32. a1, a16: IOPS of 64 KiB random" \
		"writes, each to a new place of an empty image of" \
		"$cold_size. MiB: the server's peak."
	echo
	echo "| server | c1 | c32 | a1 | a16 | c MiB | a MiB |"
	echo "|---|---:|---:|---:|---:|---:|---:|"
	for mode in host direct; do
		qcow2_cells $mode
	done
	echo
	echo "| ratio | r1 | w1 | r32 | w32 | R4 | W4 | c1 | c32 | a1 | a16 |"
	echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
	for mode in host direct; do
		for other in raw qemu; do
			[ -n "${samples[$mode/q-$other/r1]:-}" ] || continue
			printf '| %s: qcow2 / %s ' $mode $other
			ratio_cells $mode/q-qcow2 $mode/q-$other \
				r1 w1 r32 w32 R4 W4
			ratio_cells $mode/cold-qcow2 $mode/cold-$other c1 c32
			ratio_cells $mode/alloc-qcow2 $mode/alloc-$other a1 a16
			echo "|"
		done
	done
	echo
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
	case $1 in
	qemu) command -v qemu-storage-daemon >/dev/null ;;
	qcow2) command -v qemu-img >/dev/null ;;
	esac
}

load=$(cut -d ' ' -f 1-3 /proc/loadavg)
make_image
! wanted qcow2 || make_qcow2_images
for ((round = 1; round <= rounds; round++)); do
	for mode in host direct; do
		for name in image uring dev null qemu; do
			wanted $name || continue
			# null has no cache
			[ $mode$name != directnull ] || continue
			say "round $round of $rounds: $mode, $(title $name)"
			prepare $mode
			run_one $name $mode
		done
		wanted qcow2 || continue
		for name in raw qcow2 qemu; do
			[ $name != qemu ] ||
				command -v qemu-storage-daemon >/dev/null ||
				continue
			say "round $round of $rounds: $mode, $(title q-$name)"
			run_qcow2 $name $mode
		done
	done
done
conditions
[ "$only" = qcow2 ] || report
! wanted qcow2 || qcow2_report
