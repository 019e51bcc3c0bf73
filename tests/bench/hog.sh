#!/bin/bash
# The guard of --cpu=auto: latency of a client at depth 1 (psync, 4 KiB random
# reads, image in the page cache) with --cpu=any and --cpu=auto, on a quiet
# machine and beside busy loops, two for each CPU:
#
#   quiet    without
#   session  hogs in the client's session, so in its autogroup
#   apart    hogs, client and server each in a session of its own
#   cgroup   all in one new cgroup of the cpu controller (skipped without one)
#   burst    hogs that run 20 ms of every 200 ms
#
# `make bench-hog` calls it; the environment may say:
#
#   HOG_ROUNDS   rounds (3)
#   HOG_SECONDS  of each measurement (5)
#   HOG_CASES    which of the above
#   BENCH_DIR    where the image is made (/var/tmp)
#   RAWFUSE      the program (./rawfuse)
#
# Prints medians, and the ratio of p99 to --cpu=any's; exit status 1 if that is
# above 2 anywhere.
set -eu -o pipefail
export LC_ALL=C

rounds=${HOG_ROUNDS:-3}
seconds=${HOG_SECONDS:-5}
cases=${HOG_CASES:-quiet session apart cgroup burst}
rawfuse=${RAWFUSE:-./rawfuse}

die() {
	echo "hog: $*" >&2
	exit 1
}

command -v fio >/dev/null || die "fio is missing (Debian: apt install fio)"
[ -x "$rawfuse" ] || die "$rawfuse: no such program (make, or set RAWFUSE)"
dir=$(mktemp -d "${BENCH_DIR:-/var/tmp}/rawfuse-hog.XXXXXX")
image=$dir/disk.img
point=$dir/disk.raw
group=
server=
hogs=()
declare -A samples

end_hogs() {
	[ ${#hogs[@]} = 0 ] || kill "${hogs[@]}" 2>/dev/null || :
	[ ${#hogs[@]} = 0 ] || wait "${hogs[@]}" 2>/dev/null || :
	hogs=()
}

end_server() {
	[ -n "$server" ] || return 0
	umount "$point" 2>/dev/null || umount -l "$point" || :
	wait "$server" || :
	server=
}

cleanup() {
	end_hogs
	end_server
	leave_group
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# A cgroup of the cpu controller, of either version.
join_group() {
	local root

	for root in /sys/fs/cgroup/cpu /sys/fs/cgroup; do
		[ -e "$root/cgroup.procs" ] || continue
		[ "$root" != /sys/fs/cgroup ] ||
			grep -qw cpu "$root/cgroup.subtree_control" || continue
		home=$root
		group=$root/rawfuse-hog.$$
		mkdir "$group" 2>/dev/null || continue
		echo $$ >"$group/cgroup.procs" 2>/dev/null && return 0
		rmdir "$group"
		group=
	done
	return 1
}

leave_group() {
	[ -n "$group" ] || return 0
	echo $$ >"$home/cgroup.procs"
	rmdir "$group" || :
	group=
}

# shellcheck disable=SC2016 # for the shell that it starts
hog() { # SETSID-OR-NOTHING BUSY-MS PERIOD-MS
	if [ "$3" = 0 ]; then
		$1 bash -c 'while :; do :; done' &
	else
		# Awake for so long by the clock, then asleep.
		$1 bash -c 'while :; do
			t=${EPOCHREALTIME/./}
			while ((${EPOCHREALTIME/./} - t < '"$2"'000)); do
				:
			done
			sleep 0.'"$(printf %03d $(($3 - $2)))"'
		done' &
	fi
	hogs+=($!)
}

start_server() { # MODE SETSID-OR-NOTHING
	local i

	rm -f "$dir/pid"
	$2 "$rawfuse" -f --cache=host --cpu="$1" --pidfile="$dir/pid" \
		"$image" "$point" >"$dir/log" 2>&1 &
	server=$!
	for ((i = 0; i < 200; i++)); do
		[ ! -s "$dir/pid" ] || return 0
		sleep 0.05
	done
	die "the server does not start: $(tail -n 1 "$dir/log")"
}

# Prints IOPS and the microseconds of p50, p99, p99.9 and the longest.
run_fio() {
	fio --name=hog --filename="$point" --size=256M --ioengine=psync \
		--rw=randread --bs=4k --direct=1 --time_based \
		--runtime="$seconds" --norandommap --randrepeat=0 \
		--invalidate=0 --percentile_list=50:99:99.9 \
		--output-format=terse --terse-version=3 |
		awk -F';' '$1 == 3 && !$5 {
			printf "%d", $8
			for (i = 18; i <= 20; i++) {
				split($i, p, "=")
				printf " %d", p[2]
			}
			printf " %d\n", $15
			ok = 1
		}
		END { exit !ok }'
}

one() { # CASE MODE
	local apart= i value

	[ "$1" != apart ] || apart=setsid
	start_server "$2" "$apart"
	for ((i = 0; i < 2 * $(nproc); i++)); do
		case $1 in
		quiet) ;;
		burst) hog "" 20 200 ;;
		*) hog "$apart" 0 0 ;;
		esac
	done
	value=$(run_fio) || die "fio failed"
	end_hogs
	kill -USR1 "$server"
	sleep 0.2
	samples[$1/$2]="${samples[$1/$2]:-}$value
"
	said[$1/$2]=$(sed -n 's/^rawfuse: cpu: //p' "$dir/log" | tail -n 1)
	end_server
}
declare -A said

median() { # CASE/MODE COLUMN
	printf %s "${samples[$1]}" | cut -d' ' -f"$2" | sort -n |
		awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

head -c 256M /dev/zero | tr '\0' 'r' >"$image"
: >"$point"
for ((round = 0; round < rounds; round++)); do
	for name in $cases; do
		if [ "$name" = cgroup ] && ! join_group; then
			echo "hog: cgroup: skipped: none can be made" >&2
			continue
		fi
		for mode in any auto; do
			one "$name" $mode
		done
		leave_group
	done
done

status=0
echo "| hogs | --cpu | IOPS | p50 us | p99 us | p99.9 us | max us | p99 ratio |"
echo "|---|---|---:|---:|---:|---:|---:|---:|"
for name in $cases; do
	[ -n "${samples[$name/any]:-}" ] || continue
	for mode in any auto; do
		printf '| %s | %s ' "$name" $mode
		for column in 1 2 3 4 5; do
			printf '| %s ' "$(median $name/$mode $column)"
		done
		awk -v a="$(median $name/$mode 3)" \
			-v b="$(median $name/any 3)" \
			'BEGIN { printf "| %.2f |\n", a / b; exit a > 2 * b }' ||
			status=1
	done
done
for name in $cases; do
	[ -n "${said[$name/auto]:-}" ] || continue
	echo
	echo "$name: ${said[$name/auto]}"
done
exit $status
