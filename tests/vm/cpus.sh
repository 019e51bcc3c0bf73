# Many possible CPUs: the queue of each registers all its entries. Tells what
# that costs: time to mount, memory idle and under load.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
depth=${CPUS_DEPTH:-64}

# How many numbers a list like 0-3,8 has.
count() {
	tr , '\n' <"$1" | awk -F- '{ n += (NF > 1 ? $2 - $1 : 0) + 1 } END { print n }'
}

memory() { # of the daemon, in kB
	awk -v ORS='' '/^(VmRSS|RssAnon|VmHWM|VmLck|VmPin):/ {
		sub(":", "", $1); print " " tolower($1) "=" $2 }' "/proc/$daemon/status"
}

# Entries that the kernel holds: registered, or answered and waiting again.
held() {
	report
	awk -F'[ =]' '/transport: io_uring/ {
		for (i = 1; i < NF; i++)
			if ($i == "registered" || $i == "commit") n += $(i + 1)
		print n + 0 }' "$dir/report"
}
all_held() { [[ $(held) == "$1" ]]; }

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

run() {
	local possible began mounted idle label
	possible=$(count /sys/devices/system/cpu/possible)
	rm -f "$image"
	truncate -s 256M "$image"
	began=$(milliseconds)
	mount_rawfuse --queue-depth="$depth" "$image" "$file"
	mounted=$(($(milliseconds) - began))
	label="possible=$possible depth=$depth"
	if [[ $transport == off ]]; then
		label+=" dev_fuse"
	else
		report
		grep -q "queues=$possible " "$dir/report" ||
			fail "not $possible queues: $(<"$dir/report")"
		wait_until "all entries are held" all_held $((possible * depth))
		label+=" io_uring entries=$(held)"
	fi
	idle=$(memory)
	(cd "$dir" && exec fio --name=load --filename=disk.raw --size=256M \
		--direct=1 --ioengine=libaio --iodepth=16 --numjobs=4 --bs=1M \
		--rw=randrw --time_based --runtime=4 --fallocate=none --thread) \
		>"$dir/fio.out" 2>&1 {machine_lock}<&- ||
		fail "fio: $(tail -n 20 "$dir/fio.out")"
	# What load has touched, stays.
	say "vm: $label mount_ms=$mounted idle:$idle loaded:$(memory)"
	unmount_rawfuse "$file"
}

require_tool fio
each_transport run
finish
