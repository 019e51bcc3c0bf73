# Memory: 100,000 requests of all kinds leave the heap as it was, and the
# pages of payloads are given back when it is quiet.
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw
REQUESTS=${MEMORY_REQUESTS:-100000}
ROOM=512 # KiB that work may leave behind: headers, tables, stack

status() { awk -v what="$1:" '$1 == what { print $2 }' "/proc/$daemon/status"; }
rests() { (($(status RssAnon) <= start + ROOM)); }

# work REQUESTS: at the depth of all queues, and one large one after another.
work() {
	(cd "$dir" && exec fio --name=m --filename=disk.raw --size=8M --direct=1 \
		--fallocate=none --rw=randrw --bs=4k --ioengine=io_uring \
		--iodepth=64 --thread --norandommap --randrepeat=1 \
		--io_size="$(($1 * 4))k") >"$dir/fio.out" 2>&1 \
		{machine_lock}<&- || fail "fio: $(tail -n 5 "$dir/fio.out")"
	succeed dd if=/dev/zero of="$file" bs=4M count=2 oflag=direct \
		conv=notrunc status=none
	succeed dd if="$file" of=/dev/null bs=4M iflag=direct status=none
	expect 0 fileop "$file" fsync
}

requests() {
	report
	sed -n 's/.* total=\([0-9]*\).*/\1/p' "$dir/report"
}

no_growth() {
	local data worked before
	"$@"
	start=$(status RssAnon)
	work 5000
	worked=$(status RssAnon)
	wait_until "memory is given back" rests
	data=$(status VmData)
	before=$(requests)
	work "$REQUESTS"
	(($(requests) - before >= REQUESTS)) || fail "too few requests came"
	wait_until "memory is given back" rests
	expect "$data" status VmData
	say "VmData $data KiB; RssAnon $worked KiB at work, $(status RssAnon) at rest"
	unmount_rawfuse "$file"
}

raw() {
	make_image disk.img 8M
	mount_rawfuse --cache=host "$image" "$file"
}

qcow2() {
	rm -f "$image"
	succeed qemu-img create -q -f qcow2 "$image" 8M
	mount_rawfuse "$image" "$file"
}

require_tool fio
each_transport no_growth raw
if have_tool qemu-img; then
	each_transport no_growth qcow2
else
	skip_part "qcow2: qemu-img is not installed"
fi
finish
