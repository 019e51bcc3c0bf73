# --cpu: the daemon joins a client at depth 1 and leaves it for every reason
# that can be brought about; where it runs before, meanwhile and after; and it
# does not join without the right to leave.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
transport=on
jobs_of=()

# A field of the report's line on the CPU.
cpu_field() {
	report
	sed -n "s/^rawfuse: cpu: .*\\b$1=\\([^ ]*\\).*/\\1/p" "$dir/report"
}

policy() { # 0: SCHED_OTHER, 5: SCHED_IDLE; behind "(comm) ", the 39th field
	local stat
	stat=$(<"/proc/$daemon/stat")
	set -- ${stat##*) }
	say "${39}"
}

allowed() {
	sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$daemon/status"
}

# Joined, and the system knows.
is_joined() {
	[[ $(cpu_field state) == joined && $(policy) == 5 && $(allowed) =~ ^[0-9]+$ ]]
}

is_free() { [[ $(cpu_field state) == free && $(policy) == 0 && $(allowed) == "$home" ]]; }

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
	home=$(allowed)
}

joins_and_leaves() {
	start --cpu=follow
	expect free cpu_field state
	client
	wait_until "it joined" is_joined
	client
	client
	wait_until "it left for several" several
	end_jobs
	unmount_rawfuse "$file"
}

several() {
	has parallel 0 || has clients 0
}

leaves_when_quiet() {
	start --cpu=follow
	client
	wait_until "it joined" is_joined
	end_jobs
	wait_until "it left at rest" is_free
	unmount_rawfuse "$file"
}

leaves_hogs() {
	local i
	start --cpu=follow
	client
	wait_until "it joined" is_joined
	for ((i = 0; i < 2 * $(nproc); i++)); do
		hog
	done
	wait_until "it left beside hogs" has starved 0
	end_jobs
	wait_until "it was free" is_free
	unmount_rawfuse "$file"
}

# Where others put it is where it stays.
obeys() {
	local old new i
	start --cpu=follow
	client
	wait_until "it joined" is_joined
	for ((i = 0; i < TRIES; i++)); do
		is_joined || continue
		old=$(allowed) new=
		[[ $old =~ ^[0-9]+$ ]] || continue
		for new in $(seq 0 "$(($(nproc --all) - 1))"); do
			[[ $new == "$old" ]] || break
		done
		taskset -pc "$new" "$daemon" >/dev/null 2>&1
		sleep 0.02
		has affinity 0 && break
	done
	((i < TRIES)) || fail "it did not notice that it was moved"
	end_jobs
	unmount_rawfuse "$file"
}

# The mount is gone while it is joined.
ends() {
	start --cpu=follow --trace=life
	client
	wait_until "it joined" is_joined
	kill -TERM "$daemon"
	wait_daemon 0
	end_jobs
	! is_mounted "$file" || fail "it is mounted"
}

pinned() {
	start --cpu=1
	[[ $home == 1 ]] || fail "pinned to 1, it may run on $home"
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
}

has_reads() {
	report
	(($(sed -n 's/.* READ=\([0-9]*\).*/\1/p' "$dir/report") > 1000))
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
	expect 0 policy
	end_jobs
	unmount_rawfuse "$file"
	RUN=(prlimit --nice=20 setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice)
	start --cpu=follow
	client
	wait_until "it joined" is_joined
	end_jobs
	wait_until "it left at rest" is_free
	unmount_rawfuse "$file"
	RUN=(chrt --rr 1)
	start --cpu=auto
	expect off cpu_field state
	unmount_rawfuse "$file"
	RUN=(env)
}

require_tool taskset chrt prlimit
uring_enabled || skip "io_uring=on: fuse.enable_uring is not Y"
(($(nproc) > 1)) || skip "there is one CPU only"
make_image disk.img 16M
joins_and_leaves
leaves_when_quiet
leaves_hogs
obeys
ends
pinned
without_the_right
finish
