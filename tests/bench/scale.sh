# Cost as work grows: more exports, more jobs, larger images; and what a server
# uses while nobody asks it anything. Sourced by bench.sh.

scale_servers="uring dev libfuse libfuse-uring"
idle_seconds=${BENCH_IDLE:-3}

# scale_fio FILENAME... : the rate of two jobs, depth 64 each, over all.
scale_fio() {
	local IFS=:

	timeout 60 fio --name=bench --filename="$*" --ioengine=io_uring \
		--iodepth=64 --numjobs=2 --rw=randread --bs=4k --direct=1 \
		--file_service_type=random:1 --time_based --norandommap \
		--ramp_time=${ramp}s --runtime="$seconds" --randrepeat=1 \
		--invalidate=0 --group_reporting --output-format=json |
		jq -r '.jobs[0].read.iops'
}

# scale_exports NAME COUNT: so many servers of 16 MiB of the image's each.
scale_exports() {
	local i image=$image size=16M points=() old=() all rate

	for ((i = 1; i <= $2; i++)); do
		image=$dir/export$i.img point=$dir/export$i.raw
		head -c 16M "$dir/disk.img" >"$image"
		start_server "$1" host || break
		points+=("$point")
		old+=("${pids[@]}")
	done
	all=("${old[@]}")
	pids=("${all[@]}")
	if ((i > $2)); then
		rate=$(scale_fio "${points[@]}") &&
			record scale exports "$1" "$2" rate "$rate"
		record scale exports "$1" "$2" kib \
			$(($(memory VmHWM) / $2))
	fi
	for point in "${points[@]}"; do
		unmount
	done
	wait "${pids[@]}" || :
	pids=()
	rm -f "$dir"/export*
	point=$dir/disk.raw
}

# scale_jobs NAME COUNT
scale_jobs() {
	local table="s io_uring 8 $2 randread 4k direct"

	measure scale jobs "$1" s
	sed -i "s/^\(scale\tjobs\t$1\t\)s\t/\1$2\t/" "$tsv"
}

# scale_size NAME SIZE: all of it is a hole; ext4 ends a block before 16T.
scale_size() {
	local image=$dir/large.img size=$2 table="s io_uring 32 1 randread 4k
		direct"

	table=${table//[$'\n\t']/}
	truncate -s "$(($(bytes "$2") - (1 << 20)))" "$image" || return 0
	size=$(stat -c %s "$image")
	start_server "$1" direct || return 0
	measure scale size "$1" s
	record scale size "$1" s kib "$(memory VmHWM)"
	sed -i "s/^\(scale\tsize\t$1\t\)s\t/\1$2\t/" "$tsv"
	stop_server "$1"
	rm -f "$image"
}

scale_rounds() {
	local name count

	round=1
	prepare host
	for name in $scale_servers; do
		has "$name" "$usable" || continue
		say "scale: $name"
		for count in 1 8 64; do
			scale_exports "$name" $count
		done
		start_server "$name" host || continue
		for count in 1 2 4 8 16; do
			scale_jobs "$name" $count
		done
		stop_server "$name"
		for count in 1G 16G 256G 4T 16T; do
			scale_size "$name" $count
		done
	done
}

# CPU and wake-ups while idle: after mounting, and after work.
idle_rounds() {
	local name when cpu woken backend=host

	round=1
	prepare host
	fact "idle for" "$idle_seconds s"
	for name in $usable; do
		[ "$name" != image ] || continue
		say "idle: $name"
		start_server "$name" $backend || continue
		for when in mounted used; do
			[ $when = mounted ] ||
				(tsv=/dev/null measure idle host "$name" r32)
			sleep 1
			cpu=$(cpu_us) woken=$(switches)
			sleep "$idle_seconds"
			record idle host "$name" $when cpu \
				$(($(cpu_us) - cpu))
			record idle host "$name" $when woken \
				$(($(switches) - woken))
		done
		stop_server "$name"
	done
}
