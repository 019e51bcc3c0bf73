# fio --verify: mixed sizes and depths, four jobs on regions of their own,
# O_DIRECT and buffered, unaligned sizes, both ways to the image. FIO_SIZE is
# how much the jobs write, in MiB.
SCRATCH_IN=. # the build directory's file system
. "$abs_top_srcdir/tests/integration/lib.sh"

image=$dir/disk.img
file=$dir/disk.raw

# verify NAME OPTION...: four jobs, 5 MiB apart.
verify() {
	local name=$1
	shift
	# fio wants no space in a name: it runs beside the file.
	(cd "$dir" && exec fio --name="$name" --filename=disk.raw --size="${FIO_SIZE:-5}M" \
		--numjobs=4 --offset_increment=5M --verify=crc32c \
		--verify_fatal=1 --verify_dump=0 --group_reporting \
		--randrepeat=1 --fallocate=none --thread "$@") \
		>"$dir/fio.out" 2>&1 {machine_lock}<&- ||
		fail "fio $*: $(tail -n 20 "$dir/fio.out")"
	grep -q 'err= 0' "$dir/fio.out" || fail "fio $*: $(<"$dir/fio.out")"
}

run() {
	local cache
	for cache in direct host; do
		rm -f "$image"
		truncate -s 20971521 "$image"
		mount_rawfuse --cache=$cache "$image" "$file"
		verify mixed --rw=randwrite --direct=1 --ioengine=io_uring \
			--iodepth=32 --bsrange=4k-128k --blockalign=4k
		verify small --rw=randwrite --direct=1 --ioengine=libaio \
			--iodepth=8 --bs=512 --size=400k --offset_increment=512k
		verify large --rw=write --direct=1 --ioengine=psync --bs=1M
		verify buffered --rw=randrw --direct=0 --ioengine=psync \
			--bsrange=4k-64k --blockalign=4k --fsync=64
		# fio's own O_DIRECT takes what is not aligned from FUSE.
		verify unaligned --rw=randwrite --direct=1 --ioengine=psync \
			--bsrange=700-9000 --bs_unaligned --size=600k \
			--offset_increment=614411 --offset=12345
		verify unaligned_cached --rw=randwrite --direct=0 \
			--ioengine=psync --bsrange=700-9000 --bs_unaligned \
			--size=600k --offset_increment=614401 --offset=1
		report
		unmount_rawfuse "$file"
		# What the last one wrote is in the image itself.
		(cd "$dir" && ln -f disk.img disk.raw)
		verify image --rw=randwrite --direct=0 --ioengine=psync \
			--bsrange=700-9000 --bs_unaligned --size=600k \
			--offset_increment=614401 --offset=1 --verify_only
		rm -f "$file"
	done
}

require_tool fio
each_transport run
finish
