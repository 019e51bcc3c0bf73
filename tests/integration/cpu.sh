# --cpu: the daemon joins a client at depth 1 and leaves it for every reason
# that can be brought about; where it runs before, meanwhile and after; and it
# does not join without the right to leave.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
transport=on
jobs_of=()
restores+=(end_jobs)

# A field of the report's line on the CPU.
cpu_field() {
	report
	sed -n "s/^rawfuse: cpu: .*\\b$1=\\([^ ]*\\).*/\\1/p" "$dir/report"
}

# policy: $policy is 0 for SCHED_OTHER, 5 for SCHED_IDLE: behind "(comm) ", the
# 39th field. allowed: $allowed are the CPUs. Without processes, to be quick.
policy() {
	local stat
	read -r stat <"/proc/$daemon/stat" || return 1
	set -- ${stat##*) }
	state=$1
	policy=${39}
}

is_stopped() { policy && [[ $state == T ]]; }

allowed() {
	local name rest
	while read -r name rest; do
		[[ $name != Cpus_allowed_list: ]] || allowed=$rest
	done <"/proc/$daemon/status"
}

# Others who need the CPU make every stay short, so this one looks often: for
# SCHED_IDLE and a single CPU at the same time.
joins() {
	local end=$((SECONDS + TRIES / 25))
	while ((SECONDS < end)); do
		policy && ((policy == 5)) || continue
		allowed
		policy && ((policy == 5)) || continue
		[[ $allowed =~ ^[0-9]+$ ]] && return 0
	done
	report
	fail "it did not join: $(grep cpu: "$dir/report")"
}

is_free() {
	policy
	allowed
	((policy == 0)) && [[ $allowed == "$home" && $(cpu_field state) == free ]]
}

has() { (($(cpu_field "$1") > $2)); }

# In the background, over and over; until end_jobs.
job() {
	(
		exec {machine_lock}<&-
		trap - EXIT
		trap 'kill $! 2>/dev/null; exit' TERM
		while :; do
			"$@" &
			wait $!
		done
	) >/dev/null 2>&1 &
	jobs_of+=($!)
}

end_jobs() {
	kill "${jobs_of[@]}" 2>/dev/null
	wait "${jobs_of[@]}" 2>/dev/null
	jobs_of=()
}

client() {
	job dd if="$file" of=/dev/null bs=4k iflag=direct
}

hog() {
	(
		exec {machine_lock}<&-
		trap - EXIT TERM
		while :; do :; done
	) &
	jobs_of+=($!)
}

start() {
	mount_rawfuse --cache=host "$@" "$image" "$file"
	allowed
	home=$allowed
}

joins_and_leaves() {
	start --cpu=follow
	expect free cpu_field state
	client
	joins
	client
	client
	wait_until "it left for several" is_free
	has joins 0 || fail "it joined, and did not count it"
	end_jobs
	unmount_rawfuse "$file"
}

leaves_when_quiet() {
	start --cpu=follow
	client
	joins
	end_jobs
	wait_until "it left at rest" is_free
	unmount_rawfuse "$file"
}

leaves_hogs() {
	local i
	start --cpu=follow
	client
	joins
	for ((i = 0; i < 2 * $(nproc); i++)); do
		hog
	done
	wait_until "it left beside hogs" has starved 0
	end_jobs
	wait_until "it was free" is_free
	unmount_rawfuse "$file"
}

# A child is to run as it likes: it would not leave by itself.
starts_children() {
	start --cpu=follow --writeback-cache
	client
	joins
	wait_until "it left for a child" has_left_for_child
	end_jobs
	unmount_rawfuse "$file" 'a write past the end was refused'
}

has_left_for_child() {
	dd if=/dev/zero of="$file" bs=4k seek=300000 count=1 conv=notrunc,fsync \
		2>/dev/null && fail "a write past the end has succeeded"
	has child 0
}

# Where others put it is where it stays; stopped, it cannot leave just before.
obeys() {
	local other i
	start --cpu=follow
	client
	for ((i = 0; i < 20; i++)); do
		joins
		kill -STOP "$daemon"
		wait_until "it is stopped" is_stopped
		((policy == 0)) || break
		kill -CONT "$daemon"
	done
	((i < 20)) || fail "it cannot be stopped while it is joined"
	allowed
	for ((other = 0; other == allowed; other++)); do :; done
	taskset -pc "$other" "$daemon" >/dev/null
	kill -CONT "$daemon"
	wait_until "it left" is_normal
	allowed
	[[ $allowed == "$other" ]] || fail "it went back to $allowed"
	end_jobs
	unmount_rawfuse "$file"
}

is_normal() {
	policy
	((policy == 0))
}

# The mount is gone while it is joined.
ends() {
	start --cpu=follow --trace=life
	client
	joins
	kill -TERM "$daemon"
	wait_daemon 0
	end_jobs
	! is_mounted "$file" || fail "it is mounted"
}

pinned() {
	local last=${home##*[-,]}
	start --cpu="$last"
	[[ $home == "$last" ]] || fail "pinned to $last, it may run on $home"
	expect list cpu_field mode
	expect off cpu_field state
	unmount_rawfuse "$file"
	start_rawfuse --cpu=8000 "$image" "$file"
	wait_daemon 1
	check_log '--cpu=8000'
	start --cpu=any
	client
	wait_until "requests came" has_reads
	expect off cpu_field state
	expect 0 cpu_field joins
	end_jobs
	unmount_rawfuse "$file"
	RUN=(chrt --idle 0)
	start --cpu=auto
	expect off cpu_field state
	RUN=(env)
	unmount_rawfuse "$file"
}

has_reads() {
	report
	local reads
	reads=$(sed -n 's/.* READ=\([0-9]*\).*/\1/p' "$dir/report")
	((${reads:-0} > 1000))
}

without_the_right() {
	have_tool setpriv || {
		skip_part "setpriv is not installed"
		return
	}
	RUN=(prlimit --nice=0 setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice)
	start_rawfuse --cpu=follow "$image" "$file"
	wait_daemon 1
	check_log 'cpu=follow: no right to go back'
	start --cpu=auto
	client
	wait_until "requests came" has_reads
	expect off cpu_field state
	is_normal || fail "it has the policy $policy"
	end_jobs
	unmount_rawfuse "$file"
	prlimit --nice=20 true 2>/dev/null || {
		skip_part "RLIMIT_NICE cannot be raised"
		return
	}
	RUN=(prlimit --nice=20 setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice)
	start --cpu=follow
	client
	joins
	end_jobs
	wait_until "it left at rest" is_free
	unmount_rawfuse "$file"
	RUN=(env)
}

require_tool taskset chrt prlimit
uring_enabled || skip "io_uring=on: fuse.enable_uring is not Y"
(($(nproc) > 1)) || skip "there is one CPU only"
make_image disk.img 1G
for part in joins_and_leaves leaves_when_quiet leaves_hogs obeys \
	starts_children ends pinned without_the_right; do
	say "--- $part"
	$part
done
finish
