# What the server's processor time for a request is, in a mode: to be compared
# with other modes of the same boot, and with nothing else, because the
# processor is emulated. O_DIRECT on both sides.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
large=${COST_LARGE:-512} small=${COST_SMALL:-8000} # requests

# Microseconds of processor time that the daemon has used.
used() {
	awk '{ sub(/.*\) /, ""); print ($12 + $13) * 10000 }' "/proc/$daemon/stat"
}

# load KIB COUNT READ-OR-WRITE: microseconds a request.
load() {
	local before
	before=$(used)
	(cd "$dir" && exec fio --name=load --filename=disk.raw --size=32M \
		--direct=1 --ioengine=libaio --iodepth=8 --bs="$1k" \
		--rw="$3" --io_size=$(($1 * $2))k --fallocate=none --thread) \
		>"$dir/fio.out" 2>&1 {machine_lock}<&- ||
		fail "fio: $(tail -n 20 "$dir/fio.out")"
	echo $((($(used) - before) / $2))
}

run() {
	local line=
	head -c 33554432 /dev/urandom >"$image"
	sync "$image"
	mount_rawfuse --cache=direct --cpu=any --poll=off "$image" "$file"
	line+=" read_1M=$(load 1024 "$large" read)"
	line+=" write_1M=$(load 1024 "$large" write)"
	line+=" read_4k=$(load 4 "$small" randread)"
	line+=" write_4k=$(load 4 "$small" randwrite)"
	say "vm: us_a_request:$line"
	unmount_rawfuse "$file"
}

require_tool fio
# One after the other, that none disturbs another one's caches.
exec {turn}>/tmp/cost.lock
flock "$turn"
each_transport run
finish
