# The workloads, and one measurement of one. Sourced by bench.sh.
#
# name, engine, depth, jobs, fio's rw, block size, how: direct (O_DIRECT on the
# exported file), cached (through its page cache, emptied before), hot (16 MiB
# of it, read before), sync (an fsync after every write), open (no fio: open,
# fstat, close), once (every block once), or a number: O_DIRECT, and so many
# microseconds of thought after each request
table="
r1 psync 1 1 randread 4k direct
w1 psync 1 1 randwrite 4k direct
m1 psync 1 1 randrw 4k direct
r1x4 psync 1 4 randread 4k direct
w1x4 psync 1 4 randwrite 4k direct
m1x4 psync 1 4 randrw 4k direct
r2 io_uring 2 1 randread 4k direct
w2 io_uring 2 1 randwrite 4k direct
r4 io_uring 4 1 randread 4k direct
w4 io_uring 4 1 randwrite 4k direct
r8 io_uring 8 1 randread 4k direct
w8 io_uring 8 1 randwrite 4k direct
r32 io_uring 32 1 randread 4k direct
w32 io_uring 32 1 randwrite 4k direct
m32 io_uring 32 1 randrw 4k direct
r32x4 io_uring 32 4 randread 4k direct
w32x4 io_uring 32 4 randwrite 4k direct
m32x4 io_uring 32 4 randrw 4k direct
r128 io_uring 128 1 randread 4k direct
w128 io_uring 128 1 randwrite 4k direct
m128 io_uring 128 1 randrw 4k direct
r128x4 io_uring 128 4 randread 4k direct
w128x4 io_uring 128 4 randwrite 4k direct
m128x4 io_uring 128 4 randrw 4k direct
R128k io_uring 4 1 read 128k direct
W128k io_uring 4 1 write 128k direct
R128kx4 io_uring 4 4 read 128k direct
W128kx4 io_uring 4 4 write 128k direct
R1M io_uring 4 1 read 1M direct
W1M io_uring 4 1 write 1M direct
R1Mx4 io_uring 4 4 read 1M direct
W1Mx4 io_uring 4 4 write 1M direct
bR128k psync 1 1 read 128k cached
bW128k psync 1 1 write 128k cached
bR128kx4 psync 1 4 read 128k cached
bW128kx4 psync 1 4 write 128k cached
bR1M psync 1 1 read 1M cached
bW1M psync 1 1 write 1M cached
bR1Mx4 psync 1 4 read 1M cached
bW1Mx4 psync 1 4 write 1M cached
hot psync 1 1 read 4k hot
sync psync 1 1 randwrite 4k sync
think40 psync 1 1 randread 4k 40
think200 psync 1 1 randread 4k 200
think5000 psync 1 1 randread 4k 5000
open - 1 1 - - open
c1 psync 1 1 randread 4k direct
c32 io_uring 32 1 randread 4k direct
a1 psync 1 1 randwrite 64k once
a16 io_uring 16 1 randwrite 64k once"

main_all=$(awk 'NF && $1 !~ /^[ac][0-9]/ { print $1 }' <<<"$table" | xargs)
main_some="r1 w1 m1 r4 r32 w32 m32 r128 w128 r32x4 w32x4 R128k W128k R1M W1M \
R1Mx4 W1Mx4 bR128k bW128k hot sync open"
main_quick="r1 w1 r32 w32 R1M W1M"
ramp=0.3

# fio_options ENGINE DEPTH JOBS RW BS HOW BACKEND CONTENDER: sets options, and
# timed: whether it runs for so many seconds, rather than once.
fio_options() {
	local total direct=1

	total=$(bytes "$size")
	[ "$6" != hot ] || total=$((16 << 20))
	case $6:$8$7 in
	cached:* | hot:*) direct=0 ;;
	# The page cache's limit is the page cache.
	*:imagehost) direct=0 ;;
	esac
	options=(--name=bench --filename="$target" --ioengine="$1"
		--iodepth="$2" --numjobs="$3" --rw="$4" --bs="$5"
		--size=$((total / $3)) --direct=$direct --fallocate=none
		--randrepeat=1 --randseed=$((7919 + round)) --group_reporting
		--lat_percentiles=1 --clat_percentiles=0
		--percentile_list=50:99:99.9 --output-format=json)
	case $4 in
	rand*) options+=(--rwmixread=70) ;;
	*) options+=(--offset_increment=$((total / $3))) ;;
	esac
	case $6 in
	sync) options+=(--fsync=1) ;;
	[0-9]*)
		options+=(--thinktime="$6us")
		# Sleeps are not as short as that.
		[ "$6" -gt 1000 ] || options+=(--thinktime_spin="$6us")
		;;
	esac
	timed=1
	case $6:$4 in
	cached:read | once:*) timed= ;;
	*) options+=(--time_based --norandommap --ramp_time=${ramp}s
		--runtime="$seconds") ;;
	esac
	# Read-ahead fills what is not there; the page cache's limit stays.
	if [ "$6" = cached ] && [ "$8$7" != imagehost ]; then
		options+=(--invalidate=1)
	else
		options+=(--invalidate=0)
	fi
}

# Requests, seconds, requests a second, MiB a second, p50, p99, p99.9 in us; for
# sync the latency of the fsync.
read_fio() {
	sed -n "/^{/,\$p" | # it may have something to note before
	jq -r '.jobs[0] as $j | [$j.read, $j.write] as $d |
		if $j.error != 0 then error("fio") else . end |
		(if ($j.sync.total_ios // 0) > 0 then $j.sync else
			($d | max_by(.total_ios)) end).lat_ns.percentile as $p |
		[($d | map(.total_ios) | add),
		($d | map(.runtime) | max) / 1000,
		($d | map(.iops) | add),
		($d | map(.bw_bytes) | add) / 1048576,
		($p["50.000000"] // 0) / 1000, ($p["99.000000"] // 0) / 1000,
		($p["99.900000"] // 0) / 1000] | @tsv'
}

# measure SECTION BACKEND CONTENDER WORKLOAD: records it.
measure() {
	local name engine depth jobs rw bs how options timed before=0 cpu=0
	local line ios time rate mib p50 p99 p999

	read -r name engine depth jobs rw bs how < <(awk -v n="$4" \
		'$1 == n' <<<"$table")
	[ ${#pids[@]} = 0 ] || before=$(cpu_us)
	if [ "$how" = open ]; then
		line=$("$dir/helper" open "$target" "$seconds") || return 0
		read -r rate ios <<<"$line"
		time=$seconds mib=0 timed=
	else
		fio_options "$engine" "$depth" "$jobs" "$rw" "$bs" "$how" \
			"$2" "$3"
		line=$(timeout $((30 + seconds * 5)) fio "${options[@]}" \
			2>"$dir/fio.log" | read_fio 2>>"$dir/fio.log") || {
			say "$3: $name failed: $(tail -n 1 "$dir/fio.log")"
			fact failed "$2, $3: $name"
			return 0
		}
		read -r ios time rate mib p50 p99 p999 <<<"$line"
	fi
	if [ ${#pids[@]} != 0 ]; then
		# The ramp's share of it is not counted in the requests.
		cpu=$(($(cpu_us) - before))
		read -r cpu < <(awk -v c=$cpu -v t="$time" \
			-v r="${timed:+$ramp}" -v n="$ios" -v m="$mib" 'BEGIN {
			c *= t / (t + r)
			print n ? c / n : 0, m * t ? c / 1e3 / (m * t / 1024) : 0
		}')
		record "$1" "$2" "$3" "$4" cpu_req "${cpu% *}"
		[ "$how" = open ] ||
			record "$1" "$2" "$3" "$4" cpu_gib "${cpu#* }"
	fi
	record "$1" "$2" "$3" "$4" rate "$rate"
	if [ "$how" != open ]; then
		record "$1" "$2" "$3" "$4" mib "$mib"
		record "$1" "$2" "$3" "$4" p50 "$p50"
		record "$1" "$2" "$3" "$4" p99 "$p99"
		record "$1" "$2" "$3" "$4" p999 "$p999"
	fi
	sync "$image"
}

# run_one SECTION BACKEND CONTENDER WORKLOAD...: on a server of their own.
run_one() {
	local section=$1 backend=$2 name=$3 workload

	shift 3
	start_server "${server:-$name}" "$backend" || return 0
	if [ ${#pids[@]} != 0 ]; then
		sleep 0.2 # what it does after mounting
		record "$section" "$backend" "$name" - idle_kib "$(memory VmRSS)"
	fi
	for workload; do
		measure "$section" "$backend" "$name" "$workload"
	done
	[ ${#pids[@]} = 0 ] ||
		record "$section" "$backend" "$name" - peak_kib "$(memory VmHWM)"
	stop_server "${server:-$name}"
}
